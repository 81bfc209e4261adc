"""More screens that are broken in one way each, tables above all, and what must be told of them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import anndata
import h5py
import numpy as np

from tests.workflow.broken_screens import PROFILES, Problem, cells, profiles
from tests.workflow.screens import CONTROL, GENES, cells_of, profiles_of


def edited(change: Callable[[h5py.File], object]) -> Callable[[Path], None]:
    """A sound .h5ad that is changed as HDF5."""

    def make(folder):
        cells()(folder)
        with h5py.File(folder / "screen.h5ad", "a") as handle:
            change(handle)

    return make


def fewer_pointers(handle):
    pointers = handle["X/indptr"][:-3]
    del handle["X/indptr"]
    handle["X/indptr"] = pointers


def far_index(handle):
    handle["X/indices"][5] = 400


def unknown_encoding(handle):
    handle["X"].attrs["encoding-type"] = "coo_matrix"


def replaced(values: object, name: str = "X") -> Callable[[h5py.File], None]:
    def change(handle):
        del handle[name]
        if values is not None:
            handle[name] = values

    return change


def barcodes(folder):
    screen = cells_of(controls=160)
    screen.obs["barcode"] = screen.obs_names.to_numpy()
    screen.write_h5ad(folder / "screen.h5ad")


def no_label(screen):
    screen.obs["gene"] = np.nan


def zarr_folder(change: Callable[[Path], object]) -> Callable[[Path], None]:
    def make(folder):
        cells_of().write_zarr(folder / "screen.zarr")
        change(folder / "screen.zarr")

    return make


def cut_chunk(store):
    chunk = max((path for path in (store / "X/data").rglob("*") if path.is_file()
                 and path.name not in ("zarr.json", ".zarray", ".zattrs")),
                key=lambda path: path.stat().st_size)  # fmt: skip
    chunk.write_bytes(chunk.read_bytes()[:20])


def described(text: Callable[[anndata.AnnData], str], name: str) -> Callable[[Path], None]:
    """A sound screen, and a table that is made from it."""

    def make(folder):
        screen = cells_of()
        screen.write_h5ad(folder / "screen.h5ad")
        (folder / name).write_text(text(screen), "utf-8")

    return make


def day_of(cells_told: list[str], header: str = "cell,day") -> str:
    return "\n".join([header, *(f"{name},1" for name in cells_told)]) + "\n"


def guided(folder):
    screen = cells_of()
    screen.obs["guide"] = [f"g_{name}" for name in screen.obs.pop("gene")]
    screen.write_h5ad(folder / "screen.h5ad")
    rows = [f"g_{gene}\t{gene}" for gene in (CONTROL, *GENES[:3])]
    (folder / "guides.tsv").write_text("\n".join(["guide_id\tgene", *rows, ""]), "utf-8")


def counts_table(change: Callable[[list[str]], list[str]]) -> Callable[[Path], None]:
    """Counts as a CSV with metadata; the table's lines are changed."""

    def make(folder):
        screen = cells_of()
        lines = screen.to_df().astype(int).to_csv(index_label="cell").splitlines()
        (folder / "counts.csv").write_text("\n".join(change(lines)) + "\n", "utf-8")
        screen.obs.to_csv(folder / "cells.csv", index_label="cell")

    return make


def line(number: int, change: Callable[[str], str]) -> Callable[[list[str]], list[str]]:
    return lambda lines: [change(t) if n == number else t for n, t in enumerate(lines)]


def replicate_names(folder):
    profiles()(folder)
    text = (folder / "table.tsv").read_text("utf-8")
    (folder / "table.tsv").write_text(text.replace("sample_3\t", "sample_2\t"), "utf-8")


def metadata_lines(change: Callable[[list[str]], list[str]]) -> Callable[[Path], None]:
    def make(folder):
        profiles()(folder)
        lines = (folder / "metadata.tsv").read_text("utf-8").splitlines()
        (folder / "metadata.tsv").write_text("\n".join(change(lines)) + "\n", "utf-8")

    return make


def saved_elsewhere(folder):
    """Tables as a spreadsheet saves them: a byte order mark, other line ends, odd letters."""
    table, metadata = profiles_of()
    metadata["lane"] = metadata["lane"].replace("lane_1", "Größe µ")
    for name, frame in (("table.csv", table), ("metadata.csv", metadata)):
        text = "\ufeff" + frame.to_csv(lineterminator="\r\n")
        (folder / name).write_bytes(text.encode("utf-8"))


MATRIX = {"path": "table.tsv", **PROFILES}
COUNTS = {"path": "counts.csv", "metadata": "cells.csv"}

# Sound, if odd: these run through beside the others.
SOUND = {
    "saved_elsewhere": Problem(
        saved_elsewhere, [], {**PROFILES, "path": "table.csv", "metadata": "metadata.csv"}
    ),
    "counts_as_table": Problem(counts_table(lambda lines: lines), [], COUNTS),
}

