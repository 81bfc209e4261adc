"""Result files: whole or absent, the same bytes for the same content, nothing lost on the way."""

import errno
import json
import stat
import time
from contextlib import ExitStack

import anndata
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import sparse

from lgem import files
from lgem.files import (
    atomic,
    read_arrays,
    read_json,
    read_table,
    write_arrays,
    write_json,
    write_table,
    write_text,
)
from lgem.h5ad import write_h5ad

in_one_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def data():
    obs = pd.DataFrame({"batch": pd.Categorical(["a", "b", "a"])}, index=["x", "y", "z"])
    counts = sparse.csr_matrix(np.array([[0, 1], [2, 0], [0, 3]]))
    return anndata.AnnData(X=counts, obs=obs, layers={"se": np.ones((3, 2))})


WRITERS = {
    "table.tsv": lambda path: write_table(pd.DataFrame({"a": [0.1, 2], "b": ["x", None]}), path),
    "content.json": lambda path: write_json({"b": 1, "a": [0.1]}, path),
    "text.txt": lambda path: write_text("µ\n", path),
    "arrays.npz": lambda path: write_arrays(path, a=np.arange(9.0), names=np.array(["x", "yy"])),
    "data.h5ad": lambda path: write_h5ad(data(), path, {"seed": 1, "dataset": "demo"}),
}


def write_half(path, error):
    with atomic(path) as temporary:
        temporary.write_text("half of the n")
        raise error


def inside(folder):
    return sorted(entry.name for entry in folder.iterdir())


# Atomic


def test_an_exception_leaves_the_old_file_and_nothing_beside_it(tmp_path):
    path = tmp_path / "result.tsv"
    path.write_text("old")
    with pytest.raises(RuntimeError, match="halfway"):
        write_half(path, RuntimeError("halfway"))
    assert path.read_text() == "old"
    assert inside(tmp_path) == ["result.tsv"]


def test_the_final_name_appears_when_all_is_written(tmp_path):
    path = tmp_path / "new" / "folder" / "result.tsv"
    with atomic(path) as temporary:
        temporary.write_text("whole")
        assert temporary.parent == path.parent
        assert not path.exists()
    assert path.read_text() == "whole"
    assert inside(path.parent) == ["result.tsv"]


def test_an_exception_where_nothing_was_leaves_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        write_half(tmp_path / "a.tsv", KeyboardInterrupt())
    assert inside(tmp_path) == []


@pytest.mark.parametrize("name", ["a.tsv", "a.b.tsv", "table.tsv.gz", "plain", "a[1].tsv"])
def test_what_a_dead_writer_left_goes_with_the_next_and_the_result_stays(tmp_path, name):
    path = tmp_path / name
    path.write_text("old")
    with atomic(path) as left:  # as if killed before the end: its file is put back
        left.write_text("half")
    left.write_text("half")
    path.write_text("old")
    with atomic(path) as temporary:
        assert inside(tmp_path) == sorted([temporary.name, name])
        assert path.read_text() == "old"
        temporary.write_text("new")
    assert inside(tmp_path) == [name]
    assert path.read_text() == "new"


def test_writers_of_other_results_in_the_folder_are_left_alone(tmp_path):
    others = ["a.json", "a-b.tsv", "a-0123abcd.tsv", "a.b.tsv", "b.tsv", "aa.tsv", "a.tsv.gz", "a"]
    with ExitStack() as stack:
        for name in others:
            stack.enter_context(atomic(tmp_path / name)).write_text(name)
        write_text("mine", tmp_path / "a.tsv")
    assert inside(tmp_path) == sorted([*others, "a.tsv"])
    assert [(tmp_path / name).read_text() for name in others] == others


def test_a_writer_taken_for_dead_replaces_nothing_any_more(tmp_path):
    path = tmp_path / "a.tsv"

    def late():
        with atomic(path) as temporary:
            temporary.write_text("late")
            write_text("new", path)

    with pytest.raises(FileNotFoundError):
        late()
    assert path.read_text() == "new"
    assert inside(tmp_path) == ["a.tsv"]


def test_a_full_disk_is_told_with_the_name_of_the_result(tmp_path):
    full = OSError(errno.ENOSPC, "write failed: 0x5593b2f76bd0")
    with pytest.raises(OSError, match=r"No space left on device: '.*/a\.tsv'") as told:
        write_half(tmp_path / "a.tsv", full)
    assert told.value.errno == errno.ENOSPC
    other = OSError(errno.ENOSPC, "no room", "/tmp/elsewhere")
    with pytest.raises(OSError, match="/tmp/elsewhere"):
        write_half(tmp_path / "a.tsv", other)
    assert inside(tmp_path) == []


@pytest.mark.parametrize("name", ["a.h5ad", "table.tsv.gz", "my.model.v2.npz", "plain"])
def test_writers_that_go_by_the_suffix_see_it(tmp_path, name):
    with atomic(tmp_path / name) as temporary:
        assert temporary.suffix == (tmp_path / name).suffix
        assert temporary.suffixes[-2:] == (tmp_path / name).suffixes[-2:]
        assert temporary.name.startswith(".")
        temporary.write_text("")


def test_results_are_ordinary_files_for_whoever_shares_the_folder(tmp_path):
    write_text("", tmp_path / "a.txt")
    (tmp_path / "b.txt").write_text("")
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("a.txt", "b.txt")]
    assert modes[0] == modes[1]


