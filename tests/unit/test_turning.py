"""A matrix stored by columns gives the same blocks of rows as one stored by rows."""

import contextlib
import errno
import os
import resource
import threading

import anndata
import numpy as np
import pytest
import zarr
from count_files import ENTRY, count, make_screen
from scipy import sparse

from lgem.errors import InputError
from lgem.screen import control
from lgem.screen.matrices import ahead, count_matrix
from lgem.screen.network_cells import read_control_cells
from lgem.screen.stores import open_store
from lgem.screen.turning import row_ranges, turned


def node_of(matrix, indices=np.int32, pointers=np.int64):
    """Return the parts of a sparse matrix as a store has them."""
    return {
        "data": matrix.data,
        "indices": matrix.indices.astype(indices),
        "indptr": matrix.indptr.astype(pointers),
    }


def by_rows(node, shape, values, folder):
    blocks = list(turned(node, shape, values, str(folder)))
    ends = np.cumsum([0, *(block.shape[0] for _, block in blocks)])
    assert [start for start, _ in blocks] == list(ends[:-1])
    assert ends[-1] == shape[0]
    assert list(folder.iterdir()) == []
    return blocks


def sparse_counts(rows=60, columns=23, seed=0):
    """Return counts with empty rows and columns, one full row and one full column."""
    rng = np.random.default_rng(seed)
    dense = rng.poisson(0.3, (rows, columns)).astype(np.float32)
    dense[[0, 7, rows - 1]], dense[:, [0, 4, columns - 1]] = 0, 0
    dense[9, 1:-1], dense[1:-1, 5] = 3, 2
    return sparse.csc_matrix(dense)


@pytest.mark.parametrize("indices", [np.int32, np.int64, np.uint64])
@pytest.mark.parametrize("values", [1, 7, 10**6])
def test_a_matrix_by_columns_comes_out_by_rows(tmp_path, values, indices):
    matrix = sparse_counts()
    blocks = by_rows(node_of(matrix, indices), matrix.shape, values, tmp_path)
    assert all(block.nnz <= values or block.shape[0] == 1 for _, block in blocks)
    assert len(blocks) == len(list(row_ranges(matrix.tocsr().indptr, values)))
    both = sparse.vstack([block for _, block in blocks]).tocsr()
    rows = matrix.tocsr()
    for name in ("data", "indices", "indptr"):
        np.testing.assert_array_equal(getattr(both, name), getattr(rows, name))
    assert both.dtype == matrix.dtype


@pytest.mark.parametrize("values", [1, 3, 100])
def test_what_a_column_stores_twice_is_added_up_and_what_it_stores_unsorted_is_sorted(
    tmp_path, values
):
    node = {
        "data": np.array([5, 1, 2, 4, 8, 16]),
        "indices": np.array([2, 0, 2, 1, 1, 0]),
        "indptr": np.array([0, 3, 3, 6]),
    }
    blocks = by_rows(node, (4, 3), values, tmp_path)
    dense = np.vstack([block.toarray() for _, block in blocks])
    np.testing.assert_array_equal(dense, [[1, 0, 16], [0, 0, 12], [7, 0, 0], [0, 0, 0]])


def test_values_beyond_the_last_column_are_no_part_of_the_matrix(tmp_path):
    matrix = sparse_counts()
    node = node_of(matrix)
    node["data"] = np.concatenate([node["data"], [99, 99]])
    node["indices"] = np.concatenate([node["indices"], [3, 3]])
    blocks = by_rows(node, matrix.shape, 5, tmp_path)
    assert len(blocks) == len(list(row_ranges(matrix.tocsr().indptr, 5)))
    np.testing.assert_array_equal(sparse.vstack([b for _, b in blocks]).toarray(), matrix.toarray())


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (4, 3)])
def test_a_matrix_without_values_has_its_rows_all_the_same(tmp_path, shape):
    blocks = by_rows(node_of(sparse.csc_matrix(shape)), shape, 5, tmp_path)
    assert sum(block.nnz for _, block in blocks) == 0


