"""Pseudobulk beside the field's tools: a large screen, every contender a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

import anndata
import h5py
import numpy as np
import pandas as pd
from scipy import sparse

from benchmarks.timing import row

COLUMN, CONTROL = "perturbation", "control"
GENES, GROUPS, DETECTED = 5000, 300, 500
# Cells drawn at once.
STEP = 2000
# Limits on threads that a job of the workflow has; contenders may use the whole machine.
LIMITS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
SLOWED = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
SCRIPT = Path(__file__).with_name("counting.py")


def write_screen(path: str | Path, cells: int, seed: int = 0) -> None:
    """Write raw counts of many cells as a compressed h5ad, in little memory.

    Poisson counts of genes whose levels are log-normal, about `DETECTED` of them detected in each
    cell; labels of `GROUPS` groups, control among them, in random order.
    """
    rng = np.random.default_rng(seed)
    rate = _rates(rng.lognormal(0, 1.6, GENES))
    names = np.array([CONTROL, *(f"GENE{number}" for number in range(1, GROUPS))])
    label = pd.Categorical(names[rng.integers(0, GROUPS, cells)])
    obs = pd.DataFrame({COLUMN: label}, index=[f"cell_{number}" for number in range(cells)])
    var = pd.DataFrame(index=[f"GENE{number}" for number in range(GENES)])
    empty = sparse.csr_matrix((cells, GENES), dtype=np.float32)
    anndata.AnnData(X=empty, obs=obs, var=var).write_h5ad(path)
    with h5py.File(path, "a") as file:
        matrix, ends = file["X"], [np.zeros(1, dtype=np.int64)]
        for name in ("data", "indices", "indptr"):
            del matrix[name]
        options: dict[str, Any] = {"maxshape": (None,), "chunks": (100_000,), "compression": "gzip"}
        data = matrix.create_dataset("data", (0,), dtype="f4", **options)
        indices = matrix.create_dataset("indices", (0,), dtype="i4", **options)
        for start in range(0, cells, STEP):
            depth = rng.lognormal(0, 0.35, (min(STEP, cells - start), 1))
            block = sparse.csr_matrix(rng.poisson(depth * rate).astype(np.float32))
            before = data.shape[0]
            for stored, values in ((data, block.data), (indices, block.indices)):
                stored.resize((before + block.nnz,))
                stored[before:] = values
            ends.append(before + block.indptr[1:].astype(np.int64))
        matrix.create_dataset("indptr", data=np.concatenate(ends))


def _rates(level: np.ndarray) -> np.ndarray:
    """Scale levels so that `DETECTED` genes of a cell are expected to be seen."""
    low, high = 1e-6, 1e3
    for _ in range(60):
        middle = np.sqrt(low * high)
        few = (1 - np.exp(-middle * level)).sum() < DETECTED
        low, high = (middle, high) if few else (low, middle)
    return low * level


def _python(folder: str | Path) -> str:
    return str(Path(folder) / "bin" / "python")


def beside_others(
    path: str, entry: Mapping[str, Any], peers: Mapping[str, str], size: str, rounds: int
) -> list[dict[str, Any]]:
    """Return rows for whole processes and for the work in them, contenders in turn.

    Parameters
    ----------
    path
        The screen.
    entry
        What the config says of it.
    peers
        Folders of the environments of other tools, by their names in `counting.CONTENDERS`.
    size
        How large the screen is, in words.
    rounds
        Runs of each contender.
    """
    own = {"lgem": sys.executable, "bare h5py read": sys.executable}
    pythons = {**own, **{name: _python(folder) for name, folder in peers.items()}}
    taken: dict[str, list[dict[str, float]]] = {name: [] for name in pythons}
    for _ in range(rounds):
        for name, python in pythons.items():
            taken[name].append(run_process(name, python, path, entry))
    fastest = min(peers, key=lambda name: median(each["whole"] for each in taken[name]))
    rows = []
    for what, measure, names, against in (
        ("pseudobulk, whole process", "whole", ["lgem", *peers], fastest),
        ("pseudobulk, in process", "seconds", ["lgem", *peers], "bare h5py read"),
    ):
        reference = [each[measure] for each in taken[against]]
        for name in dict.fromkeys([*names, against]):
            times = [each[measure] for each in taken[name]]
            peak = max(each["peak_mib"] for each in taken[name])
            rows.append(row(what, name, size, times, peak, against, reference))
    return rows


def run_process(
    contender: str, python: str, path: str, entry: Mapping[str, Any]
) -> dict[str, float]:
    """Return what one contender took on a file: seconds whole and after imports, peak memory."""
    unlimited = {k: value for k, value in os.environ.items() if k not in (*LIMITS, *SLOWED)}
    command = [python, str(SCRIPT), contender, path, COLUMN, CONTROL]
    if contender == "lgem":
        command.append(json.dumps(entry))
    start = time.perf_counter()
    done = subprocess.run(
        command,
        env=unlimited,
        text=True,
        capture_output=True,
        check=True,
    )
    whole = time.perf_counter() - start
    return {"whole": whole, **json.loads(done.stdout.splitlines()[-1])}


def growth(paths: Mapping[str, str], entry: Mapping[str, Any], rounds: int) -> list[dict[str, Any]]:
    """Return rows for lgem on screens of different sizes; the last is measured against the first.

    Parameters
    ----------
    paths
        Screens by their sizes in words, the smallest first.
    entry
        What the config says of them.
    """
    taken: dict[str, list[dict[str, float]]] = {size: [] for size in paths}
    for _ in range(rounds):
        for size, path in paths.items():
            taken[size].append(run_process("lgem", sys.executable, path, entry))
    first = next(iter(paths))
    reference = [each["seconds"] for each in taken[first]]
    return [
        row(
            "pseudobulk, growth",
            "lgem" if size == first else f"lgem, {size}",
            size,
            [each["seconds"] for each in runs],
            max(each["peak_mib"] for each in runs),
            "lgem",
            reference,
        )
        for size, runs in taken.items()
    ]
