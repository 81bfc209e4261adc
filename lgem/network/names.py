"""What the genes of a panel may be called by in a user's table."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import pandas as pd

UNKNOWN, AMBIGUOUS = -1, -2


@dataclass(frozen=True)
class Others:
    """Names of measured genes that are not in the panel: their ids, and their symbols."""

    ids: Collection[str] = frozenset()
    symbols: Collection[str] = frozenset()


def lookup(
    genes: Sequence[str], symbols: Sequence[str] | None, others: Others | None = None
) -> dict[str, int]:
    """Map every name to its row in the panel; a symbol of several measured genes to AMBIGUOUS.

    A name is looked up among the ids first, also among those of genes outside the panel: what is
    the id of another gene names that gene, whatever symbols say.
    """
    others = Others() if others is None else others
    rows: dict[str, int] = {}
    for position, symbol in enumerate([] if symbols is None else symbols):
        if not pd.isna(symbol) and symbol != "" and symbol not in others.ids:
            taken = symbol in rows or (symbol in others.symbols and symbol != genes[position])
            rows[symbol] = AMBIGUOUS if taken else position
    return rows | {gene: position for position, gene in enumerate(genes)}
