"""The genes of the network: how many edges they have, and which modules they form."""

from __future__ import annotations

import numpy as np
import pandas as pd

# A smaller group is a pair of genes, or a gene alone, and no module.
SMALLEST = 3
# False discovery rate up to which an edge may hold a module together.
LEVEL = 0.05
ENDS, STAGES = ("gene_a", "gene_b"), ("before", "after")


def gene_table(
    edges: pd.DataFrame, nodes: pd.DataFrame, threshold: float, seed: int
) -> pd.DataFrame:
    """Describe every gene of the panel by the edges that are listed.

    Parameters
    ----------
    edges
        As from `edge_table`, with q_value.
    nodes
        Index: the genes of the panel. Columns are kept.
    threshold
        |ρ| above which an edge is strong, for the degrees. Where none is, neither before nor after
        the updates, all listed ones count.
    seed
        Of the order in which genes are moved between modules.

    Returns
    -------
    DataFrame
        gene, the columns of `nodes`, degree_before, degree_after (strong edges of the gene),
        strength_before, strength_after (sum of |ρ| over its listed edges) and module: the
        community, by Louvain's method on |ρ| after the updates, of edges that are strong or have a
        q-value of at most .05; 1 is the largest; missing for a gene without such a community of
        three genes.
    """
    table = nodes.rename_axis("gene").reset_index()
    counted = {when: edges[when].abs() for when in STAGES}
    # One bar for both, or degrees before and after could not be compared.
    bar = threshold if any((size > threshold).any() for size in counted.values()) else 0.0
    for when, size in counted.items():
        strong = size > bar
        table[f"degree_{when}"] = _over_ends(edges, strong.astype(np.int64), nodes.index)
        table[f"strength_{when}"] = _over_ends(edges, size, nodes.index)
    believed = edges[(edges["q_value"] <= LEVEL) | (edges["after"].abs() > threshold)]
    table["module"] = nodes.index.map(_modules(believed, seed)).astype("Int64")
    degrees, strengths = ["degree_before", "degree_after"], ["strength_before", "strength_after"]
    return table[["gene", *nodes.columns, *degrees, *strengths, "module"]]


def _over_ends(edges: pd.DataFrame, values: pd.Series, genes: pd.Index) -> np.ndarray:
    """Sum values of edges over the edges of each gene."""
    both = [values.groupby(edges[end]).sum().reindex(genes, fill_value=0) for end in ENDS]
    return (both[0] + both[1]).to_numpy()


def _modules(edges: pd.DataFrame, seed: int) -> dict[str, int]:
    """Return the module of every gene that is in one."""
    import networkx as nx

    weighted = edges.assign(weight=edges["after"].abs()).query("weight > 0")
    if weighted.empty:
        return {}
    network = nx.from_pandas_edgelist(weighted, *ENDS, "weight")
    found = nx.community.louvain_communities(network, weight="weight", seed=seed)
    # In an order of their own: by size, then by the first name.
    modules = sorted((sorted(genes) for genes in found), key=lambda genes: (-len(genes), genes[0]))
    large = [genes for genes in modules if len(genes) >= SMALLEST]
    return {gene: number for number, genes in enumerate(large, start=1) for gene in genes}
