"""Covariance of the control cells: standardised within batches, shrunk towards the diagonal."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from lgem.errors import InputError

# A spread this small beside the gene's own size is the rounding of its mean, not variation.
ROUNDING = 1e-12


@dataclass(frozen=True)
class Standardised:
    """Expression centred within batches and scaled to unit variance.

    Attributes
    ----------
    values : (cells kept, genes kept)
        Standardised expression. Every column has mean 0 within each batch and mean square 1, so
        that an estimator that divides by the number of cells sees unit variances.
    scale : (genes kept,)
        Pooled within-batch standard deviation of each kept gene in the units of the input
        (log-expression), each batch paying one degree of freedom for its mean. Responses divided
        by it are in the units of `values`.
    genes_kept : (genes,) of bool
        Genes that vary within some batch; the others are constant and left out.
    cells_kept : (cells,) of bool
        Cells that share their batch with another cell. A cell alone in its batch equals the
        batch's mean: after centring it says nothing, and is left out.
    batches : int
        Batches of at least two cells.
    """

    values: np.ndarray
    scale: np.ndarray
    genes_kept: np.ndarray
    cells_kept: np.ndarray
    batches: int

    @property
    def counts(self) -> dict[str, int]:
        """What was kept and what was left out, for a report."""
        return {
            "cells": int(self.cells_kept.sum()),
            "cells_alone_in_batch": int((~self.cells_kept).sum()),
            "batches": self.batches,
            "genes": int(self.genes_kept.sum()),
            "genes_constant": int((~self.genes_kept).sum()),
        }


def standardise(values: np.ndarray, batch: Sequence[Hashable] | None) -> Standardised:
    """Centre every gene within batches, then scale it to unit variance.

    Parameters
    ----------
    values : (cells, genes)
        Log-expression, dense.
    batch : (cells,)
        Batch of every cell; a missing batch is a batch of its own. None for a single batch.

    Returns
    -------
    Standardised
        With the masks of the cells and genes that carry information.

    Raises
    ------
    InputError
        If a value is not finite, or fewer than two genes vary within a batch.
    """
    values = np.asarray(values, dtype=np.float64)
    if not np.isfinite(values).all():
        raise InputError("expression for the network", "values that are not finite", "numbers only")
    codes = np.zeros(len(values), dtype=np.intp)
    if batch is not None:
        codes = pd.factorize(pd.Series(list(batch), dtype=object), use_na_sentinel=False)[0]
    sizes = np.bincount(codes)
    cells_kept = sizes[codes] > 1
    centred, codes = values[cells_kept], codes[cells_kept]
    largest = np.abs(centred).max(axis=0, initial=0.0)
    for level in np.unique(codes):
        members = codes == level
        centred[members] -= centred[members].mean(axis=0)

    n, batches = len(centred), int((sizes > 1).sum())
    squares = np.einsum("ij,ij->j", centred, centred)
    spread = np.sqrt(squares / max(n, 1))
    genes_kept = spread > ROUNDING * largest
    if genes_kept.sum() < 2:
        raise InputError(
            "expression for the network",
            f"{genes_kept.sum()} of {values.shape[1]} genes that vary within a batch "
            f"({n} of {len(values)} cells share their batch with another)",
            "at least two such genes; check the batch key and the number of control cells",
        )
    return Standardised(
        values=centred[:, genes_kept] / spread[genes_kept],
        scale=np.sqrt(squares[genes_kept] / (n - batches)),
        genes_kept=genes_kept,
        cells_kept=cells_kept,
        batches=batches,
    )


def ledoit_wolf(values: np.ndarray) -> tuple[np.ndarray, float]:
    """Shrink the sample covariance S towards (tr S / g) I, by Ledoit and Wolf's intensity.

    Parameters
    ----------
    values : (cells, genes)
        Expression already centred (see `standardise`): S = values' values / cells.

    Returns
    -------
    covariance : (genes, genes)
        (1 − δ) S + δ (tr S / g) I, positive definite for δ > 0.
    shrinkage : float
        The intensity δ in [0, 1]; 1 leaves no covariance between genes at all.

    References
    ----------
    Ledoit and Wolf, A well-conditioned estimator for large-dimensional covariance matrices,
    J. Multivariate Analysis 88 (2004); as implemented by scikit-learn.
    """
    from sklearn.covariance import ledoit_wolf as estimate

    covariance, shrinkage = estimate(values, assume_centered=True)
    return covariance, float(shrinkage)
