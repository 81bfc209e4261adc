"""Pictures of predictions: errors on held-out perturbations, and observed against predicted."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Collection, Mapping, Sequence
from itertools import product
from operator import add
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from lgem.figures import style
from lgem.figures.style import Drawn

METRICS_COLUMNS = (
    "model", "repeat", "fold", "perturbation", "gene_set", "metric", "value", "status", "reason",
)  # fmt: skip
SUMMARY_COLUMNS = ("model", "gene_set", "metric", "mean", "lower", "upper", "n", "n_asked")
HELD_OUT_COLUMNS = (
    "mark", "model", "kind", "gene_set", "metric", "perturbation", "value", "lower", "upper",
    "n", "n_asked", "position", "note",
)  # fmt: skip
PAIR_COLUMNS = (
    "model", "perturbation", "gene", "predicted_effect", "observed_effect", "is_target",
)  # fmt: skip
OBSERVED_COLUMNS = ("mark", *PAIR_COLUMNS, "r", "n", "n_drawn", "note")
MOST_POINTS = 20_000
BASELINES = ("no_change", "mean", "additive")
RANDOM = ("lgem_random_P", "lgem_random_G")

_LOOKS = {
    "model": (style.BLUE, "o"),
    "baseline": (style.ORANGE, "s"),
    "random embedding": (style.GREY, "D"),
}
_METRICS = {
    "l2": "L2 distance from the observed profile\n({unit}), lower is better",
    "pearson_delta": "Pearson correlation of effects\n(no unit), higher is better",
}
_GENE_SETS = {"top": "top genes and target", "top_off_target": "target left out"}
_BANDS = ("#F4F4F4", "#FFFFFF")
_KEYS = ["model", "gene_set", "metric"]


def kind_of(model: str, baselines: Collection[str] = BASELINES) -> str:
    """Return ``baseline``, ``random embedding`` or ``model``, with or without on-target term."""
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
        Rows of the table: ``point``, ``mean``, ``best_baseline`` (the dotted line) and ``note``
        (what a row without points says).
    """
    # A mean belongs to the marks beside it: those that the model scored, shared or not.
    if "perturbations" in summary:
        summary = summary[summary["perturbations"] == "scored"]
    scores = _relevant(style.take(metrics, METRICS_COLUMNS, "table of metrics"), gene_sets)
    means = _relevant(style.take(summary, SUMMARY_COLUMNS, "table of mean metrics"), gene_sets)
    if scores.empty and means.empty:
        return style.empty_figure("No held-out scores: no model was evaluated.", HELD_OUT_COLUMNS)
    scores["value"] = style.numbers(scores["value"])
    averaged = scores.groupby([*_KEYS, "perturbation"]).agg(value=("value", "mean")).reset_index()
    means = _means(means, averaged)
    models = _in_order(means, averaged, gene_sets[0])
    offset = dict(zip(gene_sets, (0.0,) if len(gene_sets) == 1 else (-0.2, 0.24), strict=True))
    points = averaged.dropna(subset=["value"])
    shift = style.jitter(points["perturbation"], 0.14)
    drawn = pd.concat([points.assign(mark="point"), means.assign(mark="mean")], ignore_index=True)
    drawn["position"] = (
        drawn["model"].map(models.index).astype(float)
        + drawn["gene_set"].map(offset).astype(float)
        + drawn["perturbation"].map(shift).astype(float).fillna(0.0)
    )
    drawn["kind"] = [kind_of(model, baselines) for model in drawn["model"]]
    best = _best_baselines(drawn[drawn["gene_set"] == gene_sets[0]])
    table = style.drawn_table([drawn, best, _unscored(drawn, scores, models)], HELD_OUT_COLUMNS)
    return _draw_held_out(table, models, gene_sets, unit, interval), table


