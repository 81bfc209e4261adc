"""The scores of a whole screen: nothing asked for is lost, and the sentence keeps its word."""

import re

import anndata
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lgem.files import write_h5ad
from lgem.prediction.evaluation import (
    NOT_HELD_OUT,
    headline,
    mean_responses,
    measured_targets,
    paired_effects,
    score_models,
)
from lgem.prediction.folds import folds, predictions_data
from lgem.prediction.metrics import METRICS, OFF_TARGET, TOP, per_perturbation, shared_perturbations
from lgem.prediction.model import (
    NOT_APPLICABLE,
    NOT_EMBEDDABLE,
    PREDICTED,
    Training,
    fit_predictor,
)
from lgem.prediction.splits import kfold
from lgem.screen.io import LEFT_OUT
from lgem.screen.labels import TargetIndex

GENES = [f"G{row}" for row in range(12)]
ASKED = ["G0", "G1", "G1+G11", "G11", "G2", "G5+X1", "X1", "few"]
KINDS = {
    **{"no_change": {}, "mean": {}, "additive": {}},
    "lgem": {"solver": "ridge", "dimensions": 2, "penalty": 0.1},
}
TOP_GENES = 4


def screen():
    """Effects of all that was asked for; control falls from G0 to G11, G11 reacts most."""
    rng = np.random.default_rng(1)
    control = np.linspace(3, 1, len(GENES))
    values = rng.normal(size=(len(ASKED), len(GENES)))
    values[:, -1] = 50.0
    obs = pd.DataFrame({"status": "estimated", "reason": ""}, index=ASKED)
    obs.loc["few"] = [LEFT_OUT, "3 cells, fewer than min_cells 10"]
    values[-1] = np.nan
    var = pd.DataFrame({"control": control}, index=GENES)
    return anndata.AnnData(X=values, obs=obs, var=var)


