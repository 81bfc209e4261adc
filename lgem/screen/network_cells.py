"""What the network is estimated from: its panel of genes, and cells or profiles on it."""

from __future__ import annotations

import anndata
import h5py
import numpy as np
import pandas as pd
from scipy import sparse

from lgem.errors import InputError, listing, nearest
from lgem.screen.cells import RAW_LABEL, cells_kept, describe_cells
from lgem.screen.entry import Entry, cell_rules
from lgem.screen.io import group_statistics, symbols_of
from lgem.screen.labels import CONTROL, TargetIndex
from lgem.screen.panel import in_fixed_order, panel_rows, within_variance
from lgem.screen.profiles import Profiles


def read_control_cells(path: str) -> anndata.AnnData:
    """Return the control cells of a shard that `ControlCells` wrote: obs batch and size_factor."""
    with h5py.File(path) as file:
        cells, batch, genes = (list(file[name].asstr()[:]) for name in ("cell", "batch", "gene"))
        parts = (file["data"][:], file["indices"][:], file["indptr"][:])
        size = file["size_factor"][:]
    return anndata.AnnData(
        X=sparse.csr_matrix(parts, shape=(len(cells), len(genes))),
        obs=pd.DataFrame(
            {"batch": batch, "size_factor": size}, index=pd.Index(cells, dtype=object)
        ),
        var=pd.DataFrame(index=pd.Index(genes, dtype=object)),
    )


def panel_of(
    pseudobulk: anndata.AnnData, panel: int | str, min_detected: float
) -> tuple[np.ndarray, list[int]]:
    """Return the rows of the network's panel and those of the measured targets.

    Parameters
    ----------
    panel
        See `panel_rows`; genes are chosen by their variance in control.
    min_detected
        Genes detected in a smaller share of control cells are left out.
    """
    statistics = group_statistics(pseudobulk)
    is_control = (statistics.groups["perturbation"] == CONTROL).to_numpy()
    n = statistics.groups.loc[is_control, "n_cells"].to_numpy()
    variance = within_variance(statistics.variance[is_control], n)
    index = TargetIndex(list(pseudobulk.var_names), symbols_of(pseudobulk.var))
    detected = np.asarray(pseudobulk.layers["detected"])[is_control].sum(axis=0) / n.sum()
    targets = _targets(index, statistics.groups["perturbation"])
    return panel_rows(panel, index, variance, targets, detected >= min_detected), targets


def panel_genes(var: pd.DataFrame, panel: np.ndarray, targets: list[int]) -> pd.DataFrame:
    """Return what is known of the genes of a panel, and whether a perturbation aims at each."""
    genes = var.iloc[panel]
    return genes.assign(target=np.isin(panel, targets))


def other_names(var: pd.DataFrame, panel: np.ndarray) -> dict[str, np.ndarray]:
    """Return the names of measured genes that are not in the panel: other_ids, other_symbols."""
    others = var.drop(index=var.index[panel])
    return {
        "other_ids": others.index.to_numpy(dtype=str),
        "other_symbols": np.array(symbols_of(others) or [], dtype=str),
    }


def _targets(index: TargetIndex, perturbations: pd.Series) -> list[int]:
    found = [index.find(str(name)).rows or () for name in perturbations.unique()]
    return sorted({row for rows in found for row in rows})


def panel_profiles(profiles: Profiles, screen: Entry, panel: int | str) -> anndata.AnnData:
    """Return all profiles of the network's panel: the targets, then the most variable genes."""
    targets: list[int] = []
    index = TargetIndex(list(profiles.var.index), symbols_of(profiles.var))
    if screen["perturbation"] is not None:
        rules = cell_rules(screen)
        cells = describe_cells(profiles.obs, rules, "profiles")
        kept = cells_kept(cells, rules.keep, "profiles")
        labels = cells.loc[kept, RAW_LABEL].dropna().map(rules.labels.parse).dropna()
        targets = _targets(index, labels)
    # The variance of equal values may round to a little more than zero.
    varies = np.ptp(profiles.values, axis=0) > 0
    variance = np.where(varies, profiles.values.var(axis=0, ddof=1), 0.0)
    rows = panel_rows(panel, index, variance, targets)
    # Replicates may share a name, which is their label.
    names = pd.Series(profiles.obs.index.astype(str), name="sample")
    replicate = names.groupby(names).cumcount()
    unique = names.where(replicate == 0, names + "/" + (replicate + 1).astype(str))
    return anndata.AnnData(
        X=profiles.values[:, rows],
        obs=pd.DataFrame({"sample": names.to_numpy()}, index=pd.Index(unique, name=None)),
        var=panel_genes(profiles.var, rows, targets),
        uns=other_names(profiles.var, rows),
    )


def cells_on_panel(shards: list[str], genes: pd.Index, target_sum: float) -> anndata.AnnData:
    """Return the control cells of all shards of a dataset on the panel of another.

    Raises
    ------
    InputError
        If a gene of the panel is not measured there.
    """
    cells = in_fixed_order(anndata.concat(list(map(read_control_cells, shards))))
    missing = genes.difference(cells.var_names)
    if len(missing):
        raise InputError(
            "network.new_cells",
            f"{len(missing)} of the panel's {len(genes)} genes not measured: {listing(missing)}",
            "all of them, under the same ids; a table in network.panel can name shared genes",
            nearest(missing[0], list(cells.var_names)),
        )
    cells = cells[:, genes].copy()
    cells.uns["target_sum"] = target_sum
    return cells
