"""Embeddings of genes and of perturbations."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import linalg

from lgem.errors import InputError
from lgem.systems import numerical_rank


def pca_scores(expression: np.ndarray, dimensions: int) -> np.ndarray:
    """Return principal-component scores of genes: G (genes × dimensions).

    Genes are the observations and samples the variables; every sample is centred over the genes
    and not scaled, so that G = U S of the centred matrix. The sign of each component is fixed:
    its entry of largest magnitude is positive. Components beyond the rank are zeros.

    Parameters
    ----------
    expression
        Log-expression (genes × samples).
    dimensions
        Components to keep, at most `most_dimensions`.

    Notes
    -----
    The gene embedding of Ahlmann-Eltze, Huber & Anders (2025), Nature Methods 22, 1657.
    """
    centred = expression - expression.mean(axis=0)
    U, s, _ = linalg.svd(centred, full_matrices=False)
    # Rounding noise in place of these zeros would pass for signal among the few rows of targets.
    s[numerical_rank(s, centred.shape) :] = 0
    G = U[:, :dimensions] * s[:dimensions]
    signs = np.sign(G[np.abs(G).argmax(axis=0), np.arange(G.shape[1])])
    return G * np.where(signs == 0, 1.0, signs)


def most_dimensions(expression: np.ndarray) -> int:
    """Return how many components a centred matrix (genes × samples) can have."""
    genes, samples = expression.shape
    return min(genes - 1, samples)


def choose_dimensions(asked: int | None, expression: np.ndarray, preferred: int = 10) -> int:
    """Return the dimensions asked for, or as many of the preferred ones as there can be.

    Raises
    ------
    InputError
        Where more are asked for than the training set allows.
    """
    most = most_dimensions(expression)
    if asked is None:
        return min(preferred, most)
    if asked > most:
        genes, samples = expression.shape
        raise InputError(
            "dimensions",
            f"{asked}",
            f"at most {most} ({genes} genes, {samples} training profiles with control), or auto",
        )
    return asked


def target_embedding(gene_embedding: np.ndarray, targets: Sequence[tuple[int, ...]]) -> np.ndarray:
    """Return P (perturbations × dimensions): each perturbation is the sum of its targets' rows.

    Control, which has no target, is a row of zeros.
    """
    P = np.zeros((len(targets), gene_embedding.shape[1]))
    for row, genes in enumerate(targets):
        P[row] = gene_embedding[list(genes)].sum(axis=0)
    return P