def _relevant(table: pd.DataFrame, gene_sets: Sequence[str]) -> pd.DataFrame:
    """Return the rows of the gene sets and metrics that are drawn."""
    keep = table["gene_set"].isin(list(gene_sets)) & table["metric"].isin(list(_METRICS))
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
    for model, metric in product(models, _METRICS):
        if (model, metric) in shown:
            continue
        own = scores[(scores["model"] == model) & (scores["metric"] == metric)]
        told = style.texts(own["reason"]).where(own["reason"].notna(), own["status"])
        # The most frequent reason; of equally frequent ones the first in the alphabet.
        reasons = style.texts(told)[lambda text: text != ""].mode()
        why = [*reasons, "no reason given" if len(own) else "not evaluated"][0]
        rows.append(("note", model, metric, float(models.index(model)), f"none scored: {why}"))
    return pd.DataFrame(rows, columns=["mark", "model", "metric", "position", "note"])


def _draw_held_out(
    table: pd.DataFrame, models: Sequence[str], gene_sets: Sequence[str], unit: str, interval: float
) -> Figure:
    """Draw the two panels from the table of marks."""
    kinds = [kind for kind in _LOOKS if kind in set(table["kind"])]
    legend = [(style.handle(*_LOOKS[kind]), kind) for kind in kinds]
    if len(gene_sets) > 1:
        legend += [
            (style.handle(style.BLACK, "o", open_=k > 0), _GENE_SETS.get(gene_set, gene_set))
            for k, gene_set in enumerate(gene_sets)
        ]
    if (table["mark"] == "best_baseline").any():
        line = Line2D([], [], color=style.ORANGE, linewidth=0.8, linestyle=":")
        legend.append((line, "mean of the best baseline"))
    counts = table[(table["mark"] == "mean") & (table["gene_set"] == gene_sets[0])]
    uneven = counts[counts["n"] > 0].groupby("metric")["n"].nunique().gt(1).any()
    differ = " Where counts differ, compare models by paired differences instead." * bool(uneven)
    told = {(k.model, k.metric): f"({k.n:.0f}/{k.n_asked:.0f})" for k in counts.itertuples()}
    figure = style.new_figure(
        "double", 14 + max(16.0, min(7.0, 240 / len(models)) * len(models)),
        title="Error on held-out perturbations", legend=legend,
        note=f"Small marks: perturbations; large: mean with {100 * interval:.0f} % interval. "
        f"In brackets: perturbations scored / asked for.{differ}",
    )  # fmt: skip
    panels = dict(zip(_METRICS, figure.subplots(1, len(_METRICS)), strict=True))
    for metric, axes in panels.items():
        _draw_metric(axes, table[table["metric"] == metric], gene_sets)
        axes.set_xlabel(_METRICS[metric].format(unit=unit))
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
                bbox={"facecolor": _BANDS[int(position) % 2], "edgecolor": "none", "pad": 0.5},
            )  # fmt: skip
        if own["value"].isna().all():
            axes.set_xticks([])
    return figure


def _draw_metric(axes: Axes, table: pd.DataFrame, gene_sets: Sequence[str]) -> None:
    """Draw the points, means and the best baseline of one metric."""
    rows = table["model"].nunique()
    for row in range(rows):
        axes.axhspan(row - 0.5, row + 0.5, color=_BANDS[row % 2], linewidth=0, zorder=0)
    points, means = table[table["mark"] == "point"], table[table["mark"] == "mean"]
    strong, faint = (0.7, 0.4) if len(points) <= 120 * rows else (0.35, 0.18)
    for (kind, gene_set), own in points.groupby(["kind", "gene_set"]):
        colour, marker = _LOOKS[str(kind)]
        axes.scatter(
            own["value"], own["position"], s=3, color=colour, marker=marker, linewidths=0,
            alpha=strong if gene_set == gene_sets[0] else faint, zorder=2, gid="points",
            rasterized=len(points) > style.MOST_VECTOR_MARKS,
        )  # fmt: skip
    for (kind, gene_set), own in means.groupby(["kind", "gene_set"]):
        colour, marker = _LOOKS[str(kind)]
        axes.hlines(own["position"], own["lower"], own["upper"], colors="black", linewidth=0.9)
        axes.scatter(
            own["value"], own["position"], s=16, marker=marker, zorder=4, gid="means",
            edgecolors="black" if gene_set == gene_sets[0] else colour, linewidths=0.7,
            facecolors=colour if gene_set == gene_sets[0] else "white",
        )  # fmt: skip
    for value in table.loc[table["mark"] == "best_baseline", "value"]:
        axes.axvline(value, color=style.ORANGE, linewidth=0.8, linestyle=":", zorder=1)
    axes.margins(x=0.04)
    style.number_axis(axes.xaxis)
    values = points["value"]
    if (table["metric"] == "l2").all() and values.min() > 0 and values.max() > 30 * values.min():
        axes.set_xscale("log")  # one failed prediction must not squeeze all others into a line
        axes.xaxis.set_major_formatter(style.plain_powers)


