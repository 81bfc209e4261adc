"""Times of contenders at the same work, in turn, in one process."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

COLUMNS = [
    *("work", "contender", "size", "n", "median_s", "min_s", "max_s", "peak_mib"),
    *("against", "ratio"),
]


@dataclass(frozen=True)
class Work:
    """One piece of work, and who does it.

    Parameters
    ----------
    name, size
        What is done, and how large it is, in words.
    contenders
        What each contender runs; the last one is what the others are measured against.
    """

    name: str
    size: str
    contenders: Mapping[str, Callable[[], Any]]


def measure(work: Work, rounds: int) -> list[dict[str, Any]]:
    """Return one row per contender: median, range and peak memory, and the ratio of medians.

    Contenders take turns, so that a machine that slows down slows all of them. Memory is that of
    Python and NumPy, from a run of its own.
    """
    times: dict[str, list[float]] = {name: [] for name in work.contenders}
    for run in work.contenders.values():
        run()  # the first run pays for imports and caches
    for _ in range(rounds):
        for name, run in work.contenders.items():
            start = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - start)
    *_, reference = work.contenders
    return [
        row(work.name, name, work.size, taken, _peak(run), reference, times[reference])
        for (name, run), taken in zip(work.contenders.items(), times.values(), strict=True)
    ]


def row(
    work: str,
    contender: str,
    size: str,
    times: list[float],
    peak: float | None,
    against: str,
    reference: list[float],
) -> dict[str, Any]:
    """Return the row of a contender: median, range, and how many times faster than another."""
    itself = contender == against
    return {
        "work": work,
        "contender": contender,
        "size": size,
        "n": len(times),
        "median_s": median(times),
        "min_s": min(times),
        "max_s": max(times),
        "peak_mib": "" if peak is None else peak,
        "against": "" if itself else against,
        "ratio": "" if itself else median(reference) / median(times),
    }


def _peak(run: Callable[[], Any]) -> float:
    tracemalloc.start()
    run()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak / 2**20
