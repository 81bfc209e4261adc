"""The on-target term: what a perturbation does to the expression of its own target.

The change is f · the gene's expression in control for cells (a knock-down takes away a share of
the expression), and a constant f on a log-ratio scale; f is the median over the training targets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lgem.prediction.intervals import jackknife_plus
from lgem.prediction.training import Training
from lgem.prediction.tuning import left_out_sets


@dataclass(frozen=True)
class OwnChange:
    """The fitted on-target term.

    Parameters
    ----------
    factor
        f.
    scale
        What f is multiplied with (genes,).
    left_out_factors, residuals
        f without each training target, and how far it was off for that target (n,).
    """

    factor: float
    scale: np.ndarray
    left_out_factors: np.ndarray
    residuals: np.ndarray

    @classmethod
    def of(cls, training: Training) -> OwnChange | None:
        """Fit f, or return None where the training targets do not support the term.

        Targets that are left out one at a time must on average be predicted better than by no
        change; that a perturbation acts on its own target is expected, so that no standard error
        is asked for. Of several scales the one with the largest gain is taken.
        """
        found = [_fit(training, scale) for scale in training.own_scales or (training.control,)]
        gain, own = max(found, key=lambda pair: pair[0])
        return own if gain > 0 else None

    def change(self, rows: Sequence[int]) -> np.ndarray:
        """Return the predicted change of perturbed genes."""
        return self.factor * self.scale[list(rows)]

    def bounds(self, rows: Sequence[int], level: float) -> tuple[np.ndarray, np.ndarray]:
        """Return the bounds of the interval for the change of perturbed genes."""
        low, high = jackknife_plus(self.left_out_factors[None], self.residuals[None], level)
        at = self.scale[list(rows)]
        return np.minimum(low * at, high * at), np.maximum(low * at, high * at)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return all parts as named arrays."""
        return {
            "factor": np.array(self.factor),
            "scale": self.scale,
            "left_out_factors": self.left_out_factors,
            "residuals": self.residuals,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> OwnChange:
        """Restore what `arrays` returned."""
        return cls(
            float(arrays["factor"]),
            arrays["scale"],
            arrays["left_out_factors"],
            arrays["residuals"],
        )


def _fit(training: Training, scale: np.ndarray) -> tuple[float, OwnChange]:
    """Return the mean gain over no change of targets left out, and the term, for one scale."""
    ratios = _own_ratios(training, scale)
    factors, residuals, gains = [], [], []
    for train, left_out in left_out_sets(training.perturbations):
        known = [ratio for k in train for _, ratio in ratios[k]]
        factor = float(np.median(known)) if known else 0.0
        for k in left_out if known else ():
            factors += [factor] * len(ratios[k])
            residuals += [abs(ratio - factor) for _, ratio in ratios[k]]
            if ratios[k]:
                saved = [size * (abs(ratio) - abs(ratio - factor)) for size, ratio in ratios[k]]
                gains.append(float(np.mean(saved)))
    every = [ratio for entries in ratios for _, ratio in entries]
    own = OwnChange(
        float(np.median(every)) if every else 0.0, scale, np.array(factors), np.array(residuals)
    )
    return (float(np.mean(gains)) if gains else 0.0), own


def _own_ratios(training: Training, scale: np.ndarray) -> list[list[tuple[float, float]]]:
    """Return (scale, change / scale) of each target of each perturbation; not where scale is 0."""
    return [
        [
            (float(scale[row]), float(training.effects[row, k] / scale[row]))
            for row in target.rows or ()
            if scale[row] > 0
        ]
        for k, target in enumerate(training.targets)
    ]
