"""Compressed arrays are read as HDF5 reads them, whatever they hold."""

from itertools import pairwise

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lgem.screen import chunks
from lgem.screen.chunks import Gzipped, unpacked


@pytest.fixture
def file(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as handle:
        yield handle


def stored(file, values, **options):
    return file.create_dataset(
        "x", data=values, **{"chunks": (7,), "compression": "gzip"} | options
    )


@pytest.mark.parametrize("kind", ["<f4", ">f4", "<i4", "<i8", "<u2", "<f8", "|u1"])
def test_every_part_is_what_hdf5_reads(file, kind):
    data = stored(file, np.arange(40).astype(kind))
    fast = unpacked(data)
    assert isinstance(fast, Gzipped)
    assert fast.shape == (40,)
    for start in range(0, 42, 3):
        for stop in range(start, 45, 4):
            found = fast[start:stop]
            np.testing.assert_array_equal(found, data[start:stop])
            assert found.dtype == data.dtype


@given(st.lists(st.integers(0, 60), max_size=8))
@settings(max_examples=30, deadline=None)
def test_parts_may_come_in_any_order(tmp_path_factory, edges):
    path = tmp_path_factory.mktemp("parts") / "a.h5"
    with h5py.File(path, "w") as file:
        data = stored(file, np.random.default_rng(0).integers(0, 9, 50))
        fast = unpacked(data)
        for start, stop in pairwise(edges):
            np.testing.assert_array_equal(fast[start:stop], data[start:stop])


@pytest.mark.parametrize(
    "options",
    [{"compression": None, "chunks": None}, {"compression": "lzf"}, {"shuffle": True}],
    ids=["plain", "lzf", "shuffled"],
)
def test_what_is_no_plain_gzip_is_left_to_hdf5(file, options):
    data = stored(file, np.arange(40), **options)
    assert unpacked(data) is data


def test_matrices_are_left_to_hdf5(file):
    data = file.create_dataset("x", data=np.eye(5), chunks=(2, 2), compression="gzip")
    assert unpacked(data) is data


def test_pieces_that_were_never_written_are_what_hdf5_fills_in(file):
    data = file.create_dataset("x", (30,), "i4", chunks=(7,), compression="gzip", fillvalue=3)
    data[15:20] = 1
    np.testing.assert_array_equal(unpacked(data)[0:30], data[:])


def test_pieces_that_skipped_compression_are_read(file):
    data = stored(file, np.arange(14))
    data.id.write_direct_chunk((7,), np.arange(7)[::-1].tobytes(), filter_mask=1)
    np.testing.assert_array_equal(unpacked(data)[0:14], [*range(7), *range(6, -1, -1)])


def test_hdf5_tells_what_is_wrong_with_a_broken_piece(file):
    data = stored(file, np.arange(14))
    data.id.write_direct_chunk((7,), b"no gzip at all")
    fast = unpacked(data)
    np.testing.assert_array_equal(fast[0:7], range(7))
    with pytest.raises(OSError, match=r"inflate|filter"):
        fast[0:14]


def test_neighbouring_parts_unpack_a_piece_once(file, monkeypatch):
    fast, calls = unpacked(stored(file, np.arange(40))), []
    plain = chunks.isal_zlib.decompress

    def counted(*given, **options):
        calls.append(given)
        return plain(*given, **options)

    monkeypatch.setattr(chunks.isal_zlib, "decompress", counted)
    for start in range(0, 40, 5):
        fast[start : start + 5]
    assert len(calls) == 6  # pieces of 7 in 40 values
