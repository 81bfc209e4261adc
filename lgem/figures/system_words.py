"""What the figure of linear systems says in words: rank and verdict of every system."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from lgem.figures import style

# A model whose part with a system is switched off.
NOT_SOLVED = "not solved"


class Verdict(NamedTuple):
    """Words of a verdict, in a row and in the legend, its colour and marker."""

    words: str
    legend: str
    colour: str
    marker: str


VERDICTS = {
    "unique": Verdict("unique", "unique solution", style.BLUE, "o"),
    "infinite": Verdict("infinite", "infinitely many solutions", style.VERMILLION, "^"),
    "none": Verdict("none", "no solution", style.PURPLE, "s"),
    NOT_SOLVED: Verdict("switched off", "model switched off", style.GREY, "x"),
}


def look(verdict: str) -> Verdict:
    """Return how a verdict is said and drawn, one without words by its own name."""
    return VERDICTS.get(verdict, Verdict(verdict or "unknown", "", style.BLACK, "D"))


def rank(row: dict[Hashable, Any]) -> str:
    """Return rank and number of columns in words."""
    known, columns = row["rank"], row["columns"]
    if np.isnan(columns):
        return "–"
    return f"{'?' if np.isnan(known) else f'{known:,.0f}'} of {columns:,.0f}"


def rank_width(shown: pd.DataFrame) -> float:
    """Return the width in mm of the column of ranks."""
    ranks = ["rank", *map(rank, shown.to_dict("records"))]
    return 4 + max(map(style.text_width, ranks))


def words_width(own: pd.DataFrame) -> float:
    """Return the width in mm that ranks and verdicts take."""
    return rank_width(own) + 4 + max(map(style.text_width, map(verdict, own.to_dict("records"))))


def verdict(row: dict[Hashable, Any]) -> str:
    """Return whether a system has one solution, and where it has not, why."""
    first = str(row["cause"]).partition(";")[0]
    why = f": {first}" if first and row["verdict"] != "unique" else ""
    return look(str(row["verdict"])).words + why


def write_words(axes: Axes, own: pd.DataFrame, rank_mm: float) -> None:
    """Write rank and verdict of every system, the verdict beside its mark."""
    width = style.panel_width(axes)
    place = axes.get_yaxis_transform()
    for row in own.to_dict("records"):
        seen = look(str(row["verdict"]))
        words = style.shorten(verdict(row), width - rank_mm - 3)
        axes.scatter(
            rank_mm / width, row["position"], c=seen.colour, marker=seen.marker, s=14,
            transform=place, linewidths=0.8, gid="verdicts",
        )  # fmt: skip
        for x, text in ((0.0, rank(row)), ((rank_mm + 2) / width, words)):
            axes.text(
                x,
                row["position"],
                text,
                transform=place,
                va="center_baseline",
                fontsize=style.SMALL,
            )
    axes.set_xlim(0, 1)


def write_heads(axes: Axes, rank_mm: float) -> None:
    """Write what the words under it say."""
    x, y = (rank_mm - 1) / style.panel_width(axes), 1 + 1.06 / style.panel_height(axes)
    for at, text in ((0.0, "rank"), (x, "solutions")):
        axes.text(at, y, text, transform=axes.transAxes, fontsize=style.SMALL)
