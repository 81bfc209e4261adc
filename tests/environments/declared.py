"""What the environments declare, which rules use them, and what the rules' scripts import."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENTS = sorted((ROOT / "envs").glob("*.yaml"))
# What the channels of conda call otherwise than the Python package index does.
CONDA_NAME = {"isal": "python-isal"}
PACKAGE_OF = {"sklearn": "scikit-learn", "yaml": "pyyaml", "torch": "pytorch", **CONDA_NAME}
# The one solver that needs PyTorch has an environment of its own; the lock file does without.
GRADIENT, PYTORCH = "gradient", "pytorch"
# A rule whose environment depends on the model's solver.
CHOSEN = {"model_environment": ("screen", GRADIENT)}
OWN = ("lgem", "scripts", "benchmarks")


def locked() -> dict[str, str]:
    """Versions in the lock file, by conda's names."""
    pins = re.findall(r"^([A-Za-z0-9_.-]+)==(\S+)", (ROOT / "requirements.lock").read_text(), re.M)
    return {CONDA_NAME.get(name, name): version for name, version in pins}


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


def nodes(file: Path) -> Iterator[ast.AST]:
    """Parts of a file's code, but for the imports of type checkers alone."""
    tree = ast.parse(file.read_text())
    unwanted: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            unwanted |= {inner for statement in node.body for inner in ast.walk(statement)}
        if node not in unwanted:
            yield node


@cache
def names_imported(file: Path) -> list[str]:
    """Names that a file imports."""
    names: list[str] = []
    for node in nodes(file):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "import_module":
            names.append(ast.literal_eval(node.args[0]))
    return names


def import_statements(environment: str) -> list[str]:
    """All imports of an environment's scripts and of the project's modules behind them."""
    reached: set[Path] = set()
    for script in (script for script, name in rules() if name == environment):
        imported(ROOT / "scripts" / script, reached)
    found = [node for file in reached for node in nodes(file)]
    statements = {ast.unparse(n) for n in found if isinstance(n, ast.Import | ast.ImportFrom)}
    return sorted(statements - {"from __future__ import annotations"})


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
