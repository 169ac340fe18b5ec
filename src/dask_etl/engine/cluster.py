"""Start a Dask cluster for the length of a run, or attach to one that is there."""

import logging
import multiprocessing
import warnings
from collections.abc import Callable, Mapping
from typing import Any

from dask_etl.compat.dask import forget_servers
from dask_etl.engine.attach import attach, line
from dask_etl.engine.cluster_settings import (
    LOOPBACK,
    DaskSettings,
    sized,
)
from dask_etl.engine.preflight import Needs, withdraw
from dask_etl.engine.process import configure, reuse_freed_memory
from dask_etl.errors import ClusterError

logger = logging.getLogger(__name__)

START_TIMEOUT = 60.0
"""Seconds until a worker process that does not come up is given up."""


class Cluster:
    """A client of a cluster, and the cluster if it was started here.

    Args:
        settings: of ``dask.yml``.
        needs: what the work needs at the workers of a cluster elsewhere; a function,
            called for these alone.

    Raises:
        ClusterError: the settings, the machine or the scheduler do not allow it.
    """

    def __init__(
        self, settings: DaskSettings, needs: Callable[[], Needs] | None = None
    ):
        configure(settings)
        self._started: Any = None
        self._ships = settings.is_elsewhere and settings.ship_code
        if settings.is_elsewhere:
            found = needs() if needs else Needs()
            self.client, self._started = attach(settings, found)
            return
        from distributed import Client

        options = sized(settings.local_cluster, settings.allow_insecure)
        if not options["processes"]:
            reuse_freed_memory()
        self._started = _start(options)
        if options["dashboard_address"]:
            from dask_etl.engine.dashboard import LazyDashboard  # noqa: PLC0415  (start-up)

            LazyDashboard(self._started.scheduler)
        self.client = Client(self._started)
        self.client.register_plugin(_quiet_plugin())
        logger.info("%s", self._describe(options))

    def _describe(self, options: Mapping[str, Any]) -> str:
        from dask.utils import format_bytes

        kind = "processes" if options["processes"] else "in-process workers"
        info = self.client.scheduler_info(n_workers=-1)
        memory = sum(worker["memory_limit"] for worker in info["workers"].values())
        said = (
            f"Dask: {options['n_workers']} {kind} × {options['threads_per_worker']} "
            f"threads, {format_bytes(memory)} memory"
        )
        if options["dashboard_address"] is None:
            return f"{said}, no dashboard"
        # What listens, which is not what was asked for where the port was taken.
        web = self._started.scheduler.http_server
        return f"{said}, dashboard http://{web.address}:{web.port}/status"

    def close(self) -> None:
        """Leave the cluster, and stop it if it was started here."""
        if self._ships:
            withdraw(self.client)
        self.client.close()
        if self._started is not None:
            self._started.close()
            self._started = None
            forget_servers()


def _start(options: Mapping[str, Any]):
    """Start a local cluster that serves nothing beyond this machine.

    Scheduler and workers always have a web server (metrics, health), which would
    listen on all interfaces. Dask's dashboard on it comes later, if at all.

    Raises:
        ClusterError: a worker dies or hangs while it starts, or something is in the
            way, e.g. of the folder to spill to.
    """

    import dask
    from distributed import LocalCluster, Worker

    class InProcessWorker(Worker):
        def __init__(self, *args, dashboard: bool = False, **kwargs):
            super().__init__(*args, dashboard=False, **kwargs)

    web = options["dashboard_address"] or f"{LOOPBACK}:0"
    placed = (
        {"host": LOOPBACK, "death_timeout": START_TIMEOUT}
        if options["processes"]
        else {
            "worker_class": InProcessWorker,
            "worker_dashboard_address": f"{LOOPBACK}:0",
        }
    )
    # An in-process worker shares its memory with everything else in the process: to
    # pause it until others let go could be for ever.
    pause = "distributed.worker.memory.pause"
    pauses = dask.config.get(pause) if options["processes"] else False
    others = multiprocessing.active_children()
    with dask.config.set({pause: pauses}), warnings.catch_warnings():
        # A taken port is no trouble: another is found, and the log line names it.
        warnings.filterwarnings("ignore", message="Port .* is already in use")
        try:
            return LocalCluster(
                **options,
                **placed,
                scheduler_kwargs={"dashboard": False, "dashboard_address": web},
            )
        # Dask raises this and that, AssertionError where a worker takes too long.
        except Exception as error:
            for child in multiprocessing.active_children():
                if child not in others:
                    child.kill()
                    child.join()
            raise ClusterError(
                f"the local Dask cluster did not start: {line(error)}. The lines above "
                "may say what its workers died of; usual are too little memory, a "
                "local_directory that cannot be written to, and more than "
                f"{START_TIMEOUT:.0f} s for the start of a worker."
            ) from error


def _quiet_plugin():
    """Make a plugin that keeps failed tasks out of the logs of workers.

    Their errors reach the main process, and are told there once.
    """
    from distributed import WorkerPlugin

    class QuietFailures(WorkerPlugin):
        name = "quiet-failures"

        def setup(self, worker) -> None:
            logging.getLogger("distributed.worker").addFilter(_is_no_failed_task)

        def teardown(self, worker) -> None:
            logging.getLogger("distributed.worker").removeFilter(_is_no_failed_task)

    return QuietFailures()


def _is_no_failed_task(record: logging.LogRecord) -> bool:
    return not str(record.msg).startswith("Compute Failed")
