"""Files of counts: what is sound comes out block by block, and what is not is told."""

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
from count_files import ENTRY, count, make_screen
from scipy import sparse

from lgem.errors import InputError
from lgem.screen.annotation import shards_of
from lgem.screen.counting import describe_shards
from lgem.screen.entry import cell_rules, counted_genes
from lgem.screen.matrices import count_matrix, raw_counts
from lgem.screen.stores import check_same_genes, open_store
from lgem.screen.tables import as_text


@pytest.fixture
def path(tmp_path):
    make_screen().write_h5ad(tmp_path / "a.h5ad")
    return tmp_path / "a.h5ad"


def describe(*paths, **keys):
    entry = {**ENTRY, **keys}
    shards = shards_of([str(path) for path in paths], [path.stem for path in paths])
    return describe_shards(shards, entry, cell_rules(entry))


def complaint(*paths, **keys):
    with pytest.raises(InputError) as error:
        describe(*paths, **keys)
    return str(error.value)


def edit(path, **elements):
    """Replace elements of an h5ad, or remove those that are None."""
    with h5py.File(path, "a") as handle:
        for name, value in elements.items():
            name = name.replace("__", "/")
            del handle[name]
            if value is not None:
                handle[name] = value


# Blocks


@pytest.mark.parametrize("form", ["csr", "csc", "dense"])
@pytest.mark.parametrize("nonzeros", [1, 50, 10**9])
def test_blocks_put_together_are_the_matrix(tmp_path, form, nonzeros):
    screen = make_screen()
    expected = screen.X.toarray()
    screen.X = expected if form == "dense" else screen.X.asformat(form)
    screen.write_h5ad(tmp_path / "a.h5ad")
    with open_store(str(tmp_path / "a.h5ad")) as store:
        matrix = count_matrix(store, None)
        assert (matrix.format, matrix.shape) == (form, expected.shape)
        blocks = list(matrix.blocks(nonzeros))
    starts = np.cumsum([0, *(block.shape[0] for _, block in blocks)])
    assert [start for start, _ in blocks] == list(starts[:-1])
    np.testing.assert_array_equal(np.vstack([block.toarray() for _, block in blocks]), expected)


def test_a_block_holds_about_as_many_values_as_asked_for_and_at_least_a_row(tmp_path):
    make_screen().write_h5ad(tmp_path / "a.h5ad")
    with open_store(str(tmp_path / "a.h5ad")) as handle:
        blocks = [block for _, block in count_matrix(handle, None).blocks(40)]
    assert all(block.nnz <= 40 or block.shape[0] == 1 for block in blocks)
    assert len(blocks) > 5


def test_a_value_stored_in_two_parts_is_their_sum(path):
    with h5py.File(path, "a") as handle:
        data, indices = handle["X/data"][:], handle["X/indices"][:]
        expected = sparse.csr_matrix((data, indices, handle["X/indptr"][:])).toarray()
        second = int(handle["X/indptr"][1])
        assert second > 1
        indices[0] = indices[1]  # the first two values of the first cell: one gene
        handle["X/indices"][:] = indices
    expected[0, indices[1]] = data[0] + data[1]
    with open_store(str(path)) as handle:
        block = next(count_matrix(handle, None).blocks())[1]
    assert block[0].toarray()[0, indices[1]] == expected[0, indices[1]]
    assert block[0].nnz == second - 1


# What is no raw count


@pytest.mark.parametrize(
    ("change", "found", "hint"),
    [
        (lambda x: np.where(x == x.max(), -1, x), "-1 in row", ""),
        (lambda x: np.where(x == x.max(), np.nan, x), "nan in row", ""),
        (lambda x: np.where(x == x.max(), np.inf, x), "inf in row", ""),
        (
            np.log1p,
            "in row 1 ",
            " (these look log-transformed: name the layer with the raw counts)",
        ),
        (
            lambda x: x * 1.7 + (x > 0) * 90,
            "in row 1 ",
            " (these look normalised: name the layer with the raw counts)",
        ),
    ],
    ids=["negative", "nan", "inf", "log", "normalised"],
)
@pytest.mark.parametrize("form", ["csr", "csc", "dense"])
def test_what_is_no_raw_count_is_told_with_its_row_before_anything_runs(
    tmp_path, change, found, hint, form
):
    screen = make_screen()
    changed = change(screen.X.toarray())
    screen.X = changed if form == "dense" else sparse.csr_matrix(changed).asformat(form)
    screen.write_h5ad(tmp_path / "a.h5ad")
    message = complaint(tmp_path / "a.h5ad")
    assert message.startswith(f"{tmp_path / 'a.h5ad'}: X: found ")
    # The first value that is stored is one of the first gene, not of the first cell.
    assert (found.removesuffix("1 ") if form == "csc" else found) in message
    assert message.endswith(f"; expected raw counts: whole numbers from 0{hint}")


