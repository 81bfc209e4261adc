"""What is wrong with config or data ends the run in words.

Problems of data are gathered: every broken screen is a dataset of its own, and one run, told to
keep going, meets them all. That a run on its own ends the same way is tested beside it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.workflow.broken_screens import DATA_PROBLEMS
from tests.workflow.running import ended_in_words, files, snakemake, write_config
from tests.workflow.screens import CELLS

pytestmark = pytest.mark.workflow

PATHS = ("path", "metadata", "guide_calls", "reference_network")


# --- the config ---------------------------------------------------------------------------------


def config_with(folder: Path, **sections: Any) -> None:
    entry = {**CELLS, "path": "screen.h5ad"}
    (folder / "screen.h5ad").write_bytes(b"never opened: the config is checked first")
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


# --- the data -----------------------------------------------------------------------------------


def in_folder(entry: dict[str, Any], name: str) -> dict[str, Any]:
    """Return a dataset's entry with its files in the dataset's own folder."""
    paths = {key: f"{name}/{entry[key]}" for key in PATHS if key in entry}
    return {**entry, **paths}


@pytest.fixture(scope="module")
def broken(tmp_path_factory):
    folder = tmp_path_factory.mktemp("broken")
    datasets = {}
    for name, problem in DATA_PROBLEMS.items():
        (folder / name).mkdir()
        problem.make(folder / name)
        given = {"path": "screen.h5ad", **problem.entry}
        known = {} if given.get("kind") == "profiles" else CELLS
        datasets[name] = in_folder({**known, **given}, name)
    write_config(
        folder, dataset=list(datasets), datasets=datasets, pseudobulk={"adjust_batch": True}
    )
    targets = [f"results/{name}/{problem.target}" for name, problem in DATA_PROBLEMS.items()]
    return snakemake(folder, "--keep-going", *targets)


def test_broken_screens_end_the_run_without_a_traceback(broken):
    ended_in_words(broken)
    assert len(broken.errors) == len(DATA_PROBLEMS)


@pytest.mark.parametrize("name", DATA_PROBLEMS)
def test_problems_of_data_are_told_once_and_leave_no_result(broken, name):
    problem = DATA_PROBLEMS[name]
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
