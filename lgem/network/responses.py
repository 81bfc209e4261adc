"""Responses to perturbations as the network of unperturbed cells foretells them.

In a Gaussian model a gene i that moves with its target t moves by Σ_it / Σ_tt times the target's
own change. That is compared, over the genes of the panel other than the target, with what was
observed; beside it stand the mean of the other perturbations' effects, which knows nothing of the
target, and the columns of other targets, which know of the wrong one.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from lgem.errors import counted, listing

NETWORK, UPDATED, MEAN, SHUFFLED = "network", "updated", "mean", "shuffled"
PEARSON, SPEARMAN = "pearson", "spearman"
METRICS = (PEARSON, SPEARMAN)
# Whom to compare with whom, and in this order.
COMPARED = [(NETWORK, MEAN), (NETWORK, SHUFFLED), (UPDATED, NETWORK), (UPDATED, MEAN)]
WORDS = {
    MEAN: "the mean effect of the other perturbations",
    SHUFFLED: "the covariance with other targets",
}
# Entries of other targets' columns that are correlated at a time: they stay in the cache.
BLOCK = 1 << 15
NOT_BLIND = (
    "The network was estimated from all profiles, the perturbed ones too: it has seen these "
    "responses, and this is no test."
)
# Two genes always lie on a line.
FEWEST_GENES = 3
# A spread this small beside the values' own size is the rounding of their mean.
ROUNDING = 1e-12


def target_positions(targets: Sequence[Sequence[str]], genes: Sequence[str]) -> np.ndarray:
    """Return where in the panel the single target of each perturbation is; -1 without one.

    Parameters
    ----------
    targets : (perturbations,)
        Genes that each perturbation acts on, under their names in the panel where they are in it.
    genes : (genes,)
        Names of the panel's genes, unique.
    """
    index = pd.Index(genes)
    found = [index.get_indexer(pd.Index(t))[0] if len(t) == 1 else -1 for t in targets]
    return np.array(found, dtype=np.intp)


def response_check(
    columns: Mapping[str, np.ndarray],
    effects: np.ndarray,
    scale: np.ndarray,
    perturbations: Sequence[str],
    targets: Sequence[Sequence[str]],
    genes: Sequence[str],
) -> pd.DataFrame:
    """Correlate observed responses with those that the network predicts from its covariance.

    For a perturbation of gene t the network predicts ± Σ_it / Σ_tt for every gene i, with the sign
    of the median change of the *other* perturbations' own targets (knock-down or activation). The
    entries of t are left out for every contender, since they are the experiment's doing, and all
    contenders are compared on the same genes:

    - every covariance in `columns`, such as ``network`` (before the updates) and ``updated``;
    - ``mean``: the mean effect of the other perturbations, each without its own targets' entries;
    - ``shuffled``: the mean of the correlations with the ``network`` columns of all other targets
      in the panel, exact rather than drawn. There the other target's entry is left out too: its
      own variance is no covariance, and would only weaken the control.

    A covariance that was updated by responses predicted for these very perturbations has seen
    their effects by way of the model's training. Its score tells what the updates put into the
    network, not what an unseen perturbation would do.

    Parameters
    ----------
    columns : mapping to (genes, perturbations)
        By contender: the column of Σ that belongs to each perturbation's target (see
        `target_positions`); of the others the column is not read. ``network`` must be among them.
    effects : (perturbations, genes)
        Observed effects in log-expression; missing where they could not be estimated.
    scale : (genes,)
        Standard deviations that the network's genes were divided by, in log-expression.
    perturbations, targets : (perturbations,)
        Their names, and the genes that they act on, under their names in the panel.
    genes : (genes,)
        Names of the panel's genes, unique.

    Returns
    -------
    DataFrame
        perturbation, gene (the target), network (the contender), metric (``pearson``,
        ``spearman``), value (higher is better), reason (why there is none, else blank). Every
        perturbation has a row for every contender and metric.
    """
    responses = np.asarray(effects, dtype=float) / scale
    positions = target_positions(targets, genes)
    off_target = _without_own(responses, targets, genes)
    others = _OtherTargets(columns[NETWORK], positions)
    rows: list[tuple[object, ...]] = []
    for number, (name, acted_on) in enumerate(zip(perturbations, targets, strict=True)):
        reason = _not_scored(acted_on, positions[number], responses[number])
        found = dict.fromkeys((*columns, MEAN, SHUFFLED), (_NONE, reason))
        if not reason:
            predicted = {network: matrix[:, number] for network, matrix in columns.items()}
            mean = _mean_of_others(off_target, number)
            found = _scored(predicted, responses, positions, number, mean, others)
        rows += [
            (name, "+".join(acted_on), network, metric, value, "" if np.isfinite(value) else why)
            for network, (values, why) in found.items()
            for metric, value in zip(METRICS, values, strict=True)
        ]
    names = ["perturbation", "gene", "network", "metric", "value", "reason"]
    return pd.DataFrame(rows, columns=names)


_NONE = np.full(len(METRICS), np.nan)


def _not_scored(acted_on: Sequence[str], target: int, observed: np.ndarray) -> str:
    """Say why a perturbation cannot be scored, or nothing."""
    if len(acted_on) != 1:
        return "several targets" if len(acted_on) else "no target"
    if target < 0:
        return "target not in the panel"
    return "" if np.isfinite(observed).any() else "effect not estimated"


def _scored(
    predicted: Mapping[str, np.ndarray],
    responses: np.ndarray,
    positions: np.ndarray,
    number: int,
    mean_of_others: tuple[np.ndarray, str],
    others: _OtherTargets,
) -> dict[str, tuple[np.ndarray, str]]:
    """Score one perturbation: the values of both metrics by contender, or why there are none."""
    target, observed = positions[number], responses[number]
    sign, unsigned = _direction(responses, positions, number)
    mean, alone = mean_of_others
    used = np.isfinite(observed) & (np.isfinite(mean) | bool(alone))
    used[target] = False
    found = {
        network: (_NONE, unsigned) if unsigned else _agreement(sign * column, observed, used)
        for network, column in predicted.items()
    }
    found[MEAN] = (_NONE, alone) if alone else _agreement(mean, observed, used)
    wrong, none = others.agreement(observed, used, target)
    found[SHUFFLED] = (sign * wrong, unsigned or none)
    return found


def _direction(responses: np.ndarray, positions: np.ndarray, number: int) -> tuple[float, str]:
    """Whether the other perturbations lower (-1) or raise (1) their targets, or why unknown."""
    others = np.flatnonzero((positions >= 0) & (np.arange(len(positions)) != number))
    own = responses[others, positions[others]]
    own = own[np.isfinite(own)]
    if not len(own):
        return np.nan, "no other perturbation tells the direction"
    sign = float(np.sign(np.median(own)))
    return (sign, "") if sign else (np.nan, "the other perturbations tell no direction")


def _without_own(
    responses: np.ndarray, targets: Sequence[Sequence[str]], genes: Sequence[str]
) -> np.ndarray:
    """Responses with the entries of every perturbation's own targets missing."""
    index, off_target = pd.Index(genes), responses.copy()
    for row, acted_on in enumerate(targets):
        own = index.get_indexer(pd.Index(list(acted_on), dtype=object))
        off_target[row, own[own >= 0]] = np.nan
    return off_target


