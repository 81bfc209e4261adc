"""What predicts: the linear gene expression model and the baselines beside it.

A predictor is fitted to a `Training` set alone and answers `predict(perturbation, target)` with
an `Answer`: an effect, or the reason why there is none. Predictors are plain arrays under names,
so that they can be saved, read back and looked at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from lgem.prediction.embedding import choose_dimensions, pca_scores, target_embedding
from lgem.prediction.solvers import SOLVERS
from lgem.screen.labels import Target, genes_of

PREDICTED, NOT_EMBEDDABLE, NOT_APPLICABLE = "predicted", "not_embeddable", "not_applicable"


@dataclass(frozen=True)
class Training:
    """All that a predictor may know.

    Parameters
    ----------
    effects
        Y, effects on log-expression (genes × perturbations).
    control
        Log-expression of control (genes,).
    perturbations
        Names of the columns of `effects`.
    targets
        The measured genes that each perturbation acts on.
    """

    effects: np.ndarray
    control: np.ndarray
    perturbations: Sequence[str]
    targets: Sequence[Target]


@dataclass(frozen=True)
class Answer:
    """A predicted effect (genes,), or None with the reason in words."""

    effect: np.ndarray | None
    status: str = PREDICTED
    reason: str = ""


class Predictor(Protocol):
    """What every fitted model and baseline can do."""

    def predict(self, perturbation: str, target: Target) -> Answer:
        """Predict the effect of a perturbation."""
        ...

    def arrays(self) -> dict[str, np.ndarray]:
        """Return all that was learned, as named arrays."""
        ...


@dataclass(frozen=True)
class NoChange:
    """The baseline that predicts control."""

    genes: int

    @classmethod
    def fit(cls, training: Training) -> NoChange:
        """Remember the number of genes."""
        return cls(len(training.control))

    def predict(self, perturbation: str, target: Target) -> Answer:
        """Predict no effect."""
        return Answer(np.zeros(self.genes))

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the number of genes."""
        return {"genes": np.array(self.genes)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> NoChange:
        """Restore what `arrays` returned."""
        return cls(int(arrays["genes"]))


@dataclass(frozen=True)
class MeanEffect:
    """The baseline that predicts the mean of the training effects."""

    mean: np.ndarray

    @classmethod
    def fit(cls, training: Training) -> MeanEffect:
        """Average the training effects."""
        return cls(training.effects.mean(axis=1))

    def predict(self, perturbation: str, target: Target) -> Answer:
        """Predict the mean effect, whatever the perturbation."""
        return Answer(self.mean)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the mean effect."""
        return {"mean": self.mean}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> MeanEffect:
        """Restore what `arrays` returned."""
        return cls(arrays["mean"])


@dataclass(frozen=True)
class Additive:
    """The baseline for combinations: the sum of the effects of their genes, perturbed singly."""

    singles: Mapping[str, np.ndarray]

    @classmethod
    def fit(cls, training: Training) -> Additive:
        """Remember the effects of the single perturbations."""
        columns = zip(training.perturbations, training.effects.T, strict=True)
        return cls({name: effect for name, effect in columns if len(genes_of(name)) == 1})

    def predict(self, perturbation: str, target: Target) -> Answer:
        """Add up the effects of the genes, where each was seen alone in training."""
        genes = genes_of(perturbation)
        if len(genes) < 2:
            return Answer(None, NOT_APPLICABLE, "not a combination")
        unseen = [gene for gene in genes if gene not in self.singles]
        if unseen:
            return Answer(None, NOT_APPLICABLE, f"not seen alone in training: {', '.join(unseen)}")
        return Answer(np.sum([self.singles[gene] for gene in genes], axis=0))

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the names and effects of the single perturbations."""
        effects = list(self.singles.values())
        return {
            "names": np.array(list(self.singles), dtype=str),
            "effects": np.array(effects) if effects else np.zeros((0, 0)),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Additive:
        """Restore what `arrays` returned."""
        return cls(dict(zip(map(str, arrays["names"]), arrays["effects"], strict=True)))


@dataclass(frozen=True)
class LinearModel:
    """The linear gene expression model: effect = G W p + b, with p the sum of the targets' rows.

    ``gene_embedding`` is G (genes × d), ``weights`` W (d × d), ``bias`` b (genes,). Where no
    training perturbation has a measured target, d is 0 and every answer is not_embeddable.
    """

    gene_embedding: np.ndarray
    weights: np.ndarray
    bias: np.ndarray

    @classmethod
    def fit(
        cls, training: Training, *, solver: str, dimensions: int | None, penalty: float
    ) -> LinearModel:
        """Fit W as published: minimise ‖Y − b1ᵀ − G W Pᵀ‖².

        G are the principal components of the log-expression of *all* training columns, control
        among them. Y, b and P use control, as a column of zeros in Y and a row of zeros in P, and
        the perturbations whose targets are measured; b is the row mean of that Y.

        Parameters
        ----------
        solver
            Name of one of `SOLVERS`.
        dimensions
            d, or None for 10 or as many as the training set allows.
        penalty
            λ, on the scale of the squared scores.

        Raises
        ------
        InputError
            Where d is larger than the training set allows.

        Notes
        -----
        Ahlmann-Eltze, Huber & Anders (2025), Nature Methods 22, 1657.
        """
        profiles = np.column_stack([training.control[:, None] + training.effects, training.control])
        d = choose_dimensions(dimensions, profiles)
        known = [column for column, t in enumerate(training.targets) if t.rows is not None]
        if not known:
            genes = len(training.control)
            return cls(np.zeros((genes, 0)), np.zeros((0, 0)), np.zeros(genes))
        G = pca_scores(profiles, d)
        rows = [training.targets[column].rows or () for column in known]
        P = target_embedding(G, [*rows, ()])
        Y = np.column_stack([training.effects[:, known], np.zeros(len(training.control))])
        b = Y.mean(axis=1)
        W = SOLVERS[solver](Y - b[:, None], G, P, penalty)
        return cls(G, W, b)

    @property
    def dimensions(self) -> int:
        """Dimensions d of the embedding."""
        return self.gene_embedding.shape[1]

    def predict(self, perturbation: str, target: Target) -> Answer:
        """Predict G W p + b where the targets are measured."""
        if target.rows is None:
            return Answer(None, NOT_EMBEDDABLE, target.reason)
        if not self.dimensions:
            return Answer(None, NOT_EMBEDDABLE, "no training perturbation has a measured target")
        p = target_embedding(self.gene_embedding, [target.rows])[0]
        return Answer(self.gene_embedding @ (self.weights @ p) + self.bias)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return G, W and b."""
        return {
            "gene_embedding": self.gene_embedding,
            "weights": self.weights,
            "bias": self.bias,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> LinearModel:
        """Restore what `arrays` returned."""
        return cls(arrays["gene_embedding"], arrays["weights"], arrays["bias"])


KINDS: dict[str, type[NoChange] | type[MeanEffect] | type[Additive] | type[LinearModel]] = {
    "no_change": NoChange,
    "mean": MeanEffect,
    "additive": Additive,
    "lgem": LinearModel,
}


def fit_predictor(kind: str, training: Training, settings: Mapping[str, Any]) -> Predictor:
    """Fit a predictor of one of the `KINDS`; settings are those of its `fit`."""
    return KINDS[kind].fit(training, **settings)


def restore_predictor(kind: str, arrays: Mapping[str, np.ndarray]) -> Predictor:
    """Restore a predictor from its arrays."""
    return KINDS[kind].from_arrays(arrays)
