"""What is wrong with config or data ends the run in words.

Problems of data are gathered: every broken screen is a dataset of its own, and one run, told to
keep going, meets them all. That a run on its own ends the same way is tested beside it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import anndata
import pytest
import yaml

from tests.workflow.broken_screens import DATA_PROBLEMS
from tests.workflow.broken_tables import SOUND, TABLE_PROBLEMS
from tests.workflow.running import ended_in_words, files, snakemake, write_config
from tests.workflow.screens import CELLS, PERTURBATIONS, cells_of

pytestmark = pytest.mark.workflow

PATHS = (
    *("path", "metadata", "guide_calls", "guide_targets", "gene_metadata"),
    "reference_network",
)
PROBLEMS = {**DATA_PROBLEMS, **TABLE_PROBLEMS}


# --- the config ---------------------------------------------------------------------------------


def config_with(folder: Path, **sections: Any) -> None:
    entry = {**CELLS, "path": "screen.h5ad"}
    (folder / "screen.h5ad").write_bytes(b"never opened: the config is checked first")
    (folder / "lists").mkdir()
    (folder / "screen.rds").write_bytes(b"RDX3")
    write_config(folder, **{"dataset": "mine", "datasets": {"mine": entry}, **sections})


CONFIG_PROBLEMS = {
    "unknown_key": (
        {"evaluatoin": {"bootstrap": 100}},
        ["evaluatoin: found an unknown key; expected one of: ", "did you mean 'evaluation'?"],
    ),
    "unknown_nested_key": (
        {"splits": {"scheme": "kfold", "fold": 3}},
        ["splits.fold: found an unknown key; expected one of: scheme, folds, ", "mean 'folds'?"],
    ),
    "unknown_key_of_a_dataset": (
        {"datasets": {"mine": {**CELLS, "path": "screen.h5ad", "batches": "lane"}}},
        ["datasets.mine.batches: found an unknown key; expected one of: ", "did you mean 'batch'?"],
    ),
    "unknown_dataset": (
        {"dataset": "mime"},
        ["dataset: found 'mime'; expected one of: mine; did you mean 'mine'?"],
    ),
    "wrong_type": (
        {"evaluation": {"bootstrap": "many"}},
        ["evaluation.bootstrap: found 'many'; expected a whole number"],
    ),
    "out_of_range": (
        {"evaluation": {"interval": 90}},
        ["evaluation.interval: found 90; expected a number less than 1"],
    ),
    "unknown_choice": (
        {"splits": {"scheme": "kfolds"}},
        ["splits.scheme: found 'kfolds'; expected ", "did you mean 'kfold'?"],
    ),
    "missing_file": (
        {"datasets": {"mine": {**CELLS, "path": "scren.h5ad"}}},
        [
            "datasets.mine.path: found no file 'scren.h5ad'; expected an existing file; ",
            "did you mean 'screen.h5ad'?",
        ],
    ),
    "missing_folder": (
        {"datasets": {"mine": {**CELLS, "path": "lanes/*.h5ad"}}},
        ["datasets.mine.path: found no folder 'lanes'; expected the path of an existing file"],
    ),
    "covariate_twice": (
        {
            "datasets": {
                "mine": {**CELLS, "path": "screen.h5ad", "covariates": ["sex", "sex"]},
            }
        },
        ["datasets.mine.covariates: found ['sex', 'sex']; expected every column once"],
    ),
    "unknown_embedding": (
        {"models": [{"name": "m", "perturbation_embedding": "mien"}]},
        [
            "models.m.perturbation_embedding: found 'mien'; expected one of target, pca, random, ",
            "mine, or the path of an existing table; did you mean 'mine'?",
        ],
    ),
    "no_context": (
        {"splits": {"scheme": "context"}},
        ["datasets.mine.context: found nothing; expected a column, for scheme context"],
    ),
    "folder_for_a_file": (
        {"splits": {"scheme": "file", "file": "lists"}},
        ["splits.file: found a folder, 'lists'; expected the path of a file"],
    ),
    "folder_of_no_matrix": (
        {"datasets": {"mine": {**CELLS, "path": "lists"}}},
        ["datasets.mine.path: found a folder without matrix.mtx[.gz], 'lists'; expected an .h5ad"],
    ),
    "another_format": (
        {"datasets": {"mine": {**CELLS, "path": "screen.rds"}}},
        ["datasets.mine.path: found 'screen.rds'; expected an .h5ad or .zarr (AnnData), an .h5 or"],
    ),
    "no_zarr": (
        {"datasets": {"mine": {**CELLS, "path": "screen.zarr"}}},
        ["datasets.mine.path: found no file 'screen.zarr'; ", "there are: "],
    ),
    "missing_splits_file": (
        {"splits": {"scheme": "file", "file": "splits.tsv"}},
        ["splits.file: found no file 'splits.tsv'; expected an existing file"],
    ),
}


@pytest.mark.parametrize("case", CONFIG_PROBLEMS)
def test_config_problems_are_told_before_anything_runs(tmp_path, case):
    sections, expected = CONFIG_PROBLEMS[case]
    config_with(tmp_path, **sections)
    run = snakemake(tmp_path, "--dry-run")
    ended_in_words(run)
    assert run.output.count("config: 1 problem\n") == 1
    for words in expected:
        assert words in run.output
    assert run.jobs == {}


def test_all_config_problems_are_told_at_once(tmp_path):
    sections = [CONFIG_PROBLEMS[case] for case in ("unknown_key", "unknown_nested_key")]
    sections += [CONFIG_PROBLEMS["out_of_range"], CONFIG_PROBLEMS["unknown_dataset"]]
    together = {key: value for each, _ in sections for key, value in each.items()}
    config_with(tmp_path, **together, network={"panel": 1.5, "treshold": 0.2})
    run = snakemake(tmp_path)
    ended_in_words(run)
    assert run.output.count("config: 6 problems\n") == 1
    for words in [words for _, expected in sections for words in expected]:
        assert words in run.output
    assert "network.panel: found 1.5; expected a whole number" in run.output
    assert "network.treshold: found an unknown key" in run.output
    assert "did you mean 'threshold'?" in run.output
    assert not (tmp_path / "results").exists()


NO_TABLES = {
    "empty.tsv": (b"", ["found an empty file, 'empty.tsv'; expected a CSV or TSV table"]),
    "blank.tsv": (b"\n \n", ["found an empty file, 'blank.tsv'"]),
    "utf16.tsv": ("gene\ta\n".encode("utf-16"), ["that is no text in UTF-8, 'utf16.tsv' (byte 1)"]),
    "latin.tsv": ("gène\ta\n".encode("latin-1"), ["no text in UTF-8, 'latin.tsv' (byte 2)"]),
    "binary.tsv": (b"gene\ta\nA\x00\t1\n", ["no text in UTF-8, 'binary.tsv' (byte 9)"]),
    "cut.tsv.gz": (b"\x1f\x8b\x08\x00", ["that cannot be unpacked, 'cut.tsv.gz' ("]),
    "text.tsv.gz": (b"gene\ta\n", ["that cannot be unpacked, 'text.tsv.gz' (Not a gzipped file"]),
}
KEYS = {
    "network.panel": "empty.tsv",
    "network.pathways": "blank.tsv",
    "network.removed_pathways": "latin.tsv",
    "splits.file": "utf16.tsv",
    "models.mine.gene_embedding": "binary.tsv",
    "models.mine.perturbation_embedding": "cut.tsv.gz",
    "datasets.mine.metadata": "text.tsv.gz",
    "datasets.mine.reference_network": "latin.tsv",
}


def test_files_that_are_no_tables_are_told_at_once_before_anything_runs(tmp_path):
    for name, (content, _) in NO_TABLES.items():
        (tmp_path / name).write_bytes(content)
    entry = {**CELLS, "path": "screen.h5ad"}
    named = {key.rpartition(".")[2]: name for key, name in KEYS.items()}
    tables = ("metadata", "reference_network")
    network = ("panel", "pathways", "removed_pathways")
    embeddings = ("gene_embedding", "perturbation_embedding")
    config_with(
        tmp_path,
        datasets={"mine": {**entry, **{key: named[key] for key in tables}}},
        network={key: named[key] for key in network},
        splits={"scheme": "file", "file": named["file"]},
        models=[{"name": "mine", **{key: named[key] for key in embeddings}}],
    )
    run = snakemake(tmp_path, "--dry-run")
    ended_in_words(run)
    assert run.output.count(f"config: {len(KEYS)} problems\n") == 1
    for key, name in KEYS.items():
        for words in NO_TABLES[name][1]:
            assert re.search(rf"{re.escape(key)}: .*{re.escape(words)}", run.output)


UNREADABLE = {
    "a_list": (b"- dataset\n- demo\n", ["Config file must be", "YAML with keys at top level"]),
    "a_tab": (b"dataset: mine\n\tseed: 1\n", ["make sure to not mix whitespace and tab"]),
    "no_yaml": (b"dataset: [mine\n", ["Config file is not valid JSON or YAML"]),
    "empty": (b"", ["Config file must be", "YAML with keys at top level"]),
}


@pytest.mark.parametrize("case", UNREADABLE)
def test_a_config_that_cannot_be_read_is_told(tmp_path, case):
    content, told = UNREADABLE[case]
    (tmp_path / "config.yaml").write_bytes(content)
    run = snakemake(tmp_path, "--dry-run")
    ended_in_words(run)
    for words in told:
        assert words in run.output


# --- the data -----------------------------------------------------------------------------------


def in_folder(entry: dict[str, Any], name: str) -> dict[str, Any]:
    """Return a dataset's entry with its files in the dataset's own folder."""
    paths = {key: f"{name}/{entry[key]}" for key in PATHS if key in entry}
    return {**entry, **paths}


@pytest.fixture(scope="module")
def broken(tmp_path_factory):
    folder = tmp_path_factory.mktemp("broken")
    datasets = {}
    together = {**PROBLEMS, **SOUND}
    for name, problem in together.items():
        (folder / name).mkdir()
        problem.make(folder / name)
        given = {"path": "screen.h5ad", **problem.entry}
        known = {} if given.get("kind") == "profiles" else CELLS
        datasets[name] = in_folder({**known, **given}, name)
    write_config(
        folder, dataset=list(datasets), datasets=datasets, pseudobulk={"adjust_batch": True}
    )
    targets = [f"results/{name}/{problem.target}" for name, problem in together.items()]
    return snakemake(folder, "--keep-going", *targets)


def test_broken_screens_end_the_run_without_a_traceback(broken):
    ended_in_words(broken)
    assert len(broken.errors) == len(PROBLEMS)


@pytest.mark.parametrize("name", SOUND)
def test_what_is_odd_but_sound_runs_through_beside_them(broken, name):
    groups = anndata.read_h5ad(broken.folder / "results" / name / "pseudobulk.h5ad").obs
    assert {*PERTURBATIONS, "control"} == {*groups["perturbation"]}
    lanes = {"saved_elsewhere": {"lane_0", "Größe µ"}}.get(name, {"lane_0", "lane_1"})
    assert {*groups["batch"]} == lanes


@pytest.mark.parametrize("name", PROBLEMS)
def test_problems_of_data_are_told_once_and_leave_no_result(broken, name):
    problem = PROBLEMS[name]
    logs = [path.read_text("utf-8") for path in (broken.folder / "logs" / name).rglob("*.log")]
    errors = [line for log in logs for line in log.splitlines() if "error" in line]
    assert len(errors) == 1
    for words in problem.told:
        assert words in errors[0]
    assert errors[0].removeprefix("lgem: error: ") in broken.errors
    assert not (broken.folder / "results" / name / problem.target).exists()
    hidden = [path for path in files(broken.folder / "results") if "/." in path]
    assert hidden == []


@pytest.mark.parametrize("name", ["negative", "profile_text"])
def test_a_broken_screen_alone_ends_the_whole_run(broken, tmp_path, name):
    config = yaml.safe_load((broken.folder / "config.yaml").read_text("utf-8"))
    entry = in_folder(config["datasets"][name], str(broken.folder))
    write_config(tmp_path, dataset=name, datasets={name: entry})
    run = snakemake(tmp_path)
    ended_in_words(run)
    assert len(run.errors) == 1
    for words in DATA_PROBLEMS[name].told:
        assert words in run.errors[0]
    assert files(tmp_path / "results").keys() <= {f"{name}/config.yaml"}


# --- what the config asks of the data -----------------------------------------------------------

EMBEDDINGS = {
    "one_column": ("gene\nGENE1\nGENE2\n", "found 'GENE1' for '1'; expected finite numbers"),
    "blank": ("gene\ta\nGENE1\t1\nGENE2\t\n", "found '' for 'GENE2'; expected finite numbers"),
    "huge": (
        "gene\ta\nGENE1\t1e12\n",
        "found '1e12' for 'GENE1'; expected finite numbers, at most",
    ),
    "zeros": ("gene\ta\nGENE1\t0\n", "found zeros alone; expected vectors that tell names apart"),
    "no_header": ("GENE1\t1.5\nGENE2\t2.5\n", "found measurements in the first line: 1.5"),
    "no_name": ("gene\ta\n\t1\n", "found no name in row 1; expected a gene or a perturbation in"),
    "header_alone": ("gene\ta\n", "found 0 rows with 1 number each; expected a name and at least"),
    "ragged": ("gene\ta\nGENE1\t1\nGENE2\t1\t2\t3\n", "Expected 2 fields in line 3, saw 4"),
    "swallowed": ('gene\ta\nGENE1\t1\n"GENE2\t2\n', "EOF inside string starting at row 2"),
    "other_genes": ("gene\ta\nTP53\t1\nMYC\t2\n", "found no row for 12 of 12 genes: GENE1, GENE2"),
    "same_pair": ("name\ta\nGENE1+GENE2\t1\nGENE2+GENE1\t2\n", "one row for 'GENE1+GENE2'"),
}
HEADING = "gene\tpathway\tloading\n"
# Tables that suit neither one another nor the screen: a line with the file, and what is told of it.
ROUNDS = {
    "names": {
        "splits.tsv": (
            "perturbation\tset\nGENE1\ttrain\nGEEN2\ttest\n",
            "perturbation: found 'GEEN2'; expected a usable perturbation of the screen: GENE1, ",
        ),
        "panel.tsv": ("gene\nGENE1\nGEEN3\n", "found 'GEEN3' (target not measured: GEEN3); "),
        "pathways.tsv": (
            HEADING + "GEEN4\tP\t1\n",
            "column 'gene': found 1 gene not measured: GEEN4",
        ),
        "removed.tsv": (
            HEADING + "GENE1\tP\t1\nGENE1\tP\t2\n",
            "row 3: found a second loading of ",
        ),
        "edges.tsv": (
            "TP53\tMYC\nTP53\tEGFR\n",
            "no edge between two genes of the panel (rows 2, ",
        ),
    },
    "forms": {
        "splits.tsv": (
            "perturbation\tset\nGENE1\ttrain\nGENE1\ttest\nGENE2\ttrain\n",
            "fold 1: found GENE1 in train and test; expected one set for each",
        ),
        "panel.tsv": ("gene\nGENE1\n", "found 1 gene; expected at least two genes"),
        "pathways.tsv": (
            HEADING + "GENE1\tP\t1\t2\n",
            "row 2: found 4 fields; expected 3, as many",
        ),
        "removed.tsv": (HEADING + "GENE1\tP\t1e300\n", "row 2: found gene 'GENE1', pathway 'P', "),
        "edges.tsv": ("GENE1\tGENE2\tx\ty\n", "found 4 columns; expected edges as CSV or TSV: two"),
    },
    "contents": {
        "splits.tsv": (
            "perturbation\tset\nGENE1\ttrain\nGENE2\ttrain\n",
            "fold 1 of repeat 1: found 2 train and 0 test (2 excluded: not named there, or ",
        ),
        "panel.tsv": (
            "gene\nGENE1\nGENE2+GENE3\n",
            "found 'GENE2+GENE3' (a combination); expected",
        ),
        "pathways.tsv": (
            HEADING,
            "found no rows; expected a TSV with the columns gene, pathway and",
        ),
        "removed.tsv": ("gene\tgene\tpathway\tloading\n", "found more than one column 'gene'; "),
        "edges.tsv": (
            "GENE1\tGENE2\nGENE3\t\n",
            "row 2: found a row with an empty field; expected",
        ),
    },
}


@pytest.mark.parametrize("case", ROUNDS)
def test_what_does_not_suit_the_screen_is_told_before_it_is_counted(tmp_path, case):
    cells_of().write_h5ad(tmp_path / "screen.h5ad")
    models = [{"name": "deep", "dimensions": 9}]
    for name, (text, _) in EMBEDDINGS.items() if case == "forms" else ():
        (tmp_path / f"{name}.tsv").write_text(text, "utf-8")
        key = "perturbation_embedding" if name == "same_pair" else "gene_embedding"
        models.append({"name": name, key: f"{name}.tsv"})
    for name, (text, _) in ROUNDS[case].items():
        (tmp_path / name).write_text(text, "utf-8")
    entry = {**CELLS, "path": "screen.h5ad", "reference_network": "edges.tsv"}
    write_config(
        tmp_path,
        dataset="mine",
        datasets={"mine": entry},
        splits={"scheme": "file", "file": "splits.tsv"},
        models=models,
        network={
            "panel": "panel.tsv",
            "pathways": "pathways.tsv",
            "removed_pathways": "removed.tsv",
        },
        screen={"targets": ["GENE5+GENE2", "GEEN6"]},
    )
    run = snakemake(tmp_path, cores=1)  # one job at a time, in the order of their priorities
    ended_in_words(run)
    assert len(run.errors) == len(ROUNDS[case]) + len(models) + 1
    for name, (_, words) in ROUNDS[case].items():
        assert [line for line in run.errors if name in line and words in line]
    for model in models[1:]:
        words = EMBEDDINGS[model["name"]][1]
        assert [line for line in run.errors if f"{model['name']}.tsv: " in line and words in line]
    deep = "models: deep: dimensions: found 9; expected at most 5 (12 genes, 4 perturbations), or"
    assert [line for line in run.errors if line.startswith(deep)]
    assert [line for line in run.errors if line.startswith("screen.targets: GEEN6: found target ")]
    left = {name for name in files(tmp_path / "results") if not name.startswith("mine/work/")}
    assert left <= {"mine/config.yaml"}
