"""Picture of how far scores can be trusted: coverage of intervals, dynamic range of metrics."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from lgem.figures import style, ticks
from lgem.figures.looks import Look, looks
from lgem.figures.prediction import BANDS, BASELINES, DUPLICATE, METRICS_COLUMNS
from lgem.figures.style import Drawn

SUMMARY_COLUMNS = (
    "model", "gene_set", "perturbations", "metric", "mean", "lower", "upper", "n", "calibrated",
    "calibrated_reason",
)  # fmt: skip
CALIBRATION_COLUMNS = (
    "mark", "model", "gene_set", "metric", "value", "lower", "upper", "n", "position", "negative",
    "positive", "note",
)  # fmt: skip

_TITLE = "Calibration of intervals and metrics"
_SETS = {"top_off_target": ("off target", -0.17), "target": ("on target", 0.17)}
METRICS = {
    "l2": "L2",
    "mse_unbiased": "MSE, noise removed",
    "pearson_delta": "Pearson",
    "pearson_delta_perturbed": "Pearson, from mean",
    "retrieval": "retrieval",
}
# What lies outside is drawn at the border: one failed model must not squeeze all others.
_LOWEST, _HIGHEST = -0.75, 1.25


@style.styled
def calibration(
    summary: pd.DataFrame,
    metrics: pd.DataFrame,
    *,
    negative: str,
    fixed_negative: Mapping[str, float],
    level: float = 0.9,
    interval: float = 0.9,
    baselines: Collection[str] = BASELINES,
) -> Drawn:
    """Draw the coverage of prediction intervals, and where models lie in each metric's range.

    On the left the share of held-out values that intervals cover, on and off target, beside the
    share that they claim. On the right the means of every metric on the scale from its negative
    control (0, the baseline ``mean``) to its positive one (1, the technical duplicate).

    Parameters
    ----------
    summary
        ``summary.tsv``: model, gene_set, perturbations, metric, mean, lower, upper, n, calibrated,
        calibrated_reason. The metric ``coverage`` has the gene sets ``target`` and
        ``top_off_target``.
    metrics
        ``metrics.tsv``, for the reasons of coverage that is missing.
    negative, fixed_negative
        The model that stands at 0, and by metric the number that does where it has no value.
    level
        Share that the prediction intervals claim to cover.
    interval
        Share that the bootstrap intervals of `summary` cover.
    baselines
        Names of the baselines, also with the on-target term behind them.

    Returns
    -------
    figure, table
        Rows of the table: ``coverage``, ``nominal``, ``calibrated`` (with the raw means of both
        controls) and ``note`` (what is blank, and why).
    """
    table = style.take(summary, SUMMARY_COLUMNS, "table of mean metrics")
    if table.empty:
        return style.empty_figure(
            "No held-out scores: no model was evaluated.", CALIBRATION_COLUMNS, title=_TITLE
        )
    table["model"] = style.texts(table["model"])
    for name in ("mean", "lower", "upper", "n", "calibrated"):
        table[name] = style.numbers(table[name])
    models = list(dict.fromkeys(table["model"]))
    covered = _coverage(table, style.take(metrics, METRICS_COLUMNS, "table of metrics"))
    scaled = _calibrated(table, negative, fixed_negative)
    nominal = pd.DataFrame({"mark": ["nominal"], "metric": ["coverage"], "value": [level]})
    drawn = style.drawn_table([covered, nominal, scaled], CALIBRATION_COLUMNS)
    look = looks(models, baselines)
    placed = [name for name in models if _is_placed(scaled, name)]
    legend = [
        (style.handle(style.BLACK, "o", open_=gene_set == "target"), f"coverage {words}")
        for gene_set, (words, _) in _SETS.items()
    ]
    legend.append((_nominal_line(), f"nominal, {100 * level:g} %"))
    fewer = _fewer(scaled)
    legend += [
        (look[name].handle(line=False), style.shorten(name, 60) + fewer.get(name, ""))
        for name in placed
    ]
    note = f"Bars: {100 * interval:g} % interval. " + " ".join(_blanks(scaled))
    if scaled["value"].notna().any():
        note += " In brackets beside a metric: raw means at 0 and 1."
    if _outside(scaled):
        note += " Arrows: beyond the scale."
    rows = max(1, covered["model"].nunique())
    figure = style.new_figure(
        "double", max(20 + 4.2 * rows, 26 + 7.5 * scaled["metric"].nunique(), 55),
        title=_TITLE, legend=legend, note=note.strip(),
    )  # fmt: skip
    left, right = figure.subplots(1, 2)
    _draw_coverage(left, covered, level, look)
    _draw_range(right, scaled, models, look, negative)
    style.freeze(figure)
    _say_coverage(left, covered)
    _say_range(right, scaled)
    return figure, drawn


def _coverage(table: pd.DataFrame, metrics: pd.DataFrame) -> pd.DataFrame:
    """Return the coverage of every model that was asked for it, with notes where it has none."""
    own = table[(table["metric"] == "coverage") & (table["perturbations"] == "scored")]
    own = own[own["gene_set"].isin(list(_SETS)) & (own["model"] != DUPLICATE)]
    asked = metrics[metrics["metric"] == "coverage"]
    order = list(dict.fromkeys(own["model"]))
    own = own.assign(mark="coverage", value=own["mean"])
    rows = [own.dropna(subset=["value"])]
    for name in order:
        if own.loc[own["model"] == name, "value"].notna().any():
            continue
        told = asked[style.texts(asked["model"]) == name]
        made = told["status"].isin(["predicted", "mean_only"])
        told = told[made] if made.any() else told  # why these have no interval comes first
        reasons = style.texts(told["reason"]).map(style.without_names)
        usual = reasons[reasons != ""].mode()
        why = usual[0] if len(usual) else "no intervals"
        rows.append(
            pd.DataFrame({"mark": ["note"], "model": name, "metric": "coverage", "note": why})
        )
    found = pd.concat(rows, ignore_index=True).reindex(columns=list(CALIBRATION_COLUMNS))
    found["position"] = found["model"].map(order.index).astype(float)
    found["position"] += found["gene_set"].map({k: v for k, (_, v) in _SETS.items()}).fillna(0.0)
    return found


def _calibrated(
    table: pd.DataFrame, negative: str, fixed_negative: Mapping[str, float]
) -> pd.DataFrame:
    """Return the calibrated means over the perturbations that models share, else their own."""
    own = table[(table["gene_set"] == "top") & table["metric"].isin(list(METRICS))]
    which = "shared" if (own["perturbations"] == "shared").any() else "scored"
    own = own[own["perturbations"] == which]
    means = own.set_index(["metric", "model"])["mean"]
    metrics = [name for name in METRICS if (own["metric"] == name).any()]
    own = own[~own["model"].isin([negative, DUPLICATE])]
    blank = own["calibrated"].isna()
    return own.assign(
        mark=np.where(blank, "note", "calibrated"),
        value=own["calibrated"],
        lower=np.nan,
        upper=np.nan,
        position=own["metric"].map(metrics.index).astype(float),
        negative=[
            fixed_negative.get(metric, means.get((metric, negative), np.nan))
            for metric in own["metric"]
        ],
        positive=[means.get((metric, DUPLICATE), np.nan) for metric in own["metric"]],
        note=style.texts(own["calibrated_reason"]).where(blank, ""),
    ).reset_index(drop=True)


def _fewer(scaled: pd.DataFrame) -> dict[str, str]:
    """Return what the legend adds for models that score fewer perturbations than others."""
    n = scaled[scaled["metric"] == "l2"].groupby("model")["n"].max()
    return {str(name): f" ({n[name]:.0f} of {n.max():.0f})" for name in n[n < n.max()].index}


def _is_placed(scaled: pd.DataFrame, model: str) -> bool:
    return bool(scaled.loc[scaled["model"] == model, "value"].notna().any())


def _outside(scaled: pd.DataFrame) -> bool:
    return bool(((scaled["value"] < _LOWEST) | (scaled["value"] > _HIGHEST)).any())


def _nominal_line() -> Line2D:
    return Line2D([], [], color=style.BLACK, linewidth=0.8, linestyle="--")


def _blanks(scaled: pd.DataFrame) -> list[str]:
    """Return a sentence for every reason that leaves some models blank, with their metrics."""
    metrics: dict[tuple[str, str], list[str]] = {}
    for metric, own in scaled.groupby("metric", sort=False):
        if own["value"].isna().all():
            continue  # said in the panel
        blank = own[own["value"].isna()]
        for why in sorted(set(blank["note"])):
            names = ", ".join(blank.loc[blank["note"] == why, "model"])
            metrics.setdefault((names, why or "no reason given"), []).append(METRICS[str(metric)])
    return [
        f"Blank for {names}: {'; '.join(own)} ({why})." for (names, why), own in metrics.items()
    ]


def _draw_coverage(
    axes: Axes, covered: pd.DataFrame, level: float, look: Mapping[str, Look]
) -> None:
    """Draw the coverage of every model, on and off target, and the line of what it should be."""
    axes.set_xlabel("share of values in their interval\n(perturbations in brackets)")
    axes.set_title("coverage of prediction intervals")
    if not (covered["mark"] == "coverage").any():
        return
    order = list(dict.fromkeys(covered.sort_values("position", kind="stable")["model"]))
    for row in range(0, len(order), 2):
        axes.axhspan(row - 0.5, row + 0.5, color="#F4F4F4", linewidth=0, zorder=0)
    axes.axvline(level, color=style.BLACK, linewidth=0.8, linestyle="--", zorder=1)
    known = covered[covered["mark"] == "coverage"]
    for (name, gene_set), own in known.groupby(["model", "gene_set"], sort=False):
        colour = look[str(name)].colour
        axes.hlines(own["position"], own["lower"], own["upper"], colors=colour, linewidth=0.9)
        axes.scatter(
            own["value"], own["position"], s=13, zorder=3, gid="coverage", edgecolors=colour,
            facecolors="white" if gene_set == "target" else colour, linewidths=0.8,
        )  # fmt: skip
    n = known.groupby("model")["n"].max()
    labels = [f"{style.shorten(name, 30)} ({n.get(name, 0):.0f})" for name in order]
    axes.set_yticks(range(len(order)), labels)
    axes.set_ylim(max(len(order), 1) - 0.45, -0.55)
    axes.set_xlim(-0.02, 1.02)
    axes.tick_params(axis="y", length=0)
    ticks.number_axis(axes.xaxis)


def _say_coverage(axes: Axes, covered: pd.DataFrame) -> None:
    """Say in words which models have no coverage, and why."""
    if not (covered["mark"] == "coverage").any():
        reasons = list(dict.fromkeys(covered["note"]))
        why = reasons[0] if len(reasons) == 1 else "; ".join(reasons)
        style.say(axes, f"No prediction intervals: {why or 'none were asked for'}.")
        return
    notes = covered[covered["mark"] == "note"]
    for position, note in zip(notes["position"], notes["note"], strict=True):
        axes.text(
            0.02, position, style.shorten(note, style.panel_width(axes) - 3), va="center",
            fontsize=style.SMALL, color=style.GREY, transform=axes.get_yaxis_transform(),
            bbox={"facecolor": BANDS[int(position) % 2], "edgecolor": "none", "pad": 0.5},
        )  # fmt: skip


def _draw_range(
    axes: Axes,
    scaled: pd.DataFrame,
    models: Sequence[str],
    look: Mapping[str, Look],
    negative: str,
) -> None:
    """Draw every model's place between the controls of each metric, lines in their colours."""
    axes.set_xlabel("calibrated mean: 0 = mean baseline,\n1 = technical duplicate")
    axes.set_title("dynamic range of metrics (0 | 1)")
    known = scaled.dropna(subset=["value"])
    if known.empty:
        return
    rows = scaled.drop_duplicates("metric").sort_values("position")
    for row in range(0, len(rows), 2):
        axes.axhspan(row - 0.5, row + 0.5, color="#F4F4F4", linewidth=0, zorder=0)
    low = look[negative].colour if negative in look else style.GREY
    for end, colour in ((0.0, low), (1.0, style.BLACK)):
        axes.axvline(end, color=colour, linewidth=0.8, zorder=1)
    spread = np.linspace(-0.34, 0.34, len(models)) if len(models) > 1 else [0.0]
    offset = dict(zip(models, spread, strict=True))
    for name in models:
        own = known[known["model"] == name]
        places = own["position"] + offset[name]
        inside = own["value"].between(_LOWEST, _HIGHEST)
        axes.scatter(own["value"][inside], places[inside], gid="calibrated", zorder=3,
                     **look[name].mark(12))  # fmt: skip
        for beyond, at, marker in (
            (own["value"] < _LOWEST, _LOWEST, "<"), (own["value"] > _HIGHEST, _HIGHEST, ">"),
        ):  # fmt: skip
            far = look[name]._replace(marker=marker).mark(12)
            axes.scatter(np.full(int(beyond.sum()), at), places[beyond], zorder=3, **far)
    axes.set_yticks(
        range(len(rows)),
        [
            _ends_in_words(*ends)
            for ends in zip(rows["metric"], rows["negative"], rows["positive"], strict=True)
        ],
    )
    axes.set_ylim(max(len(rows), 1) - 0.45, -0.55)
    axes.set_xlim(_LOWEST - 0.05, _HIGHEST + 0.05)
    axes.set_xticks([-0.5, 0, 0.5, 1], [f"{ticks.MINUS}0.5", "0", "0.5", "1"])
    axes.tick_params(axis="y", length=0)


