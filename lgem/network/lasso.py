"""Graphical lasso: a precision matrix with exact zeros, its penalty chosen by a criterion.

    Θ = argmax  log det Θ − tr(S Θ) − λ Σ_{i≠j} |θ_ij|

The diagonal is not penalised, so that the variances of Θ⁻¹ are those of S.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.sparse.csgraph import connected_components

from lgem.errors import InputError
from lgem.network.precision import precision_matrix

# The penalties tried lie between the one that leaves no edge and SMALLEST of it.
PENALTIES, SMALLEST = 20, 0.01
# Once no missing edge alone could pay for itself, the criterion may stay above its minimum at so
# many penalties before the smaller ones are left untried.
PATIENCE = 3
# Weight γ of the number of possible edges in the extended criterion.
GAMMA = 0.5
# A solution may miss an optimality condition by this much, in the units of a correlation.
VIOLATION = 1e-6
# Changes of Θ⁻¹ at which sweeps end, in the units of a correlation: the second where the solution
# that the first leaves is not exact enough.
CHANGES = (1e-7, 1e-9)
# Coefficients of a column are exact to a SHARE of the change of the last sweep, within bounds.
SHARE, COARSEST, FINEST = 0.01, 1e-3, 1e-10
# With less of a gene's variance left by the others, VIOLATION could hide that there is no maximum.
UNEXPLAINED = 1e-5
# Most sweeps for one matrix, and most passes over the coefficients of a column.
ROUNDS = 500
# Sweeps for a whole path, of LARGE genes or, if there are more, of all: about a minute on one core
# for LARGE. A sweep of m genes costs m³.
SWEEPS, LARGE = 400, 500


@dataclass(frozen=True)
class Lasso:
    """A sparse precision matrix and the path on which its penalty was found.

    Attributes
    ----------
    precision : (genes, genes)
        Symmetric to the last bit, positive definite, with exact zeros where there is no edge.
    covariance : (genes, genes)
        Its inverse; the variances are those of the input.
    penalty : float
        λ of this solution, in the units of a correlation.
    path : DataFrame
        One row for every penalty tried, descending: ``penalty``; ``edges``, pairs of genes with
        θ_ij ≠ 0; ``log_likelihood``, the largest that all cells can have with these edges, up to a
        constant; and ``ebic``. The last two are missing where the penalty was given.
    ended : str
        Why the path has no smaller penalty, in words for a report.
    """

    precision: np.ndarray
    covariance: np.ndarray
    penalty: float
    path: pd.DataFrame
    ended: str


@dataclass
class Budget:
    """Work that may still be done, in sweeps of m genes at m³."""

    left: float

    def pays_for(self, genes: int) -> bool:
        """Take one sweep of so many genes, if there is enough left."""
        self.left -= float(genes) ** 3
        return self.left >= 0.0


def graphical_lasso(values: np.ndarray, penalty: float | None) -> Lasso:
    """Estimate a sparse precision matrix.

    Without a penalty, 20 of them are tried in geometric steps downwards from the largest absolute
    correlation, where no edge is left, and the one with the smallest EBIC is taken, the larger of
    two that tie:

        EBIC = −2 ℓ + E log n + 4 γ E log p,   ℓ = n/2 (log det Θ̂ − tr(S Θ̂)),   γ = 1/2

    for E edges, n cells and p genes. Θ̂ is not the penalised Θ, whose likelihood undervalues its
    edges, but that of maximum likelihood among the matrices with the same zeros (`refit`). It
    judges the penalty; what is returned here is the penalised Θ.

    The path ends once the criterion has stayed above its minimum at three penalties below
    √(1 − exp(−c/n)), c = log n + 4 γ log p the price of an edge: a single pair whose correlation is
    weaker than that cannot pay its price, whereas above it the criterion may rise and fall again.
    It also ends, and says so, before a penalty whose graph has no Θ̂ (too many edges for so few
    cells), and after a fixed amount of work: small penalties are slow and far from the minimum.

    Solved by block coordinate descent in the connected components of |S_ij| > λ, which gives the
    solution of the whole exactly. Columns are solved by skglm's coordinate descent, whose compiler
    takes one to two seconds the first time in a process. Its own sweeps cannot be given a start;
    these begin at S + λ/λ₀ (W₀ − S), from the solution W₀ for a larger penalty λ₀: no further than
    λ from S, as the solution is, and positive definite also where S is singular. With strong
    factors that saves most of the sweeps. Every solution is held against the optimality conditions,
    W = Θ⁻¹,

        w_ii = s_ii,   w_ij − s_ij = λ sign(θ_ij) on the edges,   |w_ij − s_ij| ≤ λ elsewhere

    and must meet them to 1e-6.

    Parameters
    ----------
    values : (cells, genes)
        Standardised expression (see `standardise`): S = values' values / cells has a diagonal of 1.
    penalty : float
        λ > 0, in the units of a correlation. None to choose it; if given, the path has this row
        alone.

    Raises
    ------
    InputError
        If the solution for the penalty given does not meet the conditions. A path ends before such
        a penalty and says so.

    References
    ----------
    Friedman, Hastie and Tibshirani, Sparse inverse covariance estimation with the graphical lasso,
    Biostatistics 9 (2008). Components: Witten, Friedman and Simon, J. Computational and Graphical
    Statistics 20 (2011); Mazumder and Hastie, J. Machine Learning Research 13 (2012). EBIC: Foygel
    and Drton, Advances in Neural Information Processing Systems 23 (2010).
    """
    cells = len(values)
    sample = values.T @ values / cells
    sample = (sample + sample.T) / 2.0
    if penalty is None:
        return _best_of_path(sample, cells)
    solution = solve(sample, penalty)
    if solution is None:
        raise InputError(
            "graphical lasso",
            f"no solution to {VIOLATION:g} with a penalty of {penalty:g}",
            "a penalty large enough for these genes, or another estimator",
        )
    row = {"penalty": penalty, "edges": count_edges(solution.precision)}
    path = pd.DataFrame([row]).assign(log_likelihood=np.nan, ebic=np.nan)
    return Lasso(solution.precision, solution.covariance, penalty, path, "the penalty was given")


@dataclass(frozen=True)
class Solution:
    """Θ and Θ⁻¹, both (genes, genes), for a penalty; where one can begin for a smaller one."""

    precision: np.ndarray
    covariance: np.ndarray
    penalty: float

    @classmethod
    def without_edges(cls, sample: np.ndarray) -> Solution:
        """Return the solution for the smallest penalty that leaves no edge."""
        variances = np.diagonal(sample)
        largest = float(np.abs(sample - np.diag(variances)).max())
        return cls(np.diag(1.0 / variances), np.diag(variances), largest)


def _best_of_path(sample: np.ndarray, cells: int) -> Lasso:
    """Walk from the penalty without edges to smaller ones and keep the one of least EBIC."""
    genes, price = len(sample), _price_of_an_edge(cells, len(sample))
    worthwhile = np.sqrt(-np.expm1(-price / cells))
    budget = Budget(SWEEPS * float(max(genes, LARGE)) ** 3)
    best = last = Solution.without_edges(sample)
    rows = [_row(sample, best, best.precision, cells)]
    least, past, ended = rows[0]["ebic"], 0, "the smallest penalty was reached"
    for penalty in map(float, best.penalty * np.geomspace(1.0, SMALLEST, PENALTIES)[1:]):
        solution = solve(sample, penalty, last, budget)
        fitted = None if solution is None else refit(sample, solution.precision, budget)
        if solution is None or fitted is None:
            ended = _why_not(solution is not None, budget) + f" a penalty of {penalty:.3g}"
            break
        last = solution
        rows.append(_row(sample, solution, fitted, cells))
        past += penalty < worthwhile
        if rows[-1]["ebic"] < least:
            best, least, past = solution, rows[-1]["ebic"], 0
        if past == PATIENCE:
            ended = f"the criterion was above its minimum at the last {PATIENCE} penalties"
            break
    return Lasso(best.precision, best.covariance, best.penalty, pd.DataFrame(rows), ended)


def _why_not(solved: bool, budget: Budget) -> str:
    """Say why the path ends before a penalty."""
    if budget.left < 0.0:
        return "the work allowed for the path was done before"
    if solved:
        return "no likelihood was found to be largest for the edges of"
    return f"no solution to {VIOLATION:g} was found with"


def solve(
    sample: np.ndarray, penalty: float, start: Solution | None = None, budget: Budget | None = None
) -> Solution | None:
    """Solve for one penalty λ > 0; None if a component does not meet the optimality conditions.

    Parameters
    ----------
    sample : (genes, genes)
        S, symmetric, with positive variances.
    start : Solution
        For a larger penalty. None for the one without edges.
    budget : Budget
        That the sweeps are taken from. None for no limit but ROUNDS.
    """
    start = Solution.without_edges(sample) if start is None else start
    nearer = min(1.0, penalty / start.penalty) if start.penalty > 0.0 else 0.0
    first = sample + nearer * (start.covariance - sample)
    penalties = np.full(sample.shape, penalty)
    found = _by_components(sample, penalties, first, start.precision, _lasso_column, budget)
    return None if found is None else Solution(*found, penalty)


def refit(
    sample: np.ndarray, precision: np.ndarray, budget: Budget | None = None
) -> np.ndarray | None:
    """Find the precision matrix of largest likelihood among those with the same zeros.

    That is the graphical lasso without a penalty on the edges and with an infinite one elsewhere:
    Θ̂⁻¹ equals S on the diagonal and on the edges (Dempster, Biometrics 28, 1972). Sweeps begin at
    S, which they cannot leave where most genes have as many neighbours as there are cells.
    None if no such matrix was found: with few cells the likelihood may grow for ever.
    """
    penalties = np.where(precision != 0, 0.0, np.inf)
    found = _by_components(sample, penalties, sample, precision, _fitted_column, budget)
    if found is None or 1.0 / np.diagonal(found[0]).max() < UNEXPLAINED:
        return None
    return found[0]


# From the covariance of all genes, that of one with all in S, where to begin, penalties, and how
# exact to be: minus the coefficients of its regression on the others, as skglm has them.
Column = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray, float], np.ndarray]


def _by_components(
    sample: np.ndarray,
    penalties: np.ndarray,
    first: np.ndarray,
    precision: np.ndarray,
    column: Column,
    budget: Budget | None,
) -> tuple[np.ndarray, np.ndarray] | None:
    """Solve within each connected component of |S_ij| > λ_ij, and put the solutions together."""
    number, labels = connected_components(np.abs(sample) > penalties, directed=False)
    alone = Solution.without_edges(sample)
    found = alone.precision, alone.covariance
    sizes = np.bincount(labels, minlength=number)
    for component in np.flatnonzero(sizes > 1):
        block = np.ix_(*[np.flatnonzero(labels == component)] * 2)
        part = _solve_connected(
            sample[block], penalties[block], first[block], precision[block], column, budget
        )
        if part is None:
            return None
        found[0][block], found[1][block] = part
    return found


def _solve_connected(
    sample: np.ndarray,
    penalties: np.ndarray,
    first: np.ndarray,
    precision: np.ndarray,
    column: Column,
    budget: Budget | None = None,
) -> tuple[np.ndarray, np.ndarray] | None:
    """Solve for genes that all hang together; None if that misses the optimality conditions.

    Sweeps begin at the covariance `first` and the coefficients of `precision`: for every gene g the
    row θ_gj / θ_gg, minus its regression on the others, with 0 for itself.
    """
    covariance = first.copy()
    np.fill_diagonal(covariance, np.diagonal(sample))
    rows = precision / np.diagonal(precision)[:, np.newaxis]
    np.fill_diagonal(rows, 0.0)
    apart = penalties.copy()
    np.fill_diagonal(apart, np.inf)
    change, wanted = 1.0, list(CHANGES)
    for _ in range(ROUNDS):
        if budget is not None and not budget.pays_for(len(sample)):
            return None
        exactness = min(COARSEST, max(FINEST, SHARE * change))
        change = _sweep(sample, apart, covariance, rows, column, exactness)
        if not np.isfinite(change) or not wanted:
            return None
        if change <= wanted[0]:
            found = _precision_of(covariance, rows)
            if found is not None and violation(sample, *found, penalties) <= VIOLATION:
                return found
            wanted.pop(0)
    return None


def _sweep(
    sample: np.ndarray,
    penalties: np.ndarray,
    covariance: np.ndarray,
    rows: np.ndarray,
    column: Column,
    exactness: float,
) -> float:
    """Solve every column of the covariance given the others, in place; return the largest change.

    An infinite penalty keeps a coefficient at 0, so that each gene can stay among its own
    regressors and no copy of the covariance without it is needed.
    """
    changes = np.empty(len(rows))
    for gene, penalty in enumerate(penalties):
        rows[gene] = column(covariance, sample[gene], rows[gene], penalty, exactness)
        new = -(covariance @ rows[gene])
        new[gene] = sample[gene, gene]
        changes[gene] = np.abs(new - covariance[gene]).max()
        covariance[gene] = covariance[:, gene] = new
    return float(changes.max())


def _lasso_column(
    covariance: np.ndarray, target: np.ndarray, row: np.ndarray, penalty: np.ndarray, exact: float
) -> np.ndarray:
    """Regress one gene on the others with a penalty, by coordinate descent from `row`."""
    from skglm.covariance import barebones_cd_gram

    return barebones_cd_gram(covariance, target, row, 1.0, penalty, max_iter=ROUNDS, tol=exact)


def _fitted_column(
    covariance: np.ndarray, target: np.ndarray, row: np.ndarray, penalty: np.ndarray, exact: float
) -> np.ndarray:
    """Regress one gene on those without a penalty, by the normal equations."""
    fitted, edges = np.zeros(len(row)), np.flatnonzero(penalty == 0.0)
    try:
        fitted[edges] = -np.linalg.solve(covariance[np.ix_(edges, edges)], target[edges])
    except np.linalg.LinAlgError:  # as many regressors as cells
        fitted[:] = np.nan
    return fitted


def _precision_of(covariance: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Return Θ from the regressions of all genes, and its inverse; None if it has none."""
    left = np.diagonal(covariance) + np.einsum("ij,ij->i", rows, covariance)
    if not (left > 0.0).all():
        return None
    precision = rows / left[:, np.newaxis]
    # Two genes are joined where each takes part in the regression of the other.
    precision[(rows == 0) | (rows.T == 0)] = 0.0
    precision = (precision + precision.T) / 2.0
    np.fill_diagonal(precision, 1.0 / left)
    try:
        return precision, precision_matrix(precision)
    except InputError:  # not positive definite, or not finite: as far from solved as can be
        return None


