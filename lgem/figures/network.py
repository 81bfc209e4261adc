"""Pictures of the gene network: partial correlations, their changes, scores against a reference."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import NullLocator

from lgem.figures import style, ticks
from lgem.figures.style import Drawn

HISTOGRAM_COLUMNS = ("left", "right", "before", "after")
STATISTICS_COLUMNS = ("metric", "before", "after")
CHANGES_COLUMNS = ("rank", "gene_a", "gene_b", "before", "after", "change")
SCORES_COLUMNS = ("metric", "value", "chance", "lower", "upper")

PARTIAL_COLUMNS = ("mark", "metric", *HISTOGRAM_COLUMNS, "note")
CHANGE_COLUMNS = ("mark", "position", *CHANGES_COLUMNS, "direction", "label", "note")
SCORE_COLUMNS = ("mark", "estimator", *SCORES_COLUMNS, "position", "note")

MOST_CHANGES = 20
ALL_UPDATES = "all updates"
STRONG_EDGES = "strong_edges"
MEAN_ABSOLUTE = "mean_abs_rho"

_PARTIAL = "Partial correlations of gene pairs"
_CHANGES = "Largest changes of edges"
_COLOURS = {"before": style.GREY, "after": style.VERMILLION}
_SCORE_NAMES = {
    "auroc": "AUROC",
    "aupr": "AUPR",
    "aupr_ratio": "AUPR / chance",
    "early_precision": "early precision",
}


@style.styled
def partial_correlations(
    histogram: pd.DataFrame, threshold: float | None, statistics: pd.DataFrame
) -> Drawn:
    """Draw the distribution of partial correlations before and after the updates.

    Parameters
    ----------
    histogram
        Adjoining bins: left, right, before, after (gene pairs in the bin).
    threshold
        Absolute partial correlation beyond which an edge is strong; None where edges were chosen
        by rank instead.
    statistics
        ``statistics.tsv``: metric, before, after; the legend gives ``strong_edges`` and
        ``mean_abs_rho``, each where the table has it.

    Returns
    -------
    figure, table
        Rows of the table: ``bin`` (from the first to the last one that holds a pair),
        ``threshold`` and ``statistic``.
    """
    bins = style.take(histogram, HISTOGRAM_COLUMNS, "histogram of partial correlations")
    numbers = style.take(statistics, STATISTICS_COLUMNS, "network statistics")
    bins = bins.apply(style.numbers).dropna(subset=["left", "right"]).sort_values("left")
    bins = bins.fillna({"before": 0.0, "after": 0.0}).reset_index(drop=True)
    filled = np.flatnonzero(bins[["before", "after"]].to_numpy(dtype=float).sum(axis=1) > 0)
    if not len(filled):
        return style.empty_figure(
            "No partial correlations: the network has no pair of genes.",
            PARTIAL_COLUMNS, title=_PARTIAL,
        )  # fmt: skip
    bins = bins.iloc[filled[0] : filled[-1] + 1].reset_index(drop=True)
    numbers = numbers[numbers["metric"].isin([STRONG_EDGES, MEAN_ABSOLUTE])]
    values = numbers.set_index("metric")
    if all(style.numbers(values[when]).get(MEAN_ABSOLUTE) == 0 for when in _COLOURS):
        figure, said = style.empty_figure(
            f"Shrinkage left no partial correlation: all {bins['before'].sum():,.0f} are 0, "
            "before and after the updates.", PARTIAL_COLUMNS, title=_PARTIAL,
        )  # fmt: skip
        return figure, style.drawn_table([numbers.assign(mark="statistic"), said], PARTIAL_COLUMNS)
    marks = [bins.assign(mark="bin")]
    if threshold is not None:
        at = [-threshold, threshold]
        marks.append(pd.DataFrame({"mark": "threshold", "left": at, "right": at}))
    marks.append(numbers.assign(mark="statistic"))
    legend = [
        (Line2D([], [], color=colour), _told(when, values[when], threshold))
        for when, colour in _COLOURS.items()
    ]
    if threshold is not None:
        line = Line2D([], [], color=style.BLACK, linewidth=0.7, linestyle="--")
        legend.append((line, f"threshold, ±{threshold:g}"))
    same = bins["before"].equals(bins["after"])
    note = "No update changed the network: before and after are the same." if same else ""
    figure = style.new_figure("single", 52, title=_PARTIAL, note=note,
                              legend=legend, legend_columns=1)  # fmt: skip
    axes = figure.subplots()
    edges = np.append(bins["left"], bins["right"].iloc[-1])
    axes.stairs(bins["before"], edges, fill=True, color=style.LIGHT, zorder=1, baseline=0.5)
    for when, colour in _COLOURS.items():
        axes.stairs(bins[when], edges, color=colour, linewidth=0.9, baseline=0.5, gid=when)
    for value in [] if threshold is None else [-threshold, threshold]:
        axes.axvline(value, color=style.BLACK, linewidth=0.7, linestyle="--", zorder=4)
    # Bins of one pair stand clear of the axis, empty ones lie under it.
    axes.set_yscale("log", nonpositive="clip")
    axes.set_ylim(0.7, 1.6 * bins[["before", "after"]].to_numpy().max())
    axes.yaxis.set_major_formatter(ticks.plain_powers)
    axes.yaxis.set_minor_locator(NullLocator())
    ticks.number_axis(axes.xaxis, 6)
    axes.set_xlabel("partial correlation (no unit)")
    axes.set_ylabel("gene pairs in a bin (log scale)")
    style.freeze(figure)
    return figure, style.drawn_table(marks, PARTIAL_COLUMNS)


def _told(when: str, values: pd.Series, threshold: float | None) -> str:
    """Return the legend's words for the network before or after."""
    known = style.numbers(values).dropna()
    parts = []
    if STRONG_EDGES in known:
        count = int(known[STRONG_EDGES])
        beyond = "" if threshold is None else f", |ρ| > {threshold:g}"
        parts.append(f"{count:,} strong edge{'s' * (count != 1)}{beyond}")
    if MEAN_ABSOLUTE in known:
        parts.append(f"mean |ρ| {known[MEAN_ABSOLUTE]:.4f}")
    return f"{when}: " + "; ".join(parts) if parts else when


