"""Means of scores over perturbations with bootstrap intervals, calibrated; paired comparisons."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import combinations

import numpy as np
import pandas as pd

from lgem.prediction.calibration import (
    EMPTY,
    NEGATIVE,
    POSITIVE,
    calibrated,
    scores_by_perturbation,
    why_no_positive,
)
from lgem.prediction.metrics import LOWER_IS_BETTER, TOP

SCORED, SHARED = "scored", "shared"
# What answers for some perturbations by its nature, or was never fitted to a fold.
PARTIAL = ("additive", "additive_on_target", "same_effect", POSITIVE)
SUMMARY_COLUMNS = [
    *("model", "gene_set", "perturbations", "metric", "mean", "lower", "upper", "n", "n_asked"),
    *("calibrated", "calibrated_reason"),
]
COMPARISON_COLUMNS = [
    *("model_a", "model_b", "gene_set", "metric", "n", "difference", "lower", "upper")
]
ENTRY = ["perturbation", "repeat", "fold"]


def per_perturbation(metrics: pd.DataFrame) -> pd.DataFrame:
    """Average the scores of a perturbation over repeats and folds; drop what has no value."""
    keys = ["model", "gene_set", "metric", "perturbation"]
    return metrics.dropna(subset="value").groupby(keys, sort=False)["value"].mean().reset_index()


def comparable_models(models: Iterable[str]) -> list[str]:
    """Return the models that decide what is shared: those that try every perturbation."""
    return [str(model) for model in models if model not in PARTIAL]


def shared_perturbations(scores: pd.DataFrame, models: Sequence[str]) -> set[str]:
    """Return the perturbations that every one of the models that score any has scored by L2."""
    l2_scores = scores[(scores["metric"] == "l2") & (scores["gene_set"] == TOP)]
    sets = [set(l2_scores.loc[l2_scores["model"] == model, "perturbation"]) for model in models]
    sets = [names for names in sets if names]
    return set.intersection(*sets) if sets else set()


def rivals(
    wide: pd.DataFrame, models: Sequence[str], baselines: Sequence[str]
) -> tuple[str | None, str | None]:
    """Return the model that is meant and the best baseline, of those that score all perturbations.

    Parameters
    ----------
    wide
        L2 by perturbation (rows) and model.
    models
        In their order: the first one is meant, since to pick the best here would flatter it.
    baselines
        Of these the one with the smallest mean is taken.
    """
    means = wide.mean()[wide.notna().all()].sort_values(kind="stable")
    model = next((name for name in models if name in means.index), None)
    baseline = next((str(name) for name in means.index if name in baselines), None)
    return model, baseline


def bootstrap_interval(
    values: np.ndarray, draws: int, interval: float, seed: int
) -> tuple[float, float]:
    """Return the percentile interval of the mean over perturbations; missing below two values."""
    if len(values) < 2:
        return float("nan"), float("nan")
    tail = (1 - interval) / 2
    means = values[_picks(len(values), draws, seed)].mean(axis=1)
    lower, upper = np.quantile(means, [tail, 1 - tail])
    return float(lower), float(upper)


@lru_cache(maxsize=4)
def _picks(count: int, draws: int, seed: int) -> np.ndarray:
    """Return the resampled rows, the same ones for all tables of one length."""
    return np.random.default_rng(seed).integers(count, size=(draws, count))


def summarise(
    metrics: pd.DataFrame,
    shared: set[str],
    asked: int,
    draws: int,
    interval: float,
    seed: int,
    seen: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Return the mean of every metric with its interval, per model, gene set and perturbations.

    ``perturbations`` says over which: all that this model ``scored``, or those of them that are
    ``shared``, the ones to compare models on, or combinations of which training saw 0, 1 or 2
    genes alone (``seen_0`` ...). ``n`` of the ``n_asked`` perturbations of the screen are in the
    mean; ``calibrated`` is the mean on the scale from the mean effect (0) to a technical
    duplicate (1), or blank with the reason.

    Parameters
    ----------
    metrics
        The table of scores.
    shared
        Perturbations that all models score.
    asked
        Perturbations of the screen.
    draws, interval, seed
        Bootstrap samples, the share that an interval covers, and where the samples start.
    seen
        perturbation, repeat, fold and seen of the combinations held out, where known.
    """
    no_positive = why_no_positive(metrics)
    parts = {
        which: scores_by_perturbation(per_perturbation(part))
        for which, part in _parts(metrics, shared, seen).items()
    }
    rows = []
    for model, gene_set, metric in _keys(metrics):
        for which, scores in parts.items():
            own, negative, positive = (
                scores.get((name, gene_set, metric), EMPTY) for name in (model, NEGATIVE, POSITIVE)
            )
            place, why = calibrated(metric, own, negative, positive, no_positive)
            values = own.to_numpy()
            mean = float(values.mean()) if len(values) else float("nan")
            ends = bootstrap_interval(values, draws, interval, seed)
            rows.append(
                (model, gene_set, which, metric, mean, *ends, len(values), asked, place, why)
            )
    return pd.DataFrame(rows, columns=SUMMARY_COLUMNS)


