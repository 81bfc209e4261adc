"""Picture of the error of predictions against the number of genes scored."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

from lgem.figures import style, ticks
from lgem.figures.looks import Look, looks
from lgem.figures.prediction import BASELINES
from lgem.figures.style import Drawn

GENE_COUNT_COLUMNS = ("model", "genes", "metric", "mean", "lower", "upper", "n")
ERROR_COLUMNS = ("mark", *GENE_COUNT_COLUMNS, "note")

_TITLE = "Error against the number of genes"
# A line over other perturbations must not look like one to compare with.
_FAINT = 0.35
# Share of the range drawn within which one line hides another.
_SAME = 0.01
WORDS = {"l2": "L2", "pearson_delta": "Pearson"}
METRICS = {
    "l2": "mean L2 distance ({unit}),\nlower is better",
    "pearson_delta": "mean Pearson correlation of effects\n(no unit), higher is better",
}


@style.styled
def error_by_genes(
    errors: pd.DataFrame,
    *,
    scored: int | None = None,
    unit: str = "natural log units",
    baselines: Collection[str] = BASELINES,
    interval: float = 0.9,
) -> Drawn:
    """Draw the mean error of every model over the genes most expressed in control.

    Parameters
    ----------
    errors
        Columns model, genes (how many were scored beside the targets), metric (``l2``,
        ``pearson_delta``), mean, lower, upper, n (perturbations in the mean). The first model
        is drawn with its interval.
    scored
        The number of genes that all other scores are over, marked where it is in the range.
    unit
        Unit of log-expression.
    baselines
        Names of the baselines, also with the on-target term behind them.
    interval
        Share that the intervals cover.

    Returns
    -------
    figure, table
        Rows of the table: ``mean``, ``scored`` (the vertical line) and ``note`` (why a model has
        no line in a panel).
    """
    table = style.take(errors, GENE_COUNT_COLUMNS, "table of errors by number of genes")
    table["model"] = style.texts(table["model"])
    for name in GENE_COUNT_COLUMNS:
        if name not in ("model", "metric"):
            table[name] = style.numbers(table[name])
    table = table[table["metric"].isin(list(METRICS))].dropna(subset=["genes"])
    models = list(dict.fromkeys(table["model"]))
    known = table.dropna(subset=["mean"]).sort_values("genes", kind="stable")
    if known.empty:
        return style.empty_figure(
            "No held-out scores: no model was evaluated.", ERROR_COLUMNS, title=_TITLE
        )
    look = looks(models, baselines)
    most = {str(metric): own["n"].max() for metric, own in known.groupby("metric")}
    notes = pd.concat([_gaps(known, models, most), _alike(known, models)], ignore_index=True)
    drawn = [known.assign(mark="mean"), notes.assign(mark="note")]
    marked = scored is not None and known["genes"].min() < scored < known["genes"].max()
    if marked:
        drawn.insert(1, pd.DataFrame({"mark": ["scored"], "genes": [float(scored or 0)]}))
    present = [model for model in models if (known["model"] == model).any()]
    fewer = _fewer(known, most)
    legend = [
        (look[model].handle(line=True), style.shorten(model, 70) + fewer.get(model, ""))
        for model in present
    ]
    for (mark, _), model in zip(legend, present, strict=True):
        mark.set_alpha(_FAINT if model in fewer else None)
    if marked:
        line = Line2D([], [], color=style.LIGHT, linewidth=0.9)
        legend.append((line, f"{scored:,} genes, as scored elsewhere"))
    band = known[known["model"] == models[0]][["lower", "upper"]].notna().all(axis=1).any()
    told = [f"Band: {100 * interval:g} % interval of {models[0]}." * bool(band)]
    told += [f"{why}." for why in dict.fromkeys(notes["note"])]
    told.insert(0, "A perturbation's own target is scored in any case.")
    figure = style.new_figure(
        "double",
        62,
        title=_TITLE,
        legend=legend,
        note=" ".join(filter(None, told)),
    )
    panels = dict(zip(METRICS, figure.subplots(1, len(METRICS)), strict=True))
    for metric, axes in panels.items():
        lines_panel(axes, known[known["metric"] == metric], present, look, fewer)
        if marked:
            axes.axvline(scored, color=style.LIGHT, linewidth=0.9, zorder=0)
        axes.set_ylabel(METRICS[metric].format(unit=unit))
        count_axis(axes, known["genes"].unique())
    style.freeze(figure)
    for metric, axes in panels.items():
        if not (known["metric"] == metric).any():
            style.say(axes, "Undefined for every model: no prediction differs between genes.")
    return figure, style.drawn_table(drawn, ERROR_COLUMNS)


def _fewer(known: pd.DataFrame, most: Mapping[str, float]) -> dict[str, str]:
    """Return what the legend adds for models whose L2 is over fewer perturbations than others'."""
    n = known[known["metric"] == "l2"].groupby("model")["n"].max()
    return {str(name): f" ({n[name]:.0f} of {most['l2']:.0f})" for name in n[n < n.max()].index}


