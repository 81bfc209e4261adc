"""Error against the number of genes scored, genes ranked by their expression in control.

Every gene set is the one before it and a few genes more, so that running sums over the ranked
genes give all of them in one pass; the perturbation's own targets belong to each set.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

import anndata
import numpy as np
import pandas as pd

from lgem.prediction.evaluation import measured_targets
from lgem.prediction.summary import bootstrap_interval
from lgem.prediction.training import ANSWERED
from lgem.screen.io import symbols_of
from lgem.screen.labels import TargetIndex

GENE_COUNT_COLUMNS = ["model", "genes", "metric", "mean", "lower", "upper", "n"]


def gene_grid(total: int, *also: int) -> list[int]:
    """Return 10, 20, 50, 100, ... below `total`, `total` itself and the numbers in `also`."""
    steps = {step * 10**power for power in range(1, len(str(total))) for step in (1, 2, 5)}
    return sorted({count for count in steps | set(also) if 0 < count < total} | {total})


def error_by_genes(
    predictions: Mapping[str, anndata.AnnData],
    effects: anndata.AnnData,
    grid: Sequence[int],
    perturbations: Collection[str] | None = None,
    draws: int = 1000,
    interval: float = 0.9,
    seed: int = 1,
) -> pd.DataFrame:
    """Return the mean error of every model over the most expressed genes, for several numbers.

    Parameters
    ----------
    predictions
        Held-out predictions of every model: X and layer ``observed``, log-expression.
    effects
        The screen's effects; var has ``control``, the expression that ranks the genes.
    grid
        Numbers of genes, ascending.
    perturbations
        The perturbations to average over, those that all models score; None for all.
    draws, interval, seed
        Of the bootstrap over perturbations.

    Returns
    -------
    DataFrame
        model, genes, metric (``l2`` or ``pearson_delta``), mean, lower, upper and n, the
        perturbations in the mean.
    """
    control = effects.var["control"].to_numpy()
    index = TargetIndex(effects.var_names.tolist(), symbols_of(effects.var))
    ranked = np.argsort(-control, kind="stable")
    rows = []
    for model, data in predictions.items():
        scores = _scores(data, control, ranked, index, grid, perturbations)
        for metric, table in scores.items():
            # A perturbation counts once, however often it was held out.
            means = table.groupby(level=0, sort=True).mean()
            for genes, values in zip(grid, means.to_numpy().T, strict=True):
                known = values[~np.isnan(values)]
                lower, upper = bootstrap_interval(known, draws, interval, seed)
                mean = float(known.mean()) if len(known) else np.nan
                rows.append((model, genes, metric, mean, lower, upper, len(known)))
    return pd.DataFrame(rows, columns=GENE_COUNT_COLUMNS)


def _scores(
    data: anndata.AnnData,
    control: np.ndarray,
    ranked: np.ndarray,
    index: TargetIndex,
    grid: Sequence[int],
    perturbations: Collection[str] | None,
) -> dict[str, pd.DataFrame]:
    """Return the table of every metric: predictions made × numbers of genes."""
    made = data.obs["status"].isin(ANSWERED).to_numpy()
    names = data.obs["perturbation"].astype(str).to_numpy()
    if perturbations is not None:
        made &= np.isin(names, list(perturbations))
    rows = np.flatnonzero(made)
    predicted, observed = np.asarray(data.X), np.asarray(data.layers["observed"])
    l2, pearson = np.empty((2, len(rows), len(grid)))
    for k, row in enumerate(rows):
        targets = measured_targets(index, names[row])
        l2[k], pearson[k] = running_scores(
            predicted[row], observed[row], control, ranked, targets, grid
        )
    return {
        "l2": pd.DataFrame(l2, index=names[rows]),
        "pearson_delta": pd.DataFrame(pearson, index=names[rows]),
    }


def running_scores(
    predicted: np.ndarray,
    observed: np.ndarray,
    control: np.ndarray,
    ranked: np.ndarray,
    targets: Sequence[int],
    grid: Sequence[int],
) -> tuple[np.ndarray, np.ndarray]:
    """Return L2 and Pearson delta over the first genes of a ranking and the targets.

    Both equal what the metrics give for each set of genes on its own, up to rounding.

    Parameters
    ----------
    predicted, observed, control
        Log-expression (genes,).
    ranked
        All genes, the most expressed in control first (genes,).
    targets
        Genes that belong to every set.
    grid
        Numbers of genes to take from the ranking.

    Returns
    -------
    l2, pearson_delta
        (numbers,) each; the correlation is missing where either change is constant.
    """
    a, b = predicted - control, observed - control
    varied = [_running_range(x, ranked, targets, grid) for x in (a, b)]
    sizes = [
        _running_maximum(np.maximum(np.abs(x), np.abs(control)), ranked, targets, grid)
        for x in (predicted, observed)
    ]
    # Rounding of the two profiles is no variation: the bound is that of the metric itself.
    defined = np.logical_and(
        *(
            spread > 4 * np.finfo(float).eps * size
            for spread, size in zip(varied, sizes, strict=True)
        )
    )
    # A correlation does not mind a shift, and sums of squares lose fewer digits after one.
    a, b = a - a.mean(), b - b.mean()
    count, sa, sb, saa, sbb, sab, error = (
        _running_sum(x, ranked, targets, grid)
        for x in (np.ones_like(a), a, b, a * a, b * b, a * b, (predicted - observed) ** 2)
    )
    spread = np.maximum(saa - sa**2 / count, 0) * np.maximum(sbb - sb**2 / count, 0)
    defined &= spread > 0
    pearson = np.full(len(grid), np.nan)
    np.divide(sab - sa * sb / count, np.sqrt(spread), out=pearson, where=defined)
    return np.sqrt(error), np.clip(pearson, -1, 1)


def _later_targets(
    ranked: np.ndarray, targets: Sequence[int], grid: Sequence[int]
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield every target with the numbers of genes whose sets the ranking leaves it out of."""
    place = np.empty(len(ranked), dtype=int)
    place[ranked] = np.arange(len(ranked))
    for target in set(targets):
        yield target, np.asarray(grid) <= place[target]


def _running_sum(
    values: np.ndarray, ranked: np.ndarray, targets: Sequence[int], grid: Sequence[int]
) -> np.ndarray:
    """Return the sum of values over every set of genes (numbers,)."""
    sums = np.cumsum(values[ranked])[np.asarray(grid) - 1]
    for target, outside in _later_targets(ranked, targets, grid):
        sums[outside] += values[target]
    return sums


def _running_maximum(
    values: np.ndarray, ranked: np.ndarray, targets: Sequence[int], grid: Sequence[int]
) -> np.ndarray:
    """Return the largest of the values in every set of genes (numbers,)."""
    largest = np.maximum.accumulate(values[ranked])[np.asarray(grid) - 1]
    for target, outside in _later_targets(ranked, targets, grid):
        largest[outside] = np.maximum(largest[outside], values[target])
    return largest


def _running_range(
    values: np.ndarray, ranked: np.ndarray, targets: Sequence[int], grid: Sequence[int]
) -> np.ndarray:
    """Return largest minus smallest value in every set of genes (numbers,)."""
    highest, lowest = (_running_maximum(x, ranked, targets, grid) for x in (values, -values))
    return highest + lowest
