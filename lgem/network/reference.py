"""Reference networks: reading one, and scoring partial correlations against it."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from lgem.errors import InputError, listing, nearest

# What a third column may say: 0 and 1, or the sign of the action, which makes it an edge.
PRESENT = {"0": False, "0.0": False} | dict.fromkeys(["1", "1.0", "+", "-", "+-", "-+", "?"], True)
UNKNOWN, AMBIGUOUS = -1, -2


@dataclass(frozen=True)
class Reference:
    """An undirected reference network on the genes of a panel.

    Attributes
    ----------
    edges : DataFrame
        gene_a, gene_b: gene ids, alphabetical within a pair, every pair once, sorted.
    counts : dict
        ``rows`` of the file (without its header) and what became of each: ``absent`` (listed as
        0), ``not_measured`` (a name is not in the panel), ``ambiguous`` (a symbol of several
        genes), ``self_loops``, ``duplicates`` (repeated or reversed), ``edges`` kept. The others
        add up to ``rows``.
    """

    edges: pd.DataFrame
    counts: dict[str, int]


def read_reference(
    path: str | os.PathLike[str], genes: Sequence[str], symbols: Sequence[str] | None = None
) -> Reference:
    """Read a reference network and keep what the panel can be compared with.

    Direction is ignored, since partial correlations have none: A → B and B → A are one edge.

    Parameters
    ----------
    path
        Edges as CSV or TSV, with or without a header: two columns of gene names, and if there is
        a third, 0 or 1 (absent or present) or the sign of the action (``+``, ``-``, ``+-``, ``?``).
    genes : (genes,)
        Ids of the panel's genes, unique.
    symbols : (genes,)
        Their symbols, if the file may use them. A name is looked up among the ids first.

    Raises
    ------
    InputError
        If the file cannot be read, is of another format, or has no edge within the panel.
    """
    lookup = _lookup(genes, symbols)
    table = _without_header(_read(path), lookup)
    present = _present(table, path)
    ends = table.iloc[:, :2].apply(lambda names: names.map(lookup).fillna(UNKNOWN)).to_numpy(int)

    # Every row leaves at the first door that fits it, so that the counts add up.
    counts, left = {"rows": len(table)}, np.ones(len(table), dtype=bool)
    for reason, leaves in {
        "absent": ~present,
        "not_measured": (ends == UNKNOWN).any(axis=1),
        "ambiguous": (ends == AMBIGUOUS).any(axis=1),
        "self_loops": ends[:, 0] == ends[:, 1],
    }.items():
        counts[reason] = int((left & leaves).sum())
        left &= ~leaves
    names = np.sort(np.asarray(genes, dtype=object)[ends[left]], axis=1)
    edges = pd.DataFrame(names, columns=["gene_a", "gene_b"]).drop_duplicates()
    edges = edges.sort_values(["gene_a", "gene_b"], ignore_index=True)
    counts |= {"duplicates": len(names) - len(edges), "edges": len(edges)}
    if edges.empty:
        raise _no_edges(path, table, genes, counts)
    return Reference(edges, counts)


def _lookup(genes: Sequence[str], symbols: Sequence[str] | None) -> dict[str, int]:
    """Map every name to its position in the panel; a symbol of several genes to AMBIGUOUS."""
    lookup: dict[str, int] = {}
    for position, symbol in enumerate([] if symbols is None else symbols):
        if not pd.isna(symbol) and symbol != "":
            lookup[symbol] = AMBIGUOUS if symbol in lookup else position
    return lookup | {gene: position for position, gene in enumerate(genes)}


def _read(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Read all rows of the file, header or not, as text."""
    wanted = "edges as CSV or TSV: two columns of gene names, or a third with 0 or 1"
    try:
        text = Path(path).read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(str(path), f"a file that cannot be read ({error})", wanted) from error
    first = next((line for line in text.splitlines() if line.strip()), "")
    separator = next((mark for mark in "\t,;" if mark in first), r"\s+")
    try:
        table = pd.read_csv(
            io.StringIO(text), sep=separator, header=None, dtype=str, keep_default_na=False
        )
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise InputError(str(path), f"no table ({str(error).strip()})", wanted) from error
    if table.shape[1] not in (2, 3):
        raise InputError(str(path), f"{table.shape[1]} columns", wanted)
    table = table.apply(lambda column: column.fillna("").str.strip())
    short = np.flatnonzero((table == "").any(axis=1))
    if len(short):
        raise InputError(f"{path}: row {short[0] + 1}", "a row with an empty field", wanted)
    return table


