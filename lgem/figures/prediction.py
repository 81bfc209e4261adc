"""Pictures of the errors of predictions on held-out perturbations."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from itertools import product
from operator import add
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from lgem.errors import listing
from lgem.figures import style, ticks
from lgem.figures.style import Drawn

METRICS_COLUMNS = (
    "model", "repeat", "fold", "perturbation", "gene_set", "metric", "value", "status", "reason",
)  # fmt: skip
SUMMARY_COLUMNS = ("model", "gene_set", "metric", "mean", "lower", "upper", "n", "n_asked")
HELD_OUT_COLUMNS = (
    "mark", "model", "kind", "gene_set", "metric", "perturbation", "value", "lower", "upper",
    "n", "n_asked", "position", "note",
)  # fmt: skip
BASELINES = ("no_change", "mean", "additive", "same_effect")
RANDOM = ("lgem_random_P", "lgem_random_G")
# No model: the other half of the same cells, the best that can be asked of a prediction.
DUPLICATE = "technical_duplicate"

KIND_LOOKS = {
    "model": (style.BLUE, "o"),
    "baseline": (style.ORANGE, "s"),
    "random embedding": (style.GREY, "D"),
    "technical duplicate": (style.BLACK, "v"),
}
METRICS = {
    "l2": "L2 distance from the observed profile\n({unit}), lower is better",
    "pearson_delta": "Pearson correlation of effects\n(no unit), higher is better",
}
_SHORT = {"l2": "L2", "pearson_delta": "Pearson"}
_GENE_SETS = {"top": "top genes and target", "top_off_target": "target left out"}
_TITLE = "Error on held-out perturbations"
BANDS = ("#F4F4F4", "#FFFFFF")
_KEYS = ["model", "gene_set", "metric"]


def kind_of(model: str, baselines: Collection[str] = BASELINES) -> str:
    """Return what a name stands for, with or without the on-target term behind it.

    ``baseline``, ``random embedding``, ``technical duplicate`` or else ``model``.
    """
    if model == DUPLICATE:
        return "technical duplicate"
    stem = re.sub(r"[ _+-]*on_target$", "", model)
    if model in baselines or stem in baselines:
        return "baseline"
    return "random embedding" if stem in RANDOM else "model"


@style.styled
def held_out_error(
    metrics: pd.DataFrame,
    summary: pd.DataFrame,
    *,
    unit: str = "natural log units",
    gene_sets: Sequence[str] = ("top", "top_off_target"),
    baselines: Collection[str] = BASELINES,
    interval: float = 0.9,
) -> Drawn:
    """Draw the error of every model on the perturbations that it had not seen.

    One row per model, best mean L2 at the top; the left panel shows L2, the right one the Pearson
    correlation of effects. Small marks are perturbations (mean of their repeats), large ones the
    mean with its interval: filled for the first gene set, open and lighter for the second.

    Parameters
    ----------
    metrics
        ``metrics.tsv``: model, repeat, fold, perturbation, gene_set, metric, value, status,
        reason.
    summary
        ``summary.tsv``: model, gene_set, metric, mean, lower, upper, n, n_asked and, where it
        tells means over other perturbations apart, perturbations (``scored`` is drawn).
    unit
        Unit of log-expression.
    gene_sets
        One or two gene sets.
    baselines
        Names of the baselines, also with the on-target term behind them.
    interval
        Share that the intervals of `summary` cover.

    Returns
    -------
    figure, table
        Rows of the table: ``point``, ``mean``, ``best_baseline`` (the dotted line), ``note``
        (what a row without points says) and ``blank`` (what the foot says of half a row).
    """
    # A mean belongs to the marks beside it: those that the model scored, shared or not.
    if "perturbations" in summary:
        summary = summary[summary["perturbations"] == "scored"]
    scores = _relevant(style.take(metrics, METRICS_COLUMNS, "table of metrics"), gene_sets)
    means = _relevant(style.take(summary, SUMMARY_COLUMNS, "table of mean metrics"), gene_sets)
    if scores.empty and means.empty:
        return style.empty_figure(
            "No held-out scores: no model was evaluated.", HELD_OUT_COLUMNS, title=_TITLE
        )
    scores["value"] = style.numbers(scores["value"])
    averaged = scores.groupby([*_KEYS, "perturbation"]).agg(value=("value", "mean")).reset_index()
    means = _means(means, averaged)
    models = _in_order(means, averaged, gene_sets[0])
    offset = dict(zip(gene_sets, (0.0,) if len(gene_sets) == 1 else (-0.2, 0.24), strict=True))
    points = averaged.dropna(subset=["value"])
    shift = jitter(points["perturbation"], 0.14)
    drawn = pd.concat([points.assign(mark="point"), means.assign(mark="mean")], ignore_index=True)
    drawn["position"] = (
        drawn["model"].map(models.index).astype(float)
        + drawn["gene_set"].map(offset).astype(float)
        + drawn["perturbation"].map(shift).astype(float).fillna(0.0)
    )
    drawn["kind"] = [kind_of(model, baselines) for model in drawn["model"]]
    best = _best_baselines(drawn[drawn["gene_set"] == gene_sets[0]])
    table = style.drawn_table(
        [drawn, best, _unscored(drawn, scores, models), _half_scored(drawn, scores)],
        HELD_OUT_COLUMNS,
    )
    return _draw_held_out(table, models, gene_sets, unit, interval), table


def _relevant(table: pd.DataFrame, gene_sets: Sequence[str]) -> pd.DataFrame:
    """Return the rows of the gene sets and metrics that are drawn."""
    keep = table["gene_set"].isin(list(gene_sets)) & table["metric"].isin(list(METRICS))
    names = {name: style.texts(table[name]) for name in ("model", "perturbation") if name in table}
    return table.assign(**names)[keep].reset_index(drop=True)


def _means(means: pd.DataFrame, averaged: pd.DataFrame) -> pd.DataFrame:
    """Return the means as floats, with perturbations scored and asked counted where not given."""
    counted = averaged.groupby(_KEYS)["value"].agg(n="count", n_asked="size").reset_index()
    both = means.merge(counted, on=_KEYS, how="outer", sort=True, suffixes=("", "_counted"))
    for name in ("mean", "lower", "upper", "n", "n_asked"):
        both[name] = style.numbers(both[name])
    for name in ("n", "n_asked"):
        both[name] = both[name].fillna(both[f"{name}_counted"]).fillna(0).astype(int)
    return both.rename(columns={"mean": "value"})


def _in_order(means: pd.DataFrame, averaged: pd.DataFrame, gene_set: str) -> list[str]:
    """Return the models, best mean L2 first, those without one last."""
    rank: dict[Any, float] = {}
    for table in (averaged, means):
        own = table[(table["gene_set"] == gene_set) & (table["metric"] == "l2")]
        rank |= own.groupby("model")["value"].mean().dropna().to_dict()
    return sorted(means["model"].unique(), key=lambda model: (rank.get(model, np.inf), model))


def jitter(names: Iterable[object], spread: float) -> dict[object, float]:
    """Return an offset in ±`spread` for each name: even, and the same for a name everywhere."""
    golden = (5**0.5 - 1) / 2
    order = sorted(set(names), key=str)
    return {name: spread * (2 * ((k * golden) % 1) - 1) for k, name in enumerate(order)}


def _best_baselines(drawn: pd.DataFrame) -> pd.DataFrame:
    """Return the best baseline's mean for each metric that one has."""
    means = drawn[(drawn["mark"] == "mean") & (drawn["kind"] == "baseline")]
    means = means.dropna(subset=["value"])
    # A baseline that scored fewer perturbations than another may have had the easier ones.
    means = means[means["n"] == means.groupby("metric")["n"].transform("max")]
    sign = means["metric"].map({"l2": 1.0, "pearson_delta": -1.0})
    best = means.loc[(sign * means["value"]).groupby(means["metric"]).idxmin()]
    return best.assign(mark="best_baseline", position=np.nan, lower=np.nan, upper=np.nan)


