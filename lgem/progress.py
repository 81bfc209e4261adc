"""Progress of long work: a bar on a terminal, and lines in the log of the job."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

BYTES = "B"
# Seconds between two lines of the log; work that is over in less leaves none, and shows no bar.
EVERY = 5.0
LOG = logging.getLogger("lgem")


@contextmanager
def progress(what: str, total: int | None, unit: str) -> Iterator[Callable[[int], None]]:
    """Tell how far long work has come; yield what is to be called with the amount just done.

    Parameters
    ----------
    what
        The work, as the user knows it: ``"downloading screen.h5ad"``.
    total
        The amount of work, where it is known.
    unit
        What is counted: ``"B"`` for bytes, or a noun in the plural.
    """
    lines = _Lines(what, total, unit)
    if not sys.stderr.isatty():
        yield lambda amount: _tell(lines.after(amount))
        return
    from tqdm import tqdm

    scale = 1024 if unit == BYTES else 1000
    with tqdm(
        desc=what,
        total=total,
        unit=unit if unit == BYTES else f" {unit}",
        unit_scale=True,
        unit_divisor=scale,
        delay=EVERY,
        leave=False,
        dynamic_ncols=True,
        file=sys.stderr,
    ) as bar:

        def advance(amount: int) -> None:
            bar.update(amount)
            if line := lines.after(amount):
                with tqdm.external_write_mode(sys.stderr):  # the log shows on the terminal, too
                    _tell(line)

        yield advance


def _tell(line: str | None) -> None:
    if line is not None:
        LOG.info("%s", line)


class _Lines:
    """Which lines the log gets: one per tenth of the work, or per doubling of an unknown whole."""

    def __init__(self, what: str, total: int | None, unit: str) -> None:
        self.what, self.total, self.unit = what, total, unit
        self.done = self.told = 0
        self.time = time.monotonic()

    def after(self, amount: int) -> str | None:
        """Count an amount done; return the line that is due then, if one is."""
        self.done += amount
        due = 2 * self.told if self.total is None else self.told + self.total / 10
        if self.done < due or (now := time.monotonic()) < self.time + EVERY:
            return None
        self.told, self.time = self.done, now
        if not self.total:
            return f"{self.what}: {amount_of(self.unit, self.done)}"
        share = 100 * self.done // self.total
        return f"{self.what}: {share} % ({amount_of(self.unit, self.done, self.total)})"


def amount_of(unit: str, *amounts: int) -> str:
    """Return amounts of one unit in words: 1.2 of 3.0 GiB."""
    if unit != BYTES:
        return f"{' of '.join(f'{amount:,}' for amount in amounts)} {unit}"
    size, name = 1, BYTES
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if max(amounts) >= 1024 * size:
            size, name = 1024 * size, larger
    digits = 0 if size == 1 else 1
    return f"{' of '.join(f'{amount / size:.{digits}f}' for amount in amounts)} {name}"
