"""A precision matrix of many genes that is never formed: a diagonal and few rows."""

from __future__ import annotations

import numpy as np
from scipy.linalg import LinAlgError, cholesky, eigh, qr, solve_triangular

from lgem.errors import InputError
from lgem.network.dense import Genes
from lgem.network.structure import LowRank, at_most_square, lemma_rows

# Of a gene's unit variance; with less of its own, rounding is all that the precision would be.
LEAST = 1e-8


class ImplicitPrecision:
    """Θ = diag(e) − Σ_k s_k v_k v_kᵀ, the inverse of Σ = diag(d) + U Uᵀ and of what it becomes.

    Memory and time of an update are those of genes × rank, whatever the number of genes.

    Parameters
    ----------
    covariance
        Σ.

    Raises
    ------
    InputError
        If Σ is not finite or not positive definite.
    """

    form = "implicit"

    def __init__(self, covariance: LowRank) -> None:
        if not (np.isfinite(covariance.factor).all() and np.isfinite(covariance.diagonal).all()):
            raise InputError("covariance", "values that are not finite", "numbers only")
        if covariance.diagonal.min() <= LEAST:
            raise InputError(
                "covariance of the network",
                f"a gene without variance of its own ({covariance.diagonal.min():.2g})",
                f"more than {LEAST:g}: more cells, or another network.estimator",
            )
        self.covariance = covariance
        self.genes = covariance.genes
        self._entries = 1.0 / covariance.diagonal
        self._start(at_most_square(covariance.factor))

    def _start(self, factor: np.ndarray) -> None:
        """Set Θ to (diag(d) + U Uᵀ)⁻¹ = E − E U (I + Uᵀ E U)⁻¹ Uᵀ E, E = diag(1/d)."""
        projected = (self._entries[:, None] * factor).T
        capacitance = projected @ factor
        capacitance[np.diag_indices(len(capacitance))] += 1.0
        root = cholesky(capacitance, lower=True, overwrite_a=True)
        self._rows = solve_triangular(root, projected, lower=True, overwrite_b=True)
        self._signs = np.ones(len(self._rows))

    def covariance_times(self, vectors: np.ndarray) -> np.ndarray:
        """Multiply vectors, one a column, by Σ."""
        return self.covariance.times(vectors)

    def covariance_columns(self, genes: np.ndarray) -> np.ndarray:
        """Return columns of Σ."""
        return self.covariance.columns(genes)

    def times(self, vectors: np.ndarray) -> np.ndarray:
        """Multiply vectors, one a column, by Θ."""
        inner = self._signs[:, None] * (self._rows @ vectors)
        return self._entries[:, None] * vectors - self._rows.T @ inner

    def change(self, rows: np.ndarray, sign: float) -> None:
        """Add sign · VᵀV to Θ, V given by its rows (k × genes)."""
        self._rows = np.vstack([self._rows, rows])
        self._signs = np.append(self._signs, np.full(len(rows), -sign))

    def refactorise(self, added: np.ndarray, removed: np.ndarray) -> None:
        """Set Θ to (Σ + X Xᵀ − Y Yᵀ)⁻¹, from the diagonal on: all that is more, then what is less.

        Raises
        ------
        InputError
            If that is not positive definite; Θ is then what it was.
        """
        kept = self._rows, self._signs
        try:
            more = np.hstack([self.covariance.factor, added])
            if removed.size:
                more, removed = told_apart(more, removed)
            self._start(more)
            if removed.size:
                self.change(lemma_rows(self.times(removed).T, removed, -1.0), 1.0)
        except (LinAlgError, ValueError) as error:
            self._rows, self._signs = kept
            raise InputError(
                "covariance",
                f"a matrix that is not positive definite ({error})",
                "a positive definite one",
            ) from error

    def diagonal(self) -> np.ndarray:
        """Return the diagonal of Θ."""
        return _diagonal(self._entries, self._rows, self._signs)

    def log_determinant(self) -> float:
        """Return the logarithm of the determinant of the covariance whose inverse Θ is."""
        inner = -self._signs[:, None] * ((self._rows / self._entries) @ self._rows.T)
        inner[np.diag_indices(len(inner))] += 1.0
        sign, size = np.linalg.slogdet(inner)
        return -float(np.sum(np.log(self._entries)) + size) if sign > 0 else np.inf

    def matrix(self) -> np.ndarray:
        """Return Θ (genes × genes): for few genes."""
        theta = -(self._rows.T * self._signs) @ self._rows
        theta[np.diag_indices(self.genes)] += self._entries
        return theta

    def arrays(self) -> dict[str, np.ndarray]:
        """Return what Θ is made of: diagonal (genes,), rows (k × genes) and signs (k,)."""
        return {"diagonal": self._entries, "rows": self._rows, "signs": self._signs}

    def partial_correlations(self) -> ImplicitPartial:
        """Return ρ_ij = −θ_ij / √(θ_ii θ_jj), as of now."""
        return ImplicitPartial.of(self._entries, self._rows, self._signs)


def told_apart(more: np.ndarray, less: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return P and M, orthogonal, such that P Pᵀ − M Mᵀ is the difference of two such squares.

    What both of them hold goes here, by subtraction; inverted first, it would take digits along.

    Parameters
    ----------
    more, less : (genes, k), (genes, l)
        Any two sets of columns.
    """
    axes, triangle = qr(np.hstack([more, less]), mode="economic")
    signs = np.repeat([1.0, -1.0], [more.shape[1], less.shape[1]])
    sizes, inner = eigh((triangle * signs) @ triangle.T)
    columns = (axes @ inner) * np.sqrt(np.abs(sizes))
    return columns[:, sizes > 0.0], columns[:, sizes < 0.0]


class ImplicitPartial:
    """Partial correlations Σ_k s_k v_ki v_kj of genes i ≠ j, from scaled rows."""

    def __init__(self, rows: np.ndarray, signs: np.ndarray) -> None:
        self._rows = rows
        self._signs = signs
        self.genes = rows.shape[1]

    @classmethod
    def of(cls, entries: np.ndarray, rows: np.ndarray, signs: np.ndarray) -> ImplicitPartial:
        """Scale the precision diag(entries) − Σ_k signs_k rows_k rows_kᵀ."""
        return cls(rows / np.sqrt(_diagonal(entries, rows, signs)), signs)

    def block(self, rows: Genes, columns: Genes) -> np.ndarray:
        """Return ρ of some genes with others (as many × as many)."""
        block = (self._rows[:, rows].T * self._signs) @ self._rows[:, columns]
        block[_same(rows, columns, self.genes)] = 1.0
        return block

    def matrix(self) -> np.ndarray:
        """Return all of them (genes × genes): for few genes."""
        return self.block(slice(None), slice(None))


def _diagonal(entries: np.ndarray, rows: np.ndarray, signs: np.ndarray) -> np.ndarray:
    """Return the diagonal of diag(entries) − Σ_k signs_k rows_k rows_kᵀ."""
    return entries - np.einsum("k,kj,kj->j", signs, rows, rows)


def _same(rows: Genes, columns: Genes, genes: int) -> tuple[np.ndarray, np.ndarray]:
    """Return where in a block of genes with genes a gene meets itself."""
    every = np.arange(genes)
    first, second = every[rows], every[columns]
    if not (isinstance(rows, slice) and isinstance(columns, slice)):
        one, other = np.nonzero(first[:, None] == second)
        return one, other
    # Most blocks have no such place: they are not searched.
    _, one, other = np.intersect1d(first, second, assume_unique=True, return_indices=True)
    return one, other
