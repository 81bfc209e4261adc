"""The result in words: every number over the perturbations it names, and baselines' wins first."""

import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lgem.prediction.headline import headline, learned
from lgem.prediction.metrics import OFF_TARGET, TARGET, TOP
from lgem.prediction.summary import comparable_models, per_perturbation, shared_perturbations
from lgem.prediction.training import MEAN_ONLY, NOT_EMBEDDABLE, PREDICTED

BASELINES = ["no_change", "mean", "additive"]
CONTROLS = ["lgem_random_P", "lgem_random_G"]
PARTLY = re.compile(
    r"(\w+) scores (\d+) of these(?:: ([\d.]+) there against ([\d.]+) for (\w+))?[.;]"
)
BEATEN = re.compile(
    r"A baseline beats (\w+) where it has an answer: "
    r"(\w+) \((\d+) perturbations?, L2 ([\d.]+) against ([\d.]+)\)\."
)
SENTENCE = re.compile(
    r"held-out L2 (?P<model>[\d.]+) for (?P<model_name>\w+), (?P<baseline>[\d.]+) for "
    r"(?P<baseline_name>\w+), on the (?P<n>\d+) of "
    r"(?P<asked>\d+) perturbations that all models score "
    r"\(difference (?P<difference>[+-][\d.]+), "
    r"(?:90 % interval (?P<lower>[+-][\d.]+) to (?P<upper>[+-][\d.]+)|no 90 % interval from one)\)"
)


def table(scores, metric="l2", gene_set=TOP, by_mean=()):
    """Metrics of {model: {perturbation: value}}; None is a perturbation without a prediction."""
    rows = [
        {
            **{"model": model, "repeat": 1, "fold": 1, "perturbation": perturbation},
            **{"gene_set": gene_set, "metric": metric, "value": np.nan if value is None else value},
            "status": NOT_EMBEDDABLE
            if value is None
            else MEAN_ONLY
            if perturbation in by_mean
            else PREDICTED,
            "reason": f"target not measured: {perturbation}"
            if value is None or perturbation in by_mean
            else "",
        }
        for model, of_model in scores.items()
        for perturbation, value in of_model.items()
    ]
    return pd.DataFrame(rows)


def row(*values):
    """Scores of perturbations P0, P1 ..."""
    return {f"P{i}": value for i, value in enumerate(values)}


def words(*tables, asked=9, draws=200):
    """The sentences, as the workflow makes them."""
    metrics = pd.concat(tables, ignore_index=True)
    names = list(dict.fromkeys(metrics["model"]))
    models = [n for n in names if n not in [*BASELINES, *CONTROLS, "technical_duplicate"]]
    shared = shared_perturbations(per_perturbation(metrics), comparable_models(names))
    return headline(metrics, shared, asked, models, BASELINES, draws, 0.9, 1, CONTROLS)


def result(scores, asked=9):
    return words(table(scores), asked=asked)


