"""Groups of cells as samples: profiles, masks, pooled means, and the blocks of mixed forms."""

import numpy as np
import pandas as pd
import pytest

from lgem.prediction.samples import Samples
from lgem.screen.effects import GroupStatistics, estimate_effects
from lgem.screen.labels import CONTROL
from tests.unit.model_cases import pooled, sampled_statistics, samples_of

NAMES = ["G3", "G8", "G3+G8", "X1"]
# Perturbation, batch, day, cells: control is not in every batch of every day.
GROUPS = [
    *((CONTROL, "a", "1", 30), (CONTROL, "a", "2", 10), (CONTROL, "b", "1", 20)),
    *(("G0", "a", "1", 5), ("G0", "b", "2", 15), ("G1", "b", "1", 8), ("G1", "a", "2", 4)),
    *(("G0+G1", "a", "1", 7), ("X1", "b", "2", 3)),
]


def two_factors(seed=1, genes=5):
    rng = np.random.default_rng(seed)
    groups = pd.DataFrame(GROUPS, columns=["perturbation", "batch", "day", "n_cells"])
    mean = rng.gamma(2.0, size=(len(groups), genes))
    return GroupStatistics(groups, mean, np.ones_like(mean))


@pytest.fixture
def samples():
    return Samples.of(two_factors(), ["batch", "day"])


def test_profiles_are_log_expression_minus_that_of_all_control_cells(samples):
    statistics = two_factors()
    control = (30 * statistics.mean[0] + 10 * statistics.mean[1] + 20 * statistics.mean[2]) / 60
    assert samples.profiles.shape == (5, len(GROUPS))
    for column in range(len(GROUPS)):
        np.testing.assert_allclose(
            samples.profiles[:, column], statistics.mean[column] - control, rtol=0, atol=1e-14
        )
    assert samples.perturbations.tolist() == [name for name, *_ in GROUPS]
    assert {name: level.tolist() for name, level in samples.levels.items()} == {
        "batch": [batch for _, batch, _, _ in GROUPS],
        "day": [day for _, _, day, _ in GROUPS],
    }
    assert samples.cells.tolist() == [cells for *_, cells in GROUPS]


def test_levels_are_those_of_the_factors_that_are_named():
    assert Samples.of(two_factors(), []).levels == {}
    assert list(Samples.of(two_factors(), ["day"]).levels) == ["day"]


