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


class VizStatsHooks:
    """Completes what Kedro-Viz writes at the end of a run, if it is installed.

    Kedro-Viz itself knows only frames of pandas that the run has held, and takes the
    folder of a table for a file of 4 kB.
    """

    def __init__(self) -> None:
        self._file = Path()
        self._before: dict[str, Any] = {}

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Note where Kedro-Viz keeps its statistics."""
        self._file = Path(context.project_path) / ".viz" / "stats.json"

    @hook_impl
    def before_pipeline_run(self) -> None:
        """Note what is known from other runs: Kedro-Viz writes the file anew."""
        self._before = {}
        with contextlib.suppress(OSError, ValueError):
            self._before = json.loads(self._file.read_text())

    @hook_impl
    def after_pipeline_run(self, pipeline: Pipeline, catalog: DataCatalog) -> None:
        """Add the tables of this run, and what is known from others."""
        if not self._file.is_file():
            return
        try:
            known = json.loads(self._file.read_text())
            found = _tables(pipeline, catalog)
            self._file.write_text(json.dumps({**self._before, **known, **found}))
        except (OSError, ValueError) as error:
            logger.warning("%s cannot be completed: %s", self._file, error)


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
