"""What every node costs, recorded with the run."""

import contextlib
import ctypes
import logging
import threading
from collections.abc import Generator
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import pandas as pd
from kedro.framework.hooks import hook_impl
from kedro.framework.project import pipelines
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline.node import Node

from dask_etl.compat.kedro import unwrapped
from dask_etl.errors import TableMissing, explained, explanation
from dask_etl.hooks.monitor import ResourceMonitor
from dask_etl.hooks.records import RUN_METRICS, keep_latest_runs, with_pipeline_totals

logger = logging.getLogger(__name__)

RUNS_KEPT = 20
SELECTIONS = (
    "tags",
    "from_nodes",
    "to_nodes",
    "node_names",
    "from_inputs",
    "to_outputs",
    "namespaces",
    "only_missing_outputs",
)
"""Run parameters that leave out nodes of a pipeline."""


class MetricsHooks:
    """Measures every node: wall time, CPU and memory of all processes of the run.

    A node's share begins with the load of its first input and ends when the next
    node begins, so lazy work counts where it is computed. What comes before the first
    node, such as the start of the cluster, counts as node ``(start)``. The records go
    to ``run_metrics`` before anything reads it, and at the end of the run.
    """

    def __init__(self) -> None:
        self._monitor = ResourceMonitor()
        self._catalog: DataCatalog | None = None
        self._run_id = ""
        self._pipelines: set[str] = set()
        self._node: Node | None = None
        self._started_at = datetime.now(UTC)
        self._rows: int | None = None
        self._pipeline: str | None = None
        self._records: list[dict[str, Any]] = []
        # ThreadRunner and --async call from several threads.
        self._lock = threading.RLock()

    @hook_impl(wrapper=True)
    def before_pipeline_run(
        self, run_params: dict[str, Any], catalog: DataCatalog
    ) -> Generator[None, Any, Any]:
        """Begin a run's records, if the catalog has a place for them.

        Around the other hooks: the start of the cluster counts, and a run that one of
        them refuses is not measured on.
        """
        # Part of a pipeline, or one with no place for it, is no measurement.
        partial = any(run_params.get(selection) for selection in SELECTIONS)
        self._catalog = catalog if RUN_METRICS.name in catalog and not partial else None
        self._pipelines = set(run_params.get("pipeline_names") or []) & set(pipelines)
        self._run_id = str(run_params.get("run_id") or run_params.get("session_id"))
        self._records, self._pipeline, self._node = [], None, None
        if self._catalog is not None:
            self._start()
        try:
            return (yield)
        except BaseException:
            self.on_pipeline_error()
            raise

    @hook_impl
    def before_dataset_loaded(self, dataset_name: str, node: Node) -> None:
        """Begin a node at its first load; write the records where they are asked for."""
        with self._lock:
            self._enter(node)
            catalog, asked_for = self._catalog, dataset_name == RUN_METRICS.name
            if catalog is not None and asked_for and self._records:
                table = self._write(catalog)
                if table is not None:
                    # Who reads the metrics in this run gets what there is.
                    catalog[RUN_METRICS.name] = MemoryDataset(table)

    @hook_impl
    def before_node_run(self, node: Node) -> None:
        """Begin a node that loads nothing."""
        with self._lock:
            self._enter(node)

    @hook_impl
    def after_dataset_saved(self, dataset_name: str) -> None:
        """Note how many rows the largest output of the node has."""
        if self._catalog is None:
            return
        dataset = unwrapped(self._catalog.get(dataset_name))
        if hasattr(dataset, "count_rows"):
            with self._lock:
                self._rows = max(self._rows or 0, dataset.count_rows())

    @hook_impl
    def after_pipeline_run(self) -> None:
        """Write what the run cost."""
        if self._catalog is not None:
            self._finish()
            self._write(self._catalog)

    @hook_impl
    def on_pipeline_error(self) -> None:
        """Forget a run that failed: half a run is no measurement."""
        if self._catalog is not None:
            self._catalog = None
            self._monitor.stop()

    def _enter(self, node: Node) -> None:
        if self._catalog is None or node is self._node:
            return
        pipeline = self._pipeline_of(node)
        if self._pipeline is None:
            self._pipeline = pipeline
        self._finish()
        if pipeline != self._pipeline:
            # Each pipeline's memory is its own, not what the one before left behind.
            _release_memory()
        self._node, self._pipeline = node, pipeline
        self._start()

    def _pipeline_of(self, node: Node) -> str:
        """Name the pipeline of a node: its tag that was asked for, or is registered."""
        # A pipeline that is put together of others has no tag of its own.
        tags = node.tags & self._pipelines or node.tags & set(pipelines)
        return min(tags, default="(other)")

    def _start(self) -> None:
        self._monitor.start()
        self._started_at = datetime.now(UTC)
        self._rows = None

    def _finish(self) -> None:
        usage = self._monitor.stop()
        self._records.append(
            {
                "run_id": self._run_id,
                "pipeline": self._pipeline,
                "node": self._node.name if self._node else "(start)",
                "started_at": self._started_at,
                **asdict(usage),
                "rows": self._rows,
            }
        )

    def _write(self, catalog: DataCatalog) -> pd.DataFrame | None:
        """Add the run's records to those of earlier runs.

        What stands in the way, whatever it is, is told and fails nothing: the tables
        that were measured are committed.

        Returns:
            The metrics if they could not be written.
        """
        dataset = catalog[RUN_METRICS.name]
        history, lost = [], None
        try:
            history = dataset.load().to_dict("records")
        except Exception as error:
            if not isinstance(explained(error), TableMissing):
                lost = error
        others = [record for record in history if record["run_id"] != self._run_id]
        table = keep_latest_runs(
            with_pipeline_totals([*others, *self._records]), RUNS_KEPT
        )
        try:
            dataset.save(table)
        except Exception as error:
            logger.warning(
                "What run %s cost was not recorded in %s: %s",
                self._run_id,
                RUN_METRICS.name,
                explanation(error) or error,
            )
            return table
        if lost is not None:
            logger.warning(
                "%s is begun anew with this run, the costs of earlier ones cannot be "
                "read: %s",
                RUN_METRICS.name,
                explanation(lost) or lost,
            )
        return None


def _release_memory() -> None:
    """Give memory that was freed but is still held back to the system."""

    import pyarrow  # noqa: PLC0415  (start-up)

    pyarrow.default_memory_pool().release_unused()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)
