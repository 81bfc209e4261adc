"""Perturbation labels: the one place that decides which cell carries which perturbation.

A label is control, a gene, or genes joined by `SEPARATOR`, sorted: ``B+A`` and ``A+B`` are one
perturbation, ``A+ctrl`` is ``A`` where config names ``ctrl`` as control. Nothing is guessed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from lgem.errors import InputError, listing, nearest
from lgem.screen.tables import as_levels, levels

CONTROL = "control"
SEPARATOR = "+"


@dataclass(frozen=True)
class LabelRules:
    """How raw labels are read.

    Parameters
    ----------
    control
        Raw labels that mean control, alone or as a part of a combination.
    separator
        What joins the genes of a combination in raw labels; None where there are none.
    pattern
        Regular expression whose matches (its first group, if it has one) name the perturbed
        genes, or combinations of them; a raw label without a match carries no perturbation.
    """

    control: tuple[str, ...]
    separator: str | None = SEPARATOR
    pattern: str | None = None

    def parse(self, raw: str) -> str | None:
        """Return the normal form of one raw label, or None where it names no perturbation."""
        parts = self._parts(raw)
        if genes := parts - set(self.control):
            return SEPARATOR.join(sorted(genes))
        return CONTROL if parts else None

    def check(self, raw: str, place: str) -> None:
        """Raise an InputError where the normal form of a raw label would be misread."""
        for gene in sorted(self._parts(raw) - set(self.control)):
            if not gene.isprintable():
                raise InputError(
                    f"{place}: label {raw!r}",
                    "a character that cannot be printed",
                    "letters, digits and signs",
                )
            if gene == CONTROL:
                raise InputError(
                    f"{place}: label '{raw}'",
                    f"'{CONTROL}', which config does not name as a label of control",
                    f"control: [..., {CONTROL}] in the config, or another name for these cells",
                )
            if SEPARATOR in gene:
                raise InputError(
                    f"{place}: label '{raw}'",
                    f"a gene '{gene}' with the '{SEPARATOR}' that joins combinations in results",
                    f"combination_separator: '{SEPARATOR}', or genes without it",
                )

    def mentions(self, raw: str, word: str) -> bool:
        """Return whether a raw label is a label of control, or a combination with it."""
        return word in self._parts(raw)

    def _parts(self, raw: str) -> set[str]:
        """Return the genes and labels of control that a raw label is made of."""
        text = raw.strip()
        if text in self.control:
            return {text}
        if self.separator:
            # A label of control may hold the separator itself: non-targeting, where - joins genes;
            # or another label of control: the longest is looked for first.
            joint = self.separator
            for word in sorted(self.control, key=len, reverse=True):
                before, found, after = f"{joint}{text}{joint}".partition(f"{joint}{word}{joint}")
                if found:
                    rest = self._parts(before.removeprefix(joint))
                    return rest | self._parts(after.removesuffix(joint)) | {word}
        words = [text]
        if self.pattern is not None:
            words = [match[min(1, match.re.groups)] for match in re.finditer(self.pattern, text)]
        pieces = [
            piece.strip()
            for word in words
            if word
            for piece in (word.split(self.separator) if self.separator else [word])
        ]
        return set(filter(None, pieces))


def genes_of(perturbation: str) -> tuple[str, ...]:
    """Return the genes that a normalised perturbation names; none for control."""
    return () if perturbation == CONTROL else tuple(perturbation.split(SEPARATOR))


def normalise(raw: pd.Series, rules: LabelRules, place: str) -> pd.Series:
    """Return the normal form of every raw label, as levels; missing where it names no perturbation.

    Raises
    ------
    InputError
        Where no cell is a control cell, or a label would be misread in the results.
    """
    found = as_levels(raw)
    distinct = [label for label in found.remove_unused_categories().categories if label]
    known = {label: rules.parse(label) for label in distinct}
    if CONTROL not in known.values():
        close = next((n for word in rules.control if (n := nearest(word, distinct))), None)
        raise InputError(
            f"{place}: control",
            f"no cell labelled {listing(repr(word) for word in rules.control)}",
            f"one of the labels there: {listing(sorted(distinct)) or 'none, all are blank'}",
            close,
        )
    for label in distinct:
        rules.check(label, place)
    for word in rules.control:
        if not any(rules.mentions(label, word) for label in distinct):
            raise InputError(
                f"{place}: control",
                f"no cell labelled '{word}'",
                f"labels that are there: {listing(sorted(distinct))}",
                nearest(word, distinct),
            )
    meant = [known.get(label) for label in found.categories]
    return pd.Series(levels(found.codes, meant), index=raw.index)


@dataclass(frozen=True)
class Target:
    """The genes that a perturbation acts on.

    Parameters
    ----------
    rows
        Their numbers among the measured genes, from 0; None where one of them is not measured or
        not unique.
    reason
        Why there are no rows, in words.
    """

    rows: tuple[int, ...] | None
    reason: str = ""


class TargetIndex:
    """Finds the measured genes that perturbations act on, by identifier, then by symbol."""

    def __init__(self, genes: Sequence[str], symbols: Sequence[str] | None = None) -> None:
        self.genes = [str(gene) for gene in genes]
        self._rows: dict[str, list[int]] = {}
        for row, symbol in enumerate(symbols if symbols is not None else ()):
            self._rows.setdefault(str(symbol), []).append(row)
        # An identifier is unique and therefore goes before a symbol of the same spelling.
        self._rows.update({gene: [row] for row, gene in enumerate(self.genes)})

    @property
    def names(self) -> list[str]:
        """Return all that a measured gene may be called by."""
        return list(self._rows)

    def find(self, perturbation: str) -> Target:
        """Return the rows of the genes that a normalised perturbation names."""
        found = {gene: self._rows.get(gene, []) for gene in genes_of(perturbation)}
        missing = [gene for gene, rows in found.items() if not rows]
        unclear = [f"{gene} ({len(rows)} genes)" for gene, rows in found.items() if len(rows) > 1]
        if missing:
            return Target(None, f"target not measured: {listing(missing)}")
        if unclear:
            return Target(None, f"target symbol not unique: {listing(unclear)}")
        return Target(tuple(rows[0] for rows in found.values()))


def names_of_targets(index: TargetIndex, perturbation: str) -> list[str]:
    """Return the genes that a perturbation acts on, by their ids where they are measured."""
    rows = {gene: index.find(gene).rows for gene in genes_of(perturbation)}
    return [index.genes[row[0]] if row else gene for gene, row in rows.items()]
