"""The AnnData files of the screen's stages: what they hold, and how they are read back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import anndata
import numpy as np
import pandas as pd
from scipy import sparse

from lgem.errors import InputError, listing
from lgem.screen.effects import Effects, GroupStatistics
from lgem.screen.labels import TargetIndex, genes_of
from lgem.screen.pseudobulk import Sums, log_normalise, moments
from lgem.screen.matrices import count_matrix
from lgem.screen.sources import (
    is_store,
    open_store,
    read_any_table,
    require_columns,
)

ESTIMATED, LEFT_OUT = "estimated", "left_out"
# Beyond this a value cannot be on a log scale, and sums of squares would leave the room of int64.
LARGEST_LOG_VALUE = 100.0


@dataclass(frozen=True)
class Profiles:
    """Log-scale expression of samples: values (samples × genes), obs and var."""

    values: np.ndarray
    obs: pd.DataFrame
    var: pd.DataFrame


def read_profiles(
    path: str, orientation: str, metadata: str | None, gene_metadata: str | None, layer: str | None
) -> Profiles:
    """Read a table (or .h5ad, .zarr) with one log-scale row per sample, and what is known of both sides.

    Raises
    ------
    InputError
        Where the table is unreadable, holds anything but finite numbers, or cannot be on a log
        scale; where the metadata lack a sample.
    """
    if is_store(path):
        values, obs, var = _read_stored_profiles(path, layer)
    else:
        table = read_any_table(path)
        values = _numbers(table, path)
        obs, var = pd.DataFrame(index=table.index), pd.DataFrame(index=table.columns)
        if orientation == "genes_by_samples":
            values, obs, var = values.T, var, obs
    _check_log_values(values, obs.index, var.index, path)
    if metadata is not None:
        table = read_any_table(metadata, named=True)
        missing = obs.index.difference(table.index)
        if len(missing):
            turned = var.index.isin(table.index).any()
            raise InputError(
                metadata,
                f"no row for {len(missing)} samples: {listing(missing)}",
                "a row for every sample, in its first column the name"
                + ("; it has rows for what are taken for genes: see orientation" if turned else ""),
            )
        obs = with_columns(obs, table, metadata)
    if gene_metadata is not None:
        table = read_any_table(gene_metadata, named=True)
        if not var.index.isin(table.index).any():
            raise InputError(
                gene_metadata,
                f"no row for any gene; there are: {listing(table.index, 3)}",
                f"rows for genes such as: {listing(var.index, 3)}",
            )
        var = with_columns(var, table, gene_metadata)
    return Profiles(values, obs, var)


def _read_stored_profiles(
    path: str, layer: str | None
) -> tuple[np.ndarray, pd.DataFrame, pd.DataFrame]:
    with open_store(path) as store:
        name = count_matrix(store, layer).name
        obs, var, values = store.frame("obs"), store.frame("var"), store.read(name)
    dense = values.toarray() if sparse.issparse(values) else np.asarray(values)
    obs.index, var.index = obs.index.astype(str), var.index.astype(str)
    return dense.astype(float), obs, var


def _numbers(table: pd.DataFrame, path: str) -> np.ndarray:
    for at, kind in enumerate(table.dtypes):
        if not pd.api.types.is_numeric_dtype(kind):
            column = table.iloc[:, at]
            wrong = column[pd.to_numeric(column, errors="coerce").isna()]
            if len(wrong):
                raise InputError(
                    f"{path}: column '{table.columns[at]}'",
                    f"'{wrong.iloc[0]}' in row '{wrong.index[0]}'",
                    "numbers",
                )
    return table.to_numpy(dtype=float)


def _check_log_values(values: np.ndarray, samples: pd.Index, genes: pd.Index, path: str) -> None:
    bad = ~np.isfinite(values) | (np.abs(values) > LARGEST_LOG_VALUE)
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise InputError(
            path,
            f"{values[row, column]:g} for sample '{samples[row]}', gene '{genes[column]}'",
            f"finite values on a log scale, at most {LARGEST_LOG_VALUE:g} in size",
        )


def with_columns(frame: pd.DataFrame, table: pd.DataFrame, path: str) -> pd.DataFrame:
    """Return a frame with the columns of a table besides its own, row for row by name.

    Names may occur twice in the frame, replicates of one label, but not in the table. Rows that
    the table lacks are missing.
    """
    twice = table.index[table.index.duplicated() & table.index.isin(frame.index)]
    if len(twice):
        raise InputError(path, f"more than one row for {listing(twice.unique())}", "one row each")
    both = frame.columns.intersection(table.columns)
    if len(both):
        raise InputError(
            path, f"columns that the expression file has too: {listing(both)}", "other names"
        )
    added = table[~table.index.duplicated()].reindex(frame.index.unique()).loc[frame.index]
    return pd.concat([frame, added.set_axis(frame.index)], axis=1)


def gene_symbols(var: pd.DataFrame, column: str | None, place: str) -> pd.Series | None:
    """Return the symbols of genes; a gene without one keeps its identifier."""
    if column is None:
        return None
    require_columns(var, [column], f"{place}: var")
    symbols = var[column].astype("string").str.strip()
    return symbols.mask(symbols == "").fillna(var.index.to_series().astype("string")).astype(object)


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
