"""Models of what people configure, and what is wrong with it in words of theirs."""

import difflib
import re
import types
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from typing import Any, get_args, get_origin

from pydantic import (
    BaseModel,
    ConfigDict,
    ValidationError,
    ValidationInfo,
    field_validator,
)

KINDS = {
    "bool": "true or false",
    "date": "a date such as 2024-12-31",
    "dict": "a mapping, name: value",
    "float": "a number",
    "finite": "a finite number",
    "frozen": "a list",
    "int": "a whole number",
    "list": "a list",
    "model": "a mapping, name: value",
    "set": "a list",
    "string": "text",
    "tuple": "a list",
}
"""What is expected, by the first word of pydantic's name of the error."""

BOUNDS = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
"""Bounds of numbers and dates, by their names in pydantic."""

_SHOWN = 60
"""Characters of a wrong value that are shown."""


class Strict(BaseModel):
    """Takes no unknown names, no flags for numbers, no NaN or infinities; is fixed."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _flags_are_flags(cls, value: Any, info: ValidationInfo) -> Any:
        """``'false'`` is no flag, and ``true`` is not the number 1."""
        kinds = [*leaves(cls.model_fields[str(info.field_name)].annotation)]
        if kinds == [bool] and not isinstance(value, bool):
            raise ValueError(f"must be true or false, it is {shown(value)}")
        if bool not in kinds:
            flags = [v for v in _flat(value) if isinstance(v, bool)]
            if flags:
                raise ValueError(f"must not be {shown(flags[0])}: a flag is no value")
        return value


def problems(given: Any, model: type[BaseModel], group: str) -> list[str]:
    """Say what is wrong with settings, a line for each thing.

    Args:
        given: the settings, as they were read.
        model: what they should be.
        group: their name, put before the names in them.

    Returns:
        Lines like ``generation.rows: must be at least 0, it is -1``.
    """
    try:
        model.model_validate(given)
    except ValidationError as error:
        errors = error.errors(include_url=False)
    else:
        return []
    lines: dict[str, str] = {}
    for one in errors:
        path, inside = _place(model, one["loc"])
        if one["type"] == "extra_forbidden":
            path = [*path, one["loc"][-1]]
            reason = unknown_name(path[-1], inside.model_fields, _paths(model))
        else:
            reason = _reason(one)
        place = group + "".join(
            f"[{part}]" if isinstance(part, int) else f".{part}" for part in path
        )
        # The alternatives of a union complain one by one; once is enough.
        lines.setdefault(place, f"{place}: {reason}")
    return [*lines.values()]


def unknown_name(
    name: Any, names: Iterable[str], elsewhere: Mapping[str, str] | None = None
) -> str:
    """Say that there is no such name, which one is near, and which there are.

    Args:
        name: what was asked for.
        names: what there is in this place.
        elsewhere: names of other places, and how to get there.
    """
    known, elsewhere = sorted(names), elsewhere or {}
    near = difflib.get_close_matches(str(name), known, 1) or [
        elsewhere[found] for found in difflib.get_close_matches(str(name), elsewhere, 1)
    ]
    meant = f"; did you mean '{near[0]}'?" if near else "."
    return f"there is no {shown(name)}{meant} There are {', '.join(known)}"


def shown(value: Any) -> str:
    """Write a value as a person would in YAML, shortened."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    text = value.isoformat() if isinstance(value, date) else repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def leaves(annotation: Any) -> Iterator[Any]:
    """List the types that an annotation is made of, without ``None``."""
    inner = get_args(annotation)
    if not inner and annotation is not types.NoneType:
        yield annotation
    for one in inner:
        yield from leaves(one)


def models_in(annotation: Any) -> list[type[BaseModel]]:
    """List the models that an annotation is made of."""
    return [
        kind
        for kind in leaves(annotation)
        if isinstance(kind, type) and issubclass(kind, BaseModel)
    ]


def _flat(value: Any) -> Iterator[Any]:
    if isinstance(value, list | tuple | set | frozenset):
        for one in value:
            yield from _flat(one)
    else:
        yield value


def _place(
    model: type[BaseModel], loc: Sequence[int | str]
) -> tuple[list[int | str], type[BaseModel]]:
    """Follow names to a problem, as far as there are such; return the model there.

    Pydantic adds names for its own use, such as those of a union's alternatives.
    """
    path: list[int | str] = []
    inside, is_entry = model, False
    for part in loc:
        if is_entry or isinstance(part, int):
            is_entry = False
        elif part in inside.model_fields:
            annotation = inside.model_fields[part].annotation
            is_entry = _is_mapping(annotation)
            inside = next(iter(models_in(annotation)), BaseModel)
        else:
            break
        path.append(part)
    return path, inside


def _is_mapping(annotation: Any) -> bool:
    return get_origin(annotation) is dict or any(
        get_origin(one) is dict for one in get_args(annotation)
    )


def _reason(one: Any) -> str:
    kind, value, context = one["type"], one["input"], one.get("ctx", {})
    if kind == "value_error":
        return str(context["error"])
    if kind == "literal_error":
        return unknown_name(value, re.findall(r"'([^']*)'", context["expected"]))
    if kind == "missing":
        return "is missing"
    for bound, words in BOUNDS.items():
        if bound in context:
            return f"must be {words} {_bound(context[bound])}, it is {shown(value)}"
    expected = KINDS.get(kind.partition("_")[0])
    said = f"must be {expected}" if expected else one["msg"]
    return f"{said}, it is {shown(value)}"


def _bound(value: Any) -> str:
    return f"{value:,g}" if isinstance(value, float) else f"{value}"


def _paths(model: type[BaseModel], prefix: str = "") -> dict[str, str]:
    """Map every name in a model, at any depth, to its dotted path."""
    found: dict[str, str] = {}
    for name, field in model.model_fields.items():
        found.setdefault(name, prefix + name)
        for inner in models_in(field.annotation):
            found = {**_paths(inner, f"{prefix}{name}."), **found}
    return found
