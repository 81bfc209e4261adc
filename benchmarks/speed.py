"""The section of docs/benchmarks.md on speed, from the tables that ``snakemake bench`` writes.

``python -m benchmarks.speed`` prints it.
"""

from __future__ import annotations

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
        "`snakemake bench`: medians with ranges, contenders in turn in one process, linear algebra",
        "on one thread, as in all rules of the workflow. A ratio above 1 means faster than what it",
        "is measured against, the last of the same work. (On two threads the libraries of NumPy",
        "and SciPy wait for one another, and an update of 2,000 genes takes .07 s.)",
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