def _alike(known: pd.DataFrame, models: list[str]) -> pd.DataFrame:
    """Return, for each metric, which lines lie so close that one hides the others."""
    rows = []
    for metric, own in known.groupby("metric", sort=False):
        wide = own.pivot_table(index="model", columns="genes", values="mean")
        wide = wide.reindex([model for model in models if model in wide.index])
        room = _SAME * float(np.ptp(own["mean"]))
        groups: dict[str, list[str]] = {}
        for model, line in wide.iterrows():
            near = (head for head in groups if ((wide.loc[head] - line).abs() <= room).all())
            groups.setdefault(next(near, str(model)), []).append(str(model))
        together = [", ".join(names) for names in groups.values() if len(names) > 1]
        if together:
            words = f"{WORDS[str(metric)]}, lines on one another: {'; '.join(together)}"
            rows.append((metric, words))
    return pd.DataFrame(rows, columns=["metric", "note"])


def _gaps(known: pd.DataFrame, models: list[str], most: Mapping[str, float]) -> pd.DataFrame:
    """Return, for each metric, the models without a line and those over fewer perturbations."""
    rows = []
    for metric, name in WORDS.items():
        n = known[known["metric"] == metric].groupby("model")["n"].max()
        if n.empty:
            continue
        none = [model for model in models if model not in n]
        fewer = [
            f"{model} ({n[model]:.0f})"
            for model in models
            if n.get(model, most[metric]) < most[metric]
        ]
        if none:
            rows.append((metric, f"No {name}, undefined or not predicted: {', '.join(none)}"))
        if fewer:
            rows.append(
                (metric, f"{name} over fewer than {most[metric]:.0f} perturbations, and not "
                 f"comparable: {', '.join(fewer)}")
            )  # fmt: skip
    return pd.DataFrame(rows, columns=["metric", "note"])


def lines_panel(
    axes: Axes,
    table: pd.DataFrame,
    models: list[str],
    look: Mapping[str, Look],
    faint: Collection[str],
) -> None:
    """Draw one panel: the lines of all models, the first one on top with its interval."""
    for k, model in enumerate(models):
        own, seen = table[table["model"] == model], look[model]
        front = 5 if k == 0 else 3
        axes.plot(
            own["genes"], own["mean"], color=seen.colour, linestyle=seen.dash, marker=seen.marker,
            linewidth=seen.width, markersize=2.6, markeredgewidth=0.6, zorder=front, gid=model,
            markerfacecolor="white" if seen.open_ else seen.colour,
            alpha=_FAINT if model in faint else None,
        )  # fmt: skip
        if k == 0:
            axes.fill_between(
                own["genes"], own["lower"], own["upper"], color=seen.colour, alpha=0.15,
                linewidth=0, zorder=1,
            )  # fmt: skip
    ticks.number_axis(axes.yaxis)
    axes.margins(y=0.06)


def count_axis(
    axes: Axes,
    counts: np.ndarray,
    label: str = "genes scored, most expressed in control first (log scale)",
    apart: float = 0.15,
) -> None:
    """Give an axis of numbers of genes a logarithmic scale, labelled at tens and at its end.

    Powers of ten are left out where they stand less than a share `apart` of the axis from the
    label that follows.
    """
    last = counts.max()
    gap = (last / counts.min()) ** apart
    places = [last]
    for ten in (10.0**k for k in range(7, -1, -1)):
        if counts.min() <= ten < last and places[0] / ten >= gap:
            places.insert(0, ten)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(places))
    axes.xaxis.set_major_formatter(FixedFormatter([f"{place:,.0f}" for place in places]))
    axes.xaxis.set_minor_locator(NullLocator())
    pad = 1.15 if len(counts) > 1 else 2.0
    axes.set_xlim(counts.min() / pad, last * pad)
    axes.set_xlabel(label)
