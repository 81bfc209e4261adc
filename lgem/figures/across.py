"""Figures of several datasets beside one another, from the tables behind their own figures.

Each dataset is a column, or a row, of panels that the functions of the figures of one dataset
draw. What a dataset lacks is told in words: no panel stays empty.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lgem.figures import style
from lgem.figures.prediction import BANDS

Tables = Mapping[str, pd.DataFrame]

# More panels leave none of them wide enough to read; all datasets stand in the table.
MOST_DATASETS = 8
ONE_ROW = 4
MOST_HEIGHT_MM = 205.0


def gather(
    tables: Tables, missing: Mapping[str, str], mark: str, value: str, most: int = MOST_DATASETS
) -> tuple[pd.DataFrame, list[str], str]:
    """Put the tables of several datasets below one another.

    Parameters
    ----------
    tables
        The table behind the figure of each dataset.
    missing
        Datasets without such a table, with the reason.
    mark, value
        Mark and column of which one number at least makes a dataset worth a panel.
    most
        Datasets with a panel at most.

    Returns
    -------
    table, shown, note
        All rows of all datasets that have something to draw, with a column ``dataset`` in front;
        the datasets that get panels; and what has to be said of the others.
    """
    parts, reasons = {}, {}
    for name, table in tables.items():
        rows = table[table["mark"] == mark]
        if value in rows and rows[value].notna().any():
            parts[name] = table.assign(dataset=name)
        else:
            told = table.loc[table["mark"] == "note", "note"].dropna()
            why = str(told.iloc[0]) if len(told) else "nothing to draw"
            reasons[name] = why[:1].lower() + why[1:].rstrip(".")
    reasons |= missing
    note = ""
    for why in dict.fromkeys(reasons.values()):
        names = ", ".join(name for name, own in reasons.items() if own == why)
        note += f"Not shown: {names} ({why}). "
    undrawn = list(parts)[most:]
    note += f"In the table alone: {', '.join(undrawn)}. " if undrawn else ""
    both = pd.concat(parts.values(), ignore_index=True) if parts else pd.DataFrame()
    return both, list(parts)[:most], note.strip()


def shared_unit(units: Mapping[str, str], names: Sequence[str]) -> tuple[str, str]:
    """Return the unit that stands on all axes, and what the foot says where datasets differ."""
    by_unit: dict[str, list[str]] = {}
    for name in names:
        by_unit.setdefault(units[name], []).append(name)
    if len(by_unit) == 1:
        return next(iter(by_unit)), ""
    each = "; ".join(f"{', '.join(own)}: {unit}" for unit, own in by_unit.items())
    return "log units", f"Units: {each}."


def grid(
    figure: Figure, names: Sequence[str], metrics: Collection[str]
) -> dict[tuple[str, str], Axes]:
    """Return a panel for every dataset and metric: datasets in columns, metrics below one another.

    More datasets than fit one row of panels go into two; a single one has its metrics side by
    side.
    """
    if len(names) == 1:
        panels = figure.subplots(1, len(metrics), squeeze=False)[0]
        return {(names[0], metric): axes for metric, axes in zip(metrics, panels, strict=True)}
    blocks = blocks_of(names)
    columns = columns_of(names)
    axes = figure.subplots(blocks * len(metrics), columns, squeeze=False)
    found: dict[tuple[str, str], Axes] = {}
    for place in range(blocks * columns):
        block, column = divmod(place, columns)
        for k, metric in enumerate(metrics):
            panel = axes[block * len(metrics) + k, column]
            if place < len(names):
                found[names[place], metric] = panel
            else:
                panel.remove()
    return found


def blocks_of(names: Sequence[str]) -> int:
    """Return in how many rows the datasets stand."""
    return 1 if len(names) <= ONE_ROW else 2


def columns_of(names: Sequence[str]) -> int:
    """Return how many datasets stand in a row."""
    return -(-len(names) // blocks_of(names))


def is_first(names: Sequence[str], name: str) -> bool:
    """Return whether a dataset's panels stand at the left border."""
    return names.index(name) % columns_of(names) == 0


def beside(names: Sequence[str], text: str) -> str:
    """Break the words of an axis into lines that do not reach into the panel beside it."""
    around_mm = 50.0  # names of rows, tick labels, gaps
    room = (style.WIDTHS_MM["double"] - around_mm) / max(2, columns_of(names))
    if style.text_width(text, style.LABEL) <= room:
        return text
    # What stands in brackets, a unit, stays together.
    words, bracket, rest = text.partition(" (")
    parts = [words, f"({rest}"] if bracket else [words]
    return "\n".join(line for part in parts for line in style.wrap(part, room, style.LABEL))


def body_height(
    names: Sequence[str], metrics: int, rows: int, row_mm: float, least: float
) -> float:
    """Return the height in mm of panels of so many rows each, within a page."""
    stacked = 1 if len(names) == 1 else blocks_of(names) * metrics
    around = 15.0  # title and axis labels of a panel
    row_mm = min(row_mm, (MOST_HEIGHT_MM / stacked - around) / max(rows, 1))
    return stacked * (around + max(least, row_mm * rows))


def name_rows(axes: Axes, labels: Sequence[str], suffixes: Sequence[str], *, first: bool) -> None:
    """Write what the rows of a panel are: names at the left border, else the suffixes alone."""
    words = [
        " ".join(filter(None, (style.shorten(label, 34) if first else "", suffix)))
        for label, suffix in zip(labels, suffixes, strict=True)
    ]
    axes.set_yticks(range(len(labels)), words)
    axes.set_ylim(len(labels) - 0.45, -0.55)
    axes.tick_params(axis="y", length=0)


def fit_title(axes: Axes) -> None:
    """Cut the lines of a panel's title to its width; the figure must be frozen."""
    lines, room = axes.get_title("left").split("\n"), style.panel_width(axes)
    axes.set_title("\n".join(style.shorten(line, room, style.LABEL) for line in lines))


def in_row(axes: Axes, position: int, words: str) -> None:
    """Let a row without marks say so, in the middle of the panel; the figure must be frozen."""
    axes.text(
        0.5, position, style.shorten(words, style.panel_width(axes) - 2), ha="center",
        va="center", fontsize=style.SMALL, color=style.GREY,
        transform=axes.get_yaxis_transform(),
        bbox={"facecolor": BANDS[position % 2], "edgecolor": "none", "pad": 0.3},
    )  # fmt: skip


def same_ends(panels: Iterable[Axes]) -> None:
    """Give panels of one unitless score the same horizontal ends, so that they compare."""
    panels = list(panels)
    ends = np.array([axes.get_xlim() for axes in panels])
    for axes in panels:
        axes.set_xlim(ends[:, 0].min(), ends[:, 1].max())
