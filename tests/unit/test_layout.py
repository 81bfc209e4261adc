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
        (tmp_path / "lanes" / name).write_text("gene\tx\n", "utf-8")
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
        "table": "resources/d/files/p/x.csv",
        "gene_metadata": "resources/d/files/p/g.csv",
    }


ZENODO = "https://zenodo.org/records/1/files/Norman%202019.h5ad?download=1"


def test_a_screen_from_an_address_lies_under_the_name_that_it_has_there(folder):
    named = layout({"url": ZENODO, "reference_network": "lanes/genes.tsv", **CELLS})
    named.check_files()
    assert named.fetched == ["d"]
    assert named.shards("d") == ["resources/d/files/Norman_2019.h5ad"]
    assert named.downloaded("d") == "Norman_2019.h5ad"
    assert named.reference_network("d") == "lanes/genes.tsv"  # a file of the user
    lost = layout({"url": ZENODO, "reference_network": "lanes/gene.tsv", **CELLS})
    assert "did you mean 'lanes/genes.tsv'" in missing(lost)[0]


def test_beside_a_path_an_address_is_an_archive_of_all_files(folder):
    url = "https://dataverse.harvard.edu/api/access/datafile/6154020"
    found = layout({"url": url, "path": "p/x.csv", "metadata": "p/m.csv", "kind": "profiles"})
    found.check_files()
    assert found.tables("d") == {
        "table": "resources/d/files/p/x.csv",
        "metadata": "resources/d/files/p/m.csv",
    }
    assert found.downloaded("d") == "p/x.csv"


def test_a_checksum_that_is_not_that_of_the_download_is_told_and_nothing_is_touched(folder):
    given = layout({"url": ZENODO, "sha256": "a" * 64, **CELLS})
    record = folder / "resources/d/download.sha256"
    record.parent.mkdir(parents=True)
    record.write_text(f"{'b' * 64}  {ZENODO}\n")
    given.check_files()  # nothing has been downloaded
    record.with_name("download").touch()
    with pytest.raises(ConfigError, match=f"d.sha256: found {'a' * 64}; expected {'b' * 64}, that"):
        given.check_files()
    layout({"url": ZENODO, "sha256": "b" * 64, **CELLS}).check_files()
    layout({"url": ZENODO, **CELLS}).check_files()
    layout({"url": ZENODO + "&x=1", "sha256": "a" * 64, **CELLS}).check_files()


def test_a_checksum_changes_no_digest_and_a_password_reaches_none():
    url = ZENODO.replace("//", "//me:hush@")
    plain, checked = (
        layout({"url": address, "sha256": checksum, **CELLS})
        for address, checksum in ((url, None), (url.replace("hush", "other"), "a" * 64))
    )
    assert plain.digest("d", ["splits"], []) == checked.digest("d", ["splits"], [])
    assert plain.config.of("d")["datasets"]["d"]["url"] == ZENODO.replace("//", "//***@")


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
    first, *others = bulk.results("d")
    assert first == "design.tsv"  # of the covariance alone
    assert all(name.startswith("network/") for name in others)
    figures = ["partial_correlations", "largest_changes", "network_graph", "linear_systems"]
    assert bulk.figures("d") == figures
    screen = layout({"simulate": {}})
    assert screen.updates_network("d")
    assert {"qc.tsv", "metrics.tsv"} <= set(screen.results("d"))
    assert not layout({"simulate": {}}, network={"updates": []}).updates_network("d")


BASELINES = [
    *("no_change", "mean", "additive", "no_change_on_target", "mean_on_target"),
    "additive_on_target",
]
CONTROLS = ["lgem_random_P", "lgem_random_G"]


def test_models_come_first_then_baselines_then_controls():
    models = [{"name": "one", "preset": "paper"}, {"name": "two"}]
    found = layout({"simulate": {}}, models=models)
    assert found.models == ["one", "two", *BASELINES, *CONTROLS]
    assert layout({"simulate": {}}).models == ["lgem", "paper", *BASELINES, *CONTROLS]


