"""Precision matrices and partial correlations against their definitions."""

import numpy as np
import pytest

from lgem.errors import InputError
from lgem.network.precision import (
    DENSE_GENES,
    LARGEST_TABLE,
    choose_form,
    condition_number,
    covariance_systems,
    diagnose_precision,
    diagnose_sample,
    invert,
    partial_correlations,
    precision_matrix,
)
from lgem.network.structure import LowRank
from lgem.network.updates import UpdatedPrecision
from lgem.systems import diagnose, diagnose_extremes


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


# Diagnoses.


def followed(form, genes=30, condition=1e4, seed=7):
    rng = np.random.default_rng(seed)
    axes = np.linalg.qr(rng.normal(size=(genes, 3)))[0]
    base = LowRank(rng.uniform(1, 2, genes), np.sqrt(condition) * axes)
    return UpdatedPrecision(invert(base, form=form), seed=1), base.dense()


@pytest.mark.parametrize("form", ["dense", "implicit"])
def test_a_precision_is_diagnosed_as_its_covariance_before_and_after_updates(form):
    model, sigma = followed(form)
    rng = np.random.default_rng(8)
    x = 30 * rng.normal(size=(30, 2))
    # From the direction of least variance: the condition number rises.
    size, axes = np.linalg.eigh(sigma + x @ x.T)
    y = np.sqrt(0.9 * size[0]) * axes[:, :1]
    stages = [
        (lambda: None, sigma),
        (lambda: model.add(x, "x"), sigma + x @ x.T),
        (lambda: model.remove(y, "y"), sigma + x @ x.T - y @ y.T),
    ]
    for step, now in stages:
        step()
        found = diagnose_precision(model)
        assert (found.rows, found.columns, found.rank) == (30, 30, 30)
        assert (found.shape_class, found.verdict, found.free_parameters) == ("square", "unique", 0)
        assert found.full_column_rank
        assert found.condition == pytest.approx(np.linalg.cond(now), rel=1e-6)
        eigenvalues = np.linalg.eigvalsh(now)
        extremes = [1 / eigenvalues[0], 1 / eigenvalues[-1]]
        np.testing.assert_allclose(found.singular[[0, -1]], extremes, rtol=1e-6)


def test_the_dense_form_knows_all_singular_values_and_the_implicit_one_the_extremes():
    (dense, sigma), (implicit, _) = followed("dense"), followed("implicit")
    whole, ends = diagnose_precision(dense), diagnose_precision(implicit)
    np.testing.assert_allclose(whole.singular, np.linalg.svd(np.linalg.inv(sigma))[1], rtol=1e-9)
    assert ends.singular.shape == (2,)
    assert ends.condition == pytest.approx(whole.condition, rel=1e-6)


@pytest.mark.parametrize("genes", [2, 3, 50])
def test_the_extremes_are_found_where_all_directions_are_alike(genes):
    identity = LowRank(np.full(genes, 0.25), np.zeros((genes, 0)))
    model = UpdatedPrecision(invert(identity, form="implicit"), seed=1)
    found = diagnose_precision(model)
    assert found.condition == pytest.approx(1.0)
    assert found.singular[0] == pytest.approx(4.0)
    model.add(np.eye(genes)[:, :1], "one gene")
    assert diagnose_precision(model).condition == pytest.approx(5.0, rel=1e-6)


def test_extremes_tell_of_full_rank_and_of_nothing_else():
    found, whole = diagnose_extremes(8.0, 2.0, (40, 40)), diagnose(np.diag(np.linspace(2, 8, 40)))
    assert found == whole
    np.testing.assert_array_equal(found.singular, [8.0, 2.0])
    for smallest in (0.0, 1e-15):
        lost = diagnose_extremes(8.0, smallest, (40, 40))
        assert (lost.rank, lost.verdict, lost.condition) == (39, "infinite", np.inf)


