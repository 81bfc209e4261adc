"""The network as tables and as a graph: edges, changes, statistics, distribution, genes."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from lgem.files import atomic
from lgem.network.census import BINS, Census, Pairs, Spread

if TYPE_CHECKING:
    import networkx as nx


def pair_table(pairs: Pairs, genes: Sequence[str]) -> pd.DataFrame:
    """List pairs of genes: gene_a, gene_b, before, after and change (|after| − |before|).

    With the genes of the panel sorted by name, gene_a comes before gene_b.
    """
    names = np.asarray(genes, dtype=object)
    return pd.DataFrame(
        {
            "gene_a": names[pairs.first],
            "gene_b": names[pairs.second],
            "before": pairs.before,
            "after": pairs.after,
            "change": pairs.change,
        }
    )


def edge_table(found: Census, genes: Sequence[str], threshold: float) -> pd.DataFrame:
    """List the pairs of genes with a strong partial correlation before or after the updates.

    Returns
    -------
    DataFrame
        gene_a, gene_b, before, after, change (|after| − |before|), selected_by (``threshold``, or
        ``top`` for a pair that is listed only to fill up, where strong shrinkage leaves next to
        none above it); strongest first. A pair without any partial correlation is never an edge.
    """
    edges = pair_table(found.edges, genes)
    edges["selected_by"] = np.where(found.edges.strength > threshold, "threshold", "top")
    return edges


def with_symbols(pairs: pd.DataFrame, symbols: pd.Series | None) -> pd.DataFrame:
    """Add symbol_a and symbol_b to a table of pairs, where genes have symbols (by gene)."""
    if symbols is None:
        return pairs
    spelled = symbols.astype(str)
    return pairs.assign(
        symbol_a=pairs["gene_a"].map(spelled), symbol_b=pairs["gene_b"].map(spelled)
    )


def change_table(found: Census, genes: Sequence[str]) -> pd.DataFrame:
    """List the pairs whose |partial correlation| changed most, in either direction.

    Returns
    -------
    DataFrame
        rank (from 1), gene_a, gene_b, before, after, change; largest |change| first. Pairs that did
        not change are not listed.
    """
    changes = pair_table(found.changed, genes)
    changes.insert(0, "rank", np.arange(1, len(changes) + 1))
    return changes


def network_statistics(
    found: Census, genes: int, conditions: Sequence[float | None]
) -> pd.DataFrame:
    """Describe the network before and after the updates in a few numbers.

    Parameters
    ----------
    conditions
        Condition numbers of the precision before and after.

    Returns
    -------
    DataFrame
        metric, before, after; one row each for genes, pairs, strong_edges, density (strong edges
        per pair), mean_abs_rho, max_abs_rho (over pairs) and condition_number.
    """
    both = zip((found.before, found.after), conditions, strict=True)
    columns = [_describe(spread, genes, condition) for spread, condition in both]
    table = pd.DataFrame(dict(zip(("before", "after"), columns, strict=True)))
    return table.rename_axis("metric").reset_index()


def _describe(spread: Spread, genes: int, condition: float | None) -> dict[str, float | None]:
    return {
        "genes": genes,
        "pairs": spread.pairs,
        "strong_edges": spread.strong,
        "density": spread.strong / spread.pairs,
        "mean_abs_rho": spread.total / spread.pairs,
        "max_abs_rho": spread.largest,
        "condition_number": condition,
    }


def partial_correlation_histogram(before: Spread, after: Spread, bins: int) -> pd.DataFrame:
    """Count the pairs of genes by partial correlation, before and after, in the same bins.

    Returns
    -------
    DataFrame
        left, right (bounds of a bin; about `bins` of them, symmetric about 0, that reach the
        largest |ρ|), before, after (pairs in it, all pairs in all).
    """
    reach = max(before.largest, after.largest) or 1.0
    # Whole multiples of the fine bins that were counted, as many on either side of 0.
    side = bins // 2
    width = max(1, int(np.ceil((reach * BINS / 2 + 1) / side)))
    bounds = BINS // 2 + width * np.arange(-side, side + 1)

    def counted(spread: Spread) -> np.ndarray:
        below = np.concatenate([[0], np.cumsum(spread.counts)])
        return np.diff(below[np.clip(bounds, 0, BINS)])

    edges = bounds * (2 / BINS) - 1.0
    return pd.DataFrame(
        {
            "left": edges[:-1],
            "right": edges[1:],
            "before": counted(before),
            "after": counted(after),
        }
    )


def graph(edges: pd.DataFrame, nodes: pd.DataFrame) -> nx.Graph:
    """Build the undirected network of an edge table.

    Parameters
    ----------
    edges
        As from `edge_table`; every column but the two genes becomes an attribute of the edge, and
        `weight` = |after| is added, which drawing programs look for.
    nodes
        Index: all genes of the panel, with or without edges. Columns: their attributes; a missing
        value leaves the attribute out.
    """
    import networkx as nx

    network = nx.Graph()
    for gene, attributes in zip(nodes.index, _records(nodes), strict=True):
        network.add_node(str(gene), **attributes)
    weighted = edges.drop(columns=["gene_a", "gene_b"]).assign(weight=edges["after"].abs())
    ends = zip(edges["gene_a"], edges["gene_b"], strict=True)
    for (a, b), attributes in zip(ends, _records(weighted), strict=True):
        network.add_edge(a, b, **attributes)
    return network


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as dictionaries of plain Python values, without the missing ones."""
    return [
        {str(key): value for key, value in row.items() if not pd.isna(value)}
        for row in table.to_dict("index").values()
    ]


def write_graphml(network: nx.Graph, path: str | os.PathLike[str]) -> None:
    """Write a network as GraphML; the same network gives the same bytes."""
    import networkx as nx

    with atomic(path) as temporary:
        # Not `write_graphml`, which picks another writer, with other bytes, where lxml is there.
        nx.write_graphml_xml(network, temporary, prettyprint=True)


def write_edges(
    edges: pd.DataFrame, path: str | os.PathLike[str], provenance: Mapping[str, Any]
) -> None:
    """Write an edge table as Parquet, its provenance as JSON in the file's metadata."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    # Without the note that pandas leaves in the schema: it names versions, not results.
    table = pa.Table.from_pandas(edges, preserve_index=False).replace_schema_metadata(
        {"provenance": json.dumps(provenance, sort_keys=True)}
    )
    with atomic(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")