def test_held_out_contexts_add_the_same_effect_in_the_others():
    entry = {"path": "a.h5ad", "context": "line", **CELLS}
    found = layout(entry, splits={"scheme": "context"})
    assert found.models == ["lgem", "paper", *BASELINES, "same_effect", *CONTROLS]
    assert found.model("same_effect") == {
        "kind": "same_effect",
        "settings": {"on_target": False},
        "genes": None,
        "perturbations": None,
    }
    assert "same_effect" not in layout(entry).models


def test_a_model_has_the_settings_of_its_fit_and_chooses_what_is_auto():
    models = [
        {"name": "one", "preset": "paper"},
        {"name": "two", "solver": "pinv", "dimensions": 3, "on_target": False},
    ]
    found = layout({"simulate": {}}, models=models, seed=5)
    assert found.model("one") == {
        "kind": "linear",
        "settings": {
            **{"gene_embedding": "pca_expression", "perturbation_embedding": "target"},
            **{"solver": "ridge", "dimensions": None, "penalty": 0.1, "mean_weight": 1.0},
            **{"published": True, "on_target": False, "seed": 5},
        },
        "genes": None,
        "perturbations": None,
    }
    assert found.model("two")["settings"] == {
        **{"gene_embedding": "pca", "perturbation_embedding": "target"},
        **{"solver": "pinv", "dimensions": 3, "penalty": None, "mean_weight": None},
        **{"published": False, "on_target": False, "seed": 5},
    }


@pytest.mark.parametrize("on_target", [False, True])
def test_baselines_are_the_model_without_its_bilinear_part(on_target):
    found = layout({"simulate": {}})
    ending = "_on_target" if on_target else ""
    for name, weight in (("no_change", 0.0), ("mean", 1.0)):
        baseline = found.model(name + ending)
        assert baseline["kind"] == "linear"
        settings = baseline["settings"]
        asked = (settings["dimensions"], settings["mean_weight"], settings["on_target"])
        assert asked == (0, weight, on_target)
        assert not settings["published"]
    additive = found.model(f"additive{ending}")
    assert (additive["kind"], additive["settings"]) == ("additive", {"on_target": on_target})


def test_controls_are_the_default_model_with_an_embedding_that_knows_nothing():
    found = layout({"simulate": {}})
    default = found.model("lgem")["settings"]
    assert found.model("lgem_random_P")["settings"] == {
        **default,
        "perturbation_embedding": "random",
    }
    assert found.model("lgem_random_G")["settings"] == {
        **default,
        "gene_embedding": "random",
        "perturbation_embedding": "pca",
    }


# Embeddings from elsewhere


def embedded(genes="pca", perturbations="target", **keys):
    model = {"name": "m", "gene_embedding": genes, "perturbation_embedding": perturbations}
    return layout({"simulate": {}}, models=[model], **keys)


def two_screens(perturbations, run="d", **other):
    entries = {"d": {"simulate": {}}, "e": {"simulate": {}}, **other}
    model = {"name": "m", "perturbation_embedding": perturbations}
    return Layout(load({"dataset": run, "datasets": entries, "models": [model]}))


def test_an_embedding_is_read_from_a_table_or_from_the_effects_of_another_dataset(folder):
    assert embedded().embedding_files("m") == {}
    for name in (*BASELINES, *CONTROLS):
        assert embedded().embedding_files(name) == {}
    found = embedded("lanes/genes.tsv", "lanes/genes.tsv")
    found.check_files()
    both = {"genes": "lanes/genes.tsv", "perturbations": "lanes/genes.tsv"}
    assert found.embedding_files("m") == both
    settings = found.model("m")["settings"]
    assert (settings["gene_embedding"], settings["perturbation_embedding"]) == ("file", "file")
    transfer = two_screens("e")
    transfer.check_files()
    assert transfer.embedding_files("m") == {"perturbations": "results/e/effects.h5ad"}
    assert transfer.model("m")["settings"]["perturbation_embedding"] == "dataset"


@pytest.mark.parametrize("word", ["pca", "pca_expression", "pca_unadjusted", "lmf", "random"])
def test_a_word_is_no_file_even_where_a_file_has_its_name(folder, word):
    (folder / word).touch()
    found = embedded(word)
    found.check_files()
    assert found.embedding_files("m") == {}


