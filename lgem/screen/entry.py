"""How a dataset's entry in the config is read into the chain.

The entry comes as plain values, as the config model dumps it: these functions know its keys, the
modules they call do not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from scipy import sparse

from lgem.errors import InputError, listing
from lgem.screen.cells import CellRules, describe_cells, plan_cells
from lgem.screen.labels import LabelRules
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
    if len(var) == 0:
        raise InputError(f"{path}: genes", "none", "at least one")
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
