"""The run that several tests look at: a tiny simulated screen through the whole chain."""

from __future__ import annotations

import pytest

from tests.workflow.network_screens import make_screens, network_config, result
from tests.workflow.running import TINY, Run, succeed, write_config


@pytest.fixture(scope="session")
def whole_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A tiny screen from counts to report, on two cores. Tests only look at it."""
    folder = tmp_path_factory.mktemp("whole_run")
    # Perturbations below the minimum stay in every table, as left out.
    write_config(
        folder, dataset="tiny", datasets={"tiny": {"simulate": TINY}}, pseudobulk={"min_cells": 25}
    )
    return succeed(folder)


@pytest.fixture(scope="session")
def network_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A screen up to its network, which nothing updates. Tests only look at it, or copy it."""
    folder = tmp_path_factory.mktemp("network_run")
    make_screens(folder)
    network_config(folder)
    drawn = ("partial_correlations", "largest_changes")
    figures = [f"results/mine/figures/{name}.tsv" for name in drawn]
    tables = ("edges.parquet", "scores.tsv", "responses_summary.tsv")
    return succeed(folder, *result(*tables), *figures)
