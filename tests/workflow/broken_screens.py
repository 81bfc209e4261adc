"""Screens that are broken in one way each, and what must be told of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pandas as pd
from scipy import sparse

from tests.unit.ten_x import write_calls, write_folder, write_h5
from tests.workflow.screens import CELLS, CONTROL, GENES, cells_of, profiles_of

PROFILES = {**CELLS, "kind": "profiles", "metadata": "metadata.tsv"}


@dataclass(frozen=True)
class Problem:
    """A broken screen: how it is made, its entry in the config, and what must be told."""

    make: Callable[[Path], object]
    told: list[str]
    entry: dict[str, Any] = field(default_factory=dict)
    target: str = "pseudobulk.h5ad"


def cells(change: Callable[[anndata.AnnData], object] | None = None, name: str = "screen.h5ad"):
    def make(folder):
        screen = cells_of()
        screen = (change(screen) if change else None) or screen
        screen.write_h5ad(folder / name)

    return make


def count(value: float, row: int = 7) -> Callable[[anndata.AnnData], None]:
    def change(screen):
        dense = screen.X.toarray()
        dense[row, 3] = value
        screen.X = sparse.csr_matrix(dense)

    return change


def log_transformed(screen):
    screen.X = screen.X.log1p()


def size_factor(value: object) -> Callable[[anndata.AnnData], None]:
    def change(screen):
        totals = screen.X.sum(axis=1).A1.astype(object)
        totals[5] = value
        screen.obs["total"] = [str(total) for total in totals] if value == "many" else totals
        screen.obs["total"] = screen.obs["total"].astype(str if value == "many" else float)

    return change


def twice(screen):
    screen.var_names = [*GENES[:-1], GENES[0]]


def symbols_twice(screen):
    screen.var["symbol"] = [*GENES[:-1], GENES[0]]
    screen.var_names = [f"ENSG{row}" for row in range(len(GENES))]


def two_lanes(change: Callable[[anndata.AnnData], object]):
    def make(folder):
        cells_of().write_h5ad(folder / "lane_1.h5ad")
        other = cells_of(seed=1)
        (change(other) or other).write_h5ad(folder / "lane_2.h5ad")

    return make


def not_anndata(folder):
    with h5py.File(folder / "screen.h5ad", "w") as handle:
        handle["counts"] = np.arange(3)


def truncated(folder):
    cells()(folder)
    whole = (folder / "screen.h5ad").read_bytes()
    (folder / "screen.h5ad").write_bytes(whole[: len(whole) // 2])


def truncated_10x(folder):
    write_h5(cells_of(), folder / "screen.h5")
    whole = (folder / "screen.h5").read_bytes()
    (folder / "screen.h5").write_bytes(whole[: len(whole) // 2])


def no_barcodes(folder):
    write_folder(cells_of(), folder / "screen")
    (folder / "screen" / "barcodes.tsv.gz").unlink()


def other_calls(folder):
    write_h5(cells_of(), folder / "screen.h5")
    write_calls({"AAAC-1": "guide_0", "AAAG-1": "guide_1"}, folder / "calls.csv")


def no_shape(folder):
    cells()(folder)
    with h5py.File(folder / "screen.h5ad", "a") as handle:
        del handle["X"].attrs["shape"]


def with_symbols(last: str) -> Callable[[anndata.AnnData], None]:
    def change(screen):
        screen.var["symbol"] = [*(f"S{row}" for row in range(len(GENES) - 1)), last]

    return change


def other_symbols(folder):
    for lane, last in (("lane_1", "SX"), ("lane_2", "SY")):
        cells(with_symbols(last), f"{lane}.h5ad")(folder)


def semicolons(folder):
    profiles()(folder)
    text = (folder / "table.tsv").read_text("utf-8")
    (folder / "table.csv").write_text(text.replace("\t", ";"), "utf-8")


def profiles(
    change: Callable[[pd.DataFrame], object] = lambda table: None,
    describe: Callable[[pd.DataFrame], pd.DataFrame] = lambda metadata: metadata,
):
    def make(folder):
        table, metadata = profiles_of()
        table = table.astype(object)
        change(table)
        table.to_csv(folder / "table.tsv", sep="\t")
        describe(metadata).to_csv(folder / "metadata.tsv", sep="\t")

    return make


def entry_of(value: object) -> Callable[[pd.DataFrame], None]:
    def change(table):
        table.iloc[2, 4] = value

    return change


def raw_scale(table):
    table.iloc[:, :] = np.exp(table.astype(float)) * 20


def unconnected(screen):
    """All cells of one perturbation in a lane of their own."""
    screen.obs.loc[screen.obs["gene"] == GENES[1], "lane"] = "lane_9"


BATCH_TOLD = ["adjust_batch: true", "1 perturbation not", GENES[1], "auto", "false"]

DATA_PROBLEMS = {
    "text": Problem(
        lambda folder: (folder / "screen.h5ad").write_text("cell,gene\n"),
        ["text/screen.h5ad: found a file that HDF5 cannot open (", "expected a whole .h5ad file"],
    ),
    "truncated": Problem(
        truncated,
        ["truncated/screen.h5ad: found a file that HDF5 cannot open (", "a whole .h5ad file"],
    ),
    "not_anndata": Problem(
        not_anndata,
        ["not_anndata/screen.h5ad: found no 'obs' in the file; expected an .h5ad file (AnnData)"],
    ),
    "truncated_10x": Problem(
        truncated_10x,
        ["truncated_10x/screen.h5: found what cannot be read as 10x output (", "truncated file"],
        {"path": "screen.h5"},
    ),
    "no_barcodes": Problem(
        no_barcodes,
        ["no_barcodes/screen: found no barcodes.tsv[.gz]; expected Cell Ranger's filtered_"],
        {"path": "screen"},
    ),
    "other_calls": Problem(
        other_calls,
        [
            "other_calls/calls.csv: found no row for any cell; there are: AAAC-1, AAAG-1; ",
            "expected rows for cells such as: cell_0, cell_1",
        ],
        {"path": "screen.h5", "guide_calls": "calls.csv", "guide": "feature_call"},
    ),
    "no_column": Problem(
        cells(),
        [
            "no_column/screen.h5ad: obs: batch: column 'lanes': found no such column; ",
            "expected one of: gene, lane, shard; did you mean 'lane'?",
        ],
        {"batch": "lanes"},
    ),
    "no_control": Problem(
        cells(),
        [
            "no_control/screen.h5ad: obs: control: found no cell labelled 'nontargeting'; ",
            "expected one of the labels there: GENE1, ",
            "did you mean 'non-targeting'?",
        ],
        {"control": "nontargeting"},
    ),
    "unknown_control": Problem(
        cells(),
        [
            "unknown_control/screen.h5ad: obs: control: found no cell labelled 'safe_targeting'; ",
            "expected labels that are there: GENE1, ",
        ],
        {"control": [CONTROL, "safe_targeting"]},
    ),
    "unknown_value_of_keep": Problem(
        cells(),
        [
            "screen.h5ad: obs: keep: column 'lane': found no cell with 'lane_2'; expected values ",
            "that are there: lane_0, lane_1; did you mean 'lane_",
        ],
        {"keep": {"lane": ["lane_1", "lane_2"]}},
    ),
    "unprintable_label": Problem(
        cells(lambda screen: screen.obs["gene"].to_numpy().__setitem__(45, "GENE1\x1b")),
        ["screen.h5ad: obs: label 'GENE1\\x1b': found a character that cannot be printed"],
    ),
    "blank_gene": Problem(
        cells(lambda screen: screen.var.index.to_numpy().__setitem__(3, " ")),
        ["blank_gene/screen.h5ad: genes: found the gene name ' '; expected letters, digits"],
    ),
    "no_shape": Problem(
        no_shape,
        ["no_shape/screen.h5ad: X: found a sparse matrix without its shape; expected a whole"],
    ),
    "few_cells": Problem(
        lambda folder: cells_of(each=3).write_h5ad(folder / "screen.h5ad"),
        ["effects: found no perturbation with enough cells", "pseudobulk.min_cells; see qc.tsv"],
        target="effects.h5ad",
    ),
    "no_layer": Problem(
        cells(lambda screen: screen.layers.update({"counts": screen.X})),
        [
            "no_layer/screen.h5ad: layer 'count': found no such layer; expected one of: counts; ",
            "did you mean 'counts'?",
        ],
        {"layer": "count"},
    ),
    "negative": Problem(
        cells(count(-2)),
        ["negative/screen.h5ad: X: found -2 in row 8 ", "expected raw counts: whole numbers"],
    ),
    "fractional": Problem(
        cells(count(2.5)),
        ["fractional/screen.h5ad: X: found 2.5 in row 8 ", "expected raw counts: whole numbers"],
    ),
    "not_a_number": Problem(
        cells(count(float("nan"))),
        ["not_a_number/screen.h5ad: X: found nan in row 8 ", "expected raw counts: whole numbers"],
    ),
    "log_transformed": Problem(
        cells(log_transformed),
        [
            "log_transformed/screen.h5ad: X: found ",
            "(these look log-transformed: name the layer with the raw counts)",
        ],
    ),
    "same_genes": Problem(
        cells(twice),
        [
            "same_genes/screen.h5ad: genes: found gene names that occur more than once: 1, ",
            "such as 'GENE1'; expected unique gene names, or duplicates: sum",
        ],
    ),
    "same_symbols": Problem(
        cells(symbols_twice),
        ["such as 'GENE1'; expected unique symbols, or duplicates: keep_ids or sum"],
        {"gene_symbols": "symbol"},
    ),
    "one_perturbation": Problem(
        cells(lambda screen: screen[screen.obs["gene"].isin([CONTROL, GENES[0]])].copy()),
        [
            "one_perturbation/screen.h5ad: obs: perturbation: found 1 besides control",
            "at least two",
        ],
    ),
    "text_as_total": Problem(
        cells(size_factor("many")),
        ["obs: column 'total': found 'many' for cell 'cell_5'; expected total counts: numbers"],
        {"size_factor": "total"},
    ),
    "zero_as_total": Problem(
        cells(size_factor(0)),
        [
            "zero_as_total/screen.h5ad: X: size_factor: found 0 for row 6, whose counts add up to ",
            "expected the cell's total count, at least the sum of what is measured; or no ",
        ],
        {"size_factor": "total"},
    ),
    "other_genes": Problem(
        two_lanes(lambda screen: screen.var.index.to_numpy().__setitem__(0, "OTHER")),
        ["other_genes/lane_2.h5ad: found gene 'OTHER' at position 1; expected 'GENE1', as in"],
        {"path": "lane_*.h5ad"},
    ),
    "fewer_genes": Problem(
        two_lanes(lambda screen: screen[:, :-1].copy()),
        ["fewer_genes/lane_2.h5ad: found 11 genes; expected the 12 genes of the other shard"],
        {"path": "lane_*.h5ad"},
    ),
    "other_symbols": Problem(
        other_symbols,
        ["other_symbols/lane_2.h5ad: found gene 'SY' at position 12; expected 'SX', as in the "],
        {"path": "lane_*.h5ad", "gene_symbols": "symbol"},
    ),
    "profile_semicolons": Problem(
        semicolons,
        ["profile_semicolons/table.csv: found a first line without the comma of its kind: 'sam"],
        {**PROFILES, "path": "table.csv"},
    ),
    "profile_turned": Problem(
        profiles(),
        ["metadata.tsv: found no row for 12 samples: ", "taken for genes: see orientation"],
        {**PROFILES, "path": "table.tsv", "orientation": "genes_by_samples"},
    ),
    "profile_column": Problem(
        profiles(),
        ["profile_column/metadata.tsv: batch: column 'lanes': found no such column; ", "'lane'?"],
        {**PROFILES, "path": "table.tsv", "batch": "lanes"},
    ),
    "profile_text": Problem(
        profiles(entry_of("high")),
        ["profile_text/table.tsv: column 'GENE5': found 'high' in row 'sample_2'; expected num"],
        {**PROFILES, "path": "table.tsv"},
    ),
    "profile_blank": Problem(
        profiles(entry_of("")),
        ["profile_blank/table.tsv: found nan for sample 'sample_2', gene 'GENE5'; expected fin"],
        {**PROFILES, "path": "table.tsv"},
    ),
    "profile_raw": Problem(
        profiles(raw_scale),
        ["profile_raw/table.tsv: found ", "expected finite values on a log scale, at most 100"],
        {**PROFILES, "path": "table.tsv"},
    ),
    "profile_unknown": Problem(
        profiles(describe=lambda metadata: metadata.drop(index=["sample_1", "sample_4"])),
        [
            "profile_unknown/metadata.tsv: found no row for 2 samples: sample_1, sample_4; ",
            "expected a row for every sample",
        ],
        {**PROFILES, "path": "table.tsv"},
    ),
    "no_edge": Problem(
        lambda folder: (
            profiles()(folder),
            (folder / "edges.tsv").write_text("GENE01\tGENE02\nGENE03\tGENE04\n"),
        ),
        ["no_edge/edges.tsv: found no edge between two genes of the panel", "did you mean 'GENE3'"],
        {"kind": "profiles", "path": "table.tsv", "reference_network": "edges.tsv"},
        "network/scores.tsv",
    ),
    "unconnected": Problem(
        cells(unconnected),
        BATCH_TOLD,
        target="effects.h5ad",
    ),
}
