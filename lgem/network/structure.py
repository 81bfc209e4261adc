"""Covariances of many genes by their structure: a diagonal and few factors, never genes × genes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import linalg
from scipy.linalg import LinAlgError, cholesky, solve_triangular


@dataclass(frozen=True)
class LowRank:
    """The covariance Σ = diag(d) + U Uᵀ.

    Parameters
    ----------
    diagonal : (genes,)
        d, positive.
    factor : (genes, k)
        U.
    """

    diagonal: np.ndarray
    factor: np.ndarray

    @property
    def genes(self) -> int:
        """Return the number of genes."""
        return len(self.diagonal)

    def times(self, vectors: np.ndarray) -> np.ndarray:
        """Multiply vectors, one a column, by Σ."""
        product = self.factor @ (self.factor.T @ vectors)
        return product + self.diagonal.reshape(-1, *[1] * (vectors.ndim - 1)) * vectors

    def columns(self, genes: np.ndarray) -> np.ndarray:
        """Return the columns of Σ that belong to some genes (genes × as many)."""
        found = self.factor @ self.factor[genes].T
        found[genes, np.arange(len(genes))] += self.diagonal[genes]
        return found

    def dense(self) -> np.ndarray:
        """Return Σ (genes × genes), symmetric to the last bit."""
        # A matrix times its own transpose: symmetric to the last bit, whichever BLAS computes it.
        covariance = self.factor @ self.factor.T
        covariance[np.diag_indices(self.genes)] += self.diagonal
        return covariance


Covariance = np.ndarray | LowRank


def dense(covariance: Covariance) -> np.ndarray:
    """Return a covariance as a matrix (genes × genes)."""
    return covariance.dense() if isinstance(covariance, LowRank) else covariance


def at_most_square(loadings: np.ndarray) -> np.ndarray:
    """Return loadings (genes × k) of the same X Xᵀ with no more columns than genes."""
    genes, columns = loadings.shape
    return loadings if columns <= genes else linalg.qr(loadings.T, mode="r")[0][:genes].T


def lemma_rows(projected: np.ndarray, loadings: np.ndarray, sign: float) -> np.ndarray:
    """Return V = L⁻¹ XᵀΘ with I ± XᵀΘX = L Lᵀ, so that (Σ ± X Xᵀ)⁻¹ = Θ ∓ VᵀV.

    Parameters
    ----------
    projected : (k, genes)
        XᵀΘ.
    """
    capacitance = np.eye(len(projected)) + sign * (projected @ loadings)
    if not np.isfinite(capacitance).all():
        raise LinAlgError("the capacitance is not finite")
    return solve_triangular(cholesky(capacitance, lower=True), projected, lower=True)
