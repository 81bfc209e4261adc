"""Two small screens of the same genes, for tests of the network's settings."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from lgem.config_dataset import Simulation
from lgem.screen.simulate import SimulatedScreen, simulate_screen
from tests.workflow.running import TINY, Run, succeed, write_config

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
    write_config(folder, dataset="mine", datasets=datasets, network={**NETWORK, **network})


def control_expression(path: Path, genes: list[str]) -> tuple[np.ndarray, pd.Series]:
    """Return the log-expression of control cells, as by hand, and their batches."""
    cells = anndata.read_h5ad(path)
    cells = cells[cells.obs["perturbation"] == "non-targeting"]
    counts = cells.X.toarray().astype(float)
    logs = np.log1p(10_000 * counts / counts.sum(axis=1, keepdims=True))
    return logs[:, cells.var_names.get_indexer(genes)], cells.obs["batch"]


def result(*tables: str) -> list[str]:
    """Return tables of the network as targets."""
    return [f"results/mine/network/{table}" for table in tables]


def rerun(run: Run, folder: Path, *tables: str, **network: Any) -> Run:
    """Run a copy of a run on to tables of the network with other settings."""
    shutil.copytree(run.folder, folder)
    network_config(folder, **network)
    return succeed(folder, *result(*tables))


def edges_of(run: Run) -> pd.DataFrame:
    """Return all edges that a run lists."""
    return pq.read_table(run.folder / "results/mine/network/edges.parquet").to_pandas()


def arrays_of(run: Run) -> dict[str, np.ndarray]:
    """Return the network's matrices."""
    with np.load(run.folder / "results/mine/network/precision.npz") as saved:
        return dict(saved)


def estimate_of(run: Run) -> dict[str, np.ndarray]:
    """Return what was estimated before any update."""
    with np.load(run.folder / "results/mine/work/network_estimate.npz") as saved:
        return dict(saved)


def log_of(run: Run, rule: str) -> str:
    """Return what a rule told."""
    return (run.folder / "logs" / "mine" / f"{rule}.log").read_text("utf-8")


def are_inverses(first: np.ndarray, second: np.ndarray) -> None:
    """Require that two matrices are each other's inverse."""
    np.testing.assert_allclose(first @ second, np.eye(len(first)), atol=1e-9)


def partial(precision: np.ndarray) -> np.ndarray:
    """Return partial correlations by their definition, but for the diagonal."""
    size = np.sqrt(np.diag(precision))
    return -precision / np.outer(size, size)
