"""Calibration: where a mean score stands between the mean effect and a technical duplicate."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lgem.prediction.calibration import (
    EMPTY,
    NEGATIVE,
    POSITIVE,
    calibrated,
    grouped,
    why_no_positive,
)
from lgem.prediction.metrics import LOWER_IS_BETTER, RANKED


def by(**values):
    """Scores by perturbation."""
    return pd.Series(values, dtype=float)


def test_by_hand():
    worst, best = by(A=4, B=6), by(A=1, B=3)
    assert calibrated("l2", by(A=3, B=4), worst, best) == (pytest.approx(0.5), "")
    assert calibrated("retrieval", by(A=0.6), by(A=0.5), by(A=0.9)) == (pytest.approx(0.25), "")


@pytest.mark.parametrize("metric", RANKED)
def test_the_controls_stand_at_nought_and_one_and_both_can_be_passed(metric):
    worst, best = (by(A=9, B=7), by(A=1, B=2)) if LOWER_IS_BETTER[metric] else (by(A=0), by(A=0.8))
    place, _ = calibrated(metric, worst, worst, best)
    assert (place, np.signbit(place)) == (0, False)
    assert calibrated(metric, best, worst, best)[0] == pytest.approx(1)
    assert calibrated(metric, best + (best - worst), worst, best)[0] == pytest.approx(2)
    assert calibrated(metric, worst - (best - worst), worst, best)[0] == pytest.approx(-1)


def test_all_three_means_are_over_the_perturbations_that_all_have():
    found = calibrated("l2", by(A=3, B=100), by(A=4, C=100, B=1), by(A=2, C=0))
    assert found == (pytest.approx(0.5), "")


def test_the_negative_control_of_correlations_from_the_mean_is_nought():
    # `mean` itself is undefined there
    found = calibrated("pearson_delta_perturbed", by(A=0.3, B=0.1), EMPTY, by(A=0.6))
    assert found == (pytest.approx(0.5), "")


@pytest.mark.parametrize(
    ("metric", "model", "negative", "positive", "reason"),
    [
        ("coverage", by(A=1), by(A=1), by(A=2), "coverage is compared with its nominal level"),
        ("l2", EMPTY, by(A=1), by(A=0), "no perturbation with a value"),
        ("l2", by(A=1), by(A=1), EMPTY, "no value for the technical duplicate"),
        ("l2", by(A=1), EMPTY, by(A=0), "no value for the baseline mean"),
        ("l2", by(A=1), by(A=1), by(B=0), "in common with technical duplicate and mean"),
        ("l2", by(A=1), by(A=2), by(A=3), "duplicate (3) does not beat the baseline mean (2)"),
        ("l2", by(A=1), by(A=2), by(A=2), "duplicate (2) does not beat the baseline mean (2)"),
        (
            "retrieval",
            by(A=1),
            by(A=0.5),
            by(A=0.25),
            "(0.25) does not beat the baseline mean (0.5)",
        ),
        ("pearson_delta_perturbed", by(A=1), EMPTY, by(A=-0.5), "duplicate (-0.5) does not beat 0"),
        ("pearson_delta_perturbed", by(A=1), EMPTY, by(B=1), "in common with technical duplicate"),
    ],
)
def test_there_is_no_scale_without_two_ends_in_the_right_order(
    metric, model, negative, positive, reason
):
    value, why = calibrated(metric, model, negative, positive)
    assert np.isnan(value)
    assert why.endswith(reason)


def test_the_reason_of_a_missing_duplicate_is_handed_on():
    assert calibrated("l2", by(A=1), by(A=1), EMPTY, "no duplicate: why")[1] == "no duplicate: why"
    columns = ["model", "perturbation", "value", "reason"]
    rows = [(POSITIVE, "A", np.nan, "2 profiles in 2 groups, too few to halve")]
    rows += [(POSITIVE, "B", np.nan, "1 profile in 1 group, too few to halve")]
    rows += [(POSITIVE, "C", np.nan, "other: C"), (NEGATIVE, "A", 1.0, "")]
    metrics = pd.DataFrame(rows, columns=columns)
    assert why_no_positive(metrics) == "no technical duplicate: too few to halve"
    assert why_no_positive(metrics[3:]) == "no technical duplicate"
    assert why_no_positive(pd.DataFrame([(POSITIVE, "A", 1.0, "")], columns=columns)) == ""


def test_reasons_are_counted_without_what_is_special_to_one_perturbation():
    reasons = [
        "target not measured: A",
        "1 cell, fewer than min_cells 10",
        "target not measured: B",
    ]
    found = grouped([*reasons, "3 cells, fewer than min_cells 10", "", "target not measured: C"])
    assert found == {"target not measured": 3, "fewer than min_cells 10": 2}
    assert list(found) == ["target not measured", "fewer than min_cells 10"]


@given(
    values=st.lists(st.tuples(*[st.floats(0, 10)] * 3), min_size=1, max_size=6),
    scale=st.floats(0.1, 10),
    shift=st.floats(-5, 5),
)
def test_calibration_does_not_depend_on_the_unit_of_a_metric(values, scale, shift):
    model, negative, positive = (
        pd.Series(column, dtype=float) for column in zip(*values, strict=True)
    )
    if negative.mean() - positive.mean() < 1e-3:
        return
    place, _ = calibrated("l2", model, negative, positive)
    again, _ = calibrated("l2", *(scale * part + shift for part in (model, negative, positive)))
    assert again == pytest.approx(place, rel=1e-6, abs=1e-6)
