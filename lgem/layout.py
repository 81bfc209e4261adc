"""Which files a config asks for: the workflow's paths and lists, without Snakemake."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lgem.config import (
    ALL,
    BASELINES,
    CONTROLS,
    GENE_EMBEDDINGS,
    PERTURBATION_EMBEDDINGS,
    SAME_EFFECT,
    Model,
)
from lgem.inputs import Inputs

PERTURBED_FIGURES = (
    *("on_target", "held_out_error", "error_by_genes", "embedding_swaps", "doubles"),
    *("observed_against_predicted", "calibration", "mixed_forms"),
)
# Those that show several datasets beside one another.
ACROSS_FIGURES = ("held_out_error", "error_by_genes", "embedding_swaps", "doubles")
RESPONSES = ("summary.tsv", "comparisons.tsv", "headline.txt")


@dataclass(frozen=True)
class Layout(Inputs):
    """Where the files of every dataset lie."""

    @property
    def baselines(self) -> list[str]:
        """Names of all baselines."""
        return [*BASELINES, *([SAME_EFFECT] if self.config.splits.scheme == "context" else [])]

    @property
    def models(self) -> list[str]:
        """Names of all models, of the baselines, and of the controls."""
        return [*(model.name for model in self.config.models), *self.baselines, *CONTROLS]

    @property
    def linear_models(self) -> list[str]:
        """Names of the models and controls that solve for weights of their own."""
        return [*(model.name for model in self.config.models), *CONTROLS]

    def model(self, name: str) -> dict[str, Any]:
        """Return the kind of a model, baseline or control, and the settings of its fit.

        ``genes`` and ``perturbations`` name the file or the dataset that an embedding is read from.
        """
        if name == SAME_EFFECT:
            return _described("same_effect", {"on_target": False})
        stem = name.removesuffix("_on_target")
        if name in BASELINES and stem == "additive":
            return _described("additive", {"on_target": stem != name})
        if name in BASELINES:
            weight = float(stem == "mean")
            model = Model(name="baseline", dimensions=0, mean_weight=weight, on_target=stem != name)
        elif name == "lgem_random_P":
            model = Model(name="control", perturbation_embedding="random")
        elif name == "lgem_random_G":
            model = Model(name="control", gene_embedding="random", perturbation_embedding="pca")
        else:
            model = next(model for model in self.config.models if model.name == name)
        genes, perturbations = model.gene_embedding, model.perturbation_embedding
        own = perturbations in PERTURBATION_EMBEDDINGS
        source = "dataset" if perturbations in self.config.datasets else "file"
        settings: dict[str, Any] = {
            "gene_embedding": genes if genes in GENE_EMBEDDINGS else "file",
            "perturbation_embedding": perturbations if own else source,
            "solver": model.solver,
            "dimensions": None if model.dimensions == "auto" else model.dimensions,
            "penalty": None if model.penalty == "auto" else model.penalty,
            "mean_weight": None if model.mean_weight == "auto" else model.mean_weight,
            "published": model.preset == "paper",
            "on_target": model.on_target,
            "seed": self.config.seed,
        }
        if genes == "lmf":
            settings["mixed_forms"] = self.form_settings
        return _described(
            "linear",
            settings,
            None if genes in GENE_EMBEDDINGS else genes,
            None if own else perturbations,
        )

    @property
    def form_settings(self) -> dict[str, Any]:
        """Return the settings of a fit of mixed forms."""
        return self.config.mixed_forms.model_dump(mode="json", exclude={"starts"})

    def embedding_files(self, name: str) -> dict[str, str]:
        """Return the files that the embeddings of a model are read from, by what they embed."""
        model = self.model(name)
        found = {} if model["genes"] is None else {"genes": model["genes"]}
        other = model["perturbations"]
        if other is not None:
            stage = f"results/{other}/effects.h5ad"
            found["perturbations"] = stage if other in self.config.datasets else other
        return found

    def is_demanding(self, name: str) -> bool:
        """Whether tables, targets or dimensions of the config could fail to suit a dataset."""
        asked = any(model.dimensions not in ("auto", 0) for model in self.config.models)
        return asked or self.config.screen.targets != [ALL] or bool(self.demanded_files(name))

    def _own_tables(self, name: str) -> list[str]:
        model, datasets = self.model(name), self.config.datasets
        named = (model["genes"], model["perturbations"])
        return [path for path in named if path is not None and path not in datasets]

    def demands(self, name: str) -> dict[str, Any]:
        """Return what the config asks of the genes and perturbations of a dataset."""
        own = self._dataset(name).reference_network is not None
        return {
            "models": [{"name": m.name, **self.model(m.name)} for m in self.config.models],
            "targets": self.config.screen.targets,
            "splits": self.config.splits.model_dump(mode="json"),
            **dict.fromkeys(("panel", "pathways", "removed_pathways"), None),
            **self.network_files,
            "reference": self.reference_network(name) if own else None,
        }

    def demanded_files(self, name: str) -> list[str]:
        """Return the tables among them."""
        asked = self.demands(name)
        named = [asked["splits"]["file"], asked["reference"], *self.network_files.values()]
        tables = [path for model in self.config.models for path in self._own_tables(model.name)]
        return [*filter(None, named), *tables]

    def digest(self, name: str, settings: Sequence[str], models: Sequence[str]) -> str:
        """Return a short digest of what a result of a dataset depends on.

        Parameters
        ----------
        name
            The dataset; its entry and the seed are always covered.
        settings
            Sections of the config, or keys in them: ``"splits"``, ``"network.panel"``.
        models
            Names of models and baselines.
        """
        whole = self.config.of(name)
        content = {key: _value_at(whole, key) for key in ("seed", *settings)}
        content["models"] = {model: self.model(model) for model in models}
        # Another dataset matters to a model that takes its embedding from there, and to no count.
        sources = {name, *(found["perturbations"] for found in content["models"].values())}
        if "network" in settings:
            sources.add(self.config.network.new_cells)
        # A checksum that is added later changes no result.
        content["datasets"] = {
            key: {**entry, "sha256": None}
            for key, entry in whole["datasets"].items()
            if key in sources
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]

    def updates_network(self, name: str) -> bool:
        """Whether predicted responses update the network of a dataset."""
        return self.is_perturbed(name) and "responses" in self.config.network.updates

    def figures(self, name: str) -> list[str]:
        """Return the names of a dataset's figures."""
        return [
            *(PERTURBED_FIGURES if self.is_perturbed(name) else []),
            *(["predicted_against_truth"] if self._dataset(name).simulate is not None else []),
            *("partial_correlations", "largest_changes", "network_graph"),
            *(["rewired"] if self.updates_network(name) else []),
            *(["network_responses"] if self.is_perturbed(name) else []),
            *(["network_scores"] if self.reference_network(name) else []),
            "linear_systems",
        ]

    @property
    def perturbed(self) -> list[str]:
        """Datasets of this run that have perturbations, and so scores."""
        return [name for name in self.config.dataset if self.is_perturbed(name)]

    @property
    def unperturbed(self) -> dict[str, str]:
        """The others, with the reason why figures of scores leave them out."""
        others = [name for name in self.config.dataset if not self.is_perturbed(name)]
        return dict.fromkeys(others, "no perturbations in its config")

    @property
    def across_figures(self) -> list[str]:
        """Names of the figures of all datasets together, where there are several."""
        several = len(self.config.dataset) > 1 and bool(self.perturbed)
        return list(ACROSS_FIGURES) if several else []

    def results(self, name: str) -> list[str]:
        """Return the tables of a dataset that its report shows."""
        perturbed = [
            *("qc.tsv", "qc.json", "differential_expression.tsv", "splits.tsv", "metrics.tsv"),
            *("summary.tsv", "comparisons.tsv", "headline.txt", "screen.tsv"),
            *("mixed_forms/variance.tsv", "mixed_forms/codes.tsv"),
        ]
        network = [
            *("estimators.tsv", "strongest.tsv", "genes.tsv", "updates.tsv", "statistics.tsv"),
            *("changes.tsv", "network.graphml"),
        ]
        if self.is_perturbed(name):
            network += [f"responses_{part}" for part in RESPONSES]
        if self.reference_network(name):
            network += ["scores.tsv", "headline.txt"]
        return [
            *(perturbed if self.is_perturbed(name) else []),
            "design.tsv",
            *(f"network/{file}" for file in network),
        ]

    @property
    def folders(self) -> list[str]:
        """Folders that a run writes in."""
        results = [f"results/{name}" for name in self.config.dataset]
        parts = ("work", "models", "predictions", "network", "figures", "mixed_forms")
        within = [f"{folder}/{part}" for folder in results for part in parts]
        return ["results", "results/figures", "resources", "logs", *results, *within]


def _described(
    kind: str,
    settings: dict[str, Any],
    genes: str | None = None,
    perturbations: str | None = None,
) -> dict[str, Any]:
    return {"kind": kind, "settings": settings, "genes": genes, "perturbations": perturbations}


def _value_at(content: Mapping[str, Any], path: str) -> Any:
    value: Any = content
    for key in path.split("."):
        value = value[key]
    return value
