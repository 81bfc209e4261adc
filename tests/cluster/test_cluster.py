"""A screen on a real cluster where everything goes wrong, beside the same screen on one machine.

The run goes through the profile that users get. Jobs run out of memory, are cancelled, lose their
node; the controller restarts; Snakemake is killed, and what the documentation says is done.
"""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cluster.private_slurm import Job, Slurm, missing, private_slurm, wait_until
from tests.conftest import lacking
from tests.workflow.network_screens import ENTRY, NETWORK, simulated
from tests.workflow.running import ROOT, TINY, differing, files, succeed, write_config

pytestmark = [pytest.mark.workflow, pytest.mark.cluster]

PROFILE = "workflow/profiles/slurm"
# Made by a rule in more memory than it is given at first, and needed by nobody.
LARGE = {**TINY, "genes": 400, "control_cells": 50_000, "truth_draws": 100}
SCARCE = ("--set-resources", "simulate:mem_mb=400*attempt")
# There is no accounting database, and jobs are shorter than in life.
HERE = ("--slurm-status-command", "squeue", "--slurm-init-seconds-before-status-checks", "6")
RULES = {
    *("simulate", "plan_cells", "count_shard", "pseudobulk", "control_cells", "qc", "effects"),
    *("splits", "fit", "predict", "network_estimate", "network", "network_tables"),
    "figure_on_target",
}
TARGETS = (
    "resources/large/screen.h5ad",
    "results/mine/predictions/lgem.h5ad",
    "results/mine/network/edges.parquet",
    "results/mine/figures/on_target.tsv",
)
MINUTE = 60


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slurm]:
    if absent := missing():
        lacking(f"no SLURM on this machine ({', '.join(absent)})")
    with private_slurm(tmp_path_factory.mktemp("slurm")) as running:
        yield running