def _mean_of_others(off_target: np.ndarray, number: int) -> tuple[np.ndarray, str]:
    """Mean of all responses but one, missing for genes without any; or why there is none."""
    others = np.delete(off_target, number, axis=0)
    known = np.isfinite(others)
    count, total = known.sum(axis=0), np.where(known, others, 0.0).sum(axis=0)
    mean = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return mean, "" if count.any() else "no effect of another perturbation"


class _OtherTargets:
    """Columns of the covariance of every distinct target, ranked once."""

    def __init__(self, columns: np.ndarray, positions: np.ndarray) -> None:
        found, first = np.unique(positions, return_index=True)
        self._targets, first = found[found >= 0], first[found >= 0]
        self._rows = columns[:, first].T
        # Of a column its own target is never read: at infinity it stands above all other ranks.
        self._above = self._rows.copy()
        np.put_along_axis(self._above, self._targets[:, None], np.inf, axis=1)
        self._ranks = rankdata(self._above, axis=1)

    def agreement(
        self, observed: np.ndarray, used: np.ndarray, target: int
    ) -> tuple[np.ndarray, str]:
        """Mean correlations with the columns of other targets, or why there are none."""
        others = np.flatnonzero(self._targets != target)
        if not len(others):
            return _NONE, "no other target in the panel"
        filled = np.where(used, observed, np.inf)
        blocks = np.array_split(others, len(others) * len(used) // BLOCK + 1)
        each = np.hstack([self._each(block, filled, used) for block in blocks])
        defined = np.isfinite(each).all(axis=0)
        if not defined.any():
            return _NONE, "no other target's column has a correlation"
        return each[:, defined].mean(axis=1), ""

    def _each(self, block: np.ndarray, filled: np.ndarray, used: np.ndarray) -> np.ndarray:
        """Correlations (metrics, targets) with the columns of some targets."""
        theirs, above, ranks = self._targets[block], self._above[block], self._ranks[block]
        read = np.tile(used, (len(block), 1))
        read[np.arange(len(block)), theirs] = False
        for gene in np.flatnonzero(~used):
            ranks = _ranks_without(ranks, above, above[:, [gene]])
        # What is not used stands at infinity: nothing is above it, and nothing falls.
        observed_ranks = _ranks_without(rankdata(filled), filled, filled[theirs, None])
        pairs = ((self._rows[block], filled), (ranks, observed_ranks))
        return np.array([_correlations(x, y, read) for x, y in pairs])


def _ranks_without(ranks: np.ndarray, values: np.ndarray, removed: np.ndarray) -> np.ndarray:
    """Ranks of the others once a value goes: those above it fall by 1, ties by half."""
    return ranks - (values > removed) - 0.5 * (values == removed)


def _agreement(
    predicted: np.ndarray, observed: np.ndarray, used: np.ndarray
) -> tuple[np.ndarray, str]:
    """Pearson and Spearman correlation over the genes used, or why there are none."""
    x, y = predicted[used], observed[used]
    if len(x) < FEWEST_GENES:
        return _NONE, f"{counted(len(x), 'gene')} to compare"
    every = np.ones((1, len(x)), dtype=bool)
    pairs = ((x, y), (rankdata(x), rankdata(y)))
    values = np.array([_correlations(a[None], b, every)[0] for a, b in pairs])
    if np.isfinite(values).all():
        return values, ""
    whose = "prediction" if _spread(x[None], every)[1][0] == 0.0 else "effect"
    return _NONE, f"the same {whose} for every gene"


def _correlations(x: np.ndarray, y: np.ndarray, read: np.ndarray) -> np.ndarray:
    """Pearson correlation of each row of x with y, a row or as many, over the entries read.

    Missing where either is constant, or where fewer than `FEWEST_GENES` are read.
    """
    (x, x_squares), (y, y_squares) = _spread(x, read), _spread(y, read)
    size = np.sqrt(x_squares * y_squares)
    defined = (size > 0.0) & (read.sum(axis=1) >= FEWEST_GENES)
    return np.where(defined, np.einsum("ij,ij->i", x, y) / np.where(defined, size, 1.0), np.nan)


def _spread(values: np.ndarray, read: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Centre the entries read of each row, 0 elsewhere; and their sums of squares."""
    kept = np.where(read, values, 0.0)
    largest, count = np.abs(kept).max(axis=1), read.sum(axis=1)
    centred = np.where(read, kept - kept.sum(axis=1, keepdims=True) / count[:, None], 0.0)
    squares = np.einsum("ij,ij->i", centred, centred)
    return centred, np.where(squares > count * (ROUNDING * largest) ** 2, squares, 0.0)


def summarise_responses(
    scores: pd.DataFrame, draws: int, interval: float, seed: int
) -> pd.DataFrame:
    """Average the scores over perturbations, with percentile intervals of a bootstrap over these.

    Parameters
    ----------
    scores
        As from `response_check`.
    draws, interval, seed
        Bootstrap samples, the share that an interval covers, and where the samples start.

    Returns
    -------
    DataFrame
        network, metric, mean, lower, upper, n (perturbations scored), n_asked. The interval is
        missing below two perturbations.
    """
    rows: list[tuple[Hashable, ...]] = []
    for (network, metric), part in scores.groupby(["network", "metric"], sort=False):
        values = part["value"].dropna().to_numpy()
        bounds = _interval(values, draws, interval, seed)
        rows.append((network, metric, _mean(values), *bounds, len(values), len(part)))
    names = ["network", "metric", "mean", "lower", "upper", "n", "n_asked"]
    return pd.DataFrame(rows, columns=names)


def compare_responses(scores: pd.DataFrame, draws: int, interval: float, seed: int) -> pd.DataFrame:
    """Compare contenders pairwise on the perturbations that both score.

    Parameters are those of `summarise_responses`.

    Returns
    -------
    DataFrame
        network, against, metric, n (perturbations that both score), mean and mean_against over
        these, difference (mean of network − against), lower, upper. The interval is missing below
        two perturbations.
    """
    rows: list[tuple[object, ...]] = []
    for metric in METRICS:
        part = scores[scores["metric"] == metric].set_index("perturbation")
        wide = {network: rows["value"] for network, rows in part.groupby("network")}
        for network, against in COMPARED:
            if not {network, against} <= set(wide):
                continue
            ours, theirs = pd.concat([wide[network], wide[against]], axis=1).dropna().to_numpy().T
            bounds = _interval(ours - theirs, draws, interval, seed)
            means = _mean(ours), _mean(theirs), _mean(ours - theirs)
            rows.append((network, against, metric, len(ours), *means, *bounds))
    names = ["network", "against", "metric", "n", "mean", "mean_against", "difference"]
    return pd.DataFrame(rows, columns=[*names, "lower", "upper"])


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else float("nan")


def _interval(values: np.ndarray, draws: int, interval: float, seed: int) -> tuple[float, float]:
    """Percentile interval of the mean; missing below two values."""
    if len(values) < 2:
        return float("nan"), float("nan")
    picks = np.random.default_rng(seed).integers(len(values), size=(draws, len(values)))
    tails = [(1.0 - interval) / 2.0, (1.0 + interval) / 2.0]
    lower, upper = np.quantile(values[picks].mean(axis=1), tails)
    return float(lower), float(upper)


def headline(
    scores: pd.DataFrame, comparisons: pd.DataFrame, interval: float, *, blind: bool = True
) -> str:
    """Say in words whether the network predicts responses; first where it loses.

    Parameters
    ----------
    scores
        As from `response_check`.
    comparisons
        As from `compare_responses`.
    interval
        The share that its intervals cover.
    blind
        Whether the network was estimated without perturbed cells or profiles.
    """
    asked = scores["perturbation"].nunique()
    of_network = scores[(scores["network"] == NETWORK) & (scores["metric"] == PEARSON)]
    left_out = of_network.loc[of_network["value"].isna(), "reason"].value_counts(sort=False)
    why = listing(f"{reason}: {count}" for reason, count in left_out.sort_index().items())
    if of_network["value"].isna().all():
        whole = counted(asked, "perturbation")
        return f"The network predicts the response to none of {whole} ({why or 'none asked for'})."
    table = {
        (row["metric"], row["network"], row["against"]): row
        for row in comparisons.to_dict("records")
    }
    rows = []
    for against in WORDS:
        by_size, by_rank = (table[metric, NETWORK, against] for metric in METRICS)
        # Ranks are worth a sentence where they say something else.
        rows += [by_size] if _verdict(by_rank) == _verdict(by_size) else [by_size, by_rank]
    lost_first = sorted(rows, key=lambda row: _verdict(row) >= 0)
    told = [_compared(row, asked, interval) for row in lost_first]
    update = table.get((PEARSON, UPDATED, NETWORK), {"n": 0})
    if update["n"]:
        told.append(
            f"After its updates the network reaches {update['mean']:z.2f} "
            f"({update['difference']:+z.2f}); what updated it may know of the effects scored here."
        )
    if not blind:
        told.append(NOT_BLIND)
    return " ".join([*told, f"Not scored: {why}."] if why else told)


def _verdict(row: Mapping[Any, Any]) -> int:
    """Return 1 where a contender is certainly better than the other, -1 where worse, else 0."""
    return int(row["lower"] > 0) - int(row["upper"] < 0)


def _compared(row: Mapping[Any, Any], asked: int, interval: float) -> str:
    """Say how the network and another contender compare in one metric, the winner first."""
    other = WORDS[row["against"]]
    if not row["n"]:
        return f"There is nothing to compare with {other}."
    opening = {
        1: f"the network predicts responses better than {other}",
        0: f"the network and {other} cannot be told apart as predictions of responses",
        -1: f"{other} predicts responses better than the network",
    }[_verdict(row)]
    level = f"{100 * interval:g} % interval"
    bounds = f"{level} {row['lower']:+z.2f} to {row['upper']:+z.2f}"
    return (
        f"{opening[0].upper()}{opening[1:]}: {row['metric'].title()} correlation off target "
        f"{row['mean']:z.2f} for the network against {row['mean_against']:z.2f} on {row['n']} of "
        f"{counted(asked, 'perturbation')} (difference of the network {row['difference']:+z.2f}, "
        f"{bounds if row['n'] > 1 else f'no {level} from one'})."
    )
