"""Updating a precision matrix instead of inverting again: Sherman, Morrison and Woodbury."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import LinAlgError, cholesky, solve_triangular

from lgem.errors import InputError
from lgem.network.precision import precision_matrix

# A sound precision, fresh or updated a hundred times, drifts by 0.05 to 10 times κ ε (measured for
# κ = 1e1 … 1e9 and 50 … 2,000 genes); a hundred times κ ε is damage, not rounding.
DRIFT_LIMIT = 100.0
# However ill-conditioned Σ is: what drifts by more than this is not its inverse.
LARGEST_DRIFT = 1e-3
PROBES = 4
# Ten steps of the power method find at least three quarters of κ on the same matrices.
POWER_STEPS = 10


def woodbury(precision: np.ndarray, loadings: np.ndarray) -> np.ndarray:
    """Add X Xᵀ to a covariance in its precision: (Σ + X Xᵀ)⁻¹ = Θ − VᵀV.

    V = L⁻¹ (XᵀΘ) with the capacitance I + XᵀΘX = L Lᵀ. It costs O(N²k), and what it subtracts is
    symmetric by construction: the result does not slip away from symmetry, update by update.

    Parameters
    ----------
    precision : (genes, genes)
        Θ = Σ⁻¹, symmetric positive definite.
    loadings : (genes, k)
        X, in the units of Σ^½.

    Returns
    -------
    (genes, genes)
        A new matrix, symmetric to the last bit if Θ is.

    Raises
    ------
    LinAlgError
        If the capacitance is not finite or not positive definite.

    References
    ----------
    Woodbury, Inverting modified matrices, Princeton Statistical Research Group, Memo 42 (1950).
    """
    projected = loadings.T @ precision
    capacitance = np.eye(loadings.shape[1]) + projected @ loadings
    if not np.isfinite(capacitance).all():
        raise LinAlgError("the capacitance is not finite")
    factor = cholesky(capacitance, lower=True)
    v = solve_triangular(factor, projected, lower=True)
    # A matrix times its own transpose: symmetric to the last bit, whichever BLAS computes it.
    return precision - v.T @ v


def sherman_morrison(precision: np.ndarray, loading: np.ndarray) -> np.ndarray:
    """Add x xᵀ to a covariance in its precision: (Σ + x xᵀ)⁻¹ = Θ − u uᵀ / (1 + xᵀu), u = Θx.

    Parameters
    ----------
    precision : (genes, genes)
        Θ = Σ⁻¹, symmetric positive definite.
    loading : (genes,)
        x, in the units of Σ^½.

    Returns
    -------
    (genes, genes)
        A new matrix, symmetric to the last bit if Θ is.

    Raises
    ------
    LinAlgError
        If 1 + xᵀu is not a finite positive number.

    References
    ----------
    Sherman and Morrison, Annals of Mathematical Statistics 21 (1950).
    """
    u = precision @ loading
    capacitance = 1.0 + loading @ u
    if not (np.isfinite(capacitance) and capacitance > 0.0):
        raise LinAlgError(f"the capacitance is {capacitance}")
    u /= np.sqrt(capacitance)
    return precision - np.outer(u, u)


def drift(
    precision: np.ndarray, covariance: np.ndarray, loadings: np.ndarray, probes: np.ndarray
) -> float:
    """Certify an updated precision: max over probes v of ‖Θ(Σ + X Xᵀ)v − v‖ / ‖v‖.

    Two passes over N × N matrices for the whole block of probes; Σ + X Xᵀ is never formed.

    Parameters
    ----------
    precision : (genes, genes)
        Θ, claimed to be (Σ + X Xᵀ)⁻¹.
    covariance : (genes, genes)
        Base Σ.
    loadings : (genes, k)
        Everything added since, X.
    probes : (genes, p)
        Random vectors, one a column.
    """
    residual = precision @ _apply(covariance, loadings, probes) - probes
    lengths = np.linalg.norm(residual, axis=0) / np.linalg.norm(probes, axis=0)
    return float(lengths.max())


def response_loadings(responses: np.ndarray, scale: np.ndarray, strength: float) -> np.ndarray:
    """Turn the responses to k perturbations into loadings X = strength · (R / scale)ᵀ / √k.

    X Xᵀ is strength² times the second moment, about control, of the mean expression of a cell that
    is equally likely to carry any of the k perturbations: what the part between perturbations
    adds to the covariance within them.

    Parameters
    ----------
    responses : (k, genes)
        R, predicted or observed effects (log-expression minus control).
    scale : (genes,)
        Standard deviation that the covariance's genes were divided by, in log-expression.
    strength : float
        Factor on the responses, without units; 1 takes them at face value.

    Returns
    -------
    (genes, k)
        Loadings in the units of the standardised covariance.

    Raises
    ------
    InputError
        If there is no response, or one has values that are not finite.
    """
    if not len(responses):
        raise InputError("responses for the network", "none", "at least one perturbation")
    broken = np.flatnonzero(~np.isfinite(responses).all(axis=1))
    if len(broken):
        raise InputError(
            "responses for the network",
            f"{len(broken)} of {len(responses)} with values that are not finite "
            f"(the first is number {broken[0] + 1})",
            "finite log-expression changes; leave out what was not predicted",
        )
    return strength * (responses / scale).T / np.sqrt(len(responses))


@dataclass(frozen=True)
class UpdateRecord:
    """What one update did.

    Attributes
    ----------
    source : str
        Where the loadings came from.
    rank : int
        Columns that were added.
    drift : float
        Certificate of the updated precision, as measured before any refactorisation.
    limit : float
        What `drift` may be: 100 κ ε with κ estimated for the updated covariance, at most 1e-3.
    refactorised : bool
        Whether the drift was beyond the limit, so that Σ + X Xᵀ was inverted afresh.
    """

    source: str
    rank: int
    drift: float
    limit: float
    refactorised: bool


class DensePrecision:
    """A precision matrix that follows its covariance through low-rank updates.

    Parameters
    ----------
    covariance : (genes, genes)
        Base Σ, that of the control cells. Kept, not copied.
    seed : int
        Of the random probes that certify the updates.

    Attributes
    ----------
    covariance : (genes, genes)
        The base Σ, which no update changes.
    loadings : (genes, total rank)
        Everything added so far, X, in the order of the updates.
    precision : (genes, genes)
        (Σ + X Xᵀ)⁻¹, symmetric to the last bit.

    Raises
    ------
    InputError
        If Σ is not positive definite.
    """

    def __init__(self, covariance: np.ndarray, seed: int) -> None:
        self.covariance = covariance
        self.loadings = np.empty((len(covariance), 0))
        self.precision = precision_matrix(covariance)
        self._probes = np.random.default_rng(seed).normal(size=(len(covariance), PROBES))

    def update(self, loadings: np.ndarray, source: str) -> UpdateRecord:
        """Add X Xᵀ to the covariance, certify the result, and invert afresh where it drifted.

        Parameters
        ----------
        loadings : (genes, k)
            X in the units of the standardised covariance.
        source : str
            Name of the update, for the record and for errors.

        Raises
        ------
        InputError
            If X has the wrong number of genes, is not finite, or is so large that the capacitance
            I + XᵀΘX or Σ + X Xᵀ cannot be factorised. The precision is then what it was.
        """
        place = f"network update '{source}'"
        if loadings.ndim != 2 or len(loadings) != len(self.covariance):
            expected = f"{len(self.covariance)} genes x rank"
            raise InputError(place, f"loadings of shape {loadings.shape}", expected)
        if not np.isfinite(loadings).all():
            raise InputError(place, "loadings that are not finite", "numbers only")
        accumulated = np.hstack([self.loadings, loadings])
        try:
            # What overflows here fails its checks, and is told once.
            with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
                precision = self._updated(loadings)
                measured = drift(precision, self.covariance, accumulated, self._probes)
                limit = self._drift_limit(precision, accumulated)
                refactorised = not (measured <= limit and np.diagonal(precision).min() > 0.0)
                if refactorised:
                    precision = precision_matrix(self.covariance + accumulated @ accumulated.T)
        except (LinAlgError, InputError) as error:
            raise InputError(
                place,
                f"loadings as large as {np.abs(loadings).max():.2g}, with which the covariance "
                f"cannot be inverted ({error})",
                "loadings in standard deviations of the genes; is the strength too large?",
            ) from error
        self.precision, self.loadings = precision, accumulated
        return UpdateRecord(source, loadings.shape[1], measured, limit, refactorised)

    def _updated(self, loadings: np.ndarray) -> np.ndarray:
        if loadings.shape[1] == 1:
            return sherman_morrison(self.precision, loadings[:, 0])
        return woodbury(self.precision, loadings)

    def _drift_limit(self, precision: np.ndarray, loadings: np.ndarray) -> float:
        """100 κ ε, with κ = λ_max(Σ + X Xᵀ) λ_max(Θ) estimated from below in O(N²)."""
        above = below = self._probes[:, 0]
        for _ in range(POWER_STEPS):
            above = _apply(self.covariance, loadings, above / np.linalg.norm(above))
            below = precision @ (below / np.linalg.norm(below))
        condition = float(np.linalg.norm(above) * np.linalg.norm(below))
        return min(LARGEST_DRIFT, DRIFT_LIMIT * condition * float(np.finfo(float).eps))


def _apply(covariance: np.ndarray, loadings: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Multiply by Σ + X Xᵀ without forming it."""
    return covariance @ vectors + loadings @ (loadings.T @ vectors)
