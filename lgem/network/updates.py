"""Updating a precision matrix instead of inverting again: Sherman, Morrison and Woodbury."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import LinAlgError, eigvalsh, solve, svdvals

from lgem.errors import InputError
from lgem.network.dense import DensePrecision
from lgem.network.implicit import ImplicitPrecision
from lgem.network.structure import at_most_square, lemma_rows

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
    v = lemma_rows((precision @ loadings).T, loadings, 1.0)
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


def inversion_lemma(inverse: np.ndarray, b: np.ndarray, d: np.ndarray, c: np.ndarray) -> np.ndarray:
    """Invert a changed matrix: (A − B D⁻¹ C)⁻¹ = A⁻¹ + A⁻¹ B (D − C A⁻¹ B)⁻¹ C A⁻¹.

    None of the matrices needs to be symmetric; (A + u vᵀ)⁻¹ is the case B = −u, D = 1, C = vᵀ.

    Parameters
    ----------
    inverse : (n, n)
        A⁻¹.
    b, d, c : (n, k), (k, k), (k, n)
        B, D and C.

    Raises
    ------
    LinAlgError
        If the capacitance D − C A⁻¹ B is singular to working precision: A − B D⁻¹ C then is, too.
    """
    right = c @ inverse
    capacitance = d - right @ b
    if not capacitance.size:
        return inverse.copy()
    # Rows in units of the parts that they are differences of: what is left of 1 is rounding or not.
    parts = np.maximum(np.abs(d).max(axis=1), np.abs(right @ b).max(axis=1))
    scaled = capacitance / np.where(parts > 0.0, parts, 1.0)[:, None]
    singular = svdvals(scaled) if np.isfinite(scaled).all() else np.full(1, np.nan)
    if not singular.min() > np.finfo(float).eps * len(d):
        raise LinAlgError(
            "the capacitance D − C A⁻¹ B is singular "
            f"(smallest singular value {singular.min():.2g} of its parts)"
        )
    return inverse + (inverse @ b) @ solve(capacitance, right)


def cancelled(past: np.ndarray, new: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the columns of either array that the other has not, equal to the last bit."""
    positions: dict[bytes, list[int]] = {}
    for position, column in enumerate(past.T):
        positions.setdefault(column.tobytes(), []).append(position)
    gone, stays = [], []
    for position, column in enumerate(new.T):
        same = positions.get(column.tobytes())
        if same:
            gone.append(same.pop())
        else:
            stays.append(position)
    return np.delete(past, gone, axis=1), new[:, stays]


def update_in_place(
    form: DensePrecision | ImplicitPrecision, loadings: np.ndarray, sign: float = 1.0
) -> None:
    """Set Θ to (Σ ± X Xᵀ)⁻¹ in place, without a certificate.

    Raises
    ------
    LinAlgError
        If the capacitance is not positive definite. Θ is then what it was.
    """
    if loadings.size:
        form.change(lemma_rows(form.times(loadings).T, loadings, sign), -sign)


@dataclass(frozen=True)
class UpdateRecord:
    """What one update did.

    Attributes
    ----------
    source : str
        Where the loadings came from.
    operation : str
        ``add`` or ``remove``.
    rank : int
        Columns that were added or removed, at most as many as genes.
    drift : float
        Certificate of the updated precision, as measured before any refactorisation.
    limit : float
        What `drift` may be: 100 κ ε with κ estimated for the updated covariance, at most 1e-3.
    refactorised : bool
        Whether the drift was beyond the limit, so that the covariance was inverted afresh.
    """

    source: str
    operation: str
    rank: int
    drift: float
    limit: float
    refactorised: bool


