"""What the figures were measured on."""

import importlib.metadata
import os
import platform
from datetime import UTC, datetime
from pathlib import Path

from dask_etl.hooks.monitor import usable_cores

LIBRARIES = (
    "dask_etl",
    "kedro",
    "dask",
    "distributed",
    "pandas",
    "numpy",
    "pyarrow",
    "duckdb",
    "polars",
    "datafusion",
    "daft",
    "pyspark",
)


def describe_machine() -> dict:
    """Tell cores, memory, processor, system and the versions of the libraries."""
    import psutil

    return {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "processor": _processor(),
        "usable_cores": usable_cores(),
        "cores": os.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {
            name: version for name in LIBRARIES if (version := _version(name))
        },
    }


def _processor() -> str:
    """Name the processor, as the system does."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if "model name" in line)
    return next(names, platform.processor() or "unknown")


def _version(library: str) -> str | None:
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return None