def _without_header(table: pd.DataFrame, lookup: dict[str, int]) -> pd.DataFrame:
    """Drop the first row if it is a header.

    With a third column that is told by its first value; without, by two names that are neither in
    the panel nor anywhere else in the file.
    """
    first, rest = table.iloc[0], table.iloc[1:]
    if len(first) == 3:
        header = first[2] not in PRESENT
    else:
        header = not any(name in lookup or (rest == name).any(axis=None) for name in first)
    return rest if header else table


def _present(table: pd.DataFrame, path: str | os.PathLike[str]) -> np.ndarray:
    """Which rows claim an edge."""
    if table.shape[1] == 2:
        return np.ones(len(table), dtype=bool)
    present = table[2].map(PRESENT)
    unknown = present.index[present.isna()]
    if len(unknown):
        raise InputError(
            f"{path}: row {unknown[0] + 1}",
            f"'{table.loc[unknown[0], 2]}' in the third column",
            "0 or 1, or the sign of the action (+, -, +-, ?)",
        )
    return present.to_numpy(bool)


def _no_edges(
    path: str | os.PathLike[str], table: pd.DataFrame, genes: Sequence[str], counts: dict[str, int]
) -> InputError:
    named = pd.unique(table.iloc[:, :2].to_numpy().ravel())
    fates = ", ".join(f"{reason} {count}" for reason, count in counts.items())
    return InputError(
        str(path),
        f"no edge between two genes of the panel ({fates}; its names are like "
        f"{listing(named[:3])})",
        f"gene ids or symbols of the panel, like {listing(genes[:3])}",
        nearest(named[0], genes) if len(named) else None,
    )


def score_network(
    rho: np.ndarray,
    genes: Sequence[str],
    edges: pd.DataFrame,
    draws: int,
    interval: float,
    seed: int,
) -> pd.DataFrame:
    """Score |partial correlation| as a predictor of the edges of a reference network.

    All pairs of the panel's genes are candidates; one that the reference does not list counts as
    no edge. Direction is ignored. Pairs of equal score count as being in random order (precision
    at their end for the area under the precision–recall curve, as is usual).

    Intervals are percentiles of a bootstrap over *genes*, the units that are exchangeable (pairs
    that share a gene are not independent): genes are drawn with replacement, and pair ij counts
    w_i w_j times, w the multiplicities. Draws without a true edge are left out.

    Parameters
    ----------
    rho : (genes, genes)
        Symmetric scores, compared by absolute value.
    genes : (genes,)
        Their names, unique.
    edges
        Columns gene_a, gene_b: reference edges, each once; those with a gene that is not in
        `genes` are ignored.
    draws : int
        Bootstrap draws.
    interval : float
        Coverage of the interval, in (0, 1).
    seed : int
        Of the draws.

    Returns
    -------
    DataFrame
        metric, value, chance, lower, upper, for the metrics ``auroc``; ``aupr`` (average
        precision), whose chance is the share of true pairs; ``aupr_ratio`` to that chance; and
        ``early_precision``, the precision among as many top pairs as there are true ones.

    Raises
    ------
    InputError
        If no pair, or every pair, is a true edge.
    """
    ranking = rank_pairs(rho, genes, edges)
    n = len(rho)
    point, prevalence = _scores(ranking, np.ones(n, dtype=np.int64))
    multiplicities = np.random.default_rng(seed).multinomial(n, np.full(n, 1.0 / n), size=draws)
    sample = np.array([_scores(ranking, weights)[0] for weights in multiplicities])
    sample = sample[np.isfinite(sample).all(axis=1)]
    tails = [(1.0 - interval) / 2.0, (1.0 + interval) / 2.0]
    bounds = np.quantile(sample, tails, axis=0) if len(sample) else np.full((2, 4), np.nan)
    return pd.DataFrame(
        {
            "metric": ["auroc", "aupr", "aupr_ratio", "early_precision"],
            "value": point,
            "chance": [0.5, prevalence, 1.0, prevalence],
            "lower": bounds[0],
            "upper": bounds[1],
        }
    )


