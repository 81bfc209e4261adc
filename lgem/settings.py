"""The settings of a run as a reader needs them: key, value, meaning, and whether it is a choice."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from lgem.config import Config

# What has a section of its own, or is the name of the run.
APART = ("dataset", "datasets", "models")


def described_settings(config: Config, name: str) -> list[dict[str, Any]]:
    """Return all settings that a dataset's results depend on, in groups.

    Parameters
    ----------
    config
        The whole config.
    name
        The dataset.

    Returns
    -------
    list of dict
        Groups with ``title``, ``about`` and ``rows``: key, value, meaning, and chosen (whether it
        differs from the default). Of the datasets and models, keys without a value are left out.
    """
    whole = config.of(name)
    groups = []
    for dataset, entry in whole["datasets"].items():
        given = {key: value for key, value in entry.items() if value not in BLANK}
        groups.append(_group(f"datasets.{dataset}", config.datasets[dataset], given))
    for model, entry in zip(config.models, whole["models"], strict=True):
        given = {key: value for key, value in entry.items() if value not in BLANK}
        groups.append(_group(f"models: {model.name}", model, given))
    for key, value in whole.items():
        section = getattr(config, key)
        if key not in APART and isinstance(section, BaseModel):
            groups.append(_group(key, section, value))
    rest = {k: v for k, v in whole.items() if k not in APART and not isinstance(v, Mapping)}
    return [*groups, _group("everything", config, rest)]


# Keys that were not given.
BLANK: tuple[Any, ...] = (None, {}, [])


def _group(title: str, section: BaseModel, values: Mapping[str, Any]) -> dict[str, Any]:
    about = (type(section).__doc__ or "").splitlines()[0]
    return {"title": title, "about": about, "rows": list(_rows(section, values))}


def _rows(section: BaseModel, values: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for key, value in values.items():
        field = type(section).model_fields[key]
        default = field.get_default(call_default_factory=True)
        inner = getattr(section, key)
        if isinstance(inner, BaseModel):
            for row in _rows(inner, value):
                yield {**row, "key": f"{key}.{row['key']}"}
            continue
        yield {
            "key": key,
            "value": spelled(value),
            "meaning": field.description or "",
            "chosen": inner != default,
        }


def spelled(value: Any) -> str:
    """Return a value as a config may spell it, in one line."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
