"""Estimators of a covariance that has an inverse, each with the one number that it chooses.

All take expression that is centred within batches and scaled to unit variance (`standardise`), so
that S = values' values / cells is a correlation matrix. The shrinkage estimators differ in their
intensity δ alone: Σ = (1 − δ) S + δ I, which is a diagonal and as many factors as there are cells.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from lgem.errors import InputError
from lgem.network.factors import factor_model
from lgem.network.lasso import count_edges, graphical_lasso, refit
from lgem.network.precision import precision_matrix
from lgem.network.saved import covariance_arrays, covariance_from
from lgem.network.structure import Covariance, LowRank

SHRINKAGE, FACTORS, PENALTY = "shrinkage", "factors", "penalty"


@dataclass(frozen=True)
class Estimate:
    """A covariance and how it came about.

    Parameters
    ----------
    estimator
        Its name, one of `ESTIMATORS`.
    choice
        What was chosen: the intensity of the `SHRINKAGE` in [0, 1], the number of `FACTORS`, or
        the `PENALTY` of the graphical lasso.
    value
        The number.
    covariance
        Positive definite, in one of two structures.
    precision : (genes, genes)
        Where the estimator finds that first, with exact zeros; else None.
    note
        What else there is to say, such as why a search ended.
    """

    estimator: str
    choice: str
    value: float
    covariance: Covariance
    precision: np.ndarray | None = None
    note: str = ""

    @property
    def in_words(self) -> str:
        """The choice in words."""
        return f"{self.estimator.replace('_', ' ')} with {self.choice} {self.value:.3g}"


def estimate_arrays(estimate: Estimate) -> dict[str, np.ndarray]:
    """Return an estimate by name."""
    found = {
        "estimator": np.array(estimate.estimator),
        "choice": np.array(estimate.choice),
        "value": np.array(estimate.value),
        **covariance_arrays(estimate.covariance),
    }
    if estimate.precision is not None:
        found["precision"] = estimate.precision
    return found


def estimate_from(arrays: Mapping[str, np.ndarray]) -> Estimate:
    """Return the estimate that `estimate_arrays` wrote."""
    return Estimate(
        str(arrays["estimator"]),
        str(arrays["choice"]),
        float(arrays["value"]),
        covariance_from(arrays),
        arrays.get("precision"),
    )


def ledoit_wolf_intensity(values: np.ndarray) -> float:
    """Return the intensity that minimises the expected squared error, without assumptions.

    δ = Σ_c ‖z_c z_cᵀ − S‖² / n² / ‖S − μ I‖², at most 1, with μ = tr S / genes: sums over cells,
    and ‖S‖² from the smaller of S and its Gram matrix, so that it streams.

    References
    ----------
    Ledoit and Wolf, A well-conditioned estimator for large-dimensional covariance matrices,
    J. Multivariate Analysis 88 (2004).
    """
    size = _Size.of(values)
    fourth = float(np.sum(np.einsum("ij,ij->i", values, values) ** 2)) / size.cells
    return _at_most_one((fourth - size.square) / size.cells, size.beyond_identity)


def oas_intensity(values: np.ndarray) -> float:
    """Return the oracle approximating intensity, for normal data.

    References
    ----------
    Chen, Wiesel, Eldar and Hero, Shrinkage algorithms for MMSE covariance estimation, IEEE
    Transactions on Signal Processing 58 (2010), eq. 23.
    """
    size = _Size.of(values)
    over = (1 - 2 / size.genes) * size.square + size.trace**2
    return _at_most_one(over, (size.cells + 1 - 2 / size.genes) * size.beyond_identity)


def schaefer_strimmer_intensity(values: np.ndarray) -> float:
    """Return the intensity for correlations: Σ var(r_ij) / Σ r_ij² over pairs of genes.

    var(r_ij) is estimated from the products z_i z_j of single cells. Both sums follow from sums
    over cells: Σ_ij (z_i z_j)² = (Σ_i z_i²)² in each cell.

    References
    ----------
    Schäfer and Strimmer, A shrinkage approach to large-scale covariance matrix estimation,
    Statistical Applications in Genetics and Molecular Biology 4 (2005).
    """
    size = _Size.of(values)
    if size.cells < 3:
        raise InputError(
            "network.estimator", f"{size.cells} cells", "at least 3 for schaefer_strimmer"
        )
    squares = values**2
    products = float(np.sum(squares.sum(axis=1) ** 2 - np.sum(squares**2, axis=1))) / size.cells
    signal = size.square - float(np.sum(squares.mean(axis=0) ** 2))
    return _at_most_one((products - signal) / (size.cells - 1), signal)


@dataclass(frozen=True)
class _Size:
    """What shrinkage intensities are made from."""

    cells: int
    genes: int
    trace: float  # tr S
    square: float  # ‖S‖²

    @classmethod
    def of(cls, values: np.ndarray) -> _Size:
        cells, genes = values.shape
        gram = values.T @ values if genes <= cells else values @ values.T
        square = float(np.einsum("ij,ij->", gram, gram)) / cells**2
        return cls(cells, genes, float(np.einsum("ij,ij->", values, values)) / cells, square)

    @property
    def beyond_identity(self) -> float:
        """‖S − μ I‖²."""
        return self.square - self.trace**2 / self.genes


def _at_most_one(noise: float, signal: float) -> float:
    """Return noise / signal within [0, 1]; where nothing but noise is there, 1."""
    return min(1.0, max(0.0, noise / signal)) if signal > 0.0 else 1.0


def shrunk(values: np.ndarray, intensity: float) -> LowRank:
    """Return (1 − δ) S + δ I without forming it.

    Where δ is 0 it has an inverse only if there are more cells than genes.
    """
    cells, genes = values.shape
    return LowRank(np.full(genes, intensity), np.sqrt((1.0 - intensity) / cells) * values.T)


def _by_shrinkage(name: str, intensity: Callable[[np.ndarray], float]) -> Estimator:
    def estimate(values: np.ndarray, at: float | None = None) -> Estimate:
        delta = intensity(values) if at is None else at
        return Estimate(name, SHRINKAGE, delta, shrunk(values, delta))

    return estimate


def _by_factors(values: np.ndarray, at: float | None = None) -> Estimate:
    diagonal, factor, count = factor_model(values, None if at is None else int(at))
    return Estimate("factor_model", FACTORS, count, LowRank(diagonal, factor))


def _by_lasso(values: np.ndarray, at: float | None = None) -> Estimate:
    """Take the graph from the lasso, and the likeliest precision with its zeros.

    What the penalty keeps of an edge is too little; where the likelihood has no largest value
    (many edges, few cells) the penalised precision has to do.
    """
    found = graphical_lasso(values, at)
    precision, covariance = found.precision, found.covariance
    fitted = refit(values.T @ values / len(values), precision)
    if fitted is not None:
        precision, covariance = fitted, precision_matrix(fitted)
    note = f"{count_edges(precision)} edges; path of penalties: {found.ended}"
    return Estimate("graphical_lasso", PENALTY, found.penalty, covariance, precision, note)


# From standardised expression, and the choice if that is made already.
Estimator = Callable[..., Estimate]

ESTIMATORS: dict[str, Estimator] = {
    "ledoit_wolf": _by_shrinkage("ledoit_wolf", ledoit_wolf_intensity),
    "oas": _by_shrinkage("oas", oas_intensity),
    "schaefer_strimmer": _by_shrinkage("schaefer_strimmer", schaefer_strimmer_intensity),
    "factor_model": _by_factors,
    "graphical_lasso": _by_lasso,
}
