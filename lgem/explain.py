"""Config problems in words: path, what was found, what was expected, nearest spelling."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from lgem.errors import InputError, listing, nearest


def explain_problems(error: ValidationError, model: type[BaseModel], raw: Any) -> list[str]:
    """Return one sentence per problem, in the order of the config.

    A value that fits none of several allowed types gives several errors; they become one.
    """
    grouped: dict[tuple[Any, ...], list[ErrorDetails]] = {}
    for details in error.errors():
        grouped.setdefault(_path(details["loc"], raw, details["type"]), []).append(details)
    return [_sentence(path, group, model) for path, group in grouped.items()]


def unknown_names(key: str, names: Iterable[str], known: Iterable[str]) -> list[str]:
    """Return one sentence for each name that is not among the known ones."""
    known = list(known)
    return [
        str(InputError(key, f"'{name}'", f"one of: {listing(known)}", nearest(name, known)))
        for name in names
        if name not in known
    ]


def _path(location: tuple[Any, ...], raw: Any, kind: str) -> tuple[Any, ...]:
    """Return the part of an error's location that can be followed in the config itself."""
    path: list[Any] = []
    value = raw
    for step in location:
        inside = (isinstance(value, Mapping) and step in value) or (
            isinstance(value, list) and isinstance(step, int) and step < len(value)
        )
        if inside:
            value = value[step]
            path.append(step)
        elif kind == "missing" and step == location[-1]:
            path.append(step)
    return tuple(path)


def _sentence(path: tuple[Any, ...], group: list[ErrorDetails], model: type[BaseModel]) -> str:
    details = group[0]
    place = _spell(path)
    if details["type"] == "extra_forbidden":
        keys = list(_model_at(model, path[:-1]).model_fields)
        return str(
            InputError(
                place, "an unknown key", f"one of: {listing(keys, 30)}", nearest(path[-1], keys)
            )
        )
    if details["type"] == "missing":
        return str(InputError(place, "nothing", "a value"))
    expected = " or ".join(dict.fromkeys(_expected(each) for each in group))
    choices = [word for each in group for word in _choices(each)]
    found = details["input"]
    if isinstance(found, Mapping):
        found_words = f"keys {listing(found)}" if found else "an empty mapping"
        hint = None
    else:
        found_words = repr(found)
        hint = nearest(found, choices) if isinstance(found, str) else None
    return str(InputError(place, found_words, expected, hint))


def _spell(path: tuple[Any, ...]) -> str:
    words = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return words.lstrip(".") or "config"


def _expected(details: ErrorDetails) -> str:
    message = details["msg"]
    if details["type"] in ("model_type", "dict_type"):
        return "keys with values"
    if details["type"] == "string_pattern_mismatch":
        return f"a text of the form {details['ctx']['pattern']}"
    for opening in ("Input should be ", "Value error, "):
        if message.startswith(opening):
            return message.removeprefix(opening)
    return message[0].lower() + message[1:]


def _choices(details: ErrorDetails) -> list[str]:
    if details["type"] != "literal_error":
        return []
    return [word.strip(" '") for word in details["ctx"]["expected"].replace(" or ", ",").split(",")]


def _model_at(model: type[BaseModel], path: tuple[Any, ...]) -> type[BaseModel]:
    """Follow a path through the types of the config to the section it leads to.

    Steps that are no field, list indices and names of datasets, stay in the section.
    """
    section = model
    for step in path:
        field = section.model_fields.get(str(step))
        section = (_section_in(field.annotation) if field else None) or section
    return section


def _section_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _section_in(part))), None)
