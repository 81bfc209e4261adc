"""From a table of splits to training sets, and from fitted predictors to predictions."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import anndata
import numpy as np
import pandas as pd

from lgem.errors import InputError, listing
from lgem.prediction.model import Fitted
from lgem.prediction.samples import Samples
from lgem.prediction.splits import TEST, TRAIN
from lgem.prediction.training import Training
from lgem.screen.effects import GroupStatistics, adjustable, estimate_effects, not_estimable
from lgem.screen.io import group_statistics, symbols_of
from lgem.screen.labels import CONTROL, TargetIndex, genes_of
from lgem.screen.tables import MISSING

OBS_COLUMNS = ["perturbation", "repeat", "fold", "status", "reason", "context", "seen"]
LAYERS = ("predicted", "observed", "observed_se", "lower", "upper")


@dataclass(frozen=True)
class Fold:
    """One fold: which perturbations train, and which are held out.

    ``context`` is the held-out cell line or condition, where one is.
    """

    repeat: int
    fold: int
    train: list[str]
    test: list[str]
    context: str = ""


@dataclass(frozen=True)
class Experiment:
    """A screen as the folds need it.

    Parameters
    ----------
    statistics
        Groups of cells of all usable perturbations and control.
    targets
        Finds the genes that perturbations act on.
    factors
        Columns of the groups to adjust for.
    context
        The column with the cell line or condition, where there is one.
    strata
        Columns of the groups that mixed forms take for random effects: batch and covariates,
        whether effects are adjusted for them or not.
    from_no_expression
        Whether the scale of expression starts at no expression (cells), so that a target's own
        change can only be a share of its expression.
    """

    statistics: GroupStatistics
    targets: TargetIndex
    factors: Sequence[str]
    context: str | None = None
    from_no_expression: bool = True
    strata: Sequence[str] = ()

    @classmethod
    def of(
        cls, pseudobulk: anndata.AnnData, factors: Sequence[str], screen: Mapping[str, Any]
    ) -> Experiment:
        """Return the experiment of a pseudobulk file; `screen` is the dataset's entry in config."""
        index = TargetIndex(list(map(str, pseudobulk.var_names)), symbols_of(pseudobulk.var))
        statistics = group_statistics(pseudobulk)
        strata = ["batch", *screen["covariates"]]
        return cls(statistics, index, factors, screen["context"], screen["kind"] == "cells", strata)

    def outside(self, context: str) -> GroupStatistics:
        """Return the groups of the other contexts; all where no context is held out."""
        return self._where(context, held_out=False) if context else self.statistics

    def within(self, context: str) -> GroupStatistics:
        """Return the groups of one context."""
        return self._where(context, held_out=True)

    def _where(self, context: str, *, held_out: bool) -> GroupStatistics:
        assert self.context is not None  # config asks for the column where contexts are held out
        level = self.statistics.groups[self.context].astype(str)
        return self.statistics.at((level == context).to_numpy() == held_out)


def folds(splits: pd.DataFrame) -> Iterator[Fold]:
    """Yield the folds of a table of splits, in order."""
    for _, part in splits.groupby(["repeat", "fold"], sort=True):
        name = part["perturbation"].astype(str)
        test = part["set"] == TEST
        contexts = part["context"].dropna().astype(str)
        yield Fold(
            int(part["repeat"].iloc[0]),
            int(part["fold"].iloc[0]),
            name[part["set"] == TRAIN].tolist(),
            name[test].tolist(),
            contexts.iloc[0] if len(contexts) else "",
        )


def fold_name(fold: Fold) -> str:
    """Return the name that a fold's files carry."""
    return f"repeat{fold.repeat}_fold{fold.fold}"


def contexts_of(experiment: Experiment, usable: Sequence[str], fewest: int) -> dict[str, list[str]]:
    """Return the perturbations that can be estimated within each context.

    There are none in a context without control cells. Cells without a context have none to be in.

    Parameters
    ----------
    experiment
        The screen, with a context.
    usable
        Perturbations to choose from.
    fewest
        Cells that a perturbation needs within the context.
    """
    assert experiment.context is not None
    found: dict[str, list[str]] = {}
    for context in sorted(set(experiment.statistics.groups[experiment.context].astype(str))):
        if context == MISSING:
            continue  # cells of no known context train, but are none to hold out
        part = experiment.within(context)
        cells = part.groups.groupby("perturbation")["n_cells"].sum()
        enough = [name for name in usable if cells.get(name, 0) >= fewest]
        found[context] = []
        if enough and CONTROL in cells.index:
            part = part.only(enough)
            unknown = not_estimable(part, adjustable(part.groups, experiment.factors))
            found[context] = sorted(set(enough) - set(unknown))
    return found


