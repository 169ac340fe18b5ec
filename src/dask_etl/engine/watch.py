"""Wait for the results of a cluster elsewhere, and notice when none can come."""

import logging
import time
from typing import Any

from dask_etl.engine.client import Elsewhere, call
from dask_etl.engine.preflight import ANSWER_TIMEOUT, PACKAGE, PATIENCE
from dask_etl.errors import ClusterError, OtherCode, WorkersLost

logger = logging.getLogger(__name__)

INTERVAL = 2.0
"""Seconds between two looks at the workers."""


def workers_for(client: Any, cluster: Elsewhere) -> list[str] | None:
    """Return the addresses that tasks may go to; None, which is cheaper, for all."""
    return sorted(_fit(client, cluster)) if cluster.unfit else None


def gather_from(client: Any, cluster: Elsewhere, futures: Any) -> Any:
    """Wait for results, as long as somebody can bring them.

    Args:
        client: of the cluster.
        cluster: what is known of it; a worker with other code is noted there.
        futures: of the results, nested as they are to be returned.

    Raises:
        WorkersLost: there have been no workers for as long as a run bears.
        ClusterError: the scheduler is gone.
        OtherCode: a worker that joined has other code than this process.
    """
    waiting = call(client, client.gather, futures)
    watch = _Watch(client, cluster)
    try:
        while True:
            try:
                return waiting.result(INTERVAL)
            except TimeoutError:
                if waiting.done():
                    raise
                watch.look()
            except ImportError as error:
                if error.name != PACKAGE or error.path is None:
                    raise
                cluster.unfit.add(error.path)
                raise OtherCode(
                    f"{cluster.name}: worker {error.path} {error.msg}. It has joined "
                    f"the cluster with another {PACKAGE} than this machine; stop it, "
                    "install there what is here, or set ship_code: true in dask.yml"
                ) from error
    except Exception as error:
        if client.status != "running":
            raise ClusterError(
                f"{cluster.name}: the scheduler was lost during the run. Start it and "
                "run again: finished partitions are kept, if clock.as_of is given."
            ) from error
        raise
    finally:
        if not waiting.done():
            _drop_quietly(client)
        waiting.cancel()


def _drop_quietly(client: Any) -> None:
    """Keep the client from printing a traceback for every result not waited for."""
    from distributed.client import AllExit

    def handle(loop: Any, context: dict[str, Any]) -> None:
        if not isinstance(context.get("exception"), AllExit):
            loop.default_exception_handler(context)

    loop = client.loop.asyncio_loop
    loop.call_soon_threadsafe(loop.set_exception_handler, handle)


class _Watch:
    """Knows since when there are no workers."""

    def __init__(self, client: Any, cluster: Elsewhere):
        self._client = client
        self._cluster = cluster
        self._seen = time.monotonic()
        self._told = False

    def look(self) -> None:
        """Look for workers; say so when there are none for a while.

        Raises:
            WorkersLost: for too long.
        """
        if _fit(self._client, self._cluster):
            if self._told:
                logger.info("%s has workers again", self._cluster.name)
            self._seen, self._told = time.monotonic(), False
            return
        gone, limit = time.monotonic() - self._seen, self._cluster.workers_timeout
        if gone >= limit:
            raise WorkersLost(
                f"{self._cluster.name} has had no workers for {limit:g} s "
                "(workers_timeout in dask.yml): all were lost. Start some and run "
                "again; earlier outputs are untouched, and finished partitions are "
                "kept, if clock.as_of is given."
            )
        if gone >= PATIENCE and not self._told:
            self._told = True
            logger.warning(
                "%s has no workers now: waiting up to %g s (workers_timeout)",
                self._cluster.name,
                limit,
            )


def _fit(client: Any, cluster: Elsewhere) -> set[str]:
    """Return the addresses of workers that do the same work as this process."""
    try:
        there = call(client, client.nthreads).result(ANSWER_TIMEOUT)
    except (OSError, TimeoutError):
        return set()
    return set(there) - cluster.unfit