def _ends_in_words(metric: str, negative: float, positive: float) -> str:
    """Return a metric's name with the raw means of its controls."""
    ends = [
        "?" if np.isnan(value) else f"{value:.3g}".replace("-", ticks.MINUS)
        for value in (negative, positive)
    ]
    return f"{METRICS[metric]}\n({ends[0]} | {ends[1]})"


def _say_range(axes: Axes, scaled: pd.DataFrame) -> None:
    """Say in words where a whole metric has no range."""
    if scaled.empty:
        style.say(axes, "No model was scored beside the mean baseline.")
        return
    blank = {metric: own for metric, own in scaled.groupby("metric") if own["value"].isna().all()}
    if len(blank) == scaled["metric"].nunique():
        usual = scaled.loc[scaled["note"] != "", "note"].mode()
        style.say(axes, f"No calibrated means: {usual[0] if len(usual) else 'no reason given'}.")
        return
    for own in blank.values():
        why = next((note for note in own["note"] if note), "no reason given")
        why = re.sub(r"(?<=[ (])-(?=[\d.])", ticks.MINUS, why)
        lines = style.wrap(f"blank: {why}", style.panel_width(axes) - 4, most=2)
        row = int(own["position"].iloc[0])
        axes.text(
            0.02, row, "\n".join(lines), va="center", fontsize=style.SMALL,
            color=style.GREY, transform=axes.get_yaxis_transform(), zorder=5,
            bbox={"facecolor": BANDS[row % 2], "edgecolor": "none", "pad": 0.5},
        )  # fmt: skip
