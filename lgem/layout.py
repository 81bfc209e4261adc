"""Which files a config asks for: the workflow's paths and lists, without Snakemake."""

from __future__ import annotations

import glob
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lgem.config import BASELINES, Config, ConfigError, Dataset
from lgem.errors import InputError, listing, nearest


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

    def is_perturbed(self, name: str) -> bool:
        """Whether a dataset has perturbations; without them only the network stages run."""
        return self._dataset(name).perturbation is not None

    def shards(self, name: str) -> list[str]:
        """Return the files that a dataset is read from, sorted."""
        dataset = self._dataset(name)
        if dataset.simulate is not None:
            return [f"resources/{name}/screen.h5ad"]
        return self._located(name, dataset.path)

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
        if self._dataset(name).pypi is not None:
            return [f"resources/{name}/package/{path}"]
        if glob.has_magic(path) and not Path(path).exists():  # a name may have brackets
            return sorted(glob.glob(path))  # noqa: PTH207 (Path.glob takes no absolute patterns)
        return [path]

    @property
    def models(self) -> list[str]:
        """Names of all models, then of the baselines."""
        return [*(model.name for model in self.config.models), *BASELINES]

    def model(self, name: str) -> dict[str, Any]:
        """Return the kind of a model or baseline, and the settings of its fit."""
        if name in BASELINES:
            return {"kind": name, "settings": {}}
        model = next(model for model in self.config.models if model.name == name)
        return {
            "kind": "lgem",
            "settings": {
                "solver": model.solver,
                "dimensions": None if model.dimensions == "auto" else model.dimensions,
                "penalty": model.penalty,
            },
        }

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
        content = {key: _value_at(whole, key) for key in ("datasets", "seed", *settings)}
        content["models"] = {model: self.model(model) for model in models}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]

    def updates_network(self, name: str) -> bool:
        """Whether predicted responses update the network of a dataset."""
        return self.is_perturbed(name) and "responses" in self.config.network.updates

    def figures(self, name: str) -> list[str]:
        """Return the names of a dataset's figures."""
        return [
            *(
                ["on_target", "held_out_error", "observed_against_predicted"]
                if self.is_perturbed(name)
                else []
            ),
            "partial_correlations",
            "largest_changes",
            *(["network_scores"] if self.reference_network(name) else []),
        ]

    def results(self, name: str) -> list[str]:
        """Return the tables of a dataset that its report shows."""
        perturbed = [
            *("qc.tsv", "qc.json", "design.tsv", "splits.tsv", "metrics.tsv", "summary.tsv"),
            *("comparisons.tsv", "headline.txt"),
        ]
        network = [
            *("strongest.tsv", "updates.tsv", "statistics.tsv", "changes.tsv", "network.graphml"),
        ]
        if self.reference_network(name):
            network += ["scores.tsv", "headline.txt"]
        return [
            *(perturbed if self.is_perturbed(name) else []),
            *(f"network/{file}" for file in network),
        ]

    def check_files(self) -> None:
        """Raise a ConfigError that lists every missing input file of the datasets to run."""
        problems = []
        for name in self.config.dataset:
            dataset = self._dataset(name)
            if dataset.pypi is not None:
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
        split_file = self.config.splits.file
        if split_file is not None and not Path(split_file).is_file():
            problems.append(_missing("splits.file", split_file))
        if problems:
            raise ConfigError(problems)


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
