"""``dask-etl adopt PATH…``: look, propose, show, ask, try, write."""

import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import click

from dask_etl.errors import explanation

_ASKED = {
    "unit": ("Discounts are", ("percent", "fraction")),
    "returns": ("What came back is told by", ("negative_lines", "flag")),
}


def _options(command: Callable) -> Callable:
    for option in reversed(
        (
            click.argument("paths", nargs=-1, required=True),
            click.option(
                "--env",
                "-e",
                default="mine",
                show_default=True,
                help="The environment to make, a folder of conf/.",
            ),
            click.option(
                "--returns",
                type=click.Choice(["flag", "negative_lines"]),
                help="How the data tell what came back.",
            ),
            click.option(
                "--discount",
                "unit",
                type=click.Choice(["percent", "fraction"]),
                help="What discounts are in.",
            ),
            click.option(
                "--key",
                help="Columns that name a line, with commas between "
                "them; 'number' stands for the number of the row among its like.",
            ),
            click.option(
                "--timezone", help="Where the clocks are, e.g. Europe/Berlin."
            ),
            click.option("--currency", help="What amounts are in, e.g. EUR."),
            click.option(
                "--map",
                "pairs",
                multiple=True,
                metavar="OURS=THEIRS",
                help="The column of theirs that one of ours comes from.",
            ),
            click.option(
                "--keep", help="Columns that travel along, with commas between."
            ),
            click.option("--yes", is_flag=True, help="Ask nothing."),
            click.option("--replace", is_flag=True, help="Write over an environment."),
        )
    ):
        command = option(command)
    return command


@click.command()
@_options
def adopt(paths: tuple[str, ...], env: str, **options: Any) -> None:
    """Make an environment for data of one's own.

    Looks at the files, proposes what their columns mean, shows five rows before and
    after and all that is wrong, asks what only a person knows, and writes conf/ENV.
    """
    try:
        _adopt(paths, env, options)
    except (click.ClickException, click.exceptions.Abort):
        raise
    except Exception as error:
        said = explanation(error)
        if said is None:
            raise
        raise click.ClickException(said) from error


def _adopt(paths: Sequence[str], env: str, options: dict[str, Any]) -> None:
    from dask_etl.adopt.files import write_environment  # noqa: PLC0415  (start-up)
    from dask_etl.adopt.trial import (  # noqa: PLC0415  (start-up)
        find_source,
        joined,
        sample_of,
        try_out,
    )
    from dask_etl.retail.mapping import Mapping  # noqa: PLC0415  (start-up)
    from dask_etl.retail.parameters import Cleaning, Currency  # noqa: PLC0415  (start-up)
    from dask_etl.retail.proposal import propose  # noqa: PLC0415  (start-up)
    from dask_etl.sources.detect import look_at  # noqa: PLC0415  (start-up)
    from dask_etl.validation import problems  # noqa: PLC0415  (start-up)

    root = _project()
    found = find_source(
        [str(Path(p).absolute()) if "://" not in p else p for p in paths]
    )
    pieces = sample_of(found.source)
    look = look_at(joined(pieces))
    answers = _answers(options, look.columns)
    proposal = propose(look, answers)
    if not options["yes"] and sys.stdin.isatty():
        proposal = propose(look, _asked(answers, proposal))
    wrong = [
        *problems(proposal.mapping, Mapping, "mapping"),
        *problems(proposal.parameters.get("cleaning", {}), Cleaning, "cleaning"),
    ]
    if wrong:
        raise click.ClickException("\n  ".join(["no mapping can be made yet:", *wrong]))
    outcome = try_out(
        pieces,
        Mapping.model_validate(proposal.mapping),
        Cleaning.model_validate(proposal.parameters.get("cleaning", {})),
        Currency.model_validate(proposal.parameters.get("currency", {})),
    )
    click.echo(
        f"{found.entry['filepath']}: "
        + ", ".join(
            f"{name} {value!r}"
            for name, value in found.entry.items()
            if name not in ("type", "filepath")
        )
    )
    click.echo("\nBefore:")
    _show(look.rows.column_names, _first(look.rows))
    click.echo("\nAfter:")
    _show(outcome.rows.column_names, _first(outcome.rows))
    _show_problems(found, proposal, outcome)
    written = write_environment(
        root / "conf" / env,
        found.entry,
        proposal.mapping,
        proposal.parameters,
        proposal.notes,
        options["replace"],
    )
    click.echo(
        f"\nWritten: {', '.join(str(p.relative_to(root)) for p in written[:-1])}"
    )
    click.echo(
        f"Next: correct conf/{env}/source.yml if need be, then\n"
        f"  kedro run --env {env} --pipelines ingestion\n"
        f"  kedro run --env {env} --pipelines "
        "etl_dask,etl_pandas,analytics,verification,reporting"
    )


