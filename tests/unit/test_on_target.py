"""The on-target term: what a perturbation does to its own target."""

import numpy as np
import pytest

from lgem.prediction.model import fit_predictor
from lgem.prediction.on_target import OwnChange
from lgem.prediction.training import Training
from lgem.screen.labels import Target
from tests.unit.model_cases import INDEX, bilinear_screen, same_bytes, training

SHARES = [-0.9, -0.4, -0.8, -0.7, -0.6]
# A linear model without anything of its own: what it says of the targets is seen alone.
NOTHING = {"on_target": True, "dimensions": 0, "mean_weight": 0.0}


def knock_downs(shares=SHARES, scale=None, control=None, genes=30):
    """Effects of nought but for the own changes: shares of the expression in control."""
    control = np.linspace(0.5, 4, genes) if control is None else control
    scale = control if scale is None else scale
    rows = np.arange(len(shares))
    effects = np.zeros((genes, len(shares)))
    effects[rows, rows] = np.array(shares) * scale[rows]
    return Training(effects, control, [f"G{k}" for k in rows], [Target((int(k),)) for k in rows])


def with_scales(known, *scales):
    return Training(known.effects, known.control, known.perturbations, known.targets, scales)


def test_the_factor_is_the_median_share_of_the_expression_in_control():
    own = OwnChange.of(knock_downs())
    assert own.factor == pytest.approx(-0.7)
    np.testing.assert_allclose(own.left_out_factors, [-0.65, -0.75, -0.65, -0.7, -0.75])
    np.testing.assert_allclose(
        own.residuals, np.abs(SHARES - own.left_out_factors), rtol=0, atol=1e-15
    )


def test_own_entries_are_replaced_and_no_others():
    known = knock_downs()
    predictor = fit_predictor("linear", known, NOTHING)
    answer = predictor.predict("G20", Target((20,)))
    expected = np.zeros(30)
    expected[20] = -0.7 * known.control[20]
    np.testing.assert_allclose(answer.effect, expected, atol=1e-15)


def test_a_combination_changes_both_of_its_targets():
    known = knock_downs()
    answer = fit_predictor("linear", known, NOTHING).predict("G20+G25", Target((20, 25)))
    np.testing.assert_array_equal(np.flatnonzero(answer.effect), [20, 25])
    np.testing.assert_allclose(answer.effect[[20, 25]], -0.7 * known.control[[20, 25]])


def test_both_targets_of_a_combination_teach_the_factor():
    known = knock_downs([-0.5, -0.5, -0.5])
    effects = np.column_stack([known.effects, np.zeros(30)])
    effects[[7, 8], 3] = [-0.9 * known.control[7], -0.8 * known.control[8]]
    names, targets = [*known.perturbations, "G7+G8"], [*known.targets, Target((7, 8))]
    own = OwnChange.of(Training(effects, known.control, names, targets))
    assert own.factor == pytest.approx(np.median([-0.5, -0.5, -0.5, -0.9, -0.8]))
    assert len(own.residuals) == 5
    np.testing.assert_allclose(own.residuals[3:], [0.4, 0.3])


def test_what_has_no_measured_target_has_no_change_of_its_own():
    known = knock_downs()
    predictor = fit_predictor("linear", known, NOTHING)
    for name in ("X1", "G3+X1"):
        np.testing.assert_array_equal(predictor.predict(name, INDEX.find(name)).effect, 0)
    unmeasured = Training(known.effects, known.control, ["X1"] * 5, [Target(None, "x")] * 5)
    assert OwnChange.of(unmeasured) is None


def test_without_support_by_targets_left_out_there_is_no_term():
    # What one target does says nothing of the next.
    assert OwnChange.of(knock_downs([-0.9, 0.9, -0.8, 0.8])) is None
    assert OwnChange.of(knock_downs([0.0, 0.0, 0.0])) is None
    # A single target cannot be left out.
    assert OwnChange.of(knock_downs([-0.9])) is None
    assert OwnChange.of(knock_downs([-0.9, -0.8])).factor == pytest.approx(-0.85)
    predictor = fit_predictor("linear", knock_downs([-0.9, 0.9, -0.8, 0.8]), NOTHING)
    assert predictor.own is None
    assert predictor.described()["on_target_factor"] is None
    np.testing.assert_array_equal(predictor.predict("G20", Target((20,))).effect, 0)