@pytest.mark.parametrize(
    ("model", "opening"),
    [
        (row(1, 2, 3, 4), "The model lgem beats the best baseline, mean: "),
        (row(3, 4, 5, 6), "The baseline mean beats the model lgem: "),
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
    text = result({"lgem": row(1.0), "no_change": row(5.0), "mean": row(6.0)})
    assert "cannot be told apart" in text
    assert "on the 1 of 9" in text
    assert "(difference -4.000, no 90 % interval from one)." in text


def test_a_baseline_that_scores_only_easy_perturbations_is_not_the_best():
    scores = {
        "lgem": row(1.0, 1.1, 9.0, 9.1),
        "no_change": row(2.0, 2.1, 10.0, 10.1),
        "mean": row(3.0, 3.1, 11.0, 11.1),
        "additive": {**row(1.5, 1.6), "P2": None, "P3": None},
    }
    assert result(scores, asked=4) == (
        "The model lgem beats the best baseline, no_change: held-out L2 5.050 for lgem, 6.050 for "
        "no_change, on the 4 of 4 perturbations that all models score (difference -1.000, 90 % "
        "interval -1.000 to -1.000). additive scores 2 of these: 1.550 there against 1.050 for "
        "lgem. Of 4 perturbations asked for, lgem scores 4. "
        "There is no ceiling to compare with: no technical duplicate."
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
    text = result(scores)
    assert text.startswith(
        "The baseline no_change beats the model a: held-out L2 6.000 for a, 1.500 for no_change, "
        "on the 3 of 9 "
    )
    told = "b scores 0 of these; additive scores 1 of these: 0.500 there against 6.000 for a."
    assert told in text
    # Which of several models is best is chosen on the very scores that are told.
    assert "Of all models paper comes closest (5.000), as judged by these very scores." in text


def test_a_baseline_that_scores_all_shared_perturbations_can_be_the_best():
    scores = {
        "lgem": row(3.0, 3.1),
        "no_change": row(9.0, 9.1),
        "mean": row(8.0, 8.1),
        "additive": row(1.0, 1.1),
    }
    assert result(scores).startswith("The baseline additive beats the model lgem: ")


def test_a_model_that_predicts_nothing_is_named_and_does_not_stop_the_comparison():
    scores = {"a": row(1, 2), "b": row(None, None), "no_change": row(3, 4), "mean": row(5, 6)}
    text = result(scores)
    assert text.startswith("The model a beats the best baseline, no_change: ")
    assert " b scores 0 of these. " in text


# What else is told

WINS = {"lgem": row(1, 2, 3, 4), "no_change": row(7, 7, 7, 7), "mean": row(5, 6, 7, 8)}


def test_a_baseline_that_wins_another_metric_comes_first():
    worse = {"lgem": row(0.1, 0.2, 0.3, 0.2), "mean": row(0.5, 0.6, 0.7, 0.6)}
    text = words(
        table(WINS),
        table(worse, "pearson_delta"),
        table(worse, "pearson_delta", OFF_TARGET),
        table(worse, "retrieval", OFF_TARGET),
    )
    assert text.startswith(
        "A baseline beats lgem in pearson_delta (mean 0.600 against 0.200; off target too), "
        "retrieval off target (mean 0.600 against 0.200). The model lgem beats the best baseline"
    )


def test_a_win_on_fewer_perturbations_says_on_how_many():
    own = {"lgem": row(0.1, 0.2, 0.3), "mean": row(0.5, 0.6, 0.7, 0.6)}
    told = words(table(WINS), table(own, "pearson_delta"))
    assert "pearson_delta (mean 0.600 against 0.200 on 3 perturbations)." in told


def test_a_baseline_that_wins_by_l2_too_is_told_before_all_else():
    loses = {"lgem": row(9, 9.5), "no_change": row(7, 7), "mean": row(5, 6)}
    text = words(table(loses), table({"lgem": row(4, 4), "mean": row(1, 1)}, "mse_unbiased"))
    first, second = text.index("The baseline mean beats"), text.index("A baseline beats lgem in")
    assert first == 0 < second


@pytest.mark.parametrize(
    "baseline",
    [
        row(0.5, 0.0, 0.9, 0.1),
        row(0.1, 0.2, 0.3, 0.2),
        row(*np.nextafter([0.1, 0.2, 0.3, 0.2], 1)),
        {"P0": 0.9, "P1": 0.9},
    ],
    ids=["uncertain", "equal", "rounding", "partly"],
)
def test_only_a_certain_win_on_all_of_them_counts(baseline):
    own = {"lgem": row(0.1, 0.2, 0.3, 0.2), "mean": baseline}
    assert words(table(WINS), table(own, "retrieval")).startswith("The model lgem beats")


def test_lower_is_better_by_mse_and_higher_by_correlation():
    high, low = row(5, 6, 5, 6), row(1, 2, 1, 2)
    for metric, wins in (("mse_unbiased", high), ("pearson_delta_perturbed", low)):
        other = low if wins is high else high
        assert f"beats lgem in {metric}" in words(
            table(WINS), table({"lgem": wins, "mean": other}, metric)
        )
        assert "A baseline beats" not in words(
            table(WINS), table({"lgem": other, "mean": wins}, metric)
        )


def test_it_says_how_many_were_asked_for_scored_and_why_not_the_others():
    scores = {name: {**values, "P4": 5.0, "X": None, "Y": None} for name, values in WINS.items()}
    metrics = table(scores, by_mean=("P3", "P4"))
    few = metrics["perturbation"] == "Y"
    metrics.loc[few, "reason"] = "3 cells, fewer than min_cells 10"
    text = words(metrics, asked=7)
    assert (
        "Of 7 perturbations asked for, lgem scores 5, 2 of these by the shrunk mean alone (target "
        "not measured); 2 are left out (fewer than min_cells 10: 1, target not measured: 1)."
    ) in text


def test_the_ceiling_is_where_the_model_stands_between_mean_and_duplicate():
    duplicate = {"technical_duplicate": row(0.5, 1.5, 2.5, 3.5)}
    text = words(table(WINS), table(duplicate))
    place = (6.5 - 2.5) / (6.5 - 2.0)
    told = f"From the mean effect (0) to a technical duplicate (1), its L2 stands at {place:.2f}."
    assert told in text
    text = words(table(WINS), table({"technical_duplicate": row(9, 9, 9, 9)}))
    assert (
        "no ceiling to compare with: the technical duplicate (9) does not beat the baseline mean "
        "(6.5)."
    ) in text


def coverage_of(off_target, target, count=4):
    parts = [
        table({"lgem": row(*[value] * count)}, "coverage", gene_set)
        for gene_set, value in ((OFF_TARGET, off_target), (TARGET, target))
    ]
    return pd.concat(parts)


def test_measured_coverage_stands_beside_the_nominal_one():
    text = words(table(WINS), coverage_of(0.88, 0.94))
    told = "Its 90 % intervals hold, of what was observed, 88 % off target and 94 % at the target."
    assert text.endswith(told)


def test_coverage_far_from_nominal_is_told_with_the_likely_cause():
    text = words(table(WINS), coverage_of(0.88, 0.5))
    assert text.endswith(
        "88 % off target and 50 % at the target, more than 5 points from nominal at the target; "
        "likely cause: few residuals to judge by, from 4 perturbations."
    )
    many = {name: row(*[values["P0"]] * 40) for name, values in WINS.items()}
    text = words(table(many), coverage_of(0.99, 0.9, 40))
    assert text.endswith(
        "from nominal off target; likely cause: changes that are all alike there, so that the "
        "intervals hold more than asked."
    )
    text = words(table(many), coverage_of(0.8, 0.9, 40))
    assert text.endswith(
        "likely cause: errors in training that are unlike those on held-out folds."
    )
    assert "more than" not in words(table(WINS), coverage_of(0.85, 0.95))


def test_a_model_without_intervals_says_why():
    none = coverage_of(np.nan, np.nan).assign(reason="5 residuals, fewer than 9")
    text = words(table(WINS), none)
    assert text.endswith("It has no intervals (5 residuals, fewer than 9).")


def test_a_baseline_that_certainly_wins_where_it_has_an_answer_comes_first():
    text = words(table({**WINS, "additive": {"P0": 0.1, "P1": 0.2}}))
    assert text.startswith(
        "A baseline beats lgem where it has an answer: additive (2 perturbations"
    )
    text = words(table({**WINS, "additive": {"P0": 0.1, "P1": 9.0}}))
    assert text.startswith("The model lgem beats")
    assert "additive scores 2 of these" in text


def test_only_folds_that_both_answer_in_are_compared():
    """Without both genes seen, additive has no answer, and the model a harder task."""
    easy, hard = (
        table({"lgem": row(v, v), "mean": row(9, 9), "no_change": row(8, 8)}) for v in (2, 6)
    )
    answers = table({"additive": {"P0": 1.0}})
    text = words(easy, hard.assign(fold=2), answers)
    assert "additive scores 1 of these: 1.000 there against 2.000 for lgem" in text


def test_what_was_switched_off_in_folds_is_told():
    assert learned("lgem", ["bilinear", "mean and bilinear"]) == ""
    assert learned("lgem", ["mean", "no change", "bilinear", "mean"]) == (
        "Off the target lgem learned nothing specific to a perturbation in 3 of 4 folds (mean: 2, "
        "no change: 1)."
    )


def test_a_random_embedding_cannot_win_but_is_told_where_it_beats_the_first_model():
    scores = {**WINS, "lgem_random_P": row(0.5, 1, 2, 3), "lgem_random_G": row(2, 3, 4, 5)}
    text = result(scores)
    assert text.startswith("The model lgem beats the best baseline, mean")
    told = "A random embedding does better than lgem: lgem_random_P (1.625 against 2.500)."
    assert told in text


missing_scores = st.lists(
    st.tuples(*[st.one_of(st.none(), st.floats(0.5, 9))] * 2, st.floats(0.5, 9), st.floats(0.5, 9)),
    min_size=1,
    max_size=8,
)


@settings(deadline=None, max_examples=60)
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
    first = scoring[0]
    assert found["model_name"] == first
    assert float(found["model"]) == pytest.approx(models[first], abs=6e-4)
    assert float(found["baseline"]) == pytest.approx(min(baselines.values()), abs=6e-4)
    assert baselines[found["baseline_name"]] == pytest.approx(min(baselines.values()))
    closest = min(models.values()) < models[first]
    assert ("Of all models" in sentence) == closest
    partly = {name: rest for name, *rest in PARTLY.findall(sentence)}
    for model, name, count, there, against in BEATEN.findall(sentence):
        assert sentence.startswith("A baseline") or "The baseline" in sentence
        partly[name] = [count, there, against, model]
    some = [p for p in shared if p in scores["additive"]]
    assert ("additive" in partly) == (0 < len(some) < len(shared))
    if "additive" in partly:
        count, there, against, name = partly["additive"]
        assert (int(count), name) == (len(some), found["model_name"])
        for told, whose in ((there, "additive"), (against, name)):
            assert float(told) == pytest.approx(np.mean([scores[whose][p] for p in some]), abs=6e-4)
    difference = models[first] - min(baselines.values())
    assert float(found["difference"]) == pytest.approx(difference, abs=6e-4)
    if len(shared) > 1:
        assert float(found["lower"]) <= difference + 6e-4
        assert float(found["upper"]) >= difference - 6e-4
