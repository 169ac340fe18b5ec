"""What this process is told before it computes, with a cluster or without."""

import ctypes
import logging

from dask_etl.engine.cluster_settings import DaskSettings

logger = logging.getLogger(__name__)


def configure(settings: DaskSettings) -> None:
    """Give Dask its part of ``dask.yml``; ``DASK_*`` variables win over it."""
    import dask

    # Merged, not set: dask.config.set would drop what else is under its keys.
    for values in (settings.config, dask.config.collect_env()):
        dask.config.update(dask.config.config, values, priority="new")


def use_threads(settings: DaskSettings, rows: int) -> None:
    """Prepare this process to compute by itself, on Dask's threads.

    Args:
        settings: of ``dask.yml``.
        rows: of the inputs, for people.
    """
    from dask.system import CPU_COUNT

    configure(settings)
    reuse_freed_memory()
    logger.info(
        "Dask: %d threads; %s rows need no cluster (local_cluster.from_rows)",
        *(CPU_COUNT, f"{rows:,}"),
    )


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
