"""Quality control: cells, guides and on-target change of every perturbation, and what is kept."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from lgem.screen.cells import NO_GROUP
from lgem.screen.effects import GroupStatistics
from lgem.screen.labels import CONTROL, TargetIndex

KEPT, LEFT_OUT = "kept", "left_out"


def perturbation_table(
    cells: pd.DataFrame,
    statistics: GroupStatistics,
    targets: TargetIndex,
    min_cells: int,
    *,
    counts: bool,
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

    Returns
    -------
    DataFrame
        perturbation, n_cells, n_guides, on_target_gene, on_target_log2_fold_change,
        on_target_effect, on_target_z, status, reason. For combinations the on-target columns
        show the target with the weakest evidence. The fold change is
        log2 of (expm1(mean) + 1e-9) against control, the effect the difference of mean
        log-expression, z that difference over its Welch standard error.
    """
    carried = cells[(cells["group"] != NO_GROUP) & (cells["perturbation"] != CONTROL)]
    rows = []
    for name, members in carried.groupby("perturbation", sort=True):
        few = len(members) < min_cells
        found = targets.find(str(name))
        rows.append(
            {
                "perturbation": name,
                "n_cells": len(members),
                "n_guides": members.loc[members["guide"] != "-", "guide"].nunique(),
                **_on_target(statistics, str(name), found.rows, targets.genes, counts),
                "status": LEFT_OUT if few else KEPT,
                "reason": f"{len(members)} cells, fewer than min_cells {min_cells}" if few else "",
            }
        )
    return pd.DataFrame(rows)


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
    fold = np.log2((np.expm1(mean) + 1e-9) / (np.expm1(base) + 1e-9)) if counts else z * np.nan
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
    unlabelled = int((cells["group"] == NO_GROUP).sum())
    left_out = qc[qc["status"] == LEFT_OUT]
    return {
        "cells": len(cells),
        "control_cells": int((cells["perturbation"] == CONTROL).sum()),
        "cells_without_perturbation": unlabelled,
        "batches": int(cells["batch"].nunique()),
        "perturbations_asked": len(qc),
        "perturbations_kept": int((qc["status"] == KEPT).sum()),
        "perturbations_left_out": dict(
            zip(left_out["perturbation"].astype(str), left_out["reason"], strict=True)
        ),
        "perturbations_with_measured_target": int((qc["on_target_gene"] != "").sum()),
    }
