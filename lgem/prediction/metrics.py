"""Scores of one held-out prediction, and the genes that they are taken over.

Predictions are log-expression (control + effect), as is what was observed. The genes scored are
the most expressed in control and the perturbation's own target; they are never chosen by what was
observed in a held-out perturbation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import numpy as np
import pandas as pd

from lgem.prediction.retrieval import retrieval
from lgem.prediction.training import ANSWERED

TOP, OFF_TARGET, TARGET = "top", "top_off_target", "target"
# Coverage is right at the nominal level: neither more nor less of it is better.
LOWER_IS_BETTER: dict[str, bool | None] = {
    "l2": True,
    "pearson_delta": False,
    "pearson_delta_perturbed": False,
    "mse_unbiased": True,
    "retrieval": False,
    "coverage": None,
}
RANKED = [name for name, lower in LOWER_IS_BETTER.items() if lower is not None]
METRICS_OF = {TOP: RANKED, OFF_TARGET: [*RANKED, "coverage"], TARGET: ["coverage"]}
# Differences below this share of the values' size come from the order of summation.
ROUNDING = 1e-12
METRIC_COLUMNS = [
    *("model", "repeat", "fold", "perturbation", "gene_set", "metric", "value", "status", "reason")
]
NO_GENES = {
    TOP: "no gene to score",
    OFF_TARGET: "no gene to score beside the target",
    TARGET: "target not measured",
}


@dataclass(frozen=True)
class Compared:
    """What a prediction is scored against, in log-expression; missing where not known.

    Each is one prediction's (genes,) or, for a whole table, predictions × genes.

    Parameters
    ----------
    predicted, observed
        Profiles.
    control
        Profile of control.
    reference
        Mean of the training centroids of the fold: control + mean training effect.
    se
        Standard errors of the observed effects.
    lower, upper
        Bounds of the prediction interval for what will be observed.
    """

    predicted: np.ndarray
    observed: np.ndarray
    control: np.ndarray
    reference: np.ndarray
    se: np.ndarray
    lower: np.ndarray
    upper: np.ndarray

    @classmethod
    def table(
        cls, predicted: np.ndarray, observed: np.ndarray, control: np.ndarray, **known: np.ndarray
    ) -> Compared:
        """Return a whole table (predictions × genes); what is not `known` is missing."""
        shape = predicted.shape
        given = {"predicted": predicted, "observed": observed, "control": control, **known}
        return cls(
            **{
                field.name: np.broadcast_to(given.get(field.name, np.array(np.nan)), shape)
                for field in fields(cls)
            }
        )

    def at(self, row: int, genes: np.ndarray) -> Compared:
        """Return one prediction of a table, restricted to some genes."""
        return Compared(
            **{field.name: getattr(self, field.name)[row][genes] for field in fields(self)}
        )


def l2(compared: Compared) -> float:
    """Return ‖x̂ − x‖, in the units of log-expression."""
    return float(np.linalg.norm(compared.predicted - compared.observed))


def pearson_delta(compared: Compared) -> float:
    """Return the correlation of predicted and observed change from control.

    Missing where either does not vary by more than rounding: a constant predicts no pattern.
    """
    return _correlation_of_changes(compared.predicted, compared.observed, compared.control)


def pearson_delta_perturbed(compared: Compared) -> float:
    """Return the correlation of predicted and observed change from the mean of training.

    What all perturbations have in common raises `pearson_delta`, but not this one. Missing where
    either change does not vary by more than rounding, or there is no mean of training.
    """
    return _correlation_of_changes(compared.predicted, compared.observed, compared.reference)


def mse_unbiased(compared: Compared) -> float:
    """Return the mean over genes of (x̂ − x)² − se², the error without the noise of the observed.

    It estimates the mean squared distance from what would be seen with endless cells, and may be
    negative. Missing where a standard error is.
    """
    return float(np.mean((compared.predicted - compared.observed) ** 2 - compared.se**2))


def coverage(compared: Compared) -> float:
    """Return the share of genes, of those with an interval, that were observed inside it."""
    known = np.isfinite(compared.lower) & np.isfinite(compared.upper)
    if not known.any():
        return float("nan")
    observed, lower, upper = (
        values[known] for values in (compared.observed, compared.lower, compared.upper)
    )
    # An interval may have no width, where training targets all changed in exactly the same way.
    slack = ROUNDING * np.maximum(np.abs(observed), 1.0)
    return float(np.mean((observed >= lower - slack) & (observed <= upper + slack)))


def _correlation_of_changes(
    predicted: np.ndarray, observed: np.ndarray, reference: np.ndarray
) -> float:
    if not (varies(predicted, reference) and varies(observed, reference)):
        return float("nan")
    a, b = predicted - reference, observed - reference
    a, b = a - a.mean(), b - b.mean()
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))


def varies(profile: np.ndarray, reference: np.ndarray) -> bool:
    """Return whether profile − reference differs between genes by more than its rounding."""
    size = max(np.abs(profile).max(), np.abs(reference).max())
    return bool(np.ptp(profile - reference) > ROUNDING * size)


# Retrieval is not among these: it needs the other perturbations of the fold.
METRICS: dict[str, Callable[[Compared], float]] = {
    "l2": l2,
    "pearson_delta": pearson_delta,
    "pearson_delta_perturbed": pearson_delta_perturbed,
    "mse_unbiased": mse_unbiased,
    "coverage": coverage,
}


def why_undefined(metric: str, compared: Compared) -> str:
    """Say why a metric of a prediction is missing."""
    if metric == "pearson_delta":
        return "predicted or observed change does not differ between genes"
    if metric == "pearson_delta_perturbed":
        if np.isnan(compared.reference).any():
            return "no prediction of the baseline mean to refer to"
        side = "prediction" if varies(compared.observed, compared.reference) else "observation"
        return f"{side} differs from the mean of the training perturbations by a constant at most"
    if metric == "mse_unbiased":
        return "standard error of the observed effect not known"
    if metric == "coverage":
        return "no prediction interval"
    return "a value is missing"


def top_genes(control: np.ndarray, count: int) -> np.ndarray:
    """Return the sorted rows of the `count` genes most expressed in control (ties: first ones)."""
    return np.sort(np.argsort(-control, kind="stable")[:count])


def gene_sets(top: np.ndarray, targets: Sequence[int]) -> dict[str, np.ndarray]:
    """Return the rows scored for a perturbation: with, without, and only its measured targets."""
    own = np.unique(np.array(targets, dtype=int))
    return {TOP: np.union1d(top, own), OFF_TARGET: np.setdiff1d(top, own), TARGET: own}


def score(compared: Compared, metrics: Sequence[str]) -> dict[str, float]:
    """Return metrics of one prediction, but retrieval, over the genes that it is restricted to."""
    return {name: METRICS[name](compared) for name in metrics if name in METRICS}


def score_table(
    model: str,
    predictions: pd.DataFrame,
    profiles: Compared,
    targets: Sequence[Sequence[int]],
    top: np.ndarray,
    no_interval: str = "",
) -> pd.DataFrame:
    """Return one row per prediction, gene set and metric.

    Parameters
    ----------
    predictions
        One row per entry of the table: perturbation, repeat, fold, status, reason.
    profiles
        The first entries' profiles (predictions × genes); entries beyond them have no prediction.
    targets
        Measured targets of each row.
    top
        Rows of the genes to score.
    no_interval
        Why there are no prediction intervals, where it is known.

    Returns
    -------
    DataFrame
        model, repeat, fold, perturbation, gene_set, metric, value, status, reason. A value is
        missing where there is no prediction, or the metric is undefined, with the reason.
    """
    made = predictions["status"].isin(ANSWERED).to_numpy()
    first = slice(len(profiles.predicted))
    retrieved = retrieval(
        predictions[first],
        profiles.predicted,
        profiles.observed,
        profiles.control[0],
        made[first],
        {TOP: True, OFF_TARGET: False},
        targets[first],
        top,
    )
    rows = []
    columns = ("repeat", "fold", "perturbation", "status", "reason")
    entries = zip(*(predictions[column] for column in columns), strict=True)
    for row, (repeat, fold, perturbation, status, reason) in enumerate(entries):
        for gene_set, genes in gene_sets(top, targets[row]).items():
            found = dict.fromkeys(METRICS_OF[gene_set], (float("nan"), reason))
            if made[row]:
                found |= _entry_scores(profiles, row, gene_set, genes, no_interval)
                if "retrieval" in found:
                    found["retrieval"] = retrieved[gene_set][row]
            for metric, (value, why) in found.items():
                # With a value the reason is that of the status: why the mean alone, say.
                told = (metric, value, status, why or reason)
                rows.append((model, repeat, fold, perturbation, gene_set, *told))
    return pd.DataFrame(rows, columns=METRIC_COLUMNS)


def _entry_scores(
    profiles: Compared, row: int, gene_set: str, genes: np.ndarray, no_interval: str
) -> dict[str, tuple[float, str]]:
    """Return every metric of one prediction but retrieval, or why it is missing."""
    metrics = METRICS_OF[gene_set]
    if not len(genes):
        return dict.fromkeys(metrics, (float("nan"), NO_GENES[gene_set]))
    compared = profiles.at(row, genes)
    found = {
        name: (value, why_undefined(name, compared) if np.isnan(value) else "")
        for name, value in score(compared, metrics).items()
    }
    if no_interval and np.isnan(found.get("coverage", (0.0, ""))[0]):
        found["coverage"] = (float("nan"), no_interval)
    return found
