"""How numbers on the axes of figures are written, and labels kept apart."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from matplotlib.axis import Axis
from matplotlib.ticker import FixedLocator, Formatter, MaxNLocator, NullLocator

# Ticks that are read at a glance: not 0.6, 1.2, 1.8.
_ROUND = (1, 2, 2.5, 5, 10)
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


def number_axis(axis: Axis, intervals: int = 6, *, whole: bool = False) -> None:
    """Give an axis of numbers at most so many intervals between its ticks, and plain labels."""
    axis.set_major_locator(MaxNLocator(intervals, integer=whole, steps=_ROUND))
    axis.set_major_formatter(_PlainNumbers())


def plain_powers(value: float, _: float) -> str:
    """Return a label of a logarithmic axis in ordinary letters, 10⁵ and beyond as a power."""
    if value >= 1e5:
        return _as_power(round(np.log10(value)))
    return f"{value:,.15g}"


def set_decades(axis: Axis, low: float, high: float, most: int) -> None:
    """Give a logarithmic axis at most so many intervals of whole powers of ten."""
    first, last = int(np.ceil(np.log10(low) - 1e-9)), int(np.floor(np.log10(high) + 1e-9))
    step = max(1, int(np.ceil((last - first) / most)))
    powers = [10.0**power for power in range(last, first - 1, -step)][::-1]
    axis.set_major_locator(FixedLocator(powers))
    axis.set_major_formatter(lambda value, _: power_of_ten(value))
    axis.set_minor_locator(NullLocator())


def power_of_ten(value: float) -> str:
    """Return 0.01 to 100 in ordinary digits, other powers of ten with an exponent."""
    power = round(np.log10(value))
    if abs(power) <= 2:
        return f"{10.0**power:g}"
    return _as_power(power)


def apart(wanted: np.ndarray, gap: float, low: float, high: float) -> np.ndarray:
    """Move places along an axis as little as it takes to keep a gap between them, within ends."""
    order = np.argsort(wanted, kind="stable")
    steps = gap * np.arange(len(wanted))
    # Without their steps the places only have to ascend.
    free = np.maximum.accumulate(wanted[order] - steps)
    found = np.empty(len(wanted))
    found[order] = np.clip(free, low, max(low, high - steps[-1])) + steps
    return found


def _as_power(power: int) -> str:
    return "10" + str(power).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
