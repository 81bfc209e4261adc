"""Networks as arrays in a file: what stages hand on, and what users read back."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from lgem.network.dense import DensePartial, DensePrecision
from lgem.network.implicit import ImplicitPartial, ImplicitPrecision
from lgem.network.structure import Covariance, LowRank
from lgem.network.updates import UpdatedPrecision

Arrays = Mapping[str, np.ndarray]
BEFORE, AFTER = "before", "after"


def covariance_arrays(covariance: Covariance) -> dict[str, np.ndarray]:
    """Return a covariance by name: itself, or its diagonal and factor."""
    if isinstance(covariance, LowRank):
        return {
            "covariance_diagonal": covariance.diagonal,
            "covariance_factor": covariance.factor,
        }
    return {"covariance": covariance}


def covariance_from(arrays: Arrays) -> Covariance:
    """Return the covariance that `covariance_arrays` wrote."""
    if "covariance" in arrays:
        return arrays["covariance"]
    return LowRank(arrays["covariance_diagonal"], arrays["covariance_factor"])


def precision_arrays(
    precision: DensePrecision | ImplicitPrecision, stage: str
) -> dict[str, np.ndarray]:
    """Return Θ at a stage by name: ``before``, or ``before_diagonal``, ``_rows`` and ``_signs``.

    In the implicit form Θ = diag(diagonal) − Σ_k signs_k rows_k rows_kᵀ.
    """
    if isinstance(precision, DensePrecision):
        return {stage: precision.matrix()}
    return {f"{stage}_{name}": values for name, values in precision.arrays().items()}


def partial_from(arrays: Arrays, stage: str) -> DensePartial | ImplicitPartial:
    """Return the partial correlations of a saved network ``before`` or ``after`` its updates."""
    if stage in arrays:
        return DensePartial.of(arrays[stage])
    parts = (arrays[f"{stage}_{name}"] for name in ("diagonal", "rows", "signs"))
    return ImplicitPartial.of(*parts)


def covariance_columns(arrays: Arrays, genes: np.ndarray, stage: str) -> np.ndarray:
    """Return columns of the covariance of a saved network (genes × as many)."""
    covariance = covariance_from(arrays)
    columns = covariance.columns(genes) if isinstance(covariance, LowRank) else covariance[:, genes]
    if stage == AFTER:
        for sign, name in ((1.0, "loadings"), (-1.0, "removed")):
            columns = columns + sign * (arrays[name] @ arrays[name][genes].T)
    return columns


def network_arrays(
    precision: UpdatedPrecision, before: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Return an updated network by name, with what it was before as `precision_arrays` gave it."""
    return {
        **covariance_arrays(precision.form.covariance),
        "loadings": precision.added,
        "removed": precision.removed,
        **before,
        **precision_arrays(precision.form, AFTER),
    }
