"""The run that several tests look at: a tiny simulated screen through the whole chain."""

from __future__ import annotations

import pytest

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
