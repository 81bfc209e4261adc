"""Effects of perturbations: least squares of cells on perturbation, batch and covariates.

All genes share one small design, and the sizes, means and variances of the groups (perturbation ×
batch × covariates) are sufficient: weighted least squares on the groups gives the coefficients,
and RSS = Σ (n−1) v + Σ n (ȳ−ŷ)² the residuals, of least squares on the cells themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from scipy import linalg

from lgem.designs import Design, Explanation, explain, treatment_design
from lgem.errors import InputError, counted, listing
from lgem.screen.labels import CONTROL
from lgem.screen.tables import MISSING
from lgem.systems import Diagnosis, System, diagnose, estimable

# Of the largest mean of a gene; what arithmetic leaves is some 1e-15, what cells do far more.
ROUNDING = 1e-12


@dataclass(frozen=True)
class GroupStatistics:
    """Sizes, means and variances of groups of cells, the sufficient statistics of a screen.

    Parameters
    ----------
    groups
        A row for every group: perturbation, n_cells and the design's factors.
    mean
        Mean log-expression (groups × genes).
    variance
        Its variance over the cells of a group, ddof 1 and 0 for one cell (groups × genes).
    """

    groups: pd.DataFrame
    mean: np.ndarray
    variance: np.ndarray

    def only(self, perturbations: Sequence[str]) -> GroupStatistics:
        """Return the groups of control and of the named perturbations."""
        return self.at(self.groups["perturbation"].isin([CONTROL, *perturbations]).to_numpy())

    def at(self, rows: np.ndarray) -> GroupStatistics:
        """Return some of the groups, chosen by a mask or by their numbers."""
        groups = self.groups.iloc[np.arange(len(self.groups))[rows]].reset_index(drop=True)
        return GroupStatistics(groups, self.mean[rows], self.variance[rows])

    def pooled_mean(self, perturbation: str) -> np.ndarray:
        """Return the mean over all cells of a perturbation (genes,)."""
        rows = (self.groups["perturbation"] == perturbation).to_numpy()
        return np.average(self.mean[rows], axis=0, weights=self.groups.loc[rows, "n_cells"])

    @property
    def control(self) -> np.ndarray:
        """Mean log-expression of all control cells (genes,)."""
        return self.pooled_mean(CONTROL)


@dataclass(frozen=True)
class Effects:
    """Effects of perturbations on log-expression, with their standard errors.

    Parameters
    ----------
    perturbations
        Names of the rows.
    effect
        Change of log-expression from control, natural logarithm (perturbations × genes).
    se
        Its standard error (perturbations × genes).
    degrees_of_freedom
        Of the residuals.
    diagnosis
        What was found of the linear system.
    left_out
        The perturbations that the design cannot estimate, with the reason.
    """

    perturbations: list[str]
    effect: np.ndarray
    se: np.ndarray
    degrees_of_freedom: int
    diagnosis: Diagnosis
    left_out: dict[str, str] = field(default_factory=dict)

    def t_values(self) -> np.ndarray:
        """Return effects over their standard errors.

        Where a gene varies in no group, 0 without an effect and infinite with one.
        """
        with np.errstate(invalid="ignore", divide="ignore"):
            t = self.effect / self.se
        return np.where((self.se == 0) & (self.effect == 0), 0.0, t)

    def p_values(self) -> np.ndarray:
        """Return the p-values of two-sided t-tests of no effect.

        1 where a gene does not vary at all, missing where there are no degrees of freedom.
        """
        if self.degrees_of_freedom < 1:
            return np.full_like(self.effect, np.nan)
        from scipy import stats  # slow to import, and most jobs test nothing

        return 2 * stats.t.sf(np.abs(self.t_values()), self.degrees_of_freedom)

    def q_values(self) -> np.ndarray:
        """Return Benjamini–Hochberg q-values over the genes of each perturbation."""
        p = self.p_values()
        if self.degrees_of_freedom < 1:  # either all p-values are known or none is
            return p
        from scipy import stats

        return stats.false_discovery_control(p, axis=1)

    @property
    def diagnosis_of_cells(self) -> Diagnosis:
        """The diagnosis with a row for every cell instead of every group of them."""
        return replace(self.diagnosis, rows=self.degrees_of_freedom + self.diagnosis.rank)

    def of(self, row: int) -> Effects:
        """Return the effects of a single perturbation, by number."""
        at = slice(row, row + 1)
        return replace(
            self,
            perturbations=self.perturbations[at],
            effect=self.effect[at],
            se=self.se[at],
        )


def adjustable(groups: pd.DataFrame, factors: Sequence[str]) -> list[str]:
    """Return the factors that have more than one level and can therefore be adjusted for."""
    return [factor for factor in factors if len(set(groups[factor])) > 1]


def estimate_effects(
    statistics: GroupStatistics,
    factors: Sequence[str],
    *,
    stop: bool = False,
    unit: str = "cells",
) -> Effects:
    """Estimate the effect of every perturbation against control.

    Parameters
    ----------
    statistics
        Groups of control and of the perturbations to estimate.
    factors
        Columns of the groups to adjust for (batch, covariates); none: pooled means are compared.
    stop
        Whether a perturbation that cannot be estimated ends the run instead of being left out.
    unit
        What the groups are made of, in a message's words.

    Returns
    -------
    Effects
        With the perturbations that were left out, and why.

    Raises
    ------
    InputError
        Where `stop` is set and an effect cannot be estimated, or none can.
    """
    perturbations = _perturbations(statistics)
    if not perturbations:
        raise InputError(
            "effects",
            "no perturbation with enough cells",
            "some with at least pseudobulk.min_cells; see qc.tsv",
        )
    left_out = not_estimable(statistics, factors)
    usable = [name for name in perturbations if name not in left_out]
    if left_out and (stop or not usable):
        first = explain_effects(statistics, factors, unit).aliases[0]
    if left_out and stop:
        raise InputError(
            "effects under adjust_batch: true",
            f"{counted(len(left_out), 'perturbation')} {next(iter(left_out.values()))}: "
            f"{listing(left_out)} ({first.sentence})",
            f"a design that connects them: {first.remedy}; or adjust_batch: auto, which leaves "
            "them out",
        )
    if not usable:
        raise InputError(
            "effects",
            f"no perturbation that can be estimated: all {len(perturbations)} are "
            f"{next(iter(left_out.values()))} ({first.sentence})",
            f"a design that connects some of them: {first.remedy}",
        )
    reduced = _informative(statistics.only(usable), factors)
    design = _design(reduced.groups, adjustable(reduced.groups, factors))
    several = bool(left_out) and len(factors) > 1
    if several and not estimable(design.matrix)[_columns(design, usable)].all():
        # With several factors even what is left out may tell levels apart that others need.
        reduced, design = statistics, _design(statistics.groups, factors)
    return _solve(reduced, design, usable, left_out)


def not_estimable(statistics: GroupStatistics, factors: Sequence[str]) -> dict[str, str]:
    """Return the perturbations that the design cannot estimate, with the reason."""
    perturbations = _perturbations(statistics)
    design = _design(statistics.groups, factors)
    found = estimable(design.matrix)[_columns(design, perturbations)]
    reason = f"not connected with control through {' and '.join(factors)}"
    return {name: reason for name, known in zip(perturbations, found, strict=True) if not known}


def _perturbations(statistics: GroupStatistics) -> list[str]:
    return sorted(set(statistics.groups["perturbation"]) - {CONTROL})


def _informative(statistics: GroupStatistics, factors: Sequence[str]) -> GroupStatistics:
    """Drop the groups of control that are alone in a batch or another level of a factor.

    The coefficient of the level fits such a group exactly: it tells nothing of effects. Once it
    is gone, another may be alone.
    """
    groups = statistics.groups
    while True:
        alone = np.zeros(len(groups), dtype=bool)
        for factor in factors:
            alone |= groups.groupby(factor)[factor].transform("size").to_numpy() == 1
        alone &= (groups["perturbation"] == CONTROL).to_numpy()
        if not alone.any():
            break
        groups = groups[~alone]
    return statistics.at(groups.index.to_numpy())


def _design(groups: pd.DataFrame, factors: Sequence[str]) -> Design:
    """Return the design of groups: perturbations against control, levels against a reference.

    That is the level with most control cells: where one factor is adjusted for, a relation that
    keeps perturbations from being estimated then consists of them and levels alone.
    """
    control = groups[groups["perturbation"] == CONTROL]
    if control.empty:  # none says anything of effects; then the design is only asked for its rank
        control = groups
    references: dict[str, str | None] = {"perturbation": CONTROL}
    for factor in factors:
        cells = control.groupby(control[factor].astype(str))["n_cells"].sum()
        references[factor] = str(cells.idxmax())
    return treatment_design(groups, ["perturbation", *factors], references)


def _columns(design: Design, perturbations: Sequence[str]) -> list[int]:
    """Return the numbers of the columns of perturbations."""
    columns = design.columns("perturbation")
    return [columns[name] for name in perturbations]


def _solve(
    statistics: GroupStatistics,
    design: Design,
    perturbations: list[str],
    left_out: dict[str, str],
) -> Effects:
    X = design.matrix
    n = statistics.groups["n_cells"].to_numpy(dtype=float)
    gram = X.T @ (n[:, None] * X)
    # Perturbations are estimable here; batch and covariates may still alias one another, and any
    # generalised inverse then gives the same perturbation coefficients and standard errors.
    inverse = linalg.pinvh(gram)
    # Effects are differences: a gene's overall mean changes none, and without it rounding is in
    # proportion to differences, not to expression.
    Y = statistics.mean - n @ statistics.mean / n.sum()
    coefficients = inverse @ (X.T @ (n[:, None] * Y))
    residual = Y - X @ coefficients
    rss = (n - 1) @ statistics.variance + n @ residual**2
    # What rounding leaves of a gene that does not vary is no variation to test effects against.
    largest = np.abs(statistics.mean).max(axis=0)
    constant = rss <= n.sum() * (ROUNDING * largest) ** 2
    rss[constant] = 0.0
    coefficients[:, constant] *= np.abs(coefficients[:, constant]) > ROUNDING * largest[constant]
    diagnosis = diagnose(np.sqrt(n)[:, None] * X)  # singular values are those of all cells
    freedom = int(n.sum()) - diagnosis.rank
    sigma2 = rss / freedom if freedom > 0 else np.full_like(rss, np.nan)
    at = _columns(design, perturbations)
    se = np.sqrt(np.diag(inverse)[at][:, None] * sigma2[None, :])
    return Effects(perturbations, coefficients[at], se, freedom, diagnosis, left_out)


def effects_of_screen(
    statistics: GroupStatistics, factors: Sequence[str], adjust: str | bool, unit: str = "cells"
) -> tuple[Effects, list[str]]:
    """Estimate the effects as config's ``adjust_batch`` asks; return them with the factors used.

    Parameters
    ----------
    statistics
        Groups of control and of the perturbations that are kept.
    factors
        Batch and covariates; those with a single level are not adjusted for.
    adjust
        ``"auto"``: adjust and leave out what cannot be estimated; True: stop instead; False: do
        not adjust.
    unit
        What the groups are made of, in a message's words.
    """
    used = factors_used(statistics, factors, adjust)
    return estimate_effects(statistics, used, stop=adjust is True, unit=unit), used


def factors_used(
    statistics: GroupStatistics, factors: Sequence[str], adjust: str | bool
) -> list[str]:
    """Return the factors that effects are adjusted for under config's ``adjust_batch``."""
    return [] if adjust is False else adjustable(statistics.groups, factors)