@pytest.mark.parametrize("wrong", [-1, 60])
def test_an_index_that_is_no_row_is_told(tmp_path, wrong):
    matrix = sparse_counts()
    node = node_of(matrix)
    node["indices"][11] = wrong
    with pytest.raises(ValueError, match=f"^row index {wrong} in a matrix of 60 rows$"):
        list(turned(node, matrix.shape, 7, str(tmp_path)))
    assert list(tmp_path.iterdir()) == []


def test_other_columns_than_the_shape_has_are_told(tmp_path):
    with pytest.raises(ValueError, match=r"^23 columns instead of 22$"):
        list(turned(node_of(sparse_counts()), (60, 22), 7, str(tmp_path)))


@contextlib.contextmanager
def largest_file(size):
    """Let no file grow beyond a size, as a disk that is almost full does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_scratch_file_without_room_is_no_fault_of_the_data(tmp_path):
    screen = make_screen()
    screen.X = screen.X.tocsc()
    screen.write_h5ad(tmp_path / "a.h5ad")
    (tmp_path / "scratch").mkdir()
    needed = 12 * screen.X.nnz  # row, column and a number of four bytes
    with open_store(str(tmp_path / "a.h5ad")) as store:
        matrix = count_matrix(store, None)
        with largest_file(needed):
            assert sum(b.nnz for _, b in matrix.blocks(40, str(tmp_path / "scratch")))
        with largest_file(needed - 1), pytest.raises(OSError, match="too large") as error:
            next(matrix.blocks(40, str(tmp_path / "scratch")))  # before any work is done
    assert not isinstance(error.value, InputError)
    assert error.value.errno == errno.EFBIG
    assert list((tmp_path / "scratch").iterdir()) == []


def test_a_system_that_cannot_set_room_aside_turns_matrices_all_the_same(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "posix_fallocate")
    matrix = sparse_counts()
    blocks = by_rows(node_of(matrix), matrix.shape, 7, tmp_path)
    np.testing.assert_array_equal(sparse.vstack([b for _, b in blocks]).toarray(), matrix.toarray())


# Stores


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize(("form", "layer"), [("csr", "counts"), ("csc", None), ("dense", None)])
def test_a_zarr_store_gives_what_the_h5ad_gives(tmp_path, form, layer, version):
    screen = make_screen()
    screen.X = screen.X.toarray() if form == "dense" else screen.X.asformat(form)
    if layer is not None:
        screen.layers[layer], screen.X = screen.X, screen.X * 0.5
    screen.write_h5ad(tmp_path / "a.h5ad")
    with anndata.settings.override(zarr_write_format=version):
        screen.write_zarr(tmp_path / "a.zarr")
    entry = {**ENTRY, "layer": layer, "gene_symbols": "symbol", "duplicates": "sum"}
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.zarr").rename(tmp_path / "sub" / "a.zarr")
    one, other = (count([path], entry) for path in (tmp_path / "a.h5ad", tmp_path / "sub/a.zarr"))
    for table in range(3):
        assert one[table].equals(other[table])
    for name, values in one[3].arrays().items():
        np.testing.assert_array_equal(other[3].arrays()[name], values)
    controls = [(folder / "control_a.h5").read_bytes() for folder in (tmp_path, tmp_path / "sub")]
    assert controls[0] == controls[1]


def open_and_look(path):
    with open_store(str(path)) as store:
        store.frame("obs")
        count_matrix(store, None).check_first()


@pytest.mark.parametrize(
    ("make", "found"),
    [
        (lambda path: None, "a.zarr: found what zarr cannot open"),
        (lambda path: path.mkdir(), "a.zarr: found what zarr cannot open"),
        (lambda path: path.write_text("x"), "a.zarr: found what zarr cannot open"),
        (lambda path: zarr.open_group(path, mode="w"), "found no 'obs' in the file; expected an "),
    ],
    ids=["missing", "empty", "file", "other"],
)
def test_what_is_no_zarr_store_is_told(tmp_path, make, found):
    make(tmp_path / "a.zarr")
    with pytest.raises(InputError) as error:
        open_and_look(tmp_path / "a.zarr")
    assert found in str(error.value)


def test_a_zarr_store_with_a_damaged_part_is_told(tmp_path):
    make_screen().write_zarr(tmp_path / "a.zarr")
    data = [path for path in (tmp_path / "a.zarr/X/data").rglob("*") if path.is_file()]
    chunk = next(path for path in data if not path.name.startswith((".z", "zarr.json")))
    chunk.write_bytes(b"\xff" * 9)
    with pytest.raises(InputError, match=r"a\.zarr: X: found unreadable data \("):
        open_and_look(tmp_path / "a.zarr")


def test_a_zarr_store_that_has_lost_counts_is_told(tmp_path):
    make_screen().write_zarr(tmp_path / "a.zarr")
    data = [path for path in (tmp_path / "a.zarr/X/data").rglob("*") if path.is_file()]
    next(path for path in data if not path.name.startswith((".z", "zarr.json"))).unlink()
    with pytest.raises(InputError, match=r"X: found unreadable data \(1 of 1 chunks .* missing\)"):
        open_and_look(tmp_path / "a.zarr")


# Reading ahead


def test_items_made_ahead_come_in_their_order():
    assert list(ahead(iter([(0, "a"), (1, "b"), (2, "c")]))) == [(0, "a"), (1, "b"), (2, "c")]
    assert list(ahead(iter([]))) == []


def test_an_error_of_the_reader_reaches_who_counts_and_the_thread_ends():
    def blocks():
        yield 0, "a"
        raise InputError("x", "y", "z")

    before = threading.active_count()
    made = ahead(blocks())
    assert next(made) == (0, "a")
    with pytest.raises(InputError, match="x: found y; expected z"):
        next(made)
    assert threading.active_count() == before


def test_the_thread_ends_where_who_counts_gives_up():
    before = threading.active_count()
    made = ahead((number, "a") for number in range(9))
    next(made)
    assert threading.active_count() == before + 1
    made.close()
    assert threading.active_count() == before


# Control cells


@pytest.mark.parametrize("piece", [20, 2**17])
def test_control_cells_written_as_they_are_met_are_those_selected(tmp_path, monkeypatch, piece):
    monkeypatch.setattr(control, "CHUNK", piece)
    counts = sparse_counts().tocsr().astype(np.int64)
    turned_round = sparse.csr_matrix(counts.toarray()[:, ::-1])
    turned_round.indices = counts.shape[1] - 1 - turned_round.indices  # counts again, unsorted
    np.testing.assert_array_equal(turned_round.toarray(), counts.toarray())
    sizes = np.asarray(counts.sum(axis=1)).ravel().astype(float)
    names = [f"g{number}" for number in range(counts.shape[1])]
    picked = [np.array([], dtype=int), np.array([0, 9, 10]), np.arange(30, 60)]
    whole = np.concatenate(picked)
    with control.control_cells(tmp_path / "c.h5", names) as kept:
        for rows in picked:
            kept.append(turned_round[rows], sizes[rows])
        kept.finish([f"cell{row}" for row in whole], ["b"] * len(whole))
    found = read_control_cells(tmp_path / "c.h5")
    np.testing.assert_array_equal(found.X.toarray(), counts[whole].toarray())
    assert (found.X.dtype, found.X.has_sorted_indices) == (np.int32, True)
    assert list(found.var_names) == names
    assert found.obs["size_factor"].tolist() == sizes[whole].tolist()
    assert found.obs["batch"].tolist() == ["b"] * len(whole)
    assert list(found.obs_names) == [f"cell{row}" for row in whole]


def test_a_shard_without_control_cells_has_an_empty_file_of_them(tmp_path):
    screen = make_screen()
    screen[screen.obs["gene"] != "NT"].copy().write_h5ad(tmp_path / "a.h5ad")
    screen[screen.obs["gene"] == "NT"].copy().write_h5ad(tmp_path / "b.h5ad")
    empty, full = count([tmp_path / "a.h5ad", tmp_path / "b.h5ad"], ENTRY)[4]
    assert empty.shape == (0, 15)
    assert full.n_obs == (screen.obs["gene"] == "NT").sum()
    together = anndata.concat([empty, full])
    np.testing.assert_array_equal(
        together.X.toarray(), screen[screen.obs["gene"] == "NT"].X.toarray()
    )
