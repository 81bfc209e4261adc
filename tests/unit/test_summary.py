"""Means with bootstrap intervals, what is shared, paired comparisons."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lgem.prediction.metrics import TOP
from lgem.prediction.summary import (
    SCORED,
    SHARED,
    bootstrap_interval,
    comparable,
    comparable_models,
    compare,
    per_perturbation,
    shared_perturbations,
    summarise,
)
from lgem.prediction.training import NOT_EMBEDDABLE, PREDICTED

seeds = st.integers(0, 2**32 - 1)
RESAMPLING = (200, 0.9, 1)


@settings(deadline=None, max_examples=40)
@given(
    values=arrays(float, st.integers(2, 12), elements=st.floats(-5, 5)),
    interval=st.sampled_from([0.5, 0.9, 0.95]),
    seed=seeds,
)
def test_the_bootstrap_equals_a_slow_loop(values, interval, seed):
    rng, n = np.random.default_rng(seed), len(values)
    means = []
    for picks in rng.integers(n, size=(50, n)):
        means.append(sum(values[pick] for pick in picks) / n)
    tails = [100 * (1 - interval) / 2, 100 * (1 + interval) / 2]
    found = bootstrap_interval(values, 50, interval, seed)
    np.testing.assert_allclose(found, np.percentile(means, tails), atol=1e-12)
    assert values.min() - 1e-12 <= found[0] <= found[1] <= values.max() + 1e-12


@pytest.mark.parametrize("values", [[], [1.0]])
def test_fewer_than_two_values_have_no_interval(values):
    assert np.isnan(bootstrap_interval(np.array(values), 100, 0.9, 1)).all()


def table(scores, metric="l2", gene_set=TOP):
    """Metrics of {model: {perturbation: value or values over repeats; None is no prediction}}."""
    rows = []
    for model, of_model in scores.items():
        for perturbation, found in of_model.items():
            for repeat, value in enumerate(found if isinstance(found, list) else [found], 1):
                made = value is not None
                status = PREDICTED if made else NOT_EMBEDDABLE
                reason = "" if made else f"target not measured: {perturbation}"
                rows.append(
                    (model, repeat, 1, perturbation, gene_set, metric, value, status, reason)
                )
    columns = ["model", "repeat", "fold", "perturbation", "gene_set", "metric", "value"]
    found = pd.DataFrame(rows, columns=[*columns, "status", "reason"])
    return found.astype({"value": float})


def test_repeats_of_a_perturbation_count_once():
    metrics = table({"m": {"A": [1.0, 2.0, 6.0], "B": [5.0, None, 7.0], "C": [None, None, None]}})
    found = per_perturbation(metrics)
    assert dict(zip(found["perturbation"], found["value"], strict=True)) == {"A": 3.0, "B": 6.0}
    summary = summarise(metrics, {"A", "B"}, 3, *RESAMPLING)
    assert summary["mean"].tolist() == [4.5, 4.5]


def test_shared_perturbations_are_those_that_every_scoring_model_scores():
    scores = {
        "a": {"A": 1.0, "B": 1.0, "C": 1.0},
        "b": {"A": 1.0, "B": None, "C": 1.0},
        "c": {"A": 1.0, "B": 1.0, "C": None},
        "none": {"A": None, "B": None, "C": None},
    }
    found = per_perturbation(table(scores))
    assert shared_perturbations(found, ["a", "b"]) == {"A", "C"}
    assert shared_perturbations(found, list(scores)) == {"A"}
    assert shared_perturbations(found, ["a", "none"]) == {"A", "B", "C"}
    assert shared_perturbations(found, ["none"]) == set()


def test_a_summary_counts_what_is_in_each_mean():
    metrics = table({"a": {"A": 1.0, "B": 2.0, "C": 6.0}, "b": {"A": 4.0, "B": 5.0, "C": None}})
    summary = summarise(metrics, {"A", "B"}, 7, *RESAMPLING).set_index(["model", "perturbations"])
    assert set(summary["n_asked"]) == {7}
    assert summary["n"].to_dict() == {
        ("a", SCORED): 3,
        ("a", SHARED): 2,
        ("b", SCORED): 2,
        ("b", SHARED): 2,
    }
    assert summary["mean"].to_dict() == {
        ("a", SCORED): 3.0,
        ("a", SHARED): 1.5,
        ("b", SCORED): 4.5,
        ("b", SHARED): 4.5,
    }
    for key, values in ((("a", SCORED), [1.0, 2, 6]), (("b", SHARED), [4.0, 5])):
        expected = bootstrap_interval(np.array(values), *RESAMPLING)
        assert tuple(summary.loc[key, ["lower", "upper"]]) == expected


def test_a_model_without_any_score_stays_in_the_summary():
    metrics = table({"a": {"A": 1.0, "B": 2.0}, "none": {"A": None, "B": None}})
    rows = summarise(metrics, {"A", "B"}, 2, *RESAMPLING)
    rows = rows[rows["model"] == "none"]
    assert rows["n"].tolist() == [0, 0]
    assert rows[["mean", "lower", "upper"]].isna().all(axis=None)


@settings(deadline=None, max_examples=30)
@given(
    a=arrays(float, 6, elements=st.floats(0, 9)),
    b=arrays(float, 6, elements=st.floats(0, 9)),
    order=st.permutations(range(6)),
)
def test_comparisons_are_paired_and_antisymmetric(a, b, order):
    names = list("ABCDEF")
    scores = {
        "x": dict(zip(names, a, strict=True)),
        "y": {names[i]: b[i] for i in order},  # rows in any order
    }
    [forth] = compare(table(scores), ["x", "y"], *RESAMPLING).to_dict("records")
    [back] = compare(table(scores), ["y", "x"], *RESAMPLING).to_dict("records")
    assert forth["difference"] == pytest.approx(sum(a - b) / 6)
    expected = bootstrap_interval(a - b, *RESAMPLING)
    assert (forth["lower"], forth["upper"]) == pytest.approx(expected)
    assert (back["model_a"], back["model_b"]) == ("y", "x")
    for one, other in (("difference", "difference"), ("lower", "upper"), ("upper", "lower")):
        assert back[one] == pytest.approx(-forth[other], abs=1e-12)


def test_a_constant_advantage_is_certain_however_much_perturbations_differ():
    scores = {
        "x": {f"P{i}": 10.0**i for i in range(5)},
        "y": {f"P{i}": 10.0**i + 0.5 for i in range(5)},
    }
    [row] = compare(table(scores), ["x", "y"], *RESAMPLING).to_dict("records")
    assert (row["lower"], row["difference"], row["upper"]) == pytest.approx((-0.5, -0.5, -0.5))


def test_two_models_are_compared_on_what_both_score():
    scores = {
        "x": {"A": 1.0, "B": 2.0, "C": 100.0, "D": None},
        "y": {"A": 2.0, "B": 5.0, "C": None, "D": 100.0},
        "none": {"A": None, "B": None, "C": None, "D": None},
        "alone": {"E": 1.0},
    }
    [row] = compare(table(scores), list(scores), *RESAMPLING).to_dict("records")
    assert (row["model_a"], row["model_b"], row["n"]) == ("x", "y", 2)
    assert row["difference"] == -2.0


def test_models_are_drawn_on_the_perturbations_that_all_of_them_score():
    def row(model, perturbation, value):
        return {"model": model, "repeat": 1, "fold": 1, "perturbation": perturbation}, value

    entries = [
        row("a", "X", 1.0),
        row("a", "Y", np.nan),
        row("mean", "X", 2.0),
        row("mean", "Y", 3.0),
    ]
    metrics = pd.DataFrame(
        [{**keys, "gene_set": "top", "metric": "l2", "value": value} for keys, value in entries]
    )
    summary = pd.DataFrame(
        {"model": ["a", "a"], "perturbations": ["scored", "shared"], "n": [1, 1]}
    )
    chosen, means = comparable(metrics, summary)
    assert set(chosen["perturbation"]) == {"X"}
    assert set(chosen["model"]) == {"a", "mean"}
    assert len(means) == 1
    apart = metrics[(metrics["model"] == "a") == (metrics["perturbation"] == "X")]
    chosen, _ = comparable(apart[apart["value"].notna()], summary)
    assert len(chosen) == 2


def test_combinations_are_summed_up_by_how_many_of_their_genes_were_seen_alone():
    # A+B is seen_1 in the first repeat and seen_2 in the second: each mean has its own entry
    scores = {"m": {"A+B": [1.0, 3.0], "C+D": [5.0, 7.0], "A": [100.0, 100.0]}}
    scores["technical_duplicate"] = {"A+B": 0.5, "C+D": 0.5, "A": 0.5}
    scores["mean"] = {name: [8.0, 8.0] for name in scores["m"]}
    metrics = table(scores)
    again = metrics["model"] == "technical_duplicate"
    metrics = metrics.assign(
        repeat=metrics["repeat"].astype("Int64").mask(again),
        fold=metrics["fold"].astype("Int64").mask(again),
    )
    entries = [("A+B", 1, 1, 1), ("A+B", 2, 1, 2), ("C+D", 1, 1, 2), ("C+D", 2, 1, 2)]
    seen = pd.DataFrame(entries, columns=["perturbation", "repeat", "fold", "seen"])
    seen = seen.astype({"repeat": "Int64", "fold": "Int64"})
    summary = summarise(metrics, {"A+B", "C+D"}, 3, *RESAMPLING, seen)
    own = summary[summary["model"] == "m"].set_index("perturbations")
    assert own["mean"].to_dict() == pytest.approx(
        {SCORED: 108 / 3, SHARED: 4.0, "seen_1": 1.0, "seen_2": 4.5}
    )
    assert own["n"].to_dict() == {SCORED: 3, SHARED: 2, "seen_1": 1, "seen_2": 2}
    assert own.loc["seen_2", "calibrated"] == pytest.approx((4.5 - 8) / (0.5 - 8))


def test_coverage_is_summed_up_but_neither_compared_nor_calibrated():
    metrics = table({"a": {"A": 0.8, "B": 1.0}, "b": {"A": 0.5, "B": 0.6}}, metric="coverage")
    assert compare(metrics, ["a", "b"], *RESAMPLING).empty
    summary = summarise(metrics, {"A", "B"}, 2, *RESAMPLING)
    assert summary["mean"].tolist() == pytest.approx([0.9, 0.9, 0.55, 0.55])
    assert summary["calibrated"].isna().all()
    assert set(summary["calibrated_reason"]) == {"coverage is compared with its nominal level"}


def test_what_answers_for_some_by_nature_does_not_decide_what_is_shared():
    names = ["lgem", "mean", "additive", "additive_on_target", "same_effect", "lgem_random_P"]
    assert comparable_models([*names, "technical_duplicate"]) == ["lgem", "mean", "lgem_random_P"]
