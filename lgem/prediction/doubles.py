"""Folds that hold combinations out with all, with some and with none of their genes seen alone.

How hard a combination is to predict depends on what training holds of its genes. Here each is
held out several times: with the singles of all its genes in training, of all but one, of none.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from lgem.screen.labels import genes_of


@dataclass(frozen=True)
class HeldOut:
    """The combinations that a fold tests, and the genes that its training does without.

    Without a gene means without its single perturbation and without all its combinations.
    """

    test: frozenset[str]
    without: frozenset[str] = frozenset()

    def trains_on(self, perturbation: str) -> bool:
        """Return whether the fold's training holds a perturbation."""
        return perturbation not in self.test and self.without.isdisjoint(genes_of(perturbation))


def combinations_of(perturbations: Collection[str]) -> list[str]:
    """Return the perturbations of more than one gene, sorted."""
    return sorted(name for name in perturbations if len(genes_of(name)) > 1)


def combination_folds(
    perturbations: Collection[str], folds: int, seed: Sequence[int]
) -> list[HeldOut]:
    """Return the folds of one repeat: first those that keep all singles, last those without any.

    The combinations are dealt into `folds` parts, or as many as there are combinations. Where a
    part is so large that a fold would have nothing to train on, there are more parts. A fold that
    has nothing to train on even with one combination a part is dropped.
    """
    combinations = combinations_of(perturbations)
    found: list[HeldOut] = []
    for parts in range(min(folds, len(combinations)), len(combinations) + 1):
        rng = np.random.default_rng(seed)
        order = [combinations[i] for i in rng.permutation(len(combinations))]
        dealt = [[str(name) for name in part] for part in np.array_split(order, parts)]
        asked = _families(dealt, perturbations, rng)
        found = [fold for fold in asked if any(map(fold.trains_on, perturbations))]
        if len(found) == len(asked):
            break
    return found


def _families(
    parts: Sequence[Sequence[str]], perturbations: Collection[str], rng: np.random.Generator
) -> list[HeldOut]:
    """Return the folds that keep all singles, those that lose one a combination, and all of them.

    A combination is in the second family where the screen has two of its singles at least, and in
    the third where it has one: there is a single less to train on in each family than before.
    """
    singles = {name for name in perturbations if len(genes_of(name)) == 1}
    has = {name: [g for g in genes_of(name) if g in singles] for part in parts for name in part}
    families = [HeldOut(frozenset(part)) for part in parts]
    for part in parts:
        if chosen := {name: has[name] for name in part if len(has[name]) > 1}:
            families.append(HeldOut(frozenset(chosen), frozenset(_one_of_each(chosen, rng))))
    for part in parts:
        if able := [name for name in part if has[name]]:
            without = frozenset(gene for name in able for gene in genes_of(name))
            families.append(HeldOut(frozenset(able), without))
    return families


def _one_of_each(genes: dict[str, list[str]], rng: np.random.Generator) -> set[str]:
    """Choose genes at random such that each combination has one of them, and if possible no more.

    Independent choices would often meet in one combination, both of whose genes others have
    chosen. So combinations that share a gene are taken one after the other, and each choice leaves
    alone what an earlier one has kept: this fails only where pairs of genes close an odd ring.
    """
    waiting = list(genes)
    chosen: set[str] = set()
    kept: set[str] = set()
    while waiting:
        met = chosen | kept
        at = next((i for i, name in enumerate(waiting) if not met.isdisjoint(genes[name])), 0)
        mine = genes[waiting.pop(at)]
        if chosen.isdisjoint(mine):
            free = [gene for gene in mine if gene not in kept] or mine
            chosen.add(free[rng.integers(len(free))])
        kept = (kept | set(mine)) - chosen
    return chosen
