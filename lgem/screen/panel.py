"""The genes of the network, and the cells that it is estimated from."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import anndata
import numpy as np
import pandas as pd

from lgem.errors import InputError, counted, nearest
from lgem.screen.labels import TargetIndex

ALL = "all"
# What the first row of a list of genes may be called without being one.
HEADINGS = ("gene", "genes", "gene_id", "gene_name", "symbol", "symbols", "id", "name")


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


def panel_rows(
    panel: int | str,
    index: TargetIndex,
    variance: np.ndarray,
    targets: Iterable[int],
    usable: np.ndarray | None = None,
) -> np.ndarray:
    """Return the sorted rows of the genes that the config asks for.

    Parameters
    ----------
    panel
        How many genes, ``all``, or the path of a table whose first column names them.
    index
        Of the measured genes.
    variance, targets, usable
        As for `choose_panel`; a list of genes is taken as it is.
    """
    if isinstance(panel, int) or panel == ALL:
        size = len(variance) if isinstance(panel, str) else panel
        return choose_panel(variance, targets, size, usable)
    return listed_rows(panel, index)


def listed_rows(panel: str, index: TargetIndex) -> np.ndarray:
    """Return the sorted rows of the genes that a table names in its first column.

    Raises
    ------
    InputError
        If it cannot be read, names a gene that was not measured, or fewer than two.
    """
    names = read_names(panel)
    if names[0].lower() in HEADINGS and index.find(names[0]).rows is None:
        names = names[1:]
    rows = np.array(sorted({_listed(index, name, panel) for name in names}))
    if len(rows) < 2:
        raise InputError(
            f"network.panel: {panel}", f"{counted(len(rows), 'gene')}", "at least two genes"
        )
    return rows


def _listed(index: TargetIndex, name: str, path: str) -> int:
    """Return the row of a gene that a list names."""
    found = index.find(name)
    if found.rows is None or len(found.rows) != 1:
        reason = found.reason or "a combination"
        raise InputError(
            f"network.panel: {path}",
            f"'{name}' ({reason})",
            "ids or unique symbols of measured genes",
            nearest(name, index.names),
        )
    return found.rows[0]


def read_names(path: str) -> list[str]:
    """Return the names in the first column of a table or of a plain list.

    Raises
    ------
    InputError
        If the file cannot be read or is empty.
    """
    place, wanted = f"network.panel: {path}", "one gene in each row, in the first column"
    try:
        lines = Path(path).read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(place, f"a file that cannot be read ({error})", wanted) from error
    names = [line.replace(",", "\t").split("\t")[0].strip().strip('"') for line in lines]
    names = [name for name in names if name]
    if not names:
        raise InputError(place, "no gene", wanted)
    return names


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
