"""Clusters that are not this process's own: a scheduler's address, or any class."""

import asyncio
import contextlib
import importlib
import logging
import re
import threading
import warnings
from collections.abc import Iterator
from concurrent.futures import Future, wait
from typing import Any

from dask_etl.engine.client import Elsewhere, note_elsewhere
from dask_etl.engine.cluster_settings import (
    ClusterClass,
    DaskSettings,
    check_address,
)
from dask_etl.engine.preflight import Needs, check
from dask_etl.errors import ClusterError

logger = logging.getLogger(__name__)

GATEWAY = "gateway://"


def attach(settings: DaskSettings, needs: Needs) -> tuple[Any, Any]:
    """Connect to the scheduler, or start the cluster, that the settings name.

    Returns:
        A client, and the cluster if it is to be closed after the run.

    Raises:
        ClusterError: there is none, or it would do other work than this process.
    """
    started = None
    if settings.scheduler:
        name = f"dask.scheduler {settings.scheduler}"
        check_address(settings.scheduler, settings.allow_insecure)
        client = connect(settings.scheduler)
    else:
        assert settings.cluster is not None
        name = f"cluster.class {settings.cluster.class_}"
        started, client = _start(settings.cluster, settings.allow_insecure)
    note_elsewhere(client, Elsewhere(name, settings.workers_timeout))
    try:
        check(client, name, needs, settings.ship_code, settings.workers_timeout)
    except BaseException:
        client.close()
        if started is not None:
            started.close()
        raise
    return client, started


def connect(address: str) -> Any:
    """Return a client of a scheduler that is there.

    Raises:
        ClusterError: none answers at the address, or none that this can talk to.
    """
    import dask
    from distributed import Client

    if address.startswith(GATEWAY):
        return _gateway(address)
    timeout = dask.config.get("distributed.comm.timeouts.connect")
    try:
        _knock(address, timeout)
        with _no_warning_of_versions():
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
            f"dask.scheduler {address}: cannot be reached ({line(error)}). Start it, "
            "correct the address or its certificates, or leave the address out for a "
            "cluster of this run's own."
        ) from error
    logger.info("Attached to the Dask scheduler at %s", address)
    return client


@contextlib.contextmanager
def _no_warning_of_versions() -> Iterator[None]:
    """Keep Dask's table of versions back: the preflight tells which ones matter."""
    from distributed.versions import VersionMismatchWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", VersionMismatchWarning)
        yield


def _gateway(address: str) -> Any:
    """Return a client of a cluster behind a Dask Gateway, which knows its certificate."""
    try:
        gateway = importlib.import_module("dask_gateway")
    except ImportError as error:
        raise ClusterError(
            f"dask.scheduler {address}: is behind a Dask Gateway; "
            "pip install dask-gateway is needed to reach it"
        ) from error
    cluster_name = address.rpartition("/")[2]
    try:
        cluster = gateway.Gateway().connect(cluster_name)
        return cluster.get_client()
    # Of what can be wrong with a gateway, it raises this and that.
    except Exception as error:
        raise ClusterError(
            f"dask.scheduler {address}: cannot be reached ({line(error)}). The gateway "
            "itself is named by Dask's settings gateway.address and gateway.auth."
        ) from error


def _start(cluster: ClusterClass, allow_insecure: bool) -> tuple[Any, Any]:
    """Start a cluster of any class, of the size that is wanted."""
    said = f"cluster.class {cluster.class_}"
    module, _, name = cluster.class_.rpartition(".")
    try:
        make = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ClusterError(
            f"{said}: there is no such class ({line(error)}). Install its package, or "
            "correct the path."
        ) from error
    _keep_logging_to_oneself()
    started = None
    try:
        with _no_warning_of_versions():
            started = make(**cluster.kwargs)
            _scale(started, cluster)
            check_address(started.scheduler_address, allow_insecure)
            client = _client_of(started, said)
    except BaseException as error:
        if started is not None:
            started.close()
        if isinstance(error, ClusterError) or not isinstance(error, Exception):
            raise
        raise ClusterError(f"{said}: did not start: {line(error)}") from error
    logger.info("Dask: %s, dashboard %s", said, started.dashboard_link)
    return started, client


def _client_of(started: Any, said: str) -> Any:
    """Return a cluster's client; not all classes have a time limit of their own.

    Raises:
        ClusterError: its scheduler does not answer.
    """
    import dask
    from dask.utils import parse_timedelta

    timeout = dask.config.get("distributed.comm.timeouts.connect")
    answer: Future = Future()

    def ask() -> None:
        try:
            answer.set_result(started.get_client())
        except BaseException as error:
            answer.set_exception(error)

    # A thread that the end of this process does not wait for.
    threading.Thread(target=ask, name="get-client", daemon=True).start()
    done, _ = wait([answer], parse_timedelta(timeout, default="seconds"))
    if not done:
        raise ClusterError(
            f"{said}: its scheduler at {started.scheduler_address} has not answered "
            f"within {timeout} (distributed.comm.timeouts.connect in dask.yml). Can it "
            "be reached from this machine?"
        )
    return answer.result()


def _scale(started: Any, cluster: ClusterClass) -> None:
    scale = cluster.scale
    if scale.workers is not None:
        started.scale(scale.workers)
    elif scale.maximum is not None:
        started.adapt(minimum=scale.minimum, maximum=scale.maximum)


def _keep_logging_to_oneself() -> None:
    """Take how this process logs out of what its clusters' processes inherit.

    Some classes wait for a line in the log of what they start, which would never come.
    """
    import dask
    import distributed  # noqa: F401  (it has read its settings of logging by now)

    dask.config.config.pop("logging", None)
    nanny = "distributed.nanny.pre-spawn-environ"
    environment = dask.config.get(nanny, {})
    kept = {
        name: value
        for name, value in environment.items()
        if not name.startswith("DASK_LOGGING")
    }
    dask.config.set({nanny: kept})


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


def line(error: BaseException) -> str:
    """Say in one line what an error, and the one that it came from, say."""
    errors = [error, error.__cause__] if error.__cause__ else [error]
    said = ": ".join(str(error) or type(error).__name__ for error in errors)
    # Where in Dask it was is of no use here.
    return re.sub(r"in <[^>]*>: ", "", " ".join(said.split())).rstrip(".")