def violation(
    sample: np.ndarray, precision: np.ndarray, covariance: np.ndarray, penalties: float | np.ndarray
) -> float:
    """Largest amount by which the optimality conditions are missed (see `graphical_lasso`).

    Given S, Θ, Θ⁻¹, and λ or one of them for every pair.
    """
    slack = covariance - sample
    themselves = np.eye(len(sample), dtype=bool)
    edges = (precision != 0) & ~themselves
    at_edges = np.abs(slack - np.where(edges, penalties, 0.0) * np.sign(precision))
    elsewhere = np.maximum(np.abs(slack) - penalties, 0.0)
    return float(np.where(edges | themselves, at_edges, elsewhere).max())


def count_edges(precision: np.ndarray) -> int:
    """Count pairs of genes with θ_ij ≠ 0."""
    return int(np.count_nonzero(precision) - len(precision)) // 2


def _price_of_an_edge(cells: int, genes: int) -> float:
    """What EBIC asks of one more edge: log n + 4 γ log p."""
    return float(np.log(cells) + 4.0 * GAMMA * np.log(genes))


def _row(
    sample: np.ndarray, solution: Solution, fitted: np.ndarray, cells: int
) -> dict[str, float]:
    """Describe the solution for one penalty, judged by the likelihood of the refit."""
    edges = count_edges(solution.precision)
    likelihood = float(cells / 2.0 * (np.linalg.slogdet(fitted)[1] - np.vdot(sample, fitted)))
    return {
        "penalty": solution.penalty,
        "edges": edges,
        "log_likelihood": likelihood,
        "ebic": -2.0 * likelihood + edges * _price_of_an_edge(cells, len(sample)),
    }
