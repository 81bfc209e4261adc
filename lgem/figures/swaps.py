"""Picture of what other embeddings and models change: paired differences from the first model."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from lgem.figures import style, ticks
from lgem.figures.looks import Look, looks
from lgem.figures.prediction import BANDS, BASELINES, METRICS_COLUMNS, kind_of
from lgem.figures.style import Drawn

COMPARISON_COLUMNS = (
    "model_a", "model_b", "gene_set", "metric", "n", "difference", "lower", "upper",
)  # fmt: skip
SWAP_COLUMNS = (
    "mark", "model", "other", "gene_set", "metric", "perturbation", "difference", "lower", "upper",
    "n", "position", "note",
)  # fmt: skip

_TITLE = "Embedding swaps"
METRICS = {"l2": "difference in L2 ({unit})", "pearson_delta": "difference in Pearson correlation"}
_SCORES = {"l2": "L2", "pearson_delta": "Pearson correlation"}
# On which side of zero the first model is the better one.
BETTER = {"l2": -1, "pearson_delta": 1}
_GENE_SETS = {"top": "top genes and target", "top_off_target": "target left out"}
_OFFSET = {"top": -0.2, "top_off_target": 0.22}
_KEYS = ["other", "gene_set", "metric"]


@style.styled
def embedding_swaps(
    metrics: pd.DataFrame,
    comparisons: pd.DataFrame,
    first: str,
    *,
    unit: str = "natural log units",
    baselines: Collection[str] = BASELINES,
    interval: float = 0.9,
) -> Drawn:
    """Draw the paired difference of the first model from every other model and random control.

    Parameters
    ----------
    metrics
        ``metrics.tsv``, for the marks: one difference per perturbation, of means over repeats.
    comparisons
        ``comparisons.tsv``: model_a, model_b, gene_set, metric, n, difference (a − b), lower,
        upper.
    first
        The model that the others are compared with.
    unit
        Unit of log-expression.
    baselines
        Names that are left out, also with the on-target term behind them.
    interval
        Share that the intervals of `comparisons` cover.

    Returns
    -------
    figure, table
        Rows of the table: ``point``, ``mean``, ``note`` (pairs that share no perturbation) and
        ``blank`` (pairs that share none in one gene set alone).
        Differences are first model minus other.
    """
    scores = style.take(metrics, METRICS_COLUMNS, "table of metrics")
    pairs = style.take(comparisons, COMPARISON_COLUMNS, "table of comparisons")
    for table, names in ((scores, ("model",)), (pairs, ("model_a", "model_b"))):
        for name in names:
            table[name] = style.texts(table[name])
    kinds = {name: kind_of(name, baselines) for name in dict.fromkeys(scores["model"])}
    others = [
        name
        for name, kind in kinds.items()
        if kind in ("model", "random embedding") and name != first
    ]
    if not others or first not in kinds:
        why = (
            f"Only one model, {first}, and no random embedding: nothing to swap."
            if first in kinds
            else "No held-out scores: no model was evaluated."
        )
        return style.empty_figure(why, SWAP_COLUMNS, title=_TITLE)
    # Random embeddings last: they are what a model must beat, not another one to choose.
    others.sort(key=lambda name: kinds[name] != "model")
    points, means = _differences(scores, first, others), _oriented(pairs, first, others)
    drawn = pd.concat(
        [points.assign(mark="point"), means.assign(mark="mean"), _unpaired(points, means, others)],
        ignore_index=True,
    ).assign(model=first)
    drawn["position"] = drawn["other"].map(others.index).astype(float)
    drawn["position"] += drawn["gene_set"].map(_OFFSET).astype(float).fillna(0.0)
    blanks = _half_paired(means)
    table = style.drawn_table([drawn, blanks.assign(model=first)], SWAP_COLUMNS)
    look = looks([first, *others], baselines)
    legend = [
        (style.handle(style.BLACK, "o", open_=k > 0), words)
        for k, words in enumerate(_GENE_SETS.values())
    ]
    counts = means[(means["metric"] == "l2") & (means["gene_set"] == "top")].set_index("other")["n"]
    labels = [f"{style.shorten(name, 38)} ({counts.get(name, 0):.0f})" for name in others]
    figure = style.new_figure(
        "double", 16 + max(16.0, min(8.0, 240 / len(others)) * len(others)),
        title=f"{_TITLE}: {style.shorten(first, 90, style.TITLE)} against others", legend=legend,
        note=f"Small marks: perturbations; large: mean difference, {first} minus the other, with "
        f"{100 * interval:g} % interval. In brackets: perturbations that both score."
        + "".join(f" {words}" for words in blanks["note"]),
    )  # fmt: skip
    panels = dict(zip(METRICS, figure.subplots(1, len(METRICS)), strict=True))
    for metric, axes in panels.items():
        difference_panel(axes, drawn[drawn["metric"] == metric], others, look)
        side = f"← {{}} better {'·'} {{}} better →"
        short = style.shorten(first, 25, style.LABEL)
        sides = (short, "other") if BETTER[metric] < 0 else ("other", short)
        axes.set_xlabel(f"{METRICS[metric].format(unit=unit)}\n{side.format(*sides)}")
        axes.set_yticks(range(len(others)), labels if metric == "l2" else [""] * len(others))
        axes.set_ylim(len(others) - 0.45, -0.55)
        axes.tick_params(axis="y", length=0)
    style.freeze(figure)
    for metric, axes in panels.items():
        _say_unpaired(axes, drawn[(drawn["metric"] == metric) & (drawn["mark"] == "note")], others)
    return figure, table


def _differences(scores: pd.DataFrame, first: str, others: Sequence[str]) -> pd.DataFrame:
    """Return first minus other for every perturbation that both score."""
    scores = scores[scores["metric"].isin(list(METRICS)) & scores["gene_set"].isin(_GENE_SETS)]
    scores = scores.assign(value=style.numbers(scores["value"])).dropna(subset=["value"])
    wide = scores.pivot_table(
        index=["gene_set", "metric", "perturbation"], columns="model", values="value"
    )
    parts = [
        (wide[first] - wide[other]).dropna().rename("difference").reset_index().assign(other=other)
        for other in others
        if other in wide and first in wide
    ]
    columns = [*_KEYS, "perturbation", "difference"]
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)


def _oriented(pairs: pd.DataFrame, first: str, others: Sequence[str]) -> pd.DataFrame:
    """Return the comparisons with the first model, all as first minus other."""
    for name in ("n", "difference", "lower", "upper"):
        pairs[name] = style.numbers(pairs[name])
    forth = pairs[(pairs["model_a"] == first) & pairs["model_b"].isin(others)]
    back = pairs[(pairs["model_b"] == first) & pairs["model_a"].isin(others)]
    back = back.assign(difference=-back["difference"], lower=-back["upper"], upper=-back["lower"])
    both = pd.concat(
        [forth.rename(columns={"model_b": "other"}), back.rename(columns={"model_a": "other"})]
    )
    both = both[both["metric"].isin(list(METRICS)) & both["gene_set"].isin(_GENE_SETS)]
    return both[[*_KEYS, "n", "difference", "lower", "upper"]].dropna(subset=["difference"])


def _unpaired(points: pd.DataFrame, means: pd.DataFrame, others: Sequence[str]) -> pd.DataFrame:
    """Return a note for every model and metric of which nothing can be drawn."""
    seen = {
        (other, metric)
        for table in (points, means)
        for other, metric in zip(table["other"], table["metric"], strict=True)
    }
    rows = [
        ("note", other, metric, "no perturbation that both score")
        for other in others
        for metric in METRICS
        if (other, metric) not in seen
    ]
    return pd.DataFrame(rows, columns=["mark", "other", "metric", "note"])


def _half_paired(means: pd.DataFrame) -> pd.DataFrame:
    """Return a sentence for every metric and gene set that lacks means which the other has."""
    rows = []
    for metric in METRICS:
        own = means[means["metric"] == metric]
        for gene_set, words in _GENE_SETS.items():
            have = set(own.loc[own["gene_set"] == gene_set, "other"])
            lack = [name for name in dict.fromkeys(own["other"]) if name not in have]
            if lack:
                what = f"{words[:1].upper()}{words[1:]}, no {_SCORES[metric]} of both"
                rows.append(("blank", metric, gene_set, f"{what}: {', '.join(lack)}."))
    return pd.DataFrame(rows, columns=["mark", "metric", "gene_set", "note"])


def difference_panel(
    axes: Axes, table: pd.DataFrame, others: Sequence[str], look: dict[str, Look]
) -> None:
    """Draw one panel: the points and means of one metric around zero, a row per model."""
    if table["difference"].isna().all():
        return
    for row in range(0, len(others), 2):
        axes.axhspan(row - 0.5, row + 0.5, color="#F4F4F4", linewidth=0, zorder=0)
    axes.axvline(0, color=style.BLACK, linewidth=0.7, zorder=1)
    for other in others:
        own = table[table["other"] == other]
        colour = look[other].colour
        for gene_set in _GENE_SETS:
            part = own[own["gene_set"] == gene_set]
            points, means = part[part["mark"] == "point"], part[part["mark"] == "mean"]
            axes.scatter(
                points["difference"], points["position"], s=3.5, color=colour, linewidths=0,
                alpha=0.45 if gene_set == "top" else 0.3, zorder=2, gid="points",
                rasterized=len(table) > style.MOST_VECTOR_MARKS,
            )  # fmt: skip
            axes.hlines(means["position"], means["lower"], means["upper"], colors="black",
                        linewidth=0.9, zorder=3)  # fmt: skip
            axes.scatter(
                means["difference"], means["position"], s=16, zorder=4, gid="means",
                edgecolors="black" if gene_set == "top" else colour, linewidths=0.7,
                facecolors=colour if gene_set == "top" else "white",
            )  # fmt: skip
    ends = table[["difference", "lower", "upper"]].abs().to_numpy(dtype=float)
    reach = 1.06 * np.nanmax(ends) if np.isfinite(ends).any() else 1.0
    axes.set_xlim(-(reach or 1.0), reach or 1.0)
    ticks.number_axis(axes.xaxis)


def _say_unpaired(axes: Axes, notes: pd.DataFrame, others: Sequence[str]) -> None:
    """Write the notes into their rows, or one for all where every row has one."""
    if len(notes) == len(others):
        style.say(axes, "No perturbation is scored by both models of any pair.")
        axes.set_xticks([])
        return
    for position, note in zip(notes["position"], notes["note"], strict=True):
        words = style.shorten(note, style.panel_width(axes) - 4)
        axes.text(
            0.5, position, words, ha="center", va="center", fontsize=style.SMALL, color=style.GREY,
            transform=axes.get_yaxis_transform(),
            bbox={"facecolor": BANDS[round(position) % 2], "edgecolor": "none", "pad": 0.5},
        )  # fmt: skip
