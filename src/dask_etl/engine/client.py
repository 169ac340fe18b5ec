"""The Dask client that there is, if any, and what is known of a cluster elsewhere."""

import sys
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

_ELSEWHERE: weakref.WeakKeyDictionary[Any, "Elsewhere"] = weakref.WeakKeyDictionary()


@dataclass(eq=False)
class Elsewhere:
    """A cluster that is no part of this process.

    Attributes:
        name: of its scheduler, for people.
        workers_timeout: seconds that a run bears without workers.
        unfit: addresses of workers whose code is another.
    """

    name: str
    workers_timeout: float
    unfit: set[str] = field(default_factory=set)


def current_client() -> Any:
    """Return the current Dask client; None where there is none."""
    # Who has one has imported this, which takes its time.
    if "distributed" not in sys.modules:
        return None
    from distributed.worker import get_client

    try:
        return get_client()
    except ValueError:
        return None


def elsewhere(client: Any) -> Elsewhere | None:
    """Return what is known of a client's cluster; None if it is this process's own."""
    return _ELSEWHERE.get(client)


def client_elsewhere() -> Any:
    """Return a client of a cluster elsewhere; None where there is none."""
    # Asked for from another thread, while the first one may be importing Dask.
    return next((c for c in [*_ELSEWHERE] if c.status == "running"), None)


def note_elsewhere(client: Any, cluster: Elsewhere) -> None:
    """Note that the cluster of a client is no part of this process."""
    _ELSEWHERE[client] = cluster


def call(client: Any, function: Callable, *arguments: Any, **options: Any) -> Any:
    """Begin a client's method in the client's own thread.

    Returns:
        A future of its result, which can be waited for with a time limit.
    """
    import asyncio  # noqa: PLC0415  (start-up)

    async def begin() -> Any:
        return await function(*arguments, **options)

    return asyncio.run_coroutine_threadsafe(begin(), client.loop.asyncio_loop)
