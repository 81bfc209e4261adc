"""Calibration of mean scores: where a model stands between a negative and a positive control.

The negative control is the mean of the training effects, which knows nothing of the perturbation;
the positive one a technical duplicate, the effect measured once more in other cells. Single
perturbations are never calibrated: the difference of their controls may be next to nothing.
"""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from lgem.prediction.metrics import LOWER_IS_BETTER

NEGATIVE, POSITIVE = "mean", "technical_duplicate"
# Correlation with changes from the mean of training: the mean has none, which counts as 0.
FIXED_NEGATIVE = {"pearson_delta_perturbed": 0.0}
NO_VALUE = float("nan")


def calibrated(
    metric: str,
    model: pd.Series,
    negative: pd.Series,
    positive: pd.Series,
    no_positive: str = "",
) -> tuple[float, str]:
    """Return (model − negative) / (positive − negative) of a metric's means, or why there is none.

    0 is as good as the mean of the training effects, 1 as good as measuring again; above 1 and
    below 0 are possible.

    Parameters
    ----------
    metric
        Name of the metric.
    model, negative, positive
        Scores by perturbation. All three means are over the perturbations that all have.
    no_positive
        Why the technical duplicate has no scores, where it has none.
    """
    if LOWER_IS_BETTER[metric] is None:
        return NO_VALUE, f"{metric} is compared with its nominal level"
    if model.empty:
        return NO_VALUE, "no perturbation with a value"
    if positive.empty:
        return NO_VALUE, no_positive or f"no value for the {_words(POSITIVE)}"
    fixed = FIXED_NEGATIVE.get(metric)
    if fixed is None and negative.empty:
        return NO_VALUE, f"no value for the baseline {NEGATIVE}"
    both = model.index.intersection(positive.index)
    common = both if fixed is not None else both.intersection(negative.index)
    if common.empty:
        controls = _words(POSITIVE) + (f" and {NEGATIVE}" if fixed is None else "")
        return NO_VALUE, f"no perturbation in common with {controls}"
    best = float(positive[common].mean())
    worst = float(negative[common].mean()) if fixed is None else fixed
    gain = worst - best if LOWER_IS_BETTER[metric] else best - worst
    # Equal but for the order of summation is equal.
    if gain <= 1e-12 * max(abs(best), abs(worst)):
        against = f"the baseline {NEGATIVE} ({worst:.4g})" if fixed is None else f"{worst:g}"
        return NO_VALUE, f"the {_words(POSITIVE)} ({best:.4g}) does not beat {against}"
    place = (float(model[common].mean()) - worst) / (best - worst)
    return place + 0.0, ""  # the negative control itself stands at 0, not at -0


def why_no_positive(metrics: pd.DataFrame) -> str:
    """Say why a table of metrics holds no score of a technical duplicate; "" where it does."""
    rows = metrics[metrics["model"] == POSITIVE]
    if rows["value"].notna().any():
        return ""
    reasons = grouped(rows.drop_duplicates("perturbation")["reason"])
    return f"no {_words(POSITIVE)}" + (f": {next(iter(reasons))}" if reasons else "")


def grouped(reasons: Iterable[str]) -> dict[str, int]:
    """Count reasons without the names and numbers of single cases, the most frequent first."""
    texts = pd.Series([text for text in reasons if isinstance(text, str) and text], dtype=object)
    short = texts.str.split(":").str[0].str.replace(r"^\d+ [^,]+, ", "", regex=True)
    counts = short.value_counts().sort_index().sort_values(ascending=False, kind="stable")
    return {str(reason): int(count) for reason, count in counts.items()}


def scores_by_perturbation(scores: pd.DataFrame) -> dict[tuple[str, str, str], pd.Series]:
    """Return the scores of each model, gene set and metric, by perturbation in sorted order."""
    keys = ["model", "gene_set", "metric"]
    parts = scores.sort_values("perturbation", kind="stable").groupby(keys, sort=False)
    return {
        (str(model), str(gene_set), str(metric)): part.set_index("perturbation")["value"]
        for (model, gene_set, metric), part in parts
    }


def _words(model: str) -> str:
    return model.replace("_", " ")


EMPTY = pd.Series(dtype=float, index=pd.Index([], dtype=object), name="value")