@pytest.mark.parametrize(("cells", "genes"), [(200, 12), (12, 12), (9, 12), (12, 200)], ids=str)
def test_the_expression_is_diagnosed_by_its_triangle(cells, genes):
    values = np.random.default_rng(cells).normal(size=(cells, genes))
    values -= values.mean(axis=0)
    found, expected = diagnose_sample(values), diagnose(values)
    assert (found.rank, found.verdict) == (expected.rank, expected.verdict)
    assert found.rank == min(cells - 1, genes)
    assert (found.rows, found.columns) == (cells, genes)
    assert found.condition == pytest.approx(expected.condition, rel=1e-9)
    kept = found.rank  # beyond, rounding
    np.testing.assert_allclose(found.singular[:kept], expected.singular[:kept], rtol=1e-9)


@pytest.mark.parametrize(("cells", "genes"), [(200, 12), (12, 12), (9, 12)], ids=str)
@pytest.mark.parametrize("form", ["dense", "implicit"])
def test_the_systems_of_a_network_are_those_of_its_covariance(form, cells, genes):
    rng = np.random.default_rng(cells)
    values = rng.normal(size=(cells, genes)) @ rng.normal(size=(genes, genes))
    values = (values - values.mean(axis=0)) / values.std(axis=0)
    base = LowRank(np.full(genes, 0.1), np.sqrt(0.9 / cells) * values.T)
    model = UpdatedPrecision(invert(base, form=form), seed=1)
    before = diagnose_precision(model)
    loading = rng.normal(size=(genes, 1))
    model.add(loading, "x")
    after = diagnose_precision(model)
    first, second = covariance_systems(diagnose_sample(values), "some choice", before, after)
    assert (first.system, second.system) == ("covariance", "covariance: updated")
    sigma = base.dense()
    for system, matrix in ((first, sigma), (second, sigma + loading @ loading.T)):
        assert (system.rows, system.columns, system.rank) == (genes, genes, genes)
        assert system.verdict == "unique"
        assert system.condition == pytest.approx(np.linalg.cond(matrix), rel=1e-6)
    # Of the sample covariance itself: centred, its rank is below the number of cells.
    rank = np.linalg.matrix_rank(values)
    assert rank == min(cells - 1, genes)
    told = f"covariance of {genes} genes over {cells} samples, of rank {rank}"
    if rank < genes:
        condition, told = "inf", f"{told}: it has no inverse of its own"
    else:
        condition = f"{np.linalg.cond(values.T @ values):.3g}"
    end = f"{condition} to {np.linalg.cond(sigma):.3g}"
    assert first.explanation == f"{told}; some choice brings its condition number from {end}"


# In which form a panel is kept.


def test_a_panel_is_dense_until_its_matrices_are_too_large():
    assert choose_form("auto", "ledoit_wolf", 1000, DENSE_GENES) == "dense"
    assert choose_form("auto", "ledoit_wolf", 1000, DENSE_GENES + 1) == "implicit"
    assert choose_form("auto", "graphical_lasso", 10**6, DENSE_GENES) == "dense"
    assert choose_form("dense", "graphical_lasso", 10**6, 20_000) == "dense"
    assert choose_form("implicit", "oas", 100, 50) == "implicit"


def test_an_estimator_without_factors_has_no_implicit_form():
    for asked in ("auto", "implicit"):
        with pytest.raises(InputError, match=r"20000 genes for graphical_lasso.*factor_model"):
            choose_form(asked, "graphical_lasso", 1000, 20_000)


@pytest.mark.parametrize("estimator", ["ledoit_wolf", "oas", "schaefer_strimmer"])
def test_tables_of_cells_by_genes_must_fit_into_memory(estimator):
    genes = 20_000
    most = LARGEST_TABLE // (8 * genes)
    assert choose_form("auto", estimator, most, genes) == "implicit"
    with pytest.raises(InputError, match=rf"{most + 1} cells: .*1.0 GiB for {estimator}"):
        choose_form("auto", estimator, most + 1, genes)
    assert choose_form("auto", "factor_model", 10**6, genes) == "implicit"
    assert choose_form("dense", estimator, most + 1, genes) == "dense"
