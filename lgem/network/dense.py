"""A precision matrix in full, kept in one triangle and updated in place."""

from __future__ import annotations

import numpy as np
from scipy.linalg import blas, lapack

from lgem.errors import InputError
from lgem.network.structure import Covariance, dense

Genes = slice | np.ndarray


class DensePrecision:
    """Θ = Σ⁻¹ as a matrix, of which the lower triangle alone is kept up to date.

    An update touches every number of that triangle once and needs no other genes × genes memory.

    Parameters
    ----------
    covariance
        Σ, positive definite; kept, not copied.
    precision : (genes, genes)
        Θ, where it is known already.

    Raises
    ------
    InputError
        If Σ is not finite or not positive definite.
    """

    form = "dense"

    def __init__(self, covariance: Covariance, precision: np.ndarray | None = None) -> None:
        self.covariance = dense(covariance)
        self.genes = len(self.covariance)
        if precision is None:
            self._theta = inverse_triangle(np.array(self.covariance.T, order="F"))
        else:
            self._theta = np.array(precision.T, order="F")

    def covariance_times(self, vectors: np.ndarray) -> np.ndarray:
        """Multiply vectors, one a column, by Σ."""
        return self.covariance @ vectors

    def covariance_columns(self, genes: np.ndarray) -> np.ndarray:
        """Return columns of Σ."""
        return self.covariance[:, genes]

    def times(self, vectors: np.ndarray) -> np.ndarray:
        """Multiply vectors, one a column, by Θ."""
        return blas.dsymm(1.0, self._theta, np.asfortranarray(vectors), lower=True)

    def change(self, rows: np.ndarray, sign: float) -> None:
        """Add sign · VᵀV to Θ in place, V given by its rows (k × genes)."""
        self._theta = blas.dsyrk(
            sign, np.asfortranarray(rows), beta=1.0, c=self._theta, trans=True, lower=True,
            overwrite_c=True,
        )  # fmt: skip

    def refactorise(self, added: np.ndarray, removed: np.ndarray) -> None:
        """Set Θ to (Σ + X Xᵀ − Y Yᵀ)⁻¹, inverted afresh.

        Raises
        ------
        InputError
            If that is not positive definite; Θ is then what it was.
        """
        self._theta = inverse_triangle(self._changed(added, removed))

    def rebase(self, added: np.ndarray, removed: np.ndarray) -> None:
        """Let Σ + X Xᵀ − Y Yᵀ take the place of Σ."""
        changed = self._changed(added, removed)
        self.covariance = symmetric(changed)

    def _changed(self, added: np.ndarray, removed: np.ndarray) -> np.ndarray:
        """Return Σ + X Xᵀ − Y Yᵀ, its lower triangle."""
        matrix = np.array(self.covariance.T, order="F")
        for sign, loadings in ((1.0, added), (-1.0, removed)):
            if loadings.size:
                matrix = blas.dsyrk(
                    sign, np.asfortranarray(loadings), beta=1.0, c=matrix, lower=True,
                    overwrite_c=True,
                )  # fmt: skip
        return matrix

    def diagonal(self) -> np.ndarray:
        """Return the diagonal of Θ."""
        return np.diagonal(self._theta).copy()

    def log_determinant(self) -> float:
        """Return the logarithm of the determinant of the covariance whose inverse Θ is."""
        factor, failed = lapack.dpotrf(self._theta, lower=True)
        return -2.0 * float(np.sum(np.log(np.diagonal(factor)))) if not failed else np.inf

    def matrix(self) -> np.ndarray:
        """Return Θ (genes × genes), symmetric to the last bit."""
        return symmetric(self._theta)

    def partial_correlations(self) -> DensePartial:
        """Return ρ_ij = −θ_ij / √(θ_ii θ_jj), as of now."""
        return DensePartial.of(self._theta)


class DensePartial:
    """Partial correlations as a matrix (genes × genes)."""

    def __init__(self, matrix: np.ndarray) -> None:
        self._matrix = matrix
        self.genes = len(matrix)

    @classmethod
    def of(cls, lower: np.ndarray) -> DensePartial:
        """Scale a precision that is given by its lower triangle."""
        root = np.sqrt(np.diagonal(lower))
        scaled = np.tril(lower)
        scaled /= -root
        scaled /= root[:, None]
        np.fill_diagonal(scaled, 1.0)
        return cls(symmetric(scaled))

    def block(self, rows: Genes, columns: Genes) -> np.ndarray:
        """Return ρ of some genes with others (as many × as many)."""
        if isinstance(rows, slice) and isinstance(columns, slice):
            return self._matrix[rows, columns]
        return self._matrix[np.ix_(_positions(rows, self.genes), _positions(columns, self.genes))]

    def matrix(self) -> np.ndarray:
        """Return all of them (genes × genes)."""
        return self._matrix


def _positions(genes: Genes, total: int) -> np.ndarray:
    return np.arange(total)[genes]


def symmetric(lower: np.ndarray) -> np.ndarray:
    """Return the symmetric matrix with a lower triangle, whatever stands above it."""
    matrix = np.tril(lower)
    matrix += np.tril(lower, -1).T
    return matrix


def inverse_triangle(matrix: np.ndarray) -> np.ndarray:
    """Invert a symmetric positive definite matrix in place: Θ = L⁻ᵀ L⁻¹ where Σ = L Lᵀ.

    Parameters
    ----------
    matrix : (genes, genes)
        In column-major order; its lower triangle is read, and overwritten by the inverse's.

    Raises
    ------
    InputError
        If it is not finite or not positive definite.
    """
    if not np.isfinite(np.einsum("ij->", matrix)) and not np.isfinite(matrix).all():
        raise InputError("covariance", "values that are not finite", "numbers only")
    factor, failed = lapack.dpotrf(matrix, lower=True, clean=False, overwrite_a=True)
    if not failed:
        factor, failed = lapack.dpotri(factor, lower=True, overwrite_c=True)
    if failed:
        raise InputError(
            "covariance",
            f"a matrix that is not positive definite (first seen at gene {failed} of "
            f"{len(matrix)})",
            "a positive definite one; more cells, fewer genes or another network.estimator",
        )
    return factor
