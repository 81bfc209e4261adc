"""What is wrong with config or data ends the run in words; what is merely odd runs through.

Problems of data are gathered: every broken screen is a dataset of its own, and one run, told to
keep going, meets them all. That a run on its own ends the same way is tested beside it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import yaml
from scipy import sparse

from lgem.config import BASELINES
from tests.workflow.running import Run, files, snakemake, succeed, write_config
from tests.workflow.screens import CELLS, CONTROL, GENES, PERTURBATIONS, cells_of, profiles_of

pytestmark = pytest.mark.workflow

PATHS = ("path", "metadata", "reference_network")
PROFILES = {**CELLS, "kind": "profiles", "metadata": "metadata.tsv"}


def ended_in_words(run: Run) -> None:
    assert run.status == 1
    assert "Traceback" not in run.output
    assert "please report" not in run.output


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


@dataclass(frozen=True)
class Problem:
    """A broken screen: how it is made, its entry in the config, and what must be told."""

    make: Callable[[Path], object]
    told: list[str]
    entry: dict[str, Any] = field(default_factory=dict)
    target: str = "pseudobulk.h5ad"


def cells(change: Callable[[anndata.AnnData], object] | None = None, name: str = "screen.h5ad"):
    def make(folder):
        screen = cells_of()
        screen = (change(screen) if change else None) or screen
        screen.write_h5ad(folder / name)

    return make


def count(value: float, row: int = 7) -> Callable[[anndata.AnnData], None]:
    def change(screen):
        dense = screen.X.toarray()
        dense[row, 3] = value
        screen.X = sparse.csr_matrix(dense)

    return change


def log_transformed(screen):
    screen.X = screen.X.log1p()


def size_factor(value: object) -> Callable[[anndata.AnnData], None]:
    def change(screen):
        totals = screen.X.sum(axis=1).A1.astype(object)
        totals[5] = value
        screen.obs["total"] = [str(total) for total in totals] if value == "many" else totals
        screen.obs["total"] = screen.obs["total"].astype(str if value == "many" else float)

    return change


def twice(screen):
    screen.var_names = [*GENES[:-1], GENES[0]]


def symbols_twice(screen):
    screen.var["symbol"] = [*GENES[:-1], GENES[0]]
    screen.var_names = [f"ENSG{row}" for row in range(len(GENES))]


def two_lanes(change: Callable[[anndata.AnnData], object]):
    def make(folder):
        cells_of().write_h5ad(folder / "lane_1.h5ad")
        other = cells_of(seed=1)
        (change(other) or other).write_h5ad(folder / "lane_2.h5ad")

    return make


def not_anndata(folder):
    with h5py.File(folder / "screen.h5ad", "w") as handle:
        handle["counts"] = np.arange(3)


def truncated(folder):
    cells()(folder)
    whole = (folder / "screen.h5ad").read_bytes()
    (folder / "screen.h5ad").write_bytes(whole[: len(whole) // 2])


def profiles(
    change: Callable[[pd.DataFrame], object] = lambda table: None,
    describe: Callable[[pd.DataFrame], pd.DataFrame] = lambda metadata: metadata,
):
    def make(folder):
        table, metadata = profiles_of()
        table = table.astype(object)
        change(table)
        table.to_csv(folder / "table.tsv", sep="\t")
        describe(metadata).to_csv(folder / "metadata.tsv", sep="\t")

    return make


def entry_of(value: object) -> Callable[[pd.DataFrame], None]:
    def change(table):
        table.iloc[2, 4] = value

    return change


def raw_scale(table):
    table.iloc[:, :] = np.exp(table.astype(float)) * 20


def unconnected(screen):
    """All cells of one perturbation in a lane of their own."""
    screen.obs.loc[screen.obs["gene"] == GENES[1], "lane"] = "lane_9"


BATCH_TOLD = ["adjust_batch: true", "1 perturbations", GENES[1], "auto", "false"]

DATA_PROBLEMS = {
    "text": Problem(
        lambda folder: (folder / "screen.h5ad").write_text("cell,gene\n"),
        ["text/screen.h5ad: found a file that HDF5 cannot open (", "expected a whole .h5ad file"],
    ),
    "truncated": Problem(
        truncated,
        ["truncated/screen.h5ad: found a file that HDF5 cannot open (", "a whole .h5ad file"],
    ),
    "not_anndata": Problem(
        not_anndata,
        ["not_anndata/screen.h5ad: found no 'obs' in the file; expected an .h5ad file (AnnData)"],
    ),
    "no_column": Problem(
        cells(),
        [
            "no_column/screen.h5ad: obs: column 'lanes': found no such column; ",
            "expected one of: gene, lane; did you mean 'lane'?",
        ],
        {"batch": "lanes"},
    ),
    "no_control": Problem(
        cells(),
        [
            "no_control/screen.h5ad: obs: control: found no cell labelled 'nontargeting'; ",
            "expected one of the labels there: GENE1, ",
            "did you mean 'non-targeting'?",
        ],
        {"control": "nontargeting"},
    ),
    "no_layer": Problem(
        cells(lambda screen: screen.layers.update({"counts": screen.X})),
        [
            "no_layer/screen.h5ad: layer 'count': found no such layer; expected one of: counts; ",
            "did you mean 'counts'?",
        ],
        {"layer": "count"},
    ),
    "negative": Problem(
        cells(count(-2)),
        ["negative/screen.h5ad: X: found -2 in row 8 ", "expected raw counts: whole numbers"],
    ),
    "fractional": Problem(
        cells(count(2.5)),
        ["fractional/screen.h5ad: X: found 2.5 in row 8 ", "expected raw counts: whole numbers"],
    ),
    "not_a_number": Problem(
        cells(count(float("nan"))),
        ["not_a_number/screen.h5ad: X: found nan in row 8 ", "expected raw counts: whole numbers"],
    ),
    "log_transformed": Problem(
        cells(log_transformed),
        [
            "log_transformed/screen.h5ad: X: found ",
            "(these look log-transformed: name the layer with the raw counts)",
        ],
    ),
    "same_genes": Problem(
        cells(twice),
        [
            "same_genes/screen.h5ad: genes: found 1 gene names that occur more than once, ",
            "such as 'GENE1'; expected unique gene names, or duplicates: sum",
        ],
    ),
    "same_symbols": Problem(
        cells(symbols_twice),
        ["such as 'GENE1'; expected unique symbols, or duplicates: keep_ids or sum"],
        {"gene_symbols": "symbol"},
    ),
    "one_perturbation": Problem(
        cells(lambda screen: screen[screen.obs["gene"].isin([CONTROL, GENES[0]])].copy()),
        [
            "one_perturbation/screen.h5ad: obs: perturbation: found 1 besides control",
            "at least two",
        ],
    ),
    "text_as_total": Problem(
        cells(size_factor("many")),
        ["obs: column 'total': found 'many' for cell 'cell_5'; expected total counts: numbers"],
        {"size_factor": "total"},
    ),
    "zero_as_total": Problem(
        cells(size_factor(0)),
        ["zero_as_total/screen.h5ad: X: size_factor: found 0 for row 6, which has counts"],
        {"size_factor": "total"},
    ),
    "other_genes": Problem(
        two_lanes(lambda screen: screen.var.index.to_numpy().__setitem__(0, "OTHER")),
        ["other_genes/lane_2.h5ad: found gene 'OTHER' at position 1; expected 'GENE1', as in"],
        {"path": "lane_*.h5ad"},
    ),
    "fewer_genes": Problem(
        two_lanes(lambda screen: screen[:, :-1].copy()),
        ["fewer_genes/lane_2.h5ad: found 11 genes; expected the 12 genes of the other shard"],
        {"path": "lane_*.h5ad"},
    ),
    "profile_text": Problem(
        profiles(entry_of("high")),
        ["profile_text/table.tsv: column 'GENE5': found 'high' in row 'sample_2'; expected num"],
        {**PROFILES, "path": "table.tsv"},
    ),
    "profile_blank": Problem(
        profiles(entry_of("")),
        ["profile_blank/table.tsv: found nan for sample 'sample_2', gene 'GENE5'; expected fin"],
        {**PROFILES, "path": "table.tsv"},
    ),
    "profile_raw": Problem(
        profiles(raw_scale),
        ["profile_raw/table.tsv: found ", "expected finite values on a log scale, at most 100"],
        {**PROFILES, "path": "table.tsv"},
    ),
    "profile_unknown": Problem(
        profiles(describe=lambda metadata: metadata.drop(index=["sample_1", "sample_4"])),
        [
            "profile_unknown/metadata.tsv: found no row for 2 samples: sample_1, sample_4; ",
            "expected a row for every sample",
        ],
        {**PROFILES, "path": "table.tsv"},
    ),
    "no_edge": Problem(
        lambda folder: (
            profiles()(folder),
            (folder / "edges.tsv").write_text("GENE01\tGENE02\nGENE03\tGENE04\n"),
        ),
        ["no_edge/edges.tsv: found no edge between two genes of the panel", "did you mean 'GENE3'"],
        {"kind": "profiles", "path": "table.tsv", "reference_network": "edges.tsv"},
        "network/scores.tsv",
    ),
    "no_table": Problem(
        lambda folder: (profiles()(folder), (folder / "edges.tsv").write_bytes(b"\xff\xfe\x00")),
        ["no_table/edges.tsv: found a file that cannot be read", "expected edges as CSV or TSV"],
        {"kind": "profiles", "path": "table.tsv", "reference_network": "edges.tsv"},
        "network/scores.tsv",
    ),
    "unconnected": Problem(
        cells(unconnected),
        BATCH_TOLD,
        target="effects.h5ad",
    ),
}


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


# --- config that does not suit the data ----------------------------------------------------------


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A sound screen, with its effects estimated."""
    folder = tmp_path_factory.mktemp("sound")
    cells()(folder)
    datasets = {"sound": {**CELLS, "path": "screen.h5ad"}}
    write_config(folder, dataset="sound", datasets=datasets)
    succeed(folder, "results/sound/splits.tsv", "--config", "splits={scheme: leave_one_out}")
    return folder


