"""The formulas that update an inverse, each against a fresh inverse."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from network_cases import factors, normal, relative_error, removable
from scipy.linalg import LinAlgError

from lgem.network.precision import invert
from lgem.network.updates import inversion_lemma, sherman_morrison, woodbury

cases = st.tuples(st.integers(0, 2**32 - 1), st.integers(2, 60), st.integers(0, 12))


@settings(deadline=None, max_examples=40)
@given(case=cases, size=st.sampled_from([1e-3, 1.0, 30.0]))
def test_woodbury_equals_a_fresh_inverse(case, size):
    seed, genes, rank = case
    sigma = factors(seed, genes).dense()
    x = size * normal(seed + 1, genes, rank)
    theta = woodbury(np.linalg.inv(sigma), x)
    assert relative_error(theta, np.linalg.inv(sigma + x @ x.T)) <= 1e-9


@settings(deadline=None, max_examples=30)
@given(case=cases)
def test_sherman_morrison_is_woodbury_of_rank_one(case):
    seed, genes, _ = case
    theta = np.linalg.inv(factors(seed, genes).dense())
    x = normal(seed + 1, genes)
    assert relative_error(sherman_morrison(theta, x), woodbury(theta, x[:, None])) <= 1e-13


@settings(deadline=None, max_examples=30)
@given(case=cases)
def test_the_formulas_keep_exact_symmetry_and_definiteness(case):
    seed, genes, rank = case
    theta = invert(factors(seed, genes).dense()).matrix()
    x = normal(seed + 1, genes, rank + 1)
    for changed in (woodbury(theta, x), sherman_morrison(theta, x[:, 0])):
        np.testing.assert_array_equal(changed, changed.T)
        assert np.linalg.eigvalsh(changed)[0] > 0


def test_nothing_added_changes_nothing():
    theta = np.linalg.inv(factors(0, 20).dense())
    np.testing.assert_array_equal(woodbury(theta, np.zeros((20, 3))), theta)
    np.testing.assert_array_equal(woodbury(theta, np.zeros((20, 0))), theta)
    np.testing.assert_array_equal(sherman_morrison(theta, np.zeros(20)), theta)


@settings(deadline=None, max_examples=40)
@given(case=cases)
def test_the_inversion_lemma_holds_without_symmetry(case):
    seed, n, k = case
    rng = np.random.default_rng(seed)
    # Diagonally dominant: A, D and A − B D⁻¹ C all have inverses.
    a = rng.uniform(-1, 1, (n, n)) + 2 * n * np.eye(n)
    d = rng.uniform(-1, 1, (k, k)) + 2 * n * (k + 1) * np.eye(k)
    b, c = rng.uniform(-1, 1, (n, k)), rng.uniform(-1, 1, (k, n))
    expected = np.linalg.inv(a - b @ np.linalg.solve(d, c)) if k else np.linalg.inv(a)
    assert relative_error(inversion_lemma(np.linalg.inv(a), b, d, c), expected) <= 1e-9


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(2, 40))
def test_a_plus_u_v_is_its_case_of_rank_one(seed, n):
    a = normal(seed, n, n) + 3 * n * np.eye(n)
    u, v = normal(seed + 1, n, 1), normal(seed + 2, n, 1)
    inverse = np.linalg.inv(a)
    found = inversion_lemma(inverse, -u, np.ones((1, 1)), v.T)
    written_out = inverse - inverse @ u @ v.T @ inverse / (1 + v.T @ inverse @ u)
    assert relative_error(found, np.linalg.inv(a + u @ v.T)) <= 1e-9
    assert relative_error(found, written_out) <= 1e-13


@settings(deadline=None, max_examples=20)
@given(case=cases)
def test_adding_and_removing_covariance_are_cases_of_the_lemma(case):
    seed, genes, rank = case
    sigma = factors(seed, genes).dense()
    theta, identity = np.linalg.inv(sigma), np.eye(rank)
    x = normal(seed + 1, genes, rank)
    assert relative_error(inversion_lemma(theta, -x, identity, x.T), woodbury(theta, x)) <= 1e-12
    y = removable(seed + 2, sigma, min(rank, genes))
    without = inversion_lemma(theta, y, np.eye(y.shape[1]), y.T)
    assert relative_error(without, np.linalg.inv(sigma - y @ y.T)) <= 1e-9


@pytest.mark.parametrize("size", [1e-9, 1.0, 1e9])
def test_a_singular_capacitance_is_told(size):
    inverse = np.diag(normal(1, 6))
    u, v = normal(2, 6, 1), normal(3, 6, 1)
    u *= -1 / (v.T @ inverse @ u)  # 1 + vᵀA⁻¹u = 0: A + u vᵀ has no inverse
    assert abs(np.linalg.det(np.linalg.inv(inverse) + u @ v.T)) < 1e-10
    with pytest.raises(LinAlgError, match=r"capacitance .* singular \(smallest singular value"):
        inversion_lemma(inverse, -size * u, size * np.ones((1, 1)), v.T)
    twice = np.hstack([v, v])  # D − C A⁻¹ B of rank 1
    with pytest.raises(LinAlgError, match="singular"):
        inversion_lemma(inverse, twice, np.zeros((2, 2)), twice.T)
    with np.errstate(invalid="ignore"), pytest.raises(LinAlgError, match="singular"):
        inversion_lemma(inverse, np.full((6, 1), np.inf), np.ones((1, 1)), np.ones((1, 6)))


@pytest.mark.parametrize("rank", [1, 3])
def test_a_capacitance_that_is_not_positive_definite_is_told(rank):
    with pytest.raises(LinAlgError):
        woodbury(-np.eye(6), 2 * np.eye(6)[:, :rank])
    with pytest.raises(LinAlgError, match="capacitance is -3"):
        sherman_morrison(-np.eye(6), 2 * np.eye(6)[0])
