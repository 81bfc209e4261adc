"""Embeddings of genes and of perturbations."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np

from lgem.errors import InputError, listing
from lgem.prediction.codes import FormSettings, gene_scores
from lgem.prediction.components import principal_scores
from lgem.prediction.space import Columns
from lgem.screen.labels import Target, genes_of

# What `dimensions: auto` of the published model means, and how many are ever tried or drawn.
PUBLISHED_DIMENSIONS, MOST_DIMENSIONS = 10, 50
PCA, PCA_UNADJUSTED, PCA_EXPRESSION = "pca", "pca_unadjusted", "pca_expression"
LMF = "lmf"
# Made from the samples behind the effects.
OF_SAMPLES = (PCA_UNADJUSTED, LMF)
# Made from the training effects, in one way or another.
OF_EFFECTS = (PCA, PCA_EXPRESSION, *OF_SAMPLES)
RANDOM, IDENTITY, FILE = "random", "identity", "file"
TARGET, DATASET = "target", "dataset"


def pca_scores(
    expression: np.ndarray, dimensions: int, ones: np.ndarray | None = None
) -> np.ndarray:
    """Return principal-component scores of genes: G (genes × dimensions).

    Genes are the observations and samples the variables; every sample is centred over the genes
    and not scaled, so that G = U S of the centred matrix.

    Parameters
    ----------
    expression
        Log-expression (genes × samples).
    dimensions
        Components to keep.
    ones
        The vector with 1 for every gene, where genes go by other coordinates (rows,).

    Notes
    -----
    The gene embedding of Ahlmann-Eltze, Huber & Anders (2025), Nature Methods 22, 1657.
    """
    ones = np.ones(len(expression)) if ones is None else ones
    centred = expression - np.outer(ones, ones @ expression) / (ones @ ones)
    return principal_scores(centred, dimensions)


def choose_dimensions(asked: int | None, most: int, preferred: int, columns: str) -> int:
    """Return the dimensions asked for, or as many of the preferred ones as there can be.

    Raises
    ------
    InputError
        Where more are asked for than the training set allows; `columns` says in words what it has.
    """
    if asked is None:
        return min(preferred, most)
    if asked > most:
        raise InputError("dimensions", f"{asked}", f"at most {most} ({columns}), or auto")
    return asked


def target_embedding(gene_embedding: np.ndarray, targets: Sequence[tuple[int, ...]]) -> np.ndarray:
    """Return P (perturbations × dimensions): each perturbation is the sum of its targets' rows.

    Control, which has no target, is a row of zeros.
    """
    P = np.zeros((len(targets), gene_embedding.shape[1]))
    for row, genes in enumerate(targets):
        P[row] = gene_embedding[list(genes)].sum(axis=0)
    return P


@dataclass(frozen=True)
class GeneEmbedding:
    """Where G (genes × d) comes from.

    Parameters
    ----------
    source
        ``pca``: components of the training effects, as they are, since no effect is the origin;
        ``pca_unadjusted``: of effects that are not adjusted for batch; ``pca_expression``: of the
        log-expression of all training profiles and control, as
        published; ``lmf``: loadings of the linear mixed forms of the training samples; ``random``:
        normal numbers; ``identity``: every gene for itself; ``file``: a
        table.
    values
        The embedding (genes × d) for ``random`` and ``file``.
    unknown
        Rows of the genes that a table lacks.
    forms
        Settings of the mixed forms for ``lmf``.
    """

    source: str
    values: np.ndarray | None = None
    unknown: frozenset[int] = frozenset()
    forms: FormSettings | None = None

    @property
    def nested(self) -> bool:
        """Whether fewer dimensions are the first ones of more."""
        return self.source in (PCA, PCA_UNADJUSTED, PCA_EXPRESSION, LMF, RANDOM)

    def first(self, dimensions: int) -> GeneEmbedding:
        """Return the first columns of a table alone; what is not a table stays as it is."""
        if self.source != FILE or self.values is None:
            return self
        _check_width(dimensions, self.values.shape[1], "gene")
        return replace(self, values=self.values[:, :dimensions])

    def of(self, columns: Columns, dimensions: int) -> np.ndarray:
        """Return the embedding of the genes in the space of the columns (r × d)."""
        if self.source == PCA:
            return principal_scores(columns.effects, dimensions)
        if self.source == PCA_UNADJUSTED:
            assert columns.samples is not None
            return principal_scores(columns.samples.pooled(columns.perturbations), dimensions)
        if self.source == PCA_EXPRESSION:
            profiles = np.column_stack(
                [columns.control[:, None] + columns.effects, columns.control]
            )
            return pca_scores(profiles, dimensions, columns.ones)
        if self.source == LMF:
            assert columns.samples is not None
            assert self.forms is not None
            scores = gene_scores(columns.samples, self.forms, columns.basis)[:, :dimensions]
            return np.pad(scores, ((0, 0), (0, dimensions - scores.shape[1])))
        assert self.values is not None
        return columns.coordinates(self.values[:, :dimensions] if self.nested else self.values)

    def most(self, columns: Columns, genes: int) -> int:
        """Return how many dimensions it can have."""
        if self.source in (PCA, PCA_UNADJUSTED):
            return min(genes, len(columns.perturbations))
        if self.source == PCA_EXPRESSION:
            return min(genes - 1, len(columns.perturbations) + 1)
        if self.source == LMF:
            assert self.forms is not None
            return min(genes, len(columns.perturbations), self.forms.dimensions)
        return genes if self.values is None else self.values.shape[1]


def random_genes(genes: int, dimensions: int, seed: int) -> GeneEmbedding:
    """Return an embedding of normal numbers (genes × dimensions); fewer are the first ones."""
    draws = np.random.default_rng([seed, 1]).standard_normal((dimensions, genes))
    return GeneEmbedding(RANDOM, draws.T)


def random_vector(gene: str, dimensions: int, seed: int) -> np.ndarray:
    """Return a gene's vector of normal numbers, the same in every training set."""
    return _draws(gene, max(dimensions, MOST_DIMENSIONS), seed)[:dimensions]


