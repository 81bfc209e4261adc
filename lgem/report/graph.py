"""The network as a graph to walk through: its strongest edges and largest changes, with places."""

from __future__ import annotations

import math
from collections.abc import Hashable
from typing import NamedTuple

import networkx as nx
import numpy as np
import pandas as pd

from lgem.figures import graph_layout

WIDTH, HEIGHT = 190.0, 118.0  # of the drawing, in units that are mm where it is 190 mm wide
RADIUS, LETTER = 1.3, 2.6
_APART = 4.0
_WIDE, _THIN = 1.3, 0.15  # of lines
MODES = ("before", "after", "change")
MOST_MODULES = 7  # with a colour of their own
_UPDATED = "all updates"

Places = dict[Hashable, tuple[float, float]]


class Node(NamedTuple):
    """A gene: where it and its name stand, its module's colour (0: none), whether it is a target.

    A gene whose name has no room is named once it is chosen.
    """

    gene: str
    label: str
    x: float
    y: float
    label_x: float
    label_y: float
    named: bool
    colour: int
    module: str
    target: bool


class Edge(NamedTuple):
    """An edge: its ends, and per mode its value and the width of its line."""

    gene_a: str
    gene_b: str
    x1: float
    y1: float
    x2: float
    y2: float
    values: dict[str, float]
    widths: dict[str, float]


class Drawing(NamedTuple):
    """The graph, and the modes in which it can be seen; one alone where nothing updated it."""

    nodes: list[Node]
    edges: list[Edge]
    modes: tuple[str, ...]


def drawing(edges: pd.DataFrame, changes: pd.DataFrame, genes: pd.DataFrame) -> Drawing | None:
    """Return the strongest edges and those that all updates changed most, with a place per gene.

    Parameters
    ----------
    edges
        ``strongest.tsv``: gene_a, gene_b, before, after, change; symbols where genes have them.
    changes
        ``changes.tsv``: the same pairs by update; of these the changes by all updates are taken.
    genes
        ``genes.tsv``: gene, module, target; symbol where genes have them.

    Returns
    -------
    Drawing, or None where there is no edge to draw.
    """
    changed = changes[changes["update"] == _UPDATED] if len(changes) else changes
    pairs = pd.concat([part for part in (edges, changed) if len(part)] or [edges])
    pairs = pairs.drop_duplicates(["gene_a", "gene_b"]) if len(pairs) else pairs
    if pairs.empty:
        return None
    ends = [(str(a), str(b)) for a, b in zip(pairs["gene_a"], pairs["gene_b"], strict=True)]
    values = {mode: pd.to_numeric(pairs[mode], errors="coerce").to_numpy() for mode in MODES}
    updated = bool(np.any(np.nan_to_num(values["change"]) != 0))
    parts = graph_layout.components(nx.Graph(ends))
    found = graph_layout.place(parts, WIDTH, HEIGHT, _APART)
    # Rounded, the same drawing comes from processors that differ in their last digits.
    places: Places = {str(gene): (round(x, 2), round(y, 2)) for gene, (x, y) in found.items()}
    return Drawing(
        _nodes(places, ends, _symbols(pairs, genes), genes),
        _edges(places, ends, values),
        MODES if updated else ("before",),
    )


def _symbols(pairs: pd.DataFrame, genes: pd.DataFrame) -> dict[str, str]:
    """Return what genes are called, where their ids are not what people say."""
    found: dict[str, str] = {}
    named = ((pairs, "gene_a", "symbol_a"), (pairs, "gene_b", "symbol_b"))
    for table, gene, symbol in (*named, (genes, "gene", "symbol")):
        if symbol in table:
            known = table[table[symbol].notna()]
            found |= dict(zip(known[gene].astype(str), known[symbol].astype(str), strict=True))
    return found


def _nodes(
    places: Places,
    ends: list[tuple[str, str]],
    symbols: dict[str, str],
    genes: pd.DataFrame,
) -> list[Node]:
    labels = {gene: symbols.get(gene, gene) for gene in map(str, places)}
    degree = pd.Series([gene for pair in ends for gene in pair]).value_counts()
    # Genes with many edges are named first.
    order = sorted(map(str, places), key=lambda gene: (-int(degree[gene]), gene))
    sizes: Places = {
        gene: (0.66 * LETTER * len(labels[gene]) + 0.6, 1.1 * LETTER) for gene in order
    }
    lines = np.array([[places[a], places[b]] for a, b in ends], dtype=float)
    names = graph_layout.name_places(
        places, sizes, lines, np.empty((0, 2)), 1.2 * RADIUS, WIDTH, HEIGHT
    )
    known = genes.assign(gene=genes["gene"].astype(str)).set_index("gene")
    modules = pd.to_numeric(known["module"], errors="coerce").reindex(list(places))
    largest = sorted(modules.value_counts().index[:MOST_MODULES])
    targets = set(known.index[known["target"].eq(True)])
    nodes = []
    for gene in order:
        x, y = places[gene]
        label_x, label_y = names.get(gene, (x, y - RADIUS - 0.6 * LETTER))
        module = modules[gene]
        colour = largest.index(module) + 1 if module in largest else 0
        nodes.append(
            Node(
                *(gene, labels[gene], x, y, round(label_x, 2), round(label_y, 2), gene in names),
                *(colour, "" if math.isnan(module) else f"{module:g}", gene in targets),
            )
        )
    return nodes


def _edges(
    places: Places,
    ends: list[tuple[str, str]],
    values: dict[str, np.ndarray],
) -> list[Edge]:
    """Return the edges, weak ones first; widths go with size, in each mode by its largest."""
    sizes = {mode: np.abs(np.nan_to_num(value)) for mode, value in values.items()}
    most = {mode: float(size.max()) or 1.0 for mode, size in sizes.items()}
    # Before and after have one scale, so that a change of width is a change of the edge.
    most["before"] = most["after"] = max(most["before"], most["after"])
    edges = []
    for k in np.argsort(sizes["after"], kind="stable"):
        a, b = ends[k]
        edges.append(
            Edge(
                *(a, b, *places[a], *places[b]),
                {mode: float(f"{np.nan_to_num(values[mode][k]):.4g}") for mode in MODES},
                {mode: round(max(_WIDE * sizes[mode][k] / most[mode], _THIN), 3) for mode in MODES},
            )
        )
    return edges
