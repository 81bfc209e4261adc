"""What a predictor may know, and what it answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from lgem.prediction.samples import Samples
from lgem.screen.labels import Target, genes_of
from lgem.systems import Diagnosis

PREDICTED, MEAN_ONLY = "predicted", "mean_only"
NOT_EMBEDDABLE, NOT_APPLICABLE = "not_embeddable", "not_applicable"
# Statuses that come with a prediction; mean_only has no part of the perturbation's own.
ANSWERED = (PREDICTED, MEAN_ONLY)


@dataclass(frozen=True)
class Answer:
    """What a predictor says of one perturbation.

    Parameters
    ----------
    effect
        Predicted change of log-expression from control (genes,); None where there is none.
    status
        ``predicted``, ``mean_only`` or another word for the kind of answer.
    reason
        In words, where it is not simply predicted.
    lower, upper
        Bounds of the prediction interval of every gene (genes,), where asked for and known.
    """

    effect: np.ndarray | None
    status: str = PREDICTED
    reason: str = ""
    lower: np.ndarray | None = None
    upper: np.ndarray | None = None


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
    own_scales
        What the change of a gene that is itself perturbed may be proportional to (each genes,):
        its expression in control for cells; for profiles, whose scale need not start at no
        expression, 1 too. The expression in control alone where not given.
    se
        Standard errors of `effects`, where known.
    samples
        The groups of cells behind `effects`, for mixed forms.
    design
        What was found of the linear system behind `effects`.
    """

    effects: np.ndarray
    control: np.ndarray
    perturbations: Sequence[str]
    targets: Sequence[Target]
    own_scales: Sequence[np.ndarray] = ()
    se: np.ndarray | None = None
    samples: Samples | None = None
    design: Diagnosis | None = None

    def masked(self) -> Training:
        """Return the same with every perturbation's own entries at 0.

        The change of a target itself says little of what the gene does to others, and would
        otherwise dominate embeddings and weights.
        """
        effects = self.effects.copy()
        own = [list(target.rows or ()) for target in self.targets]
        for column, rows in enumerate(own):
            effects[rows, column] = 0.0
        samples = self.samples
        if samples is not None:
            samples = samples.masked(dict(zip(self.perturbations, own, strict=True)))
        return replace(self, effects=effects, samples=samples)


def without_genes_of(
    perturbations: Sequence[str], columns: Sequence[int], left_out: Sequence[int]
) -> list[int]:
    """Return the columns that may train where others are left out.

    Combinations of a gene that is left out singly go too: they carry its effect.
    """
    gone = set(left_out)
    genes = {perturbations[k] for k in left_out if len(genes_of(perturbations[k])) == 1}
    return [k for k in columns if k not in gone and not genes & set(genes_of(perturbations[k]))]
