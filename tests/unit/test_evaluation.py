"""The scores of a whole screen: nothing asked for is lost, and all models choose from the same."""

import anndata
import numpy as np
import pandas as pd
import pytest

from lgem.h5ad import write_h5ad
from lgem.prediction.evaluation import (
    NOT_HELD_OUT,
    mean_responses,
    measured_targets,
    paired_effects,
    references,
    score_models,
    seen_alone,
)
from lgem.prediction.metrics import METRICS_OF, OFF_TARGET, TARGET, TOP
from lgem.prediction.training import (
    ANSWERED,
    MEAN_ONLY,
    NOT_APPLICABLE,
    NOT_EMBEDDABLE,
    PREDICTED,
)
from lgem.screen.io import ESTIMATED, LEFT_OUT
from lgem.screen.labels import TargetIndex

GENES = [f"G{row}" for row in range(12)]
ASKED = ["G0", "G1", "G1+G11", "G11", "G2", "G5+X1", "X1", "few"]
HELD_OUT = [name for name in ASKED if name not in ("few", "G2")]
TOP_GENES = 4
NO_ANSWER = {
    "lgem": {},
    "strict": dict.fromkeys(("G5+X1", "X1"), (NOT_EMBEDDABLE, "target not measured: X1")),
    "additive": dict.fromkeys(("G0", "G1", "G11", "X1"), (NOT_APPLICABLE, "not a combination")),
    "mean": {},
    "no_change": {},
}
DUPLICATE = "technical_duplicate"


def screen():
    """Effects of all that was asked for; control falls from G0 to G11, G11 reacts most."""
    rng = np.random.default_rng(1)
    control = np.linspace(3, 1, len(GENES))
    values = rng.normal(size=(len(ASKED), len(GENES)))
    values[:, -1] = 50.0
    obs = pd.DataFrame({"status": ESTIMATED, "reason": ""}, index=ASKED)
    obs.loc["few"] = [LEFT_OUT, "3 cells, fewer than min_cells 10"]
    values[-1] = np.nan
    var = pd.DataFrame({"control": control}, index=GENES)
    return anndata.AnnData(X=values, obs=obs, var=var)


def held_out_predictions(effects, model, repeats=2):
    """Random predictions, those of a fold the same for the mean; G2 is in no test set."""
    rng = np.random.default_rng(sum(map(ord, model)))
    control = effects.var["control"].to_numpy()
    rows, predicted = [], []
    means = rng.normal(size=(repeats, 2, len(GENES)))
    for repeat in range(repeats):
        for row, name in enumerate(HELD_OUT):
            status, reason = NO_ANSWER[model].get(name, (PREDICTED, ""))
            if model == "lgem" and "X1" in name:
                status = MEAN_ONLY
            seen = "1" if name == "G5+X1" else "2" if "+" in name else ""
            rows.append((name, repeat + 1, row % 2 + 1, status, reason, "", seen))
            effect = rng.normal(size=len(GENES))
            if model in ("mean", "no_change"):
                effect = means[repeat, row % 2] if model == "mean" else 0 * effect
            predicted.append(control + effect if status in ANSWERED else control * np.nan)
    columns = ["perturbation", "repeat", "fold", "status", "reason", "context", "seen"]
    obs = pd.DataFrame(rows, columns=columns)
    obs.index = obs["perturbation"] + "/" + obs["repeat"].astype(str)
    obs.index.name = None
    observed = control + effects[obs["perturbation"].tolist()].X
    X = np.array(predicted)
    layers = {"observed": observed, "observed_se": np.full(X.shape, 0.1)}
    if model == "lgem":
        layers |= {"lower": X - 2, "upper": X + 2}
    data = anndata.AnnData(X=X, obs=obs, var=effects.var, layers=layers)
    reason = "" if model == "lgem" else "baselines have none"
    data.uns["interval"] = {"level": 0.9, "method": "none", "reason": reason}
    return data


