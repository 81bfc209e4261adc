"""Solvers of the linear gene expression model: minimise ‖R − G W Pᵀ‖² over W.

Every solver takes the residual R = Y − b1ᵀ (genes × perturbations), the gene embedding
G (genes × d), the perturbation embedding P (perturbations × d) and a penalty, and returns
W (d × d). They can be exchanged freely.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import linalg

from lgem.systems import numerical_rank

Solver = Callable[[np.ndarray, np.ndarray, np.ndarray, float], np.ndarray]


def pinv(R: np.ndarray, G: np.ndarray, P: np.ndarray, penalty: float = 0.0) -> np.ndarray:
    """Return W = G⁺ R (P⁺)ᵀ, the solution of minimum norm; the penalty is not used."""
    return ridge(R, G, P, 0.0)


def ridge(R: np.ndarray, G: np.ndarray, P: np.ndarray, penalty: float) -> np.ndarray:
    """Return W = (GᵀG + λI)⁻¹ Gᵀ R P (PᵀP + λI)⁻¹, the published two-sided ridge.

    Its limit for λ = 0 is `pinv`, also where an embedding is rank deficient.
    """
    return damped_inverse(G, penalty) @ R @ damped_inverse(P, penalty).T


def damped_inverse(A: np.ndarray, penalty: float) -> np.ndarray:
    """Return (AᵀA + λI)⁻¹ Aᵀ = V diag(s / (s² + λ)) Uᵀ, which is A⁺ for λ = 0.

    The singular values keep the condition number of A from being squared, so that any λ will do;
    those that count as zero by the rule of `numerical_rank` contribute nothing.
    """
    U, s, Vt = linalg.svd(A, full_matrices=False)
    rank = numerical_rank(s, A.shape)
    U, s, Vt = U[:, :rank], s[:rank], Vt[:rank]
    return (Vt.T * (s / (s**2 + penalty))) @ U.T


SOLVERS: dict[str, Solver] = {"pinv": pinv, "ridge": ridge}
