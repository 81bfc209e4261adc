"""Configs to break, and what is told of them."""

import copy

import pytest

from lgem.config import ConfigError, load

CELLS = {"path": "a.h5ad", "perturbation": "gene", "control": "NT"}
PROFILES = {"path": "a.tsv", "kind": "profiles"}
MINIMAL = {"dataset": "demo", "datasets": {"demo": {"simulate": {}}}}
# Something in every section, so that every level can be broken.
WHOLE = {
    "dataset": ["demo", "mine", "bulk"],
    "datasets": {
        "demo": {"simulate": {}},
        "mine": {**CELLS, "batch": ["lane", "day"], "keep": {"type": "K562"}, "covariates": "sex"},
        "bulk": {**PROFILES, "pypi": "package==1.0", "sha256": "0a" * 32},
    },
    "models": [{"name": "paper", "preset": "paper"}, {"name": "mine", "dimensions": 7}],
}


def problems(raw):
    with pytest.raises(ConfigError) as error:
        load(raw)
    first, *lines = str(error.value).split("\n")
    assert first == f"config: {len(lines)} problem{'s' * (len(lines) != 1)}"
    assert all(line.startswith("  ") for line in lines)
    return [line.strip() for line in lines]


def changed(raw, path, value):
    """Return a copy of nested mappings and lists with one value replaced or added."""
    result = copy.deepcopy(raw)
    *way, last = path
    part = result
    for step in way:
        part = part[step]
    part[last] = value
    return result


def mine(**keys):
    return {"dataset": "mine", "datasets": {"mine": {**CELLS, **keys}}}


def spelled(path):
    return "".join(f"[{s}]" if isinstance(s, int) else f".{s}" for s in path).lstrip(".")


def leaves(part, path=()):
    if isinstance(part, dict | list):
        items = part.items() if isinstance(part, dict) else enumerate(part)
        for key, value in items:
            yield from leaves(value, (*path, key))
    else:
        yield path, part


def full_dump():
    """Every key with a value: the defaults of all sections written out."""
    return load(WHOLE).model_dump(mode="json")


def sections():
    return [
        (), ("datasets", "demo"), ("datasets", "demo", "simulate"), ("datasets", "mine"),
        ("pseudobulk",), ("splits",), ("models", 0), ("models", 1), ("evaluation",), ("screen",),
        ("mixed_forms",), ("network",),
    ]  # fmt: skip
