"""``run`` of ``kedro`` and ``dask-etl``: Kedro's, with what is mistyped told in one line."""

import contextlib
import difflib
import logging
import signal
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click
from kedro.framework.cli.project import run as kedro_run
from kedro.framework.project import pipelines
from kedro.pipeline import Pipeline
from kedro.utils import find_kedro_project

from dask_etl.validation import shown, unknown_name

logger = logging.getLogger(__name__)

FILTERS = {
    "tags": "tags",
    "from_nodes": "from_nodes",
    "to_nodes": "to_nodes",
    "node_names": "node_names",
    "from_inputs": "from_inputs",
    "to_outputs": "to_outputs",
    "namespaces": "node_namespaces",
}
"""Options that choose nodes, and what ``Pipeline.filter`` calls them."""

RUNNERS = ("SequentialRunner", "ThreadRunner")


def _run(**options: Any) -> Any:
    """Run pipelines, all of them by default."""
    check_place(options["conf_source"])
    check_selection(options)
    assert kedro_run.callback is not None
    with _ended_by_sigterm():
        return kedro_run.callback(**options)


@contextlib.contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """Let SIGTERM, of Kubernetes or SLURM say, end a run as Ctrl-C does.

    The exit code is what a shell has for a process that it ended, 143.
    """

    def end(number: int, _: Any) -> None:
        logger.warning("Ended by SIGTERM: finished partitions are kept")
        sys.exit(128 + number)

    # Who is in a thread, or listens already, has other plans.
    try:
        before = signal.signal(signal.SIGTERM, end)
    except ValueError:
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


run = click.Command(
    "run", params=kedro_run.params, callback=_run, help=_run.__doc__, short_help=None
)


def check_place(conf_source: str | None) -> None:
    """Refuse to run where there is no project.

    Args:
        conf_source: where the configuration is instead, if that was given.

    Raises:
        click.ClickException: the folder is in no project.
    """
    here = Path.cwd()
    root = find_kedro_project(here) or here
    if conf_source is None and not (root / "conf" / "base").is_dir():
        raise click.ClickException(no_project(here))


def no_project(folder: Path) -> str:
    """Say that a folder is in no project, and what to do."""
    return (
        f"{folder} is in no project: there is no folder conf/base. Change to the "
        "project's folder."
    )


def check_selection(options: Mapping[str, Any]) -> None:
    """Refuse names of pipelines, nodes and the like that there are not.

    Args:
        options: of the command line, by their names in Kedro's ``run``.

    Raises:
        click.ClickException: with the nearest names there are.
    """
    runner = options["runner"]
    if runner and "." not in runner and runner not in (*RUNNERS, "ParallelRunner"):
        raise click.ClickException(f"--runner: {unknown_name(runner, RUNNERS)}")
    given = [*filter(None, [options["pipeline"]]), *options["pipelines"]]
    # As Kedro does before it runs them: it would make all pipelines once more.
    pipelines.set_requested(given or None)
    for name in given:
        if name not in pipelines:
            known = [known for known in pipelines if known != "__default__"]
            raise click.ClickException(f"--pipelines: {unknown_name(name, known)}")
    chosen = {name: options[name] for name in FILTERS if options[name]}
    if not chosen:
        return
    whole = sum((pipelines[name] for name in given or ["__default__"]), Pipeline([]))
    for option, names in chosen.items():
        there = _known(whole, option)
        for name in names:
            if name not in there:
                raise click.ClickException(
                    f"--{_spelt(option)}: {_near(name, there, given)}"
                )
    try:
        whole.filter(**{FILTERS[option]: value for option, value in chosen.items()})
    except ValueError as error:
        asked = " ".join(f"--{_spelt(o)} {','.join(v)}" for o, v in chosen.items())
        raise click.ClickException(f"{asked}: {str(error).splitlines()[0]}") from error


def _known(whole: Pipeline, option: str) -> set[str]:
    """Return the names that an option may give."""
    if option == "tags":
        return {tag for node in whole.nodes for tag in node.tags}
    if option in ("from_inputs", "to_outputs"):
        names = whole.datasets()
        return names | {name.partition("@")[0] for name in names}
    if option == "namespaces":
        parts = [node.namespace.split(".") for node in whole.nodes if node.namespace]
        return {".".join(part[: i + 1]) for part in parts for i in range(len(part))}
    return {node.name for node in whole.nodes}


def _spelt(option: str) -> str:
    return {"node_names": "nodes"}.get(option, option.replace("_", "-"))


def _near(name: str, known: Iterable[str], given: Iterable[str]) -> str:
    """Say that there is no such name in the pipelines, and which ones are near."""
    names = sorted(known)
    # "survey" stands for "dask.survey", as people say it.
    ends = {other.rpartition(".")[2]: other for other in reversed(names)}
    near = [n for n in names if n.rpartition(".")[2] == name] or list(
        dict.fromkeys(
            ends.get(found, found)
            for found in difflib.get_close_matches(name, [*names, *ends], 3)
        )
    )
    where = f"in {', '.join(given)}" if given else "in any pipeline of the default run"
    few = f" There are {', '.join(names)}" if len(names) <= 12 else ""
    meant = f"; did you mean {' or '.join(near)}?" if near else "."
    return f"there is no {shown(name)} {where}{meant}{few}"