def _unscored(drawn: pd.DataFrame, scores: pd.DataFrame, models: Sequence[str]) -> pd.DataFrame:
    """Return one row for each model and metric of which nothing is drawn, with the reason."""
    seen = drawn.dropna(subset=["value"])
    shown = set(zip(seen["model"], seen["metric"], strict=True))
    rows = []
    for model, metric in product(models, METRICS):
        if (model, metric) in shown:
            continue
        own = scores[(scores["model"] == model) & (scores["metric"] == metric)]
        told = style.texts(own["reason"].where(own["reason"].notna(), own["status"]))
        told = told.map(style.without_names)
        # The most frequent reason; of equally frequent ones the first in the alphabet.
        reasons = told[told != ""].mode()
        why = "no reason given" if len(own) else "not evaluated"
        if len(reasons):
            count = own.loc[told == reasons[0], "perturbation"].nunique()
            why = f"{reasons[0]} ({count} of {own['perturbation'].nunique()})"
        rows.append(("note", model, metric, float(models.index(model)), f"none scored: {why}"))
    return pd.DataFrame(rows, columns=["mark", "model", "metric", "position", "note"])


def _half_scored(drawn: pd.DataFrame, scores: pd.DataFrame) -> pd.DataFrame:
    """Return a sentence for every metric and gene set of which some models have nothing.

    A model without anything of a metric says so in its row.
    """
    means = drawn[drawn["mark"] == "mean"]
    shown = drawn["value"].notna()
    known = shown.groupby([drawn[key] for key in _KEYS]).transform("any")
    beside = shown.groupby([drawn["model"], drawn["metric"]]).transform("any")
    rows = []
    for (metric, gene_set), own in means[(~known & beside)[means.index]].groupby(
        ["metric", "gene_set"]
    ):
        name = str(METRICS[str(metric)]).partition("\n")[0]
        asked = scores[scores["model"].isin(own["model"])]
        asked = asked[(asked["metric"] == metric) & (asked["gene_set"] == gene_set)]
        reasons = style.texts(asked["reason"]).map(style.without_names)
        usual = reasons[reasons != ""].mode()
        why = f" ({usual[0]})" if len(usual) else ""
        words = f"{_GENE_SETS.get(str(gene_set), gene_set)}, no {name}"
        rows.append(("blank", metric, gene_set, f"{words}: {', '.join(own['model'])}{why}."))
    told = pd.DataFrame(rows, columns=["mark", "metric", "gene_set", "note"])
    return told.assign(note=told["note"].str[:1].str.upper() + told["note"].str[1:])


