"""Picture of whether the network predicts the responses to perturbations."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lgem.figures import style, ticks
from lgem.figures.style import Drawn

RESPONSES_COLUMNS = ("perturbation", "gene", "network", "metric", "value", "reason")
SUMMARY_COLUMNS = ("network", "metric", "mean", "lower", "upper", "n", "n_asked")
NETWORK_RESPONSES_COLUMNS = (
    "mark", "network", "metric", "perturbation", "gene", "value", "lower", "upper", "n", "n_asked",
    "position", "note",
)  # fmt: skip

_TITLE = "Responses to perturbations, predicted from the network"
# In the order of the rows; what is not among them comes after.
_LOOKS = {
    "network": (style.BLUE, "o", "network"),
    "updated": (style.GREEN, "^", "updated network"),
    "mean": (style.ORANGE, "s", "mean of the other responses"),
    "shuffled": (style.GREY, "D", "network, shuffled targets"),
}
_METRICS = {"pearson": "Pearson correlation", "spearman": "Spearman correlation"}
_BANDS = ("#F4F4F4", "#FFFFFF")
_ROW_MM = 9.0
_SPREAD = 0.3
_FEW = 100  # points in a row that can be told apart


@style.styled
def network_responses(
    responses: pd.DataFrame, summary: pd.DataFrame, *, interval: float = 0.9
) -> Drawn:
    """Draw how well the network's covariances predict the observed responses.

    One panel per metric, one row per contender. Small marks are perturbations, large ones the
    mean with its interval; 0 is what a prediction reaches that has nothing to do with the
    response.

    Parameters
    ----------
    responses
        ``responses.tsv``: perturbation, gene (its target), network (``network``, ``updated``,
        ``mean`` or ``shuffled``), metric (``pearson`` or ``spearman``), value (missing where not
        scored), reason.
    summary
        Means: network, metric, mean, lower, upper, n, n_asked.
    interval
        Share that the intervals of `summary` cover.

    Returns
    -------
    figure, table
        Rows of the table: ``point``, ``mean`` and ``note`` (what a row without points says).
    """
    scores = style.take(responses, RESPONSES_COLUMNS, "table of predicted responses")
    means = style.take(summary, SUMMARY_COLUMNS, "table of mean scores of responses")
    for table, names in ((scores, ("perturbation", "gene")), (means, ())):
        for name in ("network", "metric", *names):
            table[name] = style.texts(table[name])
    scores["value"] = style.numbers(scores["value"])
    for name in SUMMARY_COLUMNS[2:]:
        means[name] = style.numbers(means[name])
    means = means.rename(columns={"mean": "value"})
    if scores["value"].isna().all() and means["value"].isna().all():
        return style.empty_figure(
            f"No response was scored: {_why(scores)}.", NETWORK_RESPONSES_COLUMNS, title=_TITLE,
            width="double",
        )  # fmt: skip
    rows = _in_order([*scores["network"], *means["network"]], _LOOKS)
    metrics = _in_order([*scores["metric"], *means["metric"]], _METRICS)
    points = scores.dropna(subset=["value"]).assign(mark="point")
    points["position"] = points["network"].map(rows.index) + points["perturbation"].map(
        _shifts(points["perturbation"])
    ).astype(float)
    # An interval without its mean would be a claim about nothing.
    means[["lower", "upper"]] = means[["lower", "upper"]].where(means["value"].notna())
    means = means.assign(mark="mean", position=means["network"].map(rows.index).astype(float))
    said = _unscored(scores, means, rows, metrics)
    figure = _draw(points, means, said, rows, metrics, interval)
    return figure, style.drawn_table([points, means, said], NETWORK_RESPONSES_COLUMNS)


def _in_order(names: Sequence[str], known: Iterable[str]) -> list[str]:
    """Return the names that occur: known ones in their order, then the others as they come."""
    first = [name for name in known if name in names]
    return [*first, *(name for name in dict.fromkeys(names) if name not in first)]


def _shifts(perturbations: pd.Series) -> dict[str, float]:
    """Return an offset within its row for each perturbation, the same in all rows."""
    golden = (5**0.5 - 1) / 2
    order = sorted(set(perturbations))
    return {name: _SPREAD * (2 * ((k * golden) % 1) - 1) for k, name in enumerate(order)}


def _why(scores: pd.DataFrame) -> str:
    """Return the most frequent reason why perturbations have no value, and for how many."""
    if scores.empty:
        return "no perturbation has its target among the genes of the network"
    told = style.texts(scores["reason"]).map(style.without_names)
    reasons = told[told != ""].mode()
    if reasons.empty:
        return "no reason given"
    count = scores.loc[told == reasons[0], "perturbation"].nunique()
    return f"{reasons[0]} ({count} of {scores['perturbation'].nunique()})"


def _unscored(
    scores: pd.DataFrame, means: pd.DataFrame, rows: Sequence[str], metrics: Sequence[str]
) -> pd.DataFrame:
    """Return one row for each contender and metric of which nothing is drawn, with the reason."""
    shown: set[tuple[str, str]] = set()
    for table in (scores, means):
        seen = table.dropna(subset=["value"])
        shown |= set(zip(seen["network"], seen["metric"], strict=True))
    found = []
    for metric in metrics:
        for k, name in enumerate(rows):
            if (name, metric) in shown:
                continue
            own = scores[(scores["network"] == name) & (scores["metric"] == metric)]
            why = _why(own) if len(own) else "not computed"
            found.append(("note", name, metric, float(k), f"none scored: {why}"))
    return pd.DataFrame(found, columns=["mark", "network", "metric", "position", "note"])


def _draw(
    points: pd.DataFrame,
    means: pd.DataFrame,
    said: pd.DataFrame,
    rows: Sequence[str],
    metrics: Sequence[str],
    interval: float,
) -> Figure:
    """Draw the panels, and in the rows without a mark the reason why."""
    figure = style.new_figure(
        "double" if len(metrics) > 1 else "single", 14 + max(2, len(rows)) * _ROW_MM, title=_TITLE,
        note=f"Small marks: perturbations; large: mean with {100 * interval:g} % interval. In "
        "brackets: perturbations scored / asked for. The target's own entry is left out.",
    )  # fmt: skip
    panels = figure.subplots(1, len(metrics), squeeze=False).ravel()
    for metric, axes in zip(metrics, panels, strict=True):
        of_metric = [table[table["metric"] == metric] for table in (points, means)]
        _draw_metric(axes, of_metric[0], of_metric[1], rows)
        axes.set_xlabel(
            f"{_METRICS.get(metric, metric)} of predicted\nand observed response (no unit)"
        )
        names = [f"{_called(name)} " if axes is panels[0] else "" for name in rows]
        told = [_scored(means, name, metric) for name in rows]
        axes.set_yticks(range(len(rows)), [a + b for a, b in zip(names, told, strict=True)])
        axes.set_ylim(len(rows) - 0.45, -0.55)
        axes.tick_params(axis="y", length=0)
    style.freeze(figure)
    for metric, axes in zip(metrics, panels, strict=True):
        notes = said[said["metric"] == metric]
        if len(notes) == len(rows):
            axes.set_xticks([])
        for position, note in zip(notes["position"], notes["note"], strict=True):
            lines = style.wrap(note, style.panel_width(axes) - 4, most=2)
            axes.text(
                0.5, position, "\n".join(lines), va="center", ha="center", fontsize=style.SMALL,
                transform=axes.get_yaxis_transform(), color=style.GREY,
                bbox={"facecolor": _BANDS[int(position) % 2], "edgecolor": "none", "pad": 0.5},
            )  # fmt: skip
    return figure


def _called(name: str) -> str:
    """Return what a contender is called in the figure."""
    return _LOOKS[name][2] if name in _LOOKS else style.shorten(name, 32)


def _scored(counts: pd.DataFrame, name: str, metric: str) -> str:
    """Return the brackets behind a contender; blank where its counts are not known."""
    own = counts[(counts["network"] == name) & (counts["metric"] == metric)]
    if own.empty:
        return ""
    n, asked = own[["n", "n_asked"]].fillna(0).to_numpy(dtype=float)[0]
    return f"({n:.0f}/{asked:.0f})"


def _draw_metric(
    axes: Axes, points: pd.DataFrame, means: pd.DataFrame, rows: Sequence[str]
) -> None:
    """Draw the marks of one metric over the rows of all contenders."""
    for k in range(len(rows)):
        axes.axhspan(k - 0.5, k + 0.5, color=_BANDS[k % 2], linewidth=0, zorder=0)
    axes.axvline(0, color=style.BLACK, linewidth=0.6, zorder=1)
    strength = 0.7 if len(points) <= _FEW * len(rows) else 0.35
    for name in rows:
        colour, marker, _ = _LOOKS.get(name, (style.PURPLE, "v", name))
        own = points[points["network"] == name]
        axes.scatter(
            own["value"], own["position"], s=4, color=colour, marker=marker, linewidths=0,
            alpha=strength, zorder=2, gid="points",
            rasterized=len(points) > style.MOST_VECTOR_MARKS,
        )  # fmt: skip
        mean = means[means["network"] == name]
        axes.hlines(mean["position"], mean["lower"], mean["upper"], colors="black", linewidth=0.9,
                    zorder=3)  # fmt: skip
        axes.scatter(
            mean["value"], mean["position"], s=18, marker=marker, zorder=4, gid="means",
            edgecolors="black", linewidths=0.7, facecolors=colour,
        )  # fmt: skip
    values = np.concatenate([points["value"], *(means[k] for k in ("value", "lower", "upper"))])
    low, high = np.nanmin([0.0, *values]), np.nanmax([0.0, *values])
    room = 0.05 * (high - low) or 0.1
    axes.set_xlim(low - room, high + room)
    ticks.number_axis(axes.xaxis)
