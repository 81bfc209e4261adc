"""What a single response would do to the network: its rewired edges."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from lgem.network.census import PartialCorrelations
from lgem.network.updates import UpdatedPrecision

# Pairs are looked for among this many genes, those that a response moves most.
MOVED = 1000


def rewired(
    precision: UpdatedPrecision,
    rho: PartialCorrelations,
    loadings: np.ndarray,
    names: Sequence[str],
    genes: Sequence[str],
    most: int = 10,
) -> pd.DataFrame:
    """List the pairs of genes whose |partial correlation| each response alone changes most.

    By Sherman and Morrison, with u = Θx / √(1 + xᵀΘx) and z_i = u_i / √θ_ii, the update Σ + x xᵀ
    has ρ'_ij = (ρ_ij + z_i z_j) / √((1 − z_i²)(1 − z_j²)): no matrix is inverted or formed.

    Parameters
    ----------
    precision
        Of the base covariance, before any update.
    rho
        Its partial correlations.
    loadings : (genes, k)
        x of each response, in the units of the standardised covariance.
    names
        Of the responses.
    genes
        Names of the panel, sorted.
    most
        Pairs for a response. They are looked for among the 1,000 genes that it moves most.

    Returns
    -------
    DataFrame
        update (the response), rank, gene_a, gene_b, before, after, change (|after| − |before|).
    """
    u = precision.form.times(loadings)
    u /= np.sqrt(1.0 + np.einsum("ij,ij->j", loadings, u))
    z = u / np.sqrt(precision.form.diagonal())[:, None]
    tables = [_rewired(rho, z[:, k], name, genes, most) for k, name in enumerate(names)]
    columns = ["update", "rank", "gene_a", "gene_b", "before", "after", "change"]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=columns)


def _rewired(
    rho: PartialCorrelations, z: np.ndarray, name: str, genes: Sequence[str], most: int
) -> pd.DataFrame:
    """List the pairs that one response changes most."""
    moved = np.sort(np.argsort(-np.abs(z), kind="stable")[:MOVED])
    before, z = rho.block(moved, moved), z[moved]
    root = np.sqrt(1.0 - z**2)
    after = (before + np.outer(z, z)) / np.outer(root, root)
    change = np.triu(np.abs(after) - np.abs(before), 1)
    strongest = np.argsort(-np.abs(change), axis=None, kind="stable")[:most]
    strongest = strongest[change.ravel()[strongest] != 0.0]
    first, second = np.divmod(strongest, len(moved))
    called = np.asarray(genes, dtype=object)[moved]
    return pd.DataFrame(
        {
            "update": name,
            "rank": np.arange(1, len(strongest) + 1),
            "gene_a": called[first],
            "gene_b": called[second],
            "before": before[first, second],
            "after": after[first, second],
            "change": change[first, second],
        }
    )
