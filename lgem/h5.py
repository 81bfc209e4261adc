"""Writing of HDF5 files: on a full disk they fail like any other."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py

GZIP = {"compression": "gzip"}


@contextmanager
def new_h5(path: Path) -> Iterator[h5py.File]:
    """Open a new HDF5 file to write in; an OSError tells at the end that the disk is full."""
    with Forgiving(path, "w+") as handle:
        try:
            with h5py.File(handle, "w") as file:
                yield file
        except Exception:
            # HDF5 may find out by itself that what it wrote is not there, and says so in its terms.
            if handle.refusal is None:
                raise
        if handle.refusal is not None:
            raise handle.refusal


class Forgiving(io.FileIO):
    """A file for a writer that does not survive a full disk: the first refusal is kept for later.

    HDF5 tries again and again to write what a full disk has refused, complains of every attempt
    and crashes at the end of the process. So it is let believe that all is well.
    """

    refusal: OSError | None = None

    def write(self, content: Any) -> int:
        """Write the whole content, or nothing more once a write has failed."""
        rest = memoryview(content).cast("B")
        size = len(rest)
        try:
            while self.refusal is None and len(rest):
                rest = rest[super().write(rest) :]
        except OSError as error:
            self.refusal = error
        return size

    def truncate(self, size: int | None = None) -> int:
        """Set the length of the file, if it can be."""
        try:
            return super().truncate(size)
        except OSError as error:
            self.refusal = self.refusal or error
            return size or 0
