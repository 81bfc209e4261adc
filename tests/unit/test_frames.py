"""Annotation is read as AnnData reads it, whatever its columns are."""

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest

from lgem.errors import InputError
from lgem.screen import frames
from lgem.screen.frames import read_frame
from lgem.screen.stores import open_store

COLUMNS = {
    "whole": np.arange(4),
    "small": np.arange(4, dtype=np.int8),
    "number": [0.5, np.nan, 1.0, -0.0],
    "yes": [True, False, True, True],
    "text": ["a", "", "ü", "a"],
    "level": pd.Categorical(["b", None, "a", "b"]),
    "ordered": pd.Categorical(["low", "high", None, "low"], ["low", "high"], ordered=True),
    "numbered": pd.Categorical([3, 1, 3, None]),
    "nullable": pd.array([1, None, 3, 4], dtype="Int64"),
    "maybe": pd.array([True, None, False, True], dtype="boolean"),
}


@pytest.fixture
def path(tmp_path):
    obs = pd.DataFrame(COLUMNS, index=[f"cell {number}" for number in "βabc"])
    data = anndata.AnnData(X=np.ones((4, 1)), obs=obs)
    data.write_h5ad(tmp_path / "a.h5ad", convert_strings_to_categoricals=False)
    return tmp_path / "a.h5ad"


def same(found, expected):
    found = found.set_axis(found.index.astype(object))
    pd.testing.assert_frame_equal(found, expected, check_index_type=False)


@pytest.mark.parametrize("at_once", [3, 2**13])
def test_every_kind_of_column_is_read_as_by_anndata(path, monkeypatch, at_once):
    monkeypatch.setattr(frames, "AT_ONCE", at_once)
    with h5py.File(path) as file:
        same(read_frame(file["obs"]), anndata.io.read_elem(file["obs"]))


def test_an_index_with_a_name_keeps_it(path):
    with h5py.File(path, "a") as file:
        del file["obs"]
        table = pd.DataFrame(COLUMNS, index=pd.Index(list("wxyz"), name="barcode"))
        anndata.io.write_elem(file, "obs", table)
        found = read_frame(file["obs"])
        same(found, anndata.io.read_elem(file["obs"]))
    assert found.index.name == "barcode"


def test_columns_that_nobody_asked_for_are_not_read(path):
    with h5py.File(path, "a") as file:
        del file["obs/number"]  # reading it would fail
        found = read_frame(file["obs"], {"level", "text"})
    assert sorted(found.columns) == ["level", "text"]
    assert found["level"].tolist()[0] == "b"


def test_a_table_that_lacks_a_column_is_read_whole(path):
    with h5py.File(path) as file:
        assert list(read_frame(file["obs"], {"level", "levle"}).columns) == list(COLUMNS)


def test_a_table_without_columns_has_names(path):
    with h5py.File(path) as file:
        found = read_frame(file["obs"], set())
    assert found.shape == (4, 0)
    assert list(found.index) == [f"cell {letter}" for letter in "βabc"]


def test_older_layouts_are_left_to_anndata(path):
    with h5py.File(path, "a") as file:
        obs = file["obs"]
        obs.attrs["encoding-version"] = "0.1.0"
        obs.attrs["column-order"] = np.array(["whole", "text"], dtype=object)
        found = read_frame(obs, {"whole"})
        same(found, anndata.io.read_elem(obs))
    assert list(found.columns) == ["whole", "text"]


@pytest.mark.filterwarnings("ignore::anndata.OldFormatWarning")
@pytest.mark.parametrize(
    "broken",
    [
        lambda obs: obs["level/codes"].write_direct(np.full(4, 9, dtype=np.int8)),
        lambda obs: obs.__delitem__("level"),
        lambda obs: obs["_index"].__setitem__(0, b"\xff\xfe"),
    ],
    ids=["codes", "gone", "no text"],
)
def test_a_broken_column_is_told(path, broken):
    with h5py.File(path, "a") as file:
        broken(file["obs"])
    with (
        open_store(str(path)) as store,
        pytest.raises(InputError, match="obs: found an unreadable"),
    ):
        store.frame("obs")
