"""Files that a screen comes in: AnnData stores and tables, and what is read of their annotation.

What can be wrong with a file is found and told here; what leaves this module is sound.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd

from lgem.errors import InputError, listing, nearest

SEPARATORS = {",": "comma", "\t": "tab"}

# What stands for a missing batch, guide or context.
MISSING = "-"


@dataclass(frozen=True)
class Store:
    """An open AnnData file: its path, and its root group in HDF5 or zarr."""

    path: str
    root: Any

    def read(self, name: str) -> Any:
        """Read a part of it as AnnData does."""
        import anndata

        try:
            return anndata.io.read_elem(self.root[name])
        except Exception as error:  # AnnData's readers raise whatever a broken element makes them
            told = " ".join(str(error).split())
            raise InputError(
                f"{self.path}: {name}", f"an unreadable element ({told})", self.expected
            ) from None

    def frame(self, name: str) -> pd.DataFrame:
        """Read ``obs`` or ``var``."""
        frame = self.read(name)
        if not isinstance(frame, pd.DataFrame):
            raise InputError(
                f"{self.path}: {name}", f"no table ({type(frame).__name__})", self.expected
            )
        return frame

    @property
    def expected(self) -> str:
        """What a file that is broken should have been."""
        return "a whole .zarr folder" if is_zarr(self.path) else "a whole .h5ad file"


def is_store(path: str) -> bool:
    """Whether a path names an AnnData store, which is read as it is."""
    return path.endswith(".h5ad") or is_zarr(path)


def is_zarr(path: str) -> bool:
    """Whether a path names a zarr store."""
    return path.rstrip("/").endswith(".zarr")


@contextmanager
def open_store(path: str) -> Iterator[Store]:
    """Open an .h5ad or .zarr for reading; what is missing, truncated or no such file is told."""
    with _open_zarr(path) if is_zarr(path) else _open_h5ad(path) as root:
        for part in ("obs", "var"):
            if part not in root:
                kind = ".zarr folder" if is_zarr(path) else ".h5ad file"
                raise InputError(path, f"no '{part}' in the file", f"an {kind} (AnnData)")
        yield Store(path, root)


@contextmanager
def _open_h5ad(path: str) -> Iterator[Any]:
    if Path(path).is_dir():
        raise InputError(path, "a folder", "an .h5ad file")
    try:
        handle = h5py.File(path, "r")
    except FileNotFoundError:
        raise InputError(path, "no such file", "an .h5ad file") from None
    except PermissionError:
        raise InputError(path, "no permission to read it", "a readable .h5ad file") from None
    except OSError as error:
        raise InputError(
            path, f"a file that HDF5 cannot open ({error})", "a whole .h5ad file"
        ) from None
    with handle:
        yield handle


@contextmanager
def _open_zarr(path: str) -> Iterator[Any]:
    import zarr

    try:
        root = zarr.open_group(path, mode="r")
    except PermissionError:
        raise InputError(path, "no permission to read it", "a readable .zarr folder") from None
    except Exception as error:  # zarr has its own errors, and those of every codec
        told = " ".join(str(error).split())
        raise InputError(
            path, f"what zarr cannot open ({told})", "a .zarr folder (AnnData)"
        ) from None
    yield root


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


def joined(obs: pd.DataFrame, columns: Sequence[str], place: str) -> pd.Series:
    """Return one text per cell from one or several columns; missing or blank is '-'."""
    require_columns(obs, columns, place)
    texts = [as_text(obs[column]) for column in columns]
    parts = [text.mask(text == "").fillna(MISSING) for text in texts]
    text = parts[0]
    for part in parts[1:]:
        text = text + " | " + part
    return text.astype(object)


def check_same_genes(path: str, genes: pd.Index, first_path: str, first: pd.Index) -> None:
    """Raise an InputError unless two shards hold the same genes in the same order."""
    if len(genes) != len(first):
        raise InputError(
            path, f"{len(genes)} genes", f"the {len(first)} genes of the other shard {first_path}"
        )
    differ = np.flatnonzero(genes.to_numpy() != first.to_numpy())
    if differ.size:
        at = int(differ[0])
        raise InputError(
            path,
            f"gene '{genes[at]}' at position {at + 1}",
            f"'{first[at]}', as in the other shard {first_path}",
        )


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
    table.columns = pd.Index(header.to_numpy())  # as spelled: pandas numbers doubles
    if not isinstance(table.index, pd.RangeIndex):
        # One name fewer in the header than columns: pandas took the first as names.
        table.index = pd.Index(first.to_numpy())
    elif table.shape[1] > 1 and (named or _holds_names(table)):
        table = table.iloc[:, 1:].set_axis(pd.Index(first.to_numpy()), axis=0)
    else:
        table.index = pd.Index([str(row + 1) for row in range(len(table))])
    return table


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
