"""Groups of cells as the samples of linear mixed forms: what perturbed them, where they were made.

A sample is a group of cells (or profiles) that share perturbation, batch and covariates. Its fixed
features say which perturbation it carries, its random features the batch and the covariates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import linalg

from lgem.prediction.mixed_forms import Modalities
from lgem.screen.effects import GroupStatistics
from lgem.screen.labels import CONTROL


@dataclass(frozen=True)
class Samples:
    """Profiles of samples with what is known of them.

    Parameters
    ----------
    profiles
        Log-expression minus that of control (r × samples); r genes, or coordinates.
    perturbations
        Of every sample.
    levels
        Levels of batch and covariates (each of every sample), by factor.
    cells
        Cells in every sample (samples,).
    """

    profiles: np.ndarray
    perturbations: np.ndarray
    levels: Mapping[str, np.ndarray]
    cells: np.ndarray

    @classmethod
    def of(cls, statistics: GroupStatistics, factors: Sequence[str]) -> Samples:
        """Return the groups of a screen as samples, told apart by perturbation and some factors."""
        groups = statistics.groups
        return cls(
            (statistics.mean - statistics.control).T,
            groups["perturbation"].to_numpy(dtype=str),
            {factor: groups[factor].to_numpy(dtype=str) for factor in factors},
            groups["n_cells"].to_numpy(dtype=float),
        )

    def only(self, perturbations: Sequence[str]) -> Samples:
        """Return the samples of control and of the named perturbations."""
        rows = np.isin(self.perturbations, [CONTROL, *perturbations])
        return Samples(
            self.profiles[:, rows],
            self.perturbations[rows],
            {factor: level[rows] for factor, level in self.levels.items()},
            self.cells[rows],
        )

    def masked(self, own: Mapping[str, Sequence[int]]) -> Samples:
        """Return the same with the own genes of every perturbation as they are in control.

        As in control of the same batch and covariates, where there are any; else as in all of it.

        Parameters
        ----------
        own
            Rows of the genes that a perturbation acts on.
        """
        strata = list(zip(*self.levels.values(), strict=True)) or [()] * len(self.cells)
        control = {s: c for c, s in enumerate(strata) if self.perturbations[c] == CONTROL}
        profiles = self.profiles.copy()
        for column, name in enumerate(self.perturbations):
            rows = list(own.get(str(name), ()))
            stand_in = control.get(strata[column])
            profiles[rows, column] = 0.0 if stand_in is None else self.profiles[rows, stand_in]
        return replace(self, profiles=profiles)

    def pooled(self, perturbations: Sequence[str]) -> np.ndarray:
        """Return the mean profiles of perturbations (r × perturbations): unadjusted effects."""
        columns = [
            np.average(self.profiles[:, rows], axis=1, weights=self.cells[rows])
            for rows in (self.perturbations == name for name in perturbations)
        ]
        return np.reshape(columns, (len(columns), len(self.profiles))).T

    @property
    def fixed_features(self) -> list[str]:
        """Names of the perturbations, columns of X; control has none."""
        return sorted(set(map(str, self.perturbations)) - {CONTROL})

    @property
    def random_features(self) -> list[tuple[str, str]]:
        """Factor and level of the columns of Z."""
        return [(name, one) for name, level in self.levels.items() for one in sorted(set(level))]

    @property
    def weights(self) -> np.ndarray:
        """Square roots of the numbers of cells over their mean (samples,)."""
        return np.sqrt(self.cells / self.cells.mean())

    def modalities(self) -> Modalities:
        """Return the blocks: profiles, perturbations, levels, samples weighted by their cells.

        A block is scaled so that its samples have a mean square length of 1: neither the number of
        genes nor that of batches decides what it weighs.
        """
        X = [self.perturbations == name for name in self.fixed_features]
        Z = [self.levels[name] == one for name, one in self.random_features]
        n = len(self.cells)
        blocks = [
            self.weights[:, None] * np.reshape(np.asarray(rows, dtype=float), (-1, n)).T
            for rows in (self.profiles, X, Z)
        ]
        return Modalities(*(block / (linalg.norm(block) / np.sqrt(n) or 1.0) for block in blocks))

    def with_intercept(self) -> Modalities:
        """Return the blocks of a mixed model: a column for all samples before the perturbations."""
        data = self.modalities()
        return replace(data, X=np.hstack([self.weights[:, None], data.X]))
