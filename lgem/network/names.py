"""What the genes of a panel may be called by in a user's table."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

UNKNOWN, AMBIGUOUS = -1, -2


def lookup(genes: Sequence[str], symbols: Sequence[str] | None) -> dict[str, int]:
    """Map every name to its row in the panel; a symbol of several genes to AMBIGUOUS.

    A name is looked up among the ids first.
    """
    rows: dict[str, int] = {}
    for position, symbol in enumerate([] if symbols is None else symbols):
        if not pd.isna(symbol) and symbol != "":
            rows[symbol] = AMBIGUOUS if symbol in rows else position
    return rows | {gene: position for position, gene in enumerate(genes)}
