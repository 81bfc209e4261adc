"""Pseudobulk of a large screen, by lgem and by others, each as a process of its own.

``python counting.py CONTENDER FILE COLUMN CONTROL [ENTRY]`` runs one contender and prints what it
took, as JSON: the seconds after its imports, and the peak memory of the process in MiB. lgem gets
the entry of the file in the config as its jobs do: checked, as JSON. This imports nothing of the
project but for lgem itself, since the others live in environments of their own.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Run = Callable[..., Any]

TARGET_SUM = 10000.0
# What `lgem.screen.matrices` reads at once; the bare read of the same arrays does the same.
BLOCK = 500_000


def lgem() -> Run:
    """Group means, variances, sums, halves and detected cells, checked and exact."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from lgem.screen.annotation import Shard
    from lgem.screen.cells import plan_cells
    from lgem.screen.counting import count_shard, describe_shards
    from lgem.screen.entry import cell_rules
    from lgem.screen.pseudobulk import moments

    def run(path: str, column: str, control: str, described: str) -> Any:
        entry = json.loads(described)
        rules = cell_rules(entry)
        shards, genes = describe_shards([Shard(path)], entry, rules)
        cells, groups = plan_cells(shards, rules, 1, path)
        del shards
        with tempfile.TemporaryDirectory() as folder:
            sums = count_shard(
                path,
                entry,
                cells,
                groups=len(groups),
                target_sum=TARGET_SUM,
                control=Path(folder) / "control.h5ad",
            )
        return groups, genes, sums.counts, sums.detected, moments(sums, groups)

    return run


def scanpy() -> Run:
    """Read, normalise, take logarithms, aggregate: mean, variance, sum, detected cells."""
    import scanpy as sc

    def run(path: str, column: str, control: str) -> Any:
        cells = sc.read_h5ad(path)
        sc.pp.normalize_total(cells, target_sum=TARGET_SUM)
        sc.pp.log1p(cells)
        return sc.get.aggregate(cells, by=column, func=["mean", "var", "sum", "count_nonzero"])

    return run


def crispyx() -> Run:
    """Normalised effects on the log scale in one streaming pass: means less those of control."""
    import crispyx as cx

    def run(path: str, column: str, control: str) -> Any:
        with tempfile.TemporaryDirectory() as folder:
            return cx.compute_normalized_effects(
                path,
                perturbation_column=column,
                control_label=control,
                output_path=Path(folder) / "effects.h5ad",
                verbose=False,
            )

    return run


def bare_read() -> Run:
    """Read the stored values and their genes by blocks, and do nothing with them."""
    import h5py

    def run(path: str, column: str, control: str) -> None:
        with h5py.File(path) as file:
            data, indices = file["X/data"], file["X/indices"]
            for start in range(0, len(data), BLOCK):
                data[start : start + BLOCK]
                indices[start : start + BLOCK]

    return run


CONTENDERS = {"lgem": lgem, "scanpy": scanpy, "crispyx": crispyx, "bare h5py read": bare_read}


def main(contender: str, *given: str) -> None:
    """Run one contender on a file, and print what it took."""
    run = CONTENDERS[contender]()
    start = time.perf_counter()
    run(*given)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "peak_mib": peak}))


if __name__ == "__main__":
    main(*sys.argv[1:])
