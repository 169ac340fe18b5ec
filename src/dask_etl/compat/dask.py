"""Of Dask: what a frame was made from, and what it never forgets."""

from collections.abc import Callable
from typing import Any


def mapping_of(frame: Any) -> tuple[Callable, list] | None:
    """Return the function and the items of a Dask DataFrame that ``from_map`` made.

    Returns:
        None if it was made in another way, or is not all that was made: some of its
        columns, some of its partitions, or what they became.
    """
    made = frame.expr
    operands = dict(zip(made._parameters, made.operands, strict=False))
    if "func" not in operands or len(operands.get("iterables", ())) != 1:
        return None
    if any(operands.get(chosen) is not None for chosen in ("_partitions", "columns")):
        return None
    return operands["func"], operands["iterables"][0]


def forget_servers() -> None:
    """Let closed schedulers and workers go, which Dask remembers for ever.

    It notes of every handler, a method, whether it takes a connection, and with the
    method keeps its server: half a megabyte a cluster in a process of many runs.
    """
    from distributed import core

    noted: Any = getattr(core, "_expects_comm", None)
    if hasattr(noted, "cache_clear"):
        noted.cache_clear()
