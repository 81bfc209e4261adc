"""Which files a config asks for: the workflow's paths and lists, without Snakemake."""

from __future__ import annotations

import glob
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lgem import urls
from lgem.config import (
    ALL,
    BASELINES,
    CONTROLS,
    GENE_EMBEDDINGS,
    PERTURBATION_EMBEDDINGS,
    SAME_EFFECT,
    Config,
    ConfigError,
    Model,
)
from lgem.config_dataset import Dataset
from lgem.errors import InputError, listing, nearest
from lgem.explain import unknown_names

PERTURBED_FIGURES = (
    *("on_target", "held_out_error", "error_by_genes", "embedding_swaps", "doubles"),
    *("observed_against_predicted", "calibration", "mixed_forms"),
)


@dataclass(frozen=True)
class Layout:
    """Where the files of every dataset lie."""

    config: Config

    @property
    def simulated(self) -> list[str]:
        """Datasets that are simulated."""
        return self._where(lambda dataset: dataset.simulate is not None)

    @property
    def packaged(self) -> list[str]:
        """Datasets that ship inside a Python package."""
        return self._where(lambda dataset: dataset.pypi is not None)

    @property
    def fetched(self) -> list[str]:
        """Datasets that are downloaded from an address."""
        return self._where(lambda dataset: dataset.url is not None)

    @property
    def cells(self) -> list[str]:
        """Datasets of single cells."""
        return self._where(lambda dataset: dataset.kind == "cells")

    @property
    def profiles(self) -> list[str]:
        """Datasets of profiles."""
        return self._where(lambda dataset: dataset.kind == "profiles")

    def _where(self, condition: Any) -> list[str]:
        return [name for name, dataset in self.config.datasets.items() if condition(dataset)]

    def _dataset(self, name: str) -> Dataset:
        return self.config.datasets[name]

    def _is_archive(self, name: str) -> bool:
        """Whether the files that a dataset names lie in what is downloaded."""
        dataset = self._dataset(name)
        return dataset.pypi is not None or (dataset.url is not None and dataset.path is not None)

    def is_perturbed(self, name: str) -> bool:
        """Whether a dataset has perturbations; without them only the network stages run."""
        return self._dataset(name).perturbation is not None

    def shards(self, name: str) -> list[str]:
        """Return the files that a dataset is read from, sorted."""
        dataset = self._dataset(name)
        if dataset.simulate is not None:
            return [f"resources/{name}/screen.h5ad"]
        if dataset.path is None:
            return [f"resources/{name}/files/{self.downloaded(name)}"]
        return self._located(name, dataset.path)

    def downloaded(self, name: str) -> str:
        """Return the name of the file that a download is, or carries."""
        dataset = self._dataset(name)
        return dataset.path or urls.file_name(dataset.url or "")

    def checksum(self, name: str) -> str | None:
        """Return the checksum that a download is to have, if it is news.

        The one that the first download has left is none: to copy it to the config asks for no
        second download.
        """
        dataset = self._dataset(name)
        record = Path(f"resources/{name}/download.sha256")
        known = urls.recorded_checksum(record, dataset.url) if dataset.url else None
        return None if dataset.sha256 == known else dataset.sha256

    def tables(self, name: str) -> dict[str, str]:
        """Return the tables of a dataset of profiles, by what they hold."""
        dataset = self._dataset(name)
        found = {"table": self.shards(name)[0]}
        for what in ("metadata", "gene_metadata"):
            path = getattr(dataset, what)
            if path is not None:
                found[what] = self._located(name, path)[0]
        return found

    def reference_network(self, name: str) -> str | None:
        """Return the table of known edges, if there is one; a simulated screen knows its own."""
        dataset = self._dataset(name)
        if dataset.reference_network is not None:
            return self._located(name, dataset.reference_network)[0]
        return f"resources/{name}/truth_network.tsv" if dataset.simulate is not None else None

    def _located(self, name: str, path: str | None) -> list[str]:
        if path is None:
            return []
        if self._is_archive(name):
            return [f"resources/{name}/files/{path}"]
        if glob.has_magic(path) and not Path(path).exists():  # a name may have brackets
            return sorted(glob.glob(path))  # noqa: PTH207 (Path.glob takes no absolute patterns)
        return [path]

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

    @property
    def network_files(self) -> dict[str, str]:
        """Return the tables that the network's panel and updates are read from, by their key."""
        network = self.config.network
        named = {
            "panel": None
            if network.panel == ALL or isinstance(network.panel, int)
            else network.panel,
            "pathways": network.pathways,
            "removed_pathways": network.removed_pathways,
        }
        return {key: path for key, path in named.items() if isinstance(path, str)}

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
            network += ["responses_summary.tsv", "responses_headline.txt"]
        if self.reference_network(name):
            network += ["scores.tsv", "headline.txt"]
        return [
            *(perturbed if self.is_perturbed(name) else []),
            "design.tsv",
            *(f"network/{file}" for file in network),
        ]

    def check_files(self) -> None:
        """Raise a ConfigError that lists every missing input file of the datasets to run."""
        problems = []
        new = [name for name in [self.config.network.new_cells] if name in self.config.datasets]
        for name in dict.fromkeys([*self.config.dataset, *self.config.transferred, *new]):
            dataset = self._dataset(name)
            if self._is_archive(name):
                continue
            for key in ("path", "metadata", "gene_metadata", "reference_network"):
                path = getattr(dataset, key)
                if path is None:
                    continue
                place, found = f"datasets.{name}.{key}", self._located(name, path)
                if not found or not all(Path(file).is_file() for file in found):
                    problems.append(_missing(place, path))
                elif len(found) > 1 and (key != "path" or dataset.kind == "profiles"):
                    problems.append(
                        str(InputError(place, f"{len(found)} files: {listing(found)}", "one file"))
                    )
        problems += [
            _missing(f"network.{key}", path)
            for key, path in self.network_files.items()
            if not Path(path).is_file()
        ]
        problems += self._new_cells_problems()
        split_file = self.config.splits.file
        if split_file is not None and not Path(split_file).is_file():
            problems.append(_missing("splits.file", split_file))
        problems += [
            problem for model in self.config.models for problem in self._embedding_problems(model)
        ]
        if problems:
            raise ConfigError(problems)

    def _new_cells_problems(self) -> list[str]:
        """Say why the control cells of another dataset cannot update the network."""
        name, place = self.config.network.new_cells, "network.new_cells"
        if name is None:
            return []
        if name not in self.config.datasets:
            return unknown_names(place, [name], self.config.datasets)
        if name in self.config.dataset:
            return [str(InputError(place, f"'{name}'", "another dataset than those that are run"))]
        kinds = {self._dataset(each).kind for each in [name, *self.config.dataset]}
        if kinds != {"cells"}:
            return [str(InputError(place, f"'{name}', and profiles", "datasets of cells alone"))]
        return []

    def _embedding_problems(self, model: Model) -> list[str]:
        """Say which embeddings of a model are neither a word, nor a dataset, nor a file."""
        problems = []
        for key, words, datasets in (
            ("gene_embedding", GENE_EMBEDDINGS, []),
            ("perturbation_embedding", PERTURBATION_EMBEDDINGS, self.config.datasets),
        ):
            value, place = getattr(model, key), f"models.{model.name}.{key}"
            if value in words or (value not in datasets and Path(value).is_file()):
                continue
            if value not in datasets:
                known = [*words, *datasets]
                expected = f"one of {listing(known)}, or the path of an existing table"
                problems.append(
                    str(InputError(place, f"'{value}'", expected, nearest(value, known)))
                )
            elif value in self.config.dataset:
                expected = "another dataset than those that are predicted"
                problems.append(str(InputError(place, f"'{value}'", expected)))
            elif not self.is_perturbed(value):
                expected = "a dataset with perturbations"
                problems.append(str(InputError(place, f"'{value}'", expected)))
        return problems


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


def _missing(key: str, path: str) -> str:
    if Path(path).is_dir():
        return str(InputError(key, f"a folder, '{path}'", "the path of a file"))
    folder = Path(path).parent
    if not folder.is_dir():
        return str(InputError(key, f"no folder '{folder}'", "the path of an existing file"))
    others = sorted(entry.name for entry in folder.iterdir() if not entry.name.startswith("."))
    close = nearest(Path(path).name, others)
    return str(
        InputError(
            key,
            f"no file '{path}'",
            f"an existing file; there are: {listing(others) or 'none'}",
            str(folder / close) if close else None,
        )
    )
