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
from scipy.sparse._sparsetools import coo_todense

from lgem.errors import InputError

SCALE = 2.0**36
SQUARE_SCALE = 2.0**32
# A group has fewer cells than this can count, and smaller sums are added up faster.
DETECTED = np.int32


@dataclass
class Sums:
    """Exact sums over the cells of each group; each an array of whole numbers (groups × genes).

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
        shapes = ((one, np.int64), (one, np.int64), (one, DETECTED), (both, np.int64))
        return cls(*(np.zeros(shape, dtype=kind) for shape, kind in shapes))

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

    def add(self, terms: Terms) -> None:
        """Add what `terms_of` made of a block of cells, in place."""
        group, gene = terms.group, terms.gene
        _scatter(self.counts, group, gene, terms.counts)
        _scatter(self.detected, group, gene, terms.detected)
        _scatter(self.square, group, gene, terms.square)
        groups, genes = self.counts.shape
        halves = self.log_halves.reshape(2 * groups, genes)
        _scatter(halves, terms.group_in_half, gene, terms.log)

    def add_profiles(self, values: np.ndarray, group: np.ndarray, half: np.ndarray) -> None:
        """Add profiles that are on a log scale already (samples × genes), in place."""
        whole = np.rint(values * SCALE).astype(np.int64)
        square = np.rint(values**2 * SQUARE_SCALE).astype(np.int64)
        for row in np.flatnonzero(group >= 0):
            self.log_halves[half[row] - 1, group[row]] += whole[row]
            self.square[group[row]] += square[row]


def _scatter(total: np.ndarray, row: np.ndarray, column: np.ndarray, values: np.ndarray) -> None:
    """Add values to entries of a matrix, in place.

    As ``np.add.at(total, (row, column), values)``, by the function that SciPy's ``toarray`` calls:
    it lets other threads work meanwhile, and it needs no third array of places.
    """
    coo_todense(*total.shape, len(values), row, column, values, total.reshape(-1), 0)


@dataclass(frozen=True)
class Terms:
    """What the stored values of a block of cells add to the sums; one entry per stored value.

    ``group`` and ``gene`` say where in groups × genes, ``group_in_half`` where in both halves, one
    below the other; the others are named as the sums are.
    """

    group: np.ndarray
    group_in_half: np.ndarray
    gene: np.ndarray
    counts: np.ndarray
    detected: np.ndarray
    square: np.ndarray
    log: np.ndarray


def terms_of(
    block: sparse.csr_matrix,
    size_factor: np.ndarray,
    group: np.ndarray,
    half: np.ndarray,
    groups: int,
    target_sum: float,
) -> Terms:
    """Return what a block of cells adds to the sums; it is never made dense.

    Parameters
    ----------
    block
        Raw counts (cells × genes), each place stored once, duplicates of genes summed.
    size_factor
        Total count of each cell.
    group, half
        Group of each cell (-1: none) and its technical half (1 or 2).
    groups
        Groups of the whole screen.
    target_sum
        Counts per cell after normalisation.
    """
    cells = np.flatnonzero(group >= 0)
    if cells.size < block.shape[0]:
        block, size_factor = block[cells], size_factor[cells]
        group, half = group[cells], half[cells]
    lengths = np.diff(block.indptr)
    rows = group.astype(np.int32)
    below = rows + (half == 2) * np.int32(groups)
    values = log_normalise(block, size_factor, target_sum).data
    return Terms(
        np.repeat(rows, lengths),
        np.repeat(below, lengths),
        block.indices.astype(np.int32, copy=False),
        block.data.astype(np.int64, copy=False),
        (block.data > 0).astype(DETECTED),
        _whole(values * values, SQUARE_SCALE),
        _whole(values, SCALE),
    )


def _whole(values: np.ndarray, scale: float) -> np.ndarray:
    """Return values · scale as whole numbers; the values are used up."""
    values *= scale
    return np.rint(values, out=values).astype(np.int64)


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

    The mean of an empty half is missing. The sums of logarithms and of their squares are used up:
    the results take their memory, since with many groups of all genes there is not enough for two.
    """
    square, log_halves = sums.square, sums.log_halves
    sums.square = sums.log_halves = np.empty(
        (0, 0), dtype=np.int64
    )  # whoever asks again shall fail
    mean = np.empty(square.shape)
    variance, halves = square.view(np.float64), log_halves.view(np.float64)
    n_of = groups[["n_cells", "n_half_1", "n_half_2"]].to_numpy(dtype=float)
    with np.errstate(invalid="ignore", divide="ignore"):
        for row, (n, *n_halves) in enumerate(n_of):
            total = log_halves[:, row].sum(axis=0) / SCALE
            spread = square[row] / SQUARE_SCALE - total**2 / n
            mean[row] = total / n
            variance[row] = np.maximum(spread, 0.0) / (n - 1) if n > 1 else 0.0
            for half, n_half in enumerate(n_halves):
                halves[half, row] = log_halves[half, row] / SCALE / n_half
    return Moments(mean, variance, *halves)
