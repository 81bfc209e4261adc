"""The factor model against known truths, and the shorter data against the whole."""

import numpy as np
import pytest
from sklearn.decomposition import FactorAnalysis

from lgem.network import factors as module
from lgem.network.covariance import standardise
from lgem.network.factors import factor_count, factor_model, fewer_rows


def planted(seed, cells, genes, factors, strength=0.6):
    """Data with known loadings and uniquenesses of unit variance."""
    rng = np.random.default_rng(seed)
    loadings = rng.uniform(-1, 1, size=(genes, factors)) * strength
    unique = 1.0 - (loadings**2).sum(axis=1)
    assert (unique > 0).all()
    values = rng.normal(size=(cells, factors)) @ loadings.T
    values += rng.normal(size=(cells, genes)) * np.sqrt(unique)
    return standardise(values, None).values, unique, loadings


def log_likelihood(values, diagonal, factor):
    """Per cell, up to a constant."""
    covariance = np.diag(diagonal) + factor @ factor.T
    sample = values.T @ values / len(values)
    return -(np.linalg.slogdet(covariance)[1] + np.trace(np.linalg.solve(covariance, sample))) / 2


@pytest.mark.parametrize(("cells", "genes"), [(400, 30), (60, 100)])
@pytest.mark.parametrize("factors", [1, 2])
def test_the_fit_is_at_least_as_likely_as_the_truth(cells, genes, factors):
    values, unique, loadings = planted(1, cells, genes, factors)
    diagonal, factor, k = factor_model(values, factors)
    assert k == factors
    assert log_likelihood(values, diagonal, factor) >= log_likelihood(values, unique, loadings)


def test_one_factor_is_recovered():
    values, unique, loadings = planted(2, 20_000, 20, 1, strength=0.9)
    diagonal, factor, k = factor_model(values, None)
    assert k == 1
    np.testing.assert_allclose(factor @ factor.T, loadings @ loadings.T, atol=0.03)
    np.testing.assert_allclose(diagonal, unique, atol=0.03)
    np.testing.assert_allclose(diagonal + (factor**2).sum(axis=1), 1.0, atol=1e-3)


@pytest.mark.parametrize("factors", [1, 2, 3])
@pytest.mark.parametrize(("cells", "genes"), [(1500, 60), (150, 300)])
def test_planted_factors_are_counted(factors, cells, genes):
    values, _, _ = planted(factors, cells, genes, factors, strength=0.55)
    assert factor_count(values) == factors


def test_without_a_factor_there_is_one_that_explains_next_to_nothing():
    values = standardise(np.random.default_rng(4).normal(size=(2000, 50)), None).values
    diagonal, factor, k = factor_model(values, None)
    assert k == 1
    assert (factor**2).sum() < 0.02 * 50
    assert diagonal.mean() > 0.97


def test_rare_genes_that_meet_by_chance_are_no_factor():
    rng = np.random.default_rng(0)
    counts = (rng.random((300, 400)) < 0.008).astype(float)
    values = standardise(counts[:, (counts.sum(axis=0) > 0)], None).values
    cells, genes = values.shape
    spectrum = np.linalg.eigvalsh(values @ values.T / cells)
    assert (spectrum > (1 + np.sqrt(genes / cells)) ** 2).sum() > factor_count(values)


def test_the_count_is_bounded_by_half_of_the_shorter_side():
    values, _, _ = planted(5, 8, 30, 1)
    assert 1 <= factor_count(values) <= 4
    assert factor_model(values, 20)[2] == 4
    pair = standardise(np.random.default_rng(0).normal(size=(40, 2)), None).values
    assert factor_model(pair, None)[2] == 1


def test_the_largest_eigenvalue_is_that_of_the_covariance():
    rng = np.random.default_rng(6)
    for shape in [(50, 2), (40, 30), (30, 40)]:
        values = standardise(rng.normal(size=shape), None).values
        expected = np.linalg.eigvalsh(values.T @ values / len(values))[-1]
        assert module._largest(values, rng) == pytest.approx(expected, rel=1e-5)


def test_fewer_rows_have_the_same_mean_and_covariance():
    values, _, _ = planted(7, 500, 25, 2)
    rows = fewer_rows(values)
    assert rows.shape == (26, 25)
    np.testing.assert_allclose(rows.mean(axis=0), 0.0, atol=1e-13)
    np.testing.assert_allclose(rows.T @ rows / 26, values.T @ values / 500, atol=1e-13)
    assert fewer_rows(values[:50]) is not values
    assert fewer_rows(rows) is rows


def test_fewer_rows_give_the_fit_of_all_cells():
    values, _, _ = planted(8, 600, 30, 2)
    diagonal, factor, _ = factor_model(values, 2)
    direct = FactorAnalysis(2, tol=module.TOLERANCE * values.size, svd_method="lapack").fit(values)
    np.testing.assert_allclose(diagonal, direct.noise_variance_, atol=1e-8)
    expected = direct.components_.T @ direct.components_
    np.testing.assert_allclose(factor @ factor.T, expected, atol=1e-8)


def test_the_randomised_decomposition_gives_nearly_the_fit_of_the_exact_one(monkeypatch):
    values, _, _ = planted(9, 100, 300, 2)
    exact = factor_model(values, 2)
    monkeypatch.setattr(module, "EXACT", 10)
    randomised = factor_model(values, 2)
    np.testing.assert_allclose(randomised[0], exact[0], atol=0.01)
    np.testing.assert_allclose(randomised[1] @ randomised[1].T, exact[1] @ exact[1].T, atol=0.01)
    again = factor_model(values, 2)
    np.testing.assert_array_equal(randomised[0], again[0])
    np.testing.assert_array_equal(randomised[1], again[1])


def test_a_gene_that_is_a_factor_keeps_a_variance_of_its_own():
    rng = np.random.default_rng(10)
    values = np.repeat(rng.normal(size=(300, 1)), 4, axis=1)
    values[:, 2:] += rng.normal(size=(300, 2))
    values = standardise(np.hstack([values, rng.normal(size=(300, 4))]), None).values
    diagonal, factor, _ = factor_model(values, 1)
    assert diagonal.min() == 0.005
    assert (diagonal == 0.005).sum() == 2  # the two genes that are equal
    covariance = np.diag(diagonal) + factor @ factor.T
    assert np.linalg.eigvalsh(covariance)[0] > 0.004
    assert np.diagonal(covariance).max() < 1.02
    assert np.diagonal(covariance).min() > 0.98


def test_the_input_is_not_changed():
    values, _, _ = planted(11, 40, 60, 1)
    copy = values.copy()
    factor_model(values, None)
    np.testing.assert_array_equal(values, copy)