TABLE_PROBLEMS = {
    "fewer_pointers": Problem(
        edited(fewer_pointers),
        ["screen.h5ad: X: found unreadable data (85 rows instead of 88); expected a whole .h5ad"],
    ),
    "far_index": Problem(
        edited(far_index),
        ["far_index/screen.h5ad: X: found unreadable data (", "expected a whole .h5ad file"],
    ),
    "unknown_encoding": Problem(
        edited(unknown_encoding),
        ["X: found encoding 'coo_matrix'; expected a csr, csc or dense matrix"],
    ),
    "three_dimensions": Problem(
        edited(replaced(np.ones((88, 12, 2)))),
        ["screen.h5ad: X: found 3 dimensions; expected a matrix of cells × genes"],
    ),
    "text_as_counts": Problem(
        edited(replaced(np.full((88, 12), b"many"))),
        ["text_as_counts/screen.h5ad: X: found ", "expected "],
    ),
    "fewer_rows": Problem(
        edited(replaced(np.ones((80, 12)))),
        ["fewer_rows/screen.h5ad: X: found shape (80, 12); expected 88 cells × 12 genes"],
    ),
    "no_counts": Problem(
        edited(replaced(None)),
        ["no_counts/screen.h5ad: X: found nothing; expected raw counts; or name a layer"],
    ),
    "no_label": Problem(
        cells(no_label),
        [
            "obs: control: found no cell labelled 'non-targeting'; ",
            "expected one of the labels there: none, all are blank",
        ],
    ),
    "zarr_empty": Problem(
        lambda folder: (folder / "screen.zarr").mkdir(),
        ["zarr_empty/screen.zarr: found what zarr cannot open (", "a .zarr folder (AnnData)"],
        {"path": "screen.zarr"},
    ),
    "zarr_truncated": Problem(
        zarr_folder(cut_chunk),
        ["zarr_truncated/screen.zarr: X: found unreadable data (", "expected a whole .zarr folder"],
        {"path": "screen.zarr"},
    ),
    "zarr_without_obs": Problem(
        zarr_folder(lambda store: shutil.rmtree(store / "obs")),
        ["zarr_without_obs/screen.zarr: obs: found ", "expected a whole .zarr folder"],
        {"path": "screen.zarr"},
    ),
    "metadata_lacks_cells": Problem(
        described(lambda screen: day_of(list(screen.obs_names[2:])), "days.csv"),
        ["days.csv: found no row for 2 of 88 cells: cell_0, cell_1; expected a row for every cell"],
        {"metadata": "days.csv"},
    ),
    "metadata_twice": Problem(
        described(lambda screen: day_of([*screen.obs_names, "cell_4"]), "days.csv"),
        ["metadata_twice/days.csv: found more than one row for cell_4; expected one row each"],
        {"metadata": "days.csv"},
    ),
    "metadata_same_column": Problem(
        described(lambda screen: day_of(list(screen.obs_names), "cell,lane"), "days.csv"),
        ["days.csv: found columns that the expression file has too: lane; expected other names"],
        {"metadata": "days.csv"},
    ),
    "metadata_same_columns": Problem(
        described(
            lambda screen: "cell,day,day\n" + "".join(f"{n},1,2\n" for n in screen.obs_names),
            "days.csv",
        ),
        ["days.csv: found more than one column 'day'; expected one of each name"],
        {"metadata": "days.csv"},
    ),
    "metadata_swallowed": Problem(
        described(
            lambda screen: (
                day_of(list(screen.obs_names))
                .replace("cell_3,1", 'cell_3,"1')
                .replace("cell_7,1", 'cell_7,1"')
            ),
            "days.csv",
        ),
        ["days.csv: found a field that goes on in the next line, after '1'; expected a quotation"],
        {"metadata": "days.csv"},
    ),
    "unknown_guide": Problem(
        guided,
        [
            "guides.tsv: found no row for 1 guides that were called: g_GENE4; expected a row for ",
            "did you mean 'g_GENE",
        ],
        {"guide": "guide", "guide_targets": "guides.tsv"},
    ),
    "table_ragged": Problem(
        counts_table(line(4, lambda text: text + ",3,4")),
        ["counts.csv: found an unreadable table (", "Expected 13 fields in line 5, saw 15)"],
        COUNTS,
        "work/cells.parquet",
    ),
    "table_shifted": Problem(
        counts_table(lambda lines: [lines[0], *(f"{text},1,1" for text in lines[1:])]),
        ["counts.csv: found rows with 2 fields more than the first line has; expected as many"],
        COUNTS,
    ),
    "table_text": Problem(
        counts_table(line(4, lambda text: text.rpartition(",")[0] + ",many")),
        ["counts.csv: column 'GENE12': found 'many' in row 'cell_3'; expected numbers"],
        COUNTS,
    ),
    "table_negative": Problem(
        counts_table(line(4, lambda text: text.rpartition(",")[0] + ",-4")),
        ["counts.csv: found -4 in row 4 (cells are rows, from 1); expected raw counts"],
        COUNTS,
    ),
    "table_same_genes": Problem(
        counts_table(line(0, lambda text: text.replace("GENE12", "GENE1"))),
        [": genes: found gene names that occur more than once: 1, such as 'GENE1'; expected uniq"],
        COUNTS,
    ),
    "profile_same_names": Problem(
        replicate_names,
        ["table.tsv: found more than one sample called sample_2; expected a name of its own"],
        MATRIX,
    ),
    "profile_same_columns": Problem(
        metadata_lines(lambda lines: [f"{text}\t{text.split(chr(9))[1]}" for text in lines]),
        ["metadata.tsv: found more than one column 'gene'; expected one of each name"],
        MATRIX,
    ),
    "profile_tabs_at_the_end": Problem(
        metadata_lines(lambda lines: [lines[0], *(f"{text}\t" for text in lines[1:])]),
        ["metadata.tsv: found rows with 1 field more than the first line has, the last one blank"],
        MATRIX,
    ),
    "profile_genes_unknown": Problem(
        lambda folder: (
            profiles()(folder),
            (folder / "genes.tsv").write_text("id\tsymbol\nTP53\tp53\n", "utf-8"),
        ),
        ["genes.tsv: found no row for any gene; there are: TP53; expected rows for genes such as"],
        {**MATRIX, "gene_metadata": "genes.tsv"},
    ),
    "barcodes_as_batch": Problem(
        barcodes,
        ["obs: batch: found 208 levels among 208 cells, such as 'cell_0'; expected levels"],
        {"batch": "barcode"},
    ),
}
