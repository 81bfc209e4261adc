"""The look that all figures share, and how a figure with its numbers becomes files.

A figure is three bands: a head (title and legend), a body (the panels) and a foot (what has to be
said in words). Head and foot are measured in advance, so that nothing is ever drawn over them.
All sizes are final: a figure is printed at its own width, where its letters have 6 to 8 points.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, ParamSpec, TypeVar

import matplotlib.style
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.textpath import text_to_path

from lgem.errors import InputError, nearest
from lgem.files import atomic, write_table

Width = Literal["single", "double"]
Drawn = tuple[Figure, pd.DataFrame]

MM = 1 / 25.4
WIDTHS_MM: Mapping[Width, float] = {"single": 85.0, "double": 170.0}
DPI = 300

# Okabe and Ito's colours, distinguishable under every common form of colour blindness.
BLACK = "#000000"
ORANGE = "#E69F00"
GREEN = "#009E73"
BLUE = "#0072B2"
VERMILLION = "#D55E00"
PURPLE = "#CC79A7"
GREY = "#6E6E6E"
LIGHT = "#C8C8C8"

TITLE, LABEL, SMALL = 8.0, 7.0, 6.0
FONT = "DejaVu Sans"
LINE_MM = {size: 1.3 * size / 72 / MM for size in (TITLE, LABEL, SMALL)}
PAD_MM = 1.5
# Beyond so many marks a vector file takes longer to open than to read.
MOST_VECTOR_MARKS = 2_000
MOST_PASSES = 10

STYLE: dict[str, Any] = {
    "figure.dpi": DPI,
    "font.family": FONT,
    "font.size": LABEL,
    "axes.titlesize": LABEL,
    "axes.titlelocation": "left",
    "axes.titlepad": 3.0,
    "axes.labelsize": LABEL,
    "axes.labelpad": 2.5,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "xtick.major.pad": 2.0,
    "ytick.major.pad": 2.0,
    "legend.fontsize": SMALL,
    "legend.frameon": False,
    "legend.handlelength": 1.4,
    "legend.handletextpad": 0.5,
    "legend.columnspacing": 1.4,
    "legend.labelspacing": 0.3,
    "legend.borderpad": 0.0,
    "legend.borderaxespad": 0.0,
    "lines.linewidth": 1.0,
    "patch.linewidth": 0.6,
    "pdf.fonttype": 42,
    # Names are data: a dollar sign in one must not turn it into a formula.
    "text.parse_math": False,
    # Unhinted letters are equally wide at every resolution, so PDF and PNG share one layout.
    "text.hinting": "none",
}

_P = ParamSpec("_P")
_R = TypeVar("_R")


def styled(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Run a function under the shared style, whatever the user's own settings are."""

    @functools.wraps(function)
    def run(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        with matplotlib.style.context(["default", STYLE]):
            return function(*args, **kwargs)

    return run


def text_width(text: str, size: float = SMALL) -> float:
    """Return the width of one line of text in mm at a font size in points."""
    # Whole numbers of pixels are returned, hence the measure at a hundred times the size.
    font = FontProperties(family=[FONT], size=100 * size)
    width, _, _ = text_to_path.get_text_width_height_descent(text, font, False)
    return float(width) / 100 / 72 / MM


def shorten(text: object, width_mm: float, size: float = SMALL) -> str:
    """Cut a name to a width in mm, from its middle: both its ends tell names apart."""
    whole = " ".join(str(text).split())
    keep = len(whole)
    short = whole
    while keep > 2 and text_width(short, size) > width_mm:
        keep -= 1
        short = whole[: (keep + 1) // 2].rstrip() + "…" + whole[len(whole) - keep // 2 :].lstrip()
    return short


def wrap(text: str, width_mm: float, size: float = SMALL, most: int | None = None) -> list[str]:
    """Break text at its spaces into lines of at most a width in mm; cut it after `most` lines."""
    lines: list[str] = []
    for word in text.split():
        piece = shorten(word, width_mm, size)
        longer = f"{lines[-1]} {piece}" if lines else piece
        if lines and text_width(longer, size) <= width_mm:
            lines[-1] = longer
        else:
            lines.append(piece)
    if most is not None and len(lines) > most:
        lines[most - 1 :] = [shorten(" ".join(lines[most - 1 :]), width_mm, size)]
    return lines


@styled
def new_figure(
    width: Width = "single",
    height_mm: float = 60.0,
    *,
    title: str = "",
    note: str = "",
    legend: Sequence[tuple[Any, str]] = (),
    legend_columns: int | None = None,
) -> Figure:
    """Return a figure without panels.

    Parameters
    ----------
    width
        ``"single"`` (85 mm) or ``"double"`` (170 mm).
    height_mm
        Height of the body; head and foot come on top of it.
    title
        A few words, at the top.
    note
        Sentences for the foot, broken into lines here.
    legend
        Handles with their words, placed under the title.
    legend_columns
        Columns of the legend, else as many as the width allows.
    """
    width_mm = WIDTHS_MM[width]
    inner_mm = width_mm - 2 * PAD_MM
    titles = wrap(title, inner_mm, TITLE)
    notes = wrap(note, inner_mm)
    columns = legend_columns or _legend_columns([words for _, words in legend], inner_mm)
    rows = -(-len(legend) // columns)
    # The legend's own row is a little higher than a line of text.
    head_mm = len(titles) * LINE_MM[TITLE] + rows * (LINE_MM[SMALL] + 0.4)
    head_mm += PAD_MM * bool(titles) + PAD_MM * bool(legend)
    foot_mm = len(notes) * LINE_MM[SMALL] + PAD_MM * bool(notes)
    total_mm = head_mm + height_mm + foot_mm
    engine = ConstrainedLayoutEngine(
        rect=(0, foot_mm / total_mm, 1, height_mm / total_mm),
        w_pad=PAD_MM * MM,
        h_pad=1.0 * MM,
        wspace=0.02,
        hspace=0.04,
    )
    figure = Figure(figsize=(width_mm * MM, total_mm * MM), layout=engine)
    left = PAD_MM / width_mm
    top = 1 - PAD_MM / total_mm
    if titles:
        words = "\n".join(titles)
        figure.text(left, top, words, fontsize=TITLE, va="top", linespacing=1.2, in_layout=False)
        top -= len(titles) * LINE_MM[TITLE] / total_mm + 0.6 * PAD_MM / total_mm
    if legend:
        handles, labels = zip(*legend, strict=True)
        box = figure.legend(
            list(handles), list(labels), ncols=columns, loc="upper left", bbox_to_anchor=(left, top)
        )
        box.set_in_layout(False)
    if notes:
        words = "\n".join(notes)
        bottom = PAD_MM / total_mm
        figure.text(left, bottom, words, fontsize=SMALL, color=GREY, va="bottom", in_layout=False)
    return figure


def _legend_columns(labels: Sequence[str], width_mm: float) -> int:
    """Return the largest number of legend columns that fit a width in mm.

    Entries that do not fill all columns are spread over them: the first columns have one more.
    """
    around_mm = 7.0  # the handle, its distance from the words and the gap to the next column
    widths = [text_width(label) + around_mm for label in labels]
    for columns in range(len(labels), 1, -1):
        # The last column has no gap behind it, which is left as a margin.
        if sum(part.max() for part in np.array_split(widths, columns)) <= width_mm:
            return columns
    return 1


@styled
def freeze(figure: Figure) -> None:
    """Compute the layout once and keep it, for every format and for texts added afterwards."""
    # Each pass measures labels around the panels of the one before; square panels shrink from
    # pass to pass, and a layout kept too early cuts their labels off.
    engine = figure.get_layout_engine()
    assert engine is not None
    before, now = None, _places(figure)
    for _ in range(MOST_PASSES):
        engine.execute(figure)
        for axes in figure.axes:
            axes.apply_aspect()
        before, now = now, _places(figure)
        if np.allclose(before, now, rtol=0, atol=1e-4):
            break
    figure.set_layout_engine("none")


def _places(figure: Figure) -> list[tuple[float, float, float, float]]:
    return [axes.get_position().bounds for axes in figure.axes]


def panel_width(axes: Axes) -> float:
    """Return the width of a panel in mm, once its figure is frozen."""
    return float(axes.get_position().width * _figure(axes).get_figwidth() / MM)


def panel_height(axes: Axes) -> float:
    """Return the height of a panel in mm, once its figure is frozen."""
    return float(axes.get_position().height * _figure(axes).get_figheight() / MM)


def _figure(axes: Axes) -> Figure:
    figure = axes.get_figure(root=True)
    assert figure is not None  # only an axes that was removed has none
    return figure


def say(axes: Axes, text: str) -> None:
    """Let a panel without data say in words why it has none; its figure must be frozen."""
    axes.tick_params(left=False, bottom=False, labelleft=False, labelbottom=False)
    axes.spines[:].set(visible=True, color=LIGHT)
    most = max(1, int(panel_height(axes) / LINE_MM[LABEL]) - 1)
    words = "\n".join(wrap(text, panel_width(axes) - 4, LABEL, most))
    axes.text(0.5, 0.5, words, transform=axes.transAxes, ha="center", va="center", color=GREY)


@styled
def empty_figure(
    reason: str, columns: Iterable[str] = (), *, title: str, width: Width = "single"
) -> Drawn:
    """Return a figure whose one panel says why there is nothing to draw, and a table that does.

    Parameters
    ----------
    reason
        Why, in words.
    columns
        Columns of the table; ``mark`` and ``note`` are among them in any case.
    title, width
        As for `new_figure`.
    """
    lines = wrap(reason, WIDTHS_MM[width] - 10, LABEL)
    figure = new_figure(width, max(30.0, 12 + len(lines) * LINE_MM[LABEL]), title=title)
    axes = figure.subplots()
    axes.tick_params(left=False, bottom=False, labelleft=False, labelbottom=False)
    freeze(figure)
    say(axes, reason)
    return figure, drawn_table(
        [pd.DataFrame({"mark": ["note"], "note": [reason]})], ["mark", *columns, "note"]
    )


def drawn_table(parts: Iterable[pd.DataFrame], columns: Iterable[str]) -> pd.DataFrame:
    """Put tables of marks below one another, with exactly the columns given, each once."""
    names = list(dict.fromkeys(columns))
    # As objects, whole numbers stay whole beside missing ones.
    whole = [part.reindex(columns=names).astype(object) for part in parts if len(part)]
    if not whole:
        return pd.DataFrame(columns=names)
    return pd.concat(whole, ignore_index=True).infer_objects()


def take(table: pd.DataFrame, columns: Sequence[str], name: str) -> pd.DataFrame:
    """Return the named columns of a table, with a fresh index; a table without rows may lack them.

    Raises
    ------
    InputError
        If a table with rows lacks one of the columns.
    """
    if table.empty:
        return pd.DataFrame(columns=list(columns))
    for column in columns:
        if column not in table:
            found = "columns " + ", ".join(map(str, table.columns))
            near = nearest(column, table.columns)
            raise InputError(f"{name}: column '{column}'", found, "this column", near)
    return table[list(columns)].reset_index(drop=True)


def numbers(values: pd.Series) -> pd.Series:
    """Return values as floats, NaN where there is no finite number."""
    floats = pd.to_numeric(values, errors="coerce").astype(float)
    return floats.where(np.isfinite(floats))


def texts(values: pd.Series) -> pd.Series:
    """Return values as text, blank where missing."""
    return values.astype(object).where(values.notna(), "").astype(str)


@styled
def save(
    figure: Figure,
    table: pd.DataFrame,
    stem: str | os.PathLike[str],
    provenance: Mapping[str, Any] | None = None,
) -> None:
    """Write a figure as ``<stem>.pdf`` and ``<stem>.png`` and its numbers as ``<stem>.tsv``.

    The same figure gives the same bytes: neither the date nor the versions of the writers are
    recorded, unless `provenance` names them.

    Parameters
    ----------
    figure
        The figure, printed at its own size; PNG at 300 dots per inch.
    table
        The numbers drawn.
    stem
        Path of the files without their suffix.
    provenance
        What the figure was made from; stored as JSON in the PDF's subject and the PNG's
        description.
    """
    title = Path(stem).name
    story = json.dumps(dict(provenance), sort_keys=True) if provenance else None
    pdf = {"Title": title, "Subject": story, "Creator": None, "Producer": None}
    described: dict[str, dict[str, Any]] = {
        "pdf": {**pdf, "CreationDate": None},
        # The PNG writer wants its keys present or absent, and knows None for its own alone.
        "png": {"Title": title, "Software": None} | ({"Description": story} if story else {}),
    }
    for suffix, metadata in described.items():
        with atomic(f"{os.fspath(stem)}.{suffix}") as temporary:
            figure.savefig(temporary, format=suffix, dpi=DPI, metadata=metadata)
    write_table(table, f"{os.fspath(stem)}.tsv")


def without_names(reason: str) -> str:
    """Return a reason without the names behind its colon: a picture gives it for all of them."""
    return reason.partition(":")[0].strip()


def handle(colour: str, marker: str, *, open_: bool = False) -> Line2D:
    """Return a mark for a legend."""
    face = "white" if open_ else colour
    return Line2D(
        [], [], color=colour, marker=marker, markerfacecolor=face, markersize=3.5, linestyle=""
    )