def test_the_row_of_a_bad_count_is_that_of_the_cell():
    counts = sparse.csr_matrix(np.diag([1.0, 2.0, 0.0, -4.0]))
    with pytest.raises(InputError, match=r"^x: found -4 in row 104 \(cells are rows, from 1\)"):
        raw_counts(counts, 100, "x")


@pytest.mark.parametrize("kind", [np.uint16, np.int64, np.float32, np.float64, bool])
def test_whole_numbers_of_any_type_are_counts(kind):
    block = sparse.csr_matrix(np.array([[0, 1], [1, 0]]).astype(kind))
    np.testing.assert_array_equal(raw_counts(block, 0, "x").toarray(), [[0, 1], [1, 0]])


def test_a_bad_count_in_a_later_block_stops_the_counting(tmp_path):
    screen = make_screen()
    screen.X[-1, 0] = 0.5
    screen.write_h5ad(tmp_path / "a.h5ad")
    with pytest.raises(InputError, match=r"0\.5 in row 120"):
        count([tmp_path / "a.h5ad"], ENTRY)


# What is no file to read


def test_a_file_that_is_cut_off_is_told(path):
    with path.open("r+b") as handle:
        handle.truncate(path.stat().st_size // 2)
    message = complaint(path)
    assert message.startswith(f"{path}: found a file that HDF5 cannot open (")
    assert "truncated" in message
    assert message.endswith("; expected a whole .h5ad file")


@pytest.mark.parametrize(
    ("make", "found"),
    [
        (lambda path: path.unlink(), "found no such file; expected an .h5ad file"),
        (lambda path: path.write_text("gene\tNT\n"), "found a file that HDF5 cannot open"),
        (lambda path: path.write_bytes(b""), "found a file that HDF5 cannot open"),
        (lambda path: (path.unlink(), path.mkdir()), "found a folder; expected an .h5ad file"),
        (lambda path: edit(path, var=None), "found no 'var' in the file; expected an .h5ad file"),
        (lambda path: edit(path, X=None), "X: found nothing; expected raw counts; or name a layer"),
        (lambda path: edit(path, obs=np.arange(3)), "obs: found no table (ndarray)"),
        (lambda path: edit(path, obs__lane=None), "obs: found an unreadable element"),
        (lambda path: edit(path, X__data=None), "X: found unreadable data"),
        (lambda path: edit(path, X__indptr=np.arange(3)), "X: found unreadable data (2 rows inst"),
        (lambda path: edit(path, X__indices=np.arange(9)), "X: found unreadable data"),
    ],
    ids=["missing", "text", "empty", "folder", "no var", "no X", "obs array", "no column",
         "no data", "short indptr", "short indices"],
)  # fmt: skip
def test_what_is_no_h5ad_is_told(path, make, found):
    make(path)
    assert complaint(path).startswith(str(path))
    assert found in complaint(path)


def test_an_index_beyond_the_genes_is_told_and_not_followed(path):
    with h5py.File(path, "a") as handle:
        handle["X/indices"][4] = 10**6
    assert "X: found unreadable data (" in complaint(path)


def test_damaged_data_are_told(tmp_path):
    screen = make_screen(cells=2000)
    screen.write_h5ad(tmp_path / "a.h5ad", compression="gzip")
    with h5py.File(tmp_path / "a.h5ad") as handle:
        chunk = handle["X/data"].id.get_chunk_info(0)
    with (tmp_path / "a.h5ad").open("r+b") as handle:
        handle.seek(chunk.byte_offset + 2)
        handle.write(b"\xff" * 64)
    assert "a.h5ad: X: found unreadable data (" in complaint(tmp_path / "a.h5ad")


def test_a_matrix_of_another_shape_than_its_annotation_is_told(path):
    with h5py.File(path, "a") as handle:
        handle["X"].attrs["shape"] = (120, 14)
    assert complaint(path).endswith("X: found shape (120, 14); expected 120 cells × 15 genes")


@pytest.mark.parametrize("form", ["csr", "csc"])
def test_a_sparse_matrix_that_does_not_say_its_shape_is_told(tmp_path, form):
    screen = make_screen()
    screen.X = screen.X.asformat(form)
    screen.write_h5ad(tmp_path / "a.h5ad")
    with h5py.File(tmp_path / "a.h5ad", "a") as handle:
        del handle["X"].attrs["shape"]
    assert complaint(tmp_path / "a.h5ad") == (
        f"{tmp_path / 'a.h5ad'}: X: found a sparse matrix without its shape; expected a whole "
        ".h5ad file"
    )


@pytest.mark.parametrize("duplicates", ["error", "sum"])
def test_a_screen_without_genes_is_told(tmp_path, duplicates):
    make_screen()[:, []].write_h5ad(tmp_path / "a.h5ad")
    used = {"gene_symbols": "symbol", "duplicates": duplicates}
    assert "genes: found none; expected at least one" in complaint(tmp_path / "a.h5ad", **used)


@pytest.mark.parametrize("part", ["X", "layers"])
def test_a_link_that_leads_nowhere_is_told(path, part):
    with h5py.File(path, "a") as file:
        file.pop(part)
        file[part] = h5py.SoftLink("/lost")
    layer = None if part == "X" else "raw"
    assert complaint(path, layer=layer).startswith(f"{path}: {'X' if part == 'X' else 'layer'}")


def test_layers_that_are_no_layers_are_none(path):
    with h5py.File(path, "a") as file:
        file.pop("layers")
        file["layers"] = "text"
    assert "one of: none there" in complaint(path, layer="raw")


def test_columns_of_one_name_are_told(path):
    with h5py.File(path, "a") as file:
        file["obs"].attrs["column-order"] = np.array(["gene", "lane", "gene"], dtype=object)
    assert "obs: found more than one column called 'gene'; expected" in complaint(path)


def test_another_encoding_is_told(path):
    with h5py.File(path, "a") as handle:
        handle["X"].attrs["encoding-type"] = "coo_matrix"
    assert complaint(path).endswith(
        "X: found encoding 'coo_matrix'; expected a csr, csc or dense matrix"
    )


def test_a_missing_layer_is_told_with_the_nearest(path, tmp_path):
    assert complaint(path, layer="counts").endswith(
        "layer 'counts': found no such layer; expected one of: none there"
    )
    screen = make_screen()
    screen.layers["counts"] = screen.X
    screen.write_h5ad(tmp_path / "b.h5ad")
    assert complaint(tmp_path / "b.h5ad", layer="Count").endswith(
        "layer 'Count': found no such layer; expected one of: counts; did you mean 'counts'?"
    )


def test_a_missing_column_of_symbols_is_told(path):
    assert complaint(path, gene_symbols="symbols").endswith(
        "a.h5ad: var: column 'symbols': found no such column; expected one of: symbol; "
        "did you mean 'symbol'?"
    )


def test_a_gene_without_a_symbol_keeps_its_identifier(tmp_path):
    screen = make_screen()
    screen.var["symbol"] = ["S", None, " ", ""] + [f"T{number}" for number in range(11)]
    screen.write_h5ad(tmp_path / "a.h5ad")
    for duplicates, column in [("keep_ids", "symbol"), ("sum", "gene")]:
        genes = describe(tmp_path / "a.h5ad", gene_symbols="symbol", duplicates=duplicates)[1]
        assert genes[column].tolist()[:5] == ["S", "g1", "g2", "g3", "T0"]


@pytest.mark.parametrize("name", ["", "  ", "g\x00x", "g\tx", "\ng", "g\u200b"])
def test_a_gene_name_that_is_blank_or_cannot_be_printed_is_told(name):
    var = make_screen().var.rename(index={"g4": name})
    with pytest.raises(InputError) as error:
        counted_genes(var, ENTRY, "a.h5ad")
    assert str(error.value) == (
        f"a.h5ad: genes: found the gene name {name!r}; expected letters, digits and signs, not "
        "blank"
    )


@pytest.mark.parametrize("duplicates", ["keep_ids", "sum"])
def test_a_symbol_that_cannot_be_printed_is_told_and_an_unused_one_is_not(tmp_path, duplicates):
    screen = make_screen()
    screen.var["symbol"] = [*screen.var["symbol"][:-1], "S\x01"]
    screen.write_h5ad(tmp_path / "a.h5ad")
    used = {"gene_symbols": "symbol", "duplicates": duplicates}
    assert "genes: found the gene name 'S\\x01'; expected" in complaint(tmp_path / "a.h5ad", **used)
    assert len(describe(tmp_path / "a.h5ad")[1]) == 15


# Columns as texts


@pytest.mark.parametrize(
    ("column", "texts"),
    [
        (pd.Series([1, 2]), ["1", "2"]),
        (pd.Series([1.0, np.nan, -2.0, -0.0]), ["1", None, "-2", "0"]),
        (pd.Series([1.0, 2.0], dtype="float32"), ["1", "2"]),
        (pd.Series([1, None], dtype="Int8"), ["1", None]),
        (pd.Series([1.0, None], dtype="Float64"), ["1", None]),
        (pd.Series(pd.Categorical([2, None, 1])), ["2", None, "1"]),
        (pd.Series(pd.Categorical([2.0, None, 1.0])), ["2", None, "1"]),
        (pd.Series(pd.Categorical([" a", None, "b "])), ["a", None, "b"]),
        (pd.Series(pd.Categorical([True, None])), ["True", None]),
        (pd.Series([True, False]), ["True", "False"]),
        (pd.Series([0.5, 1.0]), ["0.5", "1"]),  # 1 is 1 beside fractions too
        (pd.Series([1e300, np.inf, 3.0]), ["1e+300", "inf", "3"]),
        (pd.Series([np.nan, np.nan]), [None, None]),
        (pd.Series(["01", "1", "1.0", " NA "]), ["01", "1", "1.0", "NA"]),  # texts stay texts
    ],
)
def test_a_value_has_one_spelling_whatever_type_holds_it(column, texts):
    column.index = pd.Index([f"cell{row}" for row in range(len(column))])
    found = as_text(column)
    assert list(found.index) == list(column.index)
    assert [None if pd.isna(text) else text for text in found] == texts


# Shards


def test_shards_of_other_genes_are_told(tmp_path, path):
    fewer, other, turned = (
        make_screen()[:, :-1].copy(),
        make_screen(),
        make_screen()[:, ::-1].copy(),
    )
    other.var_names = [*other.var_names[:-1], "gX"]
    messages = []
    for number, shard in enumerate((fewer, other, turned)):
        shard.write_h5ad(tmp_path / f"{number}.h5ad")
        messages.append(complaint(path, tmp_path / f"{number}.h5ad"))
    assert messages[0].endswith(
        f"0.h5ad: found 14 genes; expected the 15 genes of the other shard {path}"
    )
    assert "1.h5ad: found gene 'gX' at position 15; expected 'g14', as in the other" in messages[1]
    assert "2.h5ad: found gene 'g14' at position 1; expected 'g0', as in the other" in messages[2]


def test_shards_of_other_symbols_are_told_where_symbols_are_used(tmp_path, path):
    other = make_screen()
    other.var["symbol"] = [*other.var["symbol"][:-1], "SX"]
    other.write_h5ad(tmp_path / "b.h5ad")
    for duplicates in ("keep_ids", "sum"):
        message = complaint(path, tmp_path / "b.h5ad", gene_symbols="symbol", duplicates=duplicates)
        assert message == (
            f"{tmp_path / 'b.h5ad'}: found gene 'SX' at position 15; expected 'S7', as in the "
            f"other shard {path}"
        )
    assert len(describe(path, tmp_path / "b.h5ad")[1]) == 15


def test_equal_genes_are_no_problem():
    genes = pd.Index(["a", "b"])
    assert check_same_genes("x", genes, "y", genes.copy()) is None


def test_annotation_is_read_with_its_types(path):
    with open_store(str(path)) as handle:
        obs, var = handle.frame("obs"), handle.frame("var")
    whole = anndata.read_h5ad(path)
    pd.testing.assert_frame_equal(obs.set_axis(obs.index.astype(object)), whole.obs)
    pd.testing.assert_frame_equal(var.set_axis(var.index.astype(object)), whole.var)