def held_out_predictions(effects, kind, repeats=2):
    """Predictions of a kind; G2 is in no test set."""
    usable = [name for name in ASKED if name != "few"]
    splits = kfold([name for name in usable if name != "G2"], 3, repeats, seed=1)
    index = TargetIndex(GENES)
    fitted = []
    for fold in folds(splits):
        training = Training(
            effects[fold.train].X.T,
            effects.var["control"].to_numpy(),
            fold.train,
            [index.find(name) for name in fold.train],
        )
        fitted.append((fold, fit_predictor(kind, training, KINDS[kind])))
    return predictions_data(effects, fitted)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Effects and the predictions of every kind, written and read as the workflow does."""
    folder = tmp_path_factory.mktemp("screen")
    effects = screen()
    data = {kind: held_out_predictions(effects, kind) for kind in KINDS} | {"effects": effects}
    for name, content in data.items():
        write_h5ad(content, folder / f"{name}.h5ad")
    read = {name: anndata.read_h5ad(folder / f"{name}.h5ad") for name in data}
    return read.pop("effects"), read


@pytest.fixture(scope="module")
def metrics(files):
    effects, predictions = files
    return score_models(predictions, effects, TOP_GENES)


def test_every_perturbation_asked_for_stands_in_the_table_for_every_model(metrics):
    keys = ["model", "gene_set", "metric"]
    for _, part in metrics.groupby(keys):
        counts = part["perturbation"].value_counts().to_dict()
        assert counts == {name: 1 if name in ("G2", "few") else 2 for name in ASKED}
    assert len(metrics.groupby(keys)) == len(KINDS) * 2 * len(METRICS)


def test_a_score_without_a_value_has_a_status_or_a_reason_and_one_with_a_value_none(metrics):
    made = metrics["value"].notna()
    assert (metrics.loc[made, "status"] == PREDICTED).all()
    assert (metrics.loc[made, "reason"] == "").all()
    assert (metrics.loc[~made, "reason"] != "").all()
    undefined = metrics[~made & (metrics["status"] == PREDICTED)]
    assert set(undefined["metric"]) == {"pearson_delta"}
    assert set(undefined["model"]) == {"no_change"}


@pytest.mark.parametrize(
    ("model", "perturbation", "status", "reason"),
    [
        ("lgem", "few", LEFT_OUT, "3 cells, fewer than min_cells 10"),
        ("lgem", "G2", NOT_HELD_OUT, "in no test set of the splits"),
        ("lgem", "X1", NOT_EMBEDDABLE, "target not measured: X1"),
        ("lgem", "G5+X1", NOT_EMBEDDABLE, "target not measured: X1"),
        ("lgem", "G0", PREDICTED, ""),
        ("additive", "G0", NOT_APPLICABLE, "not a combination"),
        ("additive", "few", LEFT_OUT, "3 cells, fewer than min_cells 10"),
        ("mean", "X1", PREDICTED, ""),
    ],
)
def test_statuses_say_what_became_of_a_perturbation(metrics, model, perturbation, status, reason):
    rows = metrics[(metrics["model"] == model) & (metrics["perturbation"] == perturbation)]
    assert set(zip(rows["status"], rows["reason"], strict=True)) == {(status, reason)}
    assert rows["value"].notna().all() == (status == PREDICTED)
    assert rows["fold"].isna().all() == (status in (LEFT_OUT, NOT_HELD_OUT))


def test_scores_are_over_the_genes_top_in_control_and_the_target(files, metrics):
    effects, predictions = files
    sets = {  # G11 reacts most of all, and counts where it is the target alone
        **{("G0", TOP): [0, 1, 2, 3], ("G0", OFF_TARGET): [1, 2, 3]},
        **{("G11", TOP): [0, 1, 2, 3, 11], ("G11", OFF_TARGET): [0, 1, 2, 3]},
        **{("G1+G11", TOP): [0, 1, 2, 3, 11], ("G1+G11", OFF_TARGET): [0, 2, 3]},
        **{("G5+X1", TOP): [0, 1, 2, 3, 5], ("G5+X1", OFF_TARGET): [0, 1, 2, 3]},
        **{("X1", TOP): [0, 1, 2, 3], ("X1", OFF_TARGET): [0, 1, 2, 3]},
    }
    data = predictions["mean"]
    for (name, gene_set), genes in sets.items():
        rows = metrics[
            (metrics["model"] == "mean")
            & (metrics["perturbation"] == name)
            & (metrics["gene_set"] == gene_set)
            & (metrics["metric"] == "l2")
        ]
        for entry in rows.itertuples():
            predicted = data[f"{name}/{entry.repeat}/{entry.fold}"].X.ravel()
            observed = effects.var["control"].to_numpy() + effects[name].X.ravel()
            distance = np.sqrt(np.sum((predicted - observed)[genes] ** 2))
            assert entry.value == pytest.approx(distance, rel=1e-12)


def test_measured_targets_of_a_combination_leave_out_the_unmeasured():
    index = TargetIndex(GENES, [f"S{row}" for row in range(11)] + ["S0"])
    assert measured_targets(index, "G5+X1") == [5]
    assert measured_targets(index, "G5+S3") == [5, 3]
    assert measured_targets(index, "S0") == []  # two genes carry that symbol
    assert measured_targets(index, "control") == []


def test_mean_responses_average_effects_over_repeats(files):
    effects, predictions = files
    found, names = mean_responses(predictions["mean"])
    assert names == sorted(set(predictions["mean"].obs["perturbation"]))
    control = effects.var["control"].to_numpy()
    for response, name in zip(found, names, strict=True):
        rows = (predictions["mean"].obs["perturbation"] == name).to_numpy()
        assert rows.sum() == 2
        expected = predictions["mean"].X[rows].mean(axis=0) - control
        np.testing.assert_allclose(response, expected, atol=1e-12)


def test_mean_responses_leave_out_what_has_no_prediction(files):
    _, predictions = files
    assert mean_responses(predictions["lgem"])[1] == ["G0", "G1", "G1+G11", "G11"]
    alone = predictions["lgem"][predictions["lgem"].obs["perturbation"] == "X1"]
    found, names = mean_responses(alone)
    assert (found.shape, names) == ((0, len(GENES)), [])


def test_pairs_hold_each_gene_of_a_held_out_perturbation_once(files):
    effects, predictions = files
    chosen = {"lgem": predictions["lgem"], "mean": predictions["mean"]}
    pairs, missing = paired_effects(chosen, effects, TOP_GENES)
    assert missing == {}
    assert not pairs.duplicated(["model", "perturbation", "gene"]).any()
    own = pairs[(pairs["model"] == "lgem") & (pairs["perturbation"] == "G1+G11")]
    assert own["gene"].tolist() == ["G0", "G1", "G2", "G3", "G11"]
    assert own["is_target"].tolist() == [False, True, False, False, True]
    rows = [GENES.index(gene) for gene in own["gene"]]
    np.testing.assert_array_equal(own["observed_effect"], effects["G1+G11"].X.ravel()[rows])
    responses, names = mean_responses(predictions["lgem"])
    np.testing.assert_array_equal(own["predicted_effect"], responses[names.index("G1+G11")][rows])


def test_a_model_without_predictions_has_no_pairs_but_a_reason(files):
    effects, predictions = files
    alone = predictions["lgem"][predictions["lgem"].obs["perturbation"] == "X1"]
    pairs, missing = paired_effects({"lgem": alone}, effects, TOP_GENES)
    assert missing == {"lgem": "target not measured: X1"}
    assert pairs.empty
    full, _ = paired_effects({"mean": predictions["mean"]}, effects, TOP_GENES)
    assert list(pairs.columns) == list(full.columns)


def l2_scores(scores):
    """Metrics of {model: {perturbation: L2}}; None is a perturbation without a prediction."""
    rows = [
        {
            **{"model": model, "repeat": 1, "fold": 1, "perturbation": perturbation},
            **{"gene_set": TOP, "metric": "l2", "value": np.nan if value is None else value},
            "status": NOT_EMBEDDABLE if value is None else PREDICTED,
            "reason": f"target not measured: {perturbation}" if value is None else "",
        }
        for model, of_model in scores.items()
        for perturbation, value in of_model.items()
    ]
    return pd.DataFrame(rows)


BASELINES = ["no_change", "mean", "additive"]
PARTLY = re.compile(
    r" (\w+) scores (\d+) of these(?:: ([\d.]+) there against ([\d.]+) for (\w+))?\."
)
SENTENCE = re.compile(
    r"held-out L2 (?P<model>[\d.]+) for (?P<model_name>\w+), (?P<baseline>[\d.]+) for "
    r"(?P<baseline_name>\w+), on the (?P<n>\d+) of "
    r"(?P<asked>\d+) perturbations that all models score "
    r"\(difference (?P<difference>[+-][\d.]+), "
    r"(?:90 % interval (?P<lower>[+-][\d.]+) to (?P<upper>[+-][\d.]+)|no 90 % interval from one)\)"
)


def result(scores, asked=9):
    """The sentence, as the workflow makes it."""
    metrics = l2_scores(scores)
    models = [name for name in scores if name not in BASELINES]
    comparable = [name for name in scores if name != "additive"]
    shared = shared_perturbations(per_perturbation(metrics), comparable)
    return headline(metrics, shared, asked, models, BASELINES, 200, 0.9, 1)


def row(*values):
    return {f"P{i}": value for i, value in enumerate(values)}


@pytest.mark.parametrize(
    ("model", "opening"),
    [
        (row(1, 2, 3, 4), "The model lgem beats the best baseline, mean: "),
        (row(3, 4, 5, 6), "The baseline mean beats the best model, lgem: "),
        (row(1, 4, 3, 6), "The model lgem and the best baseline, mean, cannot be told apart: "),
    ],
)
def test_the_headline_says_who_wins_only_where_the_interval_does(model, opening):
    scores = {"lgem": model, "no_change": row(7, 7, 7, 7), "mean": row(2, 3, 4, 5)}
    assert result(scores).startswith(opening)


def test_the_headline_says_where_no_model_could_predict_and_why():
    scores = {"lgem": row(None, None), "no_change": row(1, 2), "mean": row(2, 3)}
    assert result(scores) == (
        "No model could predict any of 9 perturbations (target not measured); baselines are scored."
    )


def test_the_headline_says_where_models_have_no_perturbation_in_common():
    scores = {"a": row(1, None), "b": row(None, 1), "no_change": row(1, 2), "mean": row(2, 3)}
    assert result(scores) == "No result: none of 9 perturbations is scored by all models."


def test_a_single_perturbation_tells_nothing_apart():
    sentence = result({"lgem": row(1.0), "no_change": row(5.0), "mean": row(6.0)})
    assert "cannot be told apart" in sentence
    assert "on the 1 of 9" in sentence
    assert sentence.endswith("(difference -4.000, no 90 % interval from one).")


def test_a_baseline_that_scores_only_easy_perturbations_is_not_the_best():
    scores = {
        "lgem": row(1.0, 1.1, 9.0, 9.1),
        "no_change": row(2.0, 2.1, 10.0, 10.1),
        "mean": row(3.0, 3.1, 11.0, 11.1),
        "additive": {**row(1.5, 1.6), "P2": None, "P3": None},
    }
    sentence = result(scores)
    assert sentence == (
        "The model lgem beats the best baseline, no_change: held-out L2 5.050 for lgem, 6.050 for "
        "no_change, on the 4 of 9 perturbations that all models score (difference -1.000, 90 % "
        "interval -1.000 to -1.000). additive scores 2 of these: 1.550 there against 1.050 for "
        "lgem."
    )


def test_what_scores_some_is_compared_with_the_best_model_though_a_baseline_beats_it():
    scores = {
        "a": row(5, 6, 7),
        "b": row(None, None, None),
        "paper": row(4, 5, 6),
        "no_change": row(1, 1.5, 2),
        "mean": row(2, 2.5, 3),
        "additive": {"P1": 0.5},
    }
    sentence = result(scores)
    assert sentence.startswith(
        "The baseline no_change beats the best model, paper: held-out L2 5.000 for paper, 1.500 "
        "for no_change, on the 3 of 9 "
    )
    assert sentence.endswith(
        "). b scores 0 of these. additive scores 1 of these: 0.500 there against 5.000 for paper."
    )


def test_a_baseline_that_scores_all_shared_perturbations_can_be_the_best():
    scores = {
        "lgem": row(3.0, 3.1),
        "no_change": row(9.0, 9.1),
        "mean": row(8.0, 8.1),
        "additive": row(1.0, 1.1),
    }
    assert result(scores).startswith("The baseline additive beats the best model, lgem: ")


def test_a_model_that_predicts_nothing_is_named_and_does_not_stop_the_comparison():
    scores = {"a": row(1, 2), "b": row(None, None), "no_change": row(3, 4), "mean": row(5, 6)}
    sentence = result(scores)
    assert sentence.startswith("The model a beats the best baseline, no_change: ")
    assert sentence.endswith(" b scores 0 of these.")


missing_scores = st.lists(
    st.tuples(*[st.one_of(st.none(), st.floats(0.5, 9))] * 2, st.floats(0.5, 9), st.floats(0.5, 9)),
    min_size=1,
    max_size=8,
)


@settings(deadline=None, max_examples=150)
@given(rows=missing_scores, additive=st.lists(st.floats(0.5, 9), max_size=8))
def test_all_numbers_of_the_headline_are_over_the_same_perturbations(rows, additive):
    scores = {
        name: row(*(values[column] for values in rows))
        for column, name in enumerate(["a", "b", "no_change", "mean"])
    }
    scores["additive"] = row(*additive[: len(rows)])
    sentence = result(scores)
    found = SENTENCE.search(sentence)
    scoring = [m for m in ("a", "b") if any(v is not None for v in scores[m].values())]
    shared = [p for p in row(*rows) if all(scores[m][p] is not None for m in scoring)]
    if not scoring or not shared:
        assert sentence.startswith("No ")
        return
    models = {m: np.mean([scores[m][p] for p in shared]) for m in scoring}
    complete = [b for b in BASELINES if set(shared) <= set(scores[b])]
    baselines = {b: np.mean([scores[b][p] for p in shared]) for b in complete}
    assert (int(found["n"]), int(found["asked"])) == (len(shared), 9)
    for kind, means in (("model", models), ("baseline", baselines)):
        assert float(found[kind]) == pytest.approx(min(means.values()), abs=6e-4)
        assert means[found[f"{kind}_name"]] == pytest.approx(min(means.values()))
    partly = {name: rest for name, *rest in PARTLY.findall(sentence)}
    some = [p for p in shared if p in scores["additive"]]
    assert ("additive" in partly) == (0 < len(some) < len(shared))
    if "additive" in partly:
        count, there, against, name = partly["additive"]
        assert (int(count), name) == (len(some), found["model_name"])
        for told, whose in ((there, "additive"), (against, name)):
            assert float(told) == pytest.approx(np.mean([scores[whose][p] for p in some]), abs=6e-4)
    difference = min(models.values()) - min(baselines.values())
    assert float(found["difference"]) == pytest.approx(difference, abs=6e-4)
    if len(shared) > 1:
        assert float(found["lower"]) <= difference + 6e-4
        assert float(found["upper"]) >= difference - 6e-4
