"""Picture of what updating a precision matrix costs, beside inverting the new covariance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from lgem.figures import style, ticks
from lgem.figures.style import Drawn

SPEED_COLUMNS = (
    "genes", "rank", "n", "direct_s", "direct_min_s", "direct_max_s", "update_s", "update_min_s",
    "update_max_s", "implicit_s", "speed_up", "largest_difference",
)  # fmt: skip
UPDATE_SPEED_COLUMNS = (
    "mark", "contender", "genes", "rank", "n", "ms", "lower_ms", "upper_ms", "speed_up",
    "position", "label", "largest_difference", "note",
)  # fmt: skip

_TITLE = "Time of an update of the precision matrix"
_LOOKS = {
    "direct": (style.GREY, "s", "inversion of the new Σ"),
    "update": (style.BLUE, "o", "update of Θ, dense"),
    "implicit": (style.ORANGE, "D", "update of Θ, implicit"),
}
_DASHES = (("-", "solid"), ("--", "dashed"), (":", "dotted"), ("-.", "dash-dotted"))
_MILLI = 1e3
_ROW_MM = 4.6
# Room behind the longest bar for what is written there, as a share of its length.
_BESIDE = 0.3


@style.styled
def update_speed(speed: pd.DataFrame) -> Drawn:
    """Draw the time of an update and of a new inversion against the number of genes.

    Left, medians with the range over rounds, both axes logarithmic; right, how many times faster
    the dense update is, per size.

    Parameters
    ----------
    speed
        ``bench_updates.tsv``: genes, rank (of the update), n (rounds), direct_s, direct_min_s,
        direct_max_s, update_s, update_min_s, update_max_s, implicit_s (medians and ranges in
        seconds; missing where not measured), speed_up (direct over update), largest_difference
        (of the entries of both results).

    Returns
    -------
    figure, table
        Rows of the table: ``time`` (ms), ``speed_up`` (with its position and label) and ``note``.
    """
    table = style.take(speed, SPEED_COLUMNS, "table of update times").apply(style.numbers)
    table = table.dropna(subset=["genes"]).sort_values(["genes", "rank"], kind="stable")
    table = table[table["genes"] > 0].reset_index(drop=True)
    times = _times(table)
    if times.empty and table["speed_up"].isna().all():
        return style.empty_figure(
            "No times to draw: no update was measured.", UPDATE_SPEED_COLUMNS, title=_TITLE,
            width="double",
        )  # fmt: skip
    bars = _bars(table)
    notes = _notes(table)
    figure = _draw(times, bars, notes)
    said = pd.DataFrame({"mark": "note", "note": notes})
    return figure, style.drawn_table([times, bars, said], UPDATE_SPEED_COLUMNS)


def _times(table: pd.DataFrame) -> pd.DataFrame:
    """Return a row per contender, number of genes and rank, in ms."""
    parts = []
    for contender in _LOOKS:
        named = {"ms": "", "lower_ms": "_min", "upper_ms": "_max"}
        part = table[["genes", "rank", "n"]].assign(mark="time", contender=contender)
        for column, which in named.items():
            source = f"{contender}{which}_s"
            part[column] = _MILLI * table[source] if source in table else np.nan
        parts.append(part[part["ms"] > 0])
    return pd.concat(parts, ignore_index=True)


def _bars(table: pd.DataFrame) -> pd.DataFrame:
    """Return a row per number of genes and rank with the speed-up, and what is written there."""
    bars = table[["genes", "rank", "n", "speed_up", "largest_difference"]].copy()
    bars["position"] = np.arange(float(len(bars)))
    bars["label"] = [
        "not measured" if np.isnan(value) else f"{_short(value)} ×" for value in bars["speed_up"]
    ]
    return bars.assign(mark="speed_up")


def _short(value: float) -> str:
    """Return a number with a decimal below 100, whole and with commas from there on."""
    if value >= 99.95:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 0.95 else _scientific(value)


def _notes(table: pd.DataFrame) -> list[str]:
    """Return what has to be said of the rounds, the ranks and the results of both ways."""
    notes = []
    rounds = table["n"].dropna()
    if len(rounds):
        low, high = int(rounds.min()), int(rounds.max())
        many = f"{low}" if low == high else f"{low} to {high}"
        notes.append(f"Medians of {many} round{'s' * (high > 1)}; bars: their range.")
    ranks = sorted(table["rank"].dropna().unique())
    dashed = [
        f"{rank:g}" + (f" ({_DASHES[_dash(ranks, rank)][1]})" if len(ranks) > 1 else "")
        for rank in ranks
    ]
    if ranks:
        notes.append(f"Rank of the update: {', '.join(dashed)}.")
    if table["speed_up"].notna().any():
        notes.append("Upright dashed line: as fast as an inversion.")
    differences = table["largest_difference"].dropna()
    if len(differences):
        notes.append(
            f"Largest difference between the two results: {_scientific(differences.max())}."
        )
    else:
        notes.append("How far the two results differ was not measured.")
    return notes


def _scientific(value: float) -> str:
    """Return a number with two digits, and its power of ten as one."""
    digits, _, power = f"{value:.1e}".partition("e")
    if value == 0 or -3 <= int(power) <= 3:
        return f"{value:.2g}"
    return f"{digits}·{ticks.power_of_ten(10.0 ** int(power))}"


def _draw(times: pd.DataFrame, bars: pd.DataFrame, notes: list[str]) -> Figure:
    """Draw the times on the left and the speed-ups on the right."""
    shown = [name for name in _LOOKS if (times["contender"] == name).any()]
    legend = [(style.handle(*_LOOKS[name][:2]), _LOOKS[name][2]) for name in shown]
    height = max(52.0, 16 + _ROW_MM * len(bars))
    figure = style.new_figure("double", height, title=_TITLE, note=" ".join(notes), legend=legend)
    left, right = figure.subplots(1, 2, width_ratios=[10, 9])
    left.set(xlabel="genes (log scale)", ylabel="time (ms, log scale)")
    if len(times):
        _draw_times(left, times)
    right.set_xlabel("speed-up: inversion / dense update")
    known = bars.dropna(subset=["speed_up"])
    right.barh(known["position"], known["speed_up"], height=0.7, color=style.BLUE, linewidth=0)
    right.set_ylim(len(bars) - 0.4, -0.6)
    ranks = len(bars["rank"].dropna().unique()) > 1
    right.set_yticks(bars["position"], _sizes(bars, ranks=ranks))
    right.set_ylabel("genes (rank of the update)" if ranks else "genes")
    right.tick_params(axis="y", length=0)
    longest = float(known["speed_up"].max()) if len(known) else 1.0
    right.set_xlim(0, max(1.0, longest) * (1 + _BESIDE))
    ticks.number_axis(right.xaxis, 5)
    if len(known):
        right.axvline(1, color=style.BLACK, linewidth=0.7, linestyle="--", zorder=3)
    style.freeze(figure)
    if times.empty:
        style.say(left, "No times were measured.")
    if known.empty:
        style.say(right, "No speed-up: one of the two was not measured.")
        return figure
    # White under a word keeps it readable where the line at 1 × crosses it.
    paper = {"facecolor": "white", "edgecolor": "none", "pad": 0.4}
    beside = 0.012 * right.get_xlim()[1]
    for position, end, label in zip(bars["position"], bars["speed_up"], bars["label"], strict=True):
        right.text(
            (0.0 if np.isnan(end) else end) + beside, position, label, va="center", bbox=paper,
            fontsize=style.SMALL, zorder=4, color=style.GREY if np.isnan(end) else style.BLACK,
        )  # fmt: skip
    return figure


def _sizes(bars: pd.DataFrame, *, ranks: bool) -> list[str]:
    """Return what the bars are called: the number of genes, with the rank where it differs."""
    pairs = zip(bars["genes"], bars["rank"], strict=True)
    return [
        f"{genes:,.0f} ({rank:g})" if ranks and not np.isnan(rank) else f"{genes:,.0f}"
        for genes, rank in pairs
    ]


def _draw_times(axes: Axes, times: pd.DataFrame) -> None:
    """Draw a line per contender, and per rank where there are several, with the ranges."""
    axes.set(xscale="log", yscale="log")
    ranks = sorted(times["rank"].dropna().unique())
    for (contender, rank), own in times.groupby(["contender", "rank"], sort=False, dropna=False):
        colour, marker, _ = _LOOKS[str(contender)]
        dash, _ = _DASHES[_dash(ranks, rank)]
        axes.plot(
            own["genes"], own["ms"], color=colour, linestyle=dash, linewidth=1.0, zorder=2,
            gid="times",
        )  # fmt: skip
        axes.vlines(
            own["genes"], own["lower_ms"], own["upper_ms"], colors=colour, linewidth=0.9, zorder=3,
            gid="ranges",
        )  # fmt: skip
        axes.scatter(
            own["genes"], own["ms"], s=12, color=colour, marker=marker, linewidths=0, zorder=4,
            gid="points",
        )  # fmt: skip
    axes.set_xlim(times["genes"].min() / 1.4, times["genes"].max() * 1.4)
    _label_sizes(axes, sorted(set(times["genes"])))
    known = times[["ms", "lower_ms", "upper_ms"]].to_numpy(dtype=float)
    # Less than a decade would have one label, or none.
    low, high = np.nanmin(known[known > 0]) / 2.5, np.nanmax(known) * 2.5
    axes.set_ylim(low, high)
    ticks.set_decades(axes.yaxis, low, high, 6)


def _dash(ranks: Sequence[float], rank: Any) -> int:
    """Return which dash the lines of a rank have; without a rank they are solid."""
    return list(ranks).index(rank) % len(_DASHES) if rank in ranks else 0


def _label_sizes(axes: Axes, sizes: list[float]) -> None:
    """Label the sizes measured, leaving out those that have no room beside their neighbour."""
    low, high = axes.get_xlim()
    room = 66.0 / np.log10(high / low)  # mm per decade, about
    kept: list[float] = []
    for size in sizes[::-1]:
        wide = style.text_width(f"{size:,.0f}") + 1.5
        if not kept or room * np.log10(kept[-1] / size) >= wide:
            kept.append(size)
    axes.xaxis.set_major_locator(FixedLocator(kept[::-1]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda size, _: f"{size:,.0f}")
