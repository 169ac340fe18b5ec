"""Every setting that there is, as docs/configuration.md has it in its tables.

All is read from the models: kinds, bounds and descriptions, and defaults from conf/base.
"""

from collections.abc import Iterable, Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import yaml
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from dask_etl.engine.cluster_settings import DaskSettings
from dask_etl.hooks.parameters import parameter_models
from dask_etl.pipeline_registry import register_pipelines
from dask_etl.validation import leaves, models_in

ROOT = Path(__file__).parents[2]

KINDS = {
    bool: "true or false",
    date: "date",
    datetime: "moment",
    float: "number",
    int: "whole number",
    str: "text",
}
ENTRIES = {
    "cleaning.thresholds": "<rule>",
    "cleaning.rules": "<rule>",
    "ingestion.thresholds": "<rule>",
    "mapping.columns": "<column>",
    "segments.rules": "<segment>",
}
"""What stands for the names in a mapping whose entries are settings."""
AS_COLUMNS = {
    "chained": "list of columns",
    "added": "list of columns",
    "keep": "list of names, or mapping to columns",
}
"""Settings whose entries may say what those of ``columns`` do."""
SIGNS = {"gt": "> ", "ge": "≥ ", "lt": "< ", "le": "≤ "}
MODELS: dict[str, type[BaseModel]] = {
    **parameter_models(register_pipelines()),
    "dask": DaskSettings,
}


def configured() -> dict[str, Any]:
    """What ``conf/base`` says, as it is written there."""
    base = ROOT / "conf" / "base"
    said: dict[str, Any] = {}
    for path in (*base.glob("parameters*.yml"), base / "source.yml"):
        said |= yaml.safe_load(path.read_text())
    return {**said, "dask": yaml.safe_load((base / "dask.yml").read_text())}


def settings(
    groups: Iterable[str] = tuple(sorted(MODELS)),
) -> Iterator[tuple[str, str, str, str, str]]:
    """Each setting's name, kind, default, bounds if a number has any, and meaning."""
    values = configured()
    for group in groups:
        yield from _settings(MODELS[group], group, values.get(group, {}))


def table(groups: str) -> str:
    """Write the Markdown table of the settings of some groups, e.g. ``clock etl``."""
    rows = (f"| {' | '.join(row)} |" for row in settings(groups.split()))
    head = ("| setting | kind | default | bounds | meaning |", "|---|---|---|---|---|")
    return "\n".join((*head, *rows))


def _settings(
    model: type[BaseModel], path: str, given: Any, about: str = "", own: Any = None
):
    """Walk through a model; ``about`` and ``own`` are of the mapping that it is in."""
    for attribute, field in model.model_fields.items():
        name = field.alias or attribute
        place = f"{path}.{name}"
        default = field.get_default(call_default_factory=True)
        value = given.get(name, default)
        if isinstance(value, BaseModel):
            value = value.model_dump()
        inner = models_in(field.annotation)
        many = get_origin(field.annotation) is dict
        meaning = field.description or ""
        if place.startswith("mapping.") and name in AS_COLUMNS:
            yield f"`{place}`", AS_COLUMNS[name], "", "", meaning
            continue
        if inner:
            entry = f".{ENTRIES[place]}" if many else ""
            ofany = default.get("any") if many and isinstance(default, dict) else None
            yield from _settings(
                inner[0], place + entry, {} if many else value or {}, meaning, ofany
            )
            continue
        if about:
            meaning, about = f"{meaning}. {about}", ""
        if own is not None:
            meaning = f"{meaning}. `any` has {getattr(own, name):g}"
        entry = f".{ENTRIES[place]}" if many and place in ENTRIES else ""
        yield (
            f"`{place}{entry}`",
            _kind(field.annotation),
            _written(value if not entry else PydanticUndefined),
            _bounds(field) or "",
            meaning,
        )


def _kind(annotation: Any) -> str:  # noqa: PLR0911  (one for each kind)
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return "name"
    if type(None) in inner and any(get_origin(one) is Literal for one in inner):
        return "name or null"
    lists = [one for one in (annotation, *inner) if get_origin(one) is list]
    if lists:
        null = " or null" * (type(None) in inner)
        return f"list of {_kind(get_args(lists[0])[0])}s{null}"
    if origin in (tuple, frozenset):
        count = f"{len(inner)} " if origin is tuple and ... not in inner else ""
        return f"{count or 'list of '}{_kind(inner[0])}s"
    if origin is dict:
        return "mapping" if inner[1] is Any else _kind(inner[1])
    if getattr(annotation, "__metadata__", None):
        return _kind(inner[0])
    kinds = list(dict.fromkeys(leaves(annotation)))
    words = [KINDS.get(kind, "moment") for kind in kinds if isinstance(kind, type)]
    return " or ".join([*words, *(["null"] if type(None) in inner else [])])


def _written(value: Any) -> str:
    if value is PydanticUndefined or isinstance(value, dict):
        return ""
    if isinstance(value, bool) or value is None:
        return f"`{yaml.safe_dump(value).splitlines()[0]}`"
    if isinstance(value, int | float):
        return f"`{value:_}`"
    if isinstance(value, list | tuple | set | frozenset):
        return f"`[{', '.join(_written(one).strip('`') for one in value)}]`"
    return f"`{value}`"


def _bounds(field: Any) -> str | None:
    """Bounds of the number or, in a list, of its entries."""
    found = [
        f"{sign}{_written(getattr(one, name)).strip('`')}"
        for one in _metadata(field)
        for name, sign in SIGNS.items()
        if getattr(one, name, None) is not None
    ]
    return ", ".join(dict.fromkeys(found)) or None


def _metadata(kind: Any) -> Iterator[Any]:
    for one in (*getattr(kind, "metadata", ()), *getattr(kind, "__metadata__", ())):
        yield from (one, *getattr(one, "metadata", ()))
    inner = getattr(kind, "annotation", kind)
    for one in get_args(inner):
        yield from _metadata(one)
