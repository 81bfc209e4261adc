"""Designs with named columns, and in words why some of their effects cannot be told apart.

A design is a table of samples turned into numbers: an intercept, for every level of a factor but
its reference a column that marks the samples of this level, and numbers as they are. Where columns
depend on one another, each relation between them has one of four causes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np
import pandas as pd

from lgem.errors import clipped, listing
from lgem.systems import ROUNDING, Dependence, Diagnosis, dependences, diagnose

INTERCEPT = "intercept"
TOO_FEW = "too few samples"
REDUNDANT = "redundant factor"
CONFOUNDED = "confounded batch"
COLLINEAR = "collinear covariate"

MOST_NAMES = 5  # in a sentence


@dataclass(frozen=True)
class Design:
    """A design matrix that knows what its columns are.

    ``matrix`` is samples × columns. ``names``, ``factors`` and ``levels`` say of each column how
    it is called, which factor or covariate it belongs to (none: the intercept) and which level it
    marks (none: a covariate's numbers). ``references`` are the levels that have no column.
    """

    matrix: np.ndarray
    names: list[str]
    factors: list[str]
    levels: list[str]
    references: Mapping[str, str]

    def columns(self, factor: str) -> dict[str, int]:
        """Return the numbers of a factor's columns, by level."""
        pairs = zip(self.factors, self.levels, strict=True)
        return {level: at for at, (of, level) in enumerate(pairs) if of == factor}


@dataclass(frozen=True)
class Alias:
    """Columns that cannot be told apart: which, how they relate, why, in words, what to do.

    ``columns`` are names in full, ``treatments`` those levels of the treatment that are among
    them; ``relation`` and ``sentence`` shorten long names and lists.
    """

    columns: tuple[str, ...]
    treatments: tuple[str, ...]
    relation: str
    cause: str
    sentence: str
    remedy: str


@dataclass(frozen=True)
class Explanation:
    """What can be said of a design.

    Parameters
    ----------
    diagnosis
        Shape, rank and condition number of its matrix.
    aliases
        Every relation between columns that cannot be told apart, those of treatments first.
    """

    diagnosis: Diagnosis
    aliases: list[Alias]

    @property
    def aliased(self) -> str:
        """The relations between columns, a few of them."""
        return _few(alias.relation for alias in self.aliases)

    @property
    def cause(self) -> str:
        """The causes, the first alias's first."""
        return _few(alias.cause for alias in self.aliases)

    @property
    def remedy(self) -> str:
        """The remedies, a few of them."""
        return _few((alias.remedy for alias in self.aliases), most=3)

    def sentences(self) -> dict[str, str]:
        """Return for each treatment that cannot be told from other columns why not."""
        pairs = [(name, alias.sentence) for alias in self.aliases for name in alias.treatments]
        return dict(reversed(pairs))  # of several the first, which is the shortest


def treatment_design(
    table: pd.DataFrame,
    factors: Sequence[str],
    references: Mapping[str, str | None] | None = None,
    *,
    covariates: Sequence[str] = (),
    interactions: Iterable[tuple[str, str]] = (),
) -> Design:
    """Return the design of a table of samples: every level against its factor's reference.

    Parameters
    ----------
    table
        Samples × columns.
    factors
        Columns with levels, the treatment first.
    references
        The level of a factor that the others are compared with; None: every level has a column.
        By default the most frequent one (the first by name of several); of further factors the
        most frequent one among the reference samples of the first.
    covariates
        Columns with numbers.
    interactions
        Pairs of factors whose levels have an effect together.

    Returns
    -------
    Design
        Samples × columns, an intercept first, with the name of every column.
    """
    chosen = _references(table, factors, references or {})
    blocks, owners, levels = [np.ones((len(table), 1))], [""], [""]
    marks: dict[str, tuple[np.ndarray, list[str]]] = {}
    for factor in factors:
        marks[factor] = _marks(table[factor], chosen[factor])
        blocks.append(marks[factor][0])
        owners += [factor] * len(marks[factor][1])
        levels += marks[factor][1]
    for name in covariates:
        blocks.append(table[[name]].to_numpy(dtype=float))
        owners.append(name)
        levels.append("")
    for one, other in interactions:
        for level, mark in zip(marks[one][1], marks[one][0].T, strict=True):
            blocks.append(mark[:, None] * marks[other][0])
            levels += [f"{level} × {second}" for second in marks[other][1]]
            owners += [f"{one} × {other}"] * len(marks[other][1])
    return Design(
        np.hstack(blocks),
        _column_names(owners, levels),
        owners,
        levels,
        {factor: level for factor, level in chosen.items() if level is not None},
    )


def _references(
    table: pd.DataFrame, factors: Sequence[str], given: Mapping[str, str | None]
) -> dict[str, str | None]:
    """Return the reference of every factor, as given or as `treatment_design` says."""
    chosen: dict[str, str | None] = {}
    compared = table
    for factor in factors:
        levels = compared[factor].astype(str)
        chosen[factor] = given[factor] if factor in given else str(min(levels.mode()))
        if factor == factors[0] and chosen[factor] is not None:
            compared = table[levels == chosen[factor]]
    return chosen


def _marks(column: pd.Series, reference: str | None) -> tuple[np.ndarray, list[str]]:
    """Return the columns that mark the levels of a factor but its reference, and these levels."""
    text = column.astype(str)
    levels = sorted(set(text) - {reference})
    found = pd.Categorical(text, categories=levels).codes
    marks = np.zeros((len(text), len(levels)))
    marked = np.flatnonzero(found >= 0)
    marks[marked, found[marked]] = 1.0
    return marks, levels


def _column_names(owners: Sequence[str], levels: Sequence[str]) -> list[str]:
    """Call a column by its level where that says enough, else by factor and level."""
    counts = pd.Series(list(levels)).value_counts()
    return [
        level if level and counts[level] == 1 and level[0].isalpha() else f"{owner} {level}".strip()
        for owner, level in zip([INTERCEPT, *owners[1:]], levels, strict=True)
    ]


def explain(
    design: Design,
    table: pd.DataFrame,
    treatment: str | None = None,
    batch: str | None = None,
    *,
    unit: str = "samples",
    samples: int | None = None,
    otherwise: str = "",
) -> Explanation:
    """Say which columns of a design cannot be told apart, why, and what to do.

    Parameters
    ----------
    design
        The design of the table.
    table
        One row per sample, or per group of samples that are alike.
    treatment, batch
        The factor whose effects are wanted, and the one that a treatment may be confounded with.
    unit
        What a sample is called, in the plural.
    samples
        Number of samples, where the rows of the table are groups.
    otherwise
        How to go on without adjustment for the other factors, in words; by default the factors
        are to be left out of the design.

    Returns
    -------
    Explanation
        Without aliases where all columns are independent.
    """
    words = _Words(
        design, table, treatment, batch, unit, len(table) if samples is None else samples, otherwise
    )
    aliases = [words.alias(relation) for relation in dependences(design.matrix)]
    aliases.sort(key=lambda alias: (not alias.treatments, len(alias.columns)))
    return Explanation(diagnose(design.matrix), aliases)


@dataclass(frozen=True)
class _Words:
    """A design with all that is needed to speak of it; see `explain`."""

    design: Design
    table: pd.DataFrame
    treatment: str | None
    batch: str | None
    unit: str
    samples: int
    otherwise: str

    def alias(self, relation: Dependence) -> Alias:
        """Return what one relation between columns means."""
        members = [column for column in relation.columns if self.design.factors[column]]
        treatments = self._levels(members, self.treatment)
        account = self._account(relation, members, treatments)
        names = tuple(self.design.names[column] for column in relation.columns)
        return Alias(names, tuple(treatments), self._relation(relation), *account)

    def _account(
        self, relation: Dependence, members: list[int], treatments: list[str]
    ) -> tuple[str, str, str]:
        """Return cause, sentence and remedy of a relation."""
        factors = list(dict.fromkeys(self.design.factors[column] for column in members))
        if len(relation.columns) > self.samples:  # so many are dependent whatever they hold
            wanted = len(self.design.names)
            found = f"{self.samples} {self.unit} cannot tell {wanted} coefficients apart"
            return TOO_FEW, found, f"more {self.unit}, fewer covariates, or a penalty"
        if len(members) == 1 == len(relation.columns):
            return self._empty(members[0])
        if treatments and len(factors) > 1 and self._are_factors(factors):
            return self._confounded(relation, members, treatments, factors)
        if self._are_factors(factors):
            return self._redundant(relation, members, factors)
        return self._collinear(relation, members, factors)

    def _are_factors(self, factors: list[str]) -> bool:
        """Whether all of these are factors with levels, none a covariate or an interaction."""
        return all("" not in self.design.columns(of) and of in self.table for of in factors)

    def _empty(self, column: int) -> tuple[str, str, str]:
        name, factor = clipped(self.design.names[column]), self.design.factors[column]
        there = f"there are no {self.unit} of {name} ({factor}): its effect cannot be estimated"
        if self.design.levels[column]:
            return TOO_FEW, there, f"{self.unit} of {name}, or leave {factor} out"
        return COLLINEAR, f"{name} is 0 in all {self.unit}: there is no effect", f"drop {name}"

    def _confounded(
        self, relation: Dependence, members: list[int], treatments: list[str], factors: list[str]
    ) -> tuple[str, str, str]:
        """Speak of treatments that cannot be told from levels of other factors."""
        others = [factor for factor in factors if factor != self.treatment]
        cause = CONFOUNDED if self.batch in others else COLLINEAR
        names = joined(treatments)
        plain = others[0] if len(others) == 1 else ""
        difference = f"the {plain}'s difference" if plain else "their differences"
        whose = f"{names}'s effect" if len(treatments) == 1 else f"effects of {names}"
        without = self.otherwise or f"leave {joined(others)} out"
        rest = f"or {without}, which counts {difference} as {whose}"
        control = clipped(self.design.references.get(str(self.treatment), "other"))
        if plain and len(members) == len(relation.columns):
            return cause, *self._island(members, treatments, plain, control, rest)
        stratum = plain or f"combination of {joined(others)}"
        return (
            cause,
            self._inseparable(relation, members),
            f"put {control} {self.unit} into a {stratum} that has {names} "
            f"{self.unit}, or {names} {self.unit} into one with {control}; {rest}",
        )

    def _island(
        self, members: list[int], treatments: list[str], factor: str, control: str, rest: str
    ) -> tuple[str, str]:
        """Speak of treatments and levels of one factor that share samples with no others.

        A relation between treatments and levels, without the intercept, can have no other reason:
        in every sample the coefficients of its treatment and its level add up to 0.
        """
        levels = self._levels(members, factor)
        columns = [self.design.names[self.design.columns(factor)[level]] for level in levels]
        names, places = joined(treatments), joined(columns)
        one, alone = len(levels) == 1, len(treatments) == 1
        hold = f"{names} {self.unit}" if alone else f"{self.unit} of {names}"
        # "batch batch_2" says batch twice.
        named = all(level.casefold().startswith(factor.casefold()) for level in levels)
        subject = "" if named else f"{factor if one else _plural(factor)} "
        last = f"of {places}" if one and alone else f"those of {places}"
        return (
            f"{subject}{joined(levels)} {'holds' if one else 'hold'} only {hold}, and {names} "
            f"{'has' if alone else 'have'} no others: the effects of {names} and {last} "
            "cannot be separated",
            f"put {control} {self.unit} into {joined(columns, 'or')}, or "
            f"{joined(treatments, 'or')} {self.unit} into a {factor} with {control}; {rest}",
        )

    def _redundant(
        self, relation: Dependence, members: list[int], factors: list[str]
    ) -> tuple[str, str, str]:
        """Speak of factors that say a thing twice."""
        if len(factors) == 1:
            twice = f"{self._names(members)} mark all {self.unit}: they add up to the intercept"
            return REDUNDANT, twice, "drop one level or the intercept"
        pairs = permutations(reversed(factors), 2) if len(factors) == 2 else ()
        nested = [(coarse, fine) for coarse, fine in pairs if self._nested(fine, coarse)]
        if len(nested) == 2:
            same = f"{joined(factors)} mark the same {self.unit}"
            return COLLINEAR, same, "drop either of them, which changes no other effect"
        if nested:
            coarse, fine = nested[0]
            twice = f"every {fine} has one {coarse}: {fine} says already what {coarse} says"
            return REDUNDANT, twice, f"drop {coarse}, which changes no other effect"
        remedy = f"drop one of {joined(factors)}, or add {self.unit} of other combinations of them"
        return COLLINEAR, self._inseparable(relation, members), remedy

    def _nested(self, fine: str, coarse: str) -> bool:
        """Whether every level of one factor has one level of another."""
        return bool(self.table.groupby(fine, observed=True)[coarse].nunique().max() == 1)

    def _collinear(
        self, relation: Dependence, members: list[int], factors: list[str]
    ) -> tuple[str, str, str]:
        names = self._names(members)
        if len(members) == 1:
            same = f"{names} is the same in all {self.unit}: it cannot be told from the intercept"
            return COLLINEAR, same, f"drop {names}"
        remedy = f"drop one of {joined(factors) if len(factors) > 1 else names}"
        return COLLINEAR, self._inseparable(relation, members), remedy

    def _inseparable(self, relation: Dependence, members: list[int]) -> str:
        return (
            f"{self._relation(relation)} in all {self.unit}: "
            f"the effects of {self._names(members)} cannot be separated"
        )

    def _names(self, members: list[int]) -> str:
        return joined([self.design.names[column] for column in members])

    def _levels(self, members: Iterable[int], factor: str | None) -> list[str]:
        """Return the levels of a factor among some columns."""
        factors, levels = self.design.factors, self.design.levels
        return [levels[column] for column in members if factors[column] == factor]

    def _relation(self, relation: Dependence) -> str:
        """Write a relation as an equation, the first column that is not the intercept to the left.

        An intercept that stands alone on its side stands there for all samples.
        """
        pairs = list(zip(relation.columns, relation.coefficients, strict=True))
        lead = next((c for column, c in pairs if self.design.factors[column]), 1.0)
        terms = [(self.design.names[column], c / lead) for column, c in pairs]
        left = [_term(name, c) for name, c in terms if c > 0]
        right = [_term(name, -c) for name, c in terms if c < 0]
        return f"{_sum(left)} = {_sum(right)}"


def joined(names: Sequence[str], word: str = "and") -> str:
    """Join names as a sentence does, a few of them."""
    short = [clipped(name) for name in names]
    if len(short) > MOST_NAMES:
        return listing(short, MOST_NAMES)
    return f" {word} ".join([", ".join(short[:-1]), short[-1]] if len(short) > 1 else short)


def _plural(noun: str) -> str:
    return f"{noun}es" if noun.endswith(("ch", "s", "x", "sh")) else f"{noun}s"


def _term(name: str, coefficient: float) -> str:
    if abs(coefficient - 1) < ROUNDING:
        return clipped(name)
    return f"{coefficient:.4g}" if name == INTERCEPT else f"{coefficient:.4g}·{clipped(name)}"


def _sum(terms: list[str]) -> str:
    more = [f"{len(terms) - MOST_NAMES} more"] if len(terms) > MOST_NAMES else []
    return " + ".join([*terms[:MOST_NAMES], *more]) or "0"


def _few(texts: Iterable[str], most: int = 10) -> str:
    """Join different texts, at most so many of them, saying how many more there are."""
    different = list(dict.fromkeys(texts))
    rest = len(different) - most
    return "; ".join(different[:most]) + (f"; and {rest} more" if rest > 0 else "")
