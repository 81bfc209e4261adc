"""Small screens made by hand, where a test wants to know every cell."""

from __future__ import annotations

from collections.abc import Sequence

import anndata
import numpy as np
import pandas as pd
from scipy import sparse

GENES = tuple(f"GENE{row}" for row in range(1, 13))
CONTROL = "non-targeting"
PERTURBATIONS = GENES[:4]
# The entry of the config that reads these screens.
CELLS = {"perturbation": "gene", "control": CONTROL, "batch": "lane"}


def cells_of(
    perturbations: Sequence[str] = PERTURBATIONS,
    *,
    each: int = 12,
    controls: int = 40,
    genes: Sequence[str] = GENES,
    seed: int = 0,
) -> anndata.AnnData:
    """Return raw counts of a screen in two lanes; perturbed genes are lowered."""
    rng = np.random.default_rng(seed)
    label = np.repeat([CONTROL, *perturbations], [controls, *[each] * len(perturbations)])
    level = np.tile(rng.uniform(3, 12, len(genes)), (len(label), 1))
    lane = np.arange(len(label)) % 2
    level *= np.where(lane[:, None] == 1, rng.uniform(0.8, 1.2, len(genes)), 1.0)
    for column, gene in enumerate(genes):
        level[[gene in name.split("+") for name in label], column] *= 0.2
    obs = pd.DataFrame({"gene": label, "lane": [f"lane_{number}" for number in lane]})
    obs.index = [f"cell_{row}" for row in range(len(obs))]
    counts = sparse.csr_matrix(rng.poisson(level).astype(np.float32))
    return anndata.AnnData(X=counts, obs=obs, var=pd.DataFrame(index=list(genes)))


def in_contexts(
    contexts: Sequence[str], perturbations: Sequence[str] = PERTURBATIONS
) -> anndata.AnnData:
    """Return a screen done in several cell lines, named in the column line.

    Each line has its own levels of expression, and its own share by which targets are lowered.
    """
    parts = []
    for number, context in enumerate(contexts):
        part = cells_of(perturbations, seed=number)
        part.obs["line"] = context
        part.obs_names = [f"{context}_{name}" for name in part.obs_names]
        parts.append(part)
    return anndata.concat(parts)


def profiles_of(
    perturbations: Sequence[str] = PERTURBATIONS,
    *,
    replicates: int = 3,
    genes: Sequence[str] = GENES,
    seed: int = 0,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return log-scale profiles (samples × genes) and their metadata, in two batches."""
    rng = np.random.default_rng(seed)
    label = np.repeat(
        [CONTROL, *perturbations], [2 * replicates, *[replicates] * len(perturbations)]
    )
    batch = np.arange(len(label)) % 2
    values = rng.uniform(2, 6, len(genes)) + rng.normal(0, 0.3, (len(label), len(genes)))
    values += 0.5 * batch[:, None]
    for column, gene in enumerate(genes):
        values[[gene in name.split("+") for name in label], column] -= 1.5
    names = pd.Index([f"sample_{row}" for row in range(len(label))], name="sample")
    table = pd.DataFrame(values, index=names, columns=list(genes))
    metadata = pd.DataFrame({"gene": label, "lane": [f"lane_{n}" for n in batch]}, index=names)
    return table, metadata
