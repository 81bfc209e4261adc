"""One pass over all pairs of genes, by blocks: how ρ is spread, and which pairs are strong."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Protocol

import numpy as np

from lgem.network.dense import Genes

# Pairs in a block: the few arrays of a block, 1 MiB each, stay in a processor's cache.
BLOCK = 2**17
# Fine enough that bins of any picture, and ranks against a null, can be read off the counts.
BINS = 2**17


class PartialCorrelations(Protocol):
    """Partial correlations of genes, read by blocks."""

    genes: int

    def block(self, rows: Genes, columns: Genes) -> np.ndarray:
        """Return ρ of some genes with others (as many × as many)."""
        ...


@dataclass(frozen=True)
class Pairs:
    """Some pairs of genes: rows in the panel with first < second, and ρ before and after."""

    first: np.ndarray
    second: np.ndarray
    before: np.ndarray
    after: np.ndarray

    def __len__(self) -> int:
        """Return the number of pairs."""
        return len(self.first)

    def take(self, chosen: np.ndarray) -> Pairs:
        """Return some of the pairs, in the order of `chosen`."""
        return Pairs(
            self.first[chosen], self.second[chosen], self.before[chosen], self.after[chosen]
        )

    @classmethod
    def joined(cls, parts: Sequence[Pairs]) -> Pairs:
        """Return the pairs of all parts, one part after the other."""
        every = [[getattr(part, field.name) for part in parts] for field in fields(cls)]
        return cls(*map(np.concatenate, every))

    @property
    def strength(self) -> np.ndarray:
        """The larger of |ρ| before and after."""
        return np.maximum(np.abs(self.before), np.abs(self.after))

    @property
    def change(self) -> np.ndarray:
        """|ρ| after less |ρ| before."""
        return np.abs(self.after) - np.abs(self.before)


EMPTY = Pairs(*[np.zeros(0, dtype=np.int32)] * 2, *[np.zeros(0)] * 2)


@dataclass(frozen=True)
class Spread:
    """How the partial correlations of all pairs are spread.

    Parameters
    ----------
    counts : (BINS,)
        Pairs by ρ, in bins of equal width over [−1, 1].
    strong
        Pairs with |ρ| above the threshold.
    total, largest
        Sum and maximum of |ρ| over pairs.
    """

    counts: np.ndarray
    strong: int
    total: float
    largest: float

    @property
    def pairs(self) -> int:
        """Number of pairs."""
        return int(self.counts.sum())


@dataclass(frozen=True)
class Census:
    """What a pass over all pairs finds.

    Parameters
    ----------
    before, after
        How partial correlations are spread.
    edges
        Strongest pairs, the strongest first, ties by position.
    strong
        Pairs that are strong before or after, listed or not.
    changed
        Pairs of the largest |change|, the largest first.
    """

    before: Spread
    after: Spread
    edges: Pairs
    strong: int
    changed: Pairs


def census(
    before: PartialCorrelations,
    after: PartialCorrelations,
    threshold: float,
    top: int,
    most: int,
    changes: int = 20,
) -> Census:
    """Go through all pairs of genes once.

    Parameters
    ----------
    before, after
        Partial correlations before and after the updates; the same object where there were none.
    threshold
        A pair is strong where |ρ| is larger.
    top
        Edges that are listed at least, if so many are not zero.
    most
        Edges that are listed at most, and held in memory.
    changes
        Changed pairs that are listed.
    """
    edges, changed = _Strongest(top, most, threshold), _Strongest(changes, changes, np.inf)
    first, second = _Tally(threshold), _Tally(threshold)
    strong = 0
    for rows, old, new in _blocks(before, after):
        size = first.count(old, rows)
        if new is not old:
            size_after = second.count(new, rows)
            changed.offer(np.abs(size_after - size), rows, old, new)
            size = np.maximum(size, size_after)
        strong += int(np.count_nonzero(size > threshold))
        edges.offer(size, rows, old, new)
    after_spread = first.spread if after is before else second.spread
    return Census(first.spread, after_spread, edges.pairs, strong, changed.pairs)


def spread_of(rho: PartialCorrelations, threshold: float) -> Spread:
    """Go through all pairs of genes once, for how they are spread alone."""
    tally = _Tally(threshold)
    for rows, block, _ in _blocks(rho, rho):
        tally.count(block, rows)
    return tally.spread


def _blocks(
    before: PartialCorrelations, after: PartialCorrelations
) -> Iterator[tuple[range, np.ndarray, np.ndarray]]:
    """Yield rows and their partial correlations with all genes from the first of them on.

    What is no pair, or one of a row before, is 0.
    """
    step = max(1, BLOCK // before.genes)
    for start in range(0, before.genes, step):
        rows = range(start, min(start + step, before.genes))
        here, right = slice(rows.start, rows.stop), slice(rows.start, None)
        below = np.tri(len(rows), dtype=bool)
        old = np.array(before.block(here, right))
        old[:, : len(rows)][below] = 0.0
        new = old
        if after is not before:
            new = np.array(after.block(here, right))
            new[:, : len(rows)][below] = 0.0
        yield rows, old, new


class _Tally:
    """Counts of partial correlations, block by block."""

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold
        self._counts = np.zeros(BINS, dtype=np.int64)
        self._strong, self._total, self._largest = 0, 0.0, 0.0

    def count(self, block: np.ndarray, rows: range) -> np.ndarray:
        """Count a block, in which the zeros up to the diagonal are no pairs; return its sizes."""
        scaled = block * (BINS / 2)
        scaled += BINS / 2
        bins = scaled.astype(np.intp).ravel()
        np.minimum(bins, BINS - 1, out=bins)
        # A block has fewer pairs than there are bins: they are counted where they lie.
        lowest = int(bins.min())
        found = np.bincount(bins - lowest)
        self._counts[lowest : lowest + len(found)] += found
        self._counts[BINS // 2] -= len(rows) * (len(rows) + 1) // 2
        size = np.abs(block)
        self._strong += int(np.count_nonzero(size > self._threshold))
        self._total += float(size.sum())
        self._largest = max(self._largest, float(size.max()))
        return size

    @property
    def spread(self) -> Spread:
        return Spread(self._counts, self._strong, self._total, self._largest)


class _Strongest:
    """The pairs of largest key seen so far.

    Kept are those above the threshold, at least `top` and at most `most`; never one whose key is 0.
    Of equal keys those seen first stay.
    """

    def __init__(self, top: int, most: int, threshold: float) -> None:
        self._top, self._most, self._threshold = min(top, most), most, threshold
        self._keys, self._parts, self._held = [np.zeros(0)], [EMPTY], 0
        self._least, self._full = 0.0, 0

    def offer(self, keys: np.ndarray, rows: range, before: np.ndarray, after: np.ndarray) -> None:
        """Consider the pairs of a block."""
        above = keys > self._least
        if not above.any():
            return
        found = np.flatnonzero(above)
        first, second = np.divmod(found, keys.shape[1])
        pairs = Pairs(
            (first + rows.start).astype(np.int32),
            (second + rows.start).astype(np.int32),
            before.ravel()[found],
            after.ravel()[found],
        )
        self._keys.append(keys.ravel()[found])
        self._parts.append(pairs)
        self._held += len(found)
        if self._held > 2 * max(self._full, self._top):
            self._prune()

    def _prune(self) -> None:
        """Forget what cannot be listed any more."""
        keys, pairs = np.concatenate(self._keys), Pairs.joined(self._parts)
        strong = int(np.count_nonzero(keys > self._threshold))
        self._full = min(max(strong, self._top), self._most)
        if self._full == 0:
            keys, pairs = keys[:0], EMPTY
        elif self._full <= len(keys):
            weakest = np.partition(keys, -self._full)[-self._full]
            equal = np.flatnonzero(keys == weakest)
            above = keys > weakest
            above[equal[: self._full - np.count_nonzero(above)]] = True
            keys, pairs = keys[above], pairs.take(above)
            # Above the threshold every further pair may enter, until there are too many.
            limit = np.inf if self._full == self._most else self._threshold
            self._least = min(float(weakest), limit)
        self._keys, self._parts, self._held = [keys], [pairs], len(keys)

    @property
    def pairs(self) -> Pairs:
        """All that was kept, of the largest key first."""
        self._prune()
        return self._parts[0].take(np.argsort(-self._keys[0], kind="stable"))
