"""The command line: ``dask-etl run``, and the rest, which ``kedro`` has, too.

Kedro finds this module by its name, and ``cli`` and ``run`` in it.
"""

import contextlib
import difflib
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

import dask_etl
from dask_etl.adopt.command import adopt
from dask_etl.compat import kedro_viz
from dask_etl.compat.kedro import path_of
from dask_etl.errors import ExplainedError, explanation
from dask_etl.garbage import end_at_once
from dask_etl.package_command import package
from dask_etl.run_command import no_project, run
from dask_etl.wording import size

end_at_once()


class _RunByDefault(click.Group):
    """A group whose command ``run`` need not be named."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        own = {*self.commands, "--version", "--help", "-h"}
        return super().parse_args(ctx, args if own & {*args[:1]} else ["run", *args])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        # Kedro asks here before it asks the plugin.
        if cmd_name == "viz":
            return kedro_viz.command()
        return super().get_command(ctx, cmd_name)


@click.group(
    cls=_RunByDefault, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(dask_etl.__version__, prog_name="dask-etl")
def cli() -> None:
    """Retail transactions from raw rows to reports.

    Without a command, run the pipelines: options are those of "dask-etl run".
    """


cli.add_command(run)
cli.add_command(adopt)
cli.add_command(package)


def _environment(command: Callable) -> Callable:
    return click.option(
        "--env",
        "-e",
        envvar="KEDRO_ENV",
        help="The environment whose tables are meant, a folder of conf/.",
    )(command)


def _parameters(command: Callable) -> Callable:
    [of_run] = [option for option in run.params if option.name == "params"]
    return click.option(
        "--params",
        type=click.UNPROCESSED,
        default="",
        callback=of_run.callback,
        help='Parameters for this time, as of "dask-etl run": group.name=value, with '
        "commas between them.",
    )(command)


@cli.command()
@_environment
def doctor(env: str | None) -> None:
    """Look whether everything is here that a run needs, and say what to mend.

    Nothing is changed, and nothing contacts the network but a scheduler of yours.
    """
    from dask_etl.doctor import examine, tell  # noqa: PLC0415  (start-up)

    with _explained(), _session(env) as session:
        context = session.load_context()
        tables = find_tables(context.catalog)
        tell(examine(context.config_loader["dask"], tables))


@cli.command()
@click.option("--open", "show", is_flag=True, help="Show it in a browser.")
@_environment
def report(show: bool, env: str | None) -> None:
    """Say where the report of the last run is."""
    with _explained(), _session(env) as session:
        catalog = session.load_context().catalog
        path = path_of(catalog["report_page"])
        if path is None or not catalog.exists("report_page"):
            raise click.ClickException(
                f"{path}: no report has been written here yet; kedro run --pipelines "
                "reporting writes it"
            )
        click.echo(path)
        if show and click.launch(path):
            raise click.ClickException("no browser could be started; open the file")


@cli.group()
def tables() -> None:
    """List, restore, tidy up and export tables."""


@tables.command("list")
@_environment
def list_tables(env: str | None) -> None:
    """List the tables that have been written."""
    with _explained(), _project(env) as catalog:
        rows, missing = [], 0
        for name, dataset in catalog.items():
            if not (versions := dataset.versions()):
                missing += 1
                continue
            event = dataset.session.state.events[versions[0].release]
            rows.append(
                (
                    name,
                    f"{versions[0].rows:,}",
                    size(versions[0].bytes),
                    versions[0].parts,
                    len(versions),
                    _moment(event.released_at),
                    event.run_id,
                )
            )
        _show(("table", "rows", "size", "parts", "versions", "released", "run"), rows)
        if missing:
            click.echo(
                f"{missing} tables of the catalog have not been written here.", err=True
            )


@tables.command()
@click.argument("table")
@_environment
def history(table: str, env: str | None) -> None:
    """List the versions of a table that are kept."""
    with _explained(), _project(env) as catalog:
        dataset = _find(catalog, table)
        events = dataset.session.state.events
        rows = [
            (
                version.version,
                events[version.release].run_id,
                _moment(events[version.release].released_at),
                f"{version.rows:,}",
                size(version.bytes),
                "" if place else "current",
            )
            for place, version in enumerate(dataset.versions())
        ]
        if not rows:
            raise click.ClickException(f"{table} has not been written here yet")
        _show(("version", "run", "released", "rows", "size", ""), rows)


@tables.command()
@click.argument("table")
@click.argument("version", type=int)
@click.option(
    "--alone",
    is_flag=True,
    help="Leave the tables as they are that were released together with it.",
)
@_environment
def restore(table: str, version: int, alone: bool, env: str | None) -> None:
    """Make an earlier version of a table current again.

    Tables that were released together with it come back with it. The present version
    stays, as the one before.
    """
    from kedro.io.core import generate_timestamp  # noqa: PLC0415  (start-up)

    from dask_etl.storage.restore import released_together, restore  # noqa: PLC0415  (start-up)

    with _explained(), _project(env) as catalog:
        dataset = _find(catalog, table)
        state, own = dataset.session.state, dataset.store.name
        chosen = state.find(own, version)
        together = (
            {own: chosen} if alone else released_together(state, own, chosen.version)
        )
        stores = {
            each.store.name: (name, each.store)
            for name, each in catalog.items()
            if each.store.release.path == dataset.store.release.path
        }
        if unknown := sorted(together.keys() - stores.keys()):
            raise click.ClickException(
                f"{', '.join(unknown)} changed together with {table} and is not in the "
                "catalog. Restore the table alone (--alone) if they may differ."
            )
        changed = restore(
            {stores[name][1]: kept for name, kept in together.items()},
            f"restore-{generate_timestamp()}",
        )
        if not changed:
            click.echo(f"{table}: version {version} is what readers get already.")
        for store in sorted(changed, key=lambda store: store.name):
            kept = together[store.name]
            click.echo(
                f"{stores[store.name][0]}: version {kept.version} is current again "
                f"({kept.rows:,} rows)"
            )
        if changed:
            click.echo(
                "Tables that were made from these are as they were: run their pipelines.",
                err=True,
            )


@tables.command()
@click.option(
    "--unlocked",
    is_flag=True,
    help="On object storage, which has no locks: no run is writing.",
)
@_environment
def vacuum(unlocked: bool, env: str | None) -> None:
    """Remove files that no kept version needs.

    With them goes what runs that broke off could go on from. Files of others stay.
    """
    from dask_etl.storage.vacuum import Removed, vacuum  # noqa: PLC0415  (start-up)

    with _explained(), _project(env) as catalog:
        total, failed = Removed(), False
        for name, dataset in catalog.items():
            if not (dataset.store.location.is_local or unlocked):
                raise click.ClickException(
                    f"{dataset.store.location.path}: object storage has no locks, and a "
                    "run that is writing would lose its work. Give --unlocked when none is."
                )
            try:
                removed = vacuum(dataset.store)
            except ExplainedError as error:
                failed = True
                click.echo(f"{name}: left alone: {error}", err=True)
                continue
            total += removed
            if removed.files:
                click.echo(f"{name}: {removed.files:,} files, {size(removed.bytes)}")
        click.echo(f"Removed {total.files:,} files, {total.bytes:,} bytes.")
        if failed:
            sys.exit(1)


@tables.command()
@click.argument("table")
@click.option(
    "--to", "kind", type=click.Choice(["csv", "parquet", "xlsx"]), required=True
)
@click.option("--output", help="File or folder to write; the table's name by default.")
@click.option(
    "--one-file",
    is_flag=True,
    help="One file, however large; by default a table of several parts is a folder of "
    "as many files. Excel is always one file.",
)
@_environment
def export(
    table: str, kind: str, output: str | None, one_file: bool, env: str | None
) -> None:
    """Write a table to files for others."""
    from dask_etl.storage.export import check_sheet, export  # noqa: PLC0415  (start-up)

    here = Path.cwd()
    with _explained(), _project(env) as catalog:
        source = _find(catalog, table).source()
        rows = sum(segment.rows for segment in source.segments)
        if kind == "xlsx":
            check_sheet(rows)
        one_file = one_file or kind == "xlsx" or len(source.segments) == 1
        name = table.partition("@")[0]
        path = here / (output or (f"{name}.{kind}" if one_file else name))
        done = export(source.reader, source.segments, kind, str(path), one_file)
        files = "1 file" if done.files == 1 else f"{done.files:,} files"
        click.echo(f"{done.path}: {done.rows:,} rows in {files}")


@cli.command()
@click.option(
    "--rule",
    default="any",
    show_default=True,
    help="The cleaning rule that rows are quarantined by; any: whichever.",
)
@_environment
@_parameters
def replay(rule: str, env: str | None, params: dict[str, Any]) -> None:
    """Judge quarantined rows again, at this moment and by the present parameters.

    The source files that they came from are judged again, all others as they were; rows
    that pass move from the quarantine to the sales, in their place.
    """
    if "etl" in params:
        raise click.ClickException("--params etl: how to replay is what --rule says")
    with _explained():
        with _project(env, params) as catalog:
            before = _ledger(catalog)
        if before is None:
            raise click.ClickException(
                "there is no quarantine yet: run the pipeline etl_dask first"
            )
        again = {"etl": {"mode": "auto", "replay": rule}}
        with _session(env, {**params, **again}) as session:
            session.run(pipeline_names=["etl_dask"])
        with _project(env, params) as catalog:
            after = _ledger(catalog)
    column = "rows_rejected" if rule == "any" else rule
    moved = after["rows_kept"].sum() - before["rows_kept"].sum()
    click.echo(
        f"{before[column].sum():,} rows were quarantined ({rule}), "
        f"{after[column].sum():,} are; {moved:,} more rows than before are sales."
    )
    click.echo(
        "Tables that were made from these are as they were: run their pipelines.",
        err=True,
    )


def _ledger(catalog: Mapping[str, Any]) -> Any:
    dataset = catalog["dask.row_ledger"]
    return dataset.load() if dataset.versions() else None


# -- the project ---------------------------------------------------------------


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    """End with one line where the error has one."""
    try:
        yield
    except (click.ClickException, click.exceptions.Exit):
        raise
    except Exception as error:
        said = explanation(error)
        if said is None:
            raise
        raise click.ClickException(said) from error


@contextlib.contextmanager
def _project(env: str | None, parameters: Any = None) -> Iterator[Mapping[str, Any]]:
    """Open the project around the folder one is in; yield its tables by name."""
    with _session(env, parameters) as session:
        yield find_tables(session.load_context().catalog)


@contextlib.contextmanager
def _session(env: str | None, parameters: Any = None) -> Iterator[Any]:
    """Open a session of the project around the folder one is in."""
    from kedro.framework.session import KedroSession  # noqa: PLC0415  (start-up)
    from kedro.framework.startup import bootstrap_project  # noqa: PLC0415  (start-up)
    from kedro.utils import find_kedro_project  # noqa: PLC0415  (start-up)

    here = Path.cwd()
    found = find_kedro_project(here)
    if found is not None:
        bootstrap_project(found)
    root = found or here
    if not (root / "conf" / "base").is_dir():
        raise click.ClickException(no_project(here))
    session = KedroSession.create(project_path=root, env=env, runtime_params=parameters)
    with session:
        yield session


def find_tables(catalog: Any) -> dict[str, Any]:
    """Find the tables of ours that the catalog and the pipelines name, each once."""
    from kedro.framework.project import pipelines  # noqa: PLC0415  (start-up)

    from dask_etl.datasets.table import TableDataset  # noqa: PLC0415  (start-up)

    names = {*catalog.keys()}
    for pipeline in pipelines.values():
        names |= pipeline.datasets()
    found, stores = {}, set()
    for name in sorted(names):
        # Others, e.g. plots, are not even made: that imports what writes them.
        kind = catalog.get_type(name) or ""
        if not kind.startswith(("dask_etl.datasets.", "kedro.io.cached")):
            continue
        dataset = catalog.get(name)
        # A dataset that is also held in memory wraps the one that knows.
        dataset = getattr(dataset, "_dataset", dataset)
        if not isinstance(dataset, TableDataset):
            continue
        # Two faces of one table are one table.
        key = (dataset.store.release.path, dataset.store.name)
        if key not in stores:
            stores.add(key)
            found[name.partition("@")[0]] = dataset
    return found


def _find(catalog: Mapping[str, Any], table: str) -> Any:
    dataset = catalog.get(table.partition("@")[0])
    if dataset is None:
        near = difflib.get_close_matches(table, catalog, 3)
        raise click.ClickException(
            f"no table is called {table!r}"
            + (f"; did you mean {' or '.join(near)}?" if near else "")
            + " (dask-etl tables list)"
        )
    return dataset


# -- what people see -----------------------------------------------------------


def _show(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print a table; in a pipe, with tabs between its cells and nothing around them."""
    if not sys.stdout.isatty():
        for row in [head, *rows]:
            click.echo("\t".join(map(str, row)).rstrip("\t"))
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table

    shown = Table(box=box.SIMPLE_HEAD)
    numbers = {"rows", "size", "parts", "versions", "version"}
    for name in head:
        shown.add_column(name, justify="right" if name in numbers else "left")
    for row in rows:
        shown.add_row(*map(str, row))
    Console().print(shown)


def _moment(text: str) -> str:
    """Show a moment to the second: they are in UTC."""
    return f"{text[:19]}Z"
