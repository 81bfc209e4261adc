"""Counting cells: what is known of them and their genes, and their sums, shard by shard."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from lgem.errors import InputError
from lgem.progress import progress
from lgem.screen.annotation import Guides, Shard, annotated, require_own_names
from lgem.screen.cells import CellRules, describe_cells
from lgem.screen.control import control_cells
from lgem.screen.entry import Entry, counted_genes
from lgem.screen.labels import CONTROL, SEPARATOR
from lgem.screen.matrices import Block, CountMatrix, ahead, count_matrix
from lgem.screen.pseudobulk import Sums, Terms, size_factors, terms_of
from lgem.screen.stores import check_same_genes, open_store
from lgem.screen.tables import gene_symbols


def describe_shards(
    shards: Sequence[Shard], screen: Entry, rules: CellRules, guide_targets: str | None = None
) -> tuple[list[pd.DataFrame], pd.DataFrame]:
    """Read the annotation of all shards, and check that their counts can be used.

    Returns
    -------
    shards, genes
        What `plan_cells` needs of the cells of each shard, and the genes to count: gene[, symbol].
    """
    guides = None
    if guide_targets is not None:
        separator = screen["combination_separator"] or SEPARATOR
        guides = Guides(guide_targets, str(screen["guide"]), separator)
    described = []
    cells: list[pd.Index] = []
    first: list[pd.Index] = []
    genes = pd.DataFrame()
    for shard in shards:
        with open_store(shard.path) as store:
            alone = not (shard.metadata or shard.guide_calls or guide_targets)
            obs = store.frame("obs", rules.needed if alone else None)
            var = store.frame("var")
            check_matrix(count_matrix(store, screen["layer"]), len(obs), len(var))
        cells.append(obs.index)
        known = annotated(obs, shard, guides)
        described.append(describe_cells(known, rules, f"{shard.place}: obs"))
        symbols = gene_symbols(var, screen["gene_symbols"], shard.place)
        names = [var.index, *([] if symbols is None else [pd.Index(symbols)])]
        if not first:
            first, genes = names, counted_genes(var, screen, shard.place)[0]
        for mine, others in zip(names, first, strict=True):
            check_same_genes(shard.place, mine, shards[0].place, others)
    require_own_names(shards, cells)
    return described, genes


def check_matrix(matrix: CountMatrix, cells: int, genes: int) -> None:
    """Raise an InputError for what a first look at the counts can show."""
    if matrix.shape != (cells, genes):
        raise InputError(matrix.place, f"shape {matrix.shape}", f"{cells} cells × {genes} genes")
    matrix.check_first()


def count_shard(
    path: str,
    screen: Entry,
    cells: pd.DataFrame,
    *,
    groups: int,
    target_sum: float,
    control: Path,
) -> Sums:
    """Sum the counts of one shard over the groups of its cells, in one pass.

    Parameters
    ----------
    path, screen
        File of the shard, and the entry of its dataset.
    cells
        The shard's part of what `plan_cells` returned.
    groups
        Groups of the whole screen.
    target_sum
        Counts per cell after normalisation.
    control
        Where to write the control cells: raw counts, batches, size factors.
    """
    group, half = cells["group"].to_numpy(), cells["half"].to_numpy()
    given = cells["size_factor"].to_numpy()
    is_control = (cells["perturbation"] == CONTROL).to_numpy()
    with open_store(path) as store:
        genes, merged = counted_genes(store.frame("var"), screen, path)
        matrix = count_matrix(store, screen["layer"])
        sums = Sums.zeros(groups, len(genes))
        with (
            control_cells(control, genes["gene"].tolist()) as kept,
            progress(f"counting {path}", len(cells), "cells") as advance,
        ):

            def normalised(block: Block) -> tuple[int, Terms]:
                start, raw = block
                rows = slice(start, start + raw.shape[0])
                counts = raw if merged is None else raw @ merged
                size = size_factors(counts, given[rows], start, matrix.place)
                those = np.flatnonzero(is_control[rows])
                kept.append(counts[those], size[those])
                terms = terms_of(counts, size, group[rows], half[rows], groups, target_sum)
                return raw.shape[0], terms

            # Reading, normalising and adding take about as long: each in a thread of its own.
            blocks = ahead(matrix.blocks(scratch=str(control.parent)))
            for number, terms in ahead(map(normalised, blocks)):
                sums.add(terms)
                advance(number)
            kept.finish(*(cells[name].array[is_control].tolist() for name in ("cell", "batch")))
    return sums
