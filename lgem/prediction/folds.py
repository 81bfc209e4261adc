"""From a table of splits to training sets, and from fitted predictors to predictions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import anndata
import numpy as np
import pandas as pd

from lgem.errors import InputError, listing
from lgem.prediction.model import Predictor, Training
from lgem.prediction.splits import TEST, TRAIN
from lgem.screen.effects import GroupStatistics, estimate_effects
from lgem.screen.io import symbols_of
from lgem.screen.labels import TargetIndex


@dataclass(frozen=True)
class Fold:
    """One fold: which perturbations train, and which are held out."""

    repeat: int
    fold: int
    train: list[str]
    test: list[str]


def folds(splits: pd.DataFrame) -> Iterator[Fold]:
    """Yield the folds of a table of splits, in order."""
    for _, part in splits.groupby(["repeat", "fold"], sort=True):
        name = part["perturbation"].astype(str)
        yield Fold(
            int(part["repeat"].iloc[0]),
            int(part["fold"].iloc[0]),
            name[part["set"] == TRAIN].tolist(),
            name[part["set"] == TEST].tolist(),
        )


def fold_name(fold: Fold) -> str:
    """Return the name that a fold's files carry."""
    return f"repeat{fold.repeat}_fold{fold.fold}"


def training_set(
    statistics: GroupStatistics, targets: TargetIndex, train: Sequence[str], factors: Sequence[str]
) -> tuple[Training, dict[str, str]]:
    """Return what a predictor may know in a fold, and the training perturbations it does not.

    Effects are estimated afresh from control and the training perturbations: in a joint fit over
    all perturbations, held-out cells would shape the batch terms, and so the training effects.
    A training perturbation that only held-out ones connect with control cannot be estimated
    then; it is returned with the reason.

    Raises
    ------
    InputError
        Where none can be estimated.
    """
    try:
        effects = estimate_effects(statistics.only(train), factors)
    except InputError:
        raise InputError(
            f"splits: the fold that trains on {listing(train)}",
            f"none of them connected with control through {' and '.join(factors)} any more",
            "fewer perturbations held out at a time, or adjust_batch: false",
        ) from None
    training = Training(
        effects=effects.effect.T,
        control=statistics.control,
        perturbations=effects.perturbations,
        targets=[targets.find(name) for name in effects.perturbations],
    )
    return training, effects.left_out


def predictions_data(
    effects: anndata.AnnData, fitted: Sequence[tuple[Fold, Predictor]]
) -> anndata.AnnData:
    """Return the predictions of every fold.

    Returns
    -------
    AnnData
        obs: one row per held-out perturbation and fold (perturbation, repeat, fold, status,
        reason); X: predicted log-expression, missing where there is none; layer ``observed``.
    """
    control = effects.var["control"].to_numpy()
    index = TargetIndex(effects.var_names.tolist(), symbols_of(effects.var))
    row_of = {str(name): row for row, name in enumerate(effects.obs_names)}
    entries, predicted, observed = [], [], []
    for fold, predictor in fitted:
        for name in fold.test:
            answer = predictor.predict(name, index.find(name))
            missing = np.full(len(control), np.nan)
            predicted.append(missing if answer.effect is None else control + answer.effect)
            observed.append(control + effects.X[row_of[name]])
            entries.append((name, fold.repeat, fold.fold, answer.status, answer.reason))
    columns = ["perturbation", "repeat", "fold", "status", "reason"]
    obs = pd.DataFrame(entries, columns=columns)
    obs.index = pd.Index([f"{name}/{repeat}/{fold}" for name, repeat, fold, *_ in entries])
    return anndata.AnnData(
        X=np.array(predicted), obs=obs, var=effects.var, layers={"observed": np.array(observed)}
    )
