"""What a run did, in a few lines at its end."""

from __future__ import annotations

import importlib
import logging
import os
import textwrap
import time
from collections.abc import Callable, Iterable
from typing import Any

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline

import dask_etl
from dask_etl.compat.kedro import path_of, unwrapped
from dask_etl.hooks.progress import PROGRESS
from dask_etl.wording import counted, duration

logger = logging.getLogger(__name__)

WIDTH = 126
"""Characters of a line; a terminal may be wider."""

Lines = Iterable[tuple[str, str]]
"""What is said of a run, and under which word."""


class SummaryHooks:
    """Says how long the run took, what it wrote, and what came of the data.

    The last is the business of :data:`dask_etl.OUTCOME`. What stands in the way of a
    summary is told and fails nothing: the work is done.
    """

    def __init__(self) -> None:
        self._wanted = True
        self._started = 0.0
        self._written: list[str] = []

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Read whether anybody wants to know."""
        self._wanted = context.config_loader["parameters"].get(PROGRESS, True)

    @hook_impl
    def before_pipeline_run(self) -> None:
        """Note when the run began."""
        self._started, self._written = time.monotonic(), []

    @hook_impl
    def after_dataset_saved(self, dataset_name: str) -> None:
        """Note what was written."""
        self._written.append(dataset_name)

    @hook_impl
    def after_pipeline_run(self, pipeline: Pipeline, catalog: DataCatalog) -> None:
        """Say it."""
        if not self._wanted:
            return
        took = duration(time.monotonic() - self._started)
        try:
            said = [*outcome(catalog, pipeline), *written(catalog, self._written)]
        except Exception as error:
            logger.warning(
                "Done in %s. What came of it cannot be told: %s", took, error
            )
            return
        logger.info("Done in %s.%s", took, "".join(map(_line, said)))


def outcome(catalog: DataCatalog, pipeline: Pipeline) -> Lines:
    """Say what came of the data, in the words of the domain."""
    module, _, name = dask_etl.OUTCOME.rpartition(".")
    say: Callable[[DataCatalog, set[str]], Lines]
    say = getattr(importlib.import_module(module), name)
    return say(catalog, pipeline.datasets())


ALL, SOME = 5, 3
"""So many tables of a namespace are all named; of more, the first few."""

PICTURES = (".png", ".svg")


def written(catalog: DataCatalog, names: Iterable[str]) -> Lines:
    """List the tables that were written, with rows and versions, and the files."""
    tables: dict[str, list[str]] = {}
    versions: dict[str, set[int]] = {}
    files: dict[str, list[str]] = {}
    for name in dict.fromkeys(names):
        dataset: Any = unwrapped(catalog[name])
        if hasattr(dataset, "versions"):
            version = dataset.versions()[0]
            namespace, _, table = name.partition("@")[0].rpartition(".")
            label = f"{namespace} tables" if namespace else "Tables"
            tables.setdefault(label, []).append(f"{table} {version.rows:,}")
            versions.setdefault(label, set()).add(version.version)
        elif (path := path_of(dataset)) is not None:
            folder, _, file = _seen_from_here(path).rpartition("/")
            files.setdefault(folder, []).append(file)
    for label, found in tables.items():
        named = found if len(found) <= ALL else found[:SOME]
        more = f" and {len(found) - SOME} more" if len(found) > ALL else ""
        numbers = ", ".join(f"v{number}" for number in sorted(versions[label]))
        yield label, f"{', '.join(named)}{more} ({numbers})"
    pages = [f"{folder}/{f}" for folder in files for f in files[folder] if _is_page(f)]
    for folder, found in files.items():
        named = [file for file in found if not (_is_page(file) or _is_picture(file))]
        if pictures := len([file for file in found if _is_picture(file)]):
            named.append(counted(pictures, "picture"))
        if named:
            *first, last = named
            said = f"{', '.join(first)} and {last}" if first else last
            yield "Files", f"{said} in {folder}"
    for page in pages:
        yield "Report", page


def _is_page(file: str) -> bool:
    return file.endswith(".html")


def _is_picture(file: str) -> bool:
    return file.endswith(PICTURES)


def _seen_from_here(path: str) -> str:
    inside = os.path.relpath(path) if os.path.isabs(path) else path
    return path if inside.startswith("..") else inside


def _line(said: tuple[str, str]) -> str:
    label, text = said
    return "\n" + textwrap.fill(
        text,
        WIDTH,
        initial_indent=f"  {label[:1].upper()}{label[1:]:<14} ",
        subsequent_indent=" " * 18,
        break_on_hyphens=False,
        break_long_words=False,
    )
