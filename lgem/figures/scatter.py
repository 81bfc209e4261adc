"""Panels of effects against effects, with the line of equality, on axes that panels share."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from lgem.figures import style, ticks


def correlation(x: pd.Series, y: pd.Series) -> float:
    """Return Pearson's r, missing where either does not vary by more than rounding."""
    varied = len(x) > 1 and min(np.ptp(x), np.ptp(y)) > 1e-12
    return float(x.corr(y)) if varied else float("nan")


def in_words(r: float, n: int, off_target: float | None = None) -> str:
    """Return what stands over a panel: correlation and number of points."""
    known = "r undefined" if np.isnan(r) else f"r = {r:.2f}"
    if off_target is not None and not np.isnan(off_target):
        known += f" (off target {off_target:.2f})"
    return f"{known}, n = {n:,}".replace("-", ticks.MINUS)


def limits(*values: pd.Series) -> tuple[float, float]:
    """Return the ends of axes that hold all the values."""
    known = np.concatenate([np.asarray(one, dtype=float) for one in values])
    known = known[np.isfinite(known)]
    if not len(known):
        return -1.0, 1.0
    pad = 0.05 * float(np.ptp(known)) or 1.0
    return float(known.min()) - pad, float(known.max()) + pad


def legend(
    targets: bool, colours: tuple[str, str] = (style.BLUE, style.VERMILLION)
) -> list[tuple[Line2D, str]]:
    """Return the words for the marks of `effect_panel`, with or without targets."""
    handles = [
        (style.handle(colours[0], "o"), "gene of a held-out perturbation"),
        (style.handle(colours[1], "^"), "the perturbed gene itself"),
        (Line2D([], [], color=style.GREY, linewidth=0.7, linestyle="--"), "equality"),
    ]
    return handles if targets else [handles[0], handles[2]]


def effect_panel(
    axes: Axes,
    points: pd.DataFrame,
    x: str,
    y: str,
    ends: tuple[float, float],
    colours: tuple[str, str] = (style.BLUE, style.VERMILLION),
) -> None:
    """Draw one effect against another in a square panel; ``is_target`` marks perturbed genes."""
    axes.set_box_aspect(1)
    axes.set(xlim=ends, ylim=ends)
    for axis in (axes.xaxis, axes.yaxis):
        ticks.number_axis(axis, 5)
    if points.empty:
        return
    axes.axline((0, 0), slope=1, color=style.GREY, linewidth=0.7, linestyle="--", zorder=3)
    few = len(points) <= style.MOST_VECTOR_MARKS
    size, alpha = (3, 0.5) if few else (2.5, 0.3)
    target = points["is_target"].to_numpy(dtype=bool)
    looks: list[tuple[pd.DataFrame, dict[str, Any]]] = [
        (points[~target], {"c": colours[0], "s": size, "alpha": alpha, "zorder": 2}),
        (points[target], {"c": colours[1], "s": 9, "marker": "^", "zorder": 4}),
    ]
    for part, look in looks:
        axes.scatter(part[x], part[y], linewidths=0, rasterized=not few, gid="points", **look)
