"""Picture of the gene network itself: its strongest edges, modules and perturbed genes."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Literal

import networkx as nx
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from lgem.figures import graph_layout, style
from lgem.figures.looks import INDIGO, SKY
from lgem.figures.style import Drawn

EDGES_COLUMNS = ("gene_a", "gene_b", "before", "after", "change", "selected_by", "q_value")
NODES_COLUMNS = ("gene", "module", "degree_after", "target")
GRAPH_COLUMNS = (
    "mark", "gene", "label", "named", "x", "y", "module", "colour", "degree", "target", "gene_a",
    "gene_b", "before", "after", "change", "selected_by", "q_value", "sign", "new", "line_width",
    "note",
)  # fmt: skip

MOST_EDGES, MOST_MODULES = 80, 7
SIGNIFICANT = 0.05
NAME_MM = 24.0
NODE_MM = 1.1  # radius
_APART_MM = 3.4
_SMALLEST_MM, _LARGEST_MM = 30.0, 96.0
_TITLE = "Gene network after the updates"
# Okabe and Ito's yellow serves as a fill, not as a line.
_MODULES = (
    SKY, style.ORANGE, style.GREEN, style.PURPLE, "#F0E442", INDIGO, "#A65E00",
)  # fmt: skip
_REST = "#A8A8A8"
_SIGNS: dict[str, tuple[str, Literal["-", "--"]]] = {
    "positive": (style.BLUE, "-"),
    "negative": (style.VERMILLION, "--"),
}
_THICK, _THIN = 2.4, 0.4  # points


@style.styled
def network_graph(edges: pd.DataFrame, nodes: pd.DataFrame) -> Drawn:
    """Draw the strongest edges of the network after the updates, and the genes they join.

    Edges have the colour and dash of their sign and a width in proportion to |ρ|; a diamond marks
    those that were weaker before the updates than the weakest edge drawn. Genes have the colour
    of their module and a ring where they are targets of perturbations. Connected components stand
    side by side; distances follow the number of edges between genes and have no unit.

    Parameters
    ----------
    edges
        ``strongest.tsv``: gene_a, gene_b, before, after (partial correlations), change (of the
        absolute value), selected_by, q_value (false discovery rate of ``before``) and, where genes
        have symbols to be called by, symbol_a, symbol_b. At most the strongest 80 are drawn.
    nodes
        ``genes.tsv``: gene, module (1 is the largest; missing for a gene without an edge),
        degree_after, target (whether a perturbation targets the gene) and, where known, symbol.

    Returns
    -------
    figure, table
        Rows of the table: ``node`` (x and y in mm; ``named`` where its name had room), ``edge``
        and ``note``.
    """
    drawn, left_out = _strongest(edges)
    if drawn.empty:
        why = "no pair of genes has a partial correlation after the updates"
        why = f"{left_out} without a value after the updates" if left_out else why
        return style.empty_figure(
            f"No edges to draw: {why}.", GRAPH_COLUMNS, title=_TITLE, width="double"
        )
    genes = _genes(drawn, edges, nodes)
    notes = _notes(drawn, genes)
    figure, genes, notes = _draw(drawn, genes, notes)
    said = pd.DataFrame({"mark": "note", "note": notes})
    parts = [genes.assign(mark="node"), drawn.assign(mark="edge"), said]
    return figure, style.drawn_table(parts, GRAPH_COLUMNS)


def _strongest(edges: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """Return the edges that are drawn, strongest first, and how many rows have no value."""
    table = style.take(edges, EDGES_COLUMNS, "table of strongest edges")
    for name in ("gene_a", "gene_b", "selected_by"):
        table[name] = style.texts(table[name])
    for name in ("before", "after", "change", "q_value"):
        table[name] = style.numbers(table[name])
    left_out = int(table["after"].isna().sum())
    table["size"] = table["after"].abs()
    table = table[(table["size"] > 0) & (table["gene_a"] != table["gene_b"])]
    if table.empty:
        return table, left_out
    ends = table[["gene_a", "gene_b"]].to_numpy(dtype=object)
    table = table.assign(pair=["\t".join(sorted(pair)) for pair in ends])
    # Of equally strong edges the first in the alphabet, so that the order of rows has no say.
    order = ["size", "gene_a", "gene_b"]
    table = table.sort_values(order, ascending=[False, True, True], kind="stable")
    table = table.drop_duplicates("pair").head(MOST_EDGES).reset_index(drop=True)
    table["sign"] = np.where(table["after"] > 0, "positive", "negative")
    # An edge whose strength before is not known is not called new.
    table["new"] = table["before"].abs() < table["size"].min()
    table["line_width"] = (_THICK * table["size"] / table["size"].max()).clip(lower=_THIN)
    return table.drop(columns=["size", "pair"]), left_out


def _genes(drawn: pd.DataFrame, edges: pd.DataFrame, nodes: pd.DataFrame) -> pd.DataFrame:
    """Return the genes at the ends of the edges drawn, in order of their degree."""
    ends = pd.concat([drawn["gene_a"], drawn["gene_b"]])
    degree = ends.value_counts()
    table = pd.DataFrame({"gene": sorted(degree.index)})
    table["edges_drawn"] = table["gene"].map(degree).astype(int)
    known = style.take(nodes, NODES_COLUMNS, "table of genes")
    known["gene"] = style.texts(known["gene"])
    known["module"] = style.numbers(known["module"])
    known["degree"] = style.numbers(known["degree_after"])
    known["target"] = known["target"].eq(True)
    known = known.drop_duplicates("gene").set_index("gene")
    for name in ("module", "degree"):
        table[name] = table["gene"].map(known[name]).astype(float)
    table["target"] = table["gene"].isin(known.index[known["target"]])
    # The edges drawn are the least degree that a gene can have.
    table["degree"] = table["degree"].fillna(table["edges_drawn"])
    called = _symbols(edges, nodes)
    whole = [called.get(gene) or gene for gene in table["gene"]]
    table["label"] = [style.shorten(name, NAME_MM) for name in whole]
    table["colour"] = table["module"].map(_module_colours(table["module"])).fillna(_REST)
    order = ["degree", "edges_drawn", "gene"]
    table = table.sort_values(order, ascending=[False, False, True], kind="stable")
    return table.reset_index(drop=True)


def _symbols(edges: pd.DataFrame, nodes: pd.DataFrame) -> dict[str, str]:
    """Return what genes are called: by the table of genes, else by that of edges."""
    found: dict[str, str] = {}
    for table, gene, symbol in (
        (edges, "gene_a", "symbol_a"), (edges, "gene_b", "symbol_b"), (nodes, "gene", "symbol"),
    ):  # fmt: skip
        if symbol in table:
            both = zip(style.texts(table[gene]), style.texts(table[symbol]), strict=True)
            found |= {name: called for name, called in both if called}
    return found


def _module_colours(modules: pd.Series) -> dict[float, str]:
    """Return a colour for each of the modules of which most genes are drawn, in their order."""
    counts = modules.dropna().value_counts().sort_index().sort_values(
        ascending=False, kind="stable"
    )  # fmt: skip
    return dict(zip(sorted(counts.index[:MOST_MODULES]), _MODULES, strict=False))


def _notes(drawn: pd.DataFrame, genes: pd.DataFrame) -> list[str]:
    """Return what has to be said of the edges and genes drawn."""
    n = len(drawn)
    weakest, strongest = (f"{drawn['after'].abs().agg(how):.3g}" for how in ("min", "max"))
    notes = [
        f"The {n} strongest edges, |ρ| {weakest} to {strongest}; line width in proportion to |ρ|."
        if weakest != strongest else f"{n} edge{'s' * (n > 1)}, |ρ| {strongest}."
    ]  # fmt: skip
    filled = int((drawn["selected_by"] == "top").sum())
    if filled:
        which = "All" if filled == n else f"{filled} of {n}"
        notes.append(f"{which} below the threshold, listed by rank.")
    tested = drawn["q_value"].dropna()
    if len(tested):
        found = int((tested <= SIGNIFICANT).sum())
        notes.append(
            f"Before the updates, {found} of {len(tested)} have a false discovery rate of at most "
            f"{SIGNIFICANT:g}."
        )
    notes.append("In brackets: genes drawn. Distances have no unit.")
    return notes


def _draw(
    drawn: pd.DataFrame, genes: pd.DataFrame, notes: list[str]
) -> tuple[Figure, pd.DataFrame, list[str]]:
    """Draw the network; return also the genes with their places, and what the foot says."""
    crowd = max(len(genes), 0.75 * len(drawn))
    height = float(np.clip(24 + 1.3 * crowd, _SMALLEST_MM, _LARGEST_MM))
    legend = _legend(drawn, genes)
    axes = _panel(height, legend, notes)
    wide, high = round(style.panel_width(axes), 3), round(style.panel_height(axes), 3)
    placed, names = _placed(drawn, genes, wide, high)
    missing = int((~placed["named"]).sum())
    if missing:
        # One more sentence below leaves the panel as large as it is.
        notes = [*notes, f"{missing} gene{'s' * (missing > 1)} not named for want of room."]
        axes = _panel(height, legend, notes)
    axes.set(xlim=(0, wide), ylim=(0, high))
    _draw_edges(axes, drawn, placed)
    _draw_genes(axes, placed, names)
    figure = axes.get_figure(root=True)
    assert figure is not None  # only an axes that was removed has none
    return figure, placed, notes


def _panel(height: float, legend: list[tuple[Line2D, str]], notes: list[str]) -> Axes:
    """Return the empty panel of a new figure whose layout is final."""
    figure = style.new_figure("double", height, title=_TITLE, note=" ".join(notes), legend=legend)
    axes = figure.subplots()
    axes.set_axis_off()
    style.freeze(figure)
    return axes


def _placed(
    drawn: pd.DataFrame, genes: pd.DataFrame, width: float, height: float
) -> tuple[pd.DataFrame, dict[str, tuple[float, float]]]:
    """Return the genes with their places in a panel, and the middles of the names with room."""
    pairs = list(zip(drawn["gene_a"], drawn["gene_b"], strict=True))
    parts = graph_layout.components(nx.Graph(pairs))
    points = graph_layout.place(parts, width, height, _APART_MM)
    # Rounded, the same picture comes from processors that differ in their last digits.
    places = {name: (round(x, 3), round(y, 3)) for name, (x, y) in points.items()}
    x, y = ([places[gene][k] for gene in genes["gene"]] for k in range(2))
    sizes = {
        gene: (style.text_width(label) + 0.4, 0.85 * style.LINE_MM[style.SMALL])
        for gene, label in zip(genes["gene"], genes["label"], strict=True)
    }
    lines = _ends(drawn, places)
    names = graph_layout.name_places(
        places, sizes, lines, _middles(drawn, lines), 1.25 * NODE_MM, width, height
    )
    placed = genes.assign(x=x, y=y, named=[gene in names for gene in genes["gene"]])
    return placed, {str(gene): place for gene, place in names.items()}


def _ends(drawn: pd.DataFrame, places: Mapping[Hashable, tuple[float, float]]) -> np.ndarray:
    """Return the places of the genes at both ends of every edge, (edges, 2, 2)."""
    pairs = zip(drawn["gene_a"], drawn["gene_b"], strict=True)
    return np.array([[places[a], places[b]] for a, b in pairs], dtype=float)


def _middles(drawn: pd.DataFrame, lines: np.ndarray) -> np.ndarray:
    """Return the middles of the edges that are new, where their diamonds stand."""
    return lines[drawn["new"].to_numpy(dtype=bool)].mean(axis=1)


def _draw_edges(axes: Axes, drawn: pd.DataFrame, placed: pd.DataFrame) -> None:
    """Draw every edge as a line, strong ones above weak ones, new ones with a diamond."""
    xy = placed[["x", "y"]].astype(float).itertuples(index=False, name=None)
    lines = _ends(drawn, dict(zip(placed["gene"], xy, strict=True)))
    for sign, (colour, dash) in _SIGNS.items():
        own = np.flatnonzero(drawn["sign"] == sign)[::-1]
        axes.add_collection(
            LineCollection(
                list(lines[own]), colors=colour, linestyles=dash, zorder=1, gid=f"edges {sign}",
                linewidths=drawn["line_width"].to_numpy(dtype=float)[own],
            ),
            autolim=False,
        )  # fmt: skip
    new = _middles(drawn, lines)
    axes.scatter(
        new[:, 0], new[:, 1], marker="D", s=9, facecolors="white", edgecolors=style.BLACK,
        linewidths=0.6, zorder=2, gid="new",
    )  # fmt: skip


def _draw_genes(axes: Axes, placed: pd.DataFrame, names: dict[str, tuple[float, float]]) -> None:
    """Draw a disc per gene, a ring around targets, and the names that have room."""
    diameter = 2 * NODE_MM / 25.4 * 72
    axes.scatter(
        placed["x"], placed["y"], s=diameter**2, c=placed["colour"], edgecolors="white",
        linewidths=0.5, zorder=3, gid="nodes",
    )  # fmt: skip
    targets = placed[placed["target"]]
    axes.scatter(
        targets["x"], targets["y"], s=diameter**2, facecolors="none", edgecolors=style.BLACK,
        linewidths=1.1, zorder=4, gid="targets",
    )  # fmt: skip
    paper = {"facecolor": "white", "edgecolor": "none", "pad": 0.2, "alpha": 0.75}
    for gene, label in zip(placed["gene"], placed["label"], strict=True):
        if gene in names:
            axes.text(
                *names[gene], label, ha="center", va="center", fontsize=style.SMALL, zorder=5,
                bbox=paper,
            )  # fmt: skip


def _legend(drawn: pd.DataFrame, genes: pd.DataFrame) -> list[tuple[Line2D, str]]:
    """Return the marks of edges and genes that occur, with their words."""
    legend = []
    for sign, (colour, dash) in _SIGNS.items():
        if (drawn["sign"] == sign).any():
            line = Line2D([], [], color=colour, linestyle=dash, linewidth=1.4)
            legend.append((line, f"ρ {'>' if sign == 'positive' else '<'} 0"))
    if drawn["new"].any():
        mark = Line2D([], [], color=style.BLACK, marker="D", markersize=3, markerfacecolor="white",
                      markeredgewidth=0.6, linestyle="")  # fmt: skip
        least = f"{drawn['after'].abs().min():.3g}"
        legend.append((mark, f"|ρ| below {least} before the updates"))
    if genes["target"].any():
        ring = Line2D([], [], color=style.BLACK, marker="o", markersize=5, markerfacecolor="none",
                      linestyle="")  # fmt: skip
        legend.append((ring, "target of a perturbation"))
    counts = genes["module"].value_counts()
    for module, colour in _module_colours(genes["module"]).items():
        disc = Line2D([], [], color=colour, marker="o", markersize=5, linestyle="")
        legend.append((disc, f"module {module:g} ({counts[module]})"))
    rest = int((genes["colour"] == _REST).sum())
    if rest:
        disc = Line2D([], [], color=_REST, marker="o", markersize=5, linestyle="")
        others = int(genes.loc[genes["colour"] == _REST, "module"].nunique())
        words = f"{others} other modules" if others > 1 else "other module" if others else ""
        legend.append((disc, f"{words or 'no module'} ({rest})"))
    return legend