def explain_effects(
    statistics: GroupStatistics, factors: Sequence[str], unit: str = "cells"
) -> Explanation:
    """Say what cannot be told apart in the design of all groups, before anything is left out."""
    groups = statistics.groups.replace({factor: {MISSING: "(missing)"} for factor in factors})
    return explain(
        _design(groups, factors),
        groups,
        treatment="perturbation",
        batch="batch",
        unit=unit,
        samples=int(groups["n_cells"].sum()),
        otherwise="adjust_batch: false",
    )


def effects_system(effects: Effects, factors: Sequence[str], explanation: Explanation) -> System:
    """Return the row of ``design.tsv`` that describes the system behind the effects.

    Its numbers are those of what was solved, its aliases those of the design that was asked for.
    """
    text, asked = design_report(effects, factors), explanation.diagnosis
    if factors and not asked.full_column_rank:
        text += f"; the design asked for has {asked.columns} columns of rank {asked.rank}"
    elif not factors and explanation.aliases:
        text += f", whose differences count as effects where {explanation.aliased}"
    return System.of(
        "effects",
        effects.diagnosis_of_cells,
        text,
        aliased=explanation.aliased,
        cause=explanation.cause,
        remedy=explanation.remedy,
    )


def design_report(effects: Effects, factors: Sequence[str]) -> str:
    """Say in a sentence what was estimated, adjusted for what, and what was left out why."""
    adjusted = f"adjusted for {' and '.join(factors)}" if factors else "not adjusted for batch"
    text = f"{len(effects.perturbations)} effects estimated, {adjusted}"
    if effects.degrees_of_freedom < 1:
        text += "; no degrees of freedom left: no standard errors, p- or q-values"
    if effects.left_out:
        reason = next(iter(effects.left_out.values()))
        text += f"; {len(effects.left_out)} left out, {reason}: {listing(effects.left_out, 30)}"
    return text