def thin(table: pd.DataFrame, most: int = MOST_POINTS) -> pd.DataFrame:
    """Return at most `most` rows for drawing, the same ones for any order of the rows.

    Every model keeps an equal share. Targets are kept before other genes; among these chance
    decides, by a hash of perturbation and gene, so that all models show the same pairs. The table
    is that of `observed_against_predicted`, with a unique index.
    """
    pairs = style.texts(table["perturbation"]) + "\t" + style.texts(table["gene"])
    chance = pd.util.hash_array(pairs.to_numpy(dtype=object))
    values = table[["observed_effect", "predicted_effect"]].to_numpy(dtype=float)
    order = np.lexsort((*values.T, chance, ~table["is_target"].to_numpy(dtype=bool)))
    place = table.iloc[order].groupby("model").cumcount().reindex(table.index)
    # The largest share that keeps to the limit: models of few rows leave theirs to the others.
    sizes = table["model"].value_counts()
    share = bisect_right(range(most + 1), most, key=lambda rows: sizes.clip(upper=rows).sum()) - 1
    return table[place < share]


@style.styled
def observed_against_predicted(
    table: pd.DataFrame,
    *,
    unit: str = "natural log units",
    missing: Mapping[str, str] | None = None,
    most_points: int = MOST_POINTS,
) -> Drawn:
    """Draw observed against predicted effects, one panel per model, with the line of equality.

    r is Pearson's, over all genes of all perturbations, n their number; both are computed before
    the points are thinned.

    Parameters
    ----------
    table
        Columns model, perturbation, gene, predicted_effect, observed_effect (changes in
        log-expression), is_target (whether the gene is the one perturbed).
    unit
        Unit of the effects.
    missing
        Models without predictions, with the reason: each gets a panel that says so.
    most_points
        Largest number of points drawn in all panels together; see `thin`.

    Returns
    -------
    figure, table
        Rows of the table: ``point`` (as drawn) and ``model`` (r, n, n_drawn, and in ``note`` the
        words in the panel).
    """
    pairs = style.take(table, PAIR_COLUMNS, "table of predicted and observed effects")
    pairs["model"] = style.texts(pairs["model"])
    missing = dict(missing or {})
    models = list(dict.fromkeys([*pairs["model"], *missing]))
    if not models:
        return style.empty_figure("No predicted effects: no model was evaluated.", OBSERVED_COLUMNS)
    effects = ["predicted_effect", "observed_effect"]
    pairs[effects] = pairs[effects].apply(style.numbers)
    pairs["is_target"] = pairs["is_target"].eq(True)
    pairs = pairs.dropna(subset=effects).reset_index(drop=True)
    points = thin(pairs, most_points)
    rows = []
    for model in models:
        own, n_drawn = pairs[pairs["model"] == model], int((points["model"] == model).sum())
        x, y = own["predicted_effect"], own["observed_effect"]
        varied = len(own) > 1 and min(np.ptp(x), np.ptp(y)) > 1e-12  # more than rounding
        r = float(x.corr(y)) if varied else np.nan
        why = missing.get(model, "no gene with both a predicted and an observed effect")
        note = f"r = {r:.2f}".replace("-", style.MINUS)
        note = "r undefined (constant)" if np.isnan(r) else note
        note += f"\nn = {len(own):,}" + (f", {n_drawn:,} drawn" if n_drawn < len(own) else "")
        rows.append((model, r, len(own), n_drawn, note if len(own) else f"none scored: {why}"))
    # Panels in words come last, so that the axes of the others stay together.
    rows.sort(key=lambda row: row[2] == 0)
    said = pd.DataFrame(rows, columns=["model", "r", "n", "n_drawn", "note"])
    figure = _draw_pairs(points, said, unit)
    drawn = [points.assign(mark="point"), said.assign(mark="model")]
    return figure, style.drawn_table(drawn, OBSERVED_COLUMNS)


