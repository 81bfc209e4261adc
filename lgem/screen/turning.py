"""A sparse matrix that is stored by columns, read by blocks of rows in bounded memory.

A cell's counts lie all over such a file, and its total is needed before any of them is
normalised. So the values are sorted into ranges of rows on disk, and these are read in turn.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from typing import IO, Any

import numpy as np
from scipy import sparse


def pointers_of(node: Any, number: int, what: str) -> np.ndarray:
    """Return where each row (or column) begins among the stored values, and where the last ends.

    Raises
    ------
    ValueError
        Where they are not as many, or do not divide what is stored: nobody should ask a broken
        file for what it does not have.
    """
    pointers = node["indptr"][:].astype(np.int64, copy=False)
    if len(pointers) != number + 1:
        raise ValueError(f"{len(pointers) - 1} {what} instead of {number}")
    stored = min(node["data"].shape[0], node["indices"].shape[0])
    if pointers[0] < 0 or pointers[-1] > stored or (pointers[1:] < pointers[:-1]).any():
        raise ValueError(f"{what} that do not divide its {stored} stored values")
    return pointers


def row_ranges(pointers: np.ndarray, values: int) -> Iterator[tuple[int, int]]:
    """Yield ranges of rows that hold at most `values` stored values, or a single row.

    Parameters
    ----------
    pointers
        Where each row begins among the stored values, and where the last one ends (rows + 1,).
    """
    start, rows = 0, len(pointers) - 1
    while start < rows:
        limit = np.searchsorted(pointers, pointers[start] + values, side="right") - 1
        stop = int(min(max(limit, start + 1), rows))
        yield start, stop
        start = stop


def turned(
    node: Any, shape: tuple[int, int], values: int, scratch: str | None
) -> Iterator[tuple[int, sparse.csr_matrix]]:
    """Yield (first row, block) of a matrix that is stored by columns.

    Parameters
    ----------
    node
        Group of a store with ``data``, ``indices`` and ``indptr``.
    shape
        Rows and columns.
    values
        Stored values of a block, and of what is read at once.
    scratch
        Folder of a temporary file, which takes 12 to 16 bytes a stored value.
    """
    rows, columns = shape
    pointers = pointers_of(node, columns, "columns")
    used = int(pointers[0]), int(pointers[-1])
    ends = np.concatenate([[0], np.cumsum(_per_row(node["indices"], rows, values, used))])
    ranges = list(row_ranges(ends, values))
    edges = ends[[0, *(stop for _, stop in ranges)]]
    kind = np.dtype([("row", "<i4"), ("column", "<i4"), ("value", node["data"].dtype)])
    with tempfile.TemporaryFile(dir=scratch) as file:
        if hasattr(os, "posix_fallocate"):  # not on every system
            # All of the space is asked for now: a full disk is told before the work, not after.
            os.posix_fallocate(file.fileno(), 0, max(1, int(edges[-1]) * kind.itemsize))
        _sort_by_range(file, kind, node, pointers, shape, edges, ranges, values)
        for (start, stop), first, last in zip(ranges, edges[:-1], edges[1:], strict=True):
            file.seek(int(first) * kind.itemsize)
            part = np.fromfile(file, kind, int(last - first))
            place = (part["row"] - start, part["column"])
            # Adds up what is stored twice, as a matrix stored by rows does.
            yield start, sparse.csr_matrix((part["value"], place), shape=(stop - start, columns))


def _per_row(indices: Any, rows: int, values: int, used: tuple[int, int]) -> np.ndarray:
    """Count the stored values of each row, `values` at once, in the part of them that is used."""
    counts = np.zeros(rows, dtype=np.int64)
    for start in range(*used, values):
        part = indices[start : min(start + values, used[1])].astype(np.int64)
        if len(part) and not 0 <= part.min() <= part.max() < rows:
            wrong = part.min() if part.min() < 0 else part.max()
            raise ValueError(f"row index {wrong} in a matrix of {rows} rows")
        counts += np.bincount(part, minlength=rows)
    return counts


def _sort_by_range(
    file: IO[bytes],
    kind: np.dtype,
    node: Any,
    pointers: np.ndarray,
    shape: tuple[int, int],
    edges: np.ndarray,
    ranges: list[tuple[int, int]],
    values: int,
) -> None:
    """Write every stored value with its row and column into the part of a file of its range."""
    filled = edges[:-1].copy()
    bounds = np.array([0, *(stop for _, stop in ranges)])
    for start, stop in row_ranges(pointers, values):
        part = slice(int(pointers[start]), int(pointers[stop]))
        block = sparse.csc_matrix(
            (node["data"][part], node["indices"][part], pointers[start : stop + 1] - part.start),
            shape=(shape[0], stop - start),
        )
        block.check_format(full_check=True)
        block = block.tocsr()
        records = np.empty(block.nnz, dtype=kind)
        records["row"] = np.repeat(np.arange(shape[0]), np.diff(block.indptr))
        records["column"] = block.indices + start
        records["value"] = block.data
        cuts = block.indptr[bounds]
        for number in np.flatnonzero(np.diff(cuts)):
            file.seek(int(filled[number]) * kind.itemsize)
            file.write(records[cuts[number] : cuts[number + 1]].tobytes())
            filled[number] += cuts[number + 1] - cuts[number]
