"""Prediction intervals from perturbations left out: jackknife+, or CV+ where there are many.

For a new perturbation every left-out fit i gives a prediction μ₋ᵢ, and the perturbation left out
a residual rᵢ. The interval at level 1 − α reaches from the ⌊α(n+1)⌋-th smallest of μ₋ᵢ − |rᵢ| to
the ⌈(1−α)(n+1)⌉-th smallest of μ₋ᵢ + |rᵢ|; there is none where n is too small for these ranks.

Notes
-----
Barber, Candès, Ramdas & Tibshirani (2021), Annals of Statistics 49, 486.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy import linalg

from lgem.prediction.embedding import PerturbationEmbedding
from lgem.prediction.linear import (
    Parameters,
    Specification,
    embed_perturbations,
    fit_columns,
    space_of,
)
from lgem.prediction.space import Columns
from lgem.prediction.training import Training
from lgem.prediction.tuning import MOST_LEFT_OUT, left_out_sets
from lgem.screen.labels import Target

# More residuals than these would fill disks without making intervals any better.
MOST_RESIDUALS = 400


def fewest_residuals(level: float) -> int:
    """Return how many residuals an interval needs: 9 at level 0.9."""
    return int(np.ceil(level / (1 - level) - 1e-9))


def interval_method(residuals: int, level: float) -> tuple[str, str]:
    """Return the method's name, and why there is none where there is none."""
    fewest = fewest_residuals(level)
    if residuals < fewest:
        return "none", f"{residuals} residuals, at least {fewest} needed at level {level:g}"
    return ("jackknife+" if residuals <= MOST_LEFT_OUT else "cv+"), ""


