"""How a dataset's entry in the config is read into the chain.

The entry comes as plain values, as the config model dumps it: these functions know its keys, the
modules they call do not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import anndata
import numpy as np
import pandas as pd
from scipy import sparse

from lgem.errors import InputError, listing, nearest
from lgem.screen.cells import (
    RAW_LABEL,
    CellRules,
    cells_kept,
    describe_cells,
    plan_cells,
)
from lgem.screen.io import (
    group_statistics,
    symbols_of,
)
from lgem.screen.labels import CONTROL, LabelRules, TargetIndex
from lgem.screen.panel import in_fixed_order, panel_rows, within_variance
from lgem.screen.profiles import Profiles, read_profiles
from lgem.screen.pseudobulk import Sums, merge_genes
from lgem.screen.tables import gene_symbols

Entry = Mapping[str, Any]


def cell_rules(screen: Entry) -> CellRules:
    """Return what the columns of a dataset mean."""
    return CellRules(
        perturbation=screen["perturbation"],
        labels=LabelRules(
            control=tuple(screen["control"]),
            separator=screen["combination_separator"],
            pattern=screen["perturbation_pattern"],
        ),
        keep=screen["keep"],
        batch=tuple(screen["batch"] or ()),
        covariates=tuple(screen["covariates"]),
        guide=screen["guide"],
        size_factor=screen["size_factor"],
    )


def counted_genes(
    var: pd.DataFrame, screen: Entry, path: str
) -> tuple[pd.DataFrame, sparse.csr_matrix | None]:
    """Return the genes to count (gene[, symbol]) and the map that sums duplicates, if any."""
    symbols = gene_symbols(var, screen["gene_symbols"], path)
    names, merged = merge_genes(var.index.astype(str), symbols, screen["duplicates"], path)
    spelled = [*names.astype(str), *(() if symbols is None else symbols)]
    unprintable = [name for name in spelled if not name.isprintable() or not name.strip()]
    if unprintable:
        raise InputError(
            f"{path}: genes",
            f"the gene name {unprintable[0]!r}",
            "letters, digits and signs, not blank",
        )
    genes = pd.DataFrame({"gene": names.astype(str)})
    if symbols is not None and merged is None:
        genes["symbol"] = symbols.to_numpy()
    return genes, merged


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


def read_dataset_profiles(tables: Mapping[str, str], screen: Entry) -> Profiles:
    """Read the profiles of a dataset; var has the gene names, and symbols where config names them.

    Raises
    ------
    InputError
        As `read_profiles` does, and where gene names occur twice.
    """
    profiles = read_profiles(
        tables["table"],
        screen["orientation"],
        tables.get("metadata"),
        tables.get("gene_metadata"),
        screen["layer"],
    )
    genes, _ = counted_genes(profiles.var, screen, tables["table"])
    samples = profiles.obs.index
    if "metadata" in tables and screen["perturbation"] != "index" and not samples.is_unique:
        raise InputError(
            tables["table"],
            f"more than one sample called {listing(samples[samples.duplicated()].unique())}",
            "a name of its own for every sample, to find it in the metadata",
        )
    return Profiles(profiles.values, profiles.obs, genes.set_index("gene"))


def group_profiles(
    profiles: Profiles, rules: CellRules, seed: int, path: str
) -> tuple[pd.DataFrame, pd.DataFrame, Sums]:
    """Give every profile its perturbation and group, and sum over groups."""
    shard = describe_cells(profiles.obs, rules, path)
    cells, groups = plan_cells([shard], rules, seed, path)
    sums = Sums.zeros(len(groups), len(profiles.var))
    sums.add_profiles(profiles.values, cells["group"].to_numpy(), cells["half"].to_numpy())
    return cells, groups, sums


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
    cells = in_fixed_order(anndata.concat([anndata.read_h5ad(path) for path in shards]))
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