@lru_cache(maxsize=100_000)
def _draws(gene: str, dimensions: int, seed: int) -> np.ndarray:
    digest = hashlib.sha256(f"{seed}/{gene}".encode()).digest()
    generator = np.random.default_rng(int.from_bytes(digest[:8], "big"))
    return generator.standard_normal(dimensions)


@dataclass(frozen=True)
class PerturbationEmbedding:
    """Where P (perturbations × d) comes from.

    Parameters
    ----------
    source
        ``target``: the target's row of G; ``pca``: its row of the principal components of the
        training effects, whatever G is; ``random``: normal numbers; ``file``: a table;
        ``dataset``: the perturbation's components in another data set.
    table
        Vectors by name of perturbation or gene, for ``file`` and ``dataset``.
    seed
        Of ``random``.
    unknown
        Rows of the genes that cannot be looked up.

    Notes
    -----
    A combination that has no vector of its own is the sum of its genes' vectors.
    """

    source: str
    table: Mapping[str, np.ndarray] = field(default_factory=dict)
    seed: int = 0
    unknown: frozenset[int] = frozenset()

    @property
    def by_gene(self) -> bool:
        """Whether vectors are rows of an embedding of the genes measured."""
        return self.source in (TARGET, PCA)

    @property
    def nested(self) -> bool:
        """Whether fewer dimensions are the first ones of more."""
        return self.source in (RANDOM, DATASET)

    def why_not(self, perturbation: str, target: Target) -> str:
        """Return why a perturbation cannot be embedded, or nothing where it can."""
        if self.by_gene and target.rows is not None:
            return "target not in the gene embedding" if self.unknown & {*target.rows} else ""
        if self.by_gene:
            return target.reason
        if self.source == RANDOM or perturbation in self.table:
            return ""
        missing = [gene for gene in genes_of(perturbation) if gene not in self.table]
        return f"not in the perturbation embedding: {listing(missing)}" if missing else ""

    def vector(self, perturbation: str, dimensions: int) -> np.ndarray:
        """Return the vector of a perturbation that `why_not` has nothing against."""
        if self.source == RANDOM:
            genes = [random_vector(g, dimensions, self.seed) for g in genes_of(perturbation)]
            return np.sum(genes, axis=0)
        if perturbation in self.table:
            found = self.table[perturbation]
        else:
            found = np.sum([self.table[gene] for gene in genes_of(perturbation)], axis=0)
        return found[:dimensions] if self.nested else found

    def first(self, dimensions: int) -> PerturbationEmbedding:
        """Return the first columns of a table alone; what is not a table stays as it is."""
        if self.source != FILE:
            return self
        _check_width(dimensions, self.width, "perturbation")
        return replace(self, table={name: row[:dimensions] for name, row in self.table.items()})

    @property
    def width(self) -> int:
        """Dimensions of the table's vectors; none without a table."""
        return len(next(iter(self.table.values()))) if self.table else 0


def _check_width(dimensions: int, width: int, what: str) -> None:
    if dimensions > width:
        raise InputError(
            "dimensions",
            f"{dimensions}",
            f"at most {width}, the columns of the {what} embedding's table, or auto",
        )
