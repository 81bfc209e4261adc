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
        {
            "work": work.name,
            "contender": name,
            "size": work.size,
            "n": rounds,
            "median_s": median(taken),
            "min_s": min(taken),
            "max_s": max(taken),
            "peak_mib": _peak(work.contenders[name]),
            "against": reference if name != reference else "",
            "ratio": median(times[reference]) / median(taken) if name != reference else "",
        }
        for name, taken in times.items()
    ]


def _peak(run: Callable[[], Any]) -> float:
    tracemalloc.start()
    run()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak / 2**20