MISFITS = {
    "too_many_folds": (
        {"splits": {"folds": 5}},
        None,
        ["splits.folds: found 5 folds for 4 perturbations; expected at most 4"],
    ),
    "unknown_perturbation": (
        {"splits": {"scheme": "file", "file": "splits.tsv"}},
        "perturbation\tset\nGENE1\ttrain\nGENE22\ttest\n",
        ["splits.tsv: perturbation: found 'GENE22'; expected a usable perturbation", "'GENE2'?"],
    ),
    "unknown_set": (
        {"splits": {"scheme": "file", "file": "splits.tsv"}},
        "perturbation\tset\nGENE1\ttrain\nGENE2\ttesting\n",
        ["splits.tsv: set: found 'testing'; expected train or test; did you mean 'test'?"],
    ),
    "no_column": (
        {"splits": {"scheme": "file", "file": "splits.tsv"}},
        "perturbations\tset\nGENE1\ttrain\nGENE2\ttest\n",
        ["splits.tsv: column 'perturbation': found no such column", "mean 'perturbations'?"],
    ),
    "too_many_dimensions": (
        {
            "splits": {"scheme": "leave_one_out"},
            "models": [{"name": "paper", "preset": "paper", "dimensions": 5}],
        },
        None,
        ["dimensions: found 5; expected at most 4 (12 genes, 4 training profiles with control)"],
    ),
}


