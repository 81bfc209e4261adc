"""The fit of the linear gene expression model, Y ≈ s·b 1ᵀ + G W Pᵀ, at given parameters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from lgem.prediction.embedding import (
    IDENTITY,
    OF_SAMPLES,
    PCA,
    PCA_EXPRESSION,
    GeneEmbedding,
    PerturbationEmbedding,
    target_embedding,
)
from lgem.prediction.solvers import DAMPING, SOLVERS, Factor
from lgem.prediction.space import Columns


@dataclass(frozen=True)
class Specification:
    """What a linear model is made of, before anything is chosen or fitted.

    Parameters
    ----------
    genes, perturbations
        Where G and P come from.
    solver
        Name of one of `SOLVERS`.
    published_mean
        Whether b is the mean over the embeddable perturbations and one column of control, as
        published, instead of over all training perturbations.
    """

    genes: GeneEmbedding
    perturbations: PerturbationEmbedding
    solver: str
    published_mean: bool = False


@dataclass(frozen=True)
class Parameters:
    """s, d and λ; d = 0 switches the bilinear part off, s = 0 the mean."""

    mean_weight: float
    dimensions: int
    penalty: float


@dataclass(frozen=True)
class Fit:
    """A fitted linear model in the space of its columns (r rows).

    Parameters
    ----------
    bias
        s·b (r,).
    gene_embedding
        G (r × d); None where every gene stands for itself.
    weights
        W (d × e), or (r × e) without a gene embedding.
    lookup
        Embedding of the genes that perturbations are looked up in (r × e), if they are.
    """

    bias: np.ndarray
    gene_embedding: np.ndarray | None
    weights: np.ndarray
    lookup: np.ndarray | None

    @property
    def loadings(self) -> np.ndarray:
        """G W (r × e): what one unit of each dimension of P changes."""
        return self.weights if self.gene_embedding is None else self.gene_embedding @ self.weights


def known_columns(columns: Columns, embedding: PerturbationEmbedding) -> list[int]:
    """Return the columns whose perturbation can be embedded."""
    pairs = zip(columns.perturbations, columns.targets, strict=True)
    return [k for k, (name, target) in enumerate(pairs) if not embedding.why_not(name, target)]


def mean_effect(columns: Columns, specification: Specification) -> np.ndarray:
    """Return b (r,): the mean effect of the training columns."""
    if specification.published_mean:
        known = known_columns(columns, specification.perturbations)
        return columns.effects[:, known].sum(axis=1) / (len(known) + 1)
    return columns.effects.mean(axis=1)


def lookup_of(
    columns: Columns, specification: Specification, G: np.ndarray | None, dimensions: int
) -> np.ndarray | None:
    """Return the embedding that the targets' rows are taken from (r × e), if they are."""
    source = specification.perturbations
    if not source.by_gene:
        return None
    if source.source == PCA and specification.genes.source != PCA:
        return GeneEmbedding(PCA).of(columns, dimensions)
    return G


def embed_perturbations(
    columns: Columns,
    chosen: Sequence[int],
    embedding: PerturbationEmbedding,
    lookup: np.ndarray | None,
    dimensions: int,
) -> np.ndarray:
    """Return P (chosen columns × e)."""
    if lookup is None:
        return np.array([embedding.vector(columns.perturbations[k], dimensions) for k in chosen])
    rows = [columns.targets[k].rows or () for k in chosen]
    if columns.basis is None:
        return target_embedding(lookup, rows)
    together = [columns.basis[list(genes)].sum(axis=0) for genes in rows]
    return np.reshape(together, (len(chosen), lookup.shape[0])) @ lookup


def fit_columns(columns: Columns, specification: Specification, parameters: Parameters) -> Fit:
    """Fit the model to columns in any space.

    Returns
    -------
    Fit
        Without a bilinear part (d = 0) where no column can be embedded.
    """
    bias = parameters.mean_weight * mean_effect(columns, specification)
    known = known_columns(columns, specification.perturbations)
    d = parameters.dimensions
    if not d or not known:
        nothing = np.zeros((len(bias), 0))
        return Fit(bias, nothing, np.zeros((0, 0)), nothing)
    whole = specification.genes.source == IDENTITY
    G = None if whole else specification.genes.of(columns, d)
    lookup = lookup_of(columns, specification, G, d)
    P = embed_perturbations(columns, known, specification.perturbations, lookup, d)
    R = columns.effects[:, known] - bias[:, None]
    if G is None:
        right, one = Factor.of(P), Factor(np.zeros((1, 1)), np.ones(1), np.ones((1, 1)), 1.0)
        damping = DAMPING[specification.solver](one, right, parameters.penalty)
        W = (damping * (R @ right.U)) @ right.Vt
    else:
        # In coordinates, gradients and Kronecker products would only repeat what pinv gives.
        exact = specification.solver if columns.basis is None else _direct(specification.solver)
        W = SOLVERS[exact](R, G, P, parameters.penalty)
    return Fit(bias, G, W, lookup)


def _direct(solver: str) -> str:
    return solver if solver in ("ridge", "tikhonov") else "pinv"


def space_of(columns: Columns, specification: Specification) -> Columns:
    """Return the columns in the smallest space that the model can be fitted in."""
    if specification.genes.source not in OF_SAMPLES:
        columns = replace(columns, samples=None)  # nothing else looks at single samples
    others = [] if columns.samples is None else [columns.samples.profiles]
    if specification.genes.source == PCA_EXPRESSION:
        others = [columns.control[:, None], columns.ones[:, None]]
    elif specification.genes.values is not None:
        others = [specification.genes.values]
    return columns.compressed(*others)
