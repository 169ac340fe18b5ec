"""The files of an environment that is made for somebody's data."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from dask_etl.adopt.trial import NotAdopted

_HEAD = """\
# How the columns of {where} become raw transactions: ours → theirs.
# docs/configuration.md lists all that can be said; docs/your-own-data.md shows it.
"""


def write_environment(
    folder: Path,
    entry: Mapping[str, Any],
    mapping: Mapping[str, Any],
    parameters: Mapping[str, Any],
    notes: Mapping[str, str],
    replace: bool,
) -> list[Path]:
    """Write ``catalog.yml``, ``globals.yml``, ``source.yml`` and ``parameters.yml``.

    Args:
        folder: of the environment; git ignores what is in it.
        entry: of the source in the catalog.
        mapping: as ``source.yml`` has it.
        parameters: by group.
        notes: comments, by columns of ours.
        replace: write over files that are there.

    Raises:
        NotAdopted: there are such files, and they are not to be replaced.
    """
    env = folder.name
    contents = {
        "catalog.yml": "# Where the data of others are; they are only read.\n"
        + _yaml({"source": dict(entry)}),
        "globals.yml": "# Where the results go.\n"
        + _yaml({"data_root": f"data/{env}"}),
        "source.yml": _HEAD.format(where=entry["filepath"]) + _source(mapping, notes),
        "parameters.yml": "# What the data are judged by (docs/configuration.md).\n"
        + (_yaml(dict(parameters)) if parameters else "{}\n"),
        ".gitignore": "# A person's own; take this file away to share it.\n*\n",
    }
    there = [
        name for name in contents if name.endswith(".yml") and (folder / name).exists()
    ]
    if there and not replace:
        raise NotAdopted(
            f"{folder}: has {', '.join(there)} already. Give another --env, or --replace."
        )
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in contents.items():
        (folder / name).write_text(text)
    return [folder / name for name in contents]


def _source(mapping: Mapping[str, Any], notes: Mapping[str, str]) -> str:
    """Write a mapping a column a line, with why it is what it is."""
    lines = ["mapping:"]
    for name, value in mapping.items():
        if name != "columns":
            lines.append(f"  {name}: {_flow(value)}")
    lines.append("  columns:")
    for name, column in mapping["columns"].items():
        if name in notes:
            lines.append(f"    # {notes[name]}")
        lines.append(f"    {name}: {_flow(column)}")
    return "\n".join([*lines, ""])


def _flow(value: Any) -> str:
    text = yaml.safe_dump(
        value,
        default_flow_style=True,
        allow_unicode=True,
        sort_keys=False,
        width=10_000,
    )
    return text.removesuffix("...\n").strip()


def _yaml(value: Mapping[str, Any]) -> str:
    return yaml.safe_dump(
        value, allow_unicode=True, sort_keys=False, default_flow_style=False
    )
