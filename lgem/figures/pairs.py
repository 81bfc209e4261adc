"""Pictures of predictions: observed against predicted effects, gene by gene."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from lgem.figures import style, ticks
from lgem.figures.style import Drawn

PAIR_COLUMNS = (
    "model", "perturbation", "gene", "predicted_effect", "observed_effect", "is_target",
)  # fmt: skip
OBSERVED_COLUMNS = ("mark", *PAIR_COLUMNS, "r", "n", "n_drawn", "note")
MOST_POINTS = 20_000

_TITLE = "Observed against predicted effects"


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
        Models without predictions, with the reason: each gets a panel that says so, without the
        names behind a colon.
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
        return style.empty_figure(
            "No predicted effects: no model was evaluated.", OBSERVED_COLUMNS, title=_TITLE
        )
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
        why = style.without_names(missing.get(model, "no gene both predicted and observed"))
        note = f"r = {r:.2f}".replace("-", ticks.MINUS)
        note = "r undefined (constant)" if np.isnan(r) else note
        note += f"\nn = {len(own):,}" + (f", {n_drawn:,} drawn" if n_drawn < len(own) else "")
        rows.append((model, r, len(own), n_drawn, note if len(own) else f"none scored: {why}"))
    # Panels in words come last, so that the axes of the others stay together.
    rows.sort(key=lambda row: row[2] == 0)
    said = pd.DataFrame(rows, columns=["model", "r", "n", "n_drawn", "note"])
    figure = _draw_pairs(points, said, unit)
    drawn = [points.assign(mark="point"), said.assign(mark="model")]
    return figure, style.drawn_table(drawn, OBSERVED_COLUMNS)


def _limits(points: pd.DataFrame) -> tuple[float, float]:
    """Return the ends of both axes, such that no point lies where a panel's words stand."""
    x, y = (points[name].to_numpy() for name in ("predicted_effect", "observed_effect"))
    if not len(points):
        return -1.0, 1.0
    low, high = float(min(x.min(), y.min())), float(max(x.max(), y.max()))
    pad = 0.06 * (high - low) or 1.0
    low, high = low - pad, high + pad
    # Two lines in the upper left take this share of the smallest panel.
    width, height = 0.68, 0.17
    highest = y[x < low + width * (high - low) / (1 - height)].max(initial=low)
    return low, max(high, (highest - height * low) / (1 - height))


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
        "single" if columns == 1 else "double", rows * (70 if columns < 3 else 53) + 12,
        title=_TITLE, legend=legend,
    )  # fmt: skip
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    low, high = _limits(points)
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
        axes.set(xlim=(low, high), ylim=(low, high))
        for axis in (axes.xaxis, axes.yaxis):
            ticks.number_axis(axis)
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
            place = {"transform": axes.transAxes, "va": "top", "fontsize": style.SMALL}
            axes.text(0.03, 0.97, note, zorder=5, **place)
        else:
            style.say(axes, note)
    return figure
