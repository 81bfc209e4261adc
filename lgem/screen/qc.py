"""Quality control: cells, guides and on-target change of every perturbation, and what is kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from lgem.errors import counted
from lgem.screen.cells import NO_GROUP
from lgem.screen.effects import GroupStatistics
from lgem.screen.labels import CONTROL, TargetIndex
from lgem.screen.tables import MISSING

KEPT, LEFT_OUT, NOT_ESTIMABLE = "kept", "left_out", "not_estimable"
# One count per million where cells are normalised to 10,000: keeps the fold changes of genes that
# are hardly there from running away.
PSEUDOCOUNT = 0.01


def perturbation_table(
    cells: pd.DataFrame,
    statistics: GroupStatistics,
    targets: TargetIndex,
    min_cells: int,
    *,
    counts: bool,
    between: str | None = None,
) -> pd.DataFrame:
    """Return one row per perturbation that was asked for, in the order of their names.

    Parameters
    ----------
    cells
        The cell plan (perturbation, guide).
    statistics
        Group statistics of log-expression.
    targets
        Finds the measured targets.
    min_cells
        Cells that a perturbation needs to be kept.
    counts
        Whether expression comes from counts; then a fold change can be given.
    between
        What joins the guides of a cell with several, if anything does.

    Returns
    -------
    DataFrame
        perturbation, n_cells, n_guides, on_target_gene, on_target_log2_fold_change,
        on_target_effect, on_target_z, status, reason. For combinations the on-target columns
        show the target with the weakest evidence. The fold change is
        log2 of (expm1(mean) + `PSEUDOCOUNT`) against control, the effect the difference of mean
        log-expression, z that difference over its Welch standard error.
    """
    asked = cells[cells["asked"].notna() & (cells["asked"] != CONTROL)]
    guided = bool((cells["guide"] != MISSING).any())
    unit = "cell" if counts else "sample"
    rows = []
    for name, labelled in asked.groupby("asked", sort=True, observed=True):
        members = labelled[labelled["group"] != NO_GROUP]
        reason = ""
        if members.empty:
            reason = f"{counted(len(labelled), unit)}, all removed by keep"
        elif len(members) < min_cells:
            reason = f"{counted(len(members), unit)}, fewer than min_cells {min_cells}"
        measured = None if members.empty else targets.find(str(name)).rows
        rows.append(
            {
                "perturbation": name,
                "n_cells": len(members),
                "n_guides": _guides(members["guide"], between) if guided else np.nan,
                **_on_target(statistics, str(name), measured, targets.genes, counts),
                "status": LEFT_OUT if reason else KEPT,
                "reason": reason,
            }
        )
    return pd.DataFrame(rows)


def _guides(guide: pd.Series, between: str | None) -> int:
    """Count the guides that some cells have, each once."""
    joint = set(guide) - {MISSING}
    return len(joint if between is None else {one for text in joint for one in text.split(between)})


def mark_not_estimable(qc: pd.DataFrame, left_out: Mapping[str, str]) -> pd.DataFrame:
    """Return the table with the perturbations that the design cannot estimate, and the reason."""
    concerned = qc["perturbation"].isin(left_out)
    return qc.assign(
        status=qc["status"].mask(concerned, NOT_ESTIMABLE),
        reason=qc["reason"].mask(concerned, qc["perturbation"].map(left_out)),
    )


def _on_target(
    statistics: GroupStatistics,
    perturbation: str,
    rows: tuple[int, ...] | None,
    names: list[str],
    counts: bool,
) -> dict[str, Any]:
    nothing = {
        "on_target_gene": "",
        "on_target_log2_fold_change": np.nan,
        "on_target_effect": np.nan,
        "on_target_z": np.nan,
    }
    if not rows:
        return nothing
    genes = list(rows)
    mean, error = pooled_mean_and_error(statistics, perturbation, genes)
    base, base_error = pooled_mean_and_error(statistics, CONTROL, genes)
    effect = mean - base
    spread = np.sqrt(error**2 + base_error**2)
    z = np.divide(effect, spread, out=np.full_like(effect, np.nan), where=spread > 0)
    weakest = int(np.nanargmin(np.abs(z))) if np.isfinite(z).any() else 0
    fold = z * np.nan
    if counts:
        fold = np.log2((np.expm1(mean) + PSEUDOCOUNT) / (np.expm1(base) + PSEUDOCOUNT))
    return {
        "on_target_gene": names[genes[weakest]],
        "on_target_log2_fold_change": fold[weakest],
        "on_target_effect": effect[weakest],
        "on_target_z": z[weakest],
    }


def pooled_mean_and_error(
    statistics: GroupStatistics, perturbation: str, genes: list[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard error over all cells of a perturbation, for some genes.

    The error is missing for a single cell.
    """
    mine = (statistics.groups["perturbation"] == perturbation).to_numpy()
    n = statistics.groups.loc[mine, "n_cells"].to_numpy(dtype=float)[:, None]
    means, variances = statistics.mean[mine][:, genes], statistics.variance[mine][:, genes]
    total = n.sum()
    mean = (n * means).sum(axis=0) / total
    squares = ((n - 1) * variances + n * (means - mean) ** 2).sum(axis=0)
    if total < 2:
        return mean, np.full_like(mean, np.nan)
    return mean, np.sqrt(squares / (total - 1) / total)


def screen_summary(cells: pd.DataFrame, qc: pd.DataFrame) -> dict[str, Any]:
    """Return the counts of a screen for ``qc.json``: cells, labels, perturbations."""
    labelled = cells["asked"].notna()
    removed = labelled & (cells["group"] == NO_GROUP)
    left_out = qc[qc["status"] != KEPT]
    return {
        "cells": len(cells),
        "control_cells": int((cells["perturbation"] == CONTROL).sum()),
        "cells_without_perturbation": int((~labelled).sum()),
        "cells_removed_by_keep": int(removed.sum()),
        "batches": int(cells["batch"].nunique()),
        "perturbations_asked": len(qc),
        "perturbations_kept": int((qc["status"] == KEPT).sum()),
        "perturbations_left_out": dict(
            zip(left_out["perturbation"].astype(str), left_out["reason"], strict=True)
        ),
        "perturbations_with_measured_target": int((qc["on_target_gene"] != "").sum()),
    }
