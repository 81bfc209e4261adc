"""The control cells of a shard, written as they are met: their number must not matter to memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pandas as pd
from scipy import sparse

# Stored values of a piece of the file: half a MiB.
CHUNK = 2**17


class ControlCells:
    """An h5ad of raw counts (cells × genes) that cells are appended to.

    Parameters
    ----------
    path
        The file to write.
    genes
        Names of the genes.
    """

    def __init__(self, path: Path, genes: pd.Index) -> None:
        self._path, self._genes = path, genes
        self._sizes: list[np.ndarray] = []
        self._ends = [np.zeros(1, dtype=np.int64)]
        empty = sparse.csr_matrix((0, len(genes)), dtype=np.int32)
        anndata.AnnData(X=empty, var=pd.DataFrame(index=genes)).write_h5ad(path)
        self._file = h5py.File(path, "a")
        matrix = self._file["X"]
        options: dict[str, Any] = {"maxshape": (None,), "chunks": (CHUNK,), "compression": "gzip"}
        for name in ("data", "indices"):
            del matrix[name]
            matrix.create_dataset(name, shape=(0,), dtype=np.int32, **options)

    def append(self, block: sparse.csr_matrix, size_factor: np.ndarray) -> None:
        """Add cells, with their total counts."""
        if block.shape[0] == 0:
            return
        block.sort_indices()
        for name, values in (("data", block.data), ("indices", block.indices)):
            stored = self._file["X"][name]
            before = stored.shape[0]
            stored.resize((before + len(values),))
            stored[before:] = values
        self._ends.append(self._ends[-1][-1] + block.indptr[1:].astype(np.int64))
        self._sizes.append(size_factor)

    def finish(self, obs: pd.DataFrame) -> None:
        """Write what is known of the cells, in the order in which they came."""
        sizes = np.concatenate([np.zeros(0), *self._sizes])
        pointers = np.concatenate(self._ends)
        with self._file as file:
            del file["X/indptr"], file["obs"]
            file["X"].create_dataset("indptr", data=pointers, compression="gzip")
            file["X"].attrs["shape"] = np.array([len(pointers) - 1, len(self._genes)])
            anndata.io.write_elem(file, "obs", obs.assign(size_factor=sizes))

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()
