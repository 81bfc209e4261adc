"""The section of docs/benchmarks.md on speed, from the tables that ``snakemake bench`` writes.

``python -m benchmarks.speed`` prints it.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

ROOT = Path(__file__).resolve().parents[1]


def section(bench: Path, updates: Path) -> list[str]:
    """Return the lines of the section."""
    rows = pd.read_csv(bench, sep="\t").to_dict("records")
    panels = pd.read_csv(updates, sep="\t").to_dict("records")
    return [
        "",
        "## Speed",
        "",
        "`snakemake bench`: medians with ranges, contenders in turn. A ratio above 1 means faster",
        "than what it is measured against, the last of the same work. Pseudobulk: whole processes",
        "with their imports, and what they take after these, on both cores, the others from",
        "environments of their own; peak memory is that of the process. scanpy reads, normalises",
        "and aggregates (mean, variance, sum, detected cells); crispyx streams means less those of",
        "control; lgem checks every count, and keeps exact sums and technical halves. All else",
        "runs in one process, linear algebra on one thread, as in the rules of the workflow; peak",
        "memory is what Python and NumPy ask for. (On two threads the libraries of NumPy and SciPy",
        "wait for one another, and an update of 2,000 genes takes .07 s.)",
        "",
        f"Machine: {machine()}.",
        "",
        "| work | size | contender | median (range), s | peak, MiB | ratio |",
        "| --- | --- | --- | --- | ---: | ---: |",
        *map(_timing, rows),
        "",
        "A precision matrix of a simulated covariance of ten factors, updated by five pathways in",
        "place, beside inverting the new covariance (`numpy.linalg.inv`):",
        "",
        "| genes | inverse, ms | update, ms | implicit, ms | times faster | largest difference |",
        "| ---: | ---: | ---: | ---: | ---: | ---: |",
        *map(_panel, panels),
    ]


def machine() -> str:
    """Name the machine that this runs on."""
    text = Path("/proc/cpuinfo").read_text("utf-8") if Path("/proc/cpuinfo").exists() else ""
    names = [line.partition(":")[2].strip() for line in text.splitlines() if "model name" in line]
    cores = os.cpu_count() or 1
    return f"{cores} cores ({names[0] if names else platform.machine()}), {platform.system()}"


def _timing(row: Mapping[Hashable, Any]) -> str:
    """Return one row of a table of times."""
    ratio = "" if pd.isna(row["ratio"]) else f"{float(row['ratio']):.3g}"
    spread = "" if pd.isna(row["min_s"]) else f" ({row['min_s']:.3g}–{row['max_s']:.3g})"
    peak = "" if pd.isna(row["peak_mib"]) else f"{row['peak_mib']:.0f}"
    return (
        f"| {row['work']} | {row['size']} | {row['contender']} | "
        f"{row['median_s']:.3g}{spread} | {peak} | {ratio} |"
    )


def _panel(row: Mapping[Hashable, Any]) -> str:
    """Return one row of the table of updates."""
    times = [f"{1e3 * row[name]:.3g}" for name in ("direct_s", "update_s", "implicit_s")]
    return (
        f"| {row['genes']:,} | {' | '.join(times)} | {row['speed_up']:.3g} | "
        f"{row['largest_difference']:.1e} |"
    )


if __name__ == "__main__":
    results = ROOT / "results"
    print("\n".join(section(results / "bench.tsv", results / "bench_updates.tsv")))