def training_set(experiment: Experiment, fold: Fold) -> tuple[Training, dict[str, str]]:
    """Return what a predictor may know in a fold, and the training perturbations it does not.

    Effects are estimated afresh from control and the training perturbations: in a joint fit over
    all perturbations, held-out cells would shape the batch terms, and so the training effects.
    A training perturbation that only held-out ones connect with control cannot be estimated
    then; it is returned with the reason. Of a held-out context nothing is known, not even control.

    Raises
    ------
    InputError
        Where none can be estimated.
    """
    statistics = experiment.outside(fold.context).only(fold.train)
    try:
        effects = estimate_effects(statistics, adjustable(statistics.groups, experiment.factors))
    except InputError:
        raise InputError(
            f"splits: the fold that trains on {listing(fold.train)}",
            f"none of them connected with control through {' and '.join(experiment.factors)} "
            "any more",
            "fewer perturbations held out at a time, or adjust_batch: false",
        ) from None
    statistics = statistics.only(effects.perturbations)
    control = statistics.control
    scales = [control]
    if not experiment.from_no_expression:
        # Log-ratios may be negative, and then a share of them means nothing.
        scales = [np.ones(len(control)), *([control] if control.min() >= 0 else [])]
    training = Training(
        effects=effects.effect.T,
        control=control,
        perturbations=effects.perturbations,
        targets=[experiment.targets.find(name) for name in effects.perturbations],
        own_scales=scales,
        se=effects.se.T,
        samples=Samples.of(statistics, adjustable(statistics.groups, experiment.strata)),
        design=effects.diagnosis_of_cells,
    )
    return training, effects.left_out


@dataclass(frozen=True)
class Observed:
    """Observed effects (perturbations × genes), by name, with the noise of their own cells.

    ``se`` is the standard error that the perturbation's cells contribute. The rest of an effect's
    standard error is that of control, which predictions share.
    """

    effect: np.ndarray
    se: np.ndarray
    row_of: Mapping[str, int]

    @classmethod
    def of(cls, experiment: Experiment, effects: anndata.AnnData, context: str) -> Observed:
        """Return those of the whole screen, or of one context alone."""
        if not context:
            names = list(map(str, effects.obs_names))
            se = np.asarray(effects.layers["se"]) * _own_share(experiment.statistics, names)
            return cls(np.asarray(effects.X), se, {name: row for row, name in enumerate(names)})
        part = experiment.within(context)
        estimable = set(part.groups["perturbation"]) - {CONTROL}
        part = part.only([name for name in estimable if name in effects.obs_names])
        found = estimate_effects(part, adjustable(part.groups, experiment.factors))
        rows = {name: row for row, name in enumerate(found.perturbations)}
        return cls(found.effect, found.se * _own_share(part, found.perturbations), rows)


def _seen_alone(perturbation: str, trained: Collection[str]) -> str:
    """Return how many genes of a combination training held singly; blank for single genes.

    The table of splits counts what it meant to train on; a fold's design may not estimate all.
    """
    genes = genes_of(perturbation)
    return str(sum(gene in trained for gene in genes)) if len(genes) > 1 else ""


def _own_share(statistics: GroupStatistics, names: Sequence[str]) -> np.ndarray:
    """Return the share of effects' standard errors that comes from the perturbation's own cells.

    The variance of a difference of two means is shared out by 1/n; exact without adjustment for
    batch, close to it with.
    """
    cells = statistics.groups.groupby("perturbation")["n_cells"].sum()
    own = cells.reindex(list(names)).to_numpy(dtype=float)
    control = float(cells[CONTROL])
    return np.sqrt(control / (control + own))[:, None]


def predictions_data(
    experiment: Experiment,
    effects: anndata.AnnData,
    fitted: Iterable[tuple[Fold, Fitted, Collection[str]]],
    level: float,
) -> anndata.AnnData:
    """Return the predictions of every fold.

    Parameters
    ----------
    experiment, effects
        The screen, and its effects.
    fitted
        The folds, what was fitted in each, and the perturbations that it was fitted to.
    level
        Of the intervals.

    Returns
    -------
    AnnData
        obs: one row per held-out perturbation and fold (perturbation, repeat, fold, status,
        reason, context, seen); X: control + predicted effect, missing where there is none; layers
        ``observed`` (control + observed effect), ``observed_se``, ``lower`` and ``upper``, the
        bounds of intervals at `level`. Control is that of the whole screen throughout, so that
        differences are those of effects, also where a context of its own is held out.
    """
    control = effects.var["control"].to_numpy()
    entries, methods, parts = [], [], []
    layers: dict[str, list[np.ndarray]] = {name: [] for name in LAYERS}
    by_context: dict[str, Observed] = {}
    for fold, predictor, trained in fitted:
        if fold.context not in by_context:
            by_context[fold.context] = Observed.of(experiment, effects, fold.context)
        observed = by_context[fold.context]
        methods.append(predictor.interval(level))
        parts.append(predictor.described().get("parts", ""))
        for name in fold.test:
            answer = predictor.predict(name, experiment.targets.find(name), level)
            row = observed.row_of[name]
            effect = {
                "predicted": answer.effect,
                "observed": observed.effect[row],
                "lower": answer.lower,
                "upper": answer.upper,
            }
            for what, values in effect.items():
                missing = np.full(len(control), np.nan)
                layers[what].append(missing if values is None else control + values)
            layers["observed_se"].append(observed.se[row])
            entries.append(
                (name, fold.repeat, fold.fold, answer.status, answer.reason, fold.context,
                 _seen_alone(name, trained))
            )  # fmt: skip
    obs = pd.DataFrame(entries, columns=OBS_COLUMNS)
    obs.index = pd.Index([f"{name}/{repeat}/{fold}" for name, repeat, fold, *_ in entries])
    data = anndata.AnnData(
        X=np.array(layers.pop("predicted")),
        obs=obs,
        var=effects.var,
        layers={name: np.array(values) for name, values in layers.items()},
    )
    # The folds' methods differ only where few residuals make some of them have none.
    method, reason = next((m for m in methods if m[0] != "none"), methods[0])
    data.uns["interval"] = {"level": level, "method": method, "reason": reason}
    data.uns["parts"] = parts  # of the model, as they are switched on in each fold
    return data
