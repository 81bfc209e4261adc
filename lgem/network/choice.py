"""Which estimator describes cells that it has not seen best."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.linalg import LinAlgError

from lgem.errors import InputError
from lgem.network.covariance import standardise
from lgem.network.estimators import ESTIMATORS, Estimate
from lgem.network.precision import Form, invert
from lgem.network.structure import LowRank

AUTO, INDEPENDENT = "auto", "independent_genes"
FOLDS = 5
# Standard errors by which another estimator must be likelier than the first.
SURE = 3


def log_likelihood(values: np.ndarray, estimate: Estimate) -> np.ndarray:
    """Return the Gaussian log-likelihood of every cell, in natural log units per gene.

    −½ (log det Σ + zᵀ Θ z) / genes: the constant that all estimators share is left out, so that
    genes which are independent, Σ = I, reach about −½.

    Parameters
    ----------
    values : (cells, genes)
        Standardised expression.
    """
    theta = invert(estimate.covariance, estimate.precision)
    quadratic = np.einsum("ij,ji->i", values, theta.times(values.T))
    return -0.5 * (theta.log_determinant() + quadratic) / values.shape[1]


def held_out_likelihoods(
    values: np.ndarray, estimators: Sequence[str], seed: int, folds: int = FOLDS
) -> pd.DataFrame:
    """Compare estimators by the likelihood of cells that they were not fitted to.

    Every estimator makes its choice anew without the held-out cells; beside it stand genes that
    are independent of one another. No known network enters.

    Parameters
    ----------
    values : (cells, genes)
        Standardised expression.
    estimators
        Names of some of `ESTIMATORS`; the others are compared with the first.
    seed
        Of the folds.
    folds
        How many times a part of the cells is held out.

    Returns
    -------
    DataFrame
        estimator; log_likelihood (mean over cells, per gene); difference (from independent genes)
        and gain (over the first estimator that is named), each with its standard error over cells,
        se and gain_se; and reason, where the estimator could not be fitted.
    """
    cells = len(values)
    order = np.random.default_rng(seed).permutation(cells)
    found = {name: np.full(cells, np.nan) for name in (INDEPENDENT, *estimators)}
    reasons: dict[str, str] = {}
    for part in np.array_split(order, min(folds, cells)):
        try:
            # Every estimator sees correlations, as in the network. Variances come from all cells,
            # the same for all: else those that shrink no variance would be behind for that alone.
            train = standardise(values[np.setdiff1d(order, part)], None)
        except InputError as error:
            reasons |= dict.fromkeys(found, str(error))
            break
        held_out = values[np.ix_(part, train.genes_kept)]
        found[INDEPENDENT][part] = log_likelihood(held_out, _independent(held_out.shape[1]))
        for name in estimators:
            try:
                if name not in reasons:
                    estimate = ESTIMATORS[name](train.values)
                    found[name][part] = log_likelihood(held_out, estimate)
            except (InputError, LinAlgError) as error:
                reasons[name] = f"no inverse without the held-out cells ({error})"
    first = found[estimators[0]]
    rows = [_row(name, found[name], found[INDEPENDENT], first) for name in found]
    table = pd.DataFrame([row for row in rows if row["estimator"] not in reasons])
    every = pd.DataFrame({"estimator": list(found)})
    table = every.merge(table, how="left") if len(table) else every.assign(log_likelihood=np.nan)
    return table.assign(reason=table["estimator"].map(reasons))


def choose_estimate(
    values: np.ndarray, estimator: str, form: Form, seed: int
) -> tuple[Estimate, pd.DataFrame]:
    """Estimate the covariance, by the estimator that is named or by the one that predicts best.

    Under ``auto`` that is Ledoit and Wolf's, unless held-out cells are likelier under another by
    more than three standard errors: a likelihood rates the whole density, of which edges are but
    a part.

    Parameters
    ----------
    values : (cells, genes)
        Standardised expression.
    estimator
        One of `ESTIMATORS`, or ``auto``.
    form
        In which the precision is kept; the graphical lasso has no implicit one.
    seed
        Of the folds in which cells are held out.

    Returns
    -------
    estimate, table
        The table is that of `held_out_likelihoods`, with the choice and its value for the estimator
        that was taken.
    """
    every = [name for name in ESTIMATORS if form == "dense" or name != "graphical_lasso"]
    names = every if estimator == AUTO else [estimator]
    table = held_out_likelihoods(values, names, seed)
    best = names[0]
    if len(names) > 1 and "gain" in table:
        better = table[
            (table["estimator"] != INDEPENDENT) & (table["gain"] > SURE * table["gain_se"])
        ]
        if len(better):
            best = str(better.loc[better["gain"].idxmax(), "estimator"])
    found = ESTIMATORS[best](values)
    named = table["estimator"]
    return found, table.assign(
        choice=named.map({best: found.choice}), value=named.map({best: found.value})
    )


def _independent(genes: int) -> Estimate:
    return Estimate(INDEPENDENT, "", 0.0, LowRank(np.ones(genes), np.zeros((genes, 0))))


def _row(
    name: str, likelihood: np.ndarray, alone: np.ndarray, first: np.ndarray
) -> dict[str, float | str]:
    (difference, se), (gain, gain_se) = _mean(likelihood - alone), _mean(likelihood - first)
    return {
        "estimator": name,
        "log_likelihood": float(likelihood.mean()),
        "difference": difference,
        "se": se,
        "gain": gain,
        "gain_se": gain_se,
    }


def _mean(values: np.ndarray) -> tuple[float, float]:
    """Return the mean over cells and its standard error."""
    return float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values)))
