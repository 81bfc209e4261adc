"""False discovery rates of edges, by permuting the cells of every gene within batches."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from lgem.network.census import BINS, PartialCorrelations, Spread, spread_of
from lgem.network.covariance import Standardised
from lgem.network.estimators import ESTIMATORS, Estimate
from lgem.network.precision import Form, invert

# |ρ| falls into the bins of one side.
SIDE = BINS // 2


def null_counts(
    values: np.ndarray,
    batch: np.ndarray,
    estimate: Callable[[np.ndarray], PartialCorrelations],
    permutations: int,
    seed: int,
) -> np.ndarray:
    """Count |partial correlations| of genes that have nothing to do with one another.

    The cells of every gene are permuted within batches, each gene for itself: what remains is what
    the estimator makes of noise.

    Parameters
    ----------
    values : (cells, genes)
        Standardised expression.
    batch : (cells,)
        Number of the batch of every cell.
    estimate
        From expression to partial correlations, with the choice (such as the shrinkage) that was
        made for the data.
    permutations, seed
        How many, and of what random numbers.

    Returns
    -------
    (BINS / 2,)
        Pairs of all permutations by |ρ|, in bins of equal width over [0, 1].
    """
    rng = np.random.default_rng(seed)
    counts = np.zeros(SIDE, dtype=np.int64)
    members = [np.flatnonzero(batch == level) for level in np.unique(batch)]
    for _ in range(permutations):
        permuted = np.empty_like(values)
        for rows in members:
            permuted[rows] = rng.permuted(values[rows], axis=0)
        counts += _by_size(spread_of(estimate(permuted), np.inf))
    return counts


def null_of(
    panel: Standardised, found: Estimate, form: Form, permutations: int, seed: int
) -> np.ndarray:
    """Count |partial correlations| under permutation with the choice that an estimate made."""

    def estimate(values: np.ndarray) -> PartialCorrelations:
        again = ESTIMATORS[found.estimator](values, found.value)
        return invert(again.covariance, again.precision, form).partial_correlations()

    return null_counts(panel.values, panel.batch, estimate, permutations, seed)


def discoveries(observed: Spread, null: np.ndarray, level: float) -> int:
    """Return how many pairs have a q-value of at most a level."""
    middle_of_bins = (np.arange(SIDE) + 0.5) / SIDE
    return int(_by_size(observed)[q_values(middle_of_bins, observed, null) <= level].sum())


def q_values(strength: np.ndarray, observed: Spread, null: np.ndarray) -> np.ndarray:
    """Return the false discovery rate at which each edge enters the network.

    At a threshold t it is the share of pairs at or above t among permuted genes over the share
    among the data's own, at most 1; a q-value is the smallest of all thresholds that admit the
    edge. Rank-based, for the size of ρ under permutation is compared and no distribution assumed;
    approximate, since permuted genes have no neighbours, and since pairs depend on one another.

    Parameters
    ----------
    strength : (edges,)
        |ρ| of the edges.
    observed
        Spread of the data's partial correlations.
    null : (BINS / 2,)
        As from `null_counts`.

    References
    ----------
    Storey and Tibshirani, Statistical significance for genomewide studies, PNAS 100 (2003), with
    the share of true nulls taken as 1.
    """
    found = _from_above(_by_size(observed))
    # One more, as in a permutation test: that no permutation reached t does not make it impossible.
    chance = (_from_above(null) + 1.0) / (null.sum() + 1.0)
    rate = np.minimum(1.0, chance * observed.pairs / np.maximum(found, 1))
    bins = np.minimum((np.asarray(strength) * SIDE).astype(np.int64), SIDE - 1)
    return np.minimum.accumulate(rate)[bins]


def _by_size(spread: Spread) -> np.ndarray:
    """Return counts by |ρ|."""
    return spread.counts[SIDE:] + spread.counts[:SIDE][::-1]


def _from_above(counts: np.ndarray) -> np.ndarray:
    """Return how many there are in each bin and above."""
    return np.cumsum(counts[::-1])[::-1]
