"""Reference networks: reading one, and scoring partial correlations against it."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from lgem.errors import InputError, listing, nearest
from lgem.network.names import AMBIGUOUS, UNKNOWN, Others, lookup

# What a third column may say: 0 and 1, or the sign of the action, which makes it an edge.
PRESENT = {"0": False, "0.0": False} | dict.fromkeys(["1", "1.0", "+", "-", "+-", "-+", "?"], True)
METRICS = ["auroc", "aupr", "aupr_ratio", "early_precision"]
# All pairs of this many genes fit in about 1 GiB while they are scored; those of 20,000 do not.
LARGEST_PANEL = 5000


@dataclass(frozen=True)
class Reference:
    """An undirected reference network on the genes of a panel.

    Attributes
    ----------
    edges : DataFrame
        gene_a, gene_b: gene ids, alphabetical within a pair, every pair once, sorted.
    counts : dict
        ``rows`` of the file (without its header) and what became of each: ``absent`` (listed as
        0), ``not_in_panel`` (a name is of no gene there), ``ambiguous`` (a symbol of several
        genes), ``self_loops``, ``duplicates`` (repeated or reversed), ``edges`` kept. The others
        add up to ``rows``.
    """

    edges: pd.DataFrame
    counts: dict[str, int]


def read_reference(
    path: str | os.PathLike[str],
    genes: Sequence[str],
    symbols: Sequence[str] | None = None,
    others: Others | None = None,
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
    others
        Names of measured genes outside the panel, which no symbol of the panel may take.

    Raises
    ------
    InputError
        If the file cannot be read, is of another format, or has no edge within the panel.
    """
    rows = lookup(genes, symbols, others)
    table = _without_header(_read(path), rows)
    present = _present(table, path)
    ends = table.iloc[:, :2].apply(lambda names: names.map(rows).fillna(UNKNOWN)).to_numpy(int)

    # Every row leaves at the first door that fits it, so that the counts add up.
    counts, left = {"rows": len(table)}, np.ones(len(table), dtype=bool)
    for reason, leaves in {
        "absent": ~present,
        "not_in_panel": (ends == UNKNOWN).any(axis=1),
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
            io.StringIO(text),
            sep=separator,
            header=None,
            dtype=str,
            keep_default_na=False,
            quoting=csv.QUOTE_NONE,  # a quotation mark that is never closed would swallow rows
        )
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise InputError(str(path), f"no table ({str(error).strip()})", wanted) from error
    if table.shape[1] not in (2, 3):
        raise InputError(str(path), f"{table.shape[1]} columns", wanted)
    table = table.apply(lambda column: column.fillna("").str.strip(" \"'"))
    short = np.flatnonzero((table == "").any(axis=1))
    if len(short):
        raise InputError(f"{path}: row {short[0] + 1}", "a row with an empty field", wanted)
    return table


def _without_header(table: pd.DataFrame, known: dict[str, int]) -> pd.DataFrame:
    """Drop the first row if it is a header.

    With a third column that is told by its first value; without, by two names that are neither in
    the panel nor anywhere else in the file.
    """
    first, rest = table.iloc[0], table.iloc[1:]
    if len(first) == 3:
        header = first[2] not in PRESENT
    else:
        header = not any(name in known or (rest == name).any(axis=None) for name in first)
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
    if table.empty:
        return InputError(str(path), "no edge below the first line", "a pair of genes in each row")
    named = pd.unique(table.iloc[:, :2].to_numpy().ravel())
    fates = ", ".join(f"{reason} {count}" for reason, count in counts.items())
    return InputError(
        str(path),
        f"no edge between two genes of the panel ({fates}; its names are like "
        f"{listing(named[:3])})",
        f"gene ids or symbols of the panel, like {listing(genes[:3])}",
        nearest(named[0], genes) if len(named) else None,
    )


def within_reference(genes: Sequence[str], edges: pd.DataFrame) -> np.ndarray:
    """Return the positions, ascending, of the genes that the reference names in an edge.

    The pairs of a panel beyond `LARGEST_PANEL` genes are too many to rank. Scoring those of the
    genes that the reference knows loses no true edge; what the network says of other genes is
    left out, so that the share of true pairs (chance) is higher than on the whole panel.

    Parameters
    ----------
    genes : (genes,)
        Names of the panel's genes, unique.
    edges
        Columns gene_a, gene_b: reference edges; those with a gene that is not in `genes` are
        ignored.
    """
    return np.unique(_ends(genes, edges))


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
            "metric": METRICS,
            "value": point,
            "chance": [0.5, prevalence, 1.0, prevalence],
            "lower": bounds[0],
            "upper": bounds[1],
        }
    )


def headline(
    before: pd.DataFrame,
    after: pd.DataFrame | None,
    genes: Sequence[str],
    edges: pd.DataFrame,
    interval: float,
) -> str:
    """Say how well the network finds the known edges, and what its updates do to that.

    Parameters
    ----------
    before, after
        As from `score_network`, before and after the updates, if there were any. Where the columns
        of `lgem.network.shuffled.shuffled_scores` stand beside them, the sentence says what
        shuffled labels reach.
    genes : (genes,)
        That were scored.
    edges
        Known edges between them.
    interval
        The share that the intervals cover.
    """
    value = before.set_index("metric")
    ratio, shuffled, updated = value.loc["aupr_ratio"], "", ""
    if "shuffled_upper" in before:
        lowest, highest = ratio["shuffled_lower"], ratio["shuffled_upper"]
        shuffled = f"; with shuffled labels {lowest:.1f} to {highest:.1f}"
    if after is not None:
        new = after.set_index("metric").loc["aupr_ratio", "value"]
        how = "worse" if new < ratio["value"] else "better" if new > ratio["value"] else "as good"
        updated = f" Updated, it is {how}: {new:.1f} × chance."
    return (
        f"Against {len(edges)} known edges the network of {len(genes)} genes has, before its "
        f"updates, an average precision of {value.loc['aupr', 'value']:.3f}, {ratio['value']:.1f} "
        f"× chance ({100 * interval:g} % interval {ratio['lower']:.1f} to "
        f"{ratio['upper']:.1f}{shuffled}).{updated}"
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
    ends, n = _ends(genes, edges), len(rho)
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


def _ends(genes: Sequence[str], edges: pd.DataFrame) -> np.ndarray:
    """Positions (edges, 2) of the genes of every edge between two of them."""
    index = pd.Index(genes)
    ends = np.column_stack([index.get_indexer(pd.Index(edges[k])) for k in ("gene_a", "gene_b")])
    return ends[(ends >= 0).all(axis=1)]


def _scores(ranking: Ranking, weights: np.ndarray) -> tuple[list[float], float]:
    """Compute the four metrics, and the share of true pairs, with weight w_i w_j on pair ij."""
    pairs = weights[ranking.first] * weights[ranking.second]
    mass = np.r_[0, np.cumsum(pairs)]
    return metric_values(ranking, mass, np.r_[0, np.cumsum(pairs[ranking.true])])


def metric_values(
    ranking: Ranking, mass: np.ndarray, true_mass: np.ndarray
) -> tuple[list[float], float]:
    """Compute AUROC, AUPR, its ratio to chance and early precision; and the share of true pairs.

    Only runs of equal score that hold a true pair add to either area, so that beyond the
    cumulative sum over all pairs the work is that of the true ones.

    Parameters
    ----------
    ranking
        All pairs.
    mass : (pairs + 1,)
        Weight of the pairs above each rank.
    true_mass : (edges + 1,)
        Weight of the true pairs before each true pair.
    """
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
