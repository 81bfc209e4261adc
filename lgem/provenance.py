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

    Snakemake sees an edit of a script, but not of the modules behind it; as a parameter of the
    rule, this digest reruns what an edit of the core concerns, and nothing else.

    Parameters
    ----------
    script
        The Python file to start from.
    root
        The folder that the project's packages lie in.
    """
    seen: set[Path] = set()
    waiting = [script]
    while waiting:
        path = waiting.pop()
        if path in seen or not path.is_file():
            continue
        seen.add(path)
        waiting += [
            file for name in _imports(path.read_text("utf-8")) for file in _files(name, root)
        ]
    digest = hashlib.sha256()
    for path in sorted(seen - {script}):
        digest.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


@cache  # by text: the scripts share most modules behind them, and a run starts with all digests
def _imports(source: str) -> tuple[str, ...]:
    names: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return tuple(names)


def _files(name: str, root: Path) -> Iterable[Path]:
    """Return the files that importing a dotted name of the project runs."""
    parts = name.split(".")
    for length in range(1, len(parts) + 1):
        stem = root.joinpath(*parts[:length])
        yield from (stem.with_suffix(".py"), stem / "__init__.py")
