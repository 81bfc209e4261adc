"""What predicts: the linear gene expression model and the baselines beside it.

A predictor is fitted to a `Training` set alone and answers `predict(perturbation, target)` with
an `Answer`: an effect, or the reason why there is none. Predictors are plain arrays under names,
so that they can be saved, read back and looked at.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lgem.prediction.baselines import Additive, SeenEffects
from lgem.prediction.embedding import GeneEmbedding, PerturbationEmbedding
from lgem.prediction.intervals import interval_method
from lgem.prediction.linear_model import LinearModel, Settings, unprefixed
from lgem.prediction.on_target import OwnChange
from lgem.prediction.training import Answer, Training
from lgem.screen.labels import Target

KINDS: dict[str, Any] = {"linear": LinearModel, "additive": Additive, "same_effect": SeenEffects}


@dataclass(frozen=True)
class Fitted:
    """A predictor with, where it is used and supported, the on-target term.

    Parameters
    ----------
    kind
        One of `KINDS`.
    inner
        What predicts all entries but those of the targets.
    own
        What predicts these; None: `inner` does.
    """

    kind: str
    inner: LinearModel | SeenEffects
    own: OwnChange | None

    def predict(self, perturbation: str, target: Target, level: float | None = None) -> Answer:
        """Predict an effect, with intervals where a level is given.

        Parameters
        ----------
        perturbation
            Its name; genes of a combination are joined by ``+``, sorted.
        target
            The measured genes that it acts on.
        level
            Share of what will be observed that the intervals are to cover, such as 0.9.
        """
        answer = self.inner.predict(perturbation, target, level)
        if self.own is None or answer.effect is None or not target.rows:
            return answer
        rows = list(target.rows)
        effect = answer.effect.copy()
        effect[rows] = self.own.change(rows)
        if level is None or answer.lower is None or answer.upper is None:
            return replace(answer, effect=effect)
        lower, upper = answer.lower.copy(), answer.upper.copy()
        lower[rows], upper[rows] = self.own.bounds(rows, level)
        return replace(answer, effect=effect, lower=lower, upper=upper)

    @property
    def residuals(self) -> int:
        """How many left-out residuals the intervals are made from."""
        return int(self.inner.residuals)

    def interval(self, level: float) -> tuple[str, str]:
        """Return how intervals are made at a level, and why there are none where there are none."""
        if self.kind != "linear":
            return "none", "no left-out residuals for this baseline"
        return interval_method(self.residuals, level)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return all that was learned, as named arrays."""
        own = {} if self.own is None else self.own.arrays()
        return {
            **self.inner.arrays(),
            **{f"on_target_{name}": value for name, value in own.items()},
        }

    def described(self) -> dict[str, Any]:
        """Return what was chosen inside the training set, in words and numbers."""
        found: dict[str, Any] = {"on_target_factor": self.own.factor if self.own else None}
        if isinstance(self.inner, LinearModel):
            choice = self.inner.choice
            found |= {
                "parts": choice.parts,
                "mean_weight": choice.parameters.mean_weight,
                "dimensions": self.inner.dimensions,
                "penalty": choice.parameters.penalty,
                "left_out_l2": choice.losses,
                "standard_error": None if np.isnan(choice.margin) else choice.margin,
                "embedded": self.inner.trained,
            }
        return found

    def in_words(self) -> str:
        """Say what was chosen in a few words."""
        own = f"on-target factor {self.own.factor:.3g}" if self.own else "no on-target term"
        if not isinstance(self.inner, LinearModel):
            return own
        chosen = self.inner.choice
        words = [f"{chosen.parts}, mean weight {chosen.parameters.mean_weight:g}"]
        if self.inner.dimensions:
            words.append(f"d {self.inner.dimensions}, penalty {chosen.parameters.penalty:.3g}")
        return ", ".join([*words, own])


def fit_predictor(
    kind: str,
    training: Training,
    settings: Mapping[str, Any],
    genes: GeneEmbedding | None = None,
    perturbations: PerturbationEmbedding | None = None,
) -> Fitted:
    """Fit a predictor of one of the `KINDS`.

    Parameters
    ----------
    kind
        What to fit.
    training
        All that it may know.
    settings
        ``on_target`` and, for a linear model, those of `Settings`.
    genes, perturbations
        Embeddings that were read from a file or another data set.

    Returns
    -------
    Fitted
        Everything it needs to answer; the training set is not kept.

    Raises
    ------
    InputError
        Where more dimensions are asked for than the training set allows, or a solver cannot run.
    """
    rest = dict(settings)
    own = OwnChange.of(training) if rest.pop("on_target", False) else None
    seen = training if own is None else training.masked()
    if kind == "linear":
        inner = LinearModel.fit(seen, Settings(**rest), own is not None, genes, perturbations)
        return Fitted(kind, inner, own)
    return Fitted(kind, KINDS[kind].fit(seen), own)


def restore_predictor(kind: str, arrays: Mapping[str, np.ndarray]) -> Fitted:
    """Restore a predictor from its arrays."""
    own = unprefixed(arrays, "on_target_")
    rest = {name: value for name, value in arrays.items() if not name.startswith("on_target_")}
    return Fitted(kind, KINDS[kind].from_arrays(rest), OwnChange.from_arrays(own) if own else None)
