"""Every rule's environment holds what its script imports, in the versions of the lock file."""

from __future__ import annotations

import ast
import re
import sys
from functools import cache
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENTS = sorted((ROOT / "envs").glob("*.yaml"))
PACKAGE_OF = {"sklearn": "scikit-learn", "yaml": "pyyaml", "torch": "pytorch"}
# The one solver that needs PyTorch has an environment of its own; the lock file does without.
GRADIENT, PYTORCH = "gradient", "pytorch"
# A rule whose environment depends on the model's solver.
CHOSEN = {"model_environment": ("screen", GRADIENT)}
OWN = ("lgem", "scripts", "benchmarks")


def locked() -> dict[str, str]:
    pins = re.findall(r"^([A-Za-z0-9_.-]+)==(\S+)", (ROOT / "requirements.lock").read_text(), re.M)
    return dict(pins)


def pinned(environment: Path) -> dict[str, str]:
    entries = yaml.safe_load(environment.read_text())["dependencies"]
    return dict(entry.split("=", 1) for entry in entries)


def rules() -> list[tuple[str, str]]:
    """Script and environment of every rule; rules that only ask for files have neither."""
    text = "".join(file.read_text() for file in sorted((ROOT / "workflow/rules").glob("*.smk")))
    pairs = []
    for rule in re.split(r"^rule ", text, flags=re.M)[1:]:
        script = re.search(r'scripts/(\w+\.py)"', rule)
        environment = re.search(r"    conda:\n        (\S+)\n", rule)
        if script is None:
            assert environment is None, rule
            assert not re.search(r"^    (output|run|shell|script):", rule, re.M), rule
            continue
        assert environment, rule
        named = re.fullmatch(r'"\.\./\.\./envs/(\w+)\.yaml"', environment[1])
        assert named or environment[1] in CHOSEN, rule
        chosen = (named[1],) if named else CHOSEN[environment[1]]
        pairs += [(script[1], name) for name in chosen]
    return pairs


@cache
def names_imported(file: Path) -> list[str]:
    """Names that a file imports, but for those of type checkers alone."""
    names: list[str] = []
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for inner in ast.walk(node):
                inner.names = []  # type: ignore[attr-defined]
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and node.names:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "import_module":
            names.append(ast.literal_eval(node.args[0]))
    return names


def imported(file: Path, seen: set[Path]) -> set[str]:
    """Third-party packages that a file and the project's modules behind it import."""
    if file in seen or not file.is_file():
        return set()
    seen.add(file)
    found = set()
    for name in names_imported(file):
        top = name.partition(".")[0]
        if top in OWN:
            parts = name.split(".")
            for length in range(1, len(parts) + 1):
                stem = ROOT.joinpath(*parts[:length])
                found |= imported(stem.with_suffix(".py"), seen)
                found |= imported(stem / "__init__.py", seen)
        elif top not in sys.stdlib_module_names:
            found.add(PACKAGE_OF.get(top, top))
    return found


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


def test_fits_have_an_environment_that_adds_pytorch_and_nothing_else():
    asked = {
        script for script, _ in rules() if PYTORCH in imported(ROOT / "scripts" / script, set())
    }
    fits = {script for script, name in rules() if name == GRADIENT}
    assert fits == {"fit.py", "screen.py"}
    assert fits <= asked
    screen, gradient = (pinned(ROOT / "envs" / f"{name}.yaml") for name in ("screen", GRADIENT))
    assert gradient == {**screen, PYTORCH: gradient[PYTORCH]}


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
