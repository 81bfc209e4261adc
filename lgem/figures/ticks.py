"""How numbers on the axes of figures are written."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from matplotlib.axis import Axis
from matplotlib.ticker import Formatter, MaxNLocator

MINUS = "\N{MINUS SIGN}"


class _PlainNumbers(Formatter):
    """Tick labels with equally many decimals, and no factor of ten that stands apart from them."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        return self.format_ticks([x])[0]

    def format_ticks(self, values: Iterable[float]) -> list[str]:
        values = list(values)
        noise = 1e-9 * max(map(abs, values), default=0.0)
        labels = [f"{0.0 if abs(value) < noise else value:g}" for value in values]
        if not any("e" in label for label in labels):
            decimals = max((len(label.partition(".")[2]) for label in labels), default=0)
            labels = [f"{float(label):.{decimals}f}" for label in labels]
        return [label.replace("-", MINUS) for label in labels]


def number_axis(axis: Axis, intervals: int = 5, *, whole: bool = False) -> None:
    """Give an axis of numbers at most so many intervals between its ticks, and plain labels."""
    axis.set_major_locator(MaxNLocator(intervals, integer=whole))
    axis.set_major_formatter(_PlainNumbers())


def plain_powers(value: float, _: float) -> str:
    """Return a label of a logarithmic axis in ordinary letters, 10⁵ and beyond as a power."""
    if value >= 1e5:
        power = str(round(np.log10(value))).translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))
        return f"10{power}"
    return f"{value:,.15g}"