@pytest.mark.parametrize("case", MISFITS)
def test_config_that_does_not_suit_the_data_ends_the_run(sound, case):
    sections, splits, told = MISFITS[case]
    if splits is not None:
        (sound / "splits.tsv").write_text(splits, "utf-8")
    config = yaml.safe_load((sound / "config.yaml").read_text("utf-8"))
    asked = {key: config[key] for key in ("dataset", "datasets")}
    write_config(sound, **asked, **sections)
    run = snakemake(sound, "results/sound/predictions/paper.h5ad")
    ended_in_words(run)
    assert len(run.errors) == 1
    for words in told:
        assert words in run.errors[0]
    assert not {"plan_cells", "pseudobulk", "effects"} & run.jobs.keys()
    left = files(sound / "results" / "sound")
    assert not [name for name in left if name.startswith(("models/paper", "predictions"))]


# --- odd, but no error ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    folder = tmp_path_factory.mktemp("odd")
    screen = cells_of((*PERTURBATIONS, "GENE7"))
    lone = np.flatnonzero(screen.obs["gene"] == "GENE7")
    screen = screen[np.setdiff1d(np.arange(screen.n_obs), lone[1:])].copy()
    dense = screen.X.toarray()
    dense[0] = dense[45] = 0  # a control cell and a perturbed one without a single count
    dense[:, 8] = 0
    screen.X = sparse.csr_matrix(dense)
    screen.write_h5ad(folder / "odd.h5ad")
    names = [f"UNSEEN{number}" for number in range(1, 6)]
    table, metadata = profiles_of(names)
    table.to_csv(folder / "unmeasured.tsv", sep="\t")
    metadata.to_csv(folder / "metadata.tsv", sep="\t")
    datasets = {
        "odd": {**CELLS, "path": "odd.h5ad"},
        "unmeasured": {**PROFILES, "path": "unmeasured.tsv"},
    }
    write_config(folder, dataset=list(datasets), datasets=datasets, pseudobulk={"min_cells": 1})
    targets = ["results/odd/metrics.tsv", "results/odd/network/statistics.tsv"]
    return succeed(folder, *targets, "results/unmeasured/metrics.tsv")


