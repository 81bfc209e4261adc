"""Tables of texts that a user brings: nothing converted, nothing lost, nothing guessed."""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import Literal

import pandas as pd

from lgem.errors import InputError, counted, listing


def read_texts(
    path: str | os.PathLike[str],
    separator: str,
    expected: str,
    quoting: Literal[0, 3] = csv.QUOTE_MINIMAL,
) -> pd.DataFrame:
    """Read a table with a header as the texts that it holds; what is not there is blank.

    Nothing counts as missing: a gene may be called NA.

    Parameters
    ----------
    path
        The table.
    separator
        Between its fields.
    expected
        What the table should be, in words.
    quoting
        Whether quotation marks join what stands between them (`csv.QUOTE_MINIMAL`), or are
        characters like any other (`csv.QUOTE_NONE`).

    Raises
    ------
    InputError
        Where it cannot be read, a row has more fields than the header, two columns share a name,
        or a quotation mark has swallowed the end of a row.
    """
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as handle:
            rows = [row for row in csv.reader(handle, delimiter=separator, quoting=quoting) if row]
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(str(path), f"no table ({error})", expected) from None
    if not rows:
        raise InputError(str(path), "no table (nothing in it)", expected)
    header = pd.Index([name.strip(" \"'") for name in rows[0]])
    check_columns(header, str(path))
    for number, row in enumerate(rows[1:], 2):
        if any(row[len(header) :]):
            raise InputError(
                f"{path}: row {number}",
                counted(len(row), "field"),
                f"{len(header)}, as many as names in the first line",
            )
    width = range(len(header))
    texts = [[row[at] if at < len(row) else "" for at in width] for row in rows[1:]]
    table = pd.DataFrame(texts, columns=range(len(header)), dtype=str)
    for column in table:
        check_lines(table[column], str(path))
    return table.set_axis(header, axis=1)


def check_columns(names: pd.Index, path: str) -> None:
    """Raise an InputError where two columns of a table share a name; blank ones have none."""
    twice = names[names.duplicated() & (names != "")]
    if len(twice):
        raise InputError(
            path, f"more than one column {listing(map(repr, twice.unique()))}", "one of each name"
        )


def check_lines(texts: pd.Series, path: str) -> None:
    """Raise an InputError where a field goes on over the end of its line."""
    broken = texts.astype("string").str.contains("\n", regex=False).fillna(False)
    if broken.any():
        found = str(texts[broken].iloc[0]).partition("\n")[0]
        raise InputError(
            path,
            f"a field that goes on in the next line, after '{found[:60]}'",
            "a quotation mark at the end of every field that begins with one",
        )