def test_a_writer_that_fails_leaves_the_old_result(tmp_path):
    path = tmp_path / "a.npz"
    write_arrays(path, a=np.arange(3))
    before = path.read_bytes()
    with pytest.raises(ValueError, match="allow_pickle"):
        write_arrays(path, a=np.array([{}], dtype=object))
    assert path.read_bytes() == before
    assert inside(tmp_path) == ["a.npz"]


@pytest.mark.parametrize("name", WRITERS)
def test_the_same_content_gives_the_same_bytes(tmp_path, name):
    WRITERS[name](tmp_path / "one" / name)
    time.sleep(1.1 if name.endswith("npz") else 0)  # the clock of an archive ticks in seconds
    WRITERS[name](tmp_path / "two" / name)
    one, two = ((tmp_path / folder / name).read_bytes() for folder in ("one", "two"))
    assert one == two
    assert one


# Tables


@given(
    st.lists(
        st.one_of(
            st.floats(allow_nan=False),
            st.floats(width=32, allow_nan=False),
            st.integers(-(2**53), 2**53).map(float),
        ),
        min_size=1,
    )
)
@in_one_folder
def test_floats_come_back_to_the_last_bit(tmp_path, values):
    write_table(pd.DataFrame({"value": np.array(values)}), tmp_path / "t.tsv")
    back = read_table(tmp_path / "t.tsv")["value"].to_numpy()
    assert back.dtype == float
    np.testing.assert_array_equal(back.view(np.int64), np.array(values).view(np.int64))


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1))
@in_one_folder
def test_whole_numbers_come_back_as_such(tmp_path, values):
    write_table(pd.DataFrame({"value": values}), tmp_path / "t.tsv")
    back = read_table(tmp_path / "t.tsv")["value"]
    assert back.dtype == np.int64
    assert back.tolist() == values


@given(st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1), min_size=1))
@in_one_folder
def test_names_come_back_as_they_are_spelled(tmp_path, names):
    write_table(pd.DataFrame({"name": names, "n": 1}), tmp_path / "t.tsv")
    assert read_table(tmp_path / "t.tsv")["name"].astype(str).tolist() == names


@pytest.mark.parametrize(
    "names",
    [
        ["NA", "nan", "None", "null"],
        ["01", "1"],
        ["1.1", "1.10"],
        ["1", "1.0"],
        ["1e3", "1000"],
        ["+5", "7"],
        ["true", "TRUE"],
        ['say "hi"', "tab\there", " x "],
    ],
)
def test_names_that_look_like_something_else_stay_names(tmp_path, names):
    write_table(pd.DataFrame({"name": names}), tmp_path / "t.tsv")
    assert read_table(tmp_path / "t.tsv")["name"].tolist() == names


def test_missing_is_blank_and_comes_back_missing(tmp_path):
    table = pd.DataFrame({"a": [1.5, np.nan], "b": ["x", None], "c": [np.nan, np.nan]})
    write_table(table, tmp_path / "t.tsv")
    assert (tmp_path / "t.tsv").read_text() == "a\tb\tc\n1.5\tx\t\n\t\t\n"
    back = read_table(tmp_path / "t.tsv")
    np.testing.assert_array_equal(back.isna(), table.isna())
    assert (back["a"][0], back["b"][0]) == (1.5, "x")


def test_numbers_of_a_mixed_column_are_numbers(tmp_path):
    table = pd.DataFrame({"value": np.array([1, 2.5, None], dtype=object), "b": [True] * 3})
    write_table(table, tmp_path / "t.tsv")
    back = read_table(tmp_path / "t.tsv")
    np.testing.assert_array_equal(back["value"], [1.0, 2.5, np.nan])
    assert back["b"].dtype == bool


def test_a_table_without_rows_keeps_its_columns(tmp_path):
    write_table(pd.DataFrame({"gene": [], "value": []}), tmp_path / "t.tsv")
    back = read_table(tmp_path / "t.tsv")
    assert list(back.columns) == ["gene", "value"]
    assert back.empty


# Other formats


def test_json_keeps_order_and_letters(tmp_path):
    write_json({"z": "µ", "a": 0.1}, tmp_path / "c.json")
    assert list(read_json(tmp_path / "c.json").items()) == [("z", "µ"), ("a", 0.1)]
    assert "µ" in (tmp_path / "c.json").read_text("utf-8")
    (tmp_path / "l.json").write_text("[1]")
    with pytest.raises(TypeError, match=r"l\.json: not a JSON object"):
        read_json(tmp_path / "l.json")


def test_arrays_come_back_with_names_types_and_bits(tmp_path):
    arrays = {"sums": np.array([[2**62, -1]]), "genes": np.array(["a", "Ω"]), "x": np.array(0.1)}
    write_arrays(tmp_path / "a.npz", **arrays)
    back = read_arrays(tmp_path / "a.npz")
    assert back.keys() == arrays.keys()
    for name, array in arrays.items():
        assert back[name].dtype == array.dtype
        np.testing.assert_array_equal(back[name], array)


def test_provenance_travels_inside_the_h5ad(tmp_path):
    write_h5ad(data(), tmp_path / "d.h5ad", {"seed": 1, "dataset": "demo"})
    back = anndata.read_h5ad(tmp_path / "d.h5ad")
    assert json.loads(back.uns["provenance"]) == {"seed": 1, "dataset": "demo"}
    np.testing.assert_array_equal(back.X.toarray(), data().X.toarray())


def test_the_module_needs_no_anndata_until_it_writes_one():
    assert "anndata" not in vars(files)
