"""What updates a covariance: loadings from predicted responses, from pathways, from new cells."""

from __future__ import annotations

import csv
import os
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from lgem.errors import InputError, counted, listing, nearest
from lgem.network.covariance import centre, number_batches
from lgem.network.names import AMBIGUOUS, UNKNOWN
from lgem.network.structure import at_most_square
from lgem.texts import read_texts

PATHWAY_COLUMNS = ("gene", "pathway", "loading")
# In standard deviations; squares of larger numbers would drown all others.
LARGEST = 1e6


def response_loadings(responses: np.ndarray, scale: np.ndarray, strength: float) -> np.ndarray:
    """Turn the responses to k perturbations into loadings X = strength · (R / scale)ᵀ / √k.

    X Xᵀ is strength² times the second moment, about control, of the mean expression of a cell that
    is equally likely to carry any of the k perturbations: what the part between perturbations
    adds to the covariance within them.

    Parameters
    ----------
    responses : (k, genes)
        R, predicted or observed effects (log-expression minus control).
    scale : (genes,)
        Standard deviation that the covariance's genes were divided by, in log-expression.
    strength : float
        Factor on the responses, without units; 1 takes them at face value.

    Returns
    -------
    (genes, k)
        Loadings in the units of the standardised covariance.

    Raises
    ------
    InputError
        If there is no response, or one has values that are not finite.
    """
    if not len(responses):
        raise InputError("responses for the network", "none", "at least one perturbation")
    broken = np.flatnonzero(~np.isfinite(responses).all(axis=1))
    if len(broken):
        raise InputError(
            "responses for the network",
            f"{len(broken)} of {len(responses)} with values that are not finite "
            f"(the first is number {broken[0] + 1})",
            "finite log-expression changes; leave out what was not predicted",
        )
    return strength * (responses / scale).T / np.sqrt(len(responses))


@dataclass(frozen=True)
class Pathways:
    """Loadings of the genes of a panel on pathways.

    Attributes
    ----------
    loadings : (genes, pathways)
        In standard deviations of the gene.
    names
        Of the pathways, in the order of the file.
    counts : dict
        ``rows`` of the file and what became of each: ``not_in_panel`` (measured, but of no gene of
        the panel), ``ambiguous`` (a symbol of several genes), ``used``. The others add up to
        ``rows``. ``pathways_left_out`` counts those without a gene in the panel.
    """

    loadings: np.ndarray
    names: list[str]
    counts: dict[str, int]

    @property
    def in_words(self) -> str:
        """What became of the rows, for a log."""
        return ", ".join(f"{n} {what.replace('_', ' ')}" for what, n in self.counts.items())


def read_pathways(
    path: str | os.PathLike[str], rows: Mapping[str, int], genes: int, measured: Collection[str]
) -> Pathways:
    """Read loadings of genes on pathways: a TSV with the columns gene, pathway and loading.

    Parameters
    ----------
    path
        The file. A gene that a pathway does not list has no part in it.
    rows
        Row in the panel of every name that a gene may be called by, see `lookup`.
    genes
        Genes of the panel.
    measured
        All names that the data set knows, in the panel or not.

    Raises
    ------
    InputError
        If the file is unreadable or of another format, names a gene that was not measured or a
        gene twice in a pathway, or holds nothing for the panel.
    """
    table, ends = check_pathways(path, rows, measured)
    used = ends >= 0
    every = pd.unique(table["pathway"])
    codes, names = pd.factorize(table["pathway"][used])
    if not len(names):
        outside, unclear = int((ends == UNKNOWN).sum()), int((ends == AMBIGUOUS).sum())
        found = f"no gene of the panel ({outside} rows outside, {unclear} with an ambiguous symbol)"
        raise InputError(str(path), found, "genes of the panel; see network.panel")
    loadings = np.zeros((genes, len(names)))
    loadings[ends[used], codes] = table["loading"].to_numpy()[used]
    counts = {
        "rows": len(table),
        "not_in_panel": int((ends == UNKNOWN).sum()),
        "ambiguous": int((ends == AMBIGUOUS).sum()),
        "used": int(used.sum()),
        "pathways": len(names),
        "pathways_left_out": len(every) - len(names),
    }
    return Pathways(loadings, [str(name) for name in names], counts)


