"""Runs of the workflow as a user starts them: Snakemake on the command line, in an empty folder."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

ROOT = Path(__file__).resolve().parents[2]

# A screen that runs through the whole chain in seconds.
TINY = {
    "genes": 40,
    "modules": 2,
    "perturbations": 10,
    "doubles": 2,
    "guides": 2,
    "control_guides": 4,
    "control_cells": 300,
    "cells_per_perturbation": 40,
    "batches": 2,
    "truth_draws": 200,
}
# What makes every run of the tests short.
SHORT = {"evaluation": {"bootstrap": 100}, "network": {"panel": 40}}


@dataclass(frozen=True)
class Run:
    """A run that has ended: its exit status, and all that it told the user."""

    folder: Path
    status: int
    output: str

    @property
    def jobs(self) -> dict[str, int]:
        """The rules that ran, or would, with their numbers of jobs; "all" and totals left out."""
        _, found, after = self.output.partition("Job stats:")
        table = after.split("\n\n")[0].splitlines()[3:] if found else []
        counts = {rule: int(count) for rule, count in (line.split() for line in table if line)}
        return {rule: n for rule, n in counts.items() if rule not in ("all", "figures", "total")}

    @property
    def errors(self) -> list[str]:
        """The messages of scripts that ended for a problem of the input."""
        # Not at the start of a line where two jobs have written at once.
        return re.findall(r"lgem: error: (.*)$", self.output, re.MULTILINE)

    def table(self, name: str) -> pd.DataFrame:
        """Read one of the resulting tables; only blanks are missing."""
        path = self.folder / "results" / name
        return pd.read_csv(path, sep="\t", keep_default_na=False, na_values=[""])


def write_config(folder: Path, **sections: Any) -> None:
    """Write a `config.yaml` that is `SHORT` but for the sections given (None: left to default)."""
    folder.mkdir(parents=True, exist_ok=True)
    given = {key: value for key, value in {**SHORT, **sections}.items() if value is not None}
    text = yaml.safe_dump(given, sort_keys=False)
    (folder / "config.yaml").write_text(text, "utf-8")


def snakemake(
    folder: Path,
    *arguments: str,
    cores: int = 2,
    repository: Path = ROOT,
    before: Sequence[str] = (),
    patience: float = 600,
    python: str | Path = sys.executable,
    variables: Mapping[str, str] | None = None,
) -> Run:
    """Run the workflow in a folder that holds nothing but its own config.

    What stands `before` the command starts it: a program that takes rights away, say. `patience`
    is the time in seconds after which a run is given up. Another Python has a Snakemake of its
    own; variables replace those of this process.
    """
    folder.mkdir(parents=True, exist_ok=True)
    command = [
        *before,
        *(str(python), "-m", "snakemake", "--snakefile", str(repository / "Snakefile")),
        *("--cores", str(cores), *arguments),
    ]
    done = subprocess.run(
        command,
        cwd=folder,
        env=variables,
        text=True,
        encoding="utf-8",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        timeout=patience,
    )
    return Run(folder, done.returncode, done.stdout)


def succeed(folder: Path, *arguments: str, **options: Any) -> Run:
    """Run the workflow, and show what it told where it fails."""
    run = snakemake(folder, *arguments, **options)
    assert run.status == 0, run.output
    return run


def ended_in_words(run: Run) -> None:
    """Require that a run has failed for a problem that it told, not for one of its own."""
    assert run.status == 1
    assert "Traceback" not in run.output
    assert "please report" not in run.output


def copy_repository(place: Path) -> Path:
    """Copy what the workflow is made of, with the times of its files."""
    unwanted = shutil.ignore_patterns("__pycache__")
    for part in ("workflow", "scripts", "lgem", "benchmarks", "envs", "profiles"):
        shutil.copytree(ROOT / part, place / part, ignore=unwanted)
    shutil.copy2(ROOT / "Snakefile", place)
    return place


def files(folder: Path, suffixes: Iterable[str] = ()) -> dict[str, bytes]:
    """Return the bytes of every file below a folder, by relative path, but for Snakemake's own."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and ".snakemake" not in path.relative_to(folder).parts
        and path.name != ".snakemake_timestamp"
        and (not suffixes or path.suffix in suffixes)
    }


def differing(first: Mapping[str, bytes], second: Mapping[str, bytes]) -> list[str]:
    """Return the files that are not in both, or not the same in both."""
    return sorted(
        name for name in first.keys() | second.keys() if first.get(name) != second.get(name)
    )
