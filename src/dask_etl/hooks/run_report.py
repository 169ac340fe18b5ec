"""Dask's own report of a long run, kept beside what runs cost."""

from __future__ import annotations

import logging
import posixpath
from typing import TYPE_CHECKING, Any

from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog

from dask_etl.engine.client import current_client
from dask_etl.hooks.records import RUN_METRICS

if TYPE_CHECKING:
    from dask_etl.engine.run_report import RunReport

logger = logging.getLogger(__name__)

FOLDER = "dask"
"""Beside ``run_metrics``."""


class RunReportHooks:
    """Has Dask take note of a run, and keeps its report if the run took long."""

    def __init__(self) -> None:
        self._report: RunReport | None = None
        self._run_id = ""

    @hook_impl
    def before_pipeline_run(self, run_params: dict[str, Any]) -> None:
        """Note which run it is."""
        self._report = None
        self._run_id = str(run_params.get("run_id") or run_params.get("session_id"))

    @hook_impl
    def before_node_run(self) -> None:
        """Begin as soon as there is a cluster."""
        if self._report is None and (client := current_client()) is not None:
            from dask_etl.engine.run_report import RunReport  # noqa: PLC0415  (start-up)

            self._report = RunReport(client)

    @hook_impl
    def after_pipeline_run(self, catalog: DataCatalog) -> None:
        """Keep the report of a long run."""
        from dask_etl.datasets.table import TableDataset  # noqa: PLC0415  (start-up)

        report, self._report = self._report, None
        metrics = catalog.get(RUN_METRICS.name)
        if not (report and report.is_worth_it and isinstance(metrics, TableDataset)):
            return
        home = metrics.store.location
        folder = posixpath.join(posixpath.dirname(home.path), FOLDER)
        try:
            path = report.write(home.filesystem, folder, self._run_id)
        # The work is done and committed, whatever Dask or its drawing says.
        except Exception as error:
            logger.warning("Dask's report of the run was not kept: %s", error)
        else:
            logger.info("Dask's report of the run: %s", path)

    @hook_impl
    def on_pipeline_error(self) -> None:
        """Forget a run that failed."""
        self._report = None
