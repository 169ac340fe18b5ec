"""Write the reference pages that are made from the code: run it as a script.

- ``configuration.md``: the tables between the marks ``settings:``, from the models;
- ``command-line.md``: every command of ``dask-etl``, from click;
- ``catalog.md``: every entry of ``conf/base``, from its files.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import yaml

from settings_table import ROOT, table

DOCS = ROOT / "docs"
MARKED = re.compile(
    r"(<!-- settings: ([\w ]+) -->\n).*?(<!-- end of settings -->)", re.S
)
MADE = (
    "<!-- Made by docs/scripts/reference.py (`make docs`): change that, not this. -->"
)


def pages() -> dict[Path, str]:
    """Return what each page is to hold."""
    configuration = DOCS / "configuration.md"
    return {
        configuration: MARKED.sub(
            lambda found: f"{found[1]}\n{table(found[2])}\n\n{found[3]}",
            configuration.read_text(encoding="utf-8"),
        ),
        DOCS / "command-line.md": command_line(),
        DOCS / "catalog.md": catalog(),
    }


def command_line() -> str:
    """Write the reference of the command line."""
    from dask_etl.cli import cli

    head = f"""{MADE}

# Command line

`dask-etl` works in any folder of a project; `dask-etl COMMAND --help` says the same as
this page. `kedro run` is `dask-etl run`. What fails ends in one line that begins with
`Error:`, and with exit code 1; what is mistyped on the command line, with exit code 2.
"""
    return "\n".join([head, *_commands(cli, ("dask-etl",))])


def _commands(command: click.Command, path: tuple[str, ...]) -> Iterator[str]:
    context = click.Context(command, info_name=" ".join(path))
    usage = " ".join(command.collect_usage_pieces(context))
    text = (command.help or "").partition("\f")[0].replace("\n    ", "\n").strip()
    if len(path) > 1:
        yield f"## {' '.join(path)}\n"
    yield f"{text}\n"
    if not isinstance(command, click.Group):
        yield f"```\n{' '.join(path)} {usage}\n```\n"
        if rows := [row for p in command.params if (row := p.get_help_record(context))]:
            yield "| option | |\n|---|---|"
            yield from (f"| `{_cell(a)}` | {_cell(b)} |" for a, b in rows)
            yield ""
        return
    for name in command.list_commands(context):
        inner = command.get_command(context, name)
        assert inner is not None
        yield from _commands(inner, (*path, name))


def catalog() -> str:
    """Write the reference of the catalog."""
    parts = [
        f"""{MADE}

# Catalog

Every entry of `conf/base`, as its files have it; an environment may say otherwise.
`{{engine}}` is `dask` or `pandas`; an entry `…@dask` and one `…@pandas` are two ways to
load one table. What the tables hold is in [the data dictionary](data_dictionary.md);
`dask-etl tables list` says which of them there are, and how large.
"""
    ]
    for path in sorted((ROOT / "conf" / "base").glob("catalog_*.yml")):
        text = path.read_text(encoding="utf-8")
        comment = re.match(r"(?:# .*\n)*", text)
        said = re.sub(r"^# ", "", comment[0], flags=re.M) if comment else ""
        parts += [f"## {path.name}\n", said, "| entry | type | where |\n|---|---|---|"]
        for name, entry in yaml.safe_load(text).items():
            if not name.startswith("_"):
                where = _cell(entry.get("filepath", "")).replace(
                    "${globals:data_root}", "data"
                )
                parts.append(f"| `{name}` | `{entry['type']}` | `{where}` |")
        parts.append("")
    return "\n".join(parts)


def _cell(text: Any) -> str:
    return " ".join(str(text).split()).replace("|", "\\|")


if __name__ == "__main__":
    for page, content in pages().items():
        page.write_text(content, encoding="utf-8")