def _draw_held_out(
    table: pd.DataFrame, models: Sequence[str], gene_sets: Sequence[str], unit: str, interval: float
) -> Figure:
    """Draw the two panels from the table of marks."""
    kinds = [kind for kind in KIND_LOOKS if kind in set(table["kind"])]
    legend = [(style.handle(*KIND_LOOKS[kind]), kind) for kind in kinds]
    if len(gene_sets) > 1:
        legend += [
            (style.handle(style.BLACK, "o", open_=k > 0), _GENE_SETS.get(gene_set, gene_set))
            for k, gene_set in enumerate(gene_sets)
        ]
    if (table["mark"] == "best_baseline").any():
        line = Line2D([], [], color=style.ORANGE, linewidth=0.8, linestyle=":")
        legend.append((line, "best baseline"))
    counts = table[(table["mark"] == "mean") & (table["gene_set"] == gene_sets[0])]
    uneven = counts[counts["n"] > 0].groupby("metric")["n"].nunique().gt(1).any()
    differ = " Where counts differ, compare models by paired differences instead." * bool(uneven)
    told = {(k.model, k.metric): f"({k.n:.0f}/{k.n_asked:.0f})" for k in counts.itertuples()}
    figure = style.new_figure(
        "double", 14 + max(16.0, min(7.0, 240 / len(models)) * len(models)),
        title=_TITLE, legend=legend,
        note=f"Small marks: perturbations; large: mean with {100 * interval:g} % interval. "
        f"In brackets: perturbations in the mean / asked for.{differ}{_fewer(table, gene_sets)}"
        + "".join(f" {told}" for told in table.loc[table["mark"] == "blank", "note"]),
    )  # fmt: skip
    panels = dict(zip(METRICS, figure.subplots(1, len(METRICS)), strict=True))
    for metric, axes in panels.items():
        error_panel(axes, table[table["metric"] == metric], gene_sets, len(models))
        axes.set_xlabel(METRICS[metric].format(unit=unit))
        names = [style.shorten(model, 40) + " " if metric == "l2" else "" for model in models]
        ticks = [told.get((model, metric), "(0/0)") for model in models]
        axes.set_yticks(range(len(models)), list(map(add, names, ticks)))
        axes.set_ylim(len(models) - 0.45, -0.55)
        axes.tick_params(axis="y", length=0)
    style.freeze(figure)
    for metric, axes in panels.items():
        own = table[table["metric"] == metric]
        notes = own[own["mark"] == "note"]
        if len(notes) == len(models) and len(set(notes["note"])) == 1:
            style.say(axes, notes["note"].iloc[0])
            continue
        fits = int(style.panel_height(axes) / len(models) / style.LINE_MM[style.SMALL])
        for position, note in zip(notes["position"], notes["note"], strict=True):
            lines = style.wrap(note, style.panel_width(axes) - 2, most=max(1, min(fits, 2)))
            axes.text(
                0.01, position, "\n".join(lines), va="center", fontsize=style.SMALL,
                transform=axes.get_yaxis_transform(), color=style.GREY,
                bbox={"facecolor": BANDS[int(position) % 2], "edgecolor": "none", "pad": 0.5},
            )  # fmt: skip
        if own["value"].isna().all():
            axes.set_xticks([])
    return figure