def prepare(folder: Path) -> Path:
    """Write a small screen, and the config of the run."""
    datasets = {"mine": {**ENTRY, "path": "mine.h5ad"}, "large": {"simulate": LARGE}}
    write_config(folder, dataset="mine", datasets=datasets, network=NETWORK)
    simulated(1).cells.write_h5ad(folder / "mine.h5ad")
    return folder


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run on this machine alone."""
    folder = prepare(tmp_path_factory.mktemp("local"))
    succeed(folder, *TARGETS)
    return folder


@dataclass(frozen=True)
class Troubled:
    """What is left of the run on the cluster."""

    folder: Path
    before: str
    after: str
    jobs: list[Job]
    orphans: list[Job]

    def states(self, rule: str) -> list[str]:
        """How the jobs of a rule ended, in order."""
        return [job.state for job in self.jobs if job.rule == rule]


def once_running(slurm: Slurm, rule: str, log: Path | None = None) -> Job:
    """Wait until a job of a rule runs (and has begun its log), and return it."""
    running: list[Job] = []

    def is_under_way() -> bool:
        running[:] = [job for job in slurm.jobs(rule) if job.state == "RUNNING"]
        return bool(running) and (log is None or log.exists())

    wait_until(is_under_way, 4 * MINUTE, f"a running job of {rule}")
    return running[0]


def cancel_a_job(slurm: Slurm, logs: Path) -> None:
    job = once_running(slurm, "plan_cells", logs / "plan_cells.log")
    slurm.ask("scancel", str(job.number))


def lose_a_node(slurm: Slurm, logs: Path) -> None:
    job = once_running(slurm, "count_shard", logs / "count_shard_0.log")
    node = f"nodename={job.node}"
    slurm.ask("scontrol", "update", node, "state=down", "reason=test")
    again = once_running(slurm, "count_shard")
    assert again.node != job.node
    slurm.ask("scontrol", "update", node, "state=resume")


def restart_the_controller(slurm: Slurm, logs: Path) -> None:
    once_running(slurm, "pseudobulk", logs / "pseudobulk.log")
    slurm.stop("slurmctld")
    slurm.start_controller()


def commands_after_a_kill() -> str:
    """Return the commands that the documentation gives, for the run of this test."""
    section = (
        (ROOT / "docs/cluster.md").read_text("utf-8").split("## After Snakemake was killed")[1]
    )
    commands = section.split("```sh\n")[1].split("```")[0]
    told = f".venv/bin/snakemake --profile {PROFILE}"
    assert commands.count(told) == 2
    return commands.replace(f"{told} --unlock", " ".join([*on_cluster(), "--unlock"])).replace(
        told, " ".join([*on_cluster(), *TARGETS])
    )


def on_cluster() -> list[str]:
    """Return the command that runs the workflow on the cluster."""
    snakefile = ("--snakefile", str(ROOT / "Snakefile"))
    return [sys.executable, "-m", "snakemake", *snakefile, "--profile", str(ROOT / PROFILE), *HERE]


@pytest.fixture(scope="module")
def troubled(slurm: Slurm, tmp_path_factory: pytest.TempPathFactory) -> Troubled:
    """The run on the cluster, with all that befell it. Tests only look at it."""
    folder = prepare(tmp_path_factory.mktemp("troubled"))
    told = folder / "told.log"
    with told.open("w") as log:
        run = subprocess.Popen(
            [*on_cluster(), *TARGETS, *SCARCE],
            cwd=folder,
            env=slurm.environment,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        cancel_a_job(slurm, folder / "logs/mine")
        lose_a_node(slurm, folder / "logs/mine")
        restart_the_controller(slurm, folder / "logs/mine")
        once_running(slurm, "fit")
    finally:
        run.send_signal(signal.SIGKILL)
        run.wait()
        print(told.read_text("utf-8"))  # shown where something above has failed
    orphans = [job for job in slurm.jobs() if job.state == "RUNNING"]
    done = subprocess.run(
        ["bash", "-euc", commands_after_a_kill()],
        cwd=folder,
        env=slurm.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=8 * MINUTE,
    )
    assert done.returncode == 0, done.stdout
    return Troubled(folder, told.read_text("utf-8"), done.stdout, slurm.jobs(), orphans)


def test_every_file_is_the_one_of_a_run_without_a_cluster(troubled, local):
    for place in ("results", "resources"):
        alone, together = files(local / place), files(troubled.folder / place)
        # What a killed job had begun has a name of its own, and is no result.
        begun = {name for name in together if re.search(r"(^|/)\.", name)}
        assert alone
        assert differing(alone, {name: together[name] for name in together.keys() - begun}) == []


def test_every_rule_ran_on_the_cluster_and_both_nodes_worked(troubled):
    assert {job.rule for job in troubled.jobs if job.state == "COMPLETED"} == RULES
    assert {job.node for job in troubled.jobs} == {"n1", "n2"}


def test_a_job_out_of_memory_gets_more(troubled):
    # It may have been on the lost node, too.
    first, *_, last = (job for job in troubled.jobs if job.rule == "simulate")
    assert (first.state, first.memory) == ("FAILED", "400M")
    log = troubled.folder / ".snakemake/slurm_logs/rule_simulate/large" / f"{first.number}.log"
    assert "exceeded memory limit" in log.read_text("utf-8")
    assert (last.state, last.memory) in (("COMPLETED", "800M"), ("COMPLETED", "1200M"))


def test_a_cancelled_job_is_submitted_again_with_more_memory_and_time(troubled):
    assert troubled.states("plan_cells") == ["CANCELLED", "COMPLETED"]
    first, second = (job for job in troubled.jobs if job.rule == "plan_cells")
    assert int(second.memory[:-1]) == pytest.approx(2 * int(first.memory[:-1]), abs=2)
    assert (first.limit, second.limit) == ("4:00:00", "8:00:00")


def test_the_job_of_a_lost_node_runs_on_another(troubled):
    assert troubled.states("count_shard") == ["NODE_FAIL", "COMPLETED"]
    first, second = (job.node for job in troubled.jobs if job.rule == "count_shard")
    assert first != second


def test_a_restart_of_the_controller_costs_no_job(troubled):
    assert troubled.states("pseudobulk") == ["COMPLETED"]


def test_jobs_outlive_a_killed_snakemake_until_they_are_cancelled_by_its_run_id(troubled):
    run = re.findall(r"SLURM run ID: (\S+)", troubled.before)
    assert {job.rule for job in troubled.orphans} >= {"fit"}
    assert {job.run for job in troubled.orphans} == set(run)
    assert troubled.states("fit") == ["CANCELLED", "COMPLETED"]
    done = {job.rule for job in troubled.jobs if job.state == "COMPLETED" and job.run in run}
    again = {job.rule for job in troubled.jobs if job.run not in run}
    assert {"plan_cells", "count_shard", "pseudobulk"} <= done
    assert not done & again  # what was done stays done
