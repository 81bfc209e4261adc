"""AnnData files, in HDF5 or zarr, and what is read of their annotation.

What can be wrong with a file is found and told here; what leaves this module is sound.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd

from lgem.errors import InputError
from lgem.screen.frames import read_frame


@dataclass(frozen=True)
class Store:
    """An open AnnData file: its path, and its root group in HDF5 or zarr."""

    path: str
    root: Any

    def read(self, name: str) -> Any:
        """Read a part of it as AnnData does."""
        import anndata

        return self._told(name, anndata.io.read_elem)

    def frame(self, name: str, only: Collection[str] | None = None) -> pd.DataFrame:
        """Read ``obs`` or ``var``, or some columns of it; see `read_frame`."""
        frame = self._told(name, lambda stored: read_frame(stored, only))
        if not isinstance(frame, pd.DataFrame):
            raise InputError(
                f"{self.path}: {name}", f"no table ({type(frame).__name__})", self.expected
            )
        twice = frame.columns[frame.columns.duplicated()]
        if len(twice):
            raise InputError(
                f"{self.path}: {name}",
                f"more than one column called '{twice[0]}'",
                "a name of its own for every column",
            )
        return frame

    def _told(self, name: str, read: Callable[[Any], Any]) -> Any:
        try:
            return read(self.root[name])
        except Exception as error:  # AnnData's readers raise whatever a broken element makes them
            told = " ".join(str(error).split())
            raise InputError(
                f"{self.path}: {name}", f"an unreadable element ({told})", self.expected
            ) from None

    @property
    def expected(self) -> str:
        """What a file that is broken should have been."""
        return "a whole .zarr folder" if is_zarr(self.path) else "a whole .h5ad file"


def is_zarr(path: str) -> bool:
    """Whether a path names a zarr store."""
    return path.rstrip("/").endswith(".zarr")


@contextmanager
def open_store(path: str) -> Iterator[Store]:
    """Open an .h5ad or .zarr for reading; what is missing, truncated or no such file is told."""
    with _open_zarr(path) if is_zarr(path) else _open_h5ad(path) as root:
        for part in ("obs", "var"):
            if not _holds(root, part, path):
                kind = ".zarr folder" if is_zarr(path) else ".h5ad file"
                raise InputError(path, f"no '{part}' in the file", f"an {kind} (AnnData)")
        yield Store(path, root)


def _holds(root: Any, part: str, path: str) -> bool:
    """Whether a part is there; what HDF5 cannot even look up is told."""
    try:
        return part in root
    except (RuntimeError, OSError, KeyError) as error:
        told = " ".join(str(error).split())
        raise InputError(path, f"a broken file ({told})", "a whole file (AnnData)") from None


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
