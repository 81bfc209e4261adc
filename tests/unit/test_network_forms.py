"""The two forms of a precision behind one interface: what one says the other says, at any shape."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lgem.errors import InputError
from lgem.network.dense import DensePartial, DensePrecision, symmetric
from lgem.network.implicit import ImplicitPrecision, told_apart
from lgem.network.precision import invert
from lgem.network.structure import LowRank, at_most_square, dense

FORMS = ["dense", "implicit"]
forms = pytest.mark.parametrize("form", FORMS)
# Genes and factors: none, one, some, as many as genes, more.
SHAPES = [(2, 0), (2, 1), (2, 5), (7, 0), (7, 3), (7, 7), (40, 1), (40, 12), (40, 60)]
shapes = pytest.mark.parametrize(("genes", "rank"), SHAPES, ids=str)


def low_rank(genes, rank, seed=0):
    rng = np.random.default_rng(seed)
    return LowRank(rng.uniform(0.5, 2, genes), rng.normal(size=(genes, rank)))


def partial_by_definition(theta):
    root = np.sqrt(np.diag(theta))
    rho = -theta / np.outer(root, root)
    np.fill_diagonal(rho, 1.0)
    return rho


# The covariance.


@shapes
def test_a_diagonal_with_factors_is_the_matrix_it_stands_for(genes, rank):
    covariance = low_rank(genes, rank)
    matrix = np.diag(covariance.diagonal) + covariance.factor @ covariance.factor.T
    assert covariance.genes == genes
    np.testing.assert_allclose(covariance.dense(), matrix, rtol=1e-14, atol=1e-14)
    np.testing.assert_array_equal(covariance.dense(), covariance.dense().T)
    np.testing.assert_array_equal(dense(covariance), covariance.dense())
    assert dense(matrix) is matrix
    vectors = np.random.default_rng(1).normal(size=(genes, 3))
    np.testing.assert_allclose(covariance.times(vectors), matrix @ vectors, atol=1e-12)
    np.testing.assert_allclose(covariance.times(vectors[:, 0]), matrix @ vectors[:, 0], atol=1e-12)
    asked = np.array([genes - 1, 0, genes - 1])
    np.testing.assert_allclose(covariance.columns(asked), matrix[:, asked], atol=1e-12)


@pytest.mark.parametrize("columns", [0, 1, 5, 6, 40])
def test_more_loadings_than_genes_say_no_more_than_as_many(columns):
    loadings = np.random.default_rng(columns).normal(size=(5, columns))
    square = at_most_square(loadings)
    assert square.shape == (5, min(columns, 5))
    np.testing.assert_allclose(square @ square.T, loadings @ loadings.T, atol=1e-12)


# The precision.


@forms
@shapes
def test_either_form_is_the_inverse(form, genes, rank):
    covariance = low_rank(genes, rank)
    theta = invert(covariance, form=form)
    fresh = np.linalg.inv(covariance.dense())
    assert (theta.form, theta.genes) == (form, genes)
    np.testing.assert_allclose(theta.matrix(), fresh, rtol=0, atol=1e-12)
    np.testing.assert_allclose(theta.diagonal(), np.diag(fresh), rtol=0, atol=1e-12)
    expected = np.linalg.slogdet(covariance.dense())[1]
    assert theta.log_determinant() == pytest.approx(expected, abs=1e-11)
    vectors = np.random.default_rng(1).normal(size=(genes, 3))
    np.testing.assert_allclose(theta.times(vectors), fresh @ vectors, atol=1e-11)
    np.testing.assert_allclose(
        theta.covariance_times(vectors), covariance.dense() @ vectors, atol=1e-11
    )
    asked = np.array([genes - 1, 0])
    np.testing.assert_allclose(
        theta.covariance_columns(asked), covariance.dense()[:, asked], atol=1e-13
    )


@forms
@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("rank", [1, 4])
def test_a_change_adds_the_square_of_its_rows(form, sign, rank):
    theta = invert(low_rank(15, 3), form=form)
    before = theta.matrix()
    rows = 0.05 * np.random.default_rng(2).normal(size=(rank, 15))
    theta.change(rows, sign)
    expected = before + sign * rows.T @ rows
    np.testing.assert_allclose(theta.matrix(), expected, atol=1e-14)
    np.testing.assert_allclose(theta.diagonal(), np.diag(expected), atol=1e-14)
    vectors = np.random.default_rng(3).normal(size=(15, 2))
    np.testing.assert_allclose(theta.times(vectors), expected @ vectors, atol=1e-13)
    assert theta.log_determinant() == pytest.approx(-np.linalg.slogdet(expected)[1], abs=1e-12)


@forms
@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 2**32 - 1), added=st.integers(0, 5), removed=st.integers(0, 5))
def test_refactorising_is_a_fresh_inverse_whatever_was_there(form, seed, added, removed):
    rng = np.random.default_rng(seed)
    covariance = low_rank(20, 4, seed)
    sigma = covariance.dense()
    x = 3 * rng.normal(size=(20, added))
    part = np.linalg.qr(rng.normal(size=(20, removed)))[0]
    y = 0.7 * np.linalg.cholesky(sigma + x @ x.T) @ part
    theta = invert(covariance, form=form)
    theta.change(rng.normal(size=(3, 20)), 1.0)  # to be forgotten
    theta.refactorise(x, y)
    fresh = np.linalg.inv(sigma + x @ x.T - y @ y.T)
    assert np.abs(theta.matrix() - fresh).max() <= 1e-11 * np.abs(fresh).max()


@pytest.mark.parametrize(("more", "less"), [(0, 0), (3, 0), (0, 2), (4, 2), (15, 9)], ids=str)
def test_a_difference_of_squares_is_that_of_orthogonal_columns(more, less):
    rng = np.random.default_rng(more)
    x, y = rng.normal(size=(10, more)), rng.normal(size=(10, less))
    plus, minus = told_apart(x, y)
    assert plus.shape[1] + minus.shape[1] <= min(10, more + less)
    np.testing.assert_allclose(plus @ plus.T - minus @ minus.T, x @ x.T - y @ y.T, atol=1e-12)
    np.testing.assert_allclose(plus.T @ minus, 0, atol=1e-12)


@forms
@pytest.mark.parametrize("size", [1e2, 1e4])
def test_what_came_and_went_by_other_columns_leaves_no_more_than_its_rounding(form, size):
    rng = np.random.default_rng(5)
    covariance = low_rank(30, 4)
    x = size * rng.normal(size=(30, 3))
    turned = x @ np.linalg.qr(rng.normal(size=(3, 3)))[0]  # the same x xᵀ
    theta = invert(covariance, form=form)
    theta.refactorise(x, turned)
    fresh = np.linalg.inv(covariance.dense())
    # x xᵀ is rounded once, not once more for every time that its size goes into the inverse.
    assert np.abs(theta.matrix() - fresh).max() <= 1e-14 * size**2 * np.abs(fresh).max()


@forms
def test_a_failed_refactorisation_leaves_what_was_there(form):
    theta = invert(low_rank(12, 3), form=form)
    theta.change(0.1 * np.ones((1, 12)), 1.0)
    before = theta.matrix()
    with pytest.raises(InputError, match="not positive definite"):
        theta.refactorise(np.zeros((12, 0)), 10 * np.eye(12)[:, :2])
    np.testing.assert_array_equal(theta.matrix(), before)
    with pytest.raises(InputError, match="covariance"):
        theta.refactorise(np.full((12, 1), np.nan), np.zeros((12, 0)))
    np.testing.assert_array_equal(theta.matrix(), before)


def test_a_base_takes_what_was_added_and_removed():
    covariance = low_rank(12, 3)
    x, y = np.ones((12, 2)), 0.1 * np.eye(12)[:, :1]
    theta = DensePrecision(covariance)
    theta.rebase(x, y)
    expected = covariance.dense() + x @ x.T - y @ y.T
    np.testing.assert_allclose(theta.covariance, expected, atol=1e-14)
    np.testing.assert_array_equal(theta.covariance, theta.covariance.T)


def test_a_precision_that_is_known_is_taken_as_it_is():
    sigma = low_rank(9, 2).dense()
    known = np.linalg.inv(sigma)
    known = np.where(np.abs(known) < 0.05, 0.0, (known + known.T) / 2)
    copy, own = known.copy(), sigma.copy()
    theta = invert(sigma, known)
    np.testing.assert_array_equal(theta.matrix(), known)
    assert (known == 0).any()
    theta.change(np.ones((1, 9)), 1.0)
    theta.refactorise(np.ones((9, 2)), 0.1 * np.ones((9, 1)))
    theta.rebase(np.ones((9, 2)), 0.1 * np.ones((9, 1)))
    np.testing.assert_array_equal(known, copy)  # neither of what was given has changed
    np.testing.assert_array_equal(sigma, own)


@pytest.mark.parametrize(("genes", "rank", "form"), [(10, 4, "implicit"), (10, 5, "dense")])
def test_the_form_suits_the_size_where_none_is_asked(genes, rank, form):
    assert invert(low_rank(genes, rank)).form == form
    assert invert(low_rank(genes, rank).dense()).form == "dense"


@forms
def test_a_covariance_without_inverse_is_refused(form):
    good = low_rank(6, 2)
    without = LowRank(np.where(np.arange(6) == 2, 0.0, good.diagonal), 0 * good.factor)
    with pytest.raises(InputError, match=r"not positive definite|without variance of its own"):
        invert(without, form=form)
    broken = LowRank(good.diagonal, np.where(good.factor > 0, np.nan, good.factor))
    with pytest.raises(InputError, match="not finite"):
        invert(broken, form=form)


def test_the_triangle_above_is_of_no_account():
    lower = np.random.default_rng(4).normal(size=(5, 5))
    matrix = symmetric(lower)
    np.testing.assert_array_equal(matrix, matrix.T)
    np.testing.assert_array_equal(np.tril(matrix), np.tril(lower))


def test_an_implicit_precision_is_made_of_its_arrays():
    theta = ImplicitPrecision(low_rank(11, 3))
    theta.change(0.1 * np.ones((2, 11)), 1.0)
    arrays = theta.arrays()
    rows, signs = arrays["rows"], arrays["signs"]
    assert rows.shape == (5, 11)
    matrix = np.diag(arrays["diagonal"]) - sum(
        sign * np.outer(row, row) for sign, row in zip(signs, rows, strict=True)
    )
    np.testing.assert_allclose(theta.matrix(), matrix, atol=1e-14)


@forms
def test_what_is_not_definite_has_no_finite_determinant(form):
    theta = invert(low_rank(8, 2), form=form)
    theta.change(10 * np.eye(8)[[3]], -1.0)
    assert np.linalg.eigvalsh(theta.matrix())[0] < 0
    assert theta.log_determinant() == np.inf


# Partial correlations.


@forms
@shapes
def test_partial_correlations_are_those_of_the_definition(form, genes, rank):
    theta = invert(low_rank(genes, rank), form=form)
    rho = theta.partial_correlations()
    assert rho.genes == genes
    np.testing.assert_allclose(rho.matrix(), partial_by_definition(theta.matrix()), atol=1e-13)
    np.testing.assert_array_equal(np.diag(rho.matrix()), 1.0)


ASKED = [
    slice(None),
    slice(3, 9),
    slice(4, 4),
    slice(12, 40),
    slice(None, None, 3),
    np.array([5, 2, 11]),
    np.array([3]),
    np.array([], dtype=int),
    np.arange(13) % 2 == 0,
]


@forms
@pytest.mark.parametrize("rows", ASKED, ids=str)
@pytest.mark.parametrize("columns", ASKED, ids=str)
def test_a_block_is_that_part_of_the_matrix(form, rows, columns):
    rho = invert(low_rank(13, 4), form=form).partial_correlations()
    expected = rho.matrix()[rows][:, columns]
    block = rho.block(rows, columns)
    assert block.shape == expected.shape
    np.testing.assert_allclose(block, expected, rtol=0, atol=1e-14)
    every = np.arange(13)
    own = every[rows][:, None] == every[columns]
    np.testing.assert_array_equal(block[own], 1.0)


@forms
def test_partial_correlations_are_as_of_when_they_were_asked(form):
    theta = invert(low_rank(13, 4), form=form)
    rho = theta.partial_correlations()
    before = rho.matrix().copy()
    theta.change(np.ones((1, 13)), 1.0)
    np.testing.assert_array_equal(rho.matrix(), before)
    assert np.abs(theta.partial_correlations().matrix() - before).max() > 0.01


def test_exact_zeros_of_a_sparse_precision_stay():
    theta = np.eye(4) + 0.3 * (np.eye(4, k=1) + np.eye(4, k=-1))
    rho = DensePartial.of(theta).matrix()
    assert rho[0, 1] == pytest.approx(-0.3)
    assert rho[0, 2] == rho[0, 3] == 0.0
