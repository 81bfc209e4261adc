"""Write the reference of config keys, docs/config.md, from the config model."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, get_args

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from lgem import config, config_dataset

SECTIONS: list[tuple[str, type[BaseModel]]] = [
    ("", config.Config),
    ("datasets.NAME", config_dataset.Dataset),
    ("datasets.NAME.simulate", config_dataset.Simulation),
    ("pseudobulk", config.Pseudobulk),
    ("splits", config.Splits),
    ("models[]", config.Model),
    ("evaluation", config.Evaluation),
    ("screen", config.Screen),
    ("mixed_forms", config.MixedForms),
    ("network", config.Network),
]


def reference() -> str:
    """Return the page: one table per section, one row per key."""
    lines = [
        "# Config keys",
        "",
        "Written from the config model (`lgem/config.py`) by `make schema`. A key that is not",
        "listed here is an error, and so is a value of another type.",
    ]
    for path, section in SECTIONS:
        heading = (section.__doc__ or "").splitlines()[0]
        lines += ["", f"## {f'`{path}`: ' if path else ''}{heading}", ""]
        lines += ["| key | type | default | meaning |", "| --- | --- | --- | --- |"]
        for name, field in section.model_fields.items():
            default = "" if field.default is PydanticUndefined else _default(field.default)
            meaning = field.description or _section_of(field.annotation)
            kind = _type(field.annotation)
            if config_dataset.OneOrMore in field.metadata or (
                "BeforeValidator" in str(field.annotation) and name != "keep"
            ):
                kind = "text or list"
            lines.append(f"| `{name}` | {kind} | {default} | {meaning} |")
    return "\n".join(lines) + "\n"


def _default(value: Any) -> str:
    if isinstance(value, BaseModel):
        return ""
    if isinstance(value, list):
        return "".join(f"`{getattr(item, 'name', item)}` " for item in value).strip() or "none"
    if value is None or value == {}:
        return "none"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _type(annotation: Any) -> str:
    names = {str: "text", int: "whole number", float: "number", bool: "true, false"}
    if annotation in names:
        return names[annotation]
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "section"
    arguments = [part for part in get_args(annotation) if part is not type(None)]
    origin = getattr(annotation, "__origin__", None)
    if origin in (list, dict):
        return f"{origin.__name__} of {_type(arguments[-1])}"
    if all(isinstance(part, str) for part in arguments):
        return ", ".join(f"`{part}`" for part in arguments)
    if origin is not None and hasattr(annotation, "__metadata__"):
        return _type(arguments[0])
    return " or ".join(_type(part) for part in arguments)


def _section_of(annotation: Any) -> str:
    return "see below" if "lgem.config" in str(annotation) else ""


if __name__ == "__main__":
    Path(__file__).with_name("config.md").write_text(reference(), encoding="utf-8")