@pytest.mark.parametrize("names", [["G1"], ["G0", "X1"], []], ids=str)
def test_some_perturbations_are_kept_with_control(samples, names):
    found, expected = samples.only(names), samples_of(samples, names)
    assert set(found.perturbations) == {CONTROL, *names}
    for name in ("profiles", "perturbations", "cells"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
    assert found.levels.keys() == samples.levels.keys()
    for factor, level in found.levels.items():
        np.testing.assert_array_equal(level, expected.levels[factor])


def test_own_genes_are_as_in_control_of_the_same_batch_and_day(samples):
    own = {"G0": [0], "G1": [1], "G0+G1": [0, 1], "X1": []}
    before = samples.profiles.copy()
    found = samples.masked(own)
    stratum = {(b, d): column for column, (name, b, d, _) in enumerate(GROUPS) if name == CONTROL}
    compared = set()
    for column, (name, batch, day, _) in enumerate(GROUPS):
        mine = own.get(name, [])
        others = [row for row in range(5) if row not in mine]
        np.testing.assert_array_equal(found.profiles[others, column], before[others, column])
        if not mine:
            continue
        if (batch, day) in stratum:
            expected = before[mine, stratum[batch, day]]
        else:  # where control has no cells, its mean: profiles are what differs from that
            expected = np.zeros(len(mine))
        np.testing.assert_array_equal(found.profiles[mine, column], expected)
        assert not np.isin(before[mine, column], found.profiles[mine, column]).any()
        compared.add((batch, day) in stratum)
    assert compared == {True, False}
    np.testing.assert_array_equal(samples.profiles, before)  # a copy was masked


def test_without_factors_own_genes_are_at_the_mean_of_control():
    statistics = sampled_statistics(30, NAMES, 1, seed=2)
    found = Samples.of(statistics, []).masked({"G3": [3], "G3+G8": [3, 8]})
    at = {name: column for column, name in enumerate(found.perturbations)}
    # Rounding alone, since the one group of control is all of it.
    np.testing.assert_allclose(found.profiles[[3], at["G3"]], 0, atol=1e-14)
    np.testing.assert_allclose(found.profiles[[3, 8], at["G3+G8"]], 0, atol=1e-14)
    assert abs(found.profiles[8, at["G8"]]) > 1e-3


@pytest.mark.parametrize("batches", [1, 2, 3])
def test_pooled_profiles_are_the_effects_without_adjustment(batches):
    statistics = sampled_statistics(30, NAMES, batches, seed=batches)
    effects = estimate_effects(statistics, [])
    found = Samples.of(statistics, ["batch"]).pooled(effects.perturbations)
    np.testing.assert_allclose(found, effects.effect.T, rtol=0, atol=1e-12)
    adjusted = estimate_effects(statistics, ["batch"] if batches > 1 else [])
    assert (np.abs(found - adjusted.effect.T).max() > 0.01) == (batches > 1)


def test_pooled_profiles_come_in_the_order_asked_for(samples):
    np.testing.assert_allclose(samples.pooled(["X1", "G0"]), pooled(samples, ["X1", "G0"]))
    assert samples.pooled([]).shape == (5, 0)


def test_features_are_perturbations_and_levels_in_order(samples):
    assert samples.fixed_features == ["G0", "G0+G1", "G1", "X1"]
    assert samples.random_features == [
        *(("batch", "a"), ("batch", "b"), ("day", "1"), ("day", "2"))
    ]


def test_blocks_are_weighted_indicators_scaled_to_samples_of_mean_square_one(samples):
    data = samples.modalities()
    root = np.sqrt([cells for *_, cells in GROUPS])
    X = np.array([[name == one for one in samples.fixed_features] for name, *_ in GROUPS])
    Z = np.array(
        [
            [{"batch": batch, "day": day}[factor] == one for factor, one in samples.random_features]
            for _, batch, day, _ in GROUPS
        ]
    )
    for found, rows in ((data.Y, samples.profiles.T), (data.X, X), (data.Z, Z)):
        weighted = root[:, None] * rows
        assert found.shape == weighted.shape
        # The same up to one number, whatever that is: then the number.
        np.testing.assert_allclose(
            found / np.linalg.norm(found), weighted / np.linalg.norm(weighted), atol=1e-14
        )
        assert np.mean(np.sum(found**2, axis=1)) == pytest.approx(1)
    assert np.sum(data.X[:3] ** 2) == 0  # control carries no perturbation
    assert np.mean(samples.weights**2) == pytest.approx(1)


def test_without_factors_there_are_no_random_features():
    data = Samples.of(two_factors(), []).modalities()
    assert data.Z.shape == (len(GROUPS), 0)
    assert not data.has_random


def test_without_any_profile_the_block_is_zeros_and_nothing_is_divided_by_them():
    statistics = two_factors()
    flat = GroupStatistics(statistics.groups, np.ones_like(statistics.mean), statistics.variance)
    data = Samples.of(flat, ["batch"]).modalities()
    np.testing.assert_array_equal(data.Y, 0)
    assert np.linalg.norm(data.X) > 0


def test_a_mixed_model_has_a_column_for_all_samples_before_the_perturbations(samples):
    data, with_intercept = samples.modalities(), samples.with_intercept()
    np.testing.assert_array_equal(with_intercept.X[:, 0], samples.weights)
    np.testing.assert_array_equal(with_intercept.X[:, 1:], data.X)
    np.testing.assert_array_equal(with_intercept.Y, data.Y)
    np.testing.assert_array_equal(with_intercept.Z, data.Z)
    # Weights square to cells: least squares on these rows is least squares on the cells.
    np.testing.assert_allclose(samples.weights**2 * samples.cells.mean(), samples.cells)