@pytest.mark.parametrize("constant", [False, True])
def test_of_several_scales_the_one_that_predicts_best_is_taken(constant):
    control, ones = np.linspace(0.5, 4, 30), np.ones(30)
    known = knock_downs([-0.7, -0.72, -0.69, -0.71], ones if constant else control)
    own = OwnChange.of(with_scales(known, control, ones))
    np.testing.assert_array_equal(own.scale, ones if constant else control)
    assert own.factor == pytest.approx(-0.705)
    change = own.change([9])[0]
    assert change == pytest.approx(-0.705 * (1 if constant else control[9]))


def test_targets_that_control_does_not_express_teach_nothing_and_do_not_change():
    control = np.linspace(0.5, 4, 30)
    control[[1, 20]] = 0
    known = knock_downs(control=control)
    known.effects[1, 1] = 5.0  # of a gene without any expression: no share of it
    own = OwnChange.of(known)
    assert own.factor == pytest.approx(np.median([-0.9, -0.8, -0.7, -0.6]))
    assert len(own.residuals) == 4
    answer = fit_predictor("linear", known, NOTHING).predict("G20", Target((20,)))
    assert answer.effect[20] == 0


def test_training_is_masked_where_the_term_is_on_and_only_there():
    known = bilinear_screen(40, 20, 3, own=-0.8)
    settings = {"mean_weight": 1.0, "dimensions": 0}
    masked = known.masked().effects.mean(axis=1)
    with_term = fit_predictor("linear", known, {**settings, "on_target": True})
    without = fit_predictor("linear", known, {**settings, "on_target": False})
    np.testing.assert_array_equal(with_term.inner.bias, masked)
    np.testing.assert_array_equal(without.inner.bias, known.effects.mean(axis=1))
    # Where the term finds no support, own entries are data as all others are.
    noise = knock_downs([-0.9, 0.9, -0.8, 0.8])
    off = fit_predictor("linear", noise, {**settings, "on_target": True})
    np.testing.assert_array_equal(off.inner.bias, noise.effects.mean(axis=1))


def test_own_entries_have_an_interval_of_their_own():
    rng = np.random.default_rng(1)
    known = knock_downs(rng.uniform(-0.9, -0.3, size=20))
    answer = fit_predictor("linear", known, NOTHING).predict("G25", Target((25,)), 0.9)
    own = OwnChange.of(known)
    low = np.sort(own.left_out_factors - own.residuals)[1]  # ⌊.1 · 21⌋ = 2nd smallest
    high = np.sort(own.left_out_factors + own.residuals)[18]  # ⌈.9 · 21⌉ = 19th smallest
    np.testing.assert_allclose(
        [answer.lower[25], answer.upper[25]], np.array([low, high]) * known.control[25]
    )
    assert answer.lower[25] < answer.effect[25] < answer.upper[25]
    np.testing.assert_array_equal(np.delete(answer.upper, 25), 0)


def test_intervals_at_new_targets_hold_the_truth_as_often_as_they_say():
    hits = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        shares = -rng.beta(4, 2, size=40)
        own = OwnChange.of(knock_downs(shares[:25], control=rng.gamma(2, size=40), genes=40))
        for row, share in zip(range(25, 40), shares[25:], strict=True):
            low, high = own.bounds([row], 0.8)
            hits.append(low[0] <= share * own.scale[row] <= high[0])
    assert 0.75 <= np.mean(hits) <= 0.88


def test_few_targets_give_no_interval_at_the_target():
    answer = fit_predictor("linear", knock_downs(), NOTHING).predict("G20", Target((20,)), 0.9)
    assert np.isnan(answer.lower[20])
    assert np.isnan(answer.upper[20])


def test_saved_and_restored_the_term_is_the_same():
    own = OwnChange.of(knock_downs())
    again = OwnChange.from_arrays(own.arrays())
    assert same_bytes(own.arrays(), again.arrays())
    assert again.factor == own.factor


def test_effects_without_any_structure_are_predicted_no_better_at_the_targets():
    supported = [OwnChange.of(training(seed=seed)) is not None for seed in range(40)]
    assert sum(supported) < 25
