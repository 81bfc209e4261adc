"""Precision and recall of a network's strongest edges against known ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from lgem.network.reference import rank_pairs


def precision_recall(rho: np.ndarray, genes: Sequence[str], edges: pd.DataFrame) -> pd.DataFrame:
    """Return precision and recall of the edges of largest |partial correlation|.

    Pairs of equal score enter together. The area under the steps, Σ precision · gain in recall,
    is the average precision that `lgem.network.reference.score_network` calls ``aupr``.

    Parameters
    ----------
    rho : (genes, genes)
        Symmetric scores, compared by absolute value.
    genes : (genes,)
        Their names, unique.
    edges
        Columns gene_a, gene_b: known edges; those with a gene that is not in `genes` are ignored.

    Returns
    -------
    DataFrame
        pairs (taken so far), recall, precision and chance (the share of true pairs), one row for
        each step at which recall grows.

    Raises
    ------
    InputError
        If no pair, or every pair, is a true edge.
    """
    ranking = rank_pairs(rho, genes, edges)
    # Only the last of equally scored pairs closes a step; a step without a true pair gains nothing.
    taken = ranking.bounds[1:]
    found = np.searchsorted(ranking.true, taken)
    grows = np.diff(found, prepend=0) > 0
    taken, found = taken[grows], found[grows]
    true, pairs = len(ranking.true), len(ranking.first)
    return pd.DataFrame(
        {
            "pairs": taken,
            "recall": found / true,
            "precision": found / taken,
            "chance": true / pairs,
        }
    )


def average_precision(curve: pd.DataFrame) -> float:
    """Return the area under the steps of a precision–recall curve."""
    gains = np.diff(curve["recall"].to_numpy(), prepend=0.0)
    return float(gains @ curve["precision"].to_numpy())
