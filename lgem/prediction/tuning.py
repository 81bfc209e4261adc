"""The honest choice of the model's parameters, inside the training set.

Every training perturbation (or, of more than `MOST_LEFT_OUT`, every tenth) is left out in turn,
and *everything* that depends on it is computed again: the mean, the gene embedding, the rows of
the targets, the weights. The short cut that keeps the embedding fixed is biased, since the
embedding has then seen the effect that it is to predict.

All of this happens in coordinates of the span of the training effects, on as many rows as there
are perturbations. The prediction is linear in s, so that every s costs next to nothing, and the
singular value decompositions of an embedding serve all penalties.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from lgem.prediction.embedding import IDENTITY, PCA
from lgem.prediction.linear import (
    Parameters,
    Specification,
    embed_perturbations,
    known_columns,
    lookup_of,
    mean_effect,
    space_of,
)
from lgem.prediction.solvers import DAMPING, PENALISED, Factor
from lgem.prediction.space import Columns
from lgem.prediction.training import without_genes_of
from lgem.systems import numerical_rank

MOST_LEFT_OUT, FOLDS = 200, 10
MEAN_WEIGHTS = tuple(np.round(np.linspace(0, 1, 21), 2))
DIMENSIONS = (1, 2, 3, 5, 7, 10, 15, 20, 30, 50)
PENALTIES = tuple(np.logspace(-4, 3, 20))
# From the simplest to the richest: what the data do not support is switched off.
OFF, MEAN, BILINEAR, BOTH = "no change", "mean", "bilinear", "mean and bilinear"
PARTS = (OFF, MEAN, BILINEAR, BOTH)


@dataclass(frozen=True)
class Grid:
    """The values to choose among; one value each where config fixes it."""

    mean_weights: Sequence[float] = MEAN_WEIGHTS
    dimensions: Sequence[int] = DIMENSIONS
    penalties: Sequence[float] = PENALTIES


@dataclass(frozen=True)
class Choice:
    """What was chosen, and how the alternatives did.

    Parameters
    ----------
    parameters
        s, d and λ.
    parts
        One of `PARTS`.
    losses
        Mean held-out L2 distance of the best member of each part, as far as it was tried.
    margin
        Standard error within which a simpler part was preferred.
    """

    parameters: Parameters
    parts: str
    losses: dict[str, float]
    margin: float


def left_out_sets(perturbations: Sequence[str]) -> list[tuple[list[int], list[int]]]:
    """Return (training, left out) columns: one at a time, or in ten parts where there are many.

    Combinations of a gene that is left out leave training too.
    """
    count = len(perturbations)
    if count <= MOST_LEFT_OUT:
        parts = [[k] for k in range(count)]
    else:
        order = np.random.default_rng(count).permutation(count)
        parts = [sorted(part.tolist()) for part in np.array_split(order, FOLDS)]
    pairs = [(without_genes_of(perturbations, range(count), part), part) for part in parts]
    return [(train, part) for train, part in pairs if train]


def choose(columns: Columns, specification: Specification, grid: Grid, masked: bool) -> Choice:
    """Choose s, d and λ by leaving perturbations out, with the one-standard-error rule.

    Of the four parts (neither, the mean, the bilinear part, both) the simplest is taken whose best
    member is within one standard error of the best of all; the error is that of the paired
    differences between perturbations.

    Parameters
    ----------
    columns
        Training columns in gene space.
    specification
        The model.
    grid
        What to choose among.
    masked
        Whether own entries are left out of the distances (they are predicted by other means).
    """
    losses = left_out_losses(columns, specification, grid, masked)
    candidates = _best_of_parts(losses, grid)
    if not candidates:
        return Choice(Parameters(grid.mean_weights[0], 0, 0.0), OFF, {}, float("nan"))
    means = {part: float(loss.mean()) for part, (_, loss) in candidates.items()}
    best = min(means, key=lambda part: means[part])
    for part, (parameters, loss) in candidates.items():
        difference = loss - candidates[best][1]
        margin = float(difference.std(ddof=1) / np.sqrt(len(loss))) if len(loss) > 1 else 0.0
        if difference.mean() <= margin:
            return Choice(parameters, part, means, margin)
    raise AssertionError("the best part is within any margin of itself")


def _best_of_parts(losses: np.ndarray, grid: Grid) -> dict[str, tuple[Parameters, np.ndarray]]:
    """Return the best parameters of each part, with what choosing them costs per perturbation.

    The loss of a perturbation is that of the member which is best for all *others*: the best of
    many members for all of them, itself included, looks better than it is.

    `losses` are perturbations × (no dimensions, then those of the grid) × penalties × weights.
    """
    if not len(losses):
        return {}
    mean = losses.mean(axis=0)
    weights = np.array(grid.mean_weights, dtype=float)
    dimensions = (0, *grid.dimensions)
    bilinear = np.array([bool(d) for d in dimensions])[:, None, None]
    shrunk = (weights > 0)[None, None, :]
    found = {}
    for part, member in zip(
        PARTS, (~bilinear & ~shrunk, ~bilinear & shrunk, bilinear & ~shrunk, bilinear & shrunk),
        strict=True,
    ):  # fmt: skip
        where = np.flatnonzero(np.broadcast_to(member, mean.shape))
        if len(where):
            best = where[np.argmin(mean.ravel()[where])]
            d, λ, s = map(int, np.unravel_index(best, mean.shape))
            penalty = grid.penalties[λ] if dimensions[d] else 0.0
            parameters = Parameters(float(weights[s]), int(dimensions[d]), float(penalty))
            found[part] = (parameters, _chosen_by_others(losses.reshape(len(losses), -1)[:, where]))
    return found


def _chosen_by_others(losses: np.ndarray) -> np.ndarray:
    """Return each perturbation's loss at the member that is best for all others.

    `losses` are perturbations × members.
    """
    if len(losses) < 2:
        return losses.min(axis=1)
    others = losses.sum(axis=0) - losses
    return losses[np.arange(len(losses)), others.argmin(axis=1)]


def left_out_losses(
    columns: Columns, specification: Specification, grid: Grid, masked: bool
) -> np.ndarray:
    """Return the L2 distance of every left-out prediction from what was observed.

    Returns
    -------
    ndarray
        Perturbations × (1 + dimensions of the grid) × penalties × mean weights; the first of the
        dimensions is 0, the mean alone. What cannot be embedded is predicted by the mean alone.
        A perturbation after whose leaving nothing is left is not among the rows.
    """
    compressed = space_of(columns, specification)
    rows = [
        row
        for train, left_out in left_out_sets(columns.perturbations)
        for row in _losses_of_fold(compressed, specification, grid, masked, train, left_out)
    ]
    shape = (len(rows), 1 + len(grid.dimensions), len(grid.penalties), len(grid.mean_weights))
    return np.array(rows).reshape(shape)


def _losses_of_fold(
    columns: Columns,
    specification: Specification,
    grid: Grid,
    masked: bool,
    train: Sequence[int],
    left_out: Sequence[int],
) -> Iterator[np.ndarray]:
    """Yield the losses of each left-out column: (1 + dimensions) × penalties × weights."""
    training = columns.only(train)
    b = mean_effect(training, specification)
    weights = np.array(grid.mean_weights, dtype=float)
    squared = np.empty((len(left_out), 1 + len(grid.dimensions), len(grid.penalties), len(weights)))
    own = [list(columns.targets[k].rows or ()) if masked else [] for k in left_out]
    truth = columns.effects[:, left_out].T
    for row, y in enumerate(truth):
        nothing = np.zeros((1, len(y)))
        squared[row] = _squared_distances(columns, y, b, nothing, nothing, own[row], weights)
    known = known_columns(training, specification.perturbations)
    asked = known_columns(columns.only(left_out), specification.perturbations)
    if known and asked and grid.dimensions:
        bilinear = _bilinear_parts(
            training, columns, specification, grid, known, left_out, asked, b
        )
        for at, row, moved, drift in bilinear:
            y = truth[row]
            squared[row, 1 + at] = _squared_distances(
                columns, y, b, moved, drift, own[row], weights
            )
    yield from np.sqrt(squared)


def _bilinear_parts(
    training: Columns,
    columns: Columns,
    specification: Specification,
    grid: Grid,
    known: Sequence[int],
    left_out: Sequence[int],
    asked: Sequence[int],
    b: np.ndarray,
) -> Iterator[tuple[int, int, np.ndarray, np.ndarray]]:
    """Yield, per dimensions and left-out column, G W_Y p and G W_b p for all penalties (n × r).

    W_Y is fitted to Y and W_b to b 1ᵀ, so that the fit to Y − s·b 1ᵀ is W_Y − s W_b for any s.
    """
    penalties = np.array(grid.penalties, dtype=float)[:, None, None]
    damping = DAMPING[specification.solver]
    whole = specification.genes.source == IDENTITY
    most = max(grid.dimensions)
    scores = None if whole else specification.genes.of(training, most)
    lookups = lookup_of(training, specification, scores, most)
    Y = training.effects[:, known]
    everyone = columns.only([left_out[row] for row in asked])
    for at, d in enumerate(grid.dimensions):
        G = None if scores is None else scores[:, :d] if specification.genes.nested else scores
        lookup = None if lookups is None else lookups[:, :d] if _nested(specification) else lookups
        left = _factor(G, len(b), specification)
        P = embed_perturbations(training, known, specification.perturbations, lookup, d)
        right = Factor.of(P)
        F = damping(left, right, penalties)
        to_Y = F * (left.U.T @ (Y @ right.U))
        to_b = F * np.outer(left.U.T @ b, right.U.sum(axis=0))
        new = embed_perturbations(
            everyone, range(len(asked)), specification.perturbations, lookup, d
        )
        for row, p in zip(asked, new, strict=True):
            q = right.Vt @ p
            carried = left.U * left.s
            yield at, row, (to_Y @ q) @ carried.T, (to_b @ q) @ carried.T


def _nested(specification: Specification) -> bool:
    source = specification.perturbations
    return source.source == PCA or specification.genes.nested


def _factor(G: np.ndarray | None, size: int, specification: Specification) -> Factor:
    """Return the decomposition of G; components are orthogonal already."""
    if G is None:
        return Factor.identity(size)
    if specification.genes.source != PCA:
        return Factor.of(G)
    s = np.sqrt(np.sum(G**2, axis=0))
    rank = numerical_rank(s, G.shape)  # sorted, and exact zeros beyond the rank
    U = G[:, :rank] / s[:rank]
    return Factor(U, s[:rank], np.eye(rank, G.shape[1]), float(np.sum(s**2)) / max(len(s), 1))


def _squared_distances(
    columns: Columns,
    y: np.ndarray,
    b: np.ndarray,
    moved: np.ndarray,
    drift: np.ndarray,
    own: Sequence[int],
    weights: np.ndarray,
) -> np.ndarray:
    """Return ‖y − s·b − moved + s·drift‖² for all penalties and weights (n × weights).

    As a square in s it needs three numbers only; the rows of `own` genes are taken out.
    """
    fixed, slope = y - moved, b - drift
    k0, k1, k2 = (
        np.sum(x * z, axis=1) for x, z in ((fixed, fixed), (fixed, slope), (slope, slope))
    )
    if own:
        at = columns.entries(np.column_stack([fixed.T, slope.T]), own)
        e, f = at[:, : len(fixed)], at[:, len(fixed) :]
        k0, k1, k2 = k0 - (e**2).sum(axis=0), k1 - (e * f).sum(axis=0), k2 - (f**2).sum(axis=0)
    squared = k0[:, None] - 2 * np.outer(k1, weights) + np.outer(k2, weights**2)
    return np.maximum(squared, 0.0)


def penalties_of(solver: str, given: float | None) -> Sequence[float]:
    """Return the penalties to choose among: the one given, or the grid where there can be one."""
    if solver not in PENALISED:
        return (0.0,)
    return PENALTIES if given is None else (given,)
