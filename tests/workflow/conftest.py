"""The runs that several files of tests look at, each made once."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.workflow.network_screens import make_screens, network_config, result
from tests.workflow.running import TINY, Run, succeed, write_config


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], Run]) -> Run:
    """Return a run that all workers of pytest-xdist share: the first to ask makes it, others wait.

    Tests only look at it, or copy it: at any time those of another worker may do the same.
    """
    place = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        place = place.parent  # every worker has a folder of its own in it
    folder, told = place / name, place / f"{name}.json"
    with (place / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not told.exists():
            shutil.rmtree(folder, ignore_errors=True)  # of an attempt that failed
            folder.mkdir()
            run = make(folder)
            told.write_text(json.dumps([run.status, run.output]), "utf-8")
    return Run(folder, *json.loads(told.read_text("utf-8")))


@pytest.fixture(scope="session")
def whole_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A tiny screen from counts to report, on two cores."""

    def make(folder: Path) -> Run:
        # Perturbations below the minimum stay in every table, as left out.
        write_config(
            folder,
            dataset="tiny",
            datasets={"tiny": {"simulate": TINY}},
            pseudobulk={"min_cells": 25},
        )
        return succeed(folder)

    return made_once(tmp_path_factory, "whole_run", make)


@pytest.fixture(scope="session")
def network_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A screen up to its network, which nothing updates."""

    def make(folder: Path) -> Run:
        make_screens(folder)
        network_config(folder)
        drawn = ("partial_correlations", "largest_changes")
        figures = [f"results/mine/figures/{name}.tsv" for name in drawn]
        tables = ("edges.parquet", "scores.tsv", "responses_summary.tsv")
        return succeed(folder, *result(*tables), *figures)

    return made_once(tmp_path_factory, "network_run", make)
