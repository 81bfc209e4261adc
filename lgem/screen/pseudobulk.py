"""Pseudobulk: group means, variances and counts in one pass over the non-zeros.

Sums are kept as whole numbers: y·2³⁶ and y²·2³² rounded to int64, y = log1p(target · x / s).
Whole numbers add up to the same total in any order, so blocks and shards may be counted in any
order and number and still give the same bytes. The room is 1.4e7 cells a group; a value is off by
2⁻³⁷ = 7e-12 at most, the mean of n cells by about 4e-12/√n.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse

from lgem.errors import InputError

SCALE = 2.0**36
SQUARE_SCALE = 2.0**32


@dataclass(frozen=True)
class Sums:
    """Exact sums over the cells of each group; each an int64 array (groups × genes).

    ``counts`` of x, ``square`` of y², ``detected`` of x > 0; ``log_halves`` of y over both
    technical halves (2 × groups × genes). Sums of shards add.
    """

    counts: np.ndarray
    square: np.ndarray
    detected: np.ndarray
    log_halves: np.ndarray

    @classmethod
    def zeros(cls, groups: int, genes: int) -> Sums:
        """Return empty sums."""
        one, both = (groups, genes), (2, groups, genes)
        return cls(*(np.zeros(shape, dtype=np.int64) for shape in (one, one, one, both)))

    @property
    def log(self) -> np.ndarray:
        """The sums of y over all cells (groups × genes)."""
        return self.log_halves[0] + self.log_halves[1]

    def __add__(self, other: Sums) -> Sums:
        """Return the sums over the cells of both."""
        mine, others = self.arrays(), other.arrays()
        return Sums(*(mine[name] + others[name] for name in mine))

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the sums by name."""
        return {
            "counts": self.counts,
            "square": self.square,
            "detected": self.detected,
            "log_halves": self.log_halves,
        }

    def add_counts(
        self,
        block: sparse.csr_matrix,
        size_factor: np.ndarray,
        group: np.ndarray,
        half: np.ndarray,
        target_sum: float,
    ) -> None:
        """Add a block of cells, in place; it is never made dense.

        Parameters
        ----------
        block
            Raw counts (cells × genes), each place stored once, duplicates of genes summed.
        size_factor
            Total count of each cell.
        group, half
            Group of each cell (-1: none) and its technical half (1 or 2).
        target_sum
            Counts per cell after normalisation.
        """
        cells = np.flatnonzero(group >= 0)
        if cells.size < block.shape[0]:
            block, size_factor = block[cells], size_factor[cells]
            group, half = group[cells], half[cells]
        lengths, genes = np.diff(block.indptr), self.counts.shape[1]
        values = log_normalise(block, size_factor, target_sum).data
        # Where each value belongs among the sums of its group, all groups in one row.
        place = np.repeat(group.astype(np.int64) * genes, lengths)
        place += block.indices
        _scatter(self.counts, place, block.data)
        _scatter(self.detected, place, block.data > 0)
        _scatter(self.square, place, np.rint(values**2 * SQUARE_SCALE))
        place += np.repeat((half.astype(np.int64) - 1) * self.counts.size, lengths)
        _scatter(self.log_halves, place, np.rint(values * SCALE))

    def add_profiles(self, values: np.ndarray, group: np.ndarray, half: np.ndarray) -> None:
        """Add profiles that are on a log scale already (samples × genes), in place."""
        whole = np.rint(values * SCALE).astype(np.int64)
        square = np.rint(values**2 * SQUARE_SCALE).astype(np.int64)
        for row in np.flatnonzero(group >= 0):
            self.log_halves[half[row] - 1, group[row]] += whole[row]
            self.square[group[row]] += square[row]


def _scatter(total: np.ndarray, place: np.ndarray, values: np.ndarray) -> None:
    """Add values to the entries of a total that `place` numbers, in place."""
    np.add.at(total.reshape(-1), place, values.astype(np.int64, copy=False))


