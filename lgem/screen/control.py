"""The control cells of a shard, written as they are met: their number must not matter to memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from scipy import sparse

from lgem.h5 import GZIP, new_h5

# Stored values of a piece of the file: half a MiB.
CHUNK = 2**17


@contextmanager
def control_cells(path: Path, genes: Sequence[str]) -> Iterator[ControlCells]:
    """Open a new file that control cells are appended to; `read_control_cells` reads it."""
    with new_h5(path) as file:
        yield ControlCells(file, genes)


class ControlCells:
    """An HDF5 file of raw counts (cells × genes) that cells are appended to.

    Parameters
    ----------
    file
        The empty file.
    genes
        Names of the genes.
    """

    def __init__(self, file: h5py.File, genes: Sequence[str]) -> None:
        self._file = file
        self._sizes: list[np.ndarray] = []
        self._waiting: list[sparse.csr_matrix] = []
        self._ends = [np.zeros(1, dtype=np.int64)]
        _write_texts(file, "gene", genes)
        options: dict[str, Any] = {"maxshape": (None,), "chunks": (CHUNK,), **GZIP}
        for name in ("data", "indices"):
            file.create_dataset(name, shape=(0,), dtype=np.int32, **options)

    def append(self, block: sparse.csr_matrix, size_factor: np.ndarray) -> None:
        """Add cells, with their total counts."""
        if block.shape[0] == 0:
            return
        block.sort_indices()
        self._ends.append(self._ends[-1][-1] + block.indptr[1:].astype(np.int64))
        self._sizes.append(size_factor)
        self._waiting.append(block)
        if sum(each.nnz for each in self._waiting) >= CHUNK:
            self._write()

    def _write(self) -> None:
        """Write the cells that wait: a piece of the file is compressed anew at every touch."""
        for name in ("data", "indices"):
            values = np.concatenate([getattr(block, name) for block in self._waiting])
            stored = self._file[name]
            before = stored.shape[0]
            stored.resize((before + len(values),))
            stored[before:] = values
        self._waiting = []

    def finish(self, cells: Sequence[str], batch: Sequence[str]) -> None:
        """Write the names and batches of the cells, in the order in which they came."""
        if self._waiting:
            self._write()
        sizes = np.concatenate([np.zeros(0), *self._sizes])
        self._file.create_dataset("indptr", data=np.concatenate(self._ends), **GZIP)
        self._file.create_dataset("size_factor", data=sizes, **GZIP)
        _write_texts(self._file, "cell", cells)
        _write_texts(self._file, "batch", batch)


def _write_texts(file: h5py.File, name: str, texts: Sequence[str]) -> None:
    file.create_dataset(name, data=list(texts), dtype=h5py.string_dtype(), **GZIP)
