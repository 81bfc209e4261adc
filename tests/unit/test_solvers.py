"""Every solver of min ‖R − G W Pᵀ‖² against the slow, obvious solution."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lgem.prediction.solvers import SOLVERS, pinv, ridge

# (genes, perturbations, dimensions): tall and wide embeddings, and square ones
SHAPES = [(30, 12, 4), (30, 3, 6), (5, 12, 7), (4, 3, 6), (6, 6, 6), (20, 1, 3), (9, 5, 1)]


def of_rank(rng, rows, columns, rank):
    """A matrix with so many singular values between 0.5 and 3, the others nought."""
    left = np.linalg.qr(rng.normal(size=(rows, rank)))[0]
    right = np.linalg.qr(rng.normal(size=(columns, rank)))[0]
    return (left * rng.uniform(0.5, 3, size=rank)) @ right.T


def system(seed, shape, lost_g=0, lost_p=0):
    """R, G and P of the given shape, with embeddings that lack some of their possible rank."""
    genes, perturbations, dimensions = shape
    rng = np.random.default_rng(seed)
    ranks = [
        max(1, min(rows, dimensions) - lost)
        for rows, lost in ((genes, lost_g), (perturbations, lost_p))
    ]
    G = of_rank(rng, genes, dimensions, ranks[0])
    P = of_rank(rng, perturbations, dimensions, ranks[1])
    return rng.normal(size=(genes, perturbations)), G, P


def kronecker(R, G, P, penalty):
    """vec(W) = lstsq(P ⊗ G, vec(R)), columns stacked: least squares of minimum norm."""
    vec = np.linalg.lstsq(np.kron(P, G), R.reshape(-1, order="F"), rcond=1e-10)[0]
    return vec.reshape(G.shape[1], P.shape[1], order="F")


def two_sided_ridge(R, G, P, penalty):
    """W = (GᵀG + λI)⁻¹ Gᵀ R P (PᵀP + λI)⁻¹ with the inverses written out."""
    shrink = penalty * np.eye(G.shape[1])
    return np.linalg.inv(G.T @ G + shrink) @ G.T @ R @ P @ np.linalg.inv(P.T @ P + shrink)


OBVIOUS = {"pinv": kronecker, "ridge": two_sided_ridge}


@pytest.mark.parametrize("lost_p", [0, 1, 3])
@pytest.mark.parametrize("lost_g", [0, 1, 3])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("solver", SOLVERS)
def test_every_solver_gives_the_obvious_solution(solver, shape, lost_g, lost_p):
    R, G, P = system(1, shape, lost_g, lost_p)
    expected = OBVIOUS[solver](R, G, P, 0.1)
    np.testing.assert_allclose(SOLVERS[solver](R, G, P, 0.1), expected, rtol=0, atol=1e-10)


systems = st.builds(
    system,
    st.integers(0, 2**32 - 1),
    st.tuples(st.integers(1, 15), st.integers(1, 8), st.integers(1, 5)),
    st.integers(0, 3),
    st.integers(0, 3),
)


@settings(deadline=None, max_examples=60)
@given(system=systems)
def test_pinv_has_the_smallest_norm_of_all_solutions(system):
    R, G, P = system
    W = pinv(R, G, P)
    other = np.random.default_rng(1).normal(size=W.shape)
    project_g, project_p = np.linalg.pinv(G) @ G, np.linalg.pinv(P) @ P
    unseen = other - project_g @ other @ project_p  # what G · Pᵀ maps to nought
    np.testing.assert_allclose(G @ (W + unseen) @ P.T, G @ W @ P.T, atol=1e-10)
    assert np.sum(W * unseen) == pytest.approx(0, abs=1e-9)


@settings(deadline=None, max_examples=60)
@given(system=systems, step=st.floats(1e-3, 1))
def test_no_step_away_from_pinv_fits_better(system, step):
    R, G, P = system
    W = pinv(R, G, P)
    away = W + step * np.random.default_rng(2).normal(size=W.shape)
    assert np.linalg.norm(R - G @ W @ P.T) <= np.linalg.norm(R - G @ away @ P.T) + 1e-12


@settings(deadline=None, max_examples=60)
@given(system=systems)
def test_ridge_tends_to_pinv_as_its_penalty_vanishes(system):
    R, G, P = system
    target = pinv(R, G, P)
    errors = [np.abs(ridge(R, G, P, penalty) - target).max() for penalty in (1e-3, 1e-5, 1e-7)]
    assert errors[1] <= errors[0] / 50 + 1e-12
    assert errors[2] <= errors[1] / 50 + 1e-12
    for penalty in (1e-15, 1e-30, 1e-300, 0.0):
        np.testing.assert_allclose(ridge(R, G, P, penalty), target, rtol=0, atol=1e-10)


def test_ridge_without_a_penalty_is_pinv_to_the_last_bit():
    R, G, P = system(3, (30, 12, 4), 1, 1)
    np.testing.assert_array_equal(ridge(R, G, P, 0.0), pinv(R, G, P, 17.0))


@settings(deadline=None, max_examples=60)
@given(system=systems, penalty=st.floats(0, 10), factor=st.floats(1.01, 100))
def test_a_larger_penalty_gives_smaller_weights(system, penalty, factor):
    R, G, P = system
    norms = [np.linalg.norm(ridge(R, G, P, scale * penalty)) for scale in (1, factor)]
    assert norms[1] <= norms[0] * (1 + 1e-12)


@pytest.mark.parametrize("solver", SOLVERS)
@settings(deadline=None, max_examples=30)
@given(system=systems, penalty=st.floats(1e-3, 10))
def test_rotated_embeddings_fit_the_same(solver, system, penalty):
    R, G, P = system
    rng = np.random.default_rng(4)
    d = G.shape[1]
    turned_g, turned_p = (
        A @ np.linalg.qr(rng.normal(size=(d, d)))[0] for A in (G, P)
    )  # each embedding by a rotation of its own
    fit = G @ SOLVERS[solver](R, G, P, penalty) @ P.T
    turned = turned_g @ SOLVERS[solver](R, turned_g, turned_p, penalty) @ turned_p.T
    np.testing.assert_allclose(turned, fit, atol=1e-9)


@pytest.mark.parametrize("solver", SOLVERS)
def test_weights_recover_what_made_the_data(solver):
    rng = np.random.default_rng(5)
    G, P, W = rng.normal(size=(50, 4)), rng.normal(size=(20, 4)), rng.normal(size=(4, 4))
    np.testing.assert_allclose(SOLVERS[solver](G @ W @ P.T, G, P, 0.0), W, atol=1e-12)
