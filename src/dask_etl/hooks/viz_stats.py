"""Rows and sizes of all tables, for Kedro-Viz to show."""

from __future__ import annotations

import contextlib
import json
import logging
from pathlib import Path
from typing import Any

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline

from dask_etl.compat.kedro import unwrapped

logger = logging.getLogger(__name__)

_STAMP = "environment"
"""The file beside Kedro-Viz' records that says whose they are."""
_RECORDS = ("stats.json", "kedro_pipeline_events.json")


class VizStatsHooks:
    """Completes what Kedro-Viz writes at the end of a run, if it is installed.

    Kedro-Viz itself knows only frames of pandas that the run has held, and takes the
    folder of a table for a file of 4 kB. It also keeps one record of what became of the
    nodes, whatever the environment: here, each has its own.
    """

    def __init__(self) -> None:
        self._file = Path()
        self._env = ""
        self._before: dict[str, Any] = {}

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Note where Kedro-Viz keeps its statistics."""
        self._file = Path(context.project_path) / ".viz" / "stats.json"
        self._env = str(context.env or "local")
        try:
            _exchange(self._file.parent, self._env)
        except OSError as error:
            logger.warning("%s: of another environment (%s)", self._file.parent, error)

    @hook_impl
    def before_pipeline_run(self) -> None:
        """Note what is known from other runs: Kedro-Viz writes the file anew."""
        self._before = {}
        with contextlib.suppress(OSError, ValueError):
            self._before = json.loads(self._file.read_text())

    @hook_impl
    def after_pipeline_run(self, pipeline: Pipeline, catalog: DataCatalog) -> None:
        """Add the tables of this run, and what is known from others."""
        self._stamp()
        if not self._file.is_file():
            return
        try:
            known = json.loads(self._file.read_text())
            found = _tables(pipeline, catalog)
            self._file.write_text(json.dumps({**self._before, **known, **found}))
        except (OSError, ValueError) as error:
            logger.warning("%s cannot be completed: %s", self._file, error)

    @hook_impl
    def on_pipeline_error(self) -> None:
        """Note of which environment the failure is."""
        self._stamp()

    def _stamp(self) -> None:
        with contextlib.suppress(OSError):
            if self._file.parent.is_dir():
                (self._file.parent / _STAMP).write_text(self._env)


def _exchange(folder: Path, env: str) -> None:
    """Put the records of another environment aside, and bring those of this one back."""
    stamp = folder / _STAMP
    if not stamp.is_file() or (before := stamp.read_text()) == env:
        return
    for name in _RECORDS:
        file = folder / name
        if file.is_file():
            file.replace(folder / f"{before}.{name}")
        if (kept := folder / f"{env}.{name}").is_file():
            kept.replace(file)
    stamp.write_text(env)


def _tables(pipeline: Pipeline, catalog: DataCatalog) -> dict[str, dict[str, int]]:
    found = {}
    for name in pipeline.datasets():
        kind = catalog.get_type(name) or ""
        # Others, e.g. plots, are not even made: that imports what writes them.
        if not kind.startswith(("dask_etl.datasets.", "kedro.io.cached")):
            continue
        dataset: Any = unwrapped(catalog.get(name))
        if hasattr(dataset, "versions") and (versions := dataset.versions()):
            stats = {"rows": versions[0].rows, "file_size": versions[0].bytes}
            if dataset.table is not None:
                stats["columns"] = len(dataset.table.schema)
            found[name.partition("@")[0]] = stats
    return found
