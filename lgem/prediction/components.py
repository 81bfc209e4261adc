"""Principal components with signs of their own."""

from __future__ import annotations

import numpy as np
from scipy import linalg

from lgem.systems import numerical_rank


def principal_scores(X: np.ndarray, dimensions: int) -> np.ndarray:
    """Return the scores U S of the leading components of X (rows × columns), as it is.

    The sign of each component is fixed: its entry of largest magnitude is positive. Components
    beyond the rank are zeros.
    """
    U, s, _ = linalg.svd(X, full_matrices=False)
    # Rounding noise in place of these zeros would pass for signal among the few rows of targets.
    s[numerical_rank(s, X.shape) :] = 0
    return signs_fixed(U[:, :dimensions] * s[:dimensions])


def signs_fixed(scores: np.ndarray) -> np.ndarray:
    """Return scores (rows × components), the largest entry of every component positive."""
    return scores * signs_of(scores)


def signs_of(scores: np.ndarray) -> np.ndarray:
    """Return the sign of the largest entry of every component (components,), 1 where it is 0."""
    if not scores.size:
        return np.ones(scores.shape[1])
    signs = np.sign(scores[np.abs(scores).argmax(axis=0), np.arange(scores.shape[1])])
    return np.where(signs == 0, 1.0, signs)
