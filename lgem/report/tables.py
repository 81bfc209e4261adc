"""Result tables as the page holds them: their own text to search and save, first rows as HTML."""

from __future__ import annotations

import csv
import io
import itertools
from pathlib import Path
from typing import NamedTuple

from lgem.report.columns import meaning

# A page is to be sent by mail: what is larger stays in its file.
MOST_BYTES = 5_000_000
ROWS_SHOWN = 10
# Python gives up at 131,072 letters; thousands of perturbations may stand in one cell.
csv.field_size_limit(2**31 - 1)


class Column(NamedTuple):
    """A column: its name, what it means, and whether it holds numbers."""

    name: str
    meaning: str
    numeric: bool


class TableData(NamedTuple):
    """A table: columns, first rows as they are shown, and its text, if the page can hold it."""

    file: str
    columns: list[Column]
    shown: list[list[str]]
    rows: int
    megabytes: float
    text: str | None


def read_for_page(name: str, path: Path) -> TableData:
    """Read a result table for the page; of one that is too large, the first rows alone.

    Parameters
    ----------
    name
        The table's path within the folder of results.
    path
        Where it lies.
    """
    size = path.stat().st_size
    text = path.read_text("utf-8") if size <= MOST_BYTES else None
    source = io.StringIO(text, newline="") if text is not None else path.open(
        encoding="utf-8", newline=""
    )  # fmt: skip
    with source:
        reader = csv.reader(source, delimiter="\t")
        header = next(reader, [])
        first = list(itertools.islice(reader, ROWS_SHOWN))
        rest = list(reader) if text is not None else []
        rows = len(first) + (len(rest) if text is not None else sum(1 for _ in reader))
    columns = [
        Column(label, meaning(name, label), all(is_number(row[k]) for row in [*first, *rest]))
        for k, label in enumerate(header)
    ]
    shown = [
        [short(cell) if column.numeric else cell for cell, column in zip(row, columns, strict=True)]
        for row in first
    ]
    return TableData(name, columns, shown, rows, size / 1e6, text)


def is_number(cell: str) -> bool:
    """Whether a cell is a number or blank."""
    try:
        return not cell or float(cell) == float(cell)
    except ValueError:
        return False


def short(cell: str) -> str:
    """Return a number with four digits, which is enough to look at; whole numbers stay."""
    return f"{float(cell):.4g}" if "." in cell or "e" in cell else cell
