"""The config model: every key, its type, its range and its default, in one place.

`load` turns the mapping that Snakemake read from ``config.yaml`` and the command line into a
`Config`, or raises a `ConfigError` that lists every problem at once. ``python -m lgem.config``
prints the JSON schema that editors use to complete and check ``config.yaml``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from lgem import urls
from lgem.config_dataset import Count, Dataset, Fraction, Name, NotNegative, Positive, Words
from lgem.errors import InputError, listing
from lgem.explain import Section, explain_problems, unknown_names

# Scored beside every model: what a model is worth is its distance from these ...
BASELINES = (
    *("no_change", "mean", "additive"),
    *("no_change_on_target", "mean_on_target", "additive_on_target"),
)
# ... where contexts are held out also the effect of the same perturbation in the others ...
SAME_EFFECT = "same_effect"
# ... and the default model with an embedding that knows nothing.
CONTROLS = ("lgem_random_P", "lgem_random_G")
DUPLICATE = "technical_duplicate"
ALL = "all"
TAKEN = (*BASELINES, SAME_EFFECT, *CONTROLS, DUPLICATE)
PUBLISHED = {
    "solver": "ridge",
    "penalty": 0.1,
    "mean_weight": 1.0,
    "gene_embedding": "pca_expression",
    "perturbation_embedding": "target",
}
GENE_EMBEDDINGS = ("pca", "pca_unadjusted", "pca_expression", "lmf", "random", "identity")
PERTURBATION_EMBEDDINGS = ("target", "pca", "random")


class ConfigError(ValueError):
    """The config has problems; the message lists all of them."""

    def __init__(self, problems: list[str]) -> None:
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        super().__init__(f"config: {count}\n" + "\n".join(f"  {problem}" for problem in problems))


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

    scheme: Literal["kfold", "leave_one_out", "doubles", "context", "file"] = Field(
        "kfold",
        description="doubles: combinations with 2, 1 and 0 of their genes seen alone; context: all "
        "perturbations of a cell line or condition, trained on the others",
    )
    folds: Annotated[int, Field(ge=2)] = Field(5, description="folds of kfold and doubles")
    repeats: Count = Field(1, description="repeats of kfold and doubles, each with its own folds")
    contexts: Words | None = Field(
        None, description="contexts to hold out under scheme context; none: each in turn"
    )
    file: str | None = Field(
        None, description="TSV for scheme file: perturbation, set = train | test[, fold]"
    )

    @classmethod
    def conflicts(cls, given: Mapping[str, Any]) -> dict[str, str]:
        """Return whether scheme and another key disagree."""
        found, scheme = {}, given.get("scheme")
        if (scheme == "file") != (given.get("file") is not None):
            found["file"] = "a file with scheme file, and only then"
        repeats = given.get("repeats", 1)
        if scheme in ("leave_one_out", "context", "file") and repeats != 1:
            found["repeats"] = f"1 with scheme {scheme}, whose folds are always the same"
        if given.get("contexts") is not None and scheme != "context":
            found["contexts"] = "no contexts but with scheme context"
        return found


class Model(Section):
    """One linear gene expression model, scored beside the baselines."""

    name: Name
    preset: Literal["paper"] | None = Field(
        None,
        description="paper: the published model (ridge, penalty 0.1, expression embedding, "
        "no on-target term; dimensions auto: 10)",
    )
    gene_embedding: str = Field(
        "pca",
        description="pca (of the training effects), pca_unadjusted (of the same without batch "
        "adjustment), pca_expression (of the training profiles), lmf (linear mixed forms of "
        "the training samples), random, identity, or a table: gene, numbers",
    )
    perturbation_embedding: str = Field(
        "target",
        description="target (the target's row of the gene embedding), pca (its row of the pca), "
        "random, the name of another dataset, or a table: perturbation or gene, numbers",
    )
    solver: Literal["tikhonov", "ridge", "pinv", "kronecker", "gradient"] = "tikhonov"
    dimensions: Annotated[int, Field(ge=0)] | Literal["auto"] = Field(
        "auto", description="embedding dimensions, 0: mean alone; auto: chosen inside training"
    )
    penalty: NotNegative | Literal["auto"] = Field(
        "auto", description="of tikhonov and ridge; auto: chosen inside training"
    )
    mean_weight: Annotated[float, Field(ge=0, le=1)] | Literal["auto"] = Field(
        "auto", description="weight of the mean training effect; auto: chosen inside training"
    )
    on_target: bool = Field(
        True, description="predict a target's own change from those of the training targets"
    )

    @model_validator(mode="before")
    @classmethod
    def _parts_of_the_preset(cls, value: Any) -> Any:
        if isinstance(value, Mapping) and value.get("preset") == "paper":
            return {"on_target": False, **PUBLISHED, **value}
        return value

    @classmethod
    def conflicts(cls, given: Mapping[str, Any]) -> dict[str, str]:
        """Return what a taken name, a preset, a solver or an embedding rules out."""
        found = {}
        if given.get("name") in TAKEN:
            found["name"] = f"a name that no baseline or control has ({', '.join(TAKEN)})"
        if given.get("preset") == "paper":
            for key, fixed in PUBLISHED.items():
                if given.get(key, fixed) != fixed:
                    found[key] = f"{fixed} under preset paper; or drop the preset"
        solver = given.get("solver")
        if solver in ("pinv", "kronecker", "gradient") and given.get("penalty", "auto") != "auto":
            found["penalty"] = f"no penalty with solver {solver}, which has none"
        looked_up = given.get("perturbation_embedding", "target") == "target"
        if looked_up and given.get("gene_embedding") == "identity":
            found["perturbation_embedding"] = (
                "pca, random, a dataset or a table beside gene_embedding identity, whose rows "
                "have nothing in common"
            )
        return found


class Evaluation(Section):
    """How predictions are scored."""

    top_genes: Annotated[int, Field(ge=2)] = Field(
        1000, description="genes scored: the most expressed in control"
    )
    bootstrap: Annotated[int, Field(ge=100)] = Field(1000, description="bootstrap draws")
    interval: Fraction = Field(0.9, description="level of all intervals")


class Screen(Section):
    """Predictions of perturbations that nobody has made, by the first model."""

    targets: Words = Field(
        [ALL], description="genes to predict, combinations as A+B; all: every gene measured"
    )


class MixedForms(Section):
    """Linear mixed forms: profiles of groups of cells by perturbation and batch."""

    dimensions: Count = Field(10, description="codes; fewer where the samples have fewer")
    penalty: Positive = Field(
        0.01, description="on codes and loadings, blocks scaled to mean square length 1 per sample"
    )
    codes: Literal["free", "constrained"] = Field(
        "constrained",
        description="of gene_embedding lmf and codes.tsv. constrained: a mixed model, codes linear "
        "in perturbation and batch; free: shared codes of profiles, perturbations and batches",
    )
    schedule: Literal["accelerated", "monotone", "cyclic"] = Field(
        "accelerated",
        description="of the free form: exact steps, accelerated or not, or the printed order, for "
        "comparison",
    )
    sweeps: Count = Field(2000, description="at most")
    tolerance: Annotated[float, Field(gt=0, le=0.01)] = Field(
        1e-6, description="settled where a sweep lowers the objective by less than this share"
    )
    starts: Annotated[int, Field(ge=1, le=100)] = Field(
        5, description="starts that the spread of the free form is read from"
    )


class Network(Section):
    """The Gaussian graphical model and its updates."""

    panel: Annotated[int, Field(ge=2)] | str = Field(
        500,
        description="genes: the measured targets, then the most variable in control; all; or a "
        "table whose first column names them",
    )
    min_detected: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.002,
        description="share of control cells in which a gene of the panel must be detected, where "
        "no table names the genes",
    )
    estimator: Literal[
        "ledoit_wolf", "oas", "schaefer_strimmer", "factor_model", "graphical_lasso", "auto"
    ] = Field(
        "ledoit_wolf",
        description="of the covariance: shrinkage (ledoit_wolf, oas, schaefer_strimmer), few "
        "factors, or a sparse precision; auto: ledoit_wolf, or what makes held-out cells clearly "
        "likelier",
    )
    form: Literal["auto", "dense", "implicit"] = Field(
        "auto",
        description="dense: matrices of genes × genes; implicit: a diagonal and factors, for whole "
        "genomes; auto: dense up to 4,000 genes",
    )
    threshold: Fraction = Field(0.15, description="|partial correlation| of a strong edge")
    top_edges: Count = Field(1000, description="edges listed where fewer pass the threshold")
    max_edges: Count = Field(1_000_000, description="edges listed at most, the strongest")
    permutations: Annotated[int, Field(ge=0)] = Field(
        25, description="of cells within batches, for false discovery rates of edges; 0: none"
    )
    updates: list[Literal["responses"]] = Field(
        ["responses"],
        description="what updates the network: responses predicted by the first model",
    )
    response_scale: Positive = Field(1.0, description="factor on the predicted responses")
    pathways: str | None = Field(
        None,
        description="TSV that updates the network, too: gene, pathway, loading (in standard "
        "deviations of the gene)",
    )
    removed_pathways: str | None = Field(
        None, description="such a table, of pathways that are taken out of the covariance"
    )
    new_cells: str | None = Field(
        None, description="another dataset, whose control cells update the network, too"
    )
    mean_shift: bool = Field(
        False,
        description="whether a difference of mean expression between the new cells and the others "
        "counts as covariance",
    )

    @classmethod
    def conflicts(cls, given: Mapping[str, Any]) -> dict[str, str]:
        """Return whether keys ask for what cannot be."""
        found = {}
        top, most = given.get("top_edges", 1000), given.get("max_edges", 1_000_000)
        panel = given.get("panel")
        if isinstance(panel, str) and panel.strip().isdigit():
            found["panel"] = "a number without quotes, all, or the path of a table"
        if isinstance(top, int) and isinstance(most, int) and top > most:
            found["max_edges"] = f"at least top_edges, {top}"
        if given.get("mean_shift") is True and given.get("new_cells") is None:
            found["mean_shift"] = "false without new_cells"
        if given.get("form") == "implicit" and given.get("estimator") == "graphical_lasso":
            found["form"] = "auto or dense with graphical_lasso, which has no factors"
        return found


class Config(Section):
    """The whole config."""

    dataset: Words = Field(description="name or names from datasets")
    seed: Annotated[int, Field(ge=0, lt=2**32)] = Field(1, description="of everything random")
    datasets: dict[Name, Dataset] = Field(min_length=1)
    pseudobulk: Pseudobulk = Pseudobulk()
    splits: Splits = Splits()
    models: list[Model] = Field(
        [Model(name="lgem"), Model.model_validate({"name": "paper", "preset": "paper"})],
        min_length=1,
    )
    evaluation: Evaluation = Evaluation()
    screen: Screen = Screen()
    mixed_forms: MixedForms = MixedForms()
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

    @property
    def transferred(self) -> list[str]:
        """Datasets whose components embed the perturbations of others."""
        named = dict.fromkeys(model.perturbation_embedding for model in self.models)
        return [name for name in named if name in {*self.datasets} - {*PERTURBATION_EMBEDDINGS}]

    def of(self, dataset: str) -> dict[str, Any]:
        """Return the config that repeats the run of one dataset, with every default written out."""
        needed = {dataset, *self.transferred, self.network.new_cells}
        kept = {name: entry for name, entry in self.datasets.items() if name in needed}
        one = self.model_copy(update={"dataset": [dataset], "datasets": kept})
        whole = one.model_dump(mode="json")
        for entry in whole["datasets"].values():
            if entry["url"] is not None:  # results go to others, a password does not
                entry["url"] = urls.masked(entry["url"])
        return whole


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
    else:
        if config.splits.scheme == "context":
            problems += [
                str(
                    InputError(
                        f"datasets.{name}.context", "nothing", "a column, for scheme context"
                    )
                )
                for name in config.dataset
                if name in config.datasets and config.datasets[name].context is None
            ]
    if problems:
        raise ConfigError(problems)
    return config


def schema() -> str:
    """Return the JSON schema of the config, as the text of workflow/schemas/config.schema.json."""
    return json.dumps(Config.model_json_schema(), indent=2) + "\n"


if __name__ == "__main__":
    print(schema(), end="")