def _draw_pairs(points: pd.DataFrame, said: pd.DataFrame, unit: str) -> Figure:
    """Draw one panel per model, on shared axes."""
    columns = min(3, len(said))
    rows = -(-len(said) // columns)
    scored = int((said["n"] > 0).sum())
    legend = [
        (style.handle(style.BLUE, "o"), "gene of a held-out perturbation"),
        (style.handle(style.VERMILLION, "^"), "the perturbed gene itself"),
        (Line2D([], [], color=style.GREY, linewidth=0.7, linestyle="--"), "equality"),
    ]
    if not points["is_target"].any():
        del legend[1]
    figure = style.new_figure(
        "single" if columns == 1 else "double", rows * (70 if columns < 3 else 53) + 8,
        title="Observed against predicted effects", legend=legend,
    )  # fmt: skip
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    effects = points[["predicted_effect", "observed_effect"]].to_numpy()
    low, high = (effects.min(), effects.max()) if effects.size else (-1.0, 1.0)
    pad = 0.06 * (high - low) or 1.0
    for k, axes in enumerate(panels):
        if k >= len(said):
            axes.set_axis_off()
            continue
        axes.set_title(said["model"][k])
        axes.set_box_aspect(1)
        if k < scored and k % columns == 0:
            axes.set_ylabel(f"observed effect\n({unit})")
        if k < scored <= k + columns:
            axes.set_xlabel(f"predicted effect\n({unit})")
            axes.tick_params(labelbottom=True)
        axes.set(xlim=(low - pad, high + pad), ylim=(low - pad, high + pad))
        for axis in (axes.xaxis, axes.yaxis):
            style.number_axis(axis)
        own = points[points["model"] == said["model"][k]]
        if len(own):
            axes.axline((0, 0), slope=1, color=style.GREY, linewidth=0.7, linestyle="--", zorder=3)
        few = len(own) <= style.MOST_VECTOR_MARKS
        size, alpha = (3, 0.5) if few else (3, 0.25) if len(own) < 8_000 else (1.5, 0.15)
        for part, look in (
            (own[~own["is_target"]], {"c": style.BLUE, "s": size, "alpha": alpha, "zorder": 2}),
            (own[own["is_target"]], {"c": style.VERMILLION, "s": 9, "marker": "^", "zorder": 4}),
        ):
            axes.scatter(
                part["predicted_effect"], part["observed_effect"], linewidths=0,
                rasterized=not few, gid="points", **look,
            )  # fmt: skip
    style.freeze(figure)
    for axes, model, n, note in zip(panels, said["model"], said["n"], said["note"], strict=False):
        axes.set_title(style.shorten(model, style.panel_width(axes), style.LABEL))
        if n:
            box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.5}
            place = {"transform": axes.transAxes, "va": "top", "fontsize": style.SMALL, "zorder": 5}
            axes.text(0.03, 0.97, note, bbox=box, **place)
        else:
            style.say(axes, note)
    return figure
