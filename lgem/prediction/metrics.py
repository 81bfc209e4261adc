"""Scores of held-out predictions, their means with bootstrap intervals, paired comparisons.

Predictions are log-expression (control + effect), as is what was observed. The genes scored are
the most expressed in control and the perturbation's own target; they are never chosen by what was
observed in a held-out perturbation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import combinations

import numpy as np
import pandas as pd

from lgem.prediction.model import PREDICTED

TOP, OFF_TARGET = "top", "top_off_target"
SCORED, SHARED = "scored", "shared"
LOWER_IS_BETTER = {"l2": True, "pearson_delta": False}


def l2(predicted: np.ndarray, observed: np.ndarray, control: np.ndarray) -> float:
    """Return ‖x̂ − x‖, in the units of log-expression."""
    return float(np.linalg.norm(predicted - observed))


def pearson_delta(predicted: np.ndarray, observed: np.ndarray, control: np.ndarray) -> float:
    """Return the correlation of predicted and observed change from control.

    Missing where either does not vary by more than rounding: a constant predicts no pattern.
    """
    if not (_varies(predicted, control) and _varies(observed, control)):
        return float("nan")
    a, b = predicted - control, observed - control
    a, b = a - a.mean(), b - b.mean()
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))


def _varies(profile: np.ndarray, control: np.ndarray) -> bool:
    """Return whether profile − control differs between genes by more than its rounding."""
    rounding = 4 * np.finfo(float).eps * max(np.abs(profile).max(), np.abs(control).max())
    return bool(np.ptp(profile - control) > rounding)


METRICS: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray], float]] = {
    "l2": l2,
    "pearson_delta": pearson_delta,
}
UNDEFINED = {"pearson_delta": "predicted or observed change does not differ between genes"}
METRIC_COLUMNS = [
    *("model", "repeat", "fold", "perturbation", "gene_set", "metric", "value", "status", "reason")
]


def top_genes(control: np.ndarray, count: int) -> np.ndarray:
    """Return the sorted rows of the `count` genes most expressed in control (ties: first ones)."""
    return np.sort(np.argsort(-control, kind="stable")[:count])


def gene_sets(top: np.ndarray, targets: Sequence[int]) -> dict[str, np.ndarray]:
    """Return the rows scored for a perturbation: with its measured targets, and without them."""
    return {
        TOP: np.union1d(top, np.array(targets, dtype=int)),
        OFF_TARGET: np.setdiff1d(top, targets),
    }


def score(
    predicted: np.ndarray, observed: np.ndarray, control: np.ndarray, genes: np.ndarray
) -> dict[str, float]:
    """Return every metric of one prediction over the given rows."""
    return {
        name: metric(predicted[genes], observed[genes], control[genes])
        for name, metric in METRICS.items()
    }


def score_table(
    model: str,
    predictions: pd.DataFrame,
    predicted: np.ndarray,
    observed: np.ndarray,
    control: np.ndarray,
    targets: Sequence[Sequence[int]],
    top: np.ndarray,
) -> pd.DataFrame:
    """Return one row per prediction, gene set and metric.

    Parameters
    ----------
    predictions
        One row per entry of the table: perturbation, repeat, fold, status, reason.
    predicted, observed
        Log-expression (predictions × genes); only rows with the status predicted are read.
    control
        Log-expression of control (genes,).
    targets
        Measured targets of each row.
    top
        Rows of the genes to score.

    Returns
    -------
    DataFrame
        model, repeat, fold, perturbation, gene_set, metric, value, status, reason. A value is
        missing where there is no prediction, or the metric is undefined, with the reason.
    """
    rows = []
    for row, entry in enumerate(predictions.itertuples(index=False)):
        for gene_set, genes in gene_sets(top, targets[row]).items():
            values, reason = {}, entry.reason
            if entry.status == PREDICTED and len(genes):
                values = score(predicted[row], observed[row], control, genes)
            elif entry.status == PREDICTED:
                reason = "no gene to score beside the target"
            for metric in METRICS:
                value = values.get(metric, np.nan)
                undefined = metric in values and np.isnan(value)
                rows.append(
                    {
                        "model": model,
                        "repeat": entry.repeat,
                        "fold": entry.fold,
                        "perturbation": entry.perturbation,
                        "gene_set": gene_set,
                        "metric": metric,
                        "value": value,
                        "status": entry.status,
                        "reason": UNDEFINED[metric] if undefined else reason,
                    }
                )
    return pd.DataFrame(rows, columns=METRIC_COLUMNS)


def per_perturbation(metrics: pd.DataFrame) -> pd.DataFrame:
    """Average the scores of a perturbation over repeats and folds; drop what has no value."""
    keys = ["model", "gene_set", "metric", "perturbation"]
    return metrics.dropna(subset="value").groupby(keys, sort=False)["value"].mean().reset_index()


def comparable_models(models: Iterable[str]) -> list[str]:
    """Return the models that decide what is shared: all but the baseline for combinations."""
    return [str(model) for model in models if model != "additive"]


def shared_perturbations(scores: pd.DataFrame, models: Sequence[str]) -> set[str]:
    """Return the perturbations that every one of the models that score any has scored by L2."""
    l2_scores = scores[(scores["metric"] == "l2") & (scores["gene_set"] == TOP)]
    sets = [set(l2_scores.loc[l2_scores["model"] == model, "perturbation"]) for model in models]
    sets = [names for names in sets if names]
    return set.intersection(*sets) if sets else set()


def bootstrap_interval(
    values: np.ndarray, draws: int, interval: float, seed: int
) -> tuple[float, float]:
    """Return the percentile interval of the mean over perturbations; missing below two values."""
    if len(values) < 2:
        return float("nan"), float("nan")
    picks = np.random.default_rng(seed).integers(len(values), size=(draws, len(values)))
    tail = (1 - interval) / 2
    lower, upper = np.quantile(values[picks].mean(axis=1), [tail, 1 - tail])
    return float(lower), float(upper)


def summarise(
    metrics: pd.DataFrame, shared: set[str], asked: int, draws: int, interval: float, seed: int
) -> pd.DataFrame:
    """Return the mean of every metric with its interval, per model, gene set and perturbations.

    ``perturbations`` says over which: all that this model ``scored``, or those of them that are
    ``shared``, the ones to compare models on. ``n`` of the ``n_asked`` perturbations of the screen
    are in the mean.
    """
    scores = per_perturbation(metrics)
    keys = metrics[["model", "gene_set", "metric"]].drop_duplicates()
    rows = []
    for model, gene_set, metric in keys.itertuples(index=False):
        own = scores[
            (scores["model"] == model)
            & (scores["gene_set"] == gene_set)
            & (scores["metric"] == metric)
        ]
        for which, chosen in ((SCORED, own), (SHARED, own[own["perturbation"].isin(shared)])):
            values = chosen.sort_values("perturbation")["value"].to_numpy()
            lower, upper = bootstrap_interval(values, draws, interval, seed)
            mean = float(values.mean()) if len(values) else float("nan")
            rows.append((model, gene_set, which, metric, mean, lower, upper, len(values), asked))
    columns = [
        "model",
        "gene_set",
        "perturbations",
        "metric",
        "mean",
        "lower",
        "upper",
        "n",
        "n_asked",
    ]
    return pd.DataFrame(rows, columns=columns)


def compare(
    metrics: pd.DataFrame, models: Sequence[str], draws: int, interval: float, seed: int
) -> pd.DataFrame:
    """Return the mean difference (a − b) of every two models over what both score, paired."""
    scores = per_perturbation(metrics)
    rows = []
    for (gene_set, metric), part in scores.groupby(["gene_set", "metric"], sort=False):
        wide = part.pivot_table(index="perturbation", columns="model", values="value").sort_index()
        for a, b in combinations([model for model in models if model in wide.columns], 2):
            difference = (wide[a] - wide[b]).dropna().to_numpy()
            if len(difference):
                lower, upper = bootstrap_interval(difference, draws, interval, seed)
                rows.append(
                    (a, b, gene_set, metric, len(difference), difference.mean(), lower, upper)
                )
    columns = ["model_a", "model_b", "gene_set", "metric", "n", "difference", "lower", "upper"]
    return pd.DataFrame(rows, columns=columns)


def comparable(metrics: pd.DataFrame, summary: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the rows of both tables that are over the shared perturbations.

    Where models share none, all scores are returned.
    """
    models = comparable_models(metrics["model"].unique())
    shared = shared_perturbations(per_perturbation(metrics), models)
    which = SHARED if shared else SCORED
    chosen = metrics[metrics["perturbation"].isin(shared)] if shared else metrics
    return chosen, summary[summary["perturbations"] == which].drop(columns="perturbations")
