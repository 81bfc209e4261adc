"""Expression that a covariance is estimated from: centred within batches, of unit variance."""

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
    mean : (genes kept,)
        Mean log-expression of the kept cells.
    batch : (cells kept,)
        Number of the batch of every kept cell, from 0.
    cells_kept : (cells,) of bool
        Cells that share their batch with another cell. A cell alone in its batch equals the
        batch's mean: after centring it says nothing, and is left out.
    batches : int
        Batches of at least two cells.
    """

    values: np.ndarray
    scale: np.ndarray
    mean: np.ndarray
    batch: np.ndarray
    genes_kept: np.ndarray
    cells_kept: np.ndarray
    batches: int

    @property
    def spread(self) -> np.ndarray:
        """Root mean square of each kept gene within batches, by which `values` were divided."""
        freedom = (len(self.values) - self.batches) / len(self.values)
        return self.scale * np.sqrt(freedom)

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
    codes = number_batches(batch, len(values))
    sizes = np.bincount(codes)
    cells_kept = sizes[codes] > 1
    codes = np.unique(codes[cells_kept], return_inverse=True)[1]
    kept = values[cells_kept]
    largest = np.abs(kept).max(axis=0, initial=0.0)
    centred = centre(kept, codes)

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
        mean=kept[:, genes_kept].mean(axis=0),
        batch=codes,
        genes_kept=genes_kept,
        cells_kept=cells_kept,
        batches=batches,
    )


def number_batches(batch: Sequence[Hashable] | None, cells: int) -> np.ndarray:
    """Number batches from 0; a missing batch is a batch of its own."""
    if batch is None:
        return np.zeros(cells, dtype=np.intp)
    return pd.factorize(pd.Series(list(batch), dtype=object), use_na_sentinel=False)[0]


def centre(values: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Return values (cells × genes) less the mean of each batch, in new memory."""
    centred = values.copy()
    for level in np.unique(codes):
        members = codes == level
        centred[members] -= centred[members].mean(axis=0)
    return centred
