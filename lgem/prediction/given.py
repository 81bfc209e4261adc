"""Embeddings that come from elsewhere: a user's table, or another data set."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import anndata
import numpy as np
import pandas as pd

from lgem.errors import InputError, counted, listing, nearest
from lgem.prediction.components import principal_scores
from lgem.prediction.embedding import (
    DATASET,
    FILE,
    MOST_DIMENSIONS,
    GeneEmbedding,
    PerturbationEmbedding,
)
from lgem.screen.io import ESTIMATED, symbols_of
from lgem.screen.labels import CONTROL, SEPARATOR, LabelRules, Target
from lgem.screen.tables import read_any_table

# Products of larger numbers would leave the range of floating point.
LARGEST = 1e9


def _sorted_genes(name: str) -> str:
    return SEPARATOR.join(sorted(name.strip().split(SEPARATOR)))


def read_embedding(
    path: str, name_of: Callable[[str], str | None] = _sorted_genes
) -> dict[str, np.ndarray]:
    """Read an embedding: names in the first column, numbers in all others.

    Commas separate the columns of a ``.csv``, tabs those of any other file.

    Parameters
    ----------
    path
        The table.
    name_of
        Gives a name its normal form.

    Raises
    ------
    InputError
        Where the table cannot be read, has no header, holds anything but moderate numbers, or
        names a row twice.
    """
    table = read_any_table(path, named=True)
    if not table.shape[1] or table.empty:
        raise InputError(
            path,
            f"{counted(len(table), 'row')} with {counted(table.shape[1], 'number')} each",
            "a name and at least one number in every row, below a line with the columns' names",
        )
    names = [name_of(str(name)) or "" for name in table.index]
    if "" in names:
        row = names.index("") + 1
        raise InputError(path, f"no name in row {row}", "a gene or a perturbation in every row")
    twice = pd.Index(names)[pd.Index(names).duplicated()]
    if len(twice):
        raise InputError(path, f"more than one row for '{twice[0]}'", "one row each")
    values = table.apply(pd.to_numeric, errors="coerce").to_numpy(dtype=float)
    fit = np.isfinite(values) & (np.abs(values) <= LARGEST)
    if not fit.all():
        row, column = np.argwhere(~fit)[0]
        found = table.iloc[row, column]
        raise InputError(
            f"{path}: column '{table.columns[column]}'",
            f"'{'' if pd.isna(found) else found}' for '{names[row]}'",
            f"finite numbers, at most {LARGEST:g} in size",
        )
    if not values.any():
        raise InputError(path, "zeros alone", "vectors that tell names apart")
    # What has found the numbers rounds some of them in the last places.
    return dict(zip(names, table.to_numpy(dtype=object).astype(float), strict=True))


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


def read_perturbation_embedding(
    path: str, source: str, labels: LabelRules, perturbations: Sequence[str]
) -> PerturbationEmbedding:
    """Read the vectors of perturbations from a user's table or from another data set's effects.

    Parameters
    ----------
    path
        The table, or the effects of the other data set.
    source
        ``file`` or ``dataset``.
    labels
        How a table's names of perturbations are read.
    perturbations
        Those of the screen.

    Raises
    ------
    InputError
        Where a table is no embedding, or none of the perturbations has a vector.
    """
    if source == FILE:
        table = read_embedding(path, labels.parse)
        table.pop(CONTROL, None)
        embedding = PerturbationEmbedding(FILE, table)
    else:
        effects = anndata.read_h5ad(path)
        known = effects[(effects.obs["status"] == ESTIMATED).to_numpy()]
        names = list(map(str, known.obs_names))
        components = perturbation_components(np.asarray(known.X), names)
        embedding = PerturbationEmbedding(DATASET, components)
    if all(embedding.why_not(name, Target(None)) for name in perturbations):
        raise InputError(
            path,
            f"none of the screen's perturbations; there are: {listing(embedding.table, 5)}",
            f"some of: {listing(perturbations, 5)}",
            nearest(perturbations[0], embedding.table) if perturbations else None,
        )
    return embedding


def read_given(
    genes: str | Sequence[str],
    perturbations: str | Sequence[str],
    source: str,
    effects: anndata.AnnData,
    labels: LabelRules,
) -> tuple[GeneEmbedding | None, PerturbationEmbedding | None]:
    """Return the embeddings that a model reads from files; None where no file is named.

    Parameters
    ----------
    genes, perturbations
        Paths; empty where there are none.
    source
        What the second one is: ``file`` or ``dataset``.
    effects
        The effects of the screen, for its genes and perturbations.
    labels
        How names of perturbations are read.
    """
    var, obs = effects.var, effects.obs
    gene_embedding = None
    if genes:
        table = read_embedding(str(genes))
        names = list(map(str, var.index))
        gene_embedding = genes_from_table(table, names, symbols_of(var), str(genes))
    if not perturbations:
        return gene_embedding, None
    usable = obs.index[obs["status"] == ESTIMATED].astype(str).to_list()
    return gene_embedding, read_perturbation_embedding(str(perturbations), source, labels, usable)
