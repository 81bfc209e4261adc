"""Panels of codes: samples in the first two axes, coloured by perturbation or by batch."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from lgem.figures import style, ticks
from lgem.figures.looks import SKY

NAMED, MOST_BATCHES = 6, 8
REST = "other perturbations"
_COLOURS = (
    style.VERMILLION, style.BLUE, style.GREEN, style.ORANGE, style.PURPLE, SKY, style.BLACK,
    "#A65E00",
)  # fmt: skip
_MARKERS = "oD^vsP*X"


def samples(codes: pd.DataFrame, control: str) -> tuple[pd.DataFrame, list[str]]:
    """Return the marks of both panels of codes, and what has to be said of them.

    Parameters
    ----------
    codes
        ``codes.tsv``: sample, perturbation, batch, K1 … Kk, H1 … Hk.
    control
        What the control samples are called among the perturbations.

    Returns
    -------
    table
        A row per sample and panel (``axis`` K or H; none for H where all its codes are 0): x, y,
        and in ``group`` which colour it has. With one axis, x is the order of the sample.
    sentences
        For the foot of the figure.
    """
    table = style.take(codes, ["sample", "perturbation", "K1"], "table of codes")
    if table.empty:
        return table.reindex(columns=["axis", "x", "y", "group"]), []
    width = len([name for name in codes.columns if re.fullmatch(r"K\d+", str(name))])
    table = table.assign(
        sample=style.texts(table["sample"]),
        perturbation=style.texts(table["perturbation"]),
        batch=style.texts(codes["batch"]).to_numpy() if "batch" in codes else "",
    )
    of_K = _placed(table, codes, "K")
    of_K["group"] = _farthest(of_K, control)
    parts, told = [of_K], [_axes_in_words(width)]
    random = [name for name in codes.columns if re.fullmatch(r"H\d+", str(name))]
    if random and codes[random].apply(style.numbers).fillna(0.0).ne(0).any(axis=None):
        of_H = _placed(table, codes, "H")
        batches = sorted(set(of_H["batch"]))
        of_H["group"] = of_H["batch"] if len(batches) <= MOST_BATCHES else ""
        if len(batches) > MOST_BATCHES:
            told.append(f"{len(batches)} batches are too many to colour.")
        parts.append(of_H)
    lost = len(table) - len(of_K)
    if lost:
        told.append(f"{lost} sample{'s' * (lost > 1)} without finite codes not drawn.")
    return pd.concat(parts, ignore_index=True).assign(mark="code"), told


def _axes_in_words(width: int) -> str:
    """Say in which axes and units codes are."""
    if width == 1:
        return "Codes have one axis, in arbitrary units."
    return (
        f"Codes: one mark per sample, in the first 2 of {width} axes, ordered by size of K + H, in "
        "arbitrary units."
    )


def _placed(table: pd.DataFrame, codes: pd.DataFrame, axis: str) -> pd.DataFrame:
    """Return the samples with their place in a panel; those without finite codes are left out."""
    first = style.numbers(codes[f"{axis}1"]).to_numpy()
    if f"{axis}2" in codes:
        x, y = first, style.numbers(codes[f"{axis}2"]).to_numpy()
    else:
        x, y = np.arange(1.0, len(table) + 1), first
    one = f"{axis}2" not in codes
    placed = table.assign(axis=axis, x=x, y=y, one=one)
    return placed[["sample", "perturbation", "batch", "axis", "x", "y", "one"]].dropna(
        subset=["x", "y"]
    )


def _farthest(placed: pd.DataFrame, control: str) -> pd.Series:
    """Return the group of every sample: control, one of the farthest perturbations, or the rest."""
    on = ["y"] if placed["one"].any() else ["x", "y"]
    is_control = placed["perturbation"] == control
    centre = (placed[is_control] if is_control.any() else placed)[on].mean()
    means = placed[~is_control].groupby("perturbation")[on].mean()
    distance = np.sqrt(((means - centre) ** 2).sum(axis=1)).sort_values(
        ascending=False, kind="stable"
    )
    named = set(distance.index[:NAMED])
    return placed["perturbation"].where(is_control | placed["perturbation"].isin(named), REST)


def draw(
    axes: Axes, placed: pd.DataFrame, axis: str, control: str
) -> list[tuple[Line2D | Patch, str]]:
    """Draw the samples of one panel; return what the key says."""
    if placed.empty:
        return []
    handles: list[tuple[Line2D | Patch, str]] = []
    few = len(placed) <= style.MOST_VECTOR_MARKS
    for group, (colour, marker, area, order) in _looks(placed, axis, control).items():
        own = placed[placed["group"] == group]
        axes.scatter(
            own["x"], own["y"], c=colour, marker=marker, s=area, zorder=order, linewidths=0.3,
            edgecolors="white", rasterized=not few, gid=f"codes {axis}",
        )  # fmt: skip
        handles.append((style.handle(colour, marker), _in_words(group, placed, axis)))
    if placed["one"].any():
        axes.set(xlabel="sample, in order of the table", ylabel=f"{axis}1 (arbitrary units)")
    else:
        axes.set(xlabel=f"{axis}1 (arbitrary units)", ylabel=f"{axis}2 (arbitrary units)")
    axes.margins(0.06)
    ticks.number_axis(axes.xaxis, 4, whole=bool(placed["one"].any()))
    ticks.number_axis(axes.yaxis, 4)
    return handles


def _looks(placed: pd.DataFrame, axis: str, control: str) -> dict[str, tuple[str, str, float, int]]:
    """Return colour, marker, area and depth of every group, in the order of the key."""
    groups = sorted(set(placed["group"]) - {control, REST, ""}) if axis == "K" else []
    if axis == "H":
        batches = sorted(set(placed["group"]))
        if batches == [""]:
            return {"": (style.GREY, "o", 9, 2)}
        return {name: (_COLOURS[k], _MARKERS[k], 11, 3) for k, name in enumerate(batches)}
    found: dict[str, tuple[str, str, float, int]] = {}
    present = set(placed["group"])
    for k, name in enumerate(groups):
        found[name] = (_COLOURS[k], _MARKERS[k], 14, 4)
    if control in present:
        found[control] = (style.GREY, "o", 9, 3)
    if REST in present:
        found[REST] = (style.LIGHT, "o", 9, 2)
    return found


def _in_words(group: str, placed: pd.DataFrame, axis: str) -> str:
    """Return what the key calls a group."""
    if axis == "K" and group == REST:
        others = placed.loc[placed["group"] == REST, "perturbation"].nunique()
        return f"{others} other perturbation{'s' * (others > 1)}"
    if axis == "H" and not group:
        batches = placed["batch"].nunique()
        return f"{batches} batches, not told apart" if batches > MOST_BATCHES else "no batch given"
    return group


def distinct(names: Sequence[str], width_mm: float) -> list[str]:
    """Return names that stay different when they are cut to a width in mm.

    Batches often share long beginnings and ends: where cut names would be the same, these go.
    """
    if len({_cut(name, width_mm) for name in names}) == len(set(names)):
        return list(names)
    long = [name for name in names if style.text_width(name) > width_mm]
    start = _shared(long)
    end = _shared([name[start:][::-1] for name in long])
    own = [f"…{name[start : len(name) - end]}…" if name in long else name for name in names]
    cut = [_cut(name, width_mm) for name in own]
    return [
        name if cut.count(name) == 1 else f"{k + 1}: {_cut(name, width_mm - 6)}"
        for k, name in enumerate(cut)
    ]


def _shared(names: Sequence[str]) -> int:
    """Return how many first characters all names share."""
    letters = enumerate(zip(*names, strict=False))
    return next((k for k, own in letters if len(set(own)) > 1), min(map(len, names), default=0))


def _cut(name: str, width_mm: float) -> str:
    """Return a name as a key has it: words are wrapped, a long word is cut."""
    return " ".join(style.shorten(word, width_mm) for word in name.split())
