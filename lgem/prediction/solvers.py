"""Solvers of the linear gene expression model: minimise ‖R − G W Pᵀ‖² over W.

Every solver takes the residual R = Y − b1ᵀ (genes × perturbations), the gene embedding
G (genes × d), the perturbation embedding P (perturbations × e) and a penalty, and returns
W (d × e). They can be exchanged freely.

With the singular value decompositions of both embeddings, three of them are one formula,
W = V_G [F ∘ (U_Gᵀ R U_P)] V_Pᵀ, and differ in how F damps the products of singular values.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import linalg

from lgem.errors import InputError
from lgem.prediction.gradient import gradient
from lgem.systems import numerical_rank

Solver = Callable[[np.ndarray, np.ndarray, np.ndarray, float], np.ndarray]
KRONECKER_LIMIT = 2**31  # bytes


@dataclass(frozen=True)
class Factor:
    """The singular value decomposition U diag(s) Vᵀ of an embedding, cut at its rank.

    ``mean_square`` is the mean of the squared singular values over all columns of the embedding,
    those that count as zero included.
    """

    U: np.ndarray
    s: np.ndarray
    Vt: np.ndarray
    mean_square: float

    @classmethod
    def of(cls, A: np.ndarray) -> Factor:
        """Decompose an embedding (rows × dimensions)."""
        U, s, Vt = linalg.svd(A, full_matrices=False)
        rank = numerical_rank(s, A.shape)
        return cls(U[:, :rank], s[:rank], Vt[:rank], float(np.sum(s**2)) / max(A.shape[1], 1))

    @classmethod
    def identity(cls, size: int) -> Factor:
        """Return the decomposition of the identity."""
        return cls(np.eye(size), np.ones(size), np.eye(size), 1.0)


def inverse_damping(G: Factor, P: Factor, penalty: np.ndarray | float) -> np.ndarray:
    """Return F = 1 / (s_G s_P): no damping."""
    return 1 / np.multiply.outer(G.s, P.s) + 0.0 * np.asarray(penalty)


def ridge_damping(G: Factor, P: Factor, penalty: np.ndarray | float) -> np.ndarray:
    """Return F = s_G s_P / ((s_G² + λ) (s_P² + λ))."""
    λ = np.asarray(penalty)
    return (G.s[:, None] / (G.s[:, None] ** 2 + λ)) * (P.s / (P.s**2 + λ))


def tikhonov_damping(G: Factor, P: Factor, penalty: np.ndarray | float) -> np.ndarray:
    """Return F = s_G s_P / (s_G² s_P² + λ), λ in units of the mean squared singular product."""
    λ = np.asarray(penalty) * G.mean_square * P.mean_square
    product = np.multiply.outer(G.s, P.s)
    return product / (product**2 + λ)


# A penalty may be an array (n × 1 × 1): one F for each of n penalties.
DAMPING: dict[str, Callable[[Factor, Factor, np.ndarray | float], np.ndarray]] = {
    "pinv": inverse_damping,
    "kronecker": inverse_damping,
    "gradient": inverse_damping,
    "ridge": ridge_damping,
    "tikhonov": tikhonov_damping,
}


def _spectral(name: str) -> Solver:
    def solve(R: np.ndarray, G: np.ndarray, P: np.ndarray, penalty: float = 0.0) -> np.ndarray:
        left, right = Factor.of(G), Factor.of(P)
        damped = DAMPING[name](left, right, penalty) * (left.U.T @ R @ right.U)
        return left.Vt.T @ damped @ right.Vt

    return solve


def pinv(R: np.ndarray, G: np.ndarray, P: np.ndarray, penalty: float = 0.0) -> np.ndarray:
    """Return W = G⁺ R (P⁺)ᵀ, the solution of minimum norm; the penalty is not used."""
    return _spectral("pinv")(R, G, P, penalty)


def ridge(R: np.ndarray, G: np.ndarray, P: np.ndarray, penalty: float) -> np.ndarray:
    """Return W = (GᵀG + λI)⁻¹ Gᵀ R P (PᵀP + λI)⁻¹, the published two-sided ridge.

    Its limit for λ = 0 is `pinv`, also where an embedding is rank deficient.
    """
    return _spectral("ridge")(R, G, P, penalty)


def tikhonov(R: np.ndarray, G: np.ndarray, P: np.ndarray, penalty: float) -> np.ndarray:
    """Return the W that minimises ‖R − G W Pᵀ‖² + λ ‖W‖²; its limit for λ = 0 is `pinv`.

    λ is `penalty` times the mean squared product of a singular value of G and one of P, so that
    a penalty means the same whatever the units of the embeddings are.
    """
    return _spectral("tikhonov")(R, G, P, penalty)


def kronecker(R: np.ndarray, G: np.ndarray, P: np.ndarray, penalty: float = 0.0) -> np.ndarray:
    """Return W from vec(R) = (P ⊗ G) vec(W), the textbook form, by dense least squares.

    It gives what `pinv` gives, for a memory that grows with the product of all four sizes: for
    teaching and tests. The penalty is not used.

    Raises
    ------
    InputError
        Where the matrix and its decomposition would need more than `KRONECKER_LIMIT` bytes.
    """
    rows, columns = G.shape[0] * P.shape[0], G.shape[1] * P.shape[1]
    needed = 3 * 8 * rows * columns
    if needed > KRONECKER_LIMIT:
        raise InputError(
            "solver kronecker",
            f"P ⊗ G of {rows:,} × {columns:,} numbers, which needs {needed:,} bytes",
            f"at most {KRONECKER_LIMIT:,} bytes; solver pinv gives the same W without it",
        )
    tolerance = np.finfo(float).eps * max(rows, columns)
    solution = linalg.lstsq(np.kron(P, G), R.ravel(order="F"), cond=tolerance)[0]
    return solution.reshape(G.shape[1], P.shape[1], order="F")


SOLVERS: dict[str, Solver] = {
    "pinv": pinv,
    "kronecker": kronecker,
    "ridge": ridge,
    "tikhonov": tikhonov,
    "gradient": gradient,
}
PENALISED = ("ridge", "tikhonov")
