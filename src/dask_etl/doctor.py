"""``dask-etl doctor``: is everything here that a run needs, and what if not."""

import importlib.metadata
import os
import platform
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import click
from packaging.requirements import Requirement

from dask_etl.errors import ExplainedError, explanation
from dask_etl.hooks.monitor import usable_cores
from dask_etl.wording import counted, size

GIB = 1 << 30
MEMORY = 2 * GIB
"""Bytes that a run of any size does with."""
DISK = 1 * GIB
"""Bytes of free disk below which a run is warned of."""

PATIENCE = "3s"
"""How long a scheduler may take to answer."""

ENVIRONMENT = ("DASK_", "KEDRO_")
"""Beginnings of environment variables that change a run."""


@dataclass(frozen=True)
class Finding:
    """What was looked at, how it is, and what to do if it is not well."""

    state: Literal["ok", "warning", "error"]
    about: str
    said: str


def examine(settings: dict[str, Any], tables: Any) -> Iterator[Finding]:
    """Look at the machine, the packages, the cluster's settings and the tables.

    That the project could be opened says that its configuration is well.

    Args:
        settings: of ``dask.yml``.
        tables: datasets of the project's tables, by name.
    """
    yield from _python()
    yield from _packages()
    yield Finding("ok", "conf", "settings, parameters and catalog are valid")
    yield from _machine()
    yield from _places(tables)
    yield from _cluster(settings)
    yield from _tables(tables)
    changed = sorted(
        name
        for name in os.environ
        # That one is set by the command line itself.
        if name.startswith(ENVIRONMENT) and name != "KEDRO_LOGGING_CONFIG"
    )
    if changed:
        yield Finding("ok", "environment", f"set, and heeded: {', '.join(changed)}")


def _python() -> Iterator[Finding]:
    said = f"{platform.python_version()} on {platform.platform(terse=True)}"
    yield Finding("ok", "python", said)


def _packages() -> Iterator[Finding]:
    wrong: list[str] = []
    extras: dict[str, bool] = {}
    for line in importlib.metadata.requires("dask_etl") or ():
        needed = Requirement(line)
        extra = needed.marker and str(needed.marker).rpartition('"')[0]
        name = extra.rpartition('"')[2] if extra and "extra" in extra else None
        if needed.marker and not needed.marker.evaluate({"extra": name or ""}):
            continue
        found = None
        with suppress(importlib.metadata.PackageNotFoundError):
            found = importlib.metadata.version(needed.name)
        fits = found is not None and needed.specifier.contains(found, prereleases=True)
        if name is None and not fits:
            wrong.append(
                f"{needed.name} {needed.specifier} (there is {found or 'none'})"
            )
        elif name:
            extras[name] = extras.get(name, True) and fits
    if wrong:
        yield Finding(
            "error", "packages", f"{', '.join(wrong)}; install: pip install -e ."
        )
    else:
        yield Finding("ok", "packages", "all that a run needs are installed")
    missing = [name for name, fits in extras.items() if not fits and name != "dev"]
    if missing:
        yield Finding(
            "ok",
            "extras",
            f"not installed: {', '.join(missing)}; pip install 'dask_etl[{missing[0]}]'"
            " adds one",
        )


def _machine() -> Iterator[Finding]:
    from distributed.system import MEMORY_LIMIT

    said = f"{counted(usable_cores(), 'core')}, {size(MEMORY_LIMIT)} of memory"
    if MEMORY_LIMIT < MEMORY:
        yield Finding(
            "warning",
            "machine",
            f"{said}: little; smaller partitions help (rows_per_partition in the catalog)",
        )
    else:
        yield Finding("ok", "machine", said)


def _places(tables: Any) -> Iterator[Finding]:
    """Look for room where tables go, and where workers spill."""
    roots = {
        dataset.store.release.location.path
        for dataset in tables.values()
        if dataset.store.location.is_local
    }
    for about, path in [
        *(("data", root) for root in sorted(roots)),
        ("temporary", tempfile.gettempdir()),
    ]:
        there = Path(path)
        while not there.exists():
            there = there.parent
        free = shutil.disk_usage(there).free
        said = f"{path}: {size(free)} free"
        if not os.access(there, os.W_OK):
            yield Finding("error", about, f"{path}: cannot be written to")
        elif free < DISK:
            yield Finding("warning", about, f"{said}: little; make room")
        else:
            yield Finding("ok", about, said)


def _cluster(settings: dict[str, Any]) -> Iterator[Finding]:
    import dask

    from dask_etl.engine.cluster import Cluster  # noqa: PLC0415  (start-up)
    from dask_etl.engine.cluster_settings import DaskSettings, dashboard, sized  # noqa: PLC0415  (start-up)

    valid = DaskSettings.model_validate(settings)
    address = valid.scheduler
    try:
        if address:
            with dask.config.set({"distributed.comm.timeouts.connect": PATIENCE}):
                cluster = Cluster(valid.model_copy(update={"workers_timeout": 3.0}))
            workers = cluster.client.scheduler_info(n_workers=-1)["workers"]
            cluster.close()
            said = f"scheduler {address} answers, {counted(len(workers), 'worker')}"
            yield Finding("ok" if workers else "warning", "cluster", said)
            return
        options = sized(valid.local_cluster, valid.allow_insecure)
        place = dashboard(valid.local_cluster.dashboard_address, valid.allow_insecure)
    except ExplainedError as error:
        yield Finding("error", "cluster", f"dask.yml: {error}")
        return
    kind = "processes" if options["processes"] else "in-process workers"
    said = f"{options['n_workers']} {kind} × {options['threads_per_worker']} threads"
    yield Finding("ok", "cluster", said)
    if place:
        host, _, port = place.rpartition(":")
        with socket.socket() as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                tried.bind((host, int(port)))
            except OSError:
                yield Finding(
                    "ok", "dashboard", f"port {port} is taken; a run finds another"
                )
            else:
                yield Finding("ok", "dashboard", f"will be at http://{place}/status")


def _tables(tables: Any) -> Iterator[Finding]:
    written = 0
    for name, dataset in tables.items():
        try:
            if not dataset.versions():
                continue
            content = dataset.content()
            location = dataset.store.location
            for part in content.parts:
                stored = location.filesystem.size(location.file(part.name))
                if stored != part.bytes:
                    raise ExplainedError(f"{location.file(part.name)}: is damaged")
            written += 1
        except (ExplainedError, OSError) as error:
            yield Finding(
                "error",
                "tables",
                f"{name}: {explanation(error)}. Run the pipeline that writes it, or go "
                "back: dask-etl tables restore",
            )
    yield Finding(
        "ok", "tables", f"{written} of {len(tables)} have been written, whole"
    )


def tell(findings: Iterator[Finding]) -> None:
    """Print findings as they come.

    Raises:
        SystemExit: something is wrong that a run would fail of.
    """
    marks = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "error": ("✗", "red")}
    bad = 0
    for finding in findings:
        mark, color = marks[finding.state]
        bad += finding.state == "error"
        click.echo(f"{click.style(mark, fg=color)} {finding.about:<12} {finding.said}")
    if bad:
        click.echo(f"{counted(bad, 'thing')} to mend.", err=True)
        sys.exit(1)
    click.echo("All is well.")
