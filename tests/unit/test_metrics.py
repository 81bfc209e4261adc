"""Scores, their means with intervals, paired comparisons, and the result in one sentence."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lgem.prediction.metrics import (
    METRICS,
    OFF_TARGET,
    SCORED,
    SHARED,
    TOP,
    bootstrap_interval,
    comparable,
    compare,
    gene_sets,
    l2,
    pearson_delta,
    per_perturbation,
    score_table,
    shared_perturbations,
    summarise,
    top_genes,
)
from lgem.prediction.model import NOT_EMBEDDABLE, PREDICTED

seeds = st.integers(0, 2**32 - 1)
RESAMPLING = (200, 0.9, 1)


def profiles(seed, genes):
    """Predicted, observed and control log-expression."""
    rng = np.random.default_rng(seed)
    control = rng.gamma(2.0, size=genes)
    return control + rng.normal(size=genes), control + rng.normal(size=genes), control


@settings(deadline=None, max_examples=60)
@given(seed=seeds, genes=st.integers(3, 50))
def test_scores_equal_the_plain_formulas(seed, genes):
    predicted, observed, control = profiles(seed, genes)
    squares = sum((a - b) ** 2 for a, b in zip(predicted, observed, strict=True))
    assert l2(predicted, observed, control) == pytest.approx(squares**0.5)
    r = np.corrcoef(predicted - control, observed - control)[0, 1]
    assert pearson_delta(predicted, observed, control) == pytest.approx(r, abs=1e-12)


@settings(deadline=None, max_examples=60)
@given(seed=seeds, scale=st.floats(0.01, 100), shift=st.floats(-5, 5))
def test_pearson_delta_ignores_level_and_size_but_not_direction(seed, scale, shift):
    predicted, observed, control = profiles(seed, 20)
    r = pearson_delta(predicted, observed, control)
    moved = control + scale * (predicted - control) + shift
    against = control - scale * (predicted - control)
    assert pearson_delta(moved, observed, control) == pytest.approx(r, abs=1e-9)
    assert pearson_delta(against, observed, control) == pytest.approx(-r, abs=1e-9)


def test_a_perfect_prediction_scores_nought_and_one():
    _, observed, control = profiles(1, 20)
    assert l2(observed, observed, control) == 0
    assert pearson_delta(observed, observed, control) == pytest.approx(1)


@settings(deadline=None, max_examples=100)
@given(seed=seeds, constant=st.floats(-3, 3), genes=st.integers(1, 200))
def test_pearson_delta_is_undefined_for_a_constant_change(seed, constant, genes):
    # control + constant − control differs between genes by rounding, which is no pattern
    _, observed, control = profiles(seed, genes)
    assert np.isnan(pearson_delta(control + constant, observed, control))
    assert np.isnan(pearson_delta(observed, control + constant, control))


def test_a_small_pattern_is_still_a_pattern():
    predicted, observed, control = profiles(2, 50)
    small = control + 1e-9 * (predicted - control)
    r = pearson_delta(predicted, observed, control)
    assert pearson_delta(small, observed, control) == pytest.approx(r, abs=1e-5)


@settings(deadline=None, max_examples=60)
@given(
    control=arrays(float, st.integers(1, 40), elements=st.sampled_from([0.0, 0.5, 1.0, 2.0])),
    count=st.integers(1, 50),
)
def test_top_genes_are_the_most_expressed_in_control(control, count):
    top = top_genes(control, count)
    assert len(top) == min(count, len(control))
    assert list(top) == sorted(set(top))
    rest = np.setdiff1d(np.arange(len(control)), top)
    if rest.size:
        assert control[top].min() >= control[rest].max()
        tied = np.flatnonzero(control == control[rest].max())
        assert list(np.isin(tied, top)) == sorted(np.isin(tied, top), reverse=True)


@settings(deadline=None, max_examples=40)
@given(
    top=st.sets(st.integers(0, 20), min_size=1),
    targets=st.lists(st.integers(0, 20), max_size=3),
)
def test_targets_are_scored_in_top_and_left_out_off_target(top, targets):
    found = gene_sets(np.array(sorted(top)), targets)
    assert list(found[TOP]) == sorted(top | set(targets))
    assert list(found[OFF_TARGET]) == sorted(top - set(targets))


def scored(statuses, seed=1, targets=None, top=(0, 1, 2, 3)):
    rng = np.random.default_rng(seed)
    entries = pd.DataFrame(
        [(f"P{i}", 1, i, s, "" if s == PREDICTED else "why") for i, s in enumerate(statuses)],
        columns=["perturbation", "repeat", "fold", "status", "reason"],
    )
    control = rng.gamma(2.0, size=8)
    predicted, observed = rng.gamma(2.0, size=(2, len(statuses), 8))
    targets = targets or [[]] * len(statuses)
    table = score_table("m", entries, predicted, observed, control, targets, np.array(top))
    return table, predicted, observed, control


def test_every_prediction_has_a_row_per_gene_set_and_metric():
    table, predicted, observed, control = scored([PREDICTED] * 3, targets=[[7], [0, 6], []])
    genes = {
        ("P0", TOP): [0, 1, 2, 3, 7],
        ("P0", OFF_TARGET): [0, 1, 2, 3],
        ("P1", TOP): [0, 1, 2, 3, 6],
        ("P1", OFF_TARGET): [1, 2, 3],
        ("P2", TOP): [0, 1, 2, 3],
        ("P2", OFF_TARGET): [0, 1, 2, 3],
    }
    assert len(table) == 3 * 2 * len(METRICS)
    for entry in table.itertuples():
        row, rows = int(entry.perturbation[1:]), genes[entry.perturbation, entry.gene_set]
        metric = METRICS[entry.metric]
        expected = metric(predicted[row, rows], observed[row, rows], control[rows])
        assert entry.value == expected
        assert (entry.status, entry.reason) == (PREDICTED, "")


def test_what_has_no_prediction_keeps_its_status_and_reason_without_a_value():
    table, *_ = scored([PREDICTED, NOT_EMBEDDABLE])
    missing = table[table["perturbation"] == "P1"]
    assert len(missing) == 2 * len(METRICS)
    assert missing["value"].isna().all()
    assert set(missing["status"]) == {NOT_EMBEDDABLE}
    assert set(missing["reason"]) == {"why"}


def test_an_undefined_score_says_why():
    control = np.arange(1.0, 6.0)
    entries = pd.DataFrame([{"perturbation": "P", "repeat": 1, "fold": 1, "status": PREDICTED}])
    table = score_table(
        "no_change",
        entries.assign(reason=""),
        control[None],
        control[None] * 2,
        control,
        [[0]],
        np.arange(5),
    ).set_index(["gene_set", "metric"])
    for gene_set in (TOP, OFF_TARGET):
        assert np.isnan(table.loc[(gene_set, "pearson_delta"), "value"])
        reason = table.loc[(gene_set, "pearson_delta"), "reason"]
        assert reason == "predicted or observed change does not differ between genes"
        assert table.loc[(gene_set, "l2"), "value"] > 0
        assert table.loc[(gene_set, "l2"), "reason"] == ""


def test_a_set_without_genes_has_no_score():
    table, *_ = scored([PREDICTED], targets=[[0, 1]], top=(0, 1))
    off_target = table[table["gene_set"] == OFF_TARGET]
    assert off_target["value"].isna().all()
    assert set(off_target["reason"]) == {"no gene to score beside the target"}
    assert table.loc[table["gene_set"] == TOP, "value"].notna().all()


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