class UpdatedPrecision:
    """A precision matrix that follows its covariance through low-rank updates.

    Parameters
    ----------
    form
        The precision of the base covariance Σ, that of the control cells, dense or implicit.
    seed : int
        Of the random probes that certify the updates.

    Attributes
    ----------
    form
        The same, updated.
    added, removed : (genes, total rank)
        X and Y: what came to Σ and what left it, in the order of the updates, less what did both.
    """

    def __init__(self, form: DensePrecision | ImplicitPrecision, seed: int) -> None:
        self.form = form
        self.added = self.removed = np.empty((form.genes, 0))
        self._probes = np.random.default_rng(seed).normal(size=(form.genes, PROBES))

    def add(self, loadings: np.ndarray, source: str) -> UpdateRecord:
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
            If X has the wrong number of genes, is not finite, or is so large that the covariance
            cannot be inverted any more: even a fresh inverse fails its certificate. Nothing is
            changed then (the precision is the same up to rounding).
        """
        return self._update(loadings, source, 1.0)

    def remove(self, loadings: np.ndarray, source: str) -> UpdateRecord:
        """Take Y Yᵀ from the covariance, as `add` adds.

        Raises
        ------
        InputError
            If what remains is not positive definite, or so nearly that rounding cannot tell.
            Nothing is changed then.
        """
        return self._update(loadings, source, -1.0)

    def drift(self) -> float:
        """Certify the precision: max over random probes v of ‖Θ(Σ + X Xᵀ − Y Yᵀ)v − v‖ / ‖v‖."""
        residual = self.form.times(self.covariance_times(self._probes)) - self._probes
        lengths = np.linalg.norm(residual, axis=0) / np.linalg.norm(self._probes, axis=0)
        return float(lengths.max())

    def covariance_columns(self, genes: np.ndarray) -> np.ndarray:
        """Return columns of the updated covariance (genes × as many)."""
        columns = self.form.covariance_columns(genes)
        added = self.added @ self.added[genes].T
        return columns + added - self.removed @ self.removed[genes].T

    def _update(self, loadings: np.ndarray, source: str, sign: float) -> UpdateRecord:
        place = f"network update '{source}'"
        if loadings.ndim != 2 or len(loadings) != self.form.genes:
            expected = f"{self.form.genes} genes x rank"
            raise InputError(place, f"loadings of shape {loadings.shape}", expected)
        if not np.isfinite(loadings).all():
            raise InputError(place, "loadings that are not finite", "numbers only")
        loadings = at_most_square(loadings)
        kept, after = (self.added, self.removed), self._history(loadings, sign)
        try:
            # What overflows here fails its checks, and is told once.
            with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
                changed = self._change(loadings, sign, after[1])
                self.added, self.removed = after
                try:
                    measured, limit = self.drift(), self._drift_limit()
                    refactorised = not (changed and self._sound(measured, limit))
                    if refactorised:
                        self.form.refactorise(*after)
                        fresh = self.drift()
                        if not self._sound(fresh, LARGEST_DRIFT):
                            raise LinAlgError(f"even inverted afresh it drifts by {fresh:.2g}")
                except (LinAlgError, InputError):
                    self.added, self.removed = kept
                    self.form.refactorise(*kept)
                    raise
        except (LinAlgError, ValueError, InputError) as error:
            raise self._refused(place, loadings, sign, error) from error
        self._compact()
        operation = "add" if sign > 0 else "remove"
        return UpdateRecord(source, operation, loadings.shape[1], measured, limit, refactorised)

    def _change(self, loadings: np.ndarray, sign: float, removed: np.ndarray) -> bool:
        """Update Θ; return whether that was possible, or what was added can only go afresh."""
        try:
            if sign < 0 and loadings.size:
                self._check_removal(loadings)
            update_in_place(self.form, loadings, sign)
        except (LinAlgError, ValueError):
            if sign > 0 or removed.shape[1] > self.removed.shape[1]:
                raise
            return False
        return True

    def _check_removal(self, loadings: np.ndarray) -> None:
        """Raise a LinAlgError if a removal would leave no more than rounding in some direction."""
        capacitance = np.eye(loadings.shape[1]) - loadings.T @ self.form.times(loadings)
        share = float(eigvalsh(capacitance).min())
        if not share > self._drift_limit():
            gone = f"{100 * (1 - share):.4g} %" if share < 0 else f"all but {share:.1e}"
            raise LinAlgError(f"{gone} of the variance of some direction would go")

    def _sound(self, measured: float, limit: float) -> bool:
        return measured <= limit and float(self.form.diagonal().min()) > 0.0

    def _history(self, loadings: np.ndarray, sign: float) -> tuple[np.ndarray, np.ndarray]:
        """Return X and Y after an update; a column that came and went stands in neither.

        So a fresh inverse after adding and removing is one of what is left, and loses nothing.
        """
        if sign > 0:
            removed, new = cancelled(self.removed, loadings)
            return np.hstack([self.added, new]), removed
        added, new = cancelled(self.added, loadings)
        return added, np.hstack([self.removed, new])

    def _compact(self) -> None:
        """Let a long history become the base, where the form can: the certificate stays cheap."""
        columns = self.added.shape[1] + self.removed.shape[1]
        if isinstance(self.form, DensePrecision) and columns > max(64, 8 * self.form.genes):
            self.form.rebase(self.added, self.removed)
            self.added = self.removed = np.empty((self.form.genes, 0))

    def _refused(
        self, place: str, loadings: np.ndarray, sign: float, error: Exception
    ) -> InputError:
        if sign < 0:
            return InputError(
                place,
                f"a removal after which the covariance is not positive definite ({error})",
                "loadings that are part of the covariance, as those of an update before",
            )
        return InputError(
            place,
            f"loadings as large as {np.abs(loadings).max():.2g}, with which the covariance "
            f"cannot be inverted ({error})",
            "loadings in standard deviations of the genes; is the strength too large?",
        )

    def _drift_limit(self) -> float:
        """100 κ ε, with κ = λ_max(Σ + X Xᵀ + Y Yᵀ) λ_max(Θ) estimated from below in O(N²).

        What was removed counts as what was added: products round at the size of their parts.
        """
        above = below = self._probes[:, :1]
        for _ in range(POWER_STEPS):
            above = self._covariance_times(above / np.linalg.norm(above), 1.0)
            below = self.form.times(below / np.linalg.norm(below))
        condition = float(np.linalg.norm(above) * np.linalg.norm(below))
        return min(LARGEST_DRIFT, DRIFT_LIMIT * condition * float(np.finfo(float).eps))

    def covariance_times(self, vectors: np.ndarray) -> np.ndarray:
        """Multiply vectors, one a column, by Σ + X Xᵀ − Y Yᵀ, which is not formed."""
        return self._covariance_times(vectors, -1.0)

    def _covariance_times(self, vectors: np.ndarray, sign: float) -> np.ndarray:
        product = self.form.covariance_times(vectors)
        if self.added.size:
            product = product + self.added @ (self.added.T @ vectors)
        if self.removed.size:
            product = product + sign * (self.removed @ (self.removed.T @ vectors))
        return product
