"""Jobs that are killed while they write, and runs that are moved or meet: no byte differs."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.workflow.faults import KILLER, hidden
from tests.workflow.network_screens import ENTRY, make_screens
from tests.workflow.running import (
    ROOT,
    copy_repository,
    differing,
    files,
    snakemake,
    succeed,
    write_config,
)
from tests.workflow.screens import CELLS, cells_of, profiles_of
from tests.workflow.served import serving

pytestmark = pytest.mark.workflow

BYTES_REPEAT = {".tsv", ".json", ".txt", ".yaml", ".h5ad", ".npz", ".parquet", ".graphml"}
BYTES_REPEAT |= {".pdf", ".png", ".html"}
# Scripts of rules that the run of a simulated screen does not have. Not killed: bench, which makes
# timings, not results, and its figure.
ELSEWHERE = {
    *("download_package", "unpack", "profile_pseudobulk", "panel_profiles"),
    *("network_new_cells", "exchange", "import_cells", "download", "check_demands"),
}
NOT_KILLED = {"job", "figure_update_speed"}
NOT_KILLED |= {path.stem for path in (ROOT / "scripts").glob("bench*.py")}


def results_of(folder):
    """The bytes of all results, and of what they are made from."""
    made = files(folder / "resources") | files(folder / "results", BYTES_REPEAT)
    assert len(made) > 5
    return made


def deaths(folder, moment):
    """The scripts that died at a moment."""
    return {path.name for path in (folder / moment).iterdir()}


@pytest.fixture
def killer(tmp_path, monkeypatch):
    """The folder with the names of the dead; every script dies twice while it writes."""
    monkeypatch.setenv("PYTHONPATH", str(KILLER))
    monkeypatch.setenv("LGEM_KILLED", str(tmp_path / "dead"))
    return tmp_path / "dead"


def test_every_script_of_a_run_is_killed_twice_and_no_result_differs(
    whole_run, tmp_path, killer, monkeypatch
):
    folder = tmp_path / "run"
    folder.mkdir()
    shutil.copy(whole_run.folder / "config.yaml", folder)

    # One script takes the whole run with it, between two of its results.
    monkeypatch.setenv("LGEM_KILL_ALL", "effects")
    alone = ("setsid", "--wait")
    effects = "results/tiny/effects.h5ad"
    dead = snakemake(folder, effects, "--retries", "2", before=alone)
    assert dead.status not in (0, 1)
    assert (folder / effects).exists()
    assert not (folder / "results/tiny/differential_expression.tsv").exists()
    assert "effects" in deaths(killer, "between")
    monkeypatch.delenv("LGEM_KILL_ALL")
    locked = snakemake(folder)
    assert locked.status == 1
    assert "--unlock" in locked.output
    succeed(folder, "--unlock")

    run = succeed(folder, "--retries", "2", patience=1500)
    assert run.jobs["effects"] == 1  # not taken for whole
    assert "simulate" not in run.jobs
    assert differing(results_of(whole_run.folder), results_of(folder)) == []

    # Figures of all datasets are for several; of one they can be asked for by name.
    beside = "results/figures/held_out_error.pdf"
    succeed(folder, "--retries", "2", beside)
    made = (folder / beside).read_bytes()
    (folder / beside).unlink()
    assert succeed(folder, beside).jobs == {"figure_across": 1}
    assert (folder / beside).read_bytes() == made

    scripts = {path.stem for path in (ROOT / "scripts").glob("*.py")} - NOT_KILLED - ELSEWHERE
    assert deaths(killer, "before") == scripts
    assert deaths(killer, "between") == deaths(killer, "several") > {"fit", "simulate"}
    assert hidden(folder / "results") | hidden(folder / "resources") == set()
    assert succeed(folder).jobs == {}


def make_package(folder: Path) -> None:
    """Write a Python package that carries a small screen of profiles."""
    table, metadata = profiles_of()
    info = "tinyscreen-0.2.1.dist-info"
    content = {
        "tinyscreen/table.csv": table.to_csv(),
        "tinyscreen/samples.csv": metadata.to_csv(),
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: tinyscreen\nVersion: 0.2.1\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\n"
        "Tag: py3-none-any\n",
    }
    content[f"{info}/RECORD"] = "".join(f"{name},,\n" for name in [*content, f"{info}/RECORD"])
    folder.mkdir()
    with zipfile.ZipFile(folder / "tinyscreen-0.2.1-py3-none-any.whl", "w") as archive:
        for name, text in content.items():
            archive.writestr(name, text)


CELLS_OF = cells_of()
COUNTS = CELLS_OF.to_df().astype(int).to_csv(sep="\t")


@pytest.fixture
def address(tmp_path):
    """Where the table of counts is served."""
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / "counts.tsv").write_text(COUNTS, "utf-8")
    with serving(tmp_path / "served") as (found, _):
        yield found


def test_scripts_of_other_sources_new_cells_and_exchange_are_killed_likewise(
    tmp_path, monkeypatch, address
):
    make_package(tmp_path / "packages")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "packages"))
    bulk = {
        **{"pypi": "tinyscreen==0.2.1", "kind": "profiles", "path": "tinyscreen/table.csv"},
        **{"metadata": "tinyscreen/samples.csv", "perturbation": "gene", "batch": "lane"},
        "control": "non-targeting",
    }
    entries = {name: {**ENTRY, "path": f"{name}.h5ad"} for name in ("mine", "other")}
    entries["table"] = {**CELLS, "path": "counts.tsv", "metadata": "cells.tsv"}
    entries["fetched"] = {**CELLS, "url": f"{address}/counts.tsv", "metadata": "cells.tsv"}
    targets = ["results/mine/work/new_cells.h5ad", "results/bulk/exchange/mean_predicted.h5ad"]
    targets += [f"results/{name}/work/cells.parquet" for name in ("table", "fetched")]
    targets.append("results/mine/work/demands.json")
    places = [tmp_path / "undisturbed", tmp_path / "killed"]
    for folder in places:
        folder.mkdir()
        make_screens(folder)
        (folder / "counts.tsv").write_text(COUNTS, "utf-8")
        CELLS_OF.obs.to_csv(folder / "cells.tsv", sep="\t")
        sections = {"network": {"panel": 30, "new_cells": "other"}, "splits": {"folds": 2}}
        write_config(folder, dataset="mine", datasets={**entries, "bulk": bulk}, **sections)
    whole = succeed(places[0], *targets)
    assert whole.jobs.keys() >= ELSEWHERE - {"exchange"} | {"exchange_pair"}

    monkeypatch.setenv("PYTHONPATH", str(KILLER))
    monkeypatch.setenv("LGEM_KILLED", str(tmp_path / "dead"))
    for moment in ("before", "between"):  # the others die in another test
        (tmp_path / "dead" / moment).mkdir(parents=True)
        for path in (ROOT / "scripts").glob("*.py"):
            if path.stem not in ELSEWHERE:
                (tmp_path / "dead" / moment / path.stem).touch()
    succeed(places[1], *targets, "--retries", "2")
    assert deaths(tmp_path / "dead", "before") >= ELSEWHERE
    both = {"profile_pseudobulk", "exchange", "download"}
    assert deaths(tmp_path / "dead", "between") & ELSEWHERE == both
    assert differing(*map(results_of, places)) == []
    assert hidden(places[1] / "results") | hidden(places[1] / "resources") == set()


def test_a_run_that_has_moved_has_nothing_to_do(whole_run, tmp_path):
    moved = tmp_path / "moved"
    subprocess.run(["cp", "-a", whole_run.folder, moved], check=True)
    assert succeed(moved).jobs == {}

    results = tmp_path / "results_alone"
    subprocess.run(["cp", "-a", whole_run.folder, results], check=True)
    shutil.rmtree(results / ".snakemake")
    assert succeed(results).jobs == {}
    assert differing(results_of(whole_run.folder), results_of(results)) == []


def started(folder: Path, *arguments: str, repository: Path = ROOT) -> subprocess.Popen[str]:
    """Start the workflow and leave it to itself."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(repository / "Snakefile")]
    return subprocess.Popen(
        [*command, "--cores", "1", *arguments],
        cwd=folder,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def test_runs_at_once_in_one_folder_are_refused_and_elsewhere_do_not_meet(whole_run, tmp_path):
    target = "results/tiny/pseudobulk.h5ad"
    places = [tmp_path / "first", tmp_path / "second"]
    for place in places:
        place.mkdir()
        shutil.copy(whole_run.folder / "config.yaml", place)
    repository = copy_repository(tmp_path / "repository")
    first, other = (started(place, target, repository=repository) for place in places)
    try:
        locks = places[0] / ".snakemake" / "locks"
        while first.poll() is None and not (locks.is_dir() and any(locks.iterdir())):
            pass
        second = snakemake(places[0], target, repository=repository)
        told = [run.communicate(timeout=300)[0] for run in (first, other)]
    finally:
        first.kill()
        other.kill()
    assert second.status == 1
    assert "Directory cannot be locked" in second.output
    assert [first.returncode, other.returncode] == [0, 0], told
    expected = (whole_run.folder / target).read_bytes()
    assert [(place / target).read_bytes() == expected for place in places] == [True, True]


MODULE = """
configfile: "config.yaml"

module screens:
    snakefile: {snakefile!r}
    config: config["screens"]
    prefix: "from_screens"

use rule * from screens as screens_*

rule ours:
    default_target: True
    input: "from_screens/results/tiny/qc.json"
    output: "ours.txt"
    shell: "cp {{input}} {{output}}"
"""


def test_as_a_module_of_another_workflow_the_same_results_lie_under_its_prefix(tmp_path):
    import yaml

    plain, outer = tmp_path / "plain", tmp_path / "outer"
    (plain / "data").mkdir(parents=True)
    (outer / "data").mkdir(parents=True)
    make_screens(plain / "data")
    make_screens(outer / "data")
    entry = {**ENTRY, "path": "data/mine.h5ad", "reference_network": "data/reference.tsv"}
    write_config(
        plain, dataset="tiny", datasets={"tiny": entry}, network={"panel": 20, "updates": []}
    )
    config = yaml.safe_load((plain / "config.yaml").read_text("utf-8"))
    (outer / "config.yaml").write_text(yaml.safe_dump({"screens": config}), "utf-8")
    (outer / "Snakefile").write_text(MODULE.format(snakefile=str(ROOT / "Snakefile")), "utf-8")

    parts = ["figures/on_target.png", "network/strongest.tsv", "qc.json", "config.yaml"]
    targets = [f"results/tiny/{part}" for part in parts]
    succeed(plain, *targets)
    run = succeed(outer, *(f"from_screens/{target}" for target in targets), repository=outer)
    assert {"screens_figure_on_target", "screens_network_tables"} <= run.jobs.keys()
    assert differing(results_of(plain), results_of(outer / "from_screens")) == []
    assert not (outer / "results").exists()
    assert succeed(outer, repository=outer).jobs == {"ours": 1}


def test_a_run_in_another_directory_takes_its_config_and_its_paths_from_there(tmp_path):
    elsewhere, here = tmp_path / "elsewhere", tmp_path / "here"
    elsewhere.mkdir()
    make_screens(elsewhere)
    datasets = {"mine": {**ENTRY, "path": "mine.h5ad"}}
    write_config(elsewhere, dataset="mine", datasets=datasets)
    succeed(here, "results/mine/work/cells.parquet", "--directory", str(elsewhere))
    assert (elsewhere / "results" / "mine" / "work" / "cells.parquet").exists()
    assert not (here / "results").exists()
