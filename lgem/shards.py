"""The files of a screen of cells: their formats, and how tables belong to them."""

from __future__ import annotations

import glob
import re
from pathlib import Path

from lgem.errors import InputError, listing

STORES = (".h5ad", ".zarr")
TABLES = (".csv", ".tsv", ".csv.gz", ".tsv.gz")
CELL_RANGER = ".h5"
MATRICES = ("matrix.mtx", "matrix.mtx.gz")
FORMATS = (
    "an .h5ad or .zarr (AnnData), an .h5 or a folder with matrix.mtx[.gz] (10x), "
    "or a .csv or .tsv[.gz]"
)


def is_store(path: str) -> bool:
    """Whether a path names an AnnData store, which is read as it is."""
    return path.rstrip("/").endswith(STORES)


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
    parts = re.split(r"(\*+|\?|\[[^\]]+\])", pattern)
    expression = "".join(
        re.escape(part) if number % 2 == 0 else f"({_wildcard(part)})"
        for number, part in enumerate(parts)
    )
    found = re.fullmatch(expression, path)
    return found.groups() if found else ()


def _wildcard(part: str) -> str:
    if part.startswith("*"):
        return "[^/]*"
    return "[^/]" if part == "?" else part.replace("[!", "[^")


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
    by_words = {matched(other, table): table for table in tables}
    missing = [path for path in paths if matched(pattern, path) not in by_words]
    if missing or not glob.has_magic(pattern):
        raise InputError(
            other,
            f"no table for {listing(missing or paths, 3)}",
            "one table; or one per file of path, where the wildcards of both stand for the same",
        )
    return [by_words[matched(pattern, path)] for path in paths]
