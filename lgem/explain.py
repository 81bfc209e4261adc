"""Sections of the config that tell all their problems at once, in words.

Path, what was found, what was expected, nearest spelling.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Self, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    ModelWrapValidatorHandler,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from lgem.errors import InputError, listing, nearest

CONFLICT = "conflict"
# Words for pydantic's "Input should be a valid ...".
EXPECTED = {
    "a valid integer": "a whole number",
    "a valid number": "a number",
    "a valid string": "a text",
    "a valid boolean": "true or false",
    "a valid list": "a list",
    "a finite number": "a finite number",
}
TOO_SHORT = {"too_short": "at least one entry", "string_too_short": "at least one character"}


class Section(BaseModel):
    """A part of the config: unknown keys and wrong types are errors, nothing is converted."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    @classmethod
    def conflicts(cls, given: Mapping[str, Any]) -> dict[str, str]:
        """Return what should stand at keys that do not go together; "" for the whole section.

        `given` is what the user wrote: values may still be of a wrong type.
        """
        return {}

    @model_validator(mode="wrap")
    @classmethod
    def _every_problem(cls, value: Any, check: ModelWrapValidatorHandler[Self]) -> Self:
        conflicts = cls.conflicts(_meant(value, cls)) if isinstance(value, Mapping) else {}
        try:
            section = check(value)
        except ValidationError as error:
            raise _with_conflicts(cls.__name__, value, conflicts, error) from None
        if conflicts:
            raise _with_conflicts(cls.__name__, value, conflicts)
        return section


def explain_problems(error: ValidationError, model: type[BaseModel], raw: Any) -> list[str]:
    """Return one sentence per problem.

    A value that fits none of several allowed types gives several errors; they become one.
    """
    grouped: dict[tuple[Any, ...], list[ErrorDetails]] = {}
    for details in error.errors():
        grouped.setdefault(_path(details["loc"], raw, details["type"]), []).append(details)
    return [_sentence(path, group, model) for path, group in grouped.items()]


def unknown_names(key: str, names: Iterable[object], known: Iterable[str]) -> list[str]:
    """Return one sentence for each name that is not among the known ones."""
    known = list(known)
    return [
        str(InputError(key, f"'{name}'", f"one of: {listing(known)}", nearest(name, known)))
        for name in names
        if isinstance(name, str) and name not in known
    ]


def _meant(given: Mapping[str, Any], model: type[BaseModel]) -> dict[str, Any]:
    """Return a section with its mistyped keys under the names that they probably stand for."""
    fields = list(model.model_fields)
    corrected = {
        close: value
        for key, value in given.items()
        if key not in fields and (close := nearest(key, fields))
    }
    return {**corrected, **given}


def _with_conflicts(
    title: str,
    section: Any,
    conflicts: Mapping[str, str],
    error: ValidationError | None = None,
) -> ValidationError:
    """Return one error for the keys that do not go together and for those wrong by themselves.

    `conflicts` maps a key of the section, or "" for all of it, to what should stand there.
    """
    lines: list[InitErrorDetails] = []
    for details in error.errors() if error else []:
        # The message is complete; the context keeps what explaining needs beside it.
        context = {**details.get("ctx", {}), "message": details["msg"]}
        kind = PydanticCustomError(details["type"], "{message}", context)
        lines.append({"type": kind, "loc": details["loc"], "input": details["input"]})
    told = {line["loc"][0] for line in lines if line["loc"]}
    for key, expected in conflicts.items():
        if key in told and not isinstance(section.get(key), Mapping | list):
            continue  # a wrong type is told first
        kind = PydanticCustomError(CONFLICT, "{message}", {"message": expected})
        found = section.get(key) if key else section
        lines.append({"type": kind, "loc": (key,) if key else (), "input": found})
    return ValidationError.from_exception_data(title, lines)


def _path(location: tuple[Any, ...], raw: Any, kind: str) -> tuple[Any, ...]:
    """Return the part of an error's location that can be followed in the config itself."""
    path: list[Any] = []
    value = raw
    for step in location:
        inside = (isinstance(value, Mapping) and step in value) or (
            isinstance(value, list) and isinstance(step, int) and step < len(value)
        )
        if inside:
            path.append(step if isinstance(value, list) else str(step))
            value = value[step]
        elif kind in ("missing", CONFLICT) and step == location[-1]:
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
    hint = nearest(found, choices) if isinstance(found, str) else None
    if isinstance(found, bool) and "a text" in expected:
        expected += " (in quotes: YAML takes yes, no, on and off for true and false)"
    elif isinstance(found, str) and expected in ("a number", "a whole number"):
        expected += ", not a text"
    return str(InputError(place, _found(found), expected, hint))


def _found(value: Any) -> str:
    """Return a value in the words of YAML."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return f"keys {listing(value)}" if value else "an empty section"
    if isinstance(value, list) and any(isinstance(entry, Mapping) for entry in value):
        return f"a list of {len(value)}"
    return repr(value)


def _spell(path: tuple[Any, ...]) -> str:
    words = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return words.lstrip(".") or "config"


def _expected(details: ErrorDetails) -> str:
    message = details["msg"]
    if details["type"] in ("model_type", "dict_type"):
        return "keys with values"
    if details["type"] in TOO_SHORT:
        return TOO_SHORT[details["type"]]
    if details["type"] == "string_pattern_mismatch":
        return f"a text of the form {details['ctx']['pattern']}"
    for opening in ("Input should be ", "Value error, "):
        if message.startswith(opening):
            words = message.removeprefix(opening)
            bound = words.startswith(("greater than", "less than"))
            return f"a number {words}" if bound else EXPECTED.get(words, words)
    return message if details["type"] == CONFLICT else message[0].lower() + message[1:]


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
