"""The control cells of a shard, written as they are met: their number must not matter to memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pandas as pd
from scipy import sparse

from lgem.h5ad import GZIP, new_h5

# Stored values of a piece of the file: half a MiB.
CHUNK = 2**17


@contextmanager
def control_cells(path: Path, genes: pd.Index) -> Iterator[ControlCells]:
    """Open a new h5ad that control cells are appended to."""
    with new_h5(path) as file:
        yield ControlCells(file, genes)


class ControlCells:
    """An h5ad of raw counts (cells × genes) that cells are appended to.

    Parameters
    ----------
    file
        The empty file.
    genes
        Names of the genes.
    """

    def __init__(self, file: h5py.File, genes: pd.Index) -> None:
        self._file, self._genes = file, genes
        self._sizes: list[np.ndarray] = []
        self._waiting: list[sparse.csr_matrix] = []
        self._ends = [np.zeros(1, dtype=np.int64)]
        empty = sparse.csr_matrix((0, len(genes)), dtype=np.int32)
        cells = anndata.AnnData(X=empty, var=pd.DataFrame(index=genes))
        anndata.io.write_elem(file, "/", cells)
        options: dict[str, Any] = {"maxshape": (None,), "chunks": (CHUNK,), **GZIP}
        for name in ("data", "indices"):
            del file["X"][name]
            file["X"].create_dataset(name, shape=(0,), dtype=np.int32, **options)

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
            stored = self._file["X"][name]
            before = stored.shape[0]
            stored.resize((before + len(values),))
            stored[before:] = values
        self._waiting = []

    def finish(self, obs: pd.DataFrame) -> None:
        """Write what is known of the cells, in the order in which they came."""
        if self._waiting:
            self._write()
        sizes = np.concatenate([np.zeros(0), *self._sizes])
        pointers = np.concatenate(self._ends)
        del self._file["X/indptr"], self._file["obs"]
        matrix = self._file["X"]
        matrix.create_dataset("indptr", data=pointers, **GZIP)
        matrix.attrs["shape"] = np.array([len(pointers) - 1, len(self._genes)])
        anndata.io.write_elem(self._file, "obs", obs.assign(size_factor=sizes))
