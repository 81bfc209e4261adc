"""Rules run in their conda environments, made from a channel that is built out of wheels here.

Of the installation of Snakemake that starts them, jobs see all packages: it holds Snakemake and
what the Snakefile imports, and nothing that a script could borrow.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import yaml

from tests.conftest import lacking
from tests.environments.channel import PYTHON, build, download
from tests.environments.conda import conda, install_stand_in
from tests.environments.declared import (
    ENVIRONMENTS,
    GRADIENT,
    ROOT,
    import_statements,
    locked,
    pinned,
)
from tests.workflow.running import Run, copy_repository, differing, files, snakemake, succeed

pytestmark = pytest.mark.workflow

# PyTorch, with all that it brings, would take longer than all others together.
MADE = {path.stem: path for path in ENVIRONMENTS if path.stem != GRADIENT}
# A simulated screen is not downloaded.
UNUSED = "download"
SNAKEFILE_IMPORTS = ("snakemake", "pydantic")
NUMERIC = ("anndata", "h5py", "matplotlib", "numpy", "pandas", "pyarrow", "scanpy", "scipy")


@dataclass(frozen=True)
class Conda:
    """An installation of conda, Snakemake's own environment, and what it makes of ours."""

    folder: Path
    commands: Path

    @property
    def prefix(self) -> Path:
        """Where Snakemake makes environments."""
        return self.folder / "environments"

    @property
    def options(self) -> list[str]:
        return ["--sdm", "conda", "--conda-prefix", str(self.prefix)]

    @property
    def python(self) -> Path:
        return self.folder / "snakemake/bin/python"

    @property
    def variables(self) -> dict[str, str]:
        """This process's, but for what would lead to other Pythons than conda's."""
        unwanted = ("PYTHON", "CONDA", "VIRTUAL_ENV")
        kept = {key: value for key, value in os.environ.items() if not key.startswith(unwanted)}
        return {**kept, "PATH": f"{self.commands}:{self.python.parent}:/usr/bin:/bin"}

    def environment(self, name: str) -> Path:
        """The folder of an environment, as Snakemake made it."""
        content = MADE[name].read_text("utf-8")
        found = [file for file in self.prefix.glob("*.yaml") if file.read_text("utf-8") == content]
        assert len(found) == 1, name
        return found[0].with_suffix("")


def python_of(environment: Path, code: str) -> str:
    """Run code in an environment's Python, with the project and nothing else in its path."""
    program = f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{code}"
    done = subprocess.run(
        [environment / "bin/python", "-I", "-c", program],
        text=True,
        capture_output=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def packages(environment: Path) -> set[str]:
    """The names of all packages that were linked into an environment."""
    records = (environment / "conda-meta").glob("*.json")
    return {json.loads(record.read_text("utf-8"))["name"] for record in records}


def stored(path: Path) -> dict[str, str]:
    """All values of a file of HDF5, to the last digit, but for its provenance."""
    found = {}

    def keep(name: str, item: h5py.Group | h5py.Dataset) -> None:
        if isinstance(item, h5py.Dataset) and name != "uns/provenance":
            found[name] = repr(np.asarray(item[()]).tolist())

    with h5py.File(path) as file:
        file.visititems(keep)
    return found


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Conda]:
    """A conda with channels of all that the environments pin, and Snakemake in one of its own."""
    if f"{sys.version_info.major}.{sys.version_info.minor}" != pinned(MADE["screen"])["python"]:
        lacking(f"the environments pin another Python than {PYTHON}")
    folder = tmp_path_factory.mktemp("conda")
    pins = {name: at for path in MADE.values() for name, at in pinned(path).items()}
    del pins["python"]
    pins |= {name: locked()[name] for name in SNAKEFILE_IMPORTS}
    problem = download(pins, locked(), folder / "wheels")
    if problem:
        lacking(f"pip cannot download what the environments pin: {problem}")
    commands = install_stand_in(folder / "home", folder / "channels")
    for channel in build(folder / "wheels", folder / "channels"):
        conda(commands, "index", channel)
    own = folder / "snakemake.yaml"
    needed = [f"python={PYTHON}", *(f"{name}={pins[name]}" for name in SNAKEFILE_IMPORTS)]
    own.write_text(
        yaml.safe_dump({"channels": ["conda-forge", "bioconda"], "dependencies": needed})
    )
    conda(commands, "env", "create", "--file", own, "--prefix", folder / "snakemake")
    yield Conda(folder, commands)
    subprocess.run(["rm", "-rf", folder], check=True)  # a gigabyte in small files