def test_an_embedding_that_is_neither_word_nor_file_is_told_with_its_nearest_spelling(folder):
    assert missing(embedded("pca_expresion", "targt")) == [
        "models.m.gene_embedding: found 'pca_expresion'; expected one of pca, pca_unadjusted, "
        "pca_expression, lmf, random, identity, or the path of an existing table; did you mean "
        "'pca_expression'?",
        "models.m.perturbation_embedding: found 'targt'; expected one of target, pca, random, d, "
        "or the path of an existing table; did you mean 'target'?",
    ]


def test_the_words_of_one_embedding_are_none_of_the_other(folder):
    [line] = missing(embedded(perturbations="identity"))
    assert line.startswith("models.m.perturbation_embedding: found 'identity'; expected one of ")
    [line] = missing(embedded("target"))
    assert line.startswith("models.m.gene_embedding: found 'target'; expected one of pca, ")
    [line] = missing(embedded("d"))  # genes are not transferred from a dataset
    assert line.startswith("models.m.gene_embedding: found 'd'; expected one of pca, ")


def test_a_table_that_is_missing_is_told_for_both_embeddings(folder):
    lines = missing(embedded("lanes/gene.tsv", "nowhere/genes.tsv"))
    assert [line.split("; expected")[0] for line in lines] == [
        "models.m.gene_embedding: found 'lanes/gene.tsv'",
        "models.m.perturbation_embedding: found 'nowhere/genes.tsv'",
    ]
    assert all("the path of an existing table" in line for line in lines)
    [line] = missing(embedded("lanes"))  # a folder
    assert line.startswith("models.m.gene_embedding: found 'lanes'; expected one of ")


def test_no_dataset_is_predicted_from_itself(folder):
    expected = (
        "models.m.perturbation_embedding: found '{}'; expected another dataset than those that "
        "are predicted"
    )
    assert missing(two_screens("d")) == [expected.format("d")]
    assert missing(two_screens("e", run=["d", "e"])) == [expected.format("e")]


def test_a_dataset_without_perturbations_has_no_effects_to_transfer(folder):
    (folder / "bulk.tsv").touch()
    bulk = {"path": "bulk.tsv", "kind": "profiles"}
    assert missing(two_screens("bulk", bulk=bulk)) == [
        "models.m.perturbation_embedding: found 'bulk'; expected a dataset with perturbations"
    ]


def test_the_files_of_a_dataset_that_is_learned_from_must_be_there(folder):
    later = {"path": "not_yet.h5ad", **CELLS}
    [line] = missing(two_screens("later", later=later))
    assert line.startswith("datasets.later.path: found no file 'not_yet.h5ad'; expected an exis")


# Figures and tables


def test_a_simulated_screen_alone_is_drawn_against_its_truth(folder):
    simulated = layout({"simulate": {}})
    screen = layout({"path": "a.h5ad", **CELLS})
    drawn = {"held_out_error", "error_by_genes", "embedding_swaps", "doubles", "calibration"}
    assert drawn <= set(simulated.figures("d"))
    assert "predicted_against_truth" in simulated.figures("d")
    assert set(simulated.figures("d")) - set(screen.figures("d")) == {
        "predicted_against_truth",
        "network_scores",
    }
    assert "screen.tsv" in screen.results("d")


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
    assert digest(models=("two",)) != base


def test_the_digest_of_a_model_covers_every_setting_of_its_fit_and_the_data_it_learns_from():
    def digest(**keys):
        entries = {"d": {"simulate": {}}, "e": keys.pop("e", {"simulate": {}})}
        raw = {"dataset": "d", "datasets": entries, "models": [{"name": "one", **keys}]}
        return Layout(load(raw)).digest("d", (), ("one",))

    base = digest()
    changes = [
        {"on_target": False}, {"solver": "ridge"}, {"dimensions": 0}, {"mean_weight": 0.5},
        {"penalty": 0.2}, {"gene_embedding": "random"}, {"perturbation_embedding": "random"},
        {"perturbation_embedding": "e"}, {"gene_embedding": "a.tsv"}, {"gene_embedding": "b.tsv"},
    ]  # fmt: skip
    assert len({base, *(digest(**change) for change in changes)}) == len(changes) + 1
    other = {"simulate": {"genes": 50}}
    assert digest(e=other) == base
    assert digest(e=other, perturbation_embedding="e") != digest(perturbation_embedding="e")
