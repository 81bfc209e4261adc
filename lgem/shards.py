"""The files of a screen of cells: their formats, and how tables belong to them."""

from __future__ import annotations

import os
import re
from pathlib import Path

from lgem.errors import InputError, listing

STORES = (".h5ad", ".zarr")
TABLES = (".csv", ".tsv", ".csv.gz", ".tsv.gz")
CELL_RANGER = ".h5"
MATRICES = ("matrix.mtx", "matrix.mtx.gz")
# What lies beside the matrix of a 10x folder; genes.tsv in the older ones.
BARCODES = ("barcodes.tsv", "barcodes.tsv.gz")
FEATURES = ("features.tsv", "features.tsv.gz", "genes.tsv", "genes.tsv.gz")
FORMATS = (
    "an .h5ad or .zarr (AnnData), an .h5 or a folder with matrix.mtx[.gz] (10x), "
    "or a .csv or .tsv[.gz]"
)


def is_store(path: str) -> bool:
    """Whether a path names an AnnData store, which is read as it is."""
    return path.rstrip("/").endswith(STORES)


def parts(path: str) -> list[str]:
    """Return the files of a 10x folder, whose own size and date say nothing; of a file none."""
    places = [Path(path) / name for name in (*MATRICES, *BARCODES, *FEATURES)]
    return [str(place) for place in places if place.is_file()]


def is_table(path: str) -> bool:
    """Whether a path names a plain table."""
    return path.endswith(TABLES)


def problem(path: str, place: str) -> InputError | None:
    """Say why a file or folder is no screen of cells, as far as its name tells."""
    if Path(path).is_dir() and not path.rstrip("/").endswith(".zarr"):
        if any((Path(path) / name).is_file() for name in MATRICES):
            return None
        return InputError(place, f"a folder without matrix.mtx[.gz], '{path}'", FORMATS)
    if path.rstrip("/").endswith((*STORES, CELL_RANGER, *TABLES)):
        return None
    return InputError(place, f"'{path}'", FORMATS)


def matched(pattern: str, path: str) -> tuple[str, ...]:
    """Return what the wildcards of a glob stand for in a path that it matches."""
    pieces = re.split(r"(\*+|\?|\[[^\]]+\])", os.path.normpath(pattern))
    expression = "".join(
        re.escape(piece) if number % 2 == 0 else f"({_wildcard(piece)})"
        for number, piece in enumerate(pieces)
    )
    found = re.fullmatch(expression, os.path.normpath(path))
    return found.groups() if found else ()


def _wildcard(piece: str) -> str:
    if piece.startswith("*"):
        return "[^/]*"
    return "[^/]" if piece == "?" else piece.replace("[!", "[^")


def names(pattern: str | None, paths: list[str]) -> list[str]:
    """Return what tells files apart: what the wildcards of their glob stand for, or their names."""
    found = ["_".join(matched(pattern, path)) for path in paths] if pattern else []
    if len(set(found)) == len(paths) and all(found):
        return found
    return [Path(path).name.partition(".")[0] for path in paths]


def paired(pattern: str, paths: list[str], other: str, tables: list[str]) -> list[str]:
    """Return for each file of one glob the file of another whose wildcards stand for the same.

    Raises
    ------
    InputError
        Where a file has no partner.
    """
    by_words = {words: table for table in tables if (words := matched(other, table))}
    missing = [path for path in paths if matched(pattern, path) not in by_words]
    if missing:
        raise InputError(
            other,
            f"no table for {listing(missing, 3)}",
            "one table; or one per file of path, where the wildcards of both stand for the same",
        )
    return [by_words[matched(pattern, path)] for path in paths]
