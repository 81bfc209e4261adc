"""Picture of what single responses would change in the gene network."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from lgem.figures import style, ticks
from lgem.figures.network import ALL_UPDATES, CHANGES_COLUMNS, called
from lgem.figures.style import Drawn

REWIRED_COLUMNS = (
    "mark", "update", "panel", "position", *CHANGES_COLUMNS, "direction", "label", "note",
)  # fmt: skip
MOST_PERTURBATIONS, MOST_PAIRS = 12, 5

_TITLE = "Edges that single responses would change most"
_COLUMNS = 3
_LABEL_MM = 28.0
_VISIBLE = 0.01  # share of the axis: shorter bars are hidden behind the line at zero
_LOOKS = {"stronger": style.BLUE, "weaker": style.VERMILLION, "unchanged": style.GREY}


@style.styled
def rewired(changes: pd.DataFrame) -> Drawn:
    """Draw the gene pairs that the response to one perturbation alone would rewire.

    One panel per perturbation, the one with the largest change first, all on one scale.

    Parameters
    ----------
    changes
        ``changes.tsv``: update (``all``, or the perturbation whose response alone updated the
        network), rank, gene_a, gene_b, before, after (partial correlations), change (of the
        absolute value) and, where genes have symbols to be called by, symbol_a, symbol_b. At most
        12 perturbations with 5 pairs each are drawn.

    Returns
    -------
    figure, table
        Rows of the table: ``bar`` (with its panel, position, label and direction) and ``note``.
    """
    table, asked, unknown = _single(changes)
    lost = f"{unknown} change{'s' * (unknown != 1)} without a value"
    if table.empty:
        why = lost if unknown else "no single response updated the network"
        return style.empty_figure(
            f"No changes to draw: {why}.", REWIRED_COLUMNS, title=_TITLE, width="double"
        )
    names = list(dict.fromkeys(table["update"]))
    notes = ["One panel per perturbation, its response alone added to the network."]
    if asked > len(names):
        notes.append(f"The {len(names)} of {asked} with the largest single change.")
    if unknown:
        notes.append(f"{lost} not drawn.")
    legend = [
        (Patch(color=colour), word)
        for word, colour in _LOOKS.items()
        if (table["direction"] == word).any()
    ]
    columns = 2 if len(names) == 4 else min(_COLUMNS, len(names))
    rows = -(-len(names) // columns)
    deepest = int(table["position"].max())
    figure = style.new_figure(
        "double", 8 + rows * (6.5 + 3.3 * max(deepest, 2)), title=_TITLE, legend=legend,
        note=" ".join(notes),
    )  # fmt: skip
    panels = figure.subplots(rows, columns, sharex=True, squeeze=False).ravel()
    for number, axes in enumerate(panels):
        if number >= len(names):
            axes.set_axis_off()
            continue
        _draw_pairs(axes, table[table["update"] == names[number]], deepest)
        if number + columns >= len(names):
            # Where the last row is not full, the panels above its gaps end their columns.
            axes.tick_params(labelbottom=True)
        if number >= columns * (rows - 1):
            axes.set_xlabel("change of |ρ| (no unit)")
    style.freeze(figure)
    reach = np.ptp(panels[0].get_xlim())
    for name, axes in zip(names, panels, strict=False):
        axes.set_title(style.shorten(name, style.panel_width(axes), style.LABEL))
        largest = table.loc[table["update"] == name, "change"].abs().max()
        if largest < _VISIBLE * reach:
            _say_tiny(axes, largest)
    said = pd.DataFrame({"mark": "note", "note": notes})
    return figure, style.drawn_table([table, said], REWIRED_COLUMNS)


def _single(changes: pd.DataFrame) -> tuple[pd.DataFrame, int, int]:
    """Return the changes drawn, how many perturbations have one, and how many have no value."""
    table = style.take(changes, ("update", *CHANGES_COLUMNS), "table of largest changes")
    first, second = (called(changes, end) for end in "ab")
    pairs = [_pair(one, other) for one, other in zip(first, second, strict=True)]
    table["label"] = pd.Series(pairs, index=table.index, dtype=object)
    table["update"] = style.texts(table["update"])
    for name in ("rank", "before", "after", "change"):
        table[name] = style.numbers(table[name])
    table = table[~table["update"].isin([ALL_UPDATES, ""])]
    unknown = int(table["change"].isna().sum())
    table = table.dropna(subset=["change"]).assign(size=lambda own: own["change"].abs())
    asked = table["update"].nunique()
    largest = table.groupby("update")["size"].max()
    order = sorted(largest.index, key=lambda name: (-largest[name], name))[:MOST_PERTURBATIONS]
    table = table[table["update"].isin(order)]
    table = table.assign(panel=table["update"].map({name: k + 1 for k, name in enumerate(order)}))
    table = table.sort_values(
        ["panel", "size", "rank"], ascending=[True, False, True], kind="stable"
    )
    table["position"] = table.groupby("panel").cumcount() + 1.0
    table = table[table["position"] <= MOST_PAIRS].reset_index(drop=True)
    directions = np.sign(table["change"]).map({1: "stronger", -1: "weaker", 0: "unchanged"})
    table = table.assign(mark="bar", rank=table["rank"].astype("Int64"), direction=directions)
    return table.drop(columns="size"), asked, unknown


def _pair(one: str, other: str) -> str:
    """Return the name of a pair: a gene has half of the room, or what the other leaves."""
    half = _LABEL_MM / 2
    first, second = (
        style.shorten(name, max(half, _LABEL_MM - style.text_width(beside)))
        for name, beside in ((one, other), (other, one))
    )
    return f"{first}–{second}"


def _say_tiny(axes: Axes, largest: float) -> None:
    """Let a panel whose bars are too short to be seen say how long they are."""
    size = np.format_float_positional(largest, 1, fractional=False, trim="-")
    axes.text(
        0.97, 0.5, f"at most {size}", transform=axes.transAxes, ha="right", va="center",
        fontsize=style.SMALL, color=style.GREY,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5},
    )  # fmt: skip


def _draw_pairs(axes: Axes, own: pd.DataFrame, deepest: int) -> None:
    """Draw the pairs of one perturbation as bars, the largest change at the top."""
    axes.set_title(" ")  # its room; how wide it may be is known only when the panel is
    colours = own["direction"].map(_LOOKS)
    axes.barh(own["position"], own["change"], height=0.7, color=colours, linewidth=0)
    axes.axvline(0, color=style.BLACK, linewidth=0.6)
    axes.set_yticks(own["position"], own["label"])
    axes.set_ylim(max(deepest, 2) + 0.6, 0.4)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.margins(x=0.04)
    ticks.number_axis(axes.xaxis, 3)
