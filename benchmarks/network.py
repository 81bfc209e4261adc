"""Speed of the network wing: updates beside inverses, and whole genomes in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.timing import Work, measure
from lgem.network.census import census
from lgem.network.dense import DensePrecision
from lgem.network.implicit import ImplicitPrecision
from lgem.network.structure import LowRank
from lgem.network.updates import UpdatedPrecision, update_in_place, woodbury

RANK, FACTORS = 5, 10
SIZES = (50, 100, 200, 500, 1000, 2000, 5000)
# From these the time of a dense inverse of a whole genome is extrapolated.
INVERTED = (5000, 10000)
GENOME, EDGES = 20_000, 1_000_000
SPEED_COLUMNS = [
    *("genes", "rank", "n", "direct_s", "direct_min_s", "direct_max_s"),
    *("update_s", "update_min_s", "update_max_s", "implicit_s", "speed_up", "largest_difference"),
]


def covariance_of(genes: int) -> LowRank:
    """Return a covariance of ten shared programmes and of variance that each gene has for itself.

    Programmes have loadings of standard deviation .1, genes a variance between .01 and .05.
    """
    rng = np.random.default_rng(42)
    loadings = 0.1 * rng.standard_normal((genes, FACTORS))
    return LowRank(rng.uniform(0.01, 0.05, genes), loadings)


def pathways(genes: int) -> np.ndarray:
    """Return loadings of five new pathways (genes × 5), of standard deviation .05."""
    return 0.05 * np.random.default_rng(43).standard_normal((genes, RANK))


def dense_update(genes: int = 2000) -> Work:
    """Update a dense precision in place, without and with a certificate."""
    structure, X = covariance_of(genes), pathways(genes)
    covariance = structure.dense()
    changed = covariance + X @ X.T
    bare, certified = DensePrecision(structure), UpdatedPrecision(DensePrecision(structure), 1)
    theta, copy = bare.matrix(), np.empty((genes, genes))

    def add_and_remove() -> None:
        certified.add(X, "pathways")
        certified.remove(X, "pathways")

    return Work(
        "dense update of a precision matrix",
        f"{genes} genes, rank {RANK}",
        {
            # Each round adds the pathways once more: the work is the same.
            "update in place, no certificate": lambda: update_in_place(bare, X),
            "update into a new matrix": lambda: woodbury(theta, X),
            "two certified updates": add_and_remove,
            "copy of the matrix": lambda: np.copyto(copy, theta),
            "numpy.linalg.inv of the new covariance": lambda: np.linalg.inv(changed),
        },
    )


def update_speed(sizes: Sequence[int], rounds: int) -> pd.DataFrame:
    """Time a direct inverse beside an update of rank 5, for panels of several sizes."""
    return pd.DataFrame([_speed(genes, rounds) for genes in sizes], columns=SPEED_COLUMNS)


def _speed(genes: int, rounds: int) -> dict[str, Any]:
    structure, X = covariance_of(genes), pathways(genes)
    changed = structure.dense() + X @ X.T
    once, dense = DensePrecision(structure), DensePrecision(structure)
    implicit = ImplicitPrecision(structure)
    update_in_place(once, X)
    contenders: dict[str, Callable[[], Any]] = {
        "implicit": lambda: update_in_place(implicit, X),
        "update": lambda: update_in_place(dense, X),
        "direct": lambda: np.linalg.inv(changed),
    }
    rows = measure(Work("", "", contenders), rounds)
    found = pd.DataFrame(rows).set_index("contender")
    times = {
        f"{name}_{key}": found.loc[name, column]
        for name in ("direct", "update")
        for key, column in (("s", "median_s"), ("min_s", "min_s"), ("max_s", "max_s"))
    }
    return {
        "genes": genes,
        "rank": RANK,
        "n": rounds,
        **times,
        "implicit_s": found.loc["implicit", "median_s"],
        "speed_up": found.loc["update", "ratio"],
        "largest_difference": np.abs(np.linalg.inv(changed) - once.matrix()).max(),
    }


def whole_genome(
    rounds: int, genes: int = GENOME, inverted: Sequence[int] = INVERTED
) -> list[dict[str, Any]]:
    """Time a certified update and the strongest edges of a genome, and what inverting would take.

    A dense inverse of so many genes is not run: its time is extrapolated by the third power of the
    number of genes, from the size that leads to the smaller one.
    """
    structure, X = covariance_of(genes), pathways(genes)
    edges = min(EDGES, genes * (genes - 1) // 2)

    def update_and_edges() -> None:
        precision = UpdatedPrecision(ImplicitPrecision(structure), 1)
        precision.add(X, "pathways")
        rho = precision.form.partial_correlations()
        census(rho, rho, threshold=1.0, top=edges, most=edges)

    name = "update of rank 5 and the strongest edges, implicit"
    contenders = {f"{name}: {edges:,} edges": update_and_edges}
    (found,) = measure(Work("whole genome", f"{genes} genes", contenders), rounds)
    rows: list[dict[str, Any]] = []
    for size in inverted:
        covariance = covariance_of(size).dense()
        inverse = {"numpy.linalg.inv": partial(np.linalg.inv, covariance)}
        (row,) = measure(Work("dense inverse", f"{size} genes", inverse), rounds)
        rows.append({**row, "genes": size})
    times = [(genes / row["genes"]) ** 3 * row["median_s"] for row in rows]
    chosen = int(np.argmin(times))
    extrapolated = {
        **dict.fromkeys(("min_s", "max_s", "peak_mib"), float("nan")),
        **{"work": "whole genome", "size": f"{genes} genes", "n": rounds, "against": ""},
        "contender": f"numpy.linalg.inv, extrapolated from {inverted[chosen]} genes",
        **{"median_s": times[chosen], "ratio": ""},
    }
    against = {"against": extrapolated["contender"], "ratio": times[chosen] / found["median_s"]}
    return [{**found, **against}, extrapolated, *rows]
