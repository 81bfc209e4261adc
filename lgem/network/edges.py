"""The network as tables and as a graph: edges, changes, statistics, distribution."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from lgem.files import atomic

if TYPE_CHECKING:
    import networkx as nx


@dataclass(frozen=True)
class _Pairs:
    """All pairs of genes, in the order of their names, with their partial correlations."""

    names: np.ndarray
    before: np.ndarray
    after: np.ndarray

    @property
    def change(self) -> np.ndarray:
        return np.abs(self.after) - np.abs(self.before)

    def table(self, chosen: np.ndarray) -> pd.DataFrame:
        first, second = np.divmod(np.flatnonzero(_above(len(self.names)))[chosen], len(self.names))
        return pd.DataFrame(
            {
                "gene_a": self.names[first],
                "gene_b": self.names[second],
                "before": self.before[chosen],
                "after": self.after[chosen],
                "change": self.change[chosen],
            }
        )


def _pairs(before: np.ndarray, after: np.ndarray, genes: Sequence[str]) -> _Pairs:
    # With the genes sorted first, the position of a pair is its alphabetical rank: a stable sort
    # by size then settles ties by name, without ever sorting strings.
    order = np.argsort(np.asarray(genes, dtype=str), kind="stable")
    block = np.ix_(order, order)
    return _Pairs(
        np.asarray(genes, dtype=object)[order], _upper(before[block]), _upper(after[block])
    )


def _above(n: int) -> np.ndarray:
    """Mask of the pairs above the diagonal of an n x n matrix."""
    return ~np.tri(n, dtype=bool)


def _upper(matrix: np.ndarray) -> np.ndarray:
    return matrix[_above(len(matrix))]


def _largest(values: np.ndarray, most: int) -> np.ndarray:
    """Positions of the `most` largest positive values, largest first, ties by position."""
    candidates = np.flatnonzero(values > 0.0)
    if most < len(candidates):
        smallest = np.partition(values[candidates], -most)[-most] if most else np.inf
        candidates = candidates[values[candidates] >= smallest]
    return candidates[np.argsort(-values[candidates], kind="stable")][:most]


def edge_table(
    before: np.ndarray, after: np.ndarray, genes: Sequence[str], threshold: float, top: int
) -> pd.DataFrame:
    """List the pairs of genes with a strong partial correlation before or after the updates.

    Parameters
    ----------
    before, after : (genes, genes)
        Partial correlations.
    genes
        Names of the rows, unique.
    threshold : float
        A pair is an edge where |before| or |after| is larger than this.
    top : int
        Where fewer pairs than this are above the threshold (strong shrinkage can leave next to
        none), the `top` pairs with the largest of |before| and |after| are listed.

    Returns
    -------
    DataFrame
        gene_a, gene_b (alphabetical within the pair), before, after, change (|after| − |before|),
        selected_by (``threshold``, or ``top`` for a pair that is listed only to fill up); strongest
        first, ties by name. A pair without any partial correlation is never an edge.
    """
    pairs = _pairs(before, after, genes)
    strength = np.maximum(np.abs(pairs.before), np.abs(pairs.after))
    strong = int((strength > threshold).sum())
    edges = pairs.table(_largest(strength, max(strong, top)))
    edges["selected_by"] = np.where(np.arange(len(edges)) < strong, "threshold", "top")
    return edges


def with_symbols(pairs: pd.DataFrame, symbols: pd.Series | None) -> pd.DataFrame:
    """Add symbol_a and symbol_b to a table of pairs, where genes have symbols (by gene)."""
    if symbols is None:
        return pairs
    spelled = symbols.astype(str)
    return pairs.assign(
        symbol_a=pairs["gene_a"].map(spelled), symbol_b=pairs["gene_b"].map(spelled)
    )


def largest_changes(
    before: np.ndarray, after: np.ndarray, genes: Sequence[str], n: int = 20
) -> pd.DataFrame:
    """List the n pairs whose |partial correlation| changed most, in either direction.

    Returns
    -------
    DataFrame
        rank (from 1), gene_a, gene_b, before, after, change (|after| − |before|); largest |change|
        first, ties by name. Pairs that did not change are not listed.
    """
    pairs = _pairs(before, after, genes)
    changes = pairs.table(_largest(np.abs(pairs.change), n))
    changes.insert(0, "rank", np.arange(1, len(changes) + 1))
    return changes


def network_statistics(
    before: np.ndarray,
    after: np.ndarray,
    threshold: float,
    conditions: tuple[float, float],
) -> pd.DataFrame:
    """Describe the network before and after the updates in a few numbers.

    Parameters
    ----------
    before, after : (genes, genes)
        Partial correlations.
    threshold : float
        A strong edge has |ρ| above this.
    conditions
        Condition numbers of the precision before and after.

    Returns
    -------
    DataFrame
        metric, before, after; one row each for genes, pairs, strong_edges, density (strong edges
        per pair), mean_abs_rho, max_abs_rho (over pairs) and condition_number.
    """
    columns = {
        "before": _describe(before, threshold, conditions[0]),
        "after": _describe(after, threshold, conditions[1]),
    }
    return pd.DataFrame(columns).rename_axis("metric").reset_index()


def _describe(rho: np.ndarray, threshold: float, condition: float) -> dict[str, float]:
    strength = np.abs(_upper(rho))
    strong = int((strength > threshold).sum())
    return {
        "genes": len(rho),
        "pairs": len(strength),
        "strong_edges": strong,
        "density": strong / len(strength),
        "mean_abs_rho": float(strength.mean()),
        "max_abs_rho": float(strength.max()),
        "condition_number": condition,
    }


def partial_correlation_histogram(before: np.ndarray, after: np.ndarray, bins: int) -> pd.DataFrame:
    """Count the pairs of genes by partial correlation, before and after, in the same bins.

    Returns
    -------
    DataFrame
        left, right (bounds of a bin; the bins are symmetric about 0 and reach the largest |ρ|),
        before, after (pairs in it, all pairs in all).
    """
    first, second = _upper(before), _upper(after)
    reach = max(np.abs(first).max(), np.abs(second).max()) or 1.0
    bounds = np.linspace(-reach, reach, bins + 1)
    return pd.DataFrame(
        {
            "left": bounds[:-1],
            "right": bounds[1:],
            "before": np.histogram(first, bounds)[0],
            "after": np.histogram(second, bounds)[0],
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
