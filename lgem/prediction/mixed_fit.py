"""How linear mixed forms are fitted: schedules of steps, and when they have settled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy import linalg

from lgem.errors import InputError
from lgem.prediction.mixed_forms import (
    Forms,
    Modalities,
    cyclic_sweep,
    loadings,
    monotone_sweep,
    objective,
    start_of,
    with_loadings,
)
from lgem.systems import numerical_rank

if TYPE_CHECKING:
    from scipy import optimize

ACCELERATED, MONOTONE, CYCLIC = "accelerated", "monotone", "cyclic"
SCHEDULES = (ACCELERATED, MONOTONE, CYCLIC)
# Sweeps before the accelerated schedule turns to quasi-Newton steps: block steps are quick at
# first and slow at last. How many former steps these keep in mind.
FIRST_SWEEPS, MEMORY = 10, 20
# A rise by less than this share of F is rounding.
NEGLIGIBLE = 1e-14


@dataclass(frozen=True)
class Fitted:
    """A fit of the free form.

    Parameters
    ----------
    forms
        Codes and loadings, in the principal axes of K + H.
    objectives
        F at the start and after every sweep.
    converged
        Whether it settled before the sweeps ran out.
    """

    forms: Forms
    objectives: np.ndarray
    converged: bool


def fit_forms(
    data: Modalities,
    dimensions: int,
    penalty: float,
    *,
    schedule: str = ACCELERATED,
    sweeps: int = 2000,
    tolerance: float = 1e-9,
    seed: int | None = None,
) -> Fitted:
    """Fit the free form.

    Parameters
    ----------
    data
        The blocks.
    dimensions
        k.
    penalty
        ρ, on all five blocks; on fewer there is no minimum.
    schedule
        ``monotone``: exact steps block by block; ``accelerated``: a few of these, then
        quasi-Newton steps on F as a function of the codes alone, with loadings at their best, and
        a last block sweep: no step raises F either; ``cyclic``: the printed order, which may.
    sweeps
        Most sweeps.
    tolerance
        The fit has settled where a sweep lowers F by less than this share of it.
    seed
        Of the start, see `start_of`.

    Returns
    -------
    Fitted
        With forms in the principal axes of their codes, signs fixed.

    Raises
    ------
    InputError
        Where k is larger than the rank that Y can have, or ρ is not positive.
    """
    most = min(data.Y.shape)
    if not 1 <= dimensions <= most:
        raise InputError(
            "mixed_forms.dimensions",
            f"{dimensions}",
            f"1 to {most}, the smaller of {len(data.Y)} samples and {data.Y.shape[1]} genes",
        )
    if not penalty > 0:
        raise InputError("mixed_forms.penalty", f"{penalty:g}", "a number above 0")
    small, basis = _compressed(data)
    forms = with_loadings(small, start_of(small, dimensions, seed), penalty)
    if schedule == ACCELERATED:
        fitted = _accelerated(small, forms, penalty, sweeps, tolerance)
    else:
        steps: dict[str, Step] = {MONOTONE: monotone_sweep, CYCLIC: cyclic_sweep}
        fitted = _swept(small, forms, penalty, steps[schedule], sweeps, tolerance)
    turned = fitted.forms.canonical()
    found = _without_remnants(small, turned, penalty)
    objectives = fitted.objectives
    if found is not turned:
        objectives = np.append(objectives, objective(small, found, penalty))
    if basis is not None:
        found = replace(found, alpha=basis @ found.alpha)
    return replace(fitted, forms=found.canonical(), objectives=objectives)


def _without_remnants(data: Modalities, forms: Forms, rho: float) -> Forms:
    """Return the forms with axes at 0 that a large penalty has shrunk to next to nothing.

    F is lower without them, but they go on shrinking sweep by sweep and never arrive; left as they
    are they would pass for directions.
    """
    if not np.isfinite(forms.code).all():
        return forms
    best = objective(data, forms, rho)
    for axis in range(forms.K.shape[1]):
        keep = np.arange(forms.K.shape[1]) != axis
        less = Forms(*(getattr(forms, each.name) * keep for each in fields(Forms)))
        if objective(data, less, rho) <= best * (1 + NEGLIGIBLE):
            forms = less
    return forms


def _compressed(data: Modalities) -> tuple[Modalities, np.ndarray | None]:
    """Return the data with Y in coordinates of its row space, and the basis (genes × n).

    All fits of Y lie in its row space and lengths are the same there, so that with few samples
    nothing has to be computed gene by gene.
    """
    n, genes = data.Y.shape
    if genes <= n:
        return data, None
    basis, triangle = linalg.qr(data.Y.T, mode="economic")
    return replace(data, Y=triangle.T), basis


Step = Callable[[Modalities, Forms, float, int], Forms]


def _swept(
    data: Modalities, forms: Forms, rho: float, step: Step, sweeps: int, tolerance: float
) -> Fitted:
    """Repeat a sweep until F settles.

    A schedule that takes three sweeps for one round is compared with what it was three before; it
    may end in a cycle, which is no rest.
    """
    period = 3 if step is cyclic_sweep else 1
    found = [objective(data, forms, rho)]
    for number in range(sweeps):
        forms = step(data, forms, rho, number)
        found.append(objective(data, forms, rho))
        if not np.isfinite(found[-1]):
            break
        if number >= period and abs(found[-1 - period] - found[-1]) <= tolerance * found[-1]:
            at_rest = np.ptp(found[-1 - period :]) <= tolerance * found[-1]
            return Fitted(forms, np.array(found), bool(at_rest))
    return Fitted(forms, np.array(found), False)


def _accelerated(
    data: Modalities, forms: Forms, rho: float, sweeps: int, tolerance: float
) -> Fitted:
    """Sweep a few times, then minimise F over the codes with loadings at their best."""
    from scipy import optimize  # slow to import, and of no use to most jobs

    first = _swept(data, forms, rho, monotone_sweep, min(FIRST_SWEEPS, sweeps), tolerance)
    if first.converged or sweeps <= FIRST_SWEEPS:
        return first
    n, k = forms.K.shape
    parts = 2 if data.has_random else 1
    found = list(first.objectives)

    def value(flat: np.ndarray) -> tuple[float, np.ndarray]:
        codes = flat.reshape(parts, n, k)
        return projected_objective(data, codes[0], codes[1] if parts == 2 else None, rho)

    def settled() -> bool:
        return found[-2] - found[-1] <= tolerance * found[-1]

    # The optimiser's own tolerance is absolute where F is below 1: it would stop at the first step
    # on data in small units.
    def note(intermediate_result: optimize.OptimizeResult) -> None:
        found.append(float(intermediate_result.fun))
        if settled():
            raise StopIteration

    start = np.stack([first.forms.K, first.forms.H][:parts])
    result = optimize.minimize(
        value,
        start.ravel(),
        jac=True,
        method="L-BFGS-B",
        callback=note,
        options={
            "maxiter": sweeps - FIRST_SWEEPS,
            "maxfun": 4 * sweeps,
            "maxcor": MEMORY,
            "ftol": 0.0,
            "gtol": 0.0,
        },
    )
    codes = result.x.reshape(parts, n, k)
    H = codes[1] if parts == 2 else np.zeros((n, k))
    converged = settled()
    last = monotone_sweep(data, replace(first.forms, K=codes[0], H=H), rho)
    found.append(objective(data, last, rho))
    return Fitted(last, np.array(found), converged)


def projected_objective(
    data: Modalities, K: np.ndarray, H: np.ndarray | None, rho: float
) -> tuple[float, np.ndarray]:
    """Return F with α, β and u at their best for the codes, and its gradient in the codes.

    Returns
    -------
    float
        min over α, β, u of F.
    ndarray
        Its gradient (1 or 2, n, k), in K and, where there is one, H.
    """
    code = K if H is None else K + H
    in_Y, slope_Y = _eliminated(data.Y, code, rho)
    in_X, slope_X = _eliminated(data.X, K, rho)
    total = in_Y + in_X + rho * float(np.sum(K**2))
    slopes = [slope_Y + slope_X + 2 * rho * K]
    if H is not None:
        in_Z, slope_Z = _eliminated(data.Z, H, rho)
        total += in_Z + rho * float(np.sum(H**2))
        slopes.append(slope_Y + slope_Z + 2 * rho * H)
    return total, np.stack(slopes)


def _eliminated(block: np.ndarray, code: np.ndarray, rho: float) -> tuple[float, np.ndarray]:
    """Return min over loadings of ‖block − code loadingsᵀ‖² + ρ‖loadings‖², and its gradient.

    At the minimum only the direct dependence on the code counts: −2 (block − code Lᵀ) L.
    """
    best = loadings(block, code, rho)
    misfit = block - code @ best.T
    value = float(np.sum(misfit**2)) + rho * float(np.sum(best**2))
    return value, -2 * misfit @ best


def largest_dimensions(data: Modalities, asked: int) -> int:
    """Return k as asked for, or the rank of Y where that is smaller."""
    rank = numerical_rank(linalg.svdvals(data.Y), data.Y.shape)
    return max(1, min(asked, rank))
