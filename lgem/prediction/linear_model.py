"""The linear gene expression model as a predictor: chosen, fitted, saved, asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lgem.prediction.codes import FormSettings
from lgem.prediction.embedding import (
    DATASET,
    LMF,
    MOST_DIMENSIONS,
    PCA,
    PUBLISHED_DIMENSIONS,
    RANDOM,
    TARGET,
    GeneEmbedding,
    PerturbationEmbedding,
    choose_dimensions,
    random_genes,
    target_embedding,
)
from lgem.prediction.intervals import LeftOut
from lgem.prediction.linear import Parameters, Specification, fit_columns, known_columns
from lgem.prediction.space import Columns
from lgem.prediction.training import MEAN_ONLY, NOT_EMBEDDABLE, PREDICTED, Answer, Training
from lgem.prediction.tuning import (
    DIMENSIONS,
    MEAN_WEIGHTS,
    PARTS,
    Choice,
    Grid,
    choose,
    penalties_of,
)
from lgem.screen.labels import Target


@dataclass(frozen=True)
class Settings:
    """What config says of a linear model; None is chosen inside the training set.

    Parameters
    ----------
    gene_embedding, perturbation_embedding
        Sources of G and P, see `GeneEmbedding` and `PerturbationEmbedding`.
    solver
        Name of one of `SOLVERS`.
    dimensions
        d; 0 switches the bilinear part off.
    penalty
        λ, for the solvers that have one.
    mean_weight
        s.
    published
        Whether training, mean and answers are those of the published model: see
        `Specification`; what cannot be embedded has no prediction.
    seed
        Of random embeddings.
    mixed_forms
        Settings of `FormSettings`, for the gene embedding ``lmf``.
    """

    gene_embedding: str = PCA
    perturbation_embedding: str = TARGET
    solver: str = "tikhonov"
    dimensions: int | None = None
    penalty: float | None = None
    mean_weight: float | None = None
    published: bool = False
    seed: int = 0
    mixed_forms: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class LinearModel:
    """The linear gene expression model: effect = s·b + G W p.

    Parameters
    ----------
    bias
        s·b (genes,).
    gene_embedding
        G (genes × d); None where every gene stands for itself.
    weights
        W (d × e), or (genes × e) without a gene embedding.
    looked_up
        Embedding of the genes that targets are looked up in (genes × e), where it is not G.
    embedding
        Where p comes from.
    published
        Whether what cannot be embedded has no prediction.
    dimensions
        d; 0 where the bilinear part is off.
    never_bilinear
        Whether the model has no bilinear part by its settings.
    trained
        Training perturbations that could be embedded.
    left_out
        For intervals.
    choice
        What was chosen.
    """

    bias: np.ndarray
    gene_embedding: np.ndarray | None
    weights: np.ndarray
    looked_up: np.ndarray | None
    embedding: PerturbationEmbedding
    published: bool
    dimensions: int
    never_bilinear: bool
    trained: int
    left_out: LeftOut
    choice: Choice

    @classmethod
    def fit(
        cls,
        training: Training,
        settings: Settings,
        masked: bool = False,
        genes: GeneEmbedding | None = None,
        perturbations: PerturbationEmbedding | None = None,
    ) -> LinearModel:
        """Choose what is to be chosen, fit W, and leave every perturbation out for intervals.

        Parameters
        ----------
        training
            The training set; own entries 0 where `masked`.
        settings
            What config says.
        masked
            Whether own entries are predicted by other means and do not count.
        genes, perturbations
            Embeddings that were read or computed elsewhere.

        Raises
        ------
        InputError
            Where d is larger than the training set allows.
        """
        specification = _specification(training, settings, genes, perturbations)
        columns = Columns.of(training)
        known = known_columns(columns, specification.perturbations)
        grid = _grid(columns, specification, settings, len(training.control), known)
        fixed = all(len(v) == 1 for v in (grid.mean_weights, grid.dimensions, grid.penalties))
        if fixed or (settings.dimensions == 0 and len(grid.mean_weights) == 1):
            d = grid.dimensions[0] if grid.dimensions else 0
            parameters = Parameters(grid.mean_weights[0], d, grid.penalties[0] if d else 0.0)
            choice = Choice(parameters, _parts(parameters), {}, float("nan"))
        else:
            choice = choose(columns, specification, grid, masked)
        fit = fit_columns(columns, specification, choice.parameters)
        return cls(
            bias=fit.bias,
            gene_embedding=fit.gene_embedding,
            weights=fit.weights,
            looked_up=None if fit.lookup is fit.gene_embedding else fit.lookup,
            embedding=specification.perturbations,
            published=settings.published,
            dimensions=choice.parameters.dimensions if known else 0,
            never_bilinear=settings.dimensions == 0,
            trained=len(known),
            left_out=LeftOut.of(training, specification, choice.parameters, masked),
            choice=choice,
        )

    def predict(self, perturbation: str, target: Target, level: float | None = None) -> Answer:
        """Predict s·b + G W p, or s·b alone where the perturbation cannot be embedded.

        Parameters
        ----------
        perturbation
            Its name; genes of a combination are joined by ``+``, sorted.
        target
            The measured genes that it acts on.
        level
            Share of what will be observed that intervals are to cover; None: no intervals.
        """
        why = self.why_not(perturbation, target)
        if why and self.published:
            return Answer(None, NOT_EMBEDDABLE, why)
        effect = self.bias.copy()
        if not why and self.dimensions:
            moved = self.weights @ self.embed(perturbation, target)
            effect += moved if self.gene_embedding is None else self.gene_embedding @ moved
        answer = Answer(effect, MEAN_ONLY if why else PREDICTED, why)
        if level is None:
            return answer
        lower, upper = self.left_out.bounds(
            perturbation, target, self.embedding, self.dimensions, level
        )
        return replace(answer, lower=lower, upper=upper)

    def why_not(self, perturbation: str, target: Target) -> str:
        """Return why a perturbation has no bilinear part, or nothing where it may have one."""
        if self.never_bilinear:
            return ""
        why = self.embedding.why_not(perturbation, target)
        return why or ("" if self.trained else "no training perturbation can be embedded")

    def embed(self, perturbation: str, target: Target) -> np.ndarray:
        """Return p (e,)."""
        lookup = self.gene_embedding if self.looked_up is None else self.looked_up
        if self.embedding.by_gene and lookup is not None:
            return target_embedding(lookup, [target.rows or ()])[0]
        return self.embedding.vector(perturbation, self.dimensions)

    @property
    def residuals(self) -> int:
        """How many left-out residuals the intervals are made from."""
        return len(self.left_out.fold)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return all parts as named arrays."""
        choice = self.choice
        found = {
            "bias": self.bias,
            "weights": self.weights,
            "published": np.array(self.published),
            "dimensions": np.array(self.dimensions),
            "never_bilinear": np.array(self.never_bilinear),
            "trained": np.array(self.trained),
            "choice": np.array(
                [choice.parameters.mean_weight, choice.parameters.dimensions,
                 choice.parameters.penalty, PARTS.index(choice.parts), choice.margin]
            ),
            "losses": np.array([choice.losses.get(part, np.nan) for part in PARTS]),
            "embedding_source": np.array(self.embedding.source),
            "embedding_seed": np.array(self.embedding.seed),
            "embedding_unknown": np.array(sorted(self.embedding.unknown), dtype=int),
            "embedding_names": np.array(list(self.embedding.table), dtype=str),
            "embedding_vectors": np.array(list(self.embedding.table.values())),
        }  # fmt: skip
        for name in ("gene_embedding", "looked_up"):
            if getattr(self, name) is not None:
                found[name] = getattr(self, name)
        return found | {f"left_out_{name}": v for name, v in self.left_out.arrays().items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> LinearModel:
        """Restore what `arrays` returned."""
        s, d, λ, part, margin = arrays["choice"]
        losses = dict(zip(PARTS, map(float, arrays["losses"]), strict=True))
        return cls(
            bias=arrays["bias"],
            gene_embedding=arrays.get("gene_embedding"),
            weights=arrays["weights"],
            looked_up=arrays.get("looked_up"),
            embedding=PerturbationEmbedding(
                str(arrays["embedding_source"]),
                dict(
                    zip(
                        map(str, arrays["embedding_names"]),
                        arrays["embedding_vectors"],
                        strict=True,
                    )
                ),
                int(arrays["embedding_seed"]),
                frozenset(map(int, arrays["embedding_unknown"])),
            ),
            published=bool(arrays["published"]),
            dimensions=int(arrays["dimensions"]),
            never_bilinear=bool(arrays["never_bilinear"]),
            trained=int(arrays["trained"]),
            left_out=LeftOut.from_arrays(unprefixed(arrays, "left_out_")),
            choice=Choice(
                Parameters(float(s), int(d), float(λ)),
                PARTS[int(part)],
                {name: loss for name, loss in losses.items() if not np.isnan(loss)},
                float(margin),
            ),
        )


def unprefixed(arrays: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    """Return the arrays whose names start with a prefix, without it."""
    found = {name: value for name, value in arrays.items() if name.startswith(prefix)}
    return {name.removeprefix(prefix): value for name, value in found.items()}


def _parts(parameters: Parameters) -> str:
    return PARTS[bool(parameters.mean_weight) + 2 * bool(parameters.dimensions)]


def _specification(
    training: Training,
    settings: Settings,
    genes: GeneEmbedding | None,
    perturbations: PerturbationEmbedding | None,
) -> Specification:
    """Return the model's parts, with the embeddings that need nothing but the settings."""
    if genes is None and settings.gene_embedding == RANDOM:
        most = max(settings.dimensions or 0, MOST_DIMENSIONS)
        genes = random_genes(len(training.control), most, settings.seed)
    if genes is None and settings.gene_embedding == LMF:
        genes = GeneEmbedding(LMF, forms=FormSettings(**settings.mixed_forms or {}))
    genes = genes or GeneEmbedding(settings.gene_embedding)
    if perturbations is None:
        source = settings.perturbation_embedding
        unknown = genes.unknown if source == TARGET else frozenset()
        perturbations = PerturbationEmbedding(source, seed=settings.seed, unknown=unknown)
    if settings.dimensions:
        genes = genes.first(settings.dimensions)
        perturbations = perturbations.first(settings.dimensions)
    return Specification(genes, perturbations, settings.solver, settings.published)


def _grid(
    columns: Columns,
    specification: Specification,
    settings: Settings,
    genes: int,
    known: list[int],
) -> Grid:
    """Return the values of s, d and λ to choose among."""
    weights = MEAN_WEIGHTS if settings.mean_weight is None else (settings.mean_weight,)
    penalties = penalties_of(settings.solver, settings.penalty)
    if settings.published and settings.mean_weight is None:
        weights = (1.0,)
    most = _most_dimensions(columns, specification, genes)
    has = f"{genes} genes, {len(columns.perturbations)} training perturbations"
    if settings.dimensions == 0 or not known:
        return Grid(weights, (), penalties)
    if settings.dimensions is not None or settings.published:
        d = choose_dimensions(settings.dimensions, most, PUBLISHED_DIMENSIONS, has)
        return Grid(weights, (d,), penalties)
    if not _any_nested(specification):
        return Grid(weights, (most,), penalties)
    return Grid(weights, tuple(d for d in DIMENSIONS if d <= most) or (most,), penalties)


def _any_nested(specification: Specification) -> bool:
    perturbations = specification.perturbations
    return specification.genes.nested or perturbations.nested or perturbations.source == PCA


def _most_dimensions(columns: Columns, specification: Specification, genes: int) -> int:
    """Return the largest d: what the embeddings that can be cut to d dimensions have."""
    perturbations = specification.perturbations
    most = []
    if specification.genes.nested or not _any_nested(specification):
        most.append(specification.genes.most(columns, genes))
    if perturbations.source == PCA:
        most.append(GeneEmbedding(PCA).most(columns, genes))
    if perturbations.source == DATASET:
        most.append(perturbations.width)
    return min(most) if most else MOST_DIMENSIONS
