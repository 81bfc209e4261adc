"""Every rule's environment holds what its script imports, in the versions of the lock file."""

from __future__ import annotations

import re

import pytest

from tests.environments.declared import (
    ENVIRONMENTS,
    GRADIENT,
    PYTORCH,
    ROOT,
    imported,
    locked,
    pinned,
    rules,
)

# What is started as a program of its own, which reads the Snakefile too.
STARTED = {"download": {"pip"}}


@pytest.mark.parametrize("environment", ENVIRONMENTS, ids=lambda path: path.stem)
def test_environment_pins_are_those_of_the_lock_file(environment):
    versions = locked()
    pins = pinned(environment)
    assert pins.pop("python").startswith("3.")
    assert pins
    if environment.stem == GRADIENT:
        assert PYTORCH not in versions
        assert re.fullmatch(r"\d+\.\d+\.\d+", pins.pop(PYTORCH))
    assert {name: versions.get(name) for name in pins} == pins


@pytest.mark.parametrize(("script", "environment"), rules())
def test_environment_holds_what_the_script_imports(script, environment):
    needed = imported(ROOT / "scripts" / script, set())
    if environment != GRADIENT:
        needed -= {PYTORCH}
    assert needed <= set(pinned(ROOT / "envs" / f"{environment}.yaml"))


@pytest.mark.parametrize("name", [path.stem for path in ENVIRONMENTS if path.stem != GRADIENT])
def test_environment_holds_nothing_that_its_scripts_do_not_import(name):
    needed = {"python", *STARTED.get(name, ())}
    for script in (script for script, used in rules() if used == name):
        needed |= imported(ROOT / "scripts" / script, set())
    assert pinned(ROOT / "envs" / f"{name}.yaml").keys() <= needed


def test_fits_have_an_environment_that_adds_pytorch_and_nothing_else():
    asked = {
        script for script, _ in rules() if PYTORCH in imported(ROOT / "scripts" / script, set())
    }
    fits = {script for script, name in rules() if name == GRADIENT}
    assert fits == {"fit.py", "screen.py"}
    assert fits <= asked
    screen, gradient = (pinned(ROOT / "envs" / f"{name}.yaml") for name in ("screen", GRADIENT))
    assert gradient.items() - screen.items() == {(PYTORCH, gradient[PYTORCH])}


def test_what_is_imported_by_name_counts_as_imported(tmp_path):
    script = tmp_path / "script.py"
    script.write_text('from importlib import import_module\nimport_module("torch.nn")\n')
    assert imported(script, set()) == {PYTORCH}


def test_every_script_belongs_to_a_rule():
    scripts = {path.name for path in (ROOT / "scripts").glob("*.py")} - {"job.py"}
    assert scripts == {script for script, _ in rules()}


def test_the_lock_file_names_versions_and_hashes_and_no_address():
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    pattern = re.compile(r"^([A-Za-z0-9_.-]+==\S+|    --hash=sha256:[0-9a-f]{64})( \\)?$")
    assert [line for line in lines if not pattern.match(line)] == []
