"""Embeddings that come from elsewhere: a user's table, or another data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import anndata
import numpy as np
import pandas as pd

from lgem.errors import InputError, listing
from lgem.prediction.embedding import (
    DATASET,
    FILE,
    MOST_DIMENSIONS,
    GeneEmbedding,
    PerturbationEmbedding,
    principal_scores,
)
from lgem.screen.io import ESTIMATED, symbols_of
from lgem.screen.labels import SEPARATOR


def read_embedding(path: str) -> dict[str, np.ndarray]:
    """Read an embedding: names in the first column, numbers in all others.

    Commas separate the columns of a ``.csv``, tabs those of any other file.

    Raises
    ------
    InputError
        Where the table cannot be read, holds anything but finite numbers, or names a row twice.
    """
    separator = "," if path.endswith(".csv") else "\t"
    try:
        table = pd.read_csv(path, sep=separator, dtype=str, keep_default_na=False)
    except (ValueError, OSError) as error:
        raise InputError(path, f"an unreadable table ({error})", "a CSV or TSV table") from None
    if table.shape[1] < 2 or table.empty:
        raise InputError(
            path,
            f"{len(table)} rows with {table.shape[1]} columns",
            "a name and at least one number in every row, below a line with the columns' names",
        )
    if not isinstance(table.index, pd.RangeIndex):
        raise InputError(
            path, "more columns than the header names", "a name for every column, the first too"
        )
    names = table.iloc[:, 0].map(lambda name: SEPARATOR.join(sorted(name.strip().split(SEPARATOR))))
    twice = names[names.duplicated()]
    if len(twice):
        raise InputError(path, f"more than one row for '{twice.iloc[0]}'", "one row each")
    values = table.iloc[:, 1:].apply(pd.to_numeric, errors="coerce").to_numpy(dtype=float)
    if not np.isfinite(values).all():
        row, column = np.argwhere(~np.isfinite(values))[0]
        raise InputError(
            f"{path}: column '{table.columns[column + 1]}'",
            f"'{table.iloc[row, column + 1]}' for '{names.iloc[row]}'",
            "finite numbers",
        )
    return dict(zip(map(str, names), values, strict=True))


def genes_from_table(
    table: Mapping[str, np.ndarray], genes: Sequence[str], symbols: Sequence[str] | None, place: str
) -> GeneEmbedding:
    """Return the gene embedding of a table; the vectors of genes that it lacks are 0.

    Raises
    ------
    InputError
        Where the table has fewer than half of the genes.
    """
    width = len(next(iter(table.values())))
    values, lacking = np.zeros((len(genes), width)), []
    for row, gene in enumerate(genes):
        found = table.get(gene)
        if found is None and symbols is not None:
            found = table.get(symbols[row])
        if found is None:
            lacking.append(row)
        else:
            values[row] = found
    if 2 * len(lacking) > len(genes):
        named = listing([genes[row] for row in lacking])
        raise InputError(
            place,
            f"no row for {len(lacking)} of {len(genes)} genes: {named}",
            f"rows for at least half of the genes; there are: {listing(table, 5)}",
        )
    return GeneEmbedding(FILE, values, frozenset(lacking))


def perturbation_components(
    effects: np.ndarray, perturbations: Sequence[str]
) -> dict[str, np.ndarray]:
    """Return the principal components of the perturbations of another data set, by name.

    Parameters
    ----------
    effects
        Effects there (perturbations × genes), without missing rows.
    perturbations
        Their names.
    """
    most = min(*effects.shape, MOST_DIMENSIONS)
    return dict(zip(perturbations, principal_scores(effects, most), strict=True))


def read_perturbation_embedding(path: str) -> PerturbationEmbedding:
    """Read the vectors of perturbations from a user's table or from another data set's effects.

    Raises
    ------
    InputError
        Where a table is no embedding.
    """
    if not path.endswith("effects.h5ad"):
        return PerturbationEmbedding(FILE, read_embedding(path))
    effects = anndata.read_h5ad(path)
    known = effects[(effects.obs["status"] == ESTIMATED).to_numpy()]
    names = list(map(str, known.obs_names))
    return PerturbationEmbedding(DATASET, perturbation_components(np.asarray(known.X), names))


def read_given(
    genes: str | Sequence[str], perturbations: str | Sequence[str], var: pd.DataFrame
) -> tuple[GeneEmbedding | None, PerturbationEmbedding | None]:
    """Return the embeddings that a model reads from files; None where no file is named.

    Parameters
    ----------
    genes, perturbations
        Paths; empty where there are none.
    var
        The genes measured.
    """
    gene_embedding = None
    if genes:
        table = read_embedding(str(genes))
        names = list(map(str, var.index))
        gene_embedding = genes_from_table(table, names, symbols_of(var), str(genes))
    return gene_embedding, read_perturbation_embedding(
        str(perturbations)
    ) if perturbations else None
