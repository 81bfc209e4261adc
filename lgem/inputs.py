"""Where the input files of the datasets lie, and whether they are there."""

from __future__ import annotations

import glob
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lgem import heads, shards, urls
from lgem.config import (
    ALL,
    GENE_EMBEDDINGS,
    PERTURBATION_EMBEDDINGS,
    Config,
    ConfigError,
    Model,
)
from lgem.config_dataset import Dataset
from lgem.errors import InputError, listing, nearest
from lgem.explain import unknown_names

# Tables of which a dataset of cells may have one per shard.
CELL_TABLES = ("metadata", "guide_calls")
# Keys of a dataset that name files.
FILES = ("path", *CELL_TABLES, "guide_targets", "gene_metadata", "reference_network")


@dataclass(frozen=True)
class Inputs:
    """The input files of every dataset."""

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

    def _where(self, condition: Callable[[Dataset], bool]) -> list[str]:
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

    def originals(self, name: str) -> list[str]:
        """Return the files that a dataset comes in, sorted."""
        dataset = self._dataset(name)
        if dataset.simulate is not None:
            return [f"resources/{name}/screen.h5ad"]
        if dataset.path is None:
            return [f"resources/{name}/files/{self.downloaded(name)}"]
        return self._located(name, dataset.path)

    def shards(self, name: str) -> list[str]:
        """Return the files that a dataset is read from; of cells they are AnnData stores."""
        found = self.originals(name)
        if self._dataset(name).kind == "profiles":
            return found
        return [
            path if shards.is_store(path) else f"resources/{name}/cells_{number}.h5ad"
            for number, path in enumerate(found)
        ]

    def shard_names(self, name: str) -> list[str]:
        """Return what tells the shards of a dataset apart."""
        return shards.names(self._dataset(name).path, self.originals(name))

    def cell_tables(self, name: str, key: str) -> list[str]:
        """Return the table that a key names, for each shard of a dataset of cells."""
        path, files = getattr(self._dataset(name), key), self.originals(name)
        if path is None:
            return []
        found = self._located(name, path)
        # A glob that finds one table for several files lacks the others.
        if not _is_glob(path) or len(found) == len(files) == 1:
            return found * len(files)
        return shards.paired(self._dataset(name).path or "", files, path, found)

    def guide_targets(self, name: str) -> list[str]:
        """Return the table of what guides aim at, if a dataset has one."""
        return self._located(name, self._dataset(name).guide_targets)

    def downloaded(self, name: str) -> str:
        """Return the name of the file that a download is, or carries."""
        dataset = self._dataset(name)
        return dataset.path or urls.file_name(dataset.url or "")

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
        if _is_glob(path):
            found = glob.glob(path)  # noqa: PTH207 (Path.glob takes no absolute patterns)
            return sorted(each.rstrip("/") for each in found)
        return [path.rstrip("/")]

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

    def own_files(self) -> dict[str, list[str]]:
        """Return the user's files that the datasets to run are read from, by the config's key."""
        found = {f"network.{key}": [path] for key, path in self.network_files.items()}
        for name in dict.fromkeys([*self.config.dataset, *self.config.transferred]):
            for key in FILES:
                path = getattr(self._dataset(name), key)
                if path is not None and not self._is_archive(name):
                    found[f"datasets.{name}.{key}"] = self._located(name, path) or [path]
        if self.config.splits.file is not None:
            found["splits.file"] = [self.config.splits.file]
        for model in self.config.models:
            for key in ("gene_embedding", "perturbation_embedding"):
                found[f"models.{model.name}.{key}"] = [getattr(model, key)]
        return found

    def check_files(self) -> None:
        """Raise a ConfigError that lists every missing input file of the datasets to run."""
        problems = []
        new = [name for name in [self.config.network.new_cells] if name in self.config.datasets]
        for name in dict.fromkeys([*self.config.dataset, *self.config.transferred, *new]):
            dataset = self._dataset(name)
            problems += self._checksum_problems(name)
            if self._is_archive(name):
                problem = shards.problem(str(dataset.path), f"datasets.{name}.path")
                problems += [str(problem)] if problem and dataset.kind == "cells" else []
                continue
            for key in FILES:
                path = getattr(dataset, key)
                if path is not None:
                    problems += self._file_problems(name, key, path)
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
        if not problems:
            problems += self._head_problems()
        if problems:
            raise ConfigError(problems)

    def _head_problems(self) -> list[str]:
        """Say which files that are to be tables cannot be any."""
        words = {*GENE_EMBEDDINGS, *PERTURBATION_EMBEDDINGS, *self.config.datasets}
        tables = {
            key: [path for path in paths if Path(path).is_file()]
            for key, paths in self.own_files().items()
            if not (key.startswith("models.") and paths[0] in words)
        }
        return [
            str(problem)
            for key, paths in tables.items()
            for path in dict.fromkeys(paths)
            if shards.is_table(path) or not key.endswith(".path")
            if (problem := heads.problem(path, key))
        ]

    def _checksum_problems(self, name: str) -> list[str]:
        """Say that a checksum is not that of the download: it is not made again for a slip."""
        asked, there = self._dataset(name).sha256, f"resources/{name}/download"
        record = Path(f"{there}.sha256")
        url = self._dataset(name).url
        known = urls.recorded_checksum(record, url) if url else None
        if None in (asked, known) or asked == known or not Path(there).exists():
            return []
        expected = f"{known}, that of {there}; remove that file and {record.name} to load it anew"
        return [str(InputError(f"datasets.{name}.sha256", str(asked), expected))]

    def _file_problems(self, name: str, key: str, path: str) -> list[str]:
        """Say what is wrong with the files that a key of a dataset names."""
        place, found, dataset = (
            f"datasets.{name}.{key}",
            self._located(name, path),
            self._dataset(name),
        )
        cells = dataset.kind == "cells"
        folders = key == "path" and cells
        if not found or not all(Path(f).is_file() or (folders and Path(f).is_dir()) for f in found):
            return [_missing(place, path)]
        if folders:
            return [str(problem) for file in found if (problem := shards.problem(file, place))]
        if cells and key in CELL_TABLES:
            try:
                self.cell_tables(name, key)
            except InputError as error:
                return [f"{place}: {error}"]
        elif len(found) > 1:
            return [str(InputError(place, f"{len(found)} files: {listing(found)}", "one file"))]
        return []

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


def _is_glob(path: str) -> bool:
    """Whether a path has wildcards; a file's name may have brackets, too."""
    return glob.has_magic(path) and not Path(path).exists()


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