def _keys(metrics: pd.DataFrame) -> Iterable[tuple[str, str, str]]:
    keys = metrics[["model", "gene_set", "metric"]].drop_duplicates()
    return keys.itertuples(index=False, name=None)


def _parts(
    metrics: pd.DataFrame, shared: set[str], seen: pd.DataFrame | None
) -> dict[str, pd.DataFrame]:
    """Return the scores that each kind of mean is over.

    A technical duplicate has no folds: its scores of the perturbations concerned are in.
    """
    parts = {SCORED: metrics, SHARED: metrics[metrics["perturbation"].isin(shared)]}
    if seen is None:
        return parts
    entries = pd.MultiIndex.from_frame(metrics[ENTRY])
    duplicate = metrics["model"] == POSITIVE
    for count, some in seen.groupby("seen", sort=True):
        chosen = entries.isin(pd.MultiIndex.from_frame(some[ENTRY]))
        again = duplicate & metrics["perturbation"].isin(some["perturbation"])
        parts[f"seen_{count}"] = metrics[chosen | again]
    return parts


def by_entry(scores: pd.DataFrame) -> pd.DataFrame:
    """Return the scores of one metric and gene set: perturbation, repeat, fold × models."""
    known = scores.dropna(subset=["value", "fold"])
    return known.pivot_table(index=ENTRY, columns="model", values="value").sort_index()


def in_common(wide: pd.DataFrame, a: str, b: str) -> pd.DataFrame:
    """Return the means of two models per perturbation, over the folds that both answer in."""
    return wide[[a, b]].dropna().groupby(level="perturbation").mean()


def compare(
    metrics: pd.DataFrame, models: Sequence[str], draws: int, interval: float, seed: int
) -> pd.DataFrame:
    """Return the mean difference (a − b) of every two models over what both score, paired.

    Folds in which one of them has no answer count for neither: of a combination `additive` answers
    only where both genes were seen, where other models have it easier too.

    Coverage is not compared: it is held against its nominal level.
    """
    rows = []
    for (gene_set, metric), part in metrics.groupby(["gene_set", "metric"], sort=False):
        if LOWER_IS_BETTER[str(metric)] is None:
            continue
        wide = by_entry(part)
        for a, b in combinations([model for model in models if model in wide.columns], 2):
            both = in_common(wide, a, b)
            difference = (both[a] - both[b]).to_numpy()
            if len(difference):
                lower, upper = bootstrap_interval(difference, draws, interval, seed)
                rows.append(
                    (a, b, gene_set, metric, len(difference), difference.mean(), lower, upper)
                )
    return pd.DataFrame(rows, columns=COMPARISON_COLUMNS)


def comparable(metrics: pd.DataFrame, summary: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the rows of both tables that are over the shared perturbations.

    Where models share none, all scores are returned.
    """
    models = comparable_models(metrics["model"].unique())
    shared = shared_perturbations(per_perturbation(metrics), models)
    which = SHARED if shared else SCORED
    chosen = metrics[metrics["perturbation"].isin(shared)] if shared else metrics
    return chosen, summary[summary["perturbations"] == which].drop(columns="perturbations")
