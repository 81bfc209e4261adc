"""Factor model of the covariance: few common factors and an own variance for every gene.

Σ = D + U Uᵀ,   D = diag(d),   U (genes × k)
"""

from __future__ import annotations

import warnings

import numpy as np
from scipy import linalg
from scipy.sparse.linalg import eigsh

# Permutations from which the largest eigenvalue without correlations is taken.
PERMUTATIONS = 10
SEED = 0
# More factors than this are not looked for.
MOST = 100
# A uniqueness below this share of the gene's unit variance is set to it.
FLOOR = 0.005
# The fit ends when an iteration raises the log-likelihood by less than this per cell and gene. The
# randomised decomposition adds noise of its own, and its problems are large: it ends earlier.
TOLERANCE, RANDOMISED_TOLERANCE, ITERATIONS = 1e-8, 1e-7, 1_000
# The exact decomposition is used where the shorter side is at most this, else the randomised one.
EXACT = 600


def factor_count(values: np.ndarray) -> int:
    """Count the factors: eigenvalues of S above what uncorrelated genes would reach.

    That edge is the largest eigenvalue among 10 copies of the data in which every gene's cells are
    permuted on their own (parallel analysis). The edge of Marchenko and Pastur,
    (1 + √(genes / cells))², is about the same for dense data; but in sparse counts two rare genes
    that meet in one cell by chance are an eigenvalue above it, which permuted copies have as well.
    One edge holds for all eigenvalues, so that beside very strong factors weak ones are missed
    rather than invented.

    Parameters
    ----------
    values : (cells, genes)
        Standardised expression (see `standardise`): S = values' values / cells.

    Returns
    -------
    int
        At least 1; at most half the shorter side of the data, and 100.

    References
    ----------
    Horn, A rationale and test for the number of factors in factor analysis, Psychometrika 30
    (1965).
    """
    rng = np.random.default_rng(SEED)
    edge = max(_largest(rng.permuted(values, axis=0), rng) for _ in range(PERMUTATIONS))
    above = int((linalg.eigvalsh(_gram(values)) > edge).sum())
    return int(np.clip(above, 1, min(_most(values), MOST)))


def factor_model(values: np.ndarray, factors: int | None) -> tuple[np.ndarray, np.ndarray, int]:
    """Fit the factor model by maximum likelihood (scikit-learn's FactorAnalysis).

    Alternates between the loadings that are best given the uniquenesses d, by a singular value
    decomposition, and the uniquenesses that keep every variance, until the log-likelihood rises by
    less than 1e-8 per cell and gene. The decomposition is exact where the shorter side of the data
    is at most 600; otherwise a randomised one with a fixed seed, until 1e-7. scikit-learn warns
    (ConvergenceWarning) if 1,000 iterations are not enough.

    Uniquenesses can go to zero (Heywood cases: a factor becomes a single gene), which would leave Σ
    without an inverse. They are floored at .005 of the gene's variance and one more iteration fits
    everything else to that; the variance of a floored gene can be that much above 1.

    Parameters
    ----------
    values : (cells, genes)
        Standardised expression (see `standardise`), every column of mean 0.
    factors : int
        k, cut to half the shorter side of the data. None for `factor_count`.

    Returns
    -------
    diagonal : (genes,)
        Uniquenesses d, at least .005.
    factor : (genes, k)
        Loadings U. Only U Uᵀ is determined: columns may be rotated.
    factors : int
        k.

    References
    ----------
    Barber, Bayesian Reasoning and Machine Learning (2012), section 21.2; as implemented by
    scikit-learn.
    """
    k = factor_count(values) if factors is None else min(factors, _most(values))
    rows = fewer_rows(values)
    diagonal, factor = _fit(rows, k, None)
    if (diagonal < FLOOR).any():
        diagonal, factor = _fit(rows, k, np.maximum(diagonal, FLOOR))
    return np.maximum(diagonal, FLOOR), factor, k


def fewer_rows(values: np.ndarray) -> np.ndarray:
    """Replace many cells by genes + 1 rows of mean 0 that have the same covariance.

    The likelihood depends on the data through S alone. With values = Q R, R'R = cells · S; Helmert
    contrasts H (genes × genes + 1, orthonormal rows of sum 0) make rows H'R of mean 0.

    Parameters
    ----------
    values : (cells, genes)
        Columns of mean 0.

    Returns
    -------
    (rows, genes)
        With rows' rows / number of rows = values' values / cells; `values` itself unless it has
        more than twice as many cells as genes.
    """
    cells, genes = values.shape
    if cells <= 2 * genes:
        return values
    triangle = np.linalg.qr(values, mode="r")
    return np.sqrt((genes + 1) / cells) * (linalg.helmert(genes + 1).T @ triangle)


def _fit(
    rows: np.ndarray, factors: int, uniquenesses: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Fit d and U; where uniquenesses are given, by one iteration from there."""
    from sklearn.decomposition import FactorAnalysis
    from sklearn.exceptions import ConvergenceWarning

    exact = min(rows.shape) <= EXACT
    analysis = FactorAnalysis(
        factors,
        tol=(TOLERANCE if exact else RANDOMISED_TOLERANCE) * rows.size,
        max_iter=ITERATIONS if uniquenesses is None else 1,
        noise_variance_init=uniquenesses,
        svd_method="lapack" if exact else "randomized",
        random_state=SEED,
    )
    with warnings.catch_warnings():
        if uniquenesses is not None:  # a single iteration is what was asked for
            warnings.simplefilter("ignore", ConvergenceWarning)
        analysis.fit(rows)
    return analysis.noise_variance_, analysis.components_.T


def _most(values: np.ndarray) -> int:
    """Most factors that the data can tell from uniquenesses."""
    return max(1, min(values.shape) // 2)


def _gram(values: np.ndarray) -> np.ndarray:
    """Products of the shorter side over the cells: the eigenvalues of S, but for zeros."""
    cells, genes = values.shape
    return (values.T @ values if cells >= genes else values @ values.T) / cells


def _largest(values: np.ndarray, rng: np.random.Generator) -> float:
    """Largest eigenvalue of S, by iterations from a random start."""
    gram = _gram(values)
    if len(gram) < 3:  # too small for iterations
        return float(linalg.eigvalsh(gram)[-1])
    start = rng.normal(size=len(gram))
    return float(eigsh(gram, k=1, v0=start, tol=1e-6, return_eigenvectors=False)[0])