@pytest.fixture(scope="module")
def conda_run(installation: Conda, whole_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The screen of `whole_run` through the whole chain, every rule in its environment."""
    folder = tmp_path_factory.mktemp("conda_run")
    shutil.copy(whole_run.folder / "config.yaml", folder)
    return succeed(
        folder,
        *installation.options,
        python=installation.python,
        variables=installation.variables,
    )


def test_snakemake_runs_where_no_script_could(installation):
    assert packages(installation.folder / "snakemake") >= {"python", *SNAKEFILE_IMPORTS}
    code = "from importlib.util import find_spec\nprint([n for n in {} if find_spec(n)])"
    assert python_of(installation.folder / "snakemake", code.format(NUMERIC)) == "[]\n"


def test_every_rule_ran_in_an_environment_that_its_file_describes(installation, conda_run):
    activated = {
        (conda_run.folder / line.split(": ", 1)[1]).resolve()
        for line in conda_run.output.splitlines()
        if line.startswith("Activating conda environment: ")
    }
    assert activated == {installation.environment(name) for name in MADE.keys() - {UNUSED}}


def test_tables_and_models_are_the_same_bytes_as_without_conda(conda_run, whole_run):
    plain, ours = (run.folder / "results" for run in (whole_run, conda_run))
    assert conda_run.jobs == whole_run.jobs
    assert files(plain).keys() == files(ours).keys()
    suffixes = (".tsv", ".txt", ".npz", ".yaml", ".graphml")
    assert {path.suffix for path in ours.rglob("*")} > {*suffixes}
    assert differing(files(plain, suffixes), files(ours, suffixes)) == []


def test_what_carries_versions_differs_from_a_run_without_conda_in_them_alone(conda_run, whole_run):
    plain, ours = (run.folder / "results" for run in (whole_run, conda_run))
    first, second = (files(folder, [".json"]) for folder in (plain, ours))
    assert differing(first, second)
    # scikit-learn is named where it is installed: few environments need it.
    learn = re.compile(rb',\s*"scikit-learn": "[0-9.]+"')
    without = [{name: learn.sub(b"", run[name]) for name in run} for run in (first, second)]
    assert differing(*without) == []
    for name in files(ours, [".parquet"]):
        tables = [pd.read_parquet(folder / name) for folder in (plain, ours)]
        pd.testing.assert_frame_equal(*tables, check_exact=True)
    for name in files(ours, [".h5ad"]):
        assert stored(ours / name) == stored(plain / name)


@pytest.mark.parametrize("name", sorted(MADE))
def test_environment_has_all_that_its_scripts_import_and_nothing_of_others(
    installation, conda_run, name
):
    if name == UNUSED:
        environment = installation.folder / UNUSED
        made = ("--file", MADE[name], "--prefix", environment)
        conda(installation.commands, "env", "create", *made)
    else:
        environment = installation.environment(name)
    statements = import_statements(name)
    assert statements
    told = python_of(environment, "\n".join([*statements, "import sys", "print(sys.prefix)"]))
    assert Path(told.strip()).resolve() == environment.resolve()

    own = packages(environment)
    assert own >= pinned(MADE[name]).keys()
    others = {package for path in MADE.values() for package in pinned(path)} - own
    assert others
    code = "from importlib.metadata import distributions\nprint(*(d.name for d in distributions()))"
    assert not others & set(python_of(environment, code).split())


def test_environments_differ_by_what_few_rules_need(installation, conda_run):
    found = {name: packages(installation.environment(name)) for name in MADE.keys() - {UNUSED}}
    for package, only in (("scanpy", "cells"), ("skglm", "network"), ("jinja2", "report")):
        assert [name for name, held in found.items() if package in held] == [only]


def test_rule_fails_where_its_environment_lacks_what_it_imports(installation, conda_run, tmp_path):
    repository = copy_repository(tmp_path / "repository")
    file = repository / "envs/figures.yaml"
    lines = file.read_text("utf-8").splitlines(keepends=True)
    file.write_text("".join(line for line in lines if "matplotlib" not in line), "utf-8")
    shutil.copytree(conda_run.folder, tmp_path / "run", symlinks=True)
    run = snakemake(
        tmp_path / "run",
        *installation.options,
        "results/tiny/figures/on_target.png",
        repository=repository,
        python=installation.python,
        variables=installation.variables,
    )
    assert run.status == 1
    assert "No module named 'matplotlib'" in run.output


def test_recipe_of_an_image_describes_every_environment(installation, whole_run, tmp_path):
    shutil.copy(whole_run.folder / "config.yaml", tmp_path)
    run = succeed(
        tmp_path,
        "--containerize",
        python=installation.python,
        variables=installation.variables,
    )
    for path in MADE.values():
        lines = path.read_text("utf-8").splitlines()
        assert "".join(f"#   {line}\n" for line in lines) in run.output
    assert run.output.count("conda env create --prefix") == len(MADE)
