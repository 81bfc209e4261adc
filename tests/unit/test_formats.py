"""Cells as 10x's tools and others write them: the same counts, whatever holds them."""

import gzip

import h5py
import numpy as np
import pandas as pd
import pytest
from count_files import make_screen
from scipy import sparse
from ten_x import write_folder, write_h5

from lgem.errors import InputError
from lgem.screen.formats import read_cells

ROWS = "samples_by_genes"


@pytest.fixture
def screen():
    return make_screen(cells=30)


def assert_same_cells(found, screen):
    assert list(found.obs_names) == list(screen.obs_names)
    assert list(found.var_names) == list(screen.var_names)
    assert (found.obs_names.name, found.var_names.name) == (None, None)
    assert sparse.issparse(found.X)
    np.testing.assert_array_equal(found.X.toarray(), screen.X.toarray())


def refused(path, orientation=ROWS):
    with pytest.raises(InputError) as error:
        read_cells(str(path), orientation)
    return str(error.value)


# 10x


def test_a_10x_file_gives_genes_by_id_with_their_symbols_and_no_guides(tmp_path, screen):
    write_h5(screen, tmp_path / "a.h5", guides=2)
    found = read_cells(str(tmp_path / "a.h5"), ROWS)
    assert_same_cells(found, screen)
    assert found.var["gene_symbols"].tolist() == screen.var["symbol"].tolist()


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("old", [True, False])
def test_a_10x_folder_gives_what_the_file_gives(tmp_path, screen, packed, old):
    write_folder(screen, tmp_path / "a", packed=packed, old=old)
    found = read_cells(str(tmp_path / "a"), ROWS)
    assert_same_cells(found, screen)
    assert found.var["gene_symbols"].tolist() == screen.var["symbol"].tolist()


def test_names_in_a_10x_folder_stay_as_they_are_spelled(tmp_path, screen):
    screen.var_names = ["nan", "NA", "007", "1.0", *screen.var_names[4:]]
    screen.var["symbol"] = ["NULL", 'a"b', "#c", "None", *screen.var["symbol"][4:]]
    screen.obs_names = [f"{number:02}" for number in range(screen.n_obs)]
    write_folder(screen, tmp_path / "a")
    write_h5(screen, tmp_path / "a.h5")
    for path in (tmp_path / "a", tmp_path / "a.h5"):
        found = read_cells(str(path), ROWS)
        assert_same_cells(found, screen)
        assert found.var["gene_symbols"].tolist() == screen.var["symbol"].tolist()


def edit_h5(path, name, value):
    with h5py.File(path, "a") as file:
        del file[name]
        if value is not None:
            file[name] = value


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:3000]), "cannot be read as 10x output ("),
        (lambda path: path.write_text("barcodes"), "cannot be read as 10x output ("),
        (lambda path: path.unlink(), "cannot be read as 10x output ("),
        (lambda path: edit_h5(path, "matrix/barcodes", None), "one or more required datasets"),
        (lambda path: edit_h5(path, "matrix/features", None), "one or more required datasets"),
        (
            lambda path: edit_h5(path, "matrix/features/feature_type", np.array([b"Custom"] * 17)),
            "found features of kind ['Custom']; expected features of kind 'Gene Expression'",
        ),
        (lambda path: edit_h5(path, "matrix/shape", np.array([5, 30])), "as 10x output ("),
    ],
    ids=["truncated", "text", "missing", "no barcodes", "no features", "no genes", "shape"],
)
def test_what_is_no_10x_file_is_told(tmp_path, screen, damage, told):
    write_h5(screen, tmp_path / "a.h5")
    damage(tmp_path / "a.h5")
    message = refused(tmp_path / "a.h5")
    assert message.startswith(f"{tmp_path / 'a.h5'}: found ")
    assert told in message


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda folder: (folder / "barcodes.tsv.gz").unlink(), "found no barcodes.tsv[.gz]; expec"),
        (lambda folder: (folder / "features.tsv.gz").unlink(), "found no features.tsv[.gz]; expec"),
        (lambda folder: (folder / "matrix.mtx.gz").unlink(), "found no matrix.mtx[.gz]; expected"),
        (
            lambda folder: (folder / "barcodes.tsv.gz").write_bytes(gzip.compress(b"A-1\nC-1\n")),
            "found a matrix of 17 features × 30 barcodes; expected 17 features × 2 barcodes, as",
        ),
        (
            lambda folder: (folder / "matrix.mtx.gz").write_bytes(
                (folder / "matrix.mtx.gz").read_bytes()[:200]
            ),
            "cannot be read as 10x output (",
        ),
        (
            lambda folder: (folder / "barcodes.tsv.gz").write_bytes(b"AAAC-1\n"),
            "cannot be read as 10x output (",
        ),
    ],
    ids=["no barcodes", "no features", "no matrix", "fewer", "truncated", "not packed"],
)
def test_what_is_no_10x_folder_is_told(tmp_path, screen, damage, told):
    write_folder(screen, tmp_path / "a")
    damage(tmp_path / "a")
    message = refused(tmp_path / "a")
    assert message.startswith(f"{tmp_path / 'a'}: found ")
    assert told in message


# Tables of counts


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.csv.gz", "a.tsv.gz"])
@pytest.mark.parametrize("orientation", [ROWS, "genes_by_samples"])
@pytest.mark.parametrize("header", [True, False])
def test_a_table_of_counts_may_lie_either_way(tmp_path, screen, name, orientation, header):
    frame = pd.DataFrame(
        screen.X.toarray().astype(int), index=screen.obs_names, columns=screen.var_names
    )
    frame = frame if orientation == ROWS else frame.T
    separator = "," if ".csv" in name else "\t"
    text = frame.to_csv(sep=separator)
    text = text if header else text.removeprefix(separator)  # as R writes it
    content = text.encode()
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    assert_same_cells(read_cells(str(tmp_path / name), orientation), screen)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("many", "t.csv: column 'b': found 'many' in row 'y'; expected numbers"),
        ("", "t.csv: found nan in row 2 (cells are rows, from 1); expected raw counts"),
        ("-3", "t.csv: found -3 in row 2 (cells are rows, from 1); expected raw counts"),
        ("0.5", "t.csv: found 0.5 in row 2 (cells are rows, from 1); expected raw counts"),
    ],
)
def test_what_is_no_count_is_told_of_the_file_that_the_user_knows(tmp_path, value, told):
    (tmp_path / "t.csv").write_text(f",a,b\nx,1,2\ny,3,{value}\n")
    assert told in refused(tmp_path / "t.csv")


@pytest.mark.filterwarnings("error")
def test_names_that_occur_twice_are_kept_for_who_reads_the_cells_to_judge(tmp_path):
    (tmp_path / "t.csv").write_text(",a,a\nx,1,2\nx,3,4\n")
    found = read_cells(str(tmp_path / "t.csv"), ROWS)
    assert list(found.obs_names) == ["x", "x"]
    assert list(found.var_names) == ["a", "a"]
