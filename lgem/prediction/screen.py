"""The virtual screen: what the model says of perturbations that nobody has made."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.spatial.distance import cdist

from lgem.errors import InputError, nearest
from lgem.prediction.embedding import RANDOM, PerturbationEmbedding
from lgem.prediction.intervals import fewest_residuals
from lgem.prediction.linear_model import LinearModel
from lgem.prediction.model import Fitted
from lgem.prediction.training import Training
from lgem.prediction.tuning import BILINEAR, BOTH
from lgem.screen.labels import CONTROL, SEPARATOR, Target, TargetIndex

TOP_GENES = 10
COLUMNS = [
    *("target", "effect_size", "lower", "upper", "distance_to_training", "top_genes"),
    *("in_training", "basis"),
]


def targets_to_predict(
    asked: Sequence[str],
    index: TargetIndex,
    symbols: Sequence[str] | None,
    model: LinearModel,
) -> list[str]:
    """Return the names of the perturbations to predict.

    Parameters
    ----------
    asked
        ``all`` alone: every gene measured, and all that a table of perturbations names; or names,
        combinations as A+B.
    index, symbols
        The genes measured. A gene goes by its symbol where no other gene has it.
    model
        The fitted model.

    Raises
    ------
    InputError
        Where a name that was asked for cannot be embedded.
    """
    if list(asked) != ["all"]:
        names = [SEPARATOR.join(sorted(name.split(SEPARATOR))) for name in asked]
        check_targets(names, index, symbols, model.embedding)
        return list(dict.fromkeys(names))
    named = list(symbols) if symbols is not None else index.genes
    unique = [
        name if index.find(name).rows == (row,) else index.genes[row]
        for row, name in enumerate(named)
    ]
    return sorted({*unique, *model.embedding.table})


def check_targets(
    names: Sequence[str],
    index: TargetIndex,
    symbols: Sequence[str] | None,
    embedding: PerturbationEmbedding,
) -> None:
    """Raise an InputError for the first perturbation that an embedding has no vector for."""
    for name in names:
        why = embedding.why_not(name, index.find(name))
        if embedding.source == RANDOM and not why:
            why = index.find(name).reason  # any name has a random vector
        if name == CONTROL:
            why = "control, which nothing is done to"
        if why:
            close = nearest(name, [*index.genes, *(symbols or [])])
            raise InputError(f"screen.targets: {name}", why, "genes, or combinations as A+B", close)


def screen_table(
    predictor: Fitted,
    training: Training,
    index: TargetIndex,
    symbols: Sequence[str] | None,
    asked: Sequence[str],
    level: float,
) -> tuple[pd.DataFrame, int]:
    """Predict perturbations and rank them by the size of their effect.

    Returns
    -------
    table, left_out
        One row per perturbation: ``target``; ``effect_size``, the length of the predicted effect
        over all genes but the target, with bounds for the size of the true effect from the sizes
        of training perturbations that were left out; ``distance_to_training``, from the nearest
        training perturbation in the perturbation embedding (1: as far as these typically are from
        one another); ``top_genes``, the largest predicted changes; ``in_training``; ``basis``,
        the parts of the model that are switched on. And how many genes could not be embedded.
    """
    model = predictor.inner
    if not isinstance(model, LinearModel):
        raise TypeError("only linear models have an embedding of what nobody has made")
    names = targets_to_predict(asked, index, symbols, model)
    embeddable = [
        name
        for name in names
        if not model.embedding.why_not(name, index.find(name))
        and not (model.published and model.why_not(name, index.find(name)))
    ]
    below, above = _size_bounds(model, level)
    distances = _distances(model, training, index, embeddable)
    known = {target.rows for target in training.targets if target.rows}
    shown = np.array(symbols if symbols is not None else index.genes, dtype=object)
    rows = []
    for name, distance in zip(embeddable, distances, strict=True):
        target = index.find(name)
        elsewhere = np.array(predictor.predict(name, target).effect)
        elsewhere[list(target.rows or ())] = 0.0
        size = float(np.linalg.norm(elsewhere))
        bounds = float(np.maximum(0.0, size + below)), size + above
        # The same gene may go by its identifier here and by its symbol there.
        seen = name in training.perturbations or target.rows in known
        rows.append((name, size, *bounds, distance, _largest(elsewhere, shown), seen))
    table = pd.DataFrame(rows, columns=COLUMNS[:-1])
    table["basis"] = model.choice.parts
    table = table.sort_values(["effect_size", "target"], ascending=[False, True], kind="stable")
    return table.reset_index(drop=True), len(names) - len(embeddable)


def is_specific(predictor: Fitted) -> bool:
    """Return whether predictions off target differ between perturbations at all."""
    model = predictor.inner
    if not isinstance(model, LinearModel):
        return True
    return model.choice.parts in (BILINEAR, BOTH) and model.dimensions > 0


def _size_bounds(model: LinearModel, level: float) -> tuple[float, float]:
    """Return what to add to a predicted size for the bounds; missing with too few residuals."""
    predicted, observed, embedded = model.left_out.sizes
    errors = (observed - predicted)[embedded > 0]
    if len(errors) < fewest_residuals(level):
        return float("nan"), float("nan")
    tail = (1 - level) / 2
    below, above = np.quantile(errors, [tail, 1 - tail])
    return float(below), float(above)


def _distances(
    model: LinearModel, training: Training, index: TargetIndex, names: Sequence[str]
) -> np.ndarray:
    """Return how far each perturbation is from the nearest one in training."""
    known = [
        (name, target)
        for name, target in zip(training.perturbations, training.targets, strict=True)
        if not model.embedding.why_not(name, target)
    ]
    if not model.dimensions or len(known) < 2:
        return np.full(len(names), np.nan)

    def embedded(pairs: Sequence[tuple[str, Target]]) -> np.ndarray:
        return np.array([model.embed(name, target) for name, target in pairs])

    P = embedded(known)
    within = cdist(P, P)
    np.fill_diagonal(within, np.inf)
    typical = float(np.median(within.min(axis=1)))
    new = embedded([(name, index.find(name)) for name in names])
    return cdist(new, P).min(axis=1) / typical if typical > 0 else np.full(len(names), np.nan)


def _largest(effect: np.ndarray, genes: np.ndarray) -> str:
    """Return the genes with the largest predicted changes, with the changes, in words."""
    order = np.argsort(-np.abs(effect), kind="stable")[:TOP_GENES]
    return ", ".join(f"{genes[k]} {effect[k]:+.3f}" for k in order if effect[k])
