"""Picture of a simulated screen: effects and network against the truth behind them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from lgem.figures import scatter, style, ticks
from lgem.figures.pairs import thin
from lgem.figures.style import Drawn

TRUE_PAIR_COLUMNS = (
    "perturbation", "gene", "predicted_effect", "observed_effect", "true_effect", "is_target",
)  # fmt: skip
CURVE_COLUMNS = ("network", "pairs", "recall", "precision", "chance")
TRUTH_COLUMNS = (
    "mark", "what", *TRUE_PAIR_COLUMNS, "r", "r_off_target", "n", "n_drawn", *CURVE_COLUMNS,
    "average_precision", "note",
)  # fmt: skip
MOST_POINTS = 12_000
MOST_STEPS = 400

_TITLE = "Against the truth of the simulation"
_COLOURS = {"before": style.GREY, "after": style.VERMILLION}


@style.styled
def predicted_against_truth(
    pairs: pd.DataFrame,
    curves: pd.DataFrame,
    areas: Mapping[str, float],
    model: str,
    *,
    unit: str = "natural log units",
    missing: str = "",
    most_points: int = MOST_POINTS,
) -> Drawn:
    """Draw predicted and observed effects against true ones, and the network's precision.

    Parameters
    ----------
    pairs
        perturbation, gene, predicted_effect (of the model, held out), observed_effect,
        true_effect, is_target.
    curves
        network (``before`` or ``after`` the updates), pairs, recall, precision, chance: the
        precision–recall curves against the true network.
    areas
        Average precision of each network.
    model
        Name of the model.
    unit
        Unit of the effects.
    missing
        Why the model has no predictions, where it has none.
    most_points
        Largest number of points in a panel.

    Returns
    -------
    figure, table
        Rows of the table: ``point``, ``panel`` (what is against the truth, r, r_off_target, n,
        n_drawn), ``step`` of a curve, ``network`` (its average_precision and chance).
    """
    table = style.take(pairs, TRUE_PAIR_COLUMNS, "table of predicted, observed and true effects")
    steps = style.take(curves, CURVE_COLUMNS, "precision–recall curves")
    effects = ["predicted_effect", "observed_effect", "true_effect"]
    table[effects] = table[effects].apply(style.numbers)
    table["is_target"] = table["is_target"].eq(True)
    table = table.dropna(subset=effects).reset_index(drop=True)
    if table.empty and steps.empty:
        return style.empty_figure(
            f"Nothing to compare with the truth: {missing or 'no effect was predicted'}.",
            TRUTH_COLUMNS, title=_TITLE,
        )  # fmt: skip
    points = thin(table.assign(model=model), most_points).drop(columns="model")
    panels = _panels(table, len(points), model)
    shown = pd.concat([_thinned(own) for _, own in steps.groupby("network", sort=False)] or [steps])
    ends = shown.groupby("network", sort=False)["chance"].first().reset_index()
    ends = ends.assign(average_precision=[areas.get(name, np.nan) for name in ends["network"]])
    legend = scatter.legend(bool(points["is_target"].any())) if len(points) else []
    legend += [
        (Line2D([], [], color=_colour(name)), f"network {name} the updates: AUPR {area:.3f}")
        for name, area in zip(ends["network"], ends["average_precision"], strict=True)
    ]
    if len(ends):
        line = Line2D([], [], color=style.ORANGE, linewidth=0.9, linestyle=":")
        legend.append((line, f"chance, {ends['chance'].iloc[0]:.3f}"))
    figure = style.new_figure(
        "double", 60, title=_TITLE, legend=legend,
        note="Observed effects carry the noise of the measurement: the left panel is held-out "
        "prediction, the middle one what the screen itself knows of the truth."
        + f" {len(points):,} of {len(table):,} points drawn." * (len(points) < len(table)),
    )  # fmt: skip
    left, middle, right = figure.subplots(1, 3)
    ends_of_axes = scatter.limits(*(points[name] for name in effects))
    for axes, what in ((left, "predicted_effect"), (middle, "observed_effect")):
        scatter.effect_panel(axes, points, "true_effect", what, ends_of_axes)
        axes.set_xlabel(f"true effect\n({unit})")
    left.set_ylabel(f"predicted effect\n({unit})")
    middle.set_ylabel(f"observed effect\n({unit})")
    _draw_curves(right, shown)
    titles = [f"{name}\n{note}" for name, note in zip(panels["title"], panels["note"], strict=True)]
    for axes, words in zip((left, middle, right), [*titles, "network\n"], strict=True):
        axes.set_title(words)
    style.freeze(figure)
    for axes, name, note in zip((left, middle), panels["title"], panels["note"], strict=True):
        width = style.panel_width(axes)
        axes.set_title(f"{style.shorten(name, width, style.LABEL)}\n{note}", fontsize=style.SMALL)
        if not len(points):
            style.say(axes, f"None predicted: {style.without_names(missing) or 'no effect'}.")
    right.set_title("network", fontsize=style.SMALL)
    if shown.empty:
        style.say(right, "No true edge between the network's genes.")
    drawn = [
        points.assign(mark="point"), panels.assign(mark="panel"), shown.assign(mark="step"),
        ends.assign(mark="network"),
    ]  # fmt: skip
    return figure, style.drawn_table(drawn, TRUTH_COLUMNS)


def _panels(table: pd.DataFrame, n_drawn: int, model: str) -> pd.DataFrame:
    """Return the correlations with the truth, over all genes and without the targets."""
    rows = []
    off = table[~table["is_target"]]
    for what, title in (
        ("predicted_effect", f"predicted by {model}"),
        ("observed_effect", "observed"),
    ):
        r = scatter.correlation(table["true_effect"], table[what])
        r_off = scatter.correlation(off["true_effect"], off[what])
        note = scatter.in_words(r, len(table), r_off)
        rows.append((what, title, r, r_off, len(table), n_drawn, note if len(table) else ""))
    columns = ["what", "title", "r", "r_off_target", "n", "n_drawn", "note"]
    return pd.DataFrame(rows, columns=columns)


def _thinned(curve: pd.DataFrame, most: int = MOST_STEPS) -> pd.DataFrame:
    """Return at most so many steps of a curve: denser where few pairs are taken."""
    if len(curve) <= most:
        return curve
    keep = np.unique(np.geomspace(1, len(curve), most).round().astype(int)) - 1
    return curve.iloc[keep]


def _colour(network: str) -> str:
    return _COLOURS.get(network, style.BLUE)


def _draw_curves(axes: Axes, steps: pd.DataFrame) -> None:
    """Draw precision against recall, with chance as a line across."""
    axes.set_box_aspect(1)
    # Before is wider, so that it still shows where the updates change nothing.
    for width, (name, own) in zip(
        (1.8, 0.9, 0.9), steps.groupby("network", sort=False), strict=False
    ):
        axes.plot(
            own["recall"], own["precision"], color=_colour(str(name)), linewidth=width, gid=name,
            marker="o" if len(own) < 3 else None, markersize=2.5,
        )  # fmt: skip
    for chance in steps["chance"].unique():
        axes.axhline(chance, color=style.ORANGE, linewidth=0.9, linestyle=":", zorder=1)
    axes.set(xlim=(0, 1), ylim=(0, 1.04), xlabel="recall of true edges\n(no unit)")
    axes.set_ylabel("precision (no unit)")
    for axis in (axes.xaxis, axes.yaxis):
        ticks.number_axis(axis, 4)
