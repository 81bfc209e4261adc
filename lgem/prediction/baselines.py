"""Baselines that are no linear gene expression model: what was seen is added up or repeated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from lgem.prediction.training import NOT_APPLICABLE, Answer, Training
from lgem.screen.labels import Target, genes_of


@dataclass(frozen=True)
class SeenEffects:
    """Effects of the training perturbations by name: what both baselines remember."""

    effects: Mapping[str, np.ndarray]

    @classmethod
    def fit(cls, training: Training) -> SeenEffects:
        """Remember every effect."""
        columns = zip(training.perturbations, training.effects.T, strict=True)
        return cls(dict(columns))

    def predict(self, perturbation: str, target: Target, level: float | None = None) -> Answer:
        """Repeat the effect of the perturbation where training saw it (in another context)."""
        if perturbation not in self.effects:
            return Answer(None, NOT_APPLICABLE, "not seen in training")
        return Answer(self.effects[perturbation])

    def arrays(self) -> dict[str, np.ndarray]:
        """Return names and effects."""
        effects = list(self.effects.values())
        return {
            "names": np.array(list(self.effects), dtype=str),
            "effects": np.array(effects) if effects else np.zeros((0, 0)),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> SeenEffects:
        """Restore what `arrays` returned."""
        return cls(dict(zip(map(str, arrays["names"]), arrays["effects"], strict=True)))

    @property
    def residuals(self) -> int:
        """How many residuals there are for intervals: none."""
        return 0


class Additive(SeenEffects):
    """The baseline for combinations: the sum of the effects of their genes, perturbed singly."""

    @classmethod
    def fit(cls, training: Training) -> Additive:
        """Remember the effects of the single perturbations."""
        columns = zip(training.perturbations, training.effects.T, strict=True)
        return cls({name: effect for name, effect in columns if len(genes_of(name)) == 1})

    def predict(self, perturbation: str, target: Target, level: float | None = None) -> Answer:
        """Add up the effects of the genes, where each was seen alone in training."""
        genes = genes_of(perturbation)
        if len(genes) < 2:
            return Answer(None, NOT_APPLICABLE, "not a combination")
        unseen = [gene for gene in genes if gene not in self.effects]
        if unseen:
            return Answer(None, NOT_APPLICABLE, f"not seen alone in training: {', '.join(unseen)}")
        return Answer(np.sum([self.effects[gene] for gene in genes], axis=0))
