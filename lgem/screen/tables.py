"""Tables that a user brings, and the columns of annotation that config names.

What can be wrong with a table is found and told here; what leaves this module is sound.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from lgem.errors import InputError, counted, listing, nearest
from lgem.texts import check_columns, check_lines

SEPARATORS = {",": "comma", "\t": "tab"}

# The names of a million cells are 15 MB as Arrow's texts, and 70 MB as Python's: these are made for
# so many at a time, and for a moment only.
NAMES: Final = "string[pyarrow]"
AT_ONCE = 2**13

# What stands for a missing batch, guide or context.
MISSING = "-"


def require_columns(frame: pd.DataFrame, columns: Sequence[str], place: str) -> None:
    """Raise an InputError for the first of `columns` that `frame` lacks."""
    for column in columns:
        if column not in frame.columns:
            raise InputError(
                f"{place}: column '{column}'",
                "no such column",
                f"one of: {listing(frame.columns, 30)}",
                nearest(column, frame.columns),
            )


def as_text(column: pd.Series) -> pd.Series:
    """Return a column as texts; whole numbers are spelled as such, whatever type holds them.

    A lane 1 is the same lane in a shard where a missing value has made its column floating point,
    and a dose 1 the same dose in a shard that has a dose 0.5 too.
    """
    if isinstance(column.dtype, pd.CategoricalDtype):
        spelled = as_text(pd.Series(column.cat.categories)).array
        return pd.Series(spelled.take(column.cat.codes, allow_fill=True), index=column.index)
    if pd.api.types.is_float_dtype(column):
        # Zero added makes -0.0 a zero like any other.
        return (column + 0).astype("string").str.removesuffix(".0")
    return column.astype("string").str.strip()


def levels(codes: np.ndarray, texts: Sequence[str | None]) -> pd.Categorical:
    """Return one level per entry, in the order of their texts; equal texts are one level.

    Parameters
    ----------
    codes
        Position of each entry's text; negative where it is missing.
    texts
        The texts; None where one is missing.
    """
    which, distinct = pd.factorize(np.array([*texts, None], dtype=object), sort=True)
    which = which.astype(np.min_scalar_type(-len(which)))  # few levels, many entries
    return pd.Categorical.from_codes(which[codes], categories=pd.Index(distinct, dtype=object))


def as_levels(column: pd.Series) -> pd.Categorical:
    """Return a column as levels that are texts; see `as_text`."""
    if not isinstance(column.dtype, pd.CategoricalDtype):
        column = as_text(column).astype("category")
    spelled = as_text(pd.Series(column.cat.categories))
    return levels(
        column.cat.codes.to_numpy(), [None if pd.isna(text) else text for text in spelled]
    )


def joined(obs: pd.DataFrame, columns: Sequence[str], place: str) -> pd.Categorical:
    """Return one level per cell from one or several columns; missing or blank is '-'."""
    require_columns(obs, columns, place)
    codes, texts = np.zeros(len(obs), dtype=np.int32), [MISSING]
    for number, column in enumerate(columns):
        part = as_levels(obs[column])
        here = [*(text or MISSING for text in part.categories), MISSING]  # the last: missing
        if number == 0:
            codes, texts = part.codes.astype(np.int32), here
            continue
        both = codes.astype(np.int64) % len(texts) * len(here)
        both += part.codes.astype(np.int32) % len(here)
        distinct, inverse = np.unique(both, return_inverse=True)
        codes = inverse.astype(np.int32)
        texts = [f"{texts[at // len(here)]} | {here[at % len(here)]}" for at in distinct]
    return levels(codes % len(texts), texts)


def gene_symbols(var: pd.DataFrame, column: str | None, place: str) -> pd.Series | None:
    """Return the symbols of genes; a gene without one keeps its identifier."""
    if column is None:
        return None
    require_columns(var, [column], f"{place}: var")
    symbols = var[column].astype("string").str.strip()
    return symbols.mask(symbols == "").fillna(var.index.to_series().astype("string")).astype(object)


def with_columns(frame: pd.DataFrame, table: pd.DataFrame, path: str) -> pd.DataFrame:
    """Return a frame with the columns of a table besides its own, row for row by name.

    Names may occur twice in the frame, replicates of one label, but not in the table. Rows that
    the table lacks are missing.
    """
    check_columns(table.columns, path)
    twice = table.index[table.index.duplicated() & table.index.isin(frame.index)]
    if len(twice):
        raise InputError(path, f"more than one row for {listing(twice.unique())}", "one row each")
    both = frame.columns.intersection(table.columns)
    if len(both):
        raise InputError(
            path, f"columns that the expression file has too: {listing(both)}", "other names"
        )
    added = table[~table.index.duplicated()].reindex(frame.index.unique()).loc[frame.index]
    return pd.concat([frame, added.set_axis(frame.index)], axis=1)


def numbers(table: pd.DataFrame, path: str) -> np.ndarray:
    """Return the values of a table; an InputError names the first that is no number."""
    for at, kind in enumerate(table.dtypes):
        if not pd.api.types.is_numeric_dtype(kind):
            column = table.iloc[:, at]
            wrong = column[pd.to_numeric(column, errors="coerce").isna()]
            if len(wrong):
                raise InputError(
                    f"{path}: column '{table.columns[at]}'",
                    f"'{wrong.iloc[0]}' in row '{wrong.index[0]}'",
                    "numbers",
                )
    return table.to_numpy(dtype=float)


def read_any_table(path: str, *, named: bool = False) -> pd.DataFrame:
    """Read a CSV or TSV table with a header; the first column names the rows where it holds names.

    It holds names where its header is blank or missing, or where its values are no measurements:
    texts, or whole numbers that all differ (no gene's log-expression does). Where the caller knows
    that it does (`named`: metadata), all values stay the texts that they are, blanks missing.
    Names are kept as they are spelled, doubles included.
    """
    if not Path(path).is_file():
        raise InputError(path, "no such file", "a CSV or TSV table")
    separator = "," if path.removesuffix(".gz").endswith(".csv") else "\t"
    try:
        header = _texts(path, sep=separator, nrows=1).iloc[0]
        _check_header(header, path, separator)
        table = pd.read_csv(
            path,
            sep=separator,
            dtype=str if named else None,
            keep_default_na=False,
            na_values=[""] if named else ["", "NA", "nan", "NaN"],
        )
        first = _texts(path, sep=separator, usecols=[0])[0].iloc[1:]
    except (ValueError, OSError, EOFError) as error:
        if isinstance(error, InputError):
            raise
        told = " ".join(str(error).split())
        raise InputError(path, f"an unreadable table ({told})", "a CSV or TSV table") from None
    _check_rows(table, path)
    table.columns = pd.Index(header.to_numpy())  # as spelled: pandas numbers doubles
    if not isinstance(table.index, pd.RangeIndex):
        # One name fewer in the header than columns: pandas took the first as names.
        table.index = pd.Index(first.to_numpy())
    elif table.shape[1] > 1 and (named or _holds_names(table)):
        table = table.iloc[:, 1:].set_axis(pd.Index(first.to_numpy()), axis=0)
    else:
        table.index = pd.Index([str(row + 1) for row in range(len(table))])
    return table


def _check_rows(table: pd.DataFrame, path: str) -> None:
    """Refuse rows whose fields are not those that the first line names, and swallowed ones.

    One field more is a column of names without a name, as R writes it.
    """
    more = 0 if isinstance(table.index, pd.RangeIndex) else table.index.nlevels
    if more > 1 or (more and len(table) and table.shape[1] and table.iloc[:, -1].isna().all()):
        last = "" if more > 1 else ", the last one blank"
        raise InputError(
            path,
            f"rows with {counted(more, 'field')} more than the first line has{last}",
            "as many fields in every row as names of columns",
        )
    for _, column in table.select_dtypes(["object", "string"]).items():
        check_lines(column, path)
    if more:
        check_lines(table.index.to_series(), path)


def _texts(path: str, **options: Any) -> pd.DataFrame:
    frame = pd.read_csv(path, header=None, dtype=str, keep_default_na=False, **options)
    return frame.apply(lambda column: column.str.strip())


def _check_header(header: pd.Series, path: str, separator: str) -> None:
    others = {",", "\t", ";"} - {separator}
    if len(header) == 1 and any(other in header[0] for other in others):
        raise InputError(
            path,
            f"a first line without the {SEPARATORS[separator]} of its kind: '{header[0][:60]}'",
            "commas in .csv files, tabs in all others",
        )
    numbers = pd.to_numeric(header[1:], errors="coerce")
    if len(numbers) and (numbers.notna() & (numbers % 1 != 0)).all():
        raise InputError(
            path, f"measurements in the first line: {listing(header[1:], 3)}", "names of columns"
        )


def _holds_names(table: pd.DataFrame) -> bool:
    first = table.iloc[:, 0]
    if table.columns[0] == "" or not pd.api.types.is_numeric_dtype(first):
        return True
    return pd.api.types.is_integer_dtype(first) and first.is_unique
