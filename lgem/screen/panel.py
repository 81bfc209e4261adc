"""The genes of the network, and the cells that it is estimated from."""

from __future__ import annotations

from collections.abc import Iterable

import anndata
import numpy as np
import pandas as pd


def choose_panel(
    variance: np.ndarray,
    targets: Iterable[int],
    size: int,
    usable: np.ndarray | None = None,
) -> np.ndarray:
    """Return the sorted rows of at most `size` genes that vary.

    Measured targets of perturbations come first, since the network is asked about them; then the
    genes of largest variance. Ties go to the gene that stands first.

    Parameters
    ----------
    variance
        Variance of the log-expression of each gene within batches of control (genes,).
    targets
        Rows of the measured targets.
    size
        Genes wanted.
    usable
        Genes that may be chosen; None for all. A gene seen in three of a thousand cells has next
        to no variance, and any predicted response is a giant in its units.
    """
    is_target = np.zeros(len(variance), dtype=bool)
    is_target[list(targets)] = True
    varying = np.flatnonzero((variance > 0) & (True if usable is None else usable))
    order = varying[np.lexsort((varying, -variance[varying], ~is_target[varying]))]
    return np.sort(order[:size])


def within_variance(variance: np.ndarray, n: np.ndarray) -> np.ndarray:
    """Pool the variances of groups: Σ (n−1) v / Σ (n−1); zero where no group has two cells."""
    freedom = n.astype(float) - 1
    total = freedom.sum()
    return (freedom @ variance) / total if total > 0 else np.zeros(variance.shape[1])


def in_fixed_order(cells: anndata.AnnData) -> anndata.AnnData:
    """Return cells sorted by batch and name, so that the order of shards does not matter.

    Floating-point sums over cells depend on their order.
    """
    order = pd.DataFrame({"batch": cells.obs["batch"].astype(str), "cell": cells.obs_names})
    order["size_factor"] = cells.obs["size_factor"].to_numpy()
    rows = order.reset_index(drop=True).sort_values(["batch", "cell", "size_factor"]).index
    return cells[rows.to_numpy()].copy()
