"""Profiles: one log-scale row per sample, and what is known of samples and genes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse

from lgem.errors import InputError, listing
from lgem.screen.matrices import count_matrix
from lgem.screen.stores import open_store
from lgem.screen.tables import numbers, read_any_table, with_columns
from lgem.shards import is_store

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
    """Read profiles, one log-scale row per sample, and what is known of samples and genes.

    They come as a table or as an AnnData store.

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
        values = numbers(table, path)
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


def _check_log_values(values: np.ndarray, samples: pd.Index, genes: pd.Index, path: str) -> None:
    bad = ~np.isfinite(values) | (np.abs(values) > LARGEST_LOG_VALUE)
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise InputError(
            path,
            f"{values[row, column]:g} for sample '{samples[row]}', gene '{genes[column]}'",
            f"finite values on a log scale, at most {LARGEST_LOG_VALUE:g} in size",
        )
