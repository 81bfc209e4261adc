"""Precision and recall of a network's strongest edges against known ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from lgem.errors import InputError


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
        If no pair is a true edge.
    """
    index, n = pd.Index(genes), len(rho)
    ends = np.column_stack([index.get_indexer(pd.Index(edges[k])) for k in ("gene_a", "gene_b")])
    ends = ends[(ends >= 0).all(axis=1)]
    adjacent = np.zeros((n, n), dtype=bool)
    adjacent[ends.min(axis=1), ends.max(axis=1)] = True
    pairs = np.triu_indices(n, 1)
    score, true = np.abs(rho[pairs]), adjacent[pairs]
    if not true.any():
        raise InputError("reference network", "no edge between the network's genes", "some edges")
    order = np.argsort(-score, kind="stable")
    score, hits = score[order], np.cumsum(true[order])
    # Only the last of equally scored pairs closes a step; a step without a true pair gains nothing.
    last = np.flatnonzero(np.r_[score[1:] != score[:-1], True])
    taken, found = last + 1, hits[last]
    grows = np.diff(found, prepend=0) > 0
    taken, found = taken[grows], found[grows]
    return pd.DataFrame(
        {
            "pairs": taken,
            "recall": found / hits[-1],
            "precision": found / taken,
            "chance": hits[-1] / len(hits),
        }
    )


def average_precision(curve: pd.DataFrame) -> float:
    """Return the area under the steps of a precision–recall curve."""
    gains = np.diff(curve["recall"].to_numpy(), prepend=0.0)
    return float(gains @ curve["precision"].to_numpy())
