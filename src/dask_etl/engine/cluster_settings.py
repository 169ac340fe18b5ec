"""``dask.yml``: what may stand in it, and what null means on this machine."""

import ipaddress
import logging
from typing import Any
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from dask_etl.errors import ClusterError
from dask_etl.validation import Strict

LOOPBACK = "127.0.0.1"

WORKERS_PER_CORE = 8
THREADS_PER_CORE = 32
"""More than these would only stand in each other's way."""

SMALLEST_WORKER = 256 << 20
"""Bytes: a Python process with Dask, pandas and Arrow takes most of it by itself, and
one with less is stopped and started again for ever."""


class LocalClusterSettings(Strict):
    """``local_cluster`` of ``dask.yml``; null stands for what suits the machine."""

    from_rows: int = Field(
        25_000_000,
        ge=0,
        description="inputs of fewer rows run on threads of this process, without a"
        " cluster, unless a key below asks for one; 0: always a cluster",
    )
    processes: bool = Field(
        False,
        description="workers in processes of their own, else threads of this one",
    )
    n_workers: int | None = Field(
        None,
        ge=1,
        description="`null`: one, or with processes one per core",
    )
    threads_per_worker: int | None = Field(
        None,
        ge=1,
        description="`null`: as many as fill the cores",
    )
    memory_limit: str | int | None = Field(
        None,
        description="of one worker, e.g. `4GiB` or bytes; `null`: an equal share of the"
        " machine's",
    )
    dashboard_address: str | int | None = Field(
        None,
        description="`null`: no dashboard",
    )
    local_directory: str | None = Field(
        None,
        description="where workers spill; `null`: the system's temporary folder",
    )

    def is_for(self, rows: int) -> bool:
        """Tell whether a run over so many rows is worth a cluster.

        What only a cluster has, such as processes or a limit of memory, is reason
        enough; the dashboard is not, as nobody looks at a run of a few seconds.
        """
        asked_for = (
            self.n_workers,
            self.threads_per_worker,
            self.memory_limit,
            self.local_directory,
        )
        if self.processes or any(value is not None for value in asked_for):
            return True
        return rows >= self.from_rows


class Scale(Strict):
    """``cluster.scale`` of ``dask.yml``: a number of workers, or bounds of one."""

    workers: int | None = Field(None, ge=1, description="how many workers")
    minimum: int = Field(0, ge=0, description="at least so many, with `maximum`")
    maximum: int | None = Field(
        None, ge=1, description="as many as there is work for, up to this"
    )

    @model_validator(mode="after")
    def _is_one_of_both(self) -> "Scale":
        if self.workers is not None and self.maximum is not None:
            raise ValueError("give workers, or minimum and maximum, not both")
        if self.maximum is not None and self.minimum > self.maximum:
            raise ValueError(f"minimum {self.minimum} is more than {self.maximum}")
        if self.minimum and self.maximum is None:
            raise ValueError("minimum needs a maximum")
        return self


class ClusterClass(Strict):
    """``cluster`` of ``dask.yml``: any class of clusters of the Dask ecosystem."""

    class_: str = Field(
        alias="class",
        description="path of any class of clusters, started for the length of the run",
    )
    kwargs: dict[str, Any] = Field(
        default_factory=dict, description="what the class is called with"
    )
    scale: Scale = Scale()


class DaskSettings(Strict):
    """``dask.yml``; the comments there say what each key means."""

    scheduler: str | None = Field(
        None,
        description="address to attach to; `null`: a cluster for the length of the run."
        " `DASK_SCHEDULER_ADDRESS` wins over files, `--params` over both",
    )
    cluster: ClusterClass | None = None
    ship_code: bool = Field(
        False,
        description="send this package's source to a cluster elsewhere that has none,"
        " or another",
    )
    workers_timeout: float = Field(
        300.0,
        gt=0,
        description="seconds that a run on a cluster elsewhere bears having no workers",
    )
    allow_insecure: bool = Field(
        False,
        description="bear a scheduler elsewhere that does not speak TLS",
    )
    scratch_root: str | None = Field(
        None,
        description="folder for the files by which partitions tell each other what they"
        " have, e.g. on a fast disk that all workers share while tables are in a bucket;"
        " `null`: the folder of the first table",
    )
    local_cluster: LocalClusterSettings = LocalClusterSettings()
    config: dict[str, Any] = Field(
        default_factory=dict,
        description="Dask's own configuration; `DASK_*` variables win over it",
    )

    @property
    def is_elsewhere(self) -> bool:
        """Whether the workers are no part of this process."""
        return bool(self.scheduler or self.cluster)


