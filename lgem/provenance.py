"""What a result was made from and by."""

from __future__ import annotations

import ast
import hashlib
import platform
from collections.abc import Iterable
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import lgem

# What a package may hold beside modules that makes a difference to its results.
TEMPLATES = (".j2", ".css", ".js")
PACKAGES = ("numpy", "scipy", "pandas", "anndata", "scikit-learn")


def provenance(dataset: str, config_digest: str, seed: int) -> dict[str, Any]:
    """Return what every result carries: dataset, digest of the config, seed and versions."""
    return {
        "dataset": dataset,
        "config_digest": config_digest,
        "seed": seed,
        "versions": {"lgem": lgem.__version__, "python": platform.python_version(), **versions()},
    }


def versions() -> dict[str, str]:
    """Return the versions of the numeric packages that are installed."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def core_digest(script: Path, root: Path) -> str:
    """Return a digest of every module of the project that a script imports, directly or not.

    With the templates that lie in the same package as one of these modules.

    Snakemake sees an edit of a script, but not of the modules behind it; as a parameter of the
    rule, this digest reruns what an edit of the core concerns, and nothing else.

    Parameters
    ----------
    script
        The Python file to start from.
    root
        The folder that the project's packages lie in.
    """
    packages = {entry.stem for entry in root.iterdir()}
    names: set[str] = set()
    contents: dict[Path, bytes] = {}
    waiting = [script]
    while waiting:
        path = waiting.pop()
        if path in contents or not path.is_file():
            continue
        contents[path] = path.read_bytes()
        # Modules of others and what is known already are not looked for among the files.
        found = {name for name in _imports(contents[path]) if name.partition(".")[0] in packages}
        waiting += [root / file for name in found - names for file in _files(name)]
        names |= found
    for package in [path for path in contents if path.name == "__init__.py"]:
        beside = (path for path in package.parent.iterdir() if path.suffix in TEMPLATES)
        contents |= {path: path.read_bytes() for path in beside}
    digest = hashlib.sha256()
    for path in sorted(contents.keys() - {script}):
        digest.update(str(path.relative_to(root)).encode() + b"\0" + contents[path])
    return digest.hexdigest()[:16]


# Where statements hold others.
_BLOCKS = ("body", "orelse", "handlers", "finalbody", "cases")


@cache  # by content: the scripts share most modules behind them, and a run starts with all digests
def _imports(source: bytes) -> frozenset[str]:
    """Return the dotted names that a source imports, and those of the packages they lie in."""
    names: list[str] = []
    waiting: list[ast.AST] = [*ast.parse(source).body]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names += [f"{node.module}.{alias.name}" for alias in node.names]
        else:  # imports stand in statements: what lies in expressions need not be walked through
            waiting += [inner for block in _BLOCKS for inner in getattr(node, block, ())]
    parts = [name.split(".") for name in names]
    return frozenset(".".join(part[:n]) for part in parts for n in range(1, len(part) + 1))


def _files(name: str) -> Iterable[str]:
    """Return the files that a dotted name may stand for."""
    stem = name.replace(".", "/")
    return f"{stem}.py", f"{stem}/__init__.py"