def check_pathways(
    path: str | os.PathLike[str], rows: Mapping[str, int], measured: Collection[str]
) -> tuple[pd.DataFrame, np.ndarray]:
    """Read the rows of a table of pathways, and the position of each one's gene among `rows`.

    Raises
    ------
    InputError
        If the file is unreadable or of another format, names a gene that was not measured or a
        gene twice in a pathway.
    """
    table = _read_table(path)
    ends = table["gene"].map(rows).fillna(UNKNOWN).to_numpy(dtype=int)
    strangers = pd.unique(table["gene"][(ends == UNKNOWN) & ~table["gene"].isin(measured)])
    if len(strangers):
        raise InputError(
            f"{path}: column 'gene'",
            f"{counted(len(strangers), 'gene')} not measured: {listing(strangers)}",
            "ids or symbols of measured genes",
            nearest(strangers[0], measured),
        )
    used = ends >= 0
    twice = table[used & pd.DataFrame({"e": ends, "p": table["pathway"]}).duplicated().to_numpy()]
    if len(twice):
        gene, pathway = twice.iloc[0][["gene", "pathway"]]
        raise InputError(
            f"{path}: row {twice.index[0] + 2}",
            f"a second loading of gene '{gene}' on pathway '{pathway}'",
            "one row for a gene of a pathway",
        )
    return table, ends


def _read_table(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Read the three columns, loadings as finite numbers."""
    wanted = "a TSV with the columns gene, pathway and loading"
    # A quotation mark that is never closed would swallow rows.
    table = read_texts(path, "\t", wanted, csv.QUOTE_NONE)
    for column in PATHWAY_COLUMNS:
        if column not in table:
            raise InputError(
                str(path),
                f"no column '{column}'; there are: {listing(table.columns)}",
                wanted,
                nearest(column, list(table.columns)),
            )
    table = table[list(PATHWAY_COLUMNS)].apply(lambda column: column.str.strip(" \"'"))
    values = pd.to_numeric(table["loading"], errors="coerce")
    fit = values.abs() <= LARGEST
    bad = table.index[~fit | (table == "").any(axis=1)]
    if len(bad):
        found = ", ".join(f"{name} '{table.loc[bad[0], name]}'" for name in PATHWAY_COLUMNS)
        raise InputError(
            f"{path}: row {bad[0] + 2}", found, f"names, and a finite number, at most {LARGEST:g}"
        )
    if table.empty:
        raise InputError(str(path), "no rows", wanted)
    return table.assign(loading=values)


def cell_loadings(
    values: np.ndarray, batch: Sequence[Hashable] | None, cells: int, shift: bool
) -> np.ndarray:
    """Return the loadings by which new cells enter a covariance of n cells.

    With S the covariance of the n old cells and S' that of all n + m, both about their own means,
    (n + m) S' = n S + Σ (x − x̄)(x − x̄)ᵀ + nm/(n + m) δ δᵀ, the sum over the new cells. The loadings
    X are such that S + X Xᵀ = (n + m)/n · S': a factor that partial correlations do not notice. A
    shrunk covariance counts as n cells, its shrinkage weighing as much as it did.

    Parameters
    ----------
    values : (m, genes)
        New cells, less the mean of the old ones and divided by their spread.
    batch : (m,)
        Their batches, whose means are taken out; None for a single one.
    cells : int
        n, that the covariance was estimated from.
    shift
        Whether δ counts, the mean of the new cells less that of the old ones. A difference of level
        between batches is no biology.

    Returns
    -------
    (genes, k)
        k at most min(m, genes), and one more with a shift.

    Raises
    ------
    InputError
        If no two new cells share a batch.
    """
    codes = number_batches(batch, len(values))
    shared = np.bincount(codes)[codes] > 1
    if not shared.any():
        raise InputError(
            "network.new_cells",
            f"{counted(len(values), 'control cell')}, no two in one batch",
            "cells that share their batch with others",
        )
    new = int(shared.sum())
    centred = centre(values[shared], codes[shared])
    parts = [at_most_square(centred.T)]
    if shift:
        parts.append(np.sqrt(cells * new / (cells + new)) * values[shared].mean(axis=0)[:, None])
    return np.hstack(parts) / np.sqrt(cells)
