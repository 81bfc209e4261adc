"""Training columns in gene space, or in the few coordinates that a linear model can move in.

All that a linear gene expression model computes from its training columns lies in the span of
these columns and of its embedding. In coordinates of an orthonormal basis U of that span (genes ×
r) the same fit runs on r rows instead of thousands, and lengths are unchanged; a gene's own entry
of a vector x is U[gene] @ x.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import linalg

from lgem.prediction.samples import Samples
from lgem.prediction.training import Training
from lgem.screen.labels import Target


@dataclass(frozen=True)
class Columns:
    """Effects and control of some perturbations as vectors of one space.

    Parameters
    ----------
    effects
        Y (r × perturbations); r is the number of genes where there is no `basis`.
    control
        Log-expression of control (r,).
    ones
        The vector with 1 for every gene (r,).
    basis
        U (genes × r), orthonormal columns, or None in gene space.
    perturbations, targets
        What the columns are.
    samples
        The groups of cells behind the columns, with control, where they are known.
    """

    effects: np.ndarray
    control: np.ndarray
    ones: np.ndarray
    basis: np.ndarray | None
    perturbations: Sequence[str]
    targets: Sequence[Target]
    samples: Samples | None = None

    @classmethod
    def of(cls, training: Training) -> Columns:
        """Return the columns of a training set in gene space."""
        ones = np.ones(len(training.control))
        names, targets = training.perturbations, training.targets
        return cls(training.effects, training.control, ones, None, names, targets, training.samples)

    def compressed(self, *others: np.ndarray) -> Columns:
        """Return the same in coordinates of the span of effects and further vectors (genes × k).

        Where the span would not be smaller than gene space, nothing changes.
        """
        spanning = np.column_stack([self.effects, *others])
        if self.basis is not None or spanning.shape[1] >= spanning.shape[0]:
            return self
        U = linalg.qr(spanning, mode="economic")[0]
        samples = self.samples
        if samples is not None:
            samples = replace(samples, profiles=U.T @ samples.profiles)
        return replace(
            self,
            samples=samples,
            effects=U.T @ self.effects,
            control=U.T @ self.control,
            ones=U.T @ self.ones,
            basis=U,
        )

    def only(self, columns: Sequence[int]) -> Columns:
        """Return the named columns alone."""
        names = [self.perturbations[k] for k in columns]
        return replace(
            self,
            samples=None if self.samples is None else self.samples.only(names),
            effects=self.effects[:, columns],
            perturbations=names,
            targets=[self.targets[k] for k in columns],
        )

    def coordinates(self, X: np.ndarray) -> np.ndarray:
        """Return vectors of gene space (genes × k) in this space."""
        return X if self.basis is None else self.basis.T @ X

    def entries(self, X: np.ndarray, genes: Sequence[int]) -> np.ndarray:
        """Return the entries of vectors (r × k) at some genes (genes × k)."""
        return X[list(genes)] if self.basis is None else self.basis[list(genes)] @ X

    def in_genes(self, X: np.ndarray) -> np.ndarray:
        """Return vectors of this space (r × k) in gene space (genes × k)."""
        return X if self.basis is None else self.basis @ X
