"""What a network scores against known edges when the labels of its genes say nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from lgem.network.reference import METRICS, Ranking, metric_values, rank_pairs

# Equal scores that were added up in another order differ by this much at most.
ROUNDING = 1e-12


def shuffled_scores(
    rho: np.ndarray,
    genes: Sequence[str],
    edges: pd.DataFrame,
    draws: int,
    interval: float,
    seed: int,
) -> pd.DataFrame:
    """Score |partial correlation| against reference networks with shuffled gene labels.

    Each draw permutes the labels of the reference among all genes. That keeps the reference's
    hubs, and everything about the network, and breaks only who is who: what a draw scores is
    chance for two networks of just these shapes. Hubs of the network that are hubs of the
    reference too count as found, since a shuffled label does not find them.

    Parameters
    ----------
    rho : (genes, genes)
        Symmetric scores, compared by absolute value.
    genes : (genes,)
        Their names, unique.
    edges
        Columns gene_a, gene_b: reference edges; those with a gene that is not in `genes` are
        ignored.
    draws : int
        Permutations, at least 1.
    interval : float
        Share of the draws between `shuffled_lower` and `shuffled_upper`, in (0, 1).
    seed : int
        Of the draws.

    Returns
    -------
    DataFrame
        metric, shuffled_mean, shuffled_lower, shuffled_upper, p_value; metrics as those of
        `lgem.network.reference.score_network`. The p-value is one-sided: the share, among the
        draws and the network itself, of those that score at least as high as the network.

    Raises
    ------
    InputError
        If no pair, or every pair, is a true edge.
    """
    ranking = rank_pairs(rho, genes, edges)
    ranks = _rank_matrix(ranking, len(rho))
    first, second = ranking.first[ranking.true], ranking.second[ranking.true]
    # Every pair weighs 1 in every draw: these sums are the same in all of them.
    mass, true_mass = np.arange(len(ranking.first) + 1), np.arange(len(ranking.true) + 1)
    value = np.array(metric_values(ranking, mass, true_mass)[0])
    rng = np.random.default_rng(seed)
    sample = np.empty((draws, len(value)))
    for draw in sample:
        labels = rng.permutation(len(rho))
        true = np.sort(ranks[labels[first], labels[second]])
        draw[:] = metric_values(replace(ranking, true=true), mass, true_mass)[0]
    lower, upper = np.quantile(sample, [(1.0 - interval) / 2.0, (1.0 + interval) / 2.0], axis=0)
    reached = (sample >= value * (1.0 - ROUNDING)).sum(axis=0)
    return pd.DataFrame(
        {
            "metric": METRICS,
            "shuffled_mean": sample.mean(axis=0),
            "shuffled_lower": lower,
            "shuffled_upper": upper,
            "p_value": (1 + reached) / (1 + draws),
        }
    )


def _rank_matrix(ranking: Ranking, genes: int) -> np.ndarray:
    """Rank of every pair of genes, in as few bytes as hold it; the diagonal is no pair."""
    pairs = len(ranking.first)
    ranks = np.zeros((genes, genes), dtype=np.min_scalar_type(pairs))
    ranks[ranking.first, ranking.second] = np.arange(pairs)
    ranks[ranking.second, ranking.first] = np.arange(pairs)
    return ranks