def _project() -> Path:
    from kedro.utils import find_kedro_project  # noqa: PLC0415  (start-up)

    here = Path.cwd()
    root = find_kedro_project(here) or here
    if not (root / "conf" / "base").is_dir():
        raise click.ClickException(
            f"{here} is in no project: there is no folder conf/base. Change to the "
            "project's folder."
        )
    return root


def _answers(options: dict[str, Any], there: Iterable[str]) -> Any:
    """Read what was said on the command line; refuse columns that there are not."""
    from dask_etl.retail.column_names import NAMES  # noqa: PLC0415  (start-up)
    from dask_etl.retail.proposal import Answers  # noqa: PLC0415  (start-up)
    from dask_etl.sources.moments import is_timezone  # noqa: PLC0415  (start-up)
    from dask_etl.validation import shown, unknown_name  # noqa: PLC0415  (start-up)

    wrong, columns = [], {}
    for pair in options["pairs"]:
        ours, sign, theirs = pair.partition("=")
        if not sign:
            wrong.append(f"--map {pair}: write it as OURS=THEIRS")
        elif ours not in NAMES:
            wrong.append(f"--map {pair}: {unknown_name(ours, NAMES)}")
        columns[ours] = theirs
    key = tuple(filter(None, (options["key"] or "").split(",")))
    keep = tuple(filter(None, (options["keep"] or "").split(",")))
    named = {"--map": [*columns.values()], "--key": [*key], "--keep": [*keep]}
    wrong += [
        f"{option}: {unknown_name(name, there)}"
        for option, names in named.items()
        for name in names
        if name and name not in there and not (option == "--key" and name == "number")
    ]
    zone = options["timezone"]
    if zone is not None and not is_timezone(zone):
        wrong.append(f"--timezone: there is no {shown(zone)}; e.g. Europe/Berlin")
    if wrong:
        raise click.ClickException("\n  ".join(wrong))
    return Answers(
        options["returns"],
        options["unit"],
        key or None,
        zone,
        options["currency"],
        columns,
        keep,
    )


def _asked(answers: Any, proposal: Any) -> Any:
    """Ask a person what the data do not tell."""
    from dataclasses import replace  # noqa: PLC0415  (start-up)

    from dask_etl.sources.moments import is_timezone  # noqa: PLC0415  (start-up)

    cleaning = proposal.parameters.get("cleaning", {})
    said: dict[str, Any] = {}
    if answers.returns is None and "returns" in cleaning:
        text, choices = _ASKED["returns"]
        said["returns"] = click.prompt(
            text, cleaning["returns"], type=click.Choice(choices)
        )
    if answers.unit is None and "discount" in proposal.mapping["columns"]:
        text, choices = _ASKED["unit"]
        unit = proposal.mapping["columns"]["discount"].get("unit", "fraction")
        said["unit"] = click.prompt(text, unit, type=click.Choice(choices))
    if answers.key is None and proposal.mapping["columns"]["transaction_id"].get(
        "numbered"
    ):
        key = ",".join(
            [*proposal.mapping["columns"]["transaction_id"]["compose"], "number"]
        )
        said["key"] = tuple(click.prompt("A line is named by", key).split(","))
    if answers.timezone is None:
        zone = click.prompt("The clocks are in", "UTC")
        while not is_timezone(zone):
            zone = click.prompt(f"There is no {zone!r}; the clocks are in", "UTC")
        said["timezone"] = zone
    if answers.currency is None:
        said["currency"] = (
            click.prompt("Amounts are in", "", show_default=False) or None
        )
    return replace(answers, **said)


def _show_problems(found: Any, proposal: Any, outcome: Any) -> None:
    """Show all that is wrong or uncertain in one table."""
    rows = [
        (f"{lines:,} lines", rule, example, "rejected")
        for rule, (lines, example) in outcome.problems.items()
    ]
    rows += [("", what, done, remedy) for what, done, remedy in proposal.doubts]
    if not found.is_sure:
        rows.append(
            (
                "",
                "the encoding is not certain",
                found.entry["encoding"],
                "encoding in catalog.yml",
            )
        )
    share = outcome.kept / outcome.lines if outcome.lines else 0
    click.echo(
        f"\nOf {outcome.lines:,} lines looked at, {outcome.kept:,} would be kept "
        f"({share:.1%}):"
    )
    if rows:
        _show(
            (
                "",
                "what",
                "which, or taken for",
                "what becomes of it, or how to change it",
            ),
            rows,
        )
    else:
        click.echo("nothing is wrong, and nothing uncertain.")


def _first(rows: Any) -> list[list[str]]:
    return [
        ["" if value is None else str(value) for value in row.values()]
        for row in rows.slice(0, 5).to_pylist()
    ]


def _show(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table; in a pipe, with tabs between its cells."""
    if not sys.stdout.isatty():
        for row in [head, *rows]:
            click.echo("\t".join(row))
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table

    shown = Table(box=box.SIMPLE_HEAD)
    for name in head:
        shown.add_column(name, overflow="fold")
    for row in rows:
        shown.add_row(*row)
    Console().print(shown)
