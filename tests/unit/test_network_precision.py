"""Precision matrices and partial correlations against their definitions."""

import numpy as np
import pytest

from lgem.errors import InputError
from lgem.network.covariance import ledoit_wolf
from lgem.network.precision import (
    condition_number,
    covariance_systems,
    partial_correlations,
    precision_matrix,
)


def covariance(seed, genes, condition=1e2):
    rng = np.random.default_rng(seed)
    axes = np.linalg.qr(rng.normal(size=(genes, genes)))[0]
    matrix = (axes * np.geomspace(1, condition, genes)) @ axes.T
    return (matrix + matrix.T) / 2


@pytest.mark.parametrize("genes", [2, 3, 50, 301])
def test_precision_is_the_inverse_and_symmetric_to_the_last_bit(genes):
    sigma = covariance(genes, genes)
    theta = precision_matrix(sigma)
    np.testing.assert_allclose(theta, np.linalg.inv(sigma), atol=1e-11 * np.abs(theta).max())
    np.testing.assert_array_equal(theta, theta.T)


def test_the_covariance_is_left_as_it_was():
    sigma = covariance(0, 20)
    copy = sigma.copy()
    precision_matrix(sigma)
    np.testing.assert_array_equal(sigma, copy)


def test_what_is_not_positive_definite_is_refused():
    sigma = covariance(1, 10)
    sigma[6, 6] = -1.0
    with pytest.raises(InputError, match=r"not positive definite .*gene 7 of 10"):
        precision_matrix(sigma)
    with pytest.raises(InputError, match="not positive definite"):
        precision_matrix(np.zeros((3, 3)))
    sigma[2, 3] = np.nan
    with pytest.raises(InputError, match="not finite"):
        precision_matrix(sigma)


def test_partial_correlation_is_the_correlation_of_regression_residuals():
    x = np.random.default_rng(2).normal(size=(200, 6)) @ np.random.default_rng(3).normal(
        size=(6, 6)
    )
    x -= x.mean(axis=0)
    rho = partial_correlations(precision_matrix(x.T @ x / 200))
    for i in range(6):
        for j in range(i):
            others = np.delete(x, [i, j], axis=1)
            fit = np.linalg.lstsq(others, x[:, [i, j]], rcond=None)[0]
            left = x[:, [i, j]] - others @ fit
            assert rho[i, j] == pytest.approx(np.corrcoef(left.T)[0, 1], abs=1e-10)


def test_of_a_chain_only_the_direct_links_remain():
    # A acts on B, B on C: A and C correlate, and are independent given B.
    effects = np.array([[1, 0, 0], [0.8, 1, 0], [0, 0.8, 1]])
    mixing = np.linalg.inv(2 * np.eye(3) - effects)
    sigma = mixing @ mixing.T
    rho = partial_correlations(precision_matrix(sigma))
    assert sigma[0, 2] > 0.5
    assert rho[0, 2] == pytest.approx(0, abs=1e-15)
    assert rho[0, 1] > 0.4
    assert rho[1, 2] > 0.4


def test_partial_correlations_are_free_of_units_symmetric_and_bounded():
    sigma = covariance(4, 40)
    units = np.random.default_rng(5).uniform(0.1, 10, 40)
    rho = partial_correlations(precision_matrix(sigma))
    rescaled = partial_correlations(precision_matrix(sigma * np.outer(units, units)))
    np.testing.assert_allclose(rescaled, rho, atol=1e-12)
    np.testing.assert_array_equal(rho, rho.T)
    np.testing.assert_array_equal(np.diag(rho), 1)
    assert np.abs(rho[~np.eye(40, dtype=bool)]).max() < 1


def test_condition_number_is_that_of_the_covariance():
    sigma = covariance(6, 30, condition=500)
    assert condition_number(precision_matrix(sigma)) == pytest.approx(500, rel=1e-9)
    assert condition_number(sigma) == pytest.approx(500, rel=1e-9)


@pytest.mark.parametrize(("cells", "genes"), [(200, 12), (12, 12), (9, 12)], ids=str)
def test_the_systems_of_a_network_are_those_of_its_covariance(cells, genes):
    rng = np.random.default_rng(cells)
    values = rng.normal(size=(cells, genes)) @ rng.normal(size=(genes, genes))
    values = (values - values.mean(axis=0)) / values.std(axis=0)
    sigma, shrinkage = ledoit_wolf(values)
    before = precision_matrix(sigma)
    loading = rng.normal(size=(genes, 1))
    after = before + loading @ loading.T
    first, second = covariance_systems(values, shrinkage, before, after)
    assert (first.system, second.system) == ("covariance", "covariance: updated")
    for system, theta in ((first, before), (second, after)):
        assert (system.rows, system.columns, system.rank) == (genes, genes, genes)
        assert system.verdict == "unique"
        assert system.condition == pytest.approx(np.linalg.cond(theta), rel=1e-9)
        np.testing.assert_allclose(system.singular, np.linalg.svd(theta)[1], rtol=1e-9)
    # Of the sample covariance itself: centred, its rank is below the number of cells.
    rank = np.linalg.matrix_rank(values)
    assert rank == min(cells - 1, genes)
    told = f"covariance of {genes} genes over {cells} samples, of rank {rank}"
    shrunk = f"shrinkage {shrinkage:.3g} brings its condition number from "
    if rank < genes:
        condition, told = "inf", f"{told}: it has no inverse of its own"
    else:
        condition = f"{np.linalg.cond(values.T @ values):.3g}"
    end = f"{condition} to {np.linalg.cond(before):.3g}"
    assert first.explanation == f"{told}; {shrunk}{end}"
