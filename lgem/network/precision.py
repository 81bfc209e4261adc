"""Precision matrices Θ = Σ⁻¹ and the partial correlations in them."""

from __future__ import annotations

import numpy as np
from scipy import linalg
from scipy.linalg import lapack

from lgem.errors import InputError
from lgem.systems import System, diagnose, diagnose_spectrum


def precision_matrix(covariance: np.ndarray) -> np.ndarray:
    """Invert a covariance by its Cholesky factor: Θ = L⁻ᵀ L⁻¹ where Σ = L Lᵀ.

    Parameters
    ----------
    covariance : (genes, genes)
        Symmetric positive definite; only its lower triangle is read.

    Returns
    -------
    (genes, genes)
        The precision, symmetric to the last bit.

    Raises
    ------
    InputError
        If the covariance is not finite or not positive definite.
    """
    if not np.isfinite(covariance).all():
        raise InputError("covariance", "values that are not finite", "numbers only")
    # Its transpose is the layout that LAPACK reads without a copy of its own: lower becomes upper.
    factor, failed = lapack.dpotrf(covariance.T, lower=False, clean=True)
    if not failed:
        triangle, failed = lapack.dpotri(factor, lower=False, overwrite_c=True)
    if failed:
        raise InputError(
            "covariance",
            f"a matrix that is not positive definite (first seen at gene {failed} of "
            f"{len(covariance)})",
            "a positive definite one; use more cells, fewer genes or an estimator that shrinks",
        )
    return triangle + np.triu(triangle, 1).T


def partial_correlations(precision: np.ndarray) -> np.ndarray:
    """Correlation of every two genes given all others: ρ_ij = −θ_ij / √(θ_ii θ_jj), diagonal 1.

    Parameters
    ----------
    precision : (genes, genes)
        Symmetric positive definite.

    Returns
    -------
    (genes, genes)
        Symmetric, free of the genes' units.
    """
    root = np.sqrt(np.diagonal(precision))
    correlations = -precision / np.outer(root, root)
    np.fill_diagonal(correlations, 1.0)
    return correlations


def covariance_systems(
    values: np.ndarray, shrinkage: float, before: np.ndarray, after: np.ndarray
) -> list[System]:
    """Return the linear systems behind the network: Σ Θ = I before and after the updates.

    Parameters
    ----------
    values : (cells, genes)
        Standardised expression.
    shrinkage
        Of the covariance.
    before, after : (genes, genes)
        The precision before and after the updates.
    """
    cells, genes = values.shape
    sample = diagnose(linalg.qr(values, mode="r")[0] if cells > genes else values)
    alone = "" if sample.full_column_rank else ": it has no inverse of its own"
    conditions = [
        diagnose_spectrum(np.linalg.eigvalsh(precision), precision.shape)
        for precision in (before, after)
    ]
    made = (
        f"covariance of {genes} genes over {cells} samples, of rank {sample.rank}{alone}; "
        f"shrinkage {shrinkage:.3g} brings its condition number from "
        f"{sample.condition**2:.3g} to {conditions[0].condition:.3g}"
    )
    return [
        System.of("covariance", conditions[0], made),
        System.of("covariance: updated", conditions[1], "the same after the updates"),
    ]


def condition_number(precision: np.ndarray) -> float:
    """Ratio κ of the largest to the smallest eigenvalue, the same for Θ as for Σ.

    Parameters
    ----------
    precision : (genes, genes)
        Symmetric positive definite; a covariance serves as well.
    """
    eigenvalues = np.linalg.eigvalsh(precision)
    return float(eigenvalues[-1] / eigenvalues[0])
