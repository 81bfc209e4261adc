"""Retrieval: whether a prediction lies closer to its own truth than to those of others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

# Squared distances come from a product of matrices, whose last bits depend on the threads.
TIE = 1e-12


def normalised_ranks(
    predicted: np.ndarray, truths: np.ndarray, own: Sequence[int] | np.ndarray
) -> np.ndarray:
    """Return how high each prediction ranks its own truth by L2 distance.

    Parameters
    ----------
    predicted
        Predicted effects (predictions × genes).
    truths
        Observed effects to choose from (candidates × genes), at least two.
    own
        The right candidate of each prediction.

    Returns
    -------
    ndarray
        The share of the other candidates that lie further away, those at the same distance
        counted half: 1 where the own truth is the closest, .5 on average by chance.
    """
    lengths = np.sum(predicted**2, axis=1)[:, None] + np.sum(truths**2, axis=1)
    squared = lengths - 2 * predicted @ truths.T
    mine = squared[np.arange(len(predicted)), own][:, None]
    rounding = TIE * lengths
    further = (squared > mine + rounding).sum(axis=1)
    tied = (np.abs(squared - mine) <= rounding).sum(axis=1) - 1  # itself
    return np.asarray((further + tied / 2) / (len(truths) - 1))


def comparisons(entries: pd.DataFrame) -> list[np.ndarray]:
    """Return the rows of entries whose truths are told apart from one another.

    These are the rows of a fold; of a whole repeat where every fold holds out a single
    perturbation; and all where there are no folds.
    """
    rows = pd.Series(np.arange(len(entries)))
    held_out = entries["fold"].notna().to_numpy()
    if not held_out.any():
        return [rows.to_numpy()]
    keys = entries[["repeat", "fold"]].reset_index(drop=True)[held_out]
    single = not keys.duplicated().any()
    by = ["repeat"] if single else ["repeat", "fold"]
    return [part.to_numpy() for _, part in rows[held_out].groupby([keys[key] for key in by])]


def retrieval(
    entries: pd.DataFrame,
    predicted: np.ndarray,
    observed: np.ndarray,
    control: np.ndarray,
    made: np.ndarray,
    gene_sets: Mapping[str, bool],
    targets: Sequence[Sequence[int]],
    top: np.ndarray,
) -> dict[str, list[tuple[float, str]]]:
    """Return the normalised rank of the right truth for each entry, or why there is none.

    A target's own change tells which perturbation it is. The targets of all candidates of a
    comparison therefore go together: all of them are scored, or none.

    Parameters
    ----------
    entries
        One row per prediction: perturbation, repeat, fold.
    predicted, observed
        Profiles (entries × genes); what was observed serves as a candidate with or without a
        prediction, so that all models choose from the same ones.
    control
        Profile of control (genes,): distances of effects, smaller numbers, lose fewer digits.
    made
        Whether there is a prediction (entries,).
    gene_sets
        Names of gene sets, and whether the targets are in them.
    targets
        Measured targets of each entry.
    top
        Rows of the genes to score besides the targets.
    """
    unknown = (float("nan"), "observed effect not known")
    found = {name: [unknown] * len(entries) for name in gene_sets}
    for rows in comparisons(entries):
        known = np.isfinite(observed[np.ix_(rows, top)]).all(axis=1)
        candidates = rows[known]
        asking = candidates[made[candidates]]
        own_genes = np.unique([gene for row in candidates for gene in targets[row]]).astype(int)
        for name, with_targets in gene_sets.items():
            genes = np.union1d(top, own_genes) if with_targets else np.setdiff1d(top, own_genes)
            if len(candidates) < 2:
                reason = "no other held-out perturbation to tell it from"
            elif not len(genes):
                reason = "no gene to score beside the targets of all that are held out together"
            else:
                ranks = normalised_ranks(
                    predicted[np.ix_(asking, genes)] - control[genes],
                    observed[np.ix_(candidates, genes)] - control[genes],
                    np.searchsorted(candidates, asking),
                )
                for row, rank in zip(asking, ranks, strict=True):
                    found[name][row] = (float(rank), "")
                continue
            for row in asking:
                found[name][row] = (float("nan"), reason)
    return found