def duplicate_of(effects):
    """A technical duplicate that is off by little; one half of X1 is empty."""
    there = effects[effects.obs["status"] == ESTIMATED]
    profiles = effects.var["control"].to_numpy() + there.X
    obs = pd.DataFrame({"perturbation": there.obs_names, "status": ESTIMATED, "reason": ""})
    obs.index = there.obs_names
    obs.loc["X1", ["status", "reason"]] = [LEFT_OUT, "1 cell in 1 group, too few to halve"]
    noise = 0.1 * np.random.default_rng(9).normal(size=profiles.shape)
    halves = np.stack([profiles + noise, profiles])
    halves[:, there.obs_names.get_loc("X1")] = np.nan
    layers = {"observed": halves[1], "observed_se": np.full(profiles.shape, 0.1)}
    return anndata.AnnData(X=halves[0], obs=obs, var=effects.var, layers=layers)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Effects, a duplicate and predictions, written and read as the workflow does."""
    folder = tmp_path_factory.mktemp("screen")
    effects = screen()
    data = {model: held_out_predictions(effects, model) for model in NO_ANSWER}
    data |= {"effects": effects, "duplicate": duplicate_of(effects)}
    for name, content in data.items():
        write_h5ad(content, folder / f"{name}.h5ad")
    read = {name: anndata.read_h5ad(folder / f"{name}.h5ad") for name in data}
    return read.pop("effects"), read.pop("duplicate"), read


@pytest.fixture(scope="module")
def metrics(files):
    effects, duplicate, predictions = files
    return score_models(predictions, effects, TOP_GENES, duplicate)


def test_every_perturbation_asked_for_stands_in_the_table_for_every_model(metrics):
    keys = ["model", "gene_set", "metric"]
    models = metrics[metrics["model"] != DUPLICATE]
    for _, part in models.groupby(keys):
        counts = part["perturbation"].value_counts().to_dict()
        assert counts == {name: 1 if name in ("G2", "few") else 2 for name in ASKED}
    assert len(models.groupby(keys)) == len(NO_ANSWER) * sum(map(len, METRICS_OF.values()))
    again = metrics[metrics["model"] == DUPLICATE]
    for _, part in again.groupby(keys):
        assert sorted(part["perturbation"]) == ASKED


def test_a_score_without_a_value_has_a_reason_and_one_with_a_value_none(metrics):
    made = metrics["value"].notna()
    assert metrics.loc[made, "status"].isin(ANSWERED).all()
    assert (metrics.loc[made, "reason"] == "").all()
    assert (metrics.loc[~made, "reason"] != "").all()
    undefined = metrics[~made & metrics["status"].isin(ANSWERED)]
    found = undefined.groupby("metric")["model"].agg(set).to_dict()
    assert found == {
        "pearson_delta": {"no_change"},
        "pearson_delta_perturbed": {"mean", DUPLICATE},  # no fold holds out G2
        "coverage": {"lgem", "strict", "additive", "mean", "no_change"},
    }
    own = undefined[undefined["model"] == "lgem"]  # where no target is measured
    assert set(own["reason"]) == {"target not measured"}
    others = undefined[(undefined["model"] != "lgem") & (undefined["metric"] == "coverage")]
    assert set(others["reason"]) == {"baselines have none", "target not measured"}


@pytest.mark.parametrize(
    ("model", "perturbation", "status", "reason"),
    [
        ("lgem", "few", LEFT_OUT, "3 cells, fewer than min_cells 10"),
        ("lgem", "G2", NOT_HELD_OUT, "in no test set of the splits"),
        ("strict", "X1", NOT_EMBEDDABLE, "target not measured: X1"),
        ("strict", "G5+X1", NOT_EMBEDDABLE, "target not measured: X1"),
        ("lgem", "G0", PREDICTED, ""),
        ("lgem", "X1", MEAN_ONLY, ""),
        ("additive", "G0", NOT_APPLICABLE, "not a combination"),
        ("additive", "few", LEFT_OUT, "3 cells, fewer than min_cells 10"),
        ("mean", "X1", PREDICTED, ""),
        (DUPLICATE, "X1", LEFT_OUT, "1 cell in 1 group, too few to halve"),
        (DUPLICATE, "G2", PREDICTED, ""),
    ],
)
def test_statuses_say_what_became_of_a_perturbation(metrics, model, perturbation, status, reason):
    rows = metrics[(metrics["model"] == model) & (metrics["perturbation"] == perturbation)]
    rows = rows[rows["metric"] == "l2"]
    assert set(zip(rows["status"], rows["reason"], strict=True)) == {(status, reason)}
    assert rows["value"].notna().all() == (status in ANSWERED)
    without = status in (LEFT_OUT, NOT_HELD_OUT) or model == DUPLICATE
    assert rows["fold"].isna().all() == without


def test_scores_are_over_the_genes_top_in_control_and_the_target(files, metrics):
    effects, _, predictions = files
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
            predicted = data[f"{name}/{entry.repeat}"].X.ravel()
            observed = effects.var["control"].to_numpy() + effects[name].X.ravel()
            distance = np.sqrt(np.sum((predicted - observed)[genes] ** 2))
            assert entry.value == pytest.approx(distance, rel=1e-12)


def test_observed_is_what_the_predictions_file_holds(files):
    # within a context, effects of the whole screen are not what a prediction is held against
    effects, _, predictions = files
    moved = predictions["lgem"].copy()
    moved.layers["observed"] = moved.X.copy()
    found = score_models({"lgem": moved}, effects, TOP_GENES)
    l2 = found[(found["metric"] == "l2") & found["status"].isin(ANSWERED)]
    assert (l2["value"] == 0).all()
    pairs, _ = paired_effects({"lgem": moved}, effects, TOP_GENES)
    np.testing.assert_array_equal(pairs["observed_effect"], pairs["predicted_effect"])


def test_coverage_counts_within_the_intervals_of_the_file(files, metrics):
    _, _, predictions = files
    rows = metrics[(metrics["model"] == "lgem") & (metrics["metric"] == "coverage")]
    for entry in rows[rows["value"].notna()].itertuples():
        data = predictions["lgem"][f"{entry.perturbation}/{entry.repeat}"]
        own = measured_targets(TargetIndex(GENES), entry.perturbation)
        genes = own if entry.gene_set == TARGET else [row for row in range(4) if row not in own]
        error = np.abs(data.X - data.layers["observed"]).ravel()[genes]
        assert entry.value == pytest.approx(np.mean(error <= 2))
    assert DUPLICATE not in set(metrics.loc[metrics["metric"] == "coverage", "model"])


def test_references_are_the_means_of_the_same_fold(files):
    _, _, predictions = files
    mean, lgem = predictions["mean"], predictions["lgem"]
    order = np.random.default_rng(1).permutation(lgem.n_obs)
    found = references(lgem.obs.iloc[order], mean)
    np.testing.assert_array_equal(found, mean.X[order])  # the files are in the same order
    no_fold = pd.DataFrame({"perturbation": ["G0", "G2"], "repeat": pd.NA, "fold": pd.NA})
    found = references(no_fold.assign(context=""), mean)
    np.testing.assert_allclose(found[0], mean[["G0/1", "G0/2"]].X.mean(axis=0))
    assert np.isnan(found[1]).all()


def test_contexts_tell_entries_of_one_perturbation_apart(files):
    _, _, predictions = files
    mean = predictions["mean"][["G0/1", "G1/1"]].copy()
    mean.obs = mean.obs.assign(perturbation="G0", fold=1, context=["a", "b"])
    found = references(mean.obs.iloc[::-1], mean)
    np.testing.assert_array_equal(found, mean.X[::-1])


def test_how_many_genes_were_seen_alone_is_read_where_it_is_known(files):
    _, _, predictions = files
    found = seen_alone(predictions)
    assert found.groupby("perturbation")["seen"].agg(list).to_dict() == {
        "G1+G11": [2, 2],
        "G5+X1": [1, 1],
    }
    bare = predictions["mean"].copy()
    bare.obs = bare.obs.drop(columns="seen")
    assert seen_alone({"mean": bare}) is None
    bare.obs = bare.obs.assign(seen="")
    assert seen_alone({"mean": bare}) is None


def test_measured_targets_of_a_combination_leave_out_the_unmeasured():
    index = TargetIndex(GENES, [f"S{row}" for row in range(11)] + ["S0"])
    assert measured_targets(index, "G5+X1") == [5]
    assert measured_targets(index, "G5+S3") == [5, 3]
    assert measured_targets(index, "S0") == []  # two genes carry that symbol
    assert measured_targets(index, "control") == []


def test_mean_responses_average_effects_over_repeats(files):
    effects, _, predictions = files
    found, names = mean_responses(predictions["mean"])
    assert names == sorted(HELD_OUT)
    control = effects.var["control"].to_numpy()
    for response, name in zip(found, names, strict=True):
        rows = (predictions["mean"].obs["perturbation"] == name).to_numpy()
        assert rows.sum() == 2
        expected = predictions["mean"].X[rows].mean(axis=0) - control
        np.testing.assert_allclose(response, expected, atol=1e-12)


def test_mean_responses_hold_what_has_a_prediction_of_any_kind(files):
    _, _, predictions = files
    assert mean_responses(predictions["lgem"])[1] == sorted(HELD_OUT)  # X1 by the mean alone
    assert mean_responses(predictions["strict"])[1] == ["G0", "G1", "G1+G11", "G11"]
    alone = predictions["strict"][predictions["strict"].obs["perturbation"] == "X1"]
    found, names = mean_responses(alone)
    assert (found.shape, names) == ((0, len(GENES)), [])


def test_pairs_hold_each_gene_of_a_held_out_perturbation_once(files):
    effects, _, predictions = files
    chosen = {"lgem": predictions["lgem"], "mean": predictions["mean"]}
    pairs, missing = paired_effects(chosen, effects, TOP_GENES)
    assert missing == {}
    assert not pairs.duplicated(["model", "perturbation", "gene"]).any()
    own = pairs[(pairs["model"] == "lgem") & (pairs["perturbation"] == "G1+G11")]
    assert own["gene"].tolist() == ["G0", "G1", "G2", "G3", "G11"]
    assert own["is_target"].tolist() == [False, True, False, False, True]
    rows = [GENES.index(gene) for gene in own["gene"]]
    observed = effects["G1+G11"].X.ravel()[rows]
    np.testing.assert_allclose(own["observed_effect"], observed, atol=1e-12)
    responses, names = mean_responses(predictions["lgem"])
    np.testing.assert_array_equal(own["predicted_effect"], responses[names.index("G1+G11")][rows])


def test_a_model_without_predictions_has_no_pairs_but_a_reason(files):
    effects, _, predictions = files
    alone = predictions["strict"][predictions["strict"].obs["perturbation"] == "X1"]
    pairs, missing = paired_effects({"strict": alone}, effects, TOP_GENES)
    assert missing == {"strict": "target not measured: X1"}
    assert pairs.empty
    full, _ = paired_effects({"mean": predictions["mean"]}, effects, TOP_GENES)
    assert list(pairs.columns) == list(full.columns)


def test_retrieval_ranks_the_truth_among_those_held_out_in_the_fold(files, metrics):
    _, _, predictions = files
    data = predictions["lgem"]
    fold = data[((data.obs["repeat"] == 1) & (data.obs["fold"] == 1)).to_numpy()]
    names = fold.obs["perturbation"].astype(str).tolist()
    assert names == ["G0", "G1+G11", "G5+X1"]
    genes = {OFF_TARGET: [2, 3], TOP: [0, 1, 2, 3, 5, 11]}
    for gene_set, rows in genes.items():
        found = metrics[
            (metrics["model"] == "lgem")
            & (metrics["metric"] == "retrieval")
            & (metrics["gene_set"] == gene_set)
            & (metrics["repeat"] == 1)
            & (metrics["fold"] == 1)
        ].set_index("perturbation")["value"]
        for at, name in enumerate(names):
            gaps = np.linalg.norm((fold.layers["observed"] - fold.X[at])[:, rows], axis=1)
            assert found[name] == pytest.approx(np.sum(gaps > gaps[at]) / 2)
    again = metrics[(metrics["model"] == DUPLICATE) & (metrics["metric"] == "retrieval")]
    assert (again.loc[again["gene_set"] == TOP, "value"].dropna() == 1).all()
