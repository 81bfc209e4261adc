"""Linear mixed forms: responses, fixed and random features that share low-dimensional codes.

    Y ≈ (K + H) αᵀ,   X ≈ K βᵀ,   Z ≈ H uᵀ

Y (samples × genes), X (samples × fixed-effect features), Z (samples × random-effect features),
codes K and H (samples × k). The free form minimises

    F = ‖Y − (K+H)αᵀ‖² + ‖X − Kβᵀ‖² + ‖Z − Huᵀ‖² + ρ (‖K‖² + ‖H‖² + ‖α‖² + ‖β‖² + ‖u‖²)

and never lets it rise. Only the column space of α is identified; how codes are split into K and H
depends on the start.

Notes
-----
After D. Banh, "Linear mixed forms". docs/mixed_forms.md says what the printed algorithm gets wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy import linalg, optimize

from lgem.errors import InputError
from lgem.prediction.components import signs_of
from lgem.systems import numerical_rank

ACCELERATED, MONOTONE, CYCLIC = "accelerated", "monotone", "cyclic"
SCHEDULES = (ACCELERATED, MONOTONE, CYCLIC)
# Sweeps before the accelerated schedule turns to quasi-Newton steps: block steps are quick at
# first and slow at last. How many former steps these keep in mind.
FIRST_SWEEPS, MEMORY = 10, 20


@dataclass(frozen=True)
class Modalities:
    """What is decomposed: Y (n × genes), X (n × fixed features), Z (n × random features).

    Without random features (no columns in Z) there is no random part: H is 0.
    """

    Y: np.ndarray
    X: np.ndarray
    Z: np.ndarray

    @property
    def has_random(self) -> bool:
        """Whether there are random-effect features."""
        return self.Z.shape[1] > 0

    def squares(self) -> float:
        """Return the sum of squares of all blocks."""
        return float(sum(np.sum(block**2) for block in (self.Y, self.X, self.Z)))


@dataclass(frozen=True)
class Forms:
    """Codes and loadings: all that is estimated.

    ``K`` and ``H`` are samples × k; ``alpha`` genes × k; ``beta`` and ``u`` features × k.
    """

    K: np.ndarray
    H: np.ndarray
    alpha: np.ndarray
    beta: np.ndarray
    u: np.ndarray

    @property
    def code(self) -> np.ndarray:
        """K + H (samples × k), what Y is decoded from."""
        return self.K + self.H

    def rotated(self, V: np.ndarray) -> Forms:
        """Return the same fit in other axes of the codes; V (k × k) is orthogonal."""
        return Forms(self.K @ V, self.H @ V, self.alpha @ V, self.beta @ V, self.u @ V)

    def canonical(self) -> Forms:
        """Return the same fit in the principal axes of K + H, signs fixed.

        The largest loading of every axis is positive, so that neither the order of samples nor
        the library of linear algebra decides the signs.
        """
        V = linalg.svd(self.code, full_matrices=False)[2].T
        return self.rotated(V * signs_of(self.alpha @ V))


@dataclass(frozen=True)
class Fitted:
    """Forms with the objective after every sweep, from the start on, and whether it settled."""

    forms: Forms
    objectives: np.ndarray
    converged: bool


def objective(data: Modalities, forms: Forms, rho: float) -> float:
    """Return F."""
    misfits = (
        data.Y - forms.code @ forms.alpha.T,
        data.X - forms.K @ forms.beta.T,
        data.Z - forms.H @ forms.u.T,
    )
    sizes = (forms.K, forms.H, forms.alpha, forms.beta, forms.u)
    squares = sum(float(np.sum(misfit**2)) for misfit in misfits)
    return squares + rho * sum(float(np.sum(size**2)) for size in sizes)


def _over(gram: np.ndarray, rho: float, right: np.ndarray) -> np.ndarray:
    """Return right (gram + ρI)⁻¹ for a positive semidefinite gram (k × k)."""
    system = gram + rho * np.eye(len(gram))
    return linalg.solve(system, right.T, assume_a="pos").T


def loadings(block: np.ndarray, code: np.ndarray, rho: float) -> np.ndarray:
    """Return the loadings (features × k) that decode a block from a code best: ridge regression."""
    return _over(code.T @ code, rho, block.T @ code)


def with_loadings(data: Modalities, forms: Forms, rho: float) -> Forms:
    """Return the forms with α, β and u at their best for the codes."""
    return replace(
        forms,
        alpha=loadings(data.Y, forms.code, rho),
        beta=loadings(data.X, forms.K, rho),
        u=loadings(data.Z, forms.H, rho),
    )


def fixed_code(data: Modalities, forms: Forms, rho: float) -> np.ndarray:
    """Return the best K for everything else."""
    right = (data.Y - forms.H @ forms.alpha.T) @ forms.alpha + data.X @ forms.beta
    return _over(forms.alpha.T @ forms.alpha + forms.beta.T @ forms.beta, rho, right)


def random_code(data: Modalities, forms: Forms, rho: float) -> np.ndarray:
    """Return the best H for everything else; 0 without random features."""
    if not data.has_random:
        return np.zeros_like(forms.H)
    right = (data.Y - forms.K @ forms.alpha.T) @ forms.alpha + data.Z @ forms.u
    return _over(forms.alpha.T @ forms.alpha + forms.u.T @ forms.u, rho, right)


def monotone_sweep(data: Modalities, forms: Forms, rho: float, _: int = 0) -> Forms:
    """Return the forms after one exact step in every block, in their principal axes.

    No step raises F. Between sweeps the axes may turn, all blocks together; to orthonormalise the
    codes there instead would raise it.
    """
    forms = with_loadings(data, forms, rho)
    forms = replace(forms, K=fixed_code(data, forms, rho))
    forms = replace(forms, H=random_code(data, forms, rho))
    return forms.canonical()


def cyclic_sweep(data: Modalities, forms: Forms, rho: float, number: int) -> Forms:
    """Return the forms after one step in the order of the printed algorithm, for comparison.

    K + H, K and H are set in turn, each from one block alone: from Y, X and Z. Transposes and
    inverses that the print lacks are there; what it leaves open, how a new K + H is shared out, is
    done half and half. Since a step looks at one block, the next one undoes it.
    """
    forms = with_loadings(data, forms, rho)
    if number % 3 == 0:
        change = _over(forms.alpha.T @ forms.alpha, rho, data.Y @ forms.alpha) - forms.code
        if not data.has_random:
            return replace(forms, K=forms.K + change)
        return replace(forms, K=forms.K + change / 2, H=forms.H + change / 2)
    if number % 3 == 1:
        return replace(forms, K=_over(forms.beta.T @ forms.beta, rho, data.X @ forms.beta))
    return replace(forms, H=_over(forms.u.T @ forms.u, rho, data.Z @ forms.u))


def start_of(data: Modalities, dimensions: int, seed: int | None = None) -> Forms:
    """Return codes to start from; loadings are 0 until the first step sets them.

    Parameters
    ----------
    data
        The blocks.
    dimensions
        k.
    seed
        None for the one start that depends on nothing but the data: the principal components of
        Y, the part of them that X explains in K, the part that Z explains in H, the rest in equal
        shares. Else components are shared out at random. Axes beyond the rank of Y are 0, and no
        step of a fit leaves that.
    """
    U, s, _ = linalg.svd(data.Y, full_matrices=False)
    code = np.zeros((len(data.Y), dimensions))
    # Components beyond the rank are rounding, which must not decide where a fit ends.
    kept = min(dimensions, numerical_rank(s, data.Y.shape))
    code[:, :kept] = U[:, :kept] * np.sqrt(s[:kept])
    if seed is None:
        both = np.hstack([data.X, data.Z])
        # A little ridge makes the shares unique where X and Z overlap.
        ridge = 1e-3 * float(np.mean(np.sum(both**2, axis=0))) if both.shape[1] else 0.0
        shares = loadings(code, both, ridge).T if ridge else np.zeros((both.shape[1], dimensions))
        split = data.X.shape[1]
        fixed, random = data.X @ shares[:split], data.Z @ shares[split:]
        rest = (code - fixed - random) / 2
        K, H = fixed + rest, random + rest
    else:
        weight = np.random.default_rng([seed, 2]).uniform(size=code.shape)
        K, H = weight * code, (1 - weight) * code
    if not data.has_random:
        K, H = code, np.zeros_like(code)
    empty = [np.zeros((block.shape[1], dimensions)) for block in (data.Y, data.X, data.Z)]
    return Forms(K, H, *empty)


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
    found = (
        fitted.forms if basis is None else replace(fitted.forms, alpha=basis @ fitted.forms.alpha)
    )
    return replace(fitted, forms=found.canonical())


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

    A schedule that takes three sweeps for one round is compared with what it was three before.
    """
    period = 3 if step is cyclic_sweep else 1
    found = [objective(data, forms, rho)]
    for number in range(sweeps):
        forms = step(data, forms, rho, number)
        found.append(objective(data, forms, rho))
        if not np.isfinite(found[-1]):
            break
        if number >= period and abs(found[-1 - period] - found[-1]) <= tolerance * found[-1]:
            return Fitted(forms, np.array(found), True)
    return Fitted(forms, np.array(found), False)


def _accelerated(
    data: Modalities, forms: Forms, rho: float, sweeps: int, tolerance: float
) -> Fitted:
    """Sweep a few times, then minimise F over the codes with loadings at their best."""
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
