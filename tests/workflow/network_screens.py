"""Screens whose networks the tests of its settings compare: small, with symbols, and two of a kind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd

from lgem.config_dataset import Simulation
from lgem.screen.simulate import SimulatedScreen, simulate_screen
from tests.workflow.running import TINY, write_config

PANEL = 30
ENTRY = {
    "perturbation": "perturbation",
    "control": "non-targeting",
    "batch": "batch",
    "gene_symbols": "symbol",
}
# Updates and permutations only where a test asks for them.
NETWORK = {"panel": PANEL, "updates": [], "permutations": 5, "top_edges": 60}


def simulated(seed: int) -> SimulatedScreen:
    """Return a tiny screen whose genes have ids, and their simulated names as symbols."""
    screen = simulate_screen(**Simulation(**TINY).model_dump(), seed=seed)
    screen.cells.var["symbol"] = screen.cells.var_names.to_numpy()
    screen.cells.var_names = [f"ENSG{row:02}" for row in range(screen.cells.n_vars)]
    return screen


def make_screens(folder: Path) -> None:
    """Write two screens of the same genes, in another order, and the first one's true network."""
    first, second = simulated(1), simulated(2)
    first.cells.write_h5ad(folder / "mine.h5ad")
    second.cells[:, ::-1].copy().write_h5ad(folder / "other.h5ad")
    edges = first.network.loc[first.network["precision"] == 1, ["gene_a", "gene_b"]]
    edges.to_csv(folder / "reference.tsv", sep="\t", index=False)


def network_config(folder: Path, **network: Any) -> None:
    """Write a config for these screens with some settings of the network."""
    datasets = {
        "mine": {**ENTRY, "path": "mine.h5ad", "reference_network": "reference.tsv"},
        "other": {**ENTRY, "path": "other.h5ad"},
    }
    write_config(
        folder, dataset="mine", datasets=datasets, network={**NETWORK, **network}
    )


def control_expression(path: Path, genes: list[str]) -> tuple[np.ndarray, pd.Series]:
    """Return the log-expression of a screen's control cells, as anybody would, and their batches."""
    cells = anndata.read_h5ad(path)
    cells = cells[cells.obs["perturbation"] == "non-targeting"]
    counts = cells.X.toarray().astype(float)
    logs = np.log1p(10_000 * counts / counts.sum(axis=1, keepdims=True))
    return logs[:, cells.var_names.get_indexer(genes)], cells.obs["batch"]
