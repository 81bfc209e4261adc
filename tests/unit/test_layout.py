"""Which files a config asks for, and which of them are missing before anything runs."""

import pytest

from lgem.config import ConfigError, load
from lgem.layout import Layout

CELLS = {"perturbation": "gene", "control": "NT"}


def layout(entry, **keys):
    return Layout(load({"dataset": "d", "datasets": {"d": entry}, **keys}))


def missing(found):
    with pytest.raises(ConfigError) as error:
        found.check_files()
    return [line.strip() for line in str(error.value).split("\n")[1:]]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lanes").mkdir()
    for name in ("lane_2.h5ad", "lane_1.h5ad", "genes.tsv"):
        (tmp_path / "lanes" / name).touch()
    return tmp_path


def test_the_order_of_shards_is_that_of_their_names(tmp_path):
    names = [f"lane_{number:02d}.h5ad" for number in range(40)]
    for name in sorted(names, key=hash):
        (tmp_path / name).touch()
    found = layout({"path": f"{tmp_path}/*.h5ad", **CELLS})
    assert found.shards("d") == [f"{tmp_path}/{name}" for name in names]


def test_shards_of_a_glob_come_sorted_wherever_they_lie(folder):
    expected = ["lanes/lane_1.h5ad", "lanes/lane_2.h5ad"]
    assert layout({"path": "lanes/*.h5ad", **CELLS}).shards("d") == expected
    absolute = layout({"path": f"{folder}/lanes/lane_?.h5ad", **CELLS})
    assert absolute.shards("d") == [f"{folder}/{name}" for name in expected]
    absolute.check_files()


def test_brackets_in_the_name_of_a_file_that_exists_are_letters(folder):
    (folder / "screen[1].h5ad").touch()
    found = layout({"path": "screen[1].h5ad", **CELLS})
    assert found.shards("d") == ["screen[1].h5ad"]
    found.check_files()


def test_a_simulated_screen_and_a_package_need_no_file_of_the_user(folder):
    simulated = layout({"simulate": {}})
    simulated.check_files()
    assert simulated.shards("d") == ["resources/d/screen.h5ad"]
    assert simulated.reference_network("d").startswith("resources/d/")
    packaged = layout(
        {"path": "p/x.csv", "kind": "profiles", "pypi": "p==1", "gene_metadata": "p/g.csv"}
    )
    packaged.check_files()
    assert packaged.tables("d") == {
        "table": "resources/d/package/p/x.csv",
        "gene_metadata": "resources/d/package/p/g.csv",
    }


def test_every_missing_file_is_told_with_what_is_there(folder):
    found = layout(
        {
            "path": "lanes/gene.tsv",
            "kind": "profiles",
            "metadata": "nowhere/m.tsv",
            "gene_metadata": "lanes",
            "reference_network": "lanes/zzz",
        },
        splits={"scheme": "file", "file": "splits.tsv"},
    )
    assert missing(found) == [
        "datasets.d.path: found no file 'lanes/gene.tsv'; expected an existing file; there are: "
        "genes.tsv, lane_1.h5ad, lane_2.h5ad; did you mean 'lanes/genes.tsv'?",
        "datasets.d.metadata: found no folder 'nowhere'; expected the path of an existing file",
        "datasets.d.gene_metadata: found a folder, 'lanes'; expected the path of a file",
        "datasets.d.reference_network: found no file 'lanes/zzz'; expected an existing file; "
        "there are: genes.tsv, lane_1.h5ad, lane_2.h5ad",
        "splits.file: found no file 'splits.tsv'; expected an existing file; there are: lanes",
    ]


def test_a_glob_that_matches_nothing_is_a_missing_file(folder):
    [line] = missing(layout({"path": "lanes/*_3.h5ad", **CELLS}))
    assert line.startswith("datasets.d.path: found no file 'lanes/*_3.h5ad'; expected an existing")


def test_a_table_of_profiles_is_one_file(folder):
    for name in ("a.tsv", "b.tsv"):
        (folder / name).touch()
    [line] = missing(layout({"path": "?.tsv", "kind": "profiles"}))
    assert line == "datasets.d.path: found 2 files: a.tsv, b.tsv; expected one file"


def test_files_of_datasets_that_do_not_run_may_be_missing(folder):
    entries = {"d": {"simulate": {}}, "later": {"path": "not_yet.h5ad", **CELLS}}
    Layout(load({"dataset": "d", "datasets": entries})).check_files()
    assert len(missing(Layout(load({"dataset": ["d", "later"], "datasets": entries})))) == 1


def test_datasets_are_sorted_by_source_and_kind():
    entries = {
        "a": {"simulate": {}},
        "b": {"path": "b.h5ad", **CELLS},
        "c": {"path": "c.csv", "kind": "profiles", "pypi": "p==1"},
    }
    found = Layout(load({"dataset": "a", "datasets": entries}))
    assert (found.simulated, found.packaged) == (["a"], ["c"])
    assert (found.cells, found.profiles) == (["a", "b"], ["c"])


def test_without_perturbations_only_the_network_stages_run():
    bulk = layout({"path": "x.tsv", "kind": "profiles"})
    assert not bulk.is_perturbed("d")
    assert not bulk.updates_network("d")
    assert all(name.startswith("network/") for name in bulk.results("d"))
    assert bulk.figures("d") == ["partial_correlations", "largest_changes"]
    screen = layout({"simulate": {}})
    assert screen.updates_network("d")
    assert {"qc.tsv", "metrics.tsv"} <= set(screen.results("d"))
    assert not layout({"simulate": {}}, network={"updates": []}).updates_network("d")


def test_models_come_first_and_baselines_always_follow():
    models = [
        {"name": "one", "preset": "paper"},
        {"name": "two", "solver": "pinv", "dimensions": 3},
    ]
    found = layout({"simulate": {}}, models=models)
    assert found.models == ["one", "two", "no_change", "mean", "additive"]
    assert found.model("mean") == {"kind": "mean", "settings": {}}
    assert found.model("one")["settings"] == {"solver": "ridge", "dimensions": None, "penalty": 0.1}
    assert found.model("two")["settings"] == {"solver": "pinv", "dimensions": 3, "penalty": 0.1}


def test_a_digest_covers_the_entry_the_seed_and_what_is_asked_for():
    def digest(asked=("splits", "network.panel"), models=("one",), **keys):
        settings = {"models": [{"name": "one"}, {"name": "two"}], **keys}
        return layout({"simulate": {}}, **settings).digest("d", asked, models)

    base = digest()
    for other in (
        digest(seed=2),
        digest(splits={"folds": 4}),
        digest(network={"panel": 9}),
        digest(models=("one", "mean")),
        digest(asked=("splits",)),
    ):
        assert other != base
    assert digest(network={"threshold": 0.2}) == base
    assert digest(evaluation={"bootstrap": 500}) == base
    assert digest(pseudobulk={"min_cells": 3}) == base