@style.styled
def largest_changes(changes: pd.DataFrame) -> Drawn:
    """Draw the gene pairs whose absolute partial correlation changed most, as bars.

    Parameters
    ----------
    changes
        Columns rank (1 = largest), gene_a, gene_b, before, after (partial correlations), change
        (of the absolute value) and, where genes have symbols to be called by, symbol_a, symbol_b.
        Where it tells them apart, update: the rows of ``all`` updates together are drawn, else
        all rows. At most the first 20 ranks are drawn.

    Returns
    -------
    figure, table
        Rows of the table: ``bar`` (with its position, label and direction) or ``note``.
    """
    if "update" in changes:
        changes = changes[style.texts(changes["update"]) == ALL_UPDATES]
    table = style.take(changes, CHANGES_COLUMNS, "table of largest changes")
    ends = [called(changes, end) for end in "ab"]
    table["label"] = ends[0] + "–" + ends[1]
    for name in ("rank", "before", "after", "change"):
        table[name] = style.numbers(table[name])
    unknown = int(table["change"].isna().sum())
    table = table.dropna(subset=["change"]).sort_values("rank", kind="stable").head(MOST_CHANGES)
    if table.empty:
        why = f": {unknown} without a value" if unknown else ": no edge changed"
        return style.empty_figure(f"No changes to draw{why}.", CHANGE_COLUMNS, title=_CHANGES)
    table = table.reset_index(drop=True)
    table = table.assign(
        mark="bar",
        rank=table["rank"].astype("Int64"),
        position=np.arange(1.0, len(table) + 1),
        direction=np.sign(table["change"]).map({1: "stronger", -1: "weaker", 0: "unchanged"}),
        label=[style.shorten(pair, 36) for pair in table["label"]],
    )
    looks = {"stronger": style.BLUE, "weaker": style.VERMILLION, "unchanged": style.GREY}
    legend = [
        (Patch(color=colour), f"{word} after the updates")
        for word, colour in looks.items()
        if (table["direction"] == word).any()
    ]
    note = f"{unknown} more without a value." if unknown else ""
    figure = style.new_figure("single", max(26.0, 13 + 3.4 * len(table)), note=note,
                              title=_CHANGES, legend=legend)  # fmt: skip
    axes = figure.subplots()
    colours = table["direction"].map(looks)
    axes.barh(table["position"], table["change"], height=0.7, color=colours, linewidth=0)
    axes.axvline(0, color=style.BLACK, linewidth=0.6)
    axes.set_yticks(table["position"], table["label"])
    axes.set_ylim(len(table) + 0.7, 0.3)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.margins(x=0.03)
    ticks.number_axis(axes.xaxis, 4)
    axes.set_xlabel("change of |partial correlation|\n(no unit)")
    style.freeze(figure)
    return figure, style.drawn_table([table], CHANGE_COLUMNS)


