"""Every solver of min ‖R − G W Pᵀ‖² against the slow, obvious solution.

The solver that works by gradients has tests of its own.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lgem.errors import InputError
from lgem.prediction.solvers import DAMPING, SOLVERS, Factor, kronecker, pinv, ridge, tikhonov

CLOSED = ("pinv", "kronecker", "ridge", "tikhonov")
# (genes, perturbations, columns of G, columns of P): tall, wide and square, alike and not
SHAPES = [
    *((30, 12, 4, 4), (30, 12, 5, 3), (30, 3, 6, 6), (5, 12, 7, 2), (4, 3, 6, 8)),
    *((6, 6, 6, 6), (20, 1, 3, 3), (9, 5, 1, 1), (9, 5, 1, 4)),
]
LOST = [(0, 0), (2, 0), (0, 2), (1, 1), (3, 3)]


def of_rank(rng, rows, columns, rank):
    """A matrix with so many singular values between 0.5 and 3, the others nought."""
    left = np.linalg.qr(rng.normal(size=(rows, rank)))[0]
    right = np.linalg.qr(rng.normal(size=(columns, rank)))[0]
    return (left * rng.uniform(0.5, 3, size=rank)) @ right.T


def system(seed, shape, lost=(0, 0)):
    """R, G and P of the given shape, with embeddings that lack some of their possible rank."""
    genes, perturbations, d, e = shape
    rng = np.random.default_rng(seed)
    G = of_rank(rng, genes, d, max(1, min(genes, d) - lost[0]))
    P = of_rank(rng, perturbations, e, max(1, min(perturbations, e) - lost[1]))
    return rng.normal(size=(genes, perturbations)), G, P


def least_squares(R, G, P, penalty):
    """vec(W) = lstsq(P ⊗ G, vec(R)), columns stacked: the solution of minimum norm."""
    vec = np.linalg.lstsq(np.kron(P, G), R.reshape(-1, order="F"), rcond=1e-10)[0]
    return vec.reshape(G.shape[1], P.shape[1], order="F")


def two_sided_ridge(R, G, P, penalty):
    """W = (GᵀG + λI)⁻¹ Gᵀ R P (PᵀP + λI)⁻¹ with the inverses written out."""
    left, right = penalty * np.eye(G.shape[1]), penalty * np.eye(P.shape[1])
    return np.linalg.inv(G.T @ G + left) @ G.T @ R @ P @ np.linalg.inv(P.T @ P + right)


def mean_squared_product(G, P):
    """The mean of the squared singular values of P ⊗ G, one for each of its columns."""
    return np.sum(np.kron(P, G) ** 2) / (G.shape[1] * P.shape[1])


def ridge_on_every_weight(R, G, P, penalty):
    """vec(W) = (AᵀA + λI)⁻¹ Aᵀ vec(R) with A = P ⊗ G."""
    A = np.kron(P, G)
    λ = penalty * mean_squared_product(G, P)
    vec = np.linalg.solve(A.T @ A + λ * np.eye(A.shape[1]), A.T @ R.ravel(order="F"))
    return vec.reshape(G.shape[1], P.shape[1], order="F")


OBVIOUS = {
    "pinv": least_squares,
    "kronecker": least_squares,
    "ridge": two_sided_ridge,
    "tikhonov": ridge_on_every_weight,
}


def slope(solver, R, G, P, W, penalty):
    """The gradient in W of what the solver minimises, halved and with its sign turned."""
    fit = G.T @ (R - G @ W @ P.T) @ P
    if solver == "tikhonov":
        return fit - penalty * mean_squared_product(G, P) * W
    if solver == "ridge":  # ‖R − GWPᵀ‖² + λ‖GW‖² + λ‖WPᵀ‖² + λ²‖W‖²
        return fit - penalty * (G.T @ G @ W + W @ P.T @ P) - penalty**2 * W
    return fit


def assert_same(found, expected, tolerance=1e-10):
    assert found.shape == expected.shape
    assert np.linalg.norm(found - expected) <= tolerance * np.linalg.norm(expected)


def test_every_solver_is_tested_here_or_among_the_gradients():
    assert {*CLOSED, "gradient"} == set(SOLVERS) == set(DAMPING)


@pytest.mark.parametrize("lost", LOST, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("solver", CLOSED)
def test_every_solver_gives_the_obvious_solution_and_cannot_be_bettered(solver, shape, lost):
    R, G, P = system(1, shape, lost)
    for penalty in (0.1, 3.0):
        W = SOLVERS[solver](R, G, P, penalty)
        assert_same(W, OBVIOUS[solver](R, G, P, penalty))
        size = np.linalg.norm(G.T @ R @ P)
        np.testing.assert_allclose(slope(solver, R, G, P, W, penalty), 0, atol=1e-12 * (1 + size))
    # Without a penalty they are all one.
    assert_same(SOLVERS[solver](R, G, P, 0.0), pinv(R, G, P))


systems = st.builds(
    system,
    st.integers(0, 2**32 - 1),
    st.tuples(st.integers(1, 15), st.integers(1, 8), st.integers(1, 5), st.integers(1, 5)),
    st.tuples(st.integers(0, 3), st.integers(0, 3)),
)


@pytest.mark.parametrize("solver", CLOSED)
@settings(deadline=None, max_examples=25)
@given(system=systems)
def test_without_a_penalty_no_solution_is_smaller(solver, system):
    R, G, P = system
    W = SOLVERS[solver](R, G, P, 0.0)
    other = np.random.default_rng(1).normal(size=W.shape)
    project_g, project_p = np.linalg.pinv(G) @ G, np.linalg.pinv(P) @ P
    unseen = other - project_g @ other @ project_p  # what G · Pᵀ maps to nought
    np.testing.assert_allclose(G @ (W + unseen) @ P.T, G @ W @ P.T, atol=1e-10)
    assert np.sum(W * unseen) == pytest.approx(0, abs=1e-9)


@settings(deadline=None, max_examples=40)
@given(system=systems, step=st.floats(1e-3, 1), penalty=st.floats(1e-3, 10))
def test_no_step_away_lowers_what_is_minimised(system, step, penalty):
    R, G, P = system
    λ = penalty * mean_squared_product(G, P)

    def objective(W, λ):
        return np.sum((R - G @ W @ P.T) ** 2) + λ * np.sum(W**2)

    for W, weight in ((pinv(R, G, P), 0.0), (tikhonov(R, G, P, penalty), λ)):
        away = W + step * np.random.default_rng(2).normal(size=W.shape)
        assert objective(W, weight) <= objective(away, weight) * (1 + 1e-12)


@pytest.mark.parametrize("solver", ["ridge", "tikhonov"])
@settings(deadline=None, max_examples=40)
@given(system=systems)
def test_a_vanishing_penalty_leads_to_pinv(solver, system):
    R, G, P = system
    target = pinv(R, G, P)
    errors = [np.abs(SOLVERS[solver](R, G, P, λ) - target).max() for λ in (1e-3, 1e-5, 1e-7)]
    assert errors[1] <= errors[0] / 50 + 1e-12
    assert errors[2] <= errors[1] / 50 + 1e-12
    for penalty in (1e-15, 1e-30, 1e-300, 0.0):
        np.testing.assert_allclose(
            SOLVERS[solver](R, G, P, penalty), target, rtol=0, atol=1e-10 * (1 + abs(target).max())
        )


@pytest.mark.parametrize("solver", ["ridge", "tikhonov"])
@settings(deadline=None, max_examples=40)
@given(system=systems, penalty=st.floats(0, 10), factor=st.floats(1.01, 100))
def test_a_larger_penalty_gives_smaller_weights(solver, system, penalty, factor):
    R, G, P = system
    norms = [np.linalg.norm(SOLVERS[solver](R, G, P, scale * penalty)) for scale in (1, factor)]
    assert norms[1] <= norms[0] * (1 + 1e-12)


@settings(deadline=None, max_examples=40)
@given(system=systems, penalty=st.floats(1e-3, 10), units=st.floats(1e-3, 1e3))
def test_a_penalty_of_tikhonov_means_the_same_in_any_units(system, penalty, units):
    R, G, P = system
    fit = G @ tikhonov(R, G, P, penalty) @ P.T
    other = (units * G) @ tikhonov(R, units * G, P / 7, penalty) @ (P / 7).T
    np.testing.assert_allclose(other, fit, atol=1e-10 * (1 + abs(fit).max()))


@pytest.mark.parametrize("solver", CLOSED)
@settings(deadline=None, max_examples=20)
@given(system=systems, penalty=st.floats(1e-3, 10))
def test_rotated_embeddings_fit_the_same(solver, system, penalty):
    R, G, P = system
    rng = np.random.default_rng(4)
    turned_g, turned_p = (
        A @ np.linalg.qr(rng.normal(size=(A.shape[1], A.shape[1])))[0] for A in (G, P)
    )  # each embedding by a rotation of its own
    fit = G @ SOLVERS[solver](R, G, P, penalty) @ P.T
    turned = turned_g @ SOLVERS[solver](R, turned_g, turned_p, penalty) @ turned_p.T
    np.testing.assert_allclose(turned, fit, atol=1e-9)


@pytest.mark.parametrize("solver", CLOSED)
def test_weights_recover_what_made_the_data(solver):
    rng = np.random.default_rng(5)
    G, P, W = rng.normal(size=(50, 4)), rng.normal(size=(20, 3)), rng.normal(size=(4, 3))
    np.testing.assert_allclose(SOLVERS[solver](G @ W @ P.T, G, P, 0.0), W, atol=1e-12)


@pytest.mark.parametrize("solver", sorted(DAMPING))
def test_many_penalties_at_once_damp_as_one_by_one(solver):
    _, G, P = system(6, (30, 12, 5, 3), (1, 1))
    left, right = Factor.of(G), Factor.of(P)
    penalties = np.array([0.0, 0.01, 1.0, 100.0])
    together = DAMPING[solver](left, right, penalties[:, None, None])
    assert together.shape == (4, 4, 2)
    for at, penalty in enumerate(penalties):
        np.testing.assert_array_equal(together[at], DAMPING[solver](left, right, float(penalty)))


def test_a_factor_is_cut_at_its_rank_and_keeps_the_mean_of_all_squares():
    _, G, _ = system(7, (30, 12, 5, 3), (2, 0))
    factor = Factor.of(G)
    assert len(factor.s) == 3
    np.testing.assert_allclose((factor.U * factor.s) @ factor.Vt, G, atol=1e-14)
    assert factor.mean_square == pytest.approx(np.sum(G**2) / 5)
    one, eye = Factor.identity(4), Factor.of(np.eye(4))
    np.testing.assert_array_equal((one.U * one.s) @ one.Vt, np.eye(4))
    assert one.mean_square == eye.mean_square == 1


def test_embeddings_of_nothing_but_noughts_give_no_weights():
    R = np.ones((5, 3))
    for solver in CLOSED:
        W = SOLVERS[solver](R, np.zeros((5, 2)), np.zeros((3, 2)), 0.1)
        np.testing.assert_array_equal(W, np.zeros((2, 2)))


def test_kronecker_refuses_what_does_not_fit_and_names_the_bytes():
    R, G, P = np.zeros((5000, 200)), np.zeros((5000, 20)), np.zeros((200, 20))
    with pytest.raises(InputError) as error:
        kronecker(R, G, P)
    message = str(error.value)
    assert "P ⊗ G of 1,000,000 × 400 numbers, which needs 9,600,000,000 bytes" in message
    assert "at most 2,147,483,648 bytes; solver pinv gives the same" in message
    assert pinv(R, G, P).shape == (20, 20)


def test_solvers_without_a_penalty_do_not_look_at_it():
    R, G, P = system(3, (30, 12, 4, 4), (1, 1))
    for solver in (pinv, kronecker):
        np.testing.assert_array_equal(solver(R, G, P, 0.0), solver(R, G, P, 17.0))
    for solver in (ridge, tikhonov):
        assert np.abs(solver(R, G, P, 0.1) - solver(R, G, P, 17.0)).max() > 0.01