class InsecureAddress(ClusterError):
    """An address that lets anyone on the network send code, or look at the work."""


def sized(settings: LocalClusterSettings, allow_insecure: bool = False) -> dict:
    """Fill in what the settings leave to the machine: workers, threads, memory.

    Returns:
        Keywords for ``distributed.LocalCluster``.

    Raises:
        ClusterError: more workers or threads than the machine can use, less memory
            than a worker needs, or no address to serve the dashboard at.
    """
    from dask.system import CPU_COUNT
    from distributed.system import MEMORY_LIMIT

    n_workers = settings.n_workers or (CPU_COUNT if settings.processes else 1)
    _check_count("n_workers", n_workers, WORKERS_PER_CORE * CPU_COUNT)
    threads = settings.threads_per_worker or max(1, CPU_COUNT // n_workers)
    _check_count("threads_per_worker", threads, THREADS_PER_CORE * CPU_COUNT)
    return {
        "n_workers": n_workers,
        "threads_per_worker": threads,
        "processes": settings.processes,
        "memory_limit": _worker_memory(settings.memory_limit, MEMORY_LIMIT, n_workers),
        "dashboard_address": dashboard(settings.dashboard_address, allow_insecure),
        "local_directory": settings.local_directory,
        "silence_logs": logging.WARNING,
    }


def _check_count(key: str, wanted: int, most: int) -> None:
    if wanted > most:
        raise ClusterError(
            f"local_cluster.{key} {wanted:,}: this machine has use for {most:,} at "
            "most. Give fewer, or null for as many as suit it."
        )


def _worker_memory(given: str | int | None, machine: int, n_workers: int) -> int:
    from dask.utils import format_bytes, parse_bytes

    if given is None:
        limit, said = machine // n_workers, f"null, i.e. {format_bytes(machine)} shared"
    else:
        said = str(given)
        try:
            limit = parse_bytes(given)
        except (ValueError, OverflowError) as error:
            raise ClusterError(
                f"local_cluster.memory_limit {said}: expected a number of bytes such as "
                "4GiB, or null for a share of the machine's"
            ) from error
    if limit < SMALLEST_WORKER:
        raise ClusterError(
            f"local_cluster.memory_limit {said}: a worker needs "
            f"{format_bytes(SMALLEST_WORKER)} at least. Give more, or run fewer workers "
            f"(n_workers is {n_workers})."
        )
    return limit


def dashboard(address: str | int | None, allow_insecure: bool = False) -> str | None:
    """Return where to serve the dashboard, as ``host:port``; None for nowhere.

    A port alone means the loopback interface, not all of them, as Dask has it.

    Raises:
        ClusterError: it is no ``host:port``.
        InsecureAddress: it is on the network, and nothing says that this is wanted.
    """
    if address is None:
        return None
    host, _, port = str(address).rpartition(":")
    host = LOOPBACK if host in ("", "localhost") else host
    if not (port.isascii() and port.isdecimal() and int(port) < 1 << 16):
        raise ClusterError(
            f"local_cluster.dashboard_address {address}: expected host:port with a port "
            "from 0 (any that is free) to 65535, or null for no dashboard"
        )
    if not (_is_loopback(host) or allow_insecure):
        raise InsecureAddress(
            f"local_cluster.dashboard_address {address}: anyone who reaches this machine "
            f"could watch the work. Use {LOOPBACK}:{port} (and a tunnel from elsewhere), "
            "or set allow_insecure: true in dask.yml if the network itself is trusted."
        )
    return f"{host}:{port}"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def check_address(address: str, allow_insecure: bool) -> None:
    """Refuse a scheduler that is neither local nor encrypted, unless told otherwise.

    Raises:
        ClusterError: it is no address.
        InsecureAddress: with what to do instead.
    """
    # A gateway is TLS by its nature.
    if address.startswith(("inproc://", "gateway://")):
        return
    try:
        parts = urlsplit(address if "://" in address else f"tcp://{address}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not (host and port):
        raise ClusterError(
            f"dask.scheduler {address}: expected scheme, host and port, such as "
            "tls://scheduler.example.org:8786"
        )
    if parts.scheme == "tls" or _is_loopback(host) or allow_insecure:
        return
    raise InsecureAddress(
        f"dask.scheduler {address}: a scheduler without TLS runs whatever anyone who "
        "reaches it sends. Use a tls:// address (Dask's 'distributed.comm.tls' "
        "configuration holds the certificates), or set allow_insecure: true in "
        "dask.yml if the network itself is trusted."
    )
