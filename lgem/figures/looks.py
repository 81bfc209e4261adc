"""How models, baselines and controls look wherever several of them share a panel."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Any, Literal, NamedTuple

from matplotlib.lines import Line2D

from lgem.figures import style
from lgem.figures.prediction import BASELINES, kind_of

SKY, INDIGO = "#56B4E9", "#332288"
STRONG = (style.BLUE, style.GREEN, style.PURPLE, SKY, INDIGO)
SHADES = (style.ORANGE, "#A65E00", style.VERMILLION, "#E8C547")
GREYS = (style.GREY, "#A8A8A8")
MODEL_MARKERS = "oDP^v"
BASELINE_MARKERS = "sXp<"
DASHES: tuple[Literal["-", "--", ":"], ...] = ("-", "--", ":")


class Look(NamedTuple):
    """Colour, dash, marker and width of a line; open marks say `with the on-target term`."""

    colour: str
    dash: Literal["-", "--", ":"]
    marker: str
    width: float
    open_: bool = False

    def handle(self, *, line: bool) -> Line2D:
        """Return the mark for a legend, on its line or alone."""
        face = "white" if self.open_ else self.colour
        return Line2D(
            [], [], color=self.colour, marker=self.marker, markersize=3.5, markerfacecolor=face,
            markeredgewidth=0.7, linewidth=self.width, linestyle=self.dash if line else "None",
        )  # fmt: skip

    def mark(self, area: float) -> dict[str, Any]:
        """Return the arguments of a scatter of these marks, of an area in square points."""
        face = "white" if self.open_ else self.colour
        return {
            "s": area, "marker": self.marker, "facecolors": face, "edgecolors": self.colour,
            "linewidths": 0.7,
        }  # fmt: skip


def looks(models: Sequence[str], baselines: Collection[str] = BASELINES) -> dict[str, Look]:
    """Return a look for every name: models strong, baselines in shades of orange, controls grey.

    Baselines of one kind share their colour; the one with the on-target term is dashed and open.
    """
    found: dict[str, Look] = {}
    strong, greys = 0, 0
    stems = list(dict.fromkeys([*BASELINES, *baselines]))
    for name in models:
        kind = kind_of(name, baselines)
        if kind == "technical duplicate":
            found[name] = Look(style.BLACK, ":", "*", 1.0)
        elif kind == "baseline":
            own = name in baselines and name.endswith("on_target")
            stem = re.sub(r"[ _+-]*on_target$", "", name)
            k = stems.index(stem) if stem in stems else stems.index(name)
            term = own or stem != name
            shade, marker = SHADES[k % len(SHADES)], BASELINE_MARKERS[k % len(BASELINE_MARKERS)]
            found[name] = Look(shade, "--" if term else "-", marker, 1.0, term)
        elif kind == "random embedding":
            found[name] = Look(GREYS[greys % len(GREYS)], DASHES[greys % 3], "d", 0.9)
            greys += 1
        else:
            # Past the last colour the dash changes, and the marker with it.
            colour, turn = STRONG[strong % len(STRONG)], strong // len(STRONG)
            marker = MODEL_MARKERS[(strong + turn) % len(MODEL_MARKERS)]
            found[name] = Look(colour, DASHES[turn % 3], marker, 1.2 if strong else 1.8)
            strong += 1
    return found
