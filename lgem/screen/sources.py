"""Where a screen comes from: h5ad shards read in blocks, tables of profiles, packages.

All that can be wrong with a file is found and told here; what leaves this module is sound.
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
from scipy import sparse

from lgem.errors import InputError, listing, nearest

# A block's non-zeros: 2 M take about 100 MB on the way through normalisation.
BLOCK_NONZEROS = 2_000_000
SEPARATORS = {",": "comma", "\t": "tab"}

# What stands for a missing batch, guide or context.
MISSING = "-"


@contextmanager
def open_h5ad(path: str) -> Iterator[h5py.File]:
    """Open an h5ad for reading; what is missing, truncated or of another format is told."""
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
        for part in ("obs", "var"):
            if part not in handle:
                raise InputError(path, f"no '{part}' in the file", "an .h5ad file (AnnData)")
        yield handle


def read_frame(handle: h5py.File, name: str) -> pd.DataFrame:
    """Read ``obs`` or ``var`` of an open h5ad."""
    import anndata

    place = f"{handle.filename}: {name}"
    try:
        frame = anndata.io.read_elem(handle[name])
    except Exception as error:  # AnnData's readers raise whatever a broken element makes them
        raise InputError(place, f"an unreadable element ({error})", "a whole .h5ad file") from None
    if not isinstance(frame, pd.DataFrame):
        raise InputError(place, f"no table ({type(frame).__name__})", "a whole .h5ad file")
    return frame


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


@dataclass(frozen=True)
class CountMatrix:
    """The matrix of raw counts inside an open h5ad (cells × genes), read by blocks of rows."""

    handle: h5py.File
    name: str

    @property
    def _node(self) -> Any:
        return self.handle[self.name]

    @property
    def place(self) -> str:
        """File and layer, as named in messages."""
        return f"{self.handle.filename}: {self.name}"

    @property
    def format(self) -> str:
        """``csr``, ``csc`` or ``dense``."""
        kind = str(self._node.attrs.get("encoding-type", ""))
        if isinstance(self._node, h5py.Dataset):
            return "dense"
        if kind in ("csr_matrix", "csc_matrix"):
            return kind[:3]
        raise InputError(self.place, f"encoding '{kind}'", "a csr, csc or dense matrix")

    @property
    def shape(self) -> tuple[int, int]:
        """Cells and genes."""
        node = self._node
        if self.format != "dense" and "shape" not in node.attrs:
            raise InputError(self.place, "a sparse matrix without its shape", "a whole .h5ad file")
        rows, columns = node.shape if self.format == "dense" else node.attrs["shape"]
        return int(rows), int(columns)

    def blocks(self, nonzeros: int = BLOCK_NONZEROS) -> Iterator[tuple[int, sparse.csr_matrix]]:
        """Yield (first row, block) of about `nonzeros` stored values, checked to be raw counts."""
        readers = {"csr": self._csr_blocks, "csc": self._csc_blocks, "dense": self._dense_blocks}
        try:
            for start, block in readers[self.format](nonzeros):
                check_counts(block, start, self.place)
                yield start, block
        except InputError:
            raise
        except (OSError, KeyError, ValueError) as error:
            raise InputError(
                self.place, f"unreadable data ({error})", "a whole .h5ad file"
            ) from None

    def _csr_blocks(self, nonzeros: int) -> Iterator[tuple[int, sparse.csr_matrix]]:
        rows, columns = self.shape
        pointers = self._node["indptr"][:].astype(np.int64)
        if len(pointers) != rows + 1:
            raise ValueError(f"{len(pointers) - 1} rows instead of {rows}")
        data, indices = self._node["data"], self._node["indices"]
        start = 0
        while start < rows:
            limit = np.searchsorted(pointers, pointers[start] + nonzeros, side="right") - 1
            stop = int(min(max(limit, start + 1), rows))
            part = slice(int(pointers[start]), int(pointers[stop]))
            block = sparse.csr_matrix(
                (data[part], indices[part], pointers[start : stop + 1] - pointers[start]),
                shape=(stop - start, columns),
            )
            yield start, _sound(block)
            start = stop

    def _dense_blocks(self, nonzeros: int) -> Iterator[tuple[int, sparse.csr_matrix]]:
        rows, columns = self.shape
        step = max(1, nonzeros // max(columns, 1))
        for start in range(0, rows, step):
            yield start, sparse.csr_matrix(self._node[start : start + step])

    def _csc_blocks(self, nonzeros: int) -> Iterator[tuple[int, sparse.csr_matrix]]:
        # Columns cannot be streamed by rows; the matrix is read whole and turned around.
        node = self._node
        whole = sparse.csc_matrix(
            (node["data"][:], node["indices"][:], node["indptr"][:]), shape=self.shape
        )
        whole = _sound(whole).tocsr()
        step = max(1, int(nonzeros * self.shape[0] / max(whole.nnz, 1)))
        for start in range(0, self.shape[0], step):
            yield start, whole[start : start + step]


def _sound(matrix: Any) -> Any:
    """Return a compressed matrix whose indices lie within it, each place stored once.

    Raises ValueError otherwise: sparse products write wherever an index points to.
    """
    matrix.check_format(full_check=True)
    matrix.sum_duplicates()
    return matrix


def count_matrix(handle: h5py.File, layer: str | None) -> CountMatrix:
    """Return the matrix of raw counts: ``X``, or the named layer."""
    if layer is None:
        if "X" not in handle:
            raise InputError(f"{handle.filename}: X", "nothing", "raw counts; or name a layer")
        return CountMatrix(handle, "X")
    layers = list(handle.get("layers", {}))
    if layer not in layers:
        raise InputError(
            f"{handle.filename}: layer '{layer}'",
            "no such layer",
            f"one of: {listing(layers) or 'none there'}",
            nearest(layer, layers),
        )
    return CountMatrix(handle, f"layers/{layer}")


def check_counts(block: sparse.csr_matrix, first_row: int, place: str) -> None:
    """Raise an InputError unless every stored value is a raw count (0, 1, 2, and so on)."""
    values = block.data
    if values.size == 0 or np.issubdtype(values.dtype, np.unsignedinteger):
        return
    expected = "raw counts: whole numbers from 0"
    bad = ~np.isfinite(values) | (values < 0)
    if not bad.any():
        bad = values != np.rint(values)
        if bad.any() and values.max() < 20:
            expected += " (these look log-transformed: name the layer with the raw counts)"
        elif bad.any():
            expected += " (these look normalised: name the layer with the raw counts)"
    if bad.any():
        position = int(np.argmax(bad))
        row = int(np.searchsorted(block.indptr, position, side="right") - 1)
        found = f"{values[position]:g} in row {first_row + row + 1} (cells are rows, from 1)"
        raise InputError(place, found, expected)


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