def called(changes: pd.DataFrame, end: str) -> pd.Series:
    """Return what the genes at one end of the pairs are called: symbols, else their names."""
    if changes.empty:
        return pd.Series(dtype=object)
    genes = style.texts(changes[f"gene_{end}"]).reset_index(drop=True)
    if f"symbol_{end}" not in changes:
        return genes
    symbols = style.texts(changes[f"symbol_{end}"]).reset_index(drop=True)
    return symbols.where(symbols != "", genes)


@style.styled
def network_scores(
    scores: pd.DataFrame,
    names: Mapping[str, str] = _SCORE_NAMES,
    *,
    network: str | None = None,
    interval: float = 0.9,
) -> Drawn:
    """Draw how well the edges recover a reference network, beside what chance would reach.

    One panel per metric, for each has a scale of its own; one row per estimator.

    Parameters
    ----------
    scores
        ``scores.tsv``: metric, value, chance, lower, upper and, where there are several,
        estimator.
    names
        How metrics are called in the figure.
    network
        Which network was scored, for the title, such as ``"before the update"``.
    interval
        Share that the intervals of `scores` cover.

    Returns
    -------
    figure, table
        Rows of the table: ``score`` (with its position, and in ``note`` what is said instead of a
        missing value) or ``note``.
    """
    title = " ".join(filter(None, ["Edges", network, "against the reference network"]))
    table = style.take(scores, SCORES_COLUMNS, "table of network scores")
    if table.empty:
        return style.empty_figure(
            "No scores: there is no reference network.", SCORE_COLUMNS, title=title
        )
    for name in SCORES_COLUMNS[1:]:
        table[name] = style.numbers(table[name])
    table["estimator"] = (
        style.texts(scores["estimator"]).to_numpy() if "estimator" in scores else "network"
    )
    # An interval without its value would be a claim about nothing.
    table[["lower", "upper"]] = table[["lower", "upper"]].where(table["value"].notna())
    estimators = list(dict.fromkeys(table["estimator"]))
    table["position"] = [float(estimators.index(name)) for name in table["estimator"]]
    table["note"] = np.where(table["value"].isna(), "not scored", "")
    metrics = list(dict.fromkeys(table["metric"]))
    legend = [
        (style.handle(style.BLUE, "o"), "edges by |partial correlation|"),
        (Line2D([], [], color=style.ORANGE, marker="|", markersize=7, markeredgewidth=1.5,
                linestyle=""), "chance"),
    ]  # fmt: skip
    columns = min(4, len(metrics))
    rows = -(-len(metrics) // columns)
    figure = style.new_figure(
        "single" if columns == 1 else "double", rows * (14 + 5.0 * len(estimators)),
        title=title, legend=legend,
        note=f"Bars: {100 * interval:g} % interval. The direction of reference edges is ignored. "
        "AUROC, AUPR: area under the curve of true over false positives, of precision over recall; "
        "early precision: among as many first pairs as there are true ones. Higher is better.",
    )  # fmt: skip
    panels = figure.subplots(rows, columns, sharey=True, squeeze=False).ravel()
    for axes, metric in zip(panels, metrics, strict=False):
        _draw_scores(axes, table[table["metric"] == metric])
        axes.set_xlabel(names.get(metric, metric))
    for axes in panels[len(metrics) :]:
        axes.set_axis_off()
    panels[0].set_yticks(range(len(estimators)), [style.shorten(name, 35) for name in estimators])
    panels[0].set_ylim(len(estimators) - 0.4, -0.6)
    style.freeze(figure)
    for axes, metric in zip(panels, metrics, strict=False):
        axes.set_xlabel(style.shorten(names.get(metric, metric), style.panel_width(axes), 7))
    return figure, style.drawn_table([table.assign(mark="score")], SCORE_COLUMNS)


def _draw_scores(axes: Axes, table: pd.DataFrame) -> None:
    """Draw one metric: values with intervals, chance as a stroke across each row."""
    axes.hlines(table["position"], table["lower"], table["upper"], colors=style.BLUE)
    axes.vlines(
        table["chance"], table["position"] - 0.3, table["position"] + 0.3, colors=style.ORANGE,
        linewidth=1.5, zorder=1,
    )  # fmt: skip
    axes.scatter(table["value"], table["position"], s=16, color=style.BLUE, zorder=3, gid="points")
    for position in table.loc[table["value"].isna(), "position"]:
        axes.text(
            0.5, position, "not scored", transform=axes.get_yaxis_transform(), ha="center",
            va="center", fontsize=style.SMALL, color=style.GREY,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5},
        )  # fmt: skip
    axes.tick_params(axis="y", length=0)
    axes.margins(x=0.12)
    ticks.number_axis(axes.xaxis, 4)
    if table[["value", "chance"]].isna().all(axis=None):
        axes.set_xticks([])
