"""Solvers of the linear gene expression model: minimise ‖R − G W Pᵀ‖² over W.

Every solver takes the residual R = Y − b1ᵀ (genes × perturbations), the gene embedding
G (genes × d), the perturbation embedding P (perturbations × d) and a penalty, and returns
W (d × d). They can be exchanged freely.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import linalg

Solver = Callable[[np.ndarray, np.ndarray, np.ndarray, float], np.ndarray]


def pinv(R: np.ndarray, G: np.ndarray, P: np.ndarray, penalty: float = 0.0) -> np.ndarray:
    """Return W = G⁺ R (P⁺)ᵀ, the solution of minimum norm; the penalty is not used."""
    return pseudoinverse(G) @ R @ pseudoinverse(P).T


def ridge(R: np.ndarray, G: np.ndarray, P: np.ndarray, penalty: float) -> np.ndarray:
    """Return W = (GᵀG + λI)⁻¹ Gᵀ R P (PᵀP + λI)⁻¹, the published two-sided ridge.

    Where λ = 0 and an embedding is rank deficient, the solution of minimum norm takes its place.
    """
    if penalty == 0:
        return pinv(R, G, P)
    identity = np.eye(G.shape[1])
    left = linalg.solve(G.T @ G + penalty * identity, G.T @ R @ P, assume_a="pos")
    return linalg.solve(P.T @ P + penalty * identity, left.T, assume_a="pos").T


def pseudoinverse(A: np.ndarray) -> np.ndarray:
    """Return A⁺; singular values up to eps · max(shape) · largest count as zero."""
    return linalg.pinv(A, rtol=np.finfo(float).eps * max(A.shape))


SOLVERS: dict[str, Solver] = {"pinv": pinv, "ridge": ridge}
