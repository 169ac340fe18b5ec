"""Start a Dask cluster for the length of a run, or attach to one that is there."""

import logging
import os
import threading
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from pydantic import Field

from dask_etl.errors import ExplainedError
from dask_etl.validation import Strict

logger = logging.getLogger(__name__)

DASHBOARD_AFTER = 3.0
"""Seconds until the dashboard is loaded: half a second of imports that a short run,
which nobody has time to look at, is spared."""

LOOPBACK = "127.0.0.1"


class LocalClusterSettings(Strict):
    """``local_cluster`` of ``dask.yml``; null stands for what suits the machine."""

    processes: bool = False
    n_workers: int | None = None
    threads_per_worker: int | None = None
    memory_limit: str | int | None = None
    dashboard_address: str | None = None
    local_directory: str | None = None


class DaskSettings(Strict):
    """``dask.yml``; the comments there say what each key means."""

    scheduler: str | None = None
    allow_insecure: bool = False
    local_cluster: LocalClusterSettings = LocalClusterSettings()
    config: dict[str, Any] = Field(default_factory=dict)


class InsecureScheduler(ExplainedError, ValueError):
    """A scheduler that anyone on the network could send code to."""


class Cluster:
    """A client of a cluster, and the cluster if it was started here.

    Args:
        settings: of ``dask.yml``.
    """

    def __init__(self, settings: DaskSettings):
        import dask

        # Merged, not set: dask.config.set would drop what else is under its keys.
        # A person's DASK_* variables win over the project's settings.
        for values in (settings.config, dask.config.collect_env()):
            dask.config.update(dask.config.config, values, priority="new")
        from distributed import Client

        self._started = None
        self._dashboard: threading.Timer | None = None
        address = settings.scheduler or os.environ.get("DASK_SCHEDULER_ADDRESS")
        if address:
            check_address(address, settings.allow_insecure)
            self.client = Client(address)
            logger.info("Attached to the Dask scheduler at %s", address)
            return
        options = sized(settings.local_cluster)
        if not options["processes"]:
            reuse_freed_memory()
        self._started = _start(options)
        self.client = Client(self._started)
        if options["dashboard_address"]:
            self._dashboard = threading.Timer(DASHBOARD_AFTER, self._open_dashboard)
            self._dashboard.daemon = True
            self._dashboard.start()
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
        host = options["dashboard_address"].rpartition(":")[0] or "127.0.0.1"
        port = info["services"]["dashboard"]
        return f"{said}, dashboard http://{host}:{port}/status"

    def _open_dashboard(self) -> None:
        """Put Dask's dashboard on the scheduler's web server, which runs already."""
        from distributed.dashboard.scheduler import connect

        scheduler = self._started.scheduler
        self._started.loop.add_callback(
            connect, scheduler.http_application, scheduler.http_server, scheduler
        )

    def close(self) -> None:
        """Leave the cluster, and stop it if it was started here."""
        if self._dashboard is not None:
            self._dashboard.cancel()
        self.client.close()
        if self._started is not None:
            self._started.close()


def _start(options: Mapping[str, Any]):
    """Start a local cluster that serves nothing beyond this machine.

    Scheduler and workers always have a web server (metrics, health), which would
    listen on all interfaces. Dask's dashboard on it comes later, if at all.
    """
    import warnings

    import dask
    from distributed import LocalCluster, Worker

    class InProcessWorker(Worker):
        def __init__(self, *args, dashboard: bool = False, **kwargs):
            super().__init__(*args, dashboard=False, **kwargs)

    web = options["dashboard_address"] or f"{LOOPBACK}:0"
    placed = (
        {"host": LOOPBACK}
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
    with dask.config.set({pause: pauses}), warnings.catch_warnings():
        # A taken port is no trouble: another is found, and the log line names it.
        warnings.filterwarnings("ignore", message="Port .* is already in use")
        return LocalCluster(
            **options,
            **placed,
            scheduler_kwargs={"dashboard": False, "dashboard_address": web},
        )


def sized(settings: LocalClusterSettings) -> dict[str, Any]:
    """Fill in what the settings leave to the machine: workers, threads, memory."""
    from dask.system import CPU_COUNT
    from distributed.system import MEMORY_LIMIT

    n_workers = settings.n_workers or (CPU_COUNT if settings.processes else 1)
    threads = settings.threads_per_worker or max(1, CPU_COUNT // n_workers)
    memory = settings.memory_limit or MEMORY_LIMIT // n_workers
    return {
        "n_workers": n_workers,
        "threads_per_worker": threads,
        "processes": settings.processes,
        "memory_limit": memory,
        "dashboard_address": settings.dashboard_address,
        "local_directory": settings.local_directory,
        "silence_logs": logging.WARNING,
    }


def check_address(address: str, allow_insecure: bool) -> None:
    """Refuse a scheduler that is neither local nor encrypted, unless told otherwise.

    Raises:
        InsecureScheduler: with what to do instead.
    """
    parts = urlsplit(address)
    local = (parts.hostname or "") in ("127.0.0.1", "localhost", "::1")
    if parts.scheme in ("tls", "inproc") or local or allow_insecure:
        return
    raise InsecureScheduler(
        f"dask.scheduler {address}: a scheduler without TLS runs whatever anyone who "
        "reaches it sends. Use a tls:// address (Dask's 'distributed.comm.tls' "
        "configuration holds the certificates), or set allow_insecure: true in "
        "dask.yml if the network itself is trusted."
    )


def reuse_freed_memory() -> None:
    """Tell glibc to keep freed blocks for reuse, up to 1 GiB.

    Kernels free and allocate the same few megabytes again and again. By default each
    such block is mapped anew and zeroed page by page, which two threads of one
    process wait for each other to do: a tenth of all CPU time (docs/performance.md).
    """
    import ctypes

    trim_threshold, mmap_threshold = -1, -3
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return  # not glibc
    mallopt(mmap_threshold, 1 << 30)
    mallopt(trim_threshold, 1 << 30)
