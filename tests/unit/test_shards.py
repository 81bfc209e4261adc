"""Files of a screen of cells: which are known, and which tables belong to which."""

from pathlib import Path

import pytest

from lgem.config import ConfigError, load
from lgem.errors import InputError
from lgem.layout import Layout
from lgem.shards import matched, names, paired, parts, problem

CELLS = {"perturbation": "gene", "control": "NT"}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def touch(*paths):
    for path in map(Path, paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("cell,guide\n", "utf-8")


def layout(**entry):
    return Layout(load({"dataset": "d", "datasets": {"d": {**CELLS, **entry}}}))


def told(found):
    with pytest.raises(ConfigError) as error:
        found.check_files()
    return str(error.value)


# Formats


@pytest.mark.parametrize(
    "path", ["a.h5ad", "a.h5", "a.csv", "a.tsv", "a.csv.gz", "a.tsv.gz", "m/", "p"]
)
def test_known_formats_are_no_problem(folder, path):
    touch("m/matrix.mtx", "p/matrix.mtx.gz")
    assert problem(path, "x") is None


def test_other_files_and_folders_are_told(folder):
    touch("a.loom", "f/barcodes.tsv")
    found = layout(path="a.loom")
    assert "datasets.d.path: found 'a.loom'; expected an .h5ad or .zarr (AnnData), an " in told(
        found
    )
    assert "found a folder without matrix.mtx[.gz], 'f'; expected an " in told(layout(path="f/"))


def test_what_is_no_store_is_read_into_one(folder):
    touch("l/1.h5ad", "l/2.h5", "l/3/matrix.mtx", "l/4.zarr/.zgroup")
    found = layout(path="l/*")
    found.check_files()
    assert found.originals("d") == ["l/1.h5ad", "l/2.h5", "l/3", "l/4.zarr"]
    assert found.shards("d") == [
        "l/1.h5ad", "resources/d/cells_1.h5ad", "resources/d/cells_2.h5ad", "l/4.zarr",
    ]  # fmt: skip


def test_the_files_of_a_10x_folder_are_its_parts(folder):
    touch("f/matrix.mtx.gz", "f/barcodes.tsv.gz", "f/features.tsv.gz", "f/notes.txt")
    expected = ["f/matrix.mtx.gz", "f/barcodes.tsv.gz", "f/features.tsv.gz"]
    assert parts("f") == parts("f/") == expected
    assert parts("f/notes.txt") == []


# Wildcards


@pytest.mark.parametrize(
    ("pattern", "path", "words"),
    [
        ("lane_*.h5", "lane_12.h5", ("12",)),
        ("*/x_*.h5", "a/x_b.h5", ("a", "b")),
        ("l?[ab]/*.h5", "l1b/x.h5", ("1", "b", "x")),
        ("l[!ab].h5", "lc.h5", ("c",)),
        ("l[!ab].h5", "la.h5", ()),
        ("a.b*.h5", "a.bc.h5", ("c",)),
        ("a.b*.h5", "axbc.h5", ()),
        ("*.h5", "a/b.h5", ()),
        ("./l//*.h5", "./l/x.h5", ("x",)),
        ("l/*/", "l/x", ("x",)),
        ("x.h5", "x.h5", ()),
    ],
)
def test_wildcards_stand_for_parts_of_a_path(pattern, path, words):
    assert matched(pattern, path) == words


def test_shards_are_called_what_the_wildcards_stand_for(folder):
    assert names("a/lane_*/f.h5", ["a/lane_1/f.h5", "a/lane_2/f.h5"]) == ["1", "2"]
    assert names("*_?.h5", ["a_1.h5", "b_1.h5"]) == ["a_1", "b_1"]
    assert names("screen.h5ad", ["screen.h5ad"]) == ["screen"]
    assert names(None, ["resources/d/files/screen.csv.gz"]) == ["screen"]


@pytest.mark.parametrize("start", ["", "./", "l//../"])
def test_tables_belong_to_the_shards_whose_wildcards_stand_for_the_same(folder, start):
    touch(*(f"{lane}/outs/f.h5" for lane in "ab"), *(f"calls/{lane}.csv" for lane in "abc"), "l/x")
    found = layout(path=f"{start}*/outs/f.h5", guide_calls="calls/*.csv", guide="feature_call")
    found.check_files()
    assert found.shard_names("d") == ["a", "b"]
    assert found.cell_tables("d", "guide_calls") == ["calls/a.csv", "calls/b.csv"]
    assert found.cell_tables("d", "metadata") == []


def test_one_table_serves_all_shards_where_it_is_named(folder):
    touch("1.h5", "2.h5", "calls.csv", "odd[1].csv")
    for table in ("calls.csv", "odd[1].csv"):
        found = layout(path="*.h5", guide_calls=table, guide="feature_call")
        found.check_files()
        assert found.cell_tables("d", "guide_calls") == [table] * 2


def test_a_glob_that_finds_the_one_table_of_the_one_file_finds_it(folder):
    touch("screen.h5", "calls_v2.csv")
    found = layout(path="screen.h5", guide_calls="calls*.csv", guide="feature_call")
    found.check_files()
    assert found.cell_tables("d", "guide_calls") == ["calls_v2.csv"]


@pytest.mark.parametrize("lanes", [2, 3])
def test_a_glob_of_tables_that_lacks_a_shard_is_told_though_one_table_is_left(folder, lanes):
    touch(*(f"{lane}.h5" for lane in range(lanes)), *(f"c_{lane}.csv" for lane in range(lanes - 1)))
    assert (
        f"datasets.d.guide_calls: c_*.csv: found no table for {lanes - 1}.h5; expected one table; "
        "or one per file of path, where the wildcards of both stand for the same"
    ) in told(layout(path="*.h5", guide_calls="c_*.csv", guide="feature_call"))


def test_several_tables_of_one_file_are_told(folder):
    touch("screen.h5", "c_1.csv", "c_2.csv")
    found = layout(path="screen.h5", guide_calls="c_*.csv", guide="feature_call")
    assert "datasets.d.guide_calls: c_*.csv: found no table for screen.h5; expected" in told(found)


def test_a_table_without_wildcards_belongs_to_no_shard_of_a_glob():
    with pytest.raises(InputError, match=r"^c\.csv: found no table for 1\.h5; expected one table"):
        paired("?.h5", ["1.h5"], "c.csv", ["c.csv"])
    with pytest.raises(InputError, match=r"^c_\*: found no table for x\.h5; expected one table"):
        paired("x.h5", ["x.h5"], "c_*", ["c_1", "other"])
