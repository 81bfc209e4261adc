"""Faster reading of the compressed arrays that most screens are stored as.

Unpacking gzip takes most of the time in which a screen is read; a library made for that is two to
three times as fast as the one that HDF5 was built with.
"""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np
from isal import isal_zlib


def unpacked(stored: Any) -> Any:
    """Return an array of a store as something to slice: faster where it can be, the same values."""
    return Gzipped(stored) if _is_gzipped(stored) else stored


def _is_gzipped(stored: Any) -> bool:
    """Whether it is a one-dimensional data set of HDF5 in pieces that went through gzip alone."""
    if not isinstance(stored, h5py.Dataset) or stored.chunks is None or stored.ndim != 1:
        return False
    filters = stored.id.get_create_plist()
    kinds = [filters.get_filter(number)[0] for number in range(filters.get_nfilters())]
    return kinds == [h5py.h5z.FILTER_DEFLATE] and stored.dtype.kind in "iuf"


class Gzipped:
    """A one-dimensional data set of HDF5 in gzipped pieces, to be read from front to back.

    Parameters
    ----------
    stored
        The data set.
    """

    def __init__(self, stored: h5py.Dataset) -> None:
        self.shape: tuple[int, ...] = stored.shape
        self.dtype: np.dtype = stored.dtype
        self._stored, self._size = stored, int(stored.chunks[0])
        # Neighbouring parts share a piece.
        self._number, self._piece = -1, np.empty(0, self.dtype)

    def __getitem__(self, part: slice) -> np.ndarray:
        """Return the values from `part.start` to before `part.stop`."""
        start, stop, _ = part.indices(self.shape[0])
        values = np.empty(max(stop - start, 0), self.dtype)
        done = start
        while done < stop:
            number, offset = divmod(done, self._size)
            piece = self._read(number)[offset : offset + stop - done]
            values[done - start : done - start + len(piece)] = piece
            done += len(piece)
        return values

    def _read(self, number: int) -> np.ndarray:
        if number != self._number:
            self._piece, self._number = self._unpack(number), number
        return self._piece

    def _unpack(self, number: int) -> np.ndarray:
        first = number * self._size
        try:
            skipped, packed = self._stored.id.read_direct_chunk((first,))
            size = self._size * self.dtype.itemsize
            plain = packed if skipped else isal_zlib.decompress(packed, bufsize=size)
            piece = np.frombuffer(plain, self.dtype)
            if len(piece) == self._size:
                return piece[: self.shape[0] - first]
        except Exception:
            # A piece that was never written, or a broken one: HDF5 knows, or tells what is wrong.
            pass
        return np.asarray(self._stored[first : first + self._size])
