"""The matrix of raw counts of a store, read once, by blocks of rows, in bounded memory."""

from __future__ import annotations

import errno
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from scipy import sparse

from lgem.errors import InputError, listing, nearest
from lgem.screen.chunks import unpacked
from lgem.screen.stores import Store
from lgem.screen.turning import pointers_of, row_ranges, turned

# A block's stored values: reading, normalising and adding one each takes about 15 MB in all.
BLOCK_VALUES = 100_000

# A first look, before other shards are looked at.
FIRST_VALUES = 50_000

# What the system says of a temporary file that it has no room for.
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

Block = tuple[int, sparse.csr_matrix]
Item = TypeVar("Item")


@dataclass(frozen=True)
class CountMatrix:
    """The matrix of raw counts inside an open store (cells × genes)."""

    store: Store
    name: str

    @property
    def _node(self) -> Any:
        with self._told():  # there may be a link that leads nowhere
            return self.store.root[self.name]

    @property
    def place(self) -> str:
        """File and layer, as named in messages."""
        return f"{self.store.path}: {self.name}"

    @property
    def format(self) -> str:
        """``csr``, ``csc`` or ``dense``."""
        kind = str(self._node.attrs.get("encoding-type", ""))
        if hasattr(self._node, "dtype"):  # an array of HDF5 or of zarr, no group
            return "dense"
        if kind in ("csr_matrix", "csc_matrix"):
            return kind[:3]
        raise InputError(self.place, f"encoding '{kind}'", "a csr, csc or dense matrix")

    @property
    def shape(self) -> tuple[int, int]:
        """Cells and genes."""
        node = self._node
        if self.format != "dense" and "shape" not in node.attrs:
            raise InputError(self.place, "a sparse matrix without its shape", self.store.expected)
        shape = node.shape if self.format == "dense" else node.attrs["shape"]
        if len(shape) != 2:
            raise InputError(self.place, f"{len(shape)} dimensions", "a matrix of cells × genes")
        return int(shape[0]), int(shape[1])

    @property
    def stored(self) -> int:
        """How many values are stored."""
        return int(self._node.size if self.format == "dense" else self._node["data"].shape[0])

    def check_first(self, values: int = FIRST_VALUES) -> None:
        """Raise an InputError unless the first stored values are readable raw counts."""
        if self.format == "csc":
            with self._told():
                self._check_chunks()
                data, rows = self._node["data"][:values], self._node["indices"][:values]
                whole_numbers(data, lambda at: int(rows[at]) + 1, self.place)
        else:
            next(self.blocks(values), None)

    def blocks(self, values: int = BLOCK_VALUES, scratch: str | None = None) -> Iterator[Block]:
        """Yield (first row, block) of about `values` stored values, all checked to be raw counts.

        A block holds whole numbers, each place once.

        Parameters
        ----------
        values
            Stored values of a block; a row is never divided.
        scratch
            Folder of the temporary file in which a matrix that is stored by columns is turned;
            None: the system's.
        """
        with self._told():
            for start, block in self._rows(values, scratch):
                yield start, raw_counts(block, start, self.place)

    def _check_chunks(self) -> None:
        """Raise a ValueError where a zarr store has lost counts: zarr itself takes them for 0."""
        data = self._node["data"]
        lost = data.nchunks - data.nchunks_initialized if hasattr(data, "nchunks") else 0
        if lost:
            raise ValueError(f"{lost} of {data.nchunks} chunks of its values missing")

    def _rows(self, values: int, scratch: str | None) -> Iterator[Block]:
        if self.format != "dense":
            self._check_chunks()
        if self.format == "csr":
            return self._csr_rows(values)
        if self.format == "csc":
            return turned(self._node, self.shape, values, scratch)
        return self._dense_rows(values)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Tell what the libraries below say of data that they cannot read."""
        try:
            yield
        except InputError:
            raise
        except (OSError, KeyError, ValueError, RuntimeError, zlib.error) as error:
            if isinstance(error, OSError) and error.errno in FULL:
                raise  # nothing is wrong with the data
            told = " ".join(str(error).split())
            raise InputError(self.place, f"unreadable data ({told})", self.store.expected) from None

    def _csr_rows(self, values: int) -> Iterator[Block]:
        rows, columns = self.shape
        pointers = pointers_of(self._node, rows, "rows")
        data, indices = unpacked(self._node["data"]), unpacked(self._node["indices"])
        for start, stop in row_ranges(pointers, values):
            part = slice(int(pointers[start]), int(pointers[stop]))
            block = sparse.csr_matrix(
                (data[part], indices[part], pointers[start : stop + 1] - pointers[start]),
                shape=(stop - start, columns),
            )
            # Sparse arithmetic writes wherever an index points to.
            block.check_format(full_check=True)
            block.sum_duplicates()
            yield start, block

    def _dense_rows(self, values: int) -> Iterator[Block]:
        rows, columns = self.shape
        step = max(1, values // max(columns, 1))
        for start in range(0, rows, step):
            yield start, sparse.csr_matrix(self._node[start : start + step])


def ahead(items: Iterator[Item]) -> Iterator[Item]:
    """Yield items while the next one is made, in a thread of its own."""
    with ThreadPoolExecutor(max_workers=1) as maker:
        pending = maker.submit(next, items, None)
        while (item := pending.result()) is not None:
            pending = maker.submit(next, items, None)
            yield item


def count_matrix(store: Store, layer: str | None) -> CountMatrix:
    """Return the matrix of raw counts: ``X``, or the named layer."""
    if layer is None:
        if "X" not in store.root:
            raise InputError(f"{store.path}: X", "nothing", "raw counts; or name a layer")
        return CountMatrix(store, "X")
    layers = layers_of(store)
    if layer not in layers:
        raise InputError(
            f"{store.path}: layer '{layer}'",
            "no such layer",
            f"one of: {listing(layers) or 'none there'}",
            nearest(layer, layers),
        )
    return CountMatrix(store, f"layers/{layer}")


def layers_of(store: Store) -> list[str]:
    """Return the names of a store's layers; of what is no group there are none."""
    node = store.root.get("layers", {})
    return list(node) if hasattr(node, "keys") else []


def raw_counts(block: sparse.csr_matrix, first_row: int, place: str) -> sparse.csr_matrix:
    """Return a block as whole numbers; see `whole_numbers`."""

    def row(position: int) -> int:
        return first_row + int(np.searchsorted(block.indptr, position, side="right"))

    whole = whole_numbers(block.data, row, place)
    return sparse.csr_matrix((whole, block.indices, block.indptr), shape=block.shape)


def whole_numbers(values: np.ndarray, row: Callable[[int], int], place: str) -> np.ndarray:
    """Return stored values as whole numbers.

    Raises
    ------
    InputError
        Unless every one is a raw count (0, 1, 2, and so on). `row` tells the cell of a stored
        value, from 1.
    """
    with np.errstate(invalid="ignore"):
        whole = values.astype(np.int64)
    if whole.min(initial=0) >= 0 and np.array_equal(whole.astype(values.dtype), values):
        return whole
    expected = "raw counts: whole numbers from 0"
    bad = ~np.isfinite(values) | (values < 0)
    if not bad.any():
        bad = values != np.rint(values)
        kind = "log-transformed" if values.max() < 20 else "normalised"
        expected += f" (these look {kind}: name the layer with the raw counts)"
    at = int(np.argmax(bad))
    found = f"{values[at]:g} in row {row(at)} (cells are rows, from 1)"
    raise InputError(place, found, expected)