def _fewer(table: pd.DataFrame, gene_sets: Sequence[str]) -> str:
    """Say which means of the second gene set are over fewer perturbations than the row tells."""
    means = table[table["mark"] == "mean"]
    wide = means.pivot_table(index=["metric", "model"], columns="gene_set", values="n", sort=False)
    if len(gene_sets) < 2 or not set(gene_sets[:2]) <= set(wide):
        return ""
    first, second = wide[gene_sets[0]], wide[gene_sets[1]]
    told = [
        f"{model} ({_SHORT[metric]}: {second[metric, model]:.0f})"
        for metric, model in wide.index[(second > 0) & (second < first)]
    ]
    place = _GENE_SETS.get(gene_sets[1], gene_sets[1])
    return f" Open marks ({place}) are over fewer for {listing(told, 4)}." if told else ""


def error_panel(axes: Axes, table: pd.DataFrame, gene_sets: Sequence[str], rows: int) -> None:
    """Draw one panel: the points, means and the best baseline of one metric, a row per model."""
    for row in range(rows):
        axes.axhspan(row - 0.5, row + 0.5, color=BANDS[row % 2], linewidth=0, zorder=0)
    points, means = table[table["mark"] == "point"], table[table["mark"] == "mean"]
    strong, faint = (0.7, 0.4) if len(points) <= 120 * rows else (0.35, 0.18)
    for (kind, gene_set), own in points.groupby(["kind", "gene_set"]):
        colour, marker = KIND_LOOKS[str(kind)]
        axes.scatter(
            own["value"], own["position"], s=3, color=colour, marker=marker, linewidths=0,
            alpha=strong if gene_set == gene_sets[0] else faint, zorder=2, gid="points",
            rasterized=len(points) > style.MOST_VECTOR_MARKS,
        )  # fmt: skip
    for (kind, gene_set), own in means.groupby(["kind", "gene_set"]):
        colour, marker = KIND_LOOKS[str(kind)]
        axes.hlines(own["position"], own["lower"], own["upper"], colors="black", linewidth=0.9)
        axes.scatter(
            own["value"], own["position"], s=16, marker=marker, zorder=4, gid="means",
            edgecolors="black" if gene_set == gene_sets[0] else colour, linewidths=0.7,
            facecolors=colour if gene_set == gene_sets[0] else "white",
        )  # fmt: skip
    for value in table.loc[table["mark"] == "best_baseline", "value"]:
        axes.axvline(value, color=style.ORANGE, linewidth=0.8, linestyle=":", zorder=1)
    axes.margins(x=0.04)
    ticks.number_axis(axes.xaxis)
    values = points["value"]
    if (table["metric"] == "l2").all() and values.min() > 0 and values.max() > 30 * values.min():
        axes.set_xscale("log")  # one failed prediction must not squeeze all others into a line
        axes.xaxis.set_major_formatter(ticks.plain_powers)