def log_normalise(
    block: sparse.csr_matrix, size_factor: np.ndarray, target_sum: float
) -> sparse.csr_matrix:
    """Return log1p(target_sum · x / s) of the stored values (cells × genes, float64)."""
    size = np.where(size_factor > 0, size_factor, 1.0)  # an empty cell may hold written-out zeros
    values = np.repeat(size, np.diff(block.indptr))
    np.divide(target_sum * block.data.astype(float), values, out=values)
    np.log1p(values, out=values)
    return sparse.csr_matrix((values, block.indices, block.indptr), shape=block.shape)


def size_factors(
    block: sparse.csr_matrix, given: np.ndarray, first_row: int, place: str
) -> np.ndarray:
    """Return the cells' total counts: those given, or the row sums where none are (NaN).

    Raises
    ------
    InputError
        Where a given total is smaller than the counts that are there.
    """
    totals = np.asarray(block.sum(axis=1), dtype=float).ravel()
    chosen = np.where(np.isnan(given), totals, given)
    short = chosen < totals * (1 - 1e-6)
    if short.any():
        at = int(np.argmax(short))
        raise InputError(
            f"{place}: size_factor",
            f"{chosen[at]:g} for row {first_row + at + 1}, whose counts add up to {totals[at]:g}",
            "the cell's total count, at least the sum of what is measured; or no size_factor",
        )
    return chosen


def merge_genes(
    genes: pd.Index, symbols: pd.Series | None, duplicates: str, place: str
) -> tuple[pd.Index, sparse.csr_matrix | None]:
    """Return the names of the genes to count, and the map that sums duplicates (or None).

    Parameters
    ----------
    genes
        Gene names of the file.
    symbols
        Gene symbols, where config names a column of them.
    duplicates
        ``error``, ``sum`` (genes of one symbol become one) or ``keep_ids``.

    Returns
    -------
    names, map
        ``block @ map`` holds the counts of ``names``; None where nothing is merged.
    """
    names = genes if symbols is None else pd.Index(symbols.astype(str))
    if duplicates == "sum":
        if symbols is None and names.is_unique:
            return genes, None
        codes, distinct = pd.factorize(names)
        ones = np.ones(len(codes), dtype=np.int64)
        matrix = sparse.csr_matrix((ones, (np.arange(len(codes)), codes)))
        return pd.Index(distinct), matrix
    if symbols is not None and duplicates == "error":
        _require_unique(names, "symbols", "duplicates: keep_ids or sum (counts alone add)", place)
    _require_unique(genes, "gene names", "duplicates: sum (counts alone add)", place)
    return genes, None


def _require_unique(names: pd.Index, what: str, remedy: str, place: str) -> None:
    twice = names[names.duplicated()].unique()
    if len(twice):
        raise InputError(
            f"{place}: genes",
            f"{what} that occur more than once: {len(twice)}, such as '{twice[0]}'",
            f"unique {what}, or {remedy} in the config",
        )


@dataclass(frozen=True)
class Moments:
    """Means and variances of groups of cells (groups × genes, natural-log units)."""

    mean: np.ndarray
    variance: np.ndarray
    half_1: np.ndarray
    half_2: np.ndarray


def moments(sums: Sums, groups: pd.DataFrame) -> Moments:
    """Return mean, variance (ddof 1; 0 for one cell) and the means of both technical halves.

    The mean of an empty half is missing.
    """
    n = groups["n_cells"].to_numpy(dtype=float)[:, None]
    n_1 = groups["n_half_1"].to_numpy(dtype=float)[:, None]
    n_2 = groups["n_half_2"].to_numpy(dtype=float)[:, None]
    halves = sums.log_halves / SCALE
    total = sums.log / SCALE
    spread = sums.square / SQUARE_SCALE - total**2 / n
    variance = np.where(n > 1, np.maximum(spread, 0.0) / np.maximum(n - 1, 1), 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return Moments(total / n, variance, halves[0] / n_1, halves[1] / n_2)
