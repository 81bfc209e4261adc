"""Precision matrices Θ = Σ⁻¹: in which form they are kept, and what can be said of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
from scipy import linalg
from scipy.sparse.linalg import LinearOperator, eigsh

from lgem.errors import InputError
from lgem.network.dense import DensePartial, DensePrecision, inverse_triangle, symmetric
from lgem.network.implicit import ImplicitPrecision
from lgem.network.structure import Covariance, LowRank
from lgem.network.updates import UpdatedPrecision
from lgem.systems import Diagnosis, System, diagnose_extremes, diagnose_spectrum

Form = Literal["dense", "implicit"]
# Genes whose matrices are kept in full: 4 × 128 MiB. Beyond, memory is genes × rank.
DENSE_GENES = 4000
# Bytes of one of the three tables of genes × rank that the implicit form of a covariance takes.
LARGEST_TABLE = 2**30


def choose_form(asked: Literal["auto"] | Form, estimator: str, cells: int, genes: int) -> Form:
    """Return the form in which the precision of a panel is kept.

    Parameters
    ----------
    asked
        As in the config: ``auto`` is dense up to 4,000 genes.
    estimator
        Its name; the graphical lasso has no factors and is always dense.
    cells, genes
        Size of the expression that it is estimated from.

    Raises
    ------
    InputError
        If the estimator, or the memory that it takes, does not allow the form.
    """
    form: Form = "dense" if genes <= DENSE_GENES else "implicit"
    if asked != "auto":
        form = asked
    if form == "dense":
        return form
    place, smaller = "network.panel", f"at most {DENSE_GENES} genes"
    if estimator == "graphical_lasso":
        raise InputError(
            place, f"{genes} genes for graphical_lasso, in the implicit form",
            f"{smaller}, or estimator factor_model",
        )  # fmt: skip
    table = 8 * genes * cells
    if estimator != "factor_model" and table > LARGEST_TABLE:
        raise InputError(
            place,
            f"{genes} genes over {cells} cells: tables of {table / 2**30:.1f} GiB for {estimator}",
            f"{smaller}, or estimator factor_model",
        )
    return form


def invert(
    covariance: Covariance, precision: np.ndarray | None = None, form: Form | None = None
) -> DensePrecision | ImplicitPrecision:
    """Return the precision of a covariance, in a form that suits its size.

    Parameters
    ----------
    covariance
        Σ.
    precision : (genes, genes)
        Θ, where it is known.
    form
        None for implicit where that has fewer numbers: factors, and many more genes than those.

    Raises
    ------
    InputError
        If the covariance is not finite or not positive definite.
    """
    if not isinstance(covariance, LowRank):
        return DensePrecision(covariance, precision)
    genes, rank = covariance.factor.shape
    if form is None:
        form = "implicit" if 2 * rank < genes else "dense"
    return DensePrecision(covariance) if form == "dense" else ImplicitPrecision(covariance)


def precision_matrix(covariance: np.ndarray) -> np.ndarray:
    """Invert a covariance by its Cholesky factor: Θ = L⁻ᵀ L⁻¹ where Σ = L Lᵀ.

    Parameters
    ----------
    covariance : (genes, genes)
        Symmetric positive definite.

    Returns
    -------
    (genes, genes)
        The precision, symmetric to the last bit.

    Raises
    ------
    InputError
        If the covariance is not finite or not positive definite.
    """
    return symmetric(inverse_triangle(np.array(covariance.T, order="F")))


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
    return DensePartial.of(precision).matrix()


def diagnose_precision(precision: UpdatedPrecision) -> Diagnosis:
    """Classify Σ Θ = I for a covariance as it stands now.

    The implicit form knows the extremes of its spectrum alone, by Lanczos iterations.
    """
    form = precision.form
    shape = (form.genes, form.genes)
    if isinstance(form, DensePrecision):
        return diagnose_spectrum(np.linalg.eigvalsh(form.matrix()), shape)
    largest = _largest(form.genes, precision.covariance_times)
    return diagnose_extremes(_largest(form.genes, form.times), 1.0 / largest, shape)


def _largest(genes: int, times: Callable[[np.ndarray], np.ndarray]) -> float:
    """Return the largest eigenvalue of a symmetric matrix that is given by its products."""
    operator = LinearOperator(
        (genes, genes), matvec=lambda vector: times(vector.reshape(-1, 1)).ravel(), dtype=float
    )
    start = np.random.default_rng(0).normal(size=genes)
    return float(eigsh(operator, k=1, which="LA", v0=start, tol=1e-8, return_eigenvectors=False)[0])


def diagnose_sample(values: np.ndarray) -> Diagnosis:
    """Classify the expression (cells × genes) that a covariance is estimated from."""
    cells, genes = values.shape
    tall = values if cells > genes else values.T
    singular = linalg.svdvals(linalg.qr(tall, mode="r")[0][: min(cells, genes)])
    return diagnose_spectrum(singular, values.shape)


def covariance_systems(
    sample: Diagnosis, chosen: str, before: Diagnosis, after: Diagnosis
) -> list[System]:
    """Return the linear systems behind the network: Σ Θ = I before and after the updates.

    Parameters
    ----------
    sample
        Of the standardised expression.
    chosen
        How the covariance was made to have an inverse, in words.
    before, after
        Of the precision before and after the updates.
    """
    alone = "" if sample.full_column_rank else ": it has no inverse of its own"
    made = (
        f"covariance of {sample.columns} genes over {sample.rows} samples, of rank "
        f"{sample.rank}{alone}; {chosen} brings its condition number from "
        f"{sample.condition**2:.3g} to {before.condition:.3g}"
    )
    return [
        System.of("covariance", before, made),
        System.of("covariance: updated", after, "the same after the updates"),
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