def headline(scores: pd.DataFrame, genes: Sequence[str], edges: pd.DataFrame) -> str:
    """Say in a sentence how well the network finds the known edges."""
    value = scores.set_index("metric")
    ratio = value.loc["aupr_ratio"]
    return (
        f"Against {len(edges)} known edges the network of {len(genes)} genes has an average "
        f"precision of {value.loc['aupr', 'value']:.3f}, {ratio['value']:.1f} × chance "
        f"(interval {ratio['lower']:.1f} to {ratio['upper']:.1f})."
    )


@dataclass(frozen=True)
class Ranking:
    """All pairs from the highest score to the lowest; sorted once, weighted at every draw."""

    first: np.ndarray  # (pairs,) one gene of each pair
    second: np.ndarray  # (pairs,) the other
    true: np.ndarray  # (edges,) ranks of the true pairs, ascending
    bounds: np.ndarray  # (ties + 1,) ranks at which runs of equal score begin, and the end


def rank_pairs(rho: np.ndarray, genes: Sequence[str], edges: pd.DataFrame) -> Ranking:
    """Rank all pairs of genes by |partial correlation| and mark the known edges.

    Raises
    ------
    InputError
        If no pair, or every pair, is a true edge.
    """
    index, n = pd.Index(genes), len(rho)
    ends = np.column_stack([index.get_indexer(pd.Index(edges[k])) for k in ("gene_a", "gene_b")])
    ends = ends[(ends >= 0).all(axis=1)]
    adjacent = np.zeros((n, n), dtype=bool)
    adjacent[ends[:, 0], ends[:, 1]] = adjacent[ends[:, 1], ends[:, 0]] = True
    first, second = np.triu_indices(n, 1)
    score, truth = np.abs(rho[first, second]), adjacent[first, second]
    if not 0 < truth.sum() < len(truth):
        raise InputError(
            "reference network",
            f"{truth.sum()} true edges among {len(truth)} pairs of the network's {n} genes",
            "some pairs with and some without an edge",
        )
    order = np.argsort(-score, kind="stable")
    score = score[order]
    begins = np.flatnonzero(np.r_[True, score[1:] != score[:-1]])
    return Ranking(
        first[order], second[order], np.flatnonzero(truth[order]), np.r_[begins, len(score)]
    )


def _scores(ranking: Ranking, weights: np.ndarray) -> tuple[list[float], float]:
    """Compute the four metrics, and the share of true pairs, with weight w_i w_j on pair ij.

    Only runs of equal score that hold a true pair add to either area, so that beyond one
    cumulative sum over all pairs the work is that of the true ones.
    """
    pairs = weights[ranking.first] * weights[ranking.second]
    mass = np.r_[0, np.cumsum(pairs)]
    true_mass = np.r_[0, np.cumsum(pairs[ranking.true])]
    positive, negative = true_mass[-1], mass[-1] - true_mass[-1]
    if positive == 0 or negative == 0:
        return [np.nan] * 4, np.nan

    run = np.unique(np.searchsorted(ranking.bounds, ranking.true, side="right"))
    begin, end = ranking.bounds[run - 1], ranking.bounds[run]
    hits = true_mass[np.searchsorted(ranking.true, np.stack([begin, end]))]
    inside = hits[1] - hits[0]
    precision = hits[1] / np.maximum(mass[end], 1)
    false = mass[np.stack([begin, end])] - hits
    auroc = inside @ (negative - false.mean(axis=0)) / (positive * negative)
    aupr = inside @ precision / positive
    prevalence = positive / mass[-1]
    early = _hits_within(ranking, mass, true_mass, positive) / positive
    return [auroc, aupr, aupr / prevalence, early], prevalence


def _hits_within(ranking: Ranking, mass: np.ndarray, true_mass: np.ndarray, top: int) -> float:
    """Expected true mass among the `top` highest-scoring mass, ties being in random order."""
    last = np.searchsorted(mass, top) - 1  # the pair that completes it
    run = np.searchsorted(ranking.bounds, last, side="right")
    begin, end = ranking.bounds[run - 1], ranking.bounds[run]
    hits = true_mass[np.searchsorted(ranking.true, [begin, end])]
    share = (top - mass[begin]) / (mass[end] - mass[begin])
    return float(hits[0] + share * (hits[1] - hits[0]))
