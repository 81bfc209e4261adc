"""Standardisation within batches and shrinkage, each against the formula written out."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lgem.errors import InputError
from lgem.network.covariance import centre, number_batches, standardise


def screen(seed, cells=60, genes=8, batches=3):
    rng = np.random.default_rng(seed)
    batch = [f"lane_{i}" for i in np.arange(cells) % batches]
    values = rng.normal(size=(cells, genes)) * rng.uniform(0.1, 5, genes)
    return values, batch


def test_one_batch_is_the_ordinary_z_score():
    values, _ = screen(0)
    standardised = standardise(values, None)
    expected = (values - values.mean(axis=0)) / values.std(axis=0)
    np.testing.assert_allclose(standardised.values, expected, atol=1e-13)
    np.testing.assert_allclose(standardised.scale, values.std(axis=0, ddof=1), rtol=1e-13)


def test_scale_is_the_residual_sd_of_a_regression_on_batches():
    values, batch = screen(1)
    values += np.where(np.array(batch) == "lane_1", 3.0, 0.0)[:, None]
    design = np.array([[lane == level for level in sorted(set(batch))] for lane in batch], float)
    residual = values - design @ np.linalg.lstsq(design, values, rcond=None)[0]
    degrees = len(values) - design.shape[1]
    standardised = standardise(values, batch)
    np.testing.assert_allclose(
        standardised.scale, np.sqrt((residual**2).sum(axis=0) / degrees), rtol=1e-12
    )
    np.testing.assert_allclose(
        standardised.values, residual / np.sqrt((residual**2).mean(axis=0)), atol=1e-12
    )


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**32 - 1), batches=st.integers(1, 5))
def test_batch_shifts_and_units_of_genes_change_nothing(seed, batches):
    values, batch = screen(seed, batches=batches)
    rng = np.random.default_rng(seed + 1)
    units = rng.uniform(0.1, 10, values.shape[1])
    shifts = {lane: rng.normal(size=values.shape[1]) for lane in sorted(set(batch))}
    moved = values * units + np.array([shifts[lane] for lane in batch])
    before, after = standardise(values, batch), standardise(moved, batch)
    np.testing.assert_allclose(after.values, before.values, atol=1e-10)
    np.testing.assert_allclose(after.scale, before.scale * units, rtol=1e-10)


def test_every_kept_gene_has_mean_zero_within_batches_and_unit_variance():
    values, batch = screen(2)
    result = standardise(values, batch).values
    for lane in set(batch):
        np.testing.assert_allclose(result[np.array(batch) == lane].mean(axis=0), 0, atol=1e-14)
    np.testing.assert_allclose((result**2).mean(axis=0), 1, rtol=1e-13)


def test_genes_that_do_not_vary_within_batches_are_left_out_and_counted():
    values, batch = screen(3)
    values[:, 2] = 0.0
    values[:, 4] = 0.1  # its mean is not 0.1 to the last bit: rounding is not variation
    values[:, 5] = np.where(np.array(batch) == "lane_0", 0.1, 7.3)
    result = standardise(values, batch)
    np.testing.assert_array_equal(np.flatnonzero(~result.genes_kept), [2, 4, 5])
    assert result.values.shape == (60, 5)
    assert result.scale.shape == (5,)
    assert result.counts["genes_constant"] == 3
    assert result.counts["genes"] == 5


def test_cells_alone_in_their_batch_are_left_out_and_counted():
    values, batch = screen(4)
    batch[7], batch[11] = "lonely", "lonely too"
    result = standardise(values, batch)
    np.testing.assert_array_equal(np.flatnonzero(~result.cells_kept), [7, 11])
    others = [i for i in range(60) if i not in (7, 11)]
    without = standardise(values[others], [batch[i] for i in others])
    np.testing.assert_array_equal(result.values, without.values)
    np.testing.assert_array_equal(result.scale, without.scale)
    assert result.counts == {
        "cells": 58,
        "cells_alone_in_batch": 2,
        "batches": 3,
        "genes": 8,
        "genes_constant": 0,
    }


def test_missing_batches_form_one_batch():
    values, batch = screen(5)
    named = standardise(values, [None if lane == "lane_1" else lane for lane in batch])
    np.testing.assert_array_equal(named.values, standardise(values, batch).values)


def test_the_input_is_not_changed():
    values, batch = screen(6)
    copy = values.copy()
    standardise(values, batch)
    np.testing.assert_array_equal(values, copy)


def test_nothing_to_learn_from_is_an_error():
    values, _ = screen(7)
    with pytest.raises(InputError, match="0 of 8 genes that vary within a batch"):
        standardise(values, list(range(60)))
    with pytest.raises(InputError, match="1 of 8 genes"):
        standardise(values * (np.arange(8) == 3), None)
    with pytest.raises(InputError, match="not finite"):
        standardise(np.where(values > 2, np.nan, values), None)


def test_the_mean_is_that_of_the_kept_cells_and_genes():
    values, batch = screen(8)
    batch[7] = "lonely"
    values[:, 2] = 1.0
    result = standardise(values, batch)
    cells, genes = np.arange(60) != 7, np.arange(8) != 2
    np.testing.assert_allclose(result.mean, values[cells][:, genes].mean(axis=0), rtol=1e-14)
    np.testing.assert_array_equal(result.genes_kept, genes)


def test_batches_of_the_kept_cells_are_numbered_without_gaps():
    values, batch = screen(9)
    batch[0] = "lonely"  # the first of all: number 0 would be its
    result = standardise(values, batch)
    assert result.batch.shape == (59,)
    assert set(result.batch) == {0, 1, 2}
    for number in range(3):
        lanes = {lane for lane, own in zip(batch[1:], result.batch, strict=True) if own == number}
        assert len(lanes) == 1
    np.testing.assert_array_equal(standardise(values, None).batch, 0)


def test_batches_are_numbered_in_the_order_in_which_they_come():
    np.testing.assert_array_equal(number_batches(["b", "a", "b", None], 4), [0, 1, 0, 2])
    # A number and its text, or a missing one of another kind, are batches by themselves or one.
    np.testing.assert_array_equal(number_batches([1, "1", 1, float("nan")], 4), [0, 1, 0, 2])
    np.testing.assert_array_equal(number_batches([None, float("nan"), "a"], 3), [0, 0, 1])
    np.testing.assert_array_equal(number_batches(None, 3), 0)


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 2**32 - 1), cells=st.integers(1, 30), batches=st.integers(1, 5))
def test_centring_is_the_residual_of_a_regression_on_batches(seed, cells, batches):
    rng = np.random.default_rng(seed)
    values, codes = rng.normal(size=(cells, 4)), rng.integers(0, batches, cells)
    design = np.eye(batches)[codes]
    expected = values - design @ np.linalg.lstsq(design, values, rcond=None)[0]
    copy = values.copy()
    np.testing.assert_allclose(centre(values, codes), expected, atol=1e-12)
    np.testing.assert_array_equal(values, copy)
