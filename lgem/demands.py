"""What the config asks of a data set, held against its genes and perturbations.

These are known before anything is counted, and tables, targets and dimensions that do not suit
them need not wait for the stages that use them. Those check again: of what is known here, cells
that are too few may still take something away.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import anndata
import pandas as pd

from lgem.errors import InputError, about, counted
from lgem.network.loadings import check_pathways
from lgem.network.names import lookup
from lgem.network.reference import read_reference
from lgem.prediction.embedding import (
    DATASET,
    FILE,
    OF_EFFECTS,
    PCA,
    TARGET,
    GeneEmbedding,
    PerturbationEmbedding,
    choose_dimensions,
)
from lgem.prediction.given import genes_from_table, read_embedding, read_perturbation_embedding
from lgem.prediction.screen import check_targets
from lgem.prediction.splits import make_splits, read_split_table
from lgem.screen.io import symbols_of
from lgem.screen.labels import CONTROL, LabelRules, TargetIndex
from lgem.screen.panel import listed_rows

# Its splits depend on what can be estimated in each context.
CONTEXT = "context"


@dataclass(frozen=True)
class Known:
    """Genes and perturbations of a data set, and how labels are read."""

    genes: list[str]
    symbols: list[str] | None
    perturbations: list[str]
    labels: LabelRules

    @classmethod
    def of(cls, files: Mapping[str, str], labels: LabelRules) -> Known:
        """Read them from the plan of cells (genes, groups), or from a pseudobulk."""
        if "pseudobulk" in files:
            pseudobulk = anndata.read_h5ad(files["pseudobulk"], backed="r")
            var, groups = pseudobulk.var, pseudobulk.obs
        else:
            var = pd.read_parquet(files["genes"]).set_index("gene")
            groups = pd.read_parquet(files["groups"])
        symbols = symbols_of(var)
        return cls(
            list(map(str, var.index)),
            None if symbols is None else list(symbols),
            sorted({*map(str, groups["perturbation"])} - {CONTROL}),
            labels,
        )

    @property
    def index(self) -> TargetIndex:
        """Finds the measured targets."""
        return TargetIndex(self.genes, self.symbols)


def unmet(known: Known, asked: Mapping[str, Any], seed: int) -> list[InputError]:
    """Return what the config asks for in vain, each once.

    Parameters
    ----------
    known
        Of the data set.
    asked
        ``models`` (name, settings, genes, perturbations), ``targets``, ``splits`` (the section of
        the config), and the paths of tables or None: ``panel``, ``pathways``,
        ``removed_pathways``, ``reference``.
    seed
        Of the config.
    """
    checks: list[Callable[[], object]] = [
        partial(_check_splits, known, asked["splits"], seed),
        *(partial(_check_model, known, model) for model in asked["models"]),
        partial(_check_targets, known, asked["models"][0], asked["targets"]),
    ]
    rows, names = lookup(known.genes, known.symbols), {*known.genes, *(known.symbols or [])}
    if asked["panel"]:
        checks.append(partial(listed_rows, asked["panel"], known.index))
    for key in ("pathways", "removed_pathways"):
        if asked[key]:
            checks.append(partial(check_pathways, asked[key], rows, names))
    if asked["reference"]:
        checks.append(partial(read_reference, asked["reference"], known.genes, known.symbols))
    found: dict[str, InputError] = {}
    for check in checks:
        try:
            check()
        except InputError as error:
            found.setdefault(str(error), error)
    return list(found.values())


def _check_splits(known: Known, splits: Mapping[str, Any], seed: int) -> None:
    if splits["scheme"] != CONTEXT:
        table = read_split_table(splits["file"]) if splits["file"] else None
        make_splits(known.perturbations, splits, seed, table, known.labels)


def _embeddings(
    known: Known, model: Mapping[str, Any]
) -> tuple[GeneEmbedding, PerturbationEmbedding]:
    """Return the embeddings of a model, with what tables hold."""
    genes = GeneEmbedding(model["settings"]["gene_embedding"])
    if genes.source == FILE:
        table = read_embedding(model["genes"])
        genes = genes_from_table(table, known.genes, known.symbols, model["genes"])
    source = model["settings"]["perturbation_embedding"]
    if source == FILE:
        path = model["perturbations"]
        return genes, read_perturbation_embedding(path, FILE, known.labels, known.perturbations)
    unknown = genes.unknown if source == TARGET else frozenset()
    return genes, PerturbationEmbedding(source, unknown=unknown)


def _check_model(known: Known, model: Mapping[str, Any]) -> None:
    """Check the tables of a model, and dimensions that no training set can have."""
    genes, perturbations = _embeddings(known, model)
    dimensions = model["settings"]["dimensions"]
    if not dimensions:
        return
    with about(f"models: {model['name']}"):
        genes.first(dimensions)
        perturbations.first(dimensions)
        if genes.source in OF_EFFECTS or perturbations.source == PCA:
            # Training has fewer perturbations; control makes one more profile.
            rows, columns = len(known.genes), len(known.perturbations)
            has = f"{counted(rows, 'gene')}, {counted(columns, 'perturbation')}"
            choose_dimensions(dimensions, min(rows, columns + 1), dimensions, has)


def _check_targets(known: Known, model: Mapping[str, Any], targets: list[str]) -> None:
    if targets == ["all"] or model["settings"]["perturbation_embedding"] == DATASET:
        return
    _, embedding = _embeddings(known, model)
    names = [known.labels.parse(name) or name for name in targets]
    check_targets(names, known.index, known.symbols, embedding)
