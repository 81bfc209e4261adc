"""Scores of predictions: what each metric is, when it is undefined, which genes it is over."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lgem.prediction.metrics import (
    METRICS,
    METRICS_OF,
    OFF_TARGET,
    TARGET,
    TOP,
    Compared,
    coverage,
    gene_sets,
    l2,
    mse_unbiased,
    pearson_delta,
    pearson_delta_perturbed,
    score_table,
    top_genes,
)
from lgem.prediction.training import MEAN_ONLY, NOT_EMBEDDABLE, PREDICTED

seeds = st.integers(0, 2**32 - 1)


def compared(predicted, observed, control=0.0, **known):
    """One prediction; what is not given is missing."""
    table = Compared.table(
        np.array([predicted], dtype=float),
        np.array([observed], dtype=float),
        np.asarray(control, dtype=float),
        **{name: np.asarray(values, dtype=float) for name, values in known.items()},
    )
    return table.at(0, np.arange(len(predicted)))


def profiles(seed, genes):
    """Predicted, observed and control log-expression."""
    rng = np.random.default_rng(seed)
    control = rng.gamma(2.0, size=genes)
    return control + rng.normal(size=genes), control + rng.normal(size=genes), control


# One prediction


def test_each_metric_by_hand():
    one = compared(
        [1, 2, 4, 0], [1, 0, 4, 1], 0.0, reference=[0, 0, 1, 0],
        se=[0, 1, 1, 2], lower=[0, 1, 3, -1], upper=[2, 3, 4, 0.5],
    )  # fmt: skip
    assert l2(one) == pytest.approx(5**0.5)
    # squares 0, 4, 0, 1 less 0, 1, 1, 4
    assert mse_unbiased(one) == pytest.approx(-1 / 4)
    assert coverage(one) == pytest.approx(2 / 4)  # the first, and the third on its bound
    r = np.corrcoef([1, 2, 4, 0], [1, 0, 4, 1])[0, 1]
    assert pearson_delta(one) == pytest.approx(r)
    r = np.corrcoef([1, 2, 3, 0], [1, 0, 3, 1])[0, 1]
    assert pearson_delta_perturbed(one) == pytest.approx(r)


@settings(deadline=None, max_examples=60)
@given(seed=seeds, genes=st.integers(3, 50))
def test_scores_equal_the_plain_formulas(seed, genes):
    predicted, observed, control = profiles(seed, genes)
    one = compared(predicted, observed, control, reference=control + 1)
    squares = sum((a - b) ** 2 for a, b in zip(predicted, observed, strict=True))
    assert l2(one) == pytest.approx(squares**0.5)
    r = np.corrcoef(predicted - control, observed - control)[0, 1]
    assert pearson_delta(one) == pytest.approx(r, abs=1e-12)
    assert pearson_delta_perturbed(one) == pytest.approx(r, abs=1e-12)


@settings(deadline=None, max_examples=60)
@given(seed=seeds, scale=st.floats(0.01, 100), shift=st.floats(-5, 5))
def test_pearson_delta_ignores_level_and_size_but_not_direction(seed, scale, shift):
    predicted, observed, control = profiles(seed, 20)
    r = pearson_delta(compared(predicted, observed, control))
    moved = control + scale * (predicted - control) + shift
    against = control - scale * (predicted - control)
    assert pearson_delta(compared(moved, observed, control)) == pytest.approx(r, abs=1e-9)
    assert pearson_delta(compared(against, observed, control)) == pytest.approx(-r, abs=1e-9)


def test_a_perfect_prediction_scores_nought_and_one():
    _, observed, control = profiles(1, 20)
    one = compared(observed, observed, control, reference=control * 2, se=0.0)
    assert (l2(one), mse_unbiased(one)) == (0, 0)
    assert pearson_delta(one) == pytest.approx(1)
    assert pearson_delta_perturbed(one) == pytest.approx(1)


def test_what_perturbations_share_raises_pearson_delta_alone():
    rng = np.random.default_rng(3)
    common, own, guess = rng.normal(size=(3, 500))
    one = compared(5 * common + guess, 5 * common + own, 0.0, reference=5 * common)
    assert pearson_delta(one) > 0.9
    assert abs(pearson_delta_perturbed(one)) < 0.15


@settings(deadline=None, max_examples=100)
@given(seed=seeds, constant=st.floats(-3, 3), genes=st.integers(1, 200))
def test_correlations_are_undefined_for_a_constant_change(seed, constant, genes):
    # control + constant − control differs between genes by rounding, which is no pattern
    _, observed, control = profiles(seed, genes)
    for metric in (pearson_delta, pearson_delta_perturbed):
        assert np.isnan(metric(compared(control + constant, observed, control, reference=control)))
        assert np.isnan(metric(compared(observed, control + constant, control, reference=control)))


def test_the_mean_of_training_in_another_order_of_summation_is_still_the_mean():
    rng = np.random.default_rng(1)
    effects, control = rng.normal(size=(300, 50)), rng.gamma(2.0, size=50)
    reference = control + effects.mean(axis=0)
    again = control + sum(effects[::-1]) / 300
    assert (again != reference).any()
    one = compared(again, control + rng.normal(size=50), control, reference=reference)
    assert np.isnan(pearson_delta_perturbed(one))
    assert not np.isnan(pearson_delta(one))


def test_a_small_pattern_is_still_a_pattern():
    predicted, observed, control = profiles(2, 50)
    small = control + 1e-9 * (predicted - control)
    r = pearson_delta(compared(predicted, observed, control))
    assert pearson_delta(compared(small, observed, control)) == pytest.approx(r, abs=1e-5)


def test_mse_unbiased_is_free_of_the_noise_of_the_observed():
    rng = np.random.default_rng(1)
    truth, predicted = rng.normal(size=(2, 40))
    se = rng.gamma(2.0, size=40)
    found = [
        mse_unbiased(compared(predicted, truth + se * rng.normal(size=40), 0.0, se=se))
        for _ in range(4000)
    ]
    error = np.std(found) / len(found) ** 0.5
    assert np.mean(found) == pytest.approx(np.mean((predicted - truth) ** 2), abs=4 * error)
    perfect = [
        mse_unbiased(compared(truth, truth + se * rng.normal(size=40), 0.0, se=se))
        for _ in range(400)
    ]
    assert min(perfect) < 0 < max(perfect)


NUMBERS = st.floats(-2, 2).map(lambda x: round(x, 6))


@settings(deadline=None, max_examples=60)
@given(
    bounds=st.lists(
        # Six digits: nothing lies between a miss and what rounding moves.
        st.tuples(NUMBERS, st.one_of(st.none(), NUMBERS), NUMBERS.map(abs)),
        min_size=1,
        max_size=12,
    )
)
def test_coverage_counts_the_genes_that_have_an_interval(bounds):
    observed = [x for x, *_ in bounds]
    lower = [np.nan if low is None else low for _, low, _ in bounds]
    upper = [np.nan if low is None else low + width for _, low, width in bounds]
    found = coverage(compared([0.0] * len(bounds), observed, 0.0, lower=lower, upper=upper))
    near = 1e-9  # what the rounding of bounds moves is no miss
    inside = [low - near <= x <= low + width + near for x, low, width in bounds if low is not None]
    if inside:
        assert found == pytest.approx(sum(inside) / len(inside))
    else:
        assert np.isnan(found)


# Genes


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
    assert list(found[TARGET]) == sorted(set(targets))


# Tables


def scored(statuses, seed=1, targets=None, top=(0, 1, 2, 3), folds=None, **known):
    """The table of scores of random predictions, and their profiles."""
    rng = np.random.default_rng(seed)
    folds = folds or [1] * len(statuses)
    entries = pd.DataFrame(
        [
            (f"P{i}", 1, fold, status, "" if status == PREDICTED else "why")
            for i, (status, fold) in enumerate(zip(statuses, folds, strict=True))
        ],
        columns=["perturbation", "repeat", "fold", "status", "reason"],
    )
    control = rng.gamma(2.0, size=8)
    predicted, observed = rng.gamma(2.0, size=(2, len(statuses), 8))
    known = {"reference": control * 2, "se": np.ones(8), **known}
    table = Compared.table(predicted, observed, control, **known)
    targets = targets or [[]] * len(statuses)
    return score_table("m", entries, table, targets, np.array(top)), table


def test_every_prediction_has_a_row_per_gene_set_and_metric():
    bounds = {"lower": np.zeros(8), "upper": np.full(8, 1.5)}
    table, found = scored([PREDICTED] * 3, targets=[[7], [0, 6], []], **bounds)
    genes = {
        ("P0", TOP): [0, 1, 2, 3, 7],
        ("P0", OFF_TARGET): [0, 1, 2, 3],
        ("P0", TARGET): [7],
        ("P1", TOP): [0, 1, 2, 3, 6],
        ("P1", OFF_TARGET): [1, 2, 3],
        ("P1", TARGET): [0, 6],
        ("P2", TOP): [0, 1, 2, 3],
        ("P2", OFF_TARGET): [0, 1, 2, 3],
    }
    assert len(table) == 3 * sum(len(metrics) for metrics in METRICS_OF.values())
    assert set(table.loc[table["metric"] == "coverage", "gene_set"]) == {OFF_TARGET, TARGET}
    for entry in table[table["metric"] != "retrieval"].itertuples():
        if (entry.perturbation, entry.gene_set) not in genes:
            assert (entry.perturbation, entry.gene_set) == ("P2", TARGET)
            assert (np.isnan(entry.value), entry.reason) == (True, "target not measured")
            continue
        rows = np.array(genes[entry.perturbation, entry.gene_set])
        metric = METRICS[entry.metric]
        assert entry.value == metric(found.at(int(entry.perturbation[1:]), rows))
        assert (entry.status, entry.reason) == (PREDICTED, "")


def test_what_has_no_prediction_keeps_its_status_and_reason_without_a_value():
    table, _ = scored([PREDICTED, NOT_EMBEDDABLE])
    missing = table[table["perturbation"] == "P1"]
    assert len(missing) == sum(len(metrics) for metrics in METRICS_OF.values())
    assert missing["value"].isna().all()
    assert set(missing["status"]) == {NOT_EMBEDDABLE}
    assert set(missing["reason"]) == {"why"}


def test_a_prediction_by_the_mean_alone_is_scored_and_keeps_its_status():
    table, _ = scored([MEAN_ONLY, PREDICTED])
    own = table[(table["perturbation"] == "P0") & (table["gene_set"] == TOP)]
    assert own["value"].notna().all()
    assert set(own["status"]) == {MEAN_ONLY}
    assert set(own["reason"]) == {"why"}


def test_undefined_scores_say_why():
    control = np.arange(1.0, 6.0)
    entries = pd.DataFrame([{"perturbation": "P", "repeat": 1, "fold": 1, "status": PREDICTED}])
    pair = (control[None], control[None] ** 2, control)

    def reasons(**known):
        table = score_table(
            "no_change",
            entries.assign(reason=""),
            Compared.table(*pair, **known),
            [[0]],
            np.arange(5),
            no_interval="5 residuals, fewer than 9" if "se" in known else "",
        ).set_index(["gene_set", "metric"])
        missing = table["value"].isna()
        assert (table.loc[~missing, "reason"] == "").all()
        return {key[1]: text for key, text in table.loc[missing, "reason"].items()}

    assert reasons() == {
        "pearson_delta": "predicted or observed change does not differ between genes",
        "pearson_delta_perturbed": "no prediction of the baseline mean to refer to",
        "mse_unbiased": "standard error of the observed effect not known",
        "retrieval": "no other held-out perturbation to tell it from",
        "coverage": "no prediction interval",
    }
    found = reasons(se=np.ones(5), reference=control + 2)
    assert "mse_unbiased" not in found
    assert found["coverage"] == "5 residuals, fewer than 9"
    constant = "differs from the mean of the training perturbations by a constant at most"
    assert found["pearson_delta_perturbed"] == f"prediction {constant}"
    found = reasons(reference=control**2)
    assert found["pearson_delta_perturbed"] == f"observation {constant}"


def test_a_set_without_genes_has_no_score():
    table, _ = scored([PREDICTED, PREDICTED], targets=[[0, 1], []], top=(0, 1))
    off_target = table[(table["gene_set"] == OFF_TARGET) & (table["perturbation"] == "P0")]
    assert off_target["value"].isna().all()
    assert set(off_target["reason"]) == {
        "no gene to score beside the target",
        "no gene to score beside the targets of all that are held out together",
    }
    assert table.loc[table["gene_set"] == TOP, "value"].notna().all()