def jackknife_plus(
    centres: np.ndarray, residuals: np.ndarray, level: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return lower and upper bounds (rows,) from centres and |residuals| (rows × n).

    Missing residuals do not count; rows with too few have no bounds.
    """
    n = np.sum(~np.isnan(residuals), axis=1)
    below = np.floor((1 - level) * (n + 1) + 1e-9).astype(int)
    above = np.ceil(level * (n + 1) - 1e-9).astype(int)
    enough = (below >= 1) & (above <= n)

    def at_rank(values: np.ndarray, rank: np.ndarray) -> np.ndarray:
        positions = np.clip(rank - 1, 0, values.shape[1] - 1)
        ordered = np.partition(values, np.unique(positions), axis=1)  # missing ones come last
        picked = np.take_along_axis(ordered, positions[:, None], axis=1)[:, 0]
        return np.where(enough, picked, np.nan)

    if not residuals.shape[1]:
        nothing = np.full(len(residuals), np.nan)
        return nothing, nothing.copy()
    return at_rank(centres - residuals, below), at_rank(centres + residuals, above)


@dataclass(frozen=True)
class LeftOut:
    """The fits without some of the training perturbations, and how far these were off.

    Parameters
    ----------
    basis
        U (genes × r) of the space that the fits live in; None in gene space.
    bias, loadings, lookup
        s·b (fits × r), G W (fits × r × e) and the embedding that targets are looked up in
        (fits × r × e; empty where they are not).
    fold
        The fit that left each training perturbation out (n,).
    residuals
        |observed − predicted| (genes × n); missing at own entries that are masked.
    sizes
        Length of the predicted and of the observed effect, and whether the perturbation could be
        embedded (3 × n). Targets are left out; the noise of the observed effect is taken out where
        standard errors are known.
    """

    basis: np.ndarray | None
    bias: np.ndarray
    loadings: np.ndarray
    lookup: np.ndarray
    fold: np.ndarray
    residuals: np.ndarray
    sizes: np.ndarray

    @classmethod
    def of(
        cls,
        training: Training,
        specification: Specification,
        parameters: Parameters,
        masked: bool,
    ) -> LeftOut:
        """Fit the model at its chosen parameters without each of the training perturbations."""
        columns = space_of(Columns.of(training), specification)
        bias, loadings, lookup, fold = [], [], [], []
        residuals, sizes = [], []
        for train, left_out in left_out_sets(training.perturbations):
            fit = fit_columns(columns.only(train), specification, parameters)
            bias.append(fit.bias)
            loadings.append(fit.loadings)
            lookup.append(np.zeros((0, 0)) if fit.lookup is None else fit.lookup)
            for k in left_out:
                predicted = fit.bias
                embedding = specification.perturbations
                name, target = training.perturbations[k], training.targets[k]
                embedded = not embedding.why_not(name, target)
                if fit.loadings.shape[1] and embedded:
                    d = parameters.dimensions
                    p = embed_perturbations(columns, [k], embedding, fit.lookup, d)[0]
                    predicted = predicted + fit.loadings @ p
                effect = columns.in_genes(predicted)
                observed, own = training.effects[:, k], list(target.rows or ())
                residual = np.abs(observed - effect)
                if masked:
                    residual[own] = np.nan
                fold.append(len(bias) - 1)
                residuals.append(residual)
                se = None if training.se is None else training.se[:, k]
                sizes.append((*effect_sizes(effect, observed, se, own), float(embedded)))
        genes = len(training.control)
        widest = max((one.shape[1] for one in loadings), default=0)
        found = cls(
            columns.basis,
            np.reshape(bias, (len(bias), len(columns.control))),
            _stacked(loadings, widest),
            _stacked(lookup, widest if any(one.size for one in lookup) else 0),
            np.array(fold, dtype=int),
            np.array(residuals).reshape(len(residuals), genes).T,
            np.array(sizes, dtype=float).reshape(-1, 3).T,
        )
        return found.thinned().trimmed()

    def thinned(self) -> LeftOut:
        """Return the same with at most `MOST_RESIDUALS` residuals, picked at random."""
        count = len(self.fold)
        if count <= MOST_RESIDUALS:
            return self
        picked = np.random.default_rng(count).permutation(count)[:MOST_RESIDUALS]
        picked.sort()
        return replace(
            self,
            fold=self.fold[picked],
            residuals=self.residuals[:, picked],
            sizes=self.sizes[:, picked],
        )

    def trimmed(self) -> LeftOut:
        """Return the same in the span of what predictions are made of, where that is smaller."""
        if self.basis is None or not len(self.bias):
            return self
        parts = [self.loadings, self.lookup] if self.lookup.size else [self.loadings]
        flat = [part.transpose(1, 0, 2).reshape(part.shape[1], -1) for part in parts]
        spanning = np.column_stack([self.bias.T, *flat])
        if spanning.shape[1] >= spanning.shape[0]:
            return self
        Q = linalg.qr(spanning, mode="economic")[0]
        return replace(
            self,
            basis=self.basis @ Q,
            bias=self.bias @ Q,
            loadings=np.einsum("rq,kre->kqe", Q, self.loadings),
            lookup=np.einsum("rq,kre->kqe", Q, self.lookup) if self.lookup.size else self.lookup,
        )

    @cached_property
    def _of_the_mean(self) -> dict[float, tuple[np.ndarray, np.ndarray]]:
        """Bounds by level where there is no bilinear part: the same for every perturbation."""
        return {}

    def bounds(
        self,
        perturbation: str,
        target: Target,
        embedding: PerturbationEmbedding,
        dimensions: int,
        level: float,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the bounds (genes,) of the interval for a new perturbation."""
        if not self.loadings.shape[2] or embedding.why_not(perturbation, target):
            if level not in self._of_the_mean:
                self._of_the_mean[level] = self._around(self.bias, level)
            return self._of_the_mean[level]
        if not self.lookup.size:
            p = np.tile(embedding.vector(perturbation, dimensions), (len(self.bias), 1))
        elif self.basis is None:
            p = self.lookup[:, list(target.rows or ())].sum(axis=1)
        else:
            at_targets = self.basis[list(target.rows or ())].sum(axis=0)
            p = np.einsum("r,kre->ke", at_targets, self.lookup)
        moved = np.einsum("kre,ke->kr", self.loadings[:, :, : p.shape[1]], p)
        return self._around(self.bias + moved, level)

    def _around(self, centres: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
        """Return the bounds (genes,) around predictions of every fit (fits × r)."""
        effects = centres.T if self.basis is None else self.basis @ centres.T
        return jackknife_plus(effects[:, self.fold], self.residuals, level)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return all parts as named arrays."""
        found = {
            "bias": self.bias, "loadings": self.loadings, "lookup": self.lookup,
            "fold": self.fold, "residuals": self.residuals, "sizes": self.sizes,
        }  # fmt: skip
        return found if self.basis is None else {**found, "basis": self.basis}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> LeftOut:
        """Restore what `arrays` returned."""
        names = ("bias", "loadings", "lookup", "fold", "residuals", "sizes")
        return cls(arrays.get("basis"), *(arrays[name] for name in names))


def effect_sizes(
    predicted: np.ndarray, observed: np.ndarray, se: np.ndarray | None, own: list[int]
) -> tuple[float, float]:
    """Return the lengths of a predicted and an observed effect over all genes but the targets.

    An observed effect is longer than the true one by its noise, which is taken out where the
    standard errors are known.
    """
    kept = np.ones(len(predicted), dtype=bool)
    kept[own] = False
    noise = 0.0 if se is None else float(np.nansum(se[kept] ** 2))
    squared = float(np.sum(observed[kept] ** 2)) - noise
    return float(np.linalg.norm(predicted[kept])), float(np.sqrt(max(0.0, squared)))


def _stacked(matrices: list[np.ndarray], width: int) -> np.ndarray:
    """Return matrices (r × e) as one array (fits × r × width); dimensions that one lacks are 0."""
    rows = max((len(one) for one in matrices), default=0)
    stacked = np.zeros((len(matrices), rows, width))
    for at, one in enumerate(matrices):
        stacked[at, : one.shape[0], : one.shape[1]] = one[:, :width]
    return stacked
