"""Start a Dask cluster for the length of a run, or attach to one that is there."""

import asyncio
import ctypes
import logging
import multiprocessing
import os
import re
import warnings
from collections.abc import Mapping
from typing import Any

from dask_etl.compat.dask import forget_servers
from dask_etl.engine.cluster_settings import (
    LOOPBACK,
    DaskSettings,
    check_address,
    sized,
)
from dask_etl.errors import ClusterError

logger = logging.getLogger(__name__)

START_TIMEOUT = 60.0
"""Seconds until a worker process that does not come up is given up."""


class Cluster:
    """A client of a cluster, and the cluster if it was started here.

    Args:
        settings: of ``dask.yml``.

    Raises:
        ClusterError: the settings, the machine or the scheduler do not allow it.
    """

    def __init__(self, settings: DaskSettings):
        import dask

        # Merged, not set: dask.config.set would drop what else is under its keys.
        # A person's DASK_* variables win over the project's settings.
        for values in (settings.config, dask.config.collect_env()):
            dask.config.update(dask.config.config, values, priority="new")
        self._started: Any = None
        address = settings.scheduler or os.environ.get("DASK_SCHEDULER_ADDRESS")
        if address:
            check_address(address, settings.allow_insecure)
            self.client = _attach(address)
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
        self.client.close()
        if self._started is not None:
            self._started.close()
            self._started = None
            forget_servers()


def _attach(address: str):
    """Return a client of a scheduler that is there.

    Raises:
        ClusterError: none answers at the address, or none that this can talk to.
    """
    import dask
    from distributed import Client

    timeout = dask.config.get("distributed.comm.timeouts.connect")
    try:
        _knock(address, timeout)
        client = Client(address, timeout=timeout)
    except TimeoutError as error:
        raise ClusterError(
            f"dask.scheduler {address}: something is there, but has not answered within "
            f"{timeout}. Is it a Dask scheduler, and not overloaded? Start one, or "
            "leave the address out for a cluster of this run's own."
        ) from error
    # Of what a wrong address or certificate can cause, Dask raises this and that.
    except (OSError, ValueError, TypeError, RuntimeError, ImportError) as error:
        raise ClusterError(
            f"dask.scheduler {address}: cannot be reached ({_line(error)}). Start it, "
            "correct the address or its certificates, or leave the address out for a "
            "cluster of this run's own."
        ) from error
    logger.info("Attached to the Dask scheduler at %s", address)
    if not client.scheduler_info(n_workers=-1)["workers"]:
        logger.warning("%s has no workers yet: the run waits for some", address)
    return client


def _knock(address: str, timeout: str | float) -> None:
    """Ask a scheduler who it is. Dask's client would wait for the answer for ever."""
    from dask.utils import parse_timedelta
    from distributed.comm import connect
    from distributed.security import Security
    from distributed.utils import LoopRunner

    seconds = parse_timedelta(timeout, default="seconds")
    security = Security().get_connection_args("client")

    async def ask() -> None:
        comm = await connect(address, timeout=seconds, **security)
        try:
            await comm.write({"op": "identity", "reply": True})
            await comm.read()
        finally:
            comm.abort()

    async def ask_in_time() -> None:
        # A little more than connect() itself, which says more of what went wrong.
        await asyncio.wait_for(ask(), seconds + 1)

    runner = LoopRunner(asynchronous=False)
    runner.start()
    try:
        runner.run_sync(ask_in_time)
    finally:
        runner.stop()


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
                f"the local Dask cluster did not start: {_line(error)}. The lines above "
                "may say what its workers died of; usual are too little memory, a "
                "local_directory that cannot be written to, and more than "
                f"{START_TIMEOUT:.0f} s for the start of a worker."
            ) from error


def _line(error: BaseException) -> str:
    """Say in one line what an error, and the one that it came from, say."""
    errors = [error, error.__cause__] if error.__cause__ else [error]
    said = ": ".join(str(error) or type(error).__name__ for error in errors)
    # Where in Dask it was is of no use here.
    return re.sub(r"in <[^>]*>: ", "", " ".join(said.split())).rstrip(".")


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


def reuse_freed_memory() -> None:
    """Tell glibc to keep freed blocks for reuse, up to 1 GiB.

    Kernels free and allocate the same few megabytes again and again. By default each
    such block is mapped anew and zeroed page by page, which two threads of one
    process wait for each other to do: a tenth of all CPU time (docs/performance.md).
    """

    trim_threshold, mmap_threshold = -1, -3
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return  # not glibc
    mallopt(mmap_threshold, 1 << 30)
    mallopt(trim_threshold, 1 << 30)