def test_empty_cells_are_counted_and_kept(odd):
    content = json.loads((odd.folder / "results/odd/qc.json").read_text("utf-8"))
    assert content["empty_control_cells"] == 1
    assert content["cells"] == 40 + 4 * 12 + 1
    assert content["control_cells"] == 40


def test_a_gene_of_zeros_has_no_effect_and_no_place_in_the_network(odd):
    effects = anndata.read_h5ad(odd.folder / "results/odd/effects.h5ad")
    assert (effects[:, "GENE9"].X == 0).all()
    assert np.isfinite(effects.X).all()
    statistics = odd.table("odd/network/statistics.tsv").set_index("metric")
    assert statistics.loc["genes", "before"] == len(GENES) - 1


def test_a_perturbation_with_one_cell_is_predicted_and_scored(odd):
    qc = odd.table("odd/qc.tsv").set_index("perturbation")
    assert qc.loc["GENE7", ["n_cells", "status"]].tolist() == [1, "kept"]
    metrics = odd.table("odd/metrics.tsv")
    l2 = metrics[(metrics["perturbation"] == "GENE7") & (metrics["metric"] == "l2")]
    made = l2.set_index("model").drop("additive")
    assert set(made.index) == {"paper", "no_change", "mean"}
    assert np.isfinite(made["value"]).all()
    pseudobulk = anndata.read_h5ad(odd.folder / "results/odd/pseudobulk.h5ad")
    alone = (pseudobulk.obs["perturbation"] == "GENE7").to_numpy()
    assert (pseudobulk.layers["variance"][alone] == 0).all()


def test_where_no_target_is_measured_baselines_run_and_the_reason_is_told(odd):
    metrics = odd.table("unmeasured/metrics.tsv")
    model = metrics[metrics["model"] == "paper"]
    assert set(model["status"]) == {"not_embeddable"}
    assert model["reason"].str.startswith("target not measured: UNSEEN").all()
    mean = metrics[(metrics["model"] == "mean") & (metrics["metric"] == "l2")]
    assert set(mean["perturbation"]) == {f"UNSEEN{number}" for number in range(1, 6)}
    assert np.isfinite(mean["value"]).all()
    assert set(metrics["model"]) == {"paper", *BASELINES}
    sentence = (odd.folder / "results/unmeasured/headline.txt").read_text("utf-8")
    assert sentence.startswith("No model could predict any of 5 perturbations (")
    assert "target not measured" in sentence
