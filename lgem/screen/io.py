"""The AnnData files of the screen's stages: what they hold, and how they are read back."""

from __future__ import annotations

from collections.abc import Sequence

import anndata
import numpy as np
import pandas as pd
from scipy import sparse

from lgem.screen.effects import Effects, GroupStatistics
from lgem.screen.labels import TargetIndex, genes_of
from lgem.screen.pseudobulk import Sums, log_normalise, moments

ESTIMATED, LEFT_OUT = "estimated", "left_out"


def pseudobulk_data(
    sums: Sums, groups: pd.DataFrame, genes: pd.DataFrame, *, counts: bool
) -> anndata.AnnData:
    """Return the pseudobulk: obs = groups, var = genes, the statistics as layers.

    ``sum`` and ``detected`` are there where raw counts are known.
    """
    found = moments(sums, groups)
    layers = {
        "mean": found.mean,
        "variance": found.variance,
        "sum_log": found.mean * groups["n_cells"].to_numpy()[:, None],
        "half_1": found.half_1,
        "half_2": found.half_2,
    }
    if counts:
        layers |= {"sum": sums.counts, "detected": sums.detected}
    obs = groups.copy()
    obs.index = pd.Index([f"group_{row}" for row in range(len(groups))])
    return anndata.AnnData(obs=obs, var=genes, layers=layers)


def group_statistics(pseudobulk: anndata.AnnData) -> GroupStatistics:
    """Return the sufficient statistics that a pseudobulk file holds."""
    groups = pseudobulk.obs.reset_index(drop=True)
    # Categories would keep levels that a selection of groups no longer has.
    groups = groups.astype(dict.fromkeys(groups.select_dtypes("category").columns, object))
    return GroupStatistics(
        groups, np.asarray(pseudobulk.layers["mean"]), np.asarray(pseudobulk.layers["variance"])
    )


def symbols_of(var: pd.DataFrame) -> Sequence[str] | None:
    """Return the symbols of a stage's genes, where they differ from the identifiers."""
    return list(var["symbol"].astype(str)) if "symbol" in var else None


def effects_data(
    effects: Effects, qc: pd.DataFrame, var: pd.DataFrame, control: np.ndarray
) -> anndata.AnnData:
    """Return the effects: one row for every perturbation asked for, missing where left out.

    obs has n_cells, embeddable, status and reason; var the expression of control; layers the
    standard error and the q-value.
    """
    row_of = {name: row for row, name in enumerate(effects.perturbations)}
    asked = qc["perturbation"].astype(str).tolist()
    obs = pd.DataFrame(
        {
            "n_cells": qc["n_cells"].to_numpy(),
            "n_genes": [len(genes_of(name)) for name in asked],
            "status": [ESTIMATED if name in row_of else LEFT_OUT for name in asked],
            "reason": [
                effects.left_out.get(name, reason)
                for name, reason in zip(asked, qc["reason"].fillna(""), strict=True)
            ],
        },
        index=pd.Index(asked, name="perturbation"),
    )
    index = TargetIndex(var.index.astype(str).tolist(), symbols_of(var))
    obs["embeddable"] = [index.find(name).rows is not None for name in asked]
    rows = np.array([row_of.get(name, -1) for name in asked])

    def spread(values: np.ndarray) -> np.ndarray:
        return np.where(rows[:, None] >= 0, values[rows], np.nan)

    return anndata.AnnData(
        X=spread(effects.effect),
        obs=obs,
        var=var.assign(control=control),
        layers={"se": spread(effects.se), "q_value": spread(effects.q_values())},
    )


def network_expression(cells: anndata.AnnData) -> np.ndarray:
    """Return the log-expression of the network's cells or profiles (cells × panel, dense).

    Raw counts are normalised by the cells' size factors; profiles are on a log scale already.
    """
    if "target_sum" not in cells.uns:
        return np.asarray(cells.X, dtype=float)
    counts = sparse.csr_matrix(cells.X)
    size = cells.obs["size_factor"].to_numpy(dtype=float)
    return log_normalise(counts, size, float(cells.uns["target_sum"])).toarray()


def names_of(var: pd.DataFrame) -> np.ndarray:
    """Return all that some genes may be called by: their ids, and symbols if any."""
    return np.array(sorted({*var.index.astype(str), *(symbols_of(var) or [])}), dtype=str)
