"""The time of a run of the whole workflow that finds everything up to date."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.timing import row


def up_to_date(
    python: str, repository: Path, dataset: str, rounds: int, options: Sequence[str] = ()
) -> dict[str, Any]:
    """Return the row of runs that have nothing to do, after one that makes everything.

    Parameters
    ----------
    python
        The interpreter that has Snakemake.
    repository
        Folder with the Snakefile and the config.
    dataset
        What to run.
    rounds
        Runs that are timed.
    options
        More of Snakemake's options.
    """
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(repository / "config.yaml", folder)
        command = [python, "-m", "snakemake", "--snakefile", str(repository / "Snakefile")]
        command += ["--directory", folder, "--cores", "2", "--config", f"dataset={dataset}"]
        times = []
        for _ in range(rounds + 1):
            start = time.perf_counter()
            subprocess.run([*command, *options], check=True, capture_output=True)
            times.append(time.perf_counter() - start)
    name, idle = "workflow, everything up to date", times[1:]
    return row(name, "lgem", dataset, idle, None, "lgem", idle)
