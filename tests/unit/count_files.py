"""Small screens of raw counts, and their h5ad files."""

import anndata
import numpy as np
import pandas as pd
from scipy import sparse

from lgem.screen.annotation import shards_of
from lgem.screen.cells import plan_cells
from lgem.screen.counting import count_shard, describe_shards
from lgem.screen.entry import cell_rules
from lgem.screen.network_cells import read_control_cells

ENTRY = {
    "layer": None, "perturbation": "gene", "perturbation_pattern": None, "keep": {},
    "control": ["NT"], "combination_separator": "+", "batch": ["lane"], "covariates": [],
    "guide": None, "gene_symbols": None, "duplicates": "error", "size_factor": None,
    "orientation": "samples_by_genes",
}  # fmt: skip
TARGET = 10000.0


def make_screen(cells=120, genes=15, seed=0):
    """Return raw counts with an empty cell, a gene of zeros and cells without a label."""
    rng = np.random.default_rng(seed)
    counts = rng.poisson(rng.gamma(0.5, 4.0, (1, genes)), (cells, genes))
    counts[5], counts[:, 3] = 0, 0
    obs = pd.DataFrame(
        {
            "gene": rng.choice(["NT", "A", "B", "B+A", ""], cells),
            "lane": rng.choice(["l1", "l2"], cells),
            "total": counts.sum(axis=1) + rng.integers(0, 50, cells),
        },
        index=[f"cell{number}" for number in range(cells)],
    )
    var = pd.DataFrame(
        {"symbol": [f"S{number // 2}" for number in range(genes)]},
        index=[f"g{number}" for number in range(genes)],
    )
    return anndata.AnnData(X=sparse.csr_matrix(counts.astype(np.float32)), obs=obs, var=var)


def count(paths, entry):
    """Run plan and counting as the workflow does; return cells, groups, genes, sums, controls."""
    rules = cell_rules(entry)
    names = [path.stem for path in paths]
    shards, genes = describe_shards(shards_of(list(map(str, paths)), names), entry, rules)
    cells, groups = plan_cells(shards, rules, 1, "x: obs")
    controls = [path.with_name(f"control_{path.stem}.h5") for path in paths]
    counted = [
        count_shard(
            str(path),
            entry,
            cells[cells["shard"] == shard],
            groups=len(groups),
            target_sum=TARGET,
            control=control,
        )
        for shard, (path, control) in enumerate(zip(paths, controls, strict=True))
    ]
    sums = counted[0]
    for more in counted[1:]:
        sums = sums + more
    return cells, groups, genes, sums, [read_control_cells(control) for control in controls]
