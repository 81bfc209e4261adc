"""Predictions in the form that the public evaluation package cell-eval reads.

It compares two AnnData of log-normalised profiles, what was predicted and what was observed, with
the same genes and perturbations, and control among the rows of both.
"""

from __future__ import annotations

import anndata
import numpy as np
import pandas as pd

from lgem.prediction.training import ANSWERED
from lgem.screen.labels import CONTROL

# cell-eval refuses values outside [0, 15): it takes them for counts.
LIMIT = 15.0
ENTRY = ["perturbation", "context"]


def to_exchange(predictions: anndata.AnnData) -> tuple[anndata.AnnData, anndata.AnnData]:
    """Return the predictions of a model and what was observed, as a pair for cell-eval.

    Metrics on profiles compare values gene by gene, so that adding a number to a gene in both
    files, control included, changes none of them. It is added where cell-eval would refuse the
    gene, and stands in ``var["shift"]``.

    Parameters
    ----------
    predictions
        As the workflow writes them: obs perturbation, status and, where contexts are held out,
        context; X the predicted log-expression (predictions × genes); layer ``observed``;
        var ``control``.

    Returns
    -------
    predicted, observed
        The same rows in both: control, then every perturbation with a prediction, its mean over
        repeats. obs: perturbation (control is ``control``), context, n_predictions (the repeats
        behind the mean); var: as given, and shift. Every context has a row of control of its own.
        Where nothing is predicted, control stands alone.
    """
    made = predictions[predictions.obs["status"].isin(ANSWERED).to_numpy()]
    entries = pd.DataFrame(
        {
            "perturbation": made.obs["perturbation"].astype(str).to_numpy(),
            "context": _contexts(made.obs).to_numpy(),
        }
    )
    obs, row_of = _rows(entries)
    control = predictions.var["control"].to_numpy(dtype=float)
    pair = [
        _profiles(np.asarray(values, dtype=float), row_of, control, len(obs))
        for values in (made.X, made.layers["observed"])
    ]
    shift = _shift(np.concatenate(pair))
    var = predictions.var.assign(shift=shift)
    predicted, observed = (
        anndata.AnnData(X=values + shift, obs=obs.copy(), var=var.copy()) for values in pair
    )
    return predicted, observed


def _contexts(obs: pd.DataFrame) -> pd.Series:
    """Return the held-out context of every prediction; blank where contexts are not held out."""
    if "context" not in obs:
        return pd.Series("", index=obs.index)
    return obs["context"].astype(object).where(obs["context"].notna(), "").astype(str)


def _rows(entries: pd.DataFrame) -> tuple[pd.DataFrame, np.ndarray]:
    """Return the rows of the pair, and the row that every prediction belongs to."""
    contexts = sorted(entries["context"].unique()) or [""]
    controls = pd.DataFrame({"perturbation": CONTROL, "context": contexts, "n_predictions": 0})
    counts = entries.groupby(ENTRY, sort=True).size().rename("n_predictions").reset_index()
    obs = pd.concat([controls, counts], ignore_index=True)
    obs.index = pd.Index(
        [
            f"{name}/{context}" if context else name
            for name, context in zip(obs["perturbation"], obs["context"], strict=True)
        ]
    )
    rows = {tuple(entry): row for row, entry in enumerate(obs[ENTRY].to_numpy())}
    return obs, np.array([rows[tuple(entry)] for entry in entries.to_numpy()], dtype=int)


def _profiles(
    values: np.ndarray, row_of: np.ndarray, control: np.ndarray, count: int
) -> np.ndarray:
    """Return the mean of the values of every row; control where a row has none."""
    sums, numbers = np.zeros((count, len(control))), np.bincount(row_of, minlength=count)
    np.add.at(sums, row_of, values)
    return np.where(numbers[:, None] > 0, sums / np.maximum(numbers, 1)[:, None], control)


def _shift(profiles: np.ndarray) -> np.ndarray:
    """Return what brings every gene into [0, LIMIT): nothing where it lies there already."""
    lowest = profiles.min(axis=0)
    outside = (lowest < 0) | (profiles.max(axis=0) >= LIMIT)
    return np.where(outside, -lowest, 0.0)
