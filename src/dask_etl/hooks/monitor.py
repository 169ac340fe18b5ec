"""What a run costs: wall time, CPU and memory of this process and its children.

Workers of a local Dask cluster are children, so they count. Workers of a cluster
elsewhere are asked for through its scheduler, which hears from each of them about once a
second: their CPU time is added up from what they report, their memory is all they hold.
"""

import contextlib
import os
import threading
import time
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import psutil

from dask_etl.engine.client import call, client_elsewhere
from dask_etl.hooks.records import cpu_use

_MB = 1_000_000
_LISTING_BUDGET = 0.02
"""Share of the time that may go into looking for new child processes."""


@dataclass(frozen=True)
class Usage:
    """What a stretch of work cost.

    ``cpu_use`` is the share of all usable cores (0–1), ``memory`` the anonymous
    memory of the process tree: what it holds itself, without files mapped or
    memory shared between its processes.
    """

    wall_seconds: float
    cpu_seconds: float
    cpu_use: float
    cores: int
    memory_at_start_mb: float
    peak_memory_mb: float


@dataclass(eq=False)
class Mark:
    """Where a measurement began, and the highest memory seen since."""

    started: float
    cpu_at_start: float
    memory_at_start: int
    peak_memory: int


def usable_cores() -> int:
    """Cores that this process may run on (fewer than the machine's in a container)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class ResourceMonitor:
    """Samples the process tree in the background between ``start`` and ``stop``.

    Measurements may follow each other, nest or overlap: ``start`` returns a mark
    that ``stop`` takes; without one, the latest is stopped. As a context manager
    the result is left in ``usage``.

    Args:
        interval: seconds between two samples.
        pid: root of the process tree; this process by default.
    """

    def __init__(self, interval: float = 0.05, pid: int | None = None):
        self.interval = interval
        self.usage: Usage | None = None
        self._tree = ProcessTree(pid)
        self._workers = WorkersElsewhere()
        self._marks: list[Mark] = []
        self._lock = threading.Lock()
        self._idle: threading.Event | None = None

    def start(self) -> Mark:
        """Begin a measurement."""
        with self._lock:
            memory = self._sample()
            mark = Mark(time.perf_counter(), self._cpu_seconds, memory, memory)
            self._marks.append(mark)
            if self._idle is None:
                self._idle = threading.Event()
                threading.Thread(
                    target=self._watch,
                    args=(self._idle,),
                    name="resource-monitor",
                    daemon=True,
                ).start()
        return mark

    def stop(self, mark: Mark | None = None) -> Usage:
        """End a measurement, the latest by default, and say what it cost."""
        usage = self.measure(mark)
        with self._lock:
            self._marks.remove(mark or self._marks[-1])
            if not self._marks and self._idle is not None:
                self._idle.set()
                self._idle = None
        return usage

    def measure(self, mark: Mark | None = None) -> Usage:
        """Cost so far of a measurement, the latest by default, that goes on."""
        with self._lock:
            if not self._marks:
                raise RuntimeError("nothing is being measured: call start() first")
            mark = mark or self._marks[-1]
            self._sample()
            wall = time.perf_counter() - mark.started
            cpu = self._cpu_seconds - mark.cpu_at_start
            cores = usable_cores() + self._workers.threads
            return Usage(
                wall_seconds=wall,
                cpu_seconds=cpu,
                cpu_use=cpu_use(cpu, wall, cores),
                cores=cores,
                memory_at_start_mb=mark.memory_at_start / _MB,
                peak_memory_mb=mark.peak_memory / _MB,
            )

    def __enter__(self) -> "ResourceMonitor":
        self.start()
        return self

    def __exit__(self, *_):
        self.usage = self.stop()

    def _watch(self, idle: threading.Event):
        while not idle.wait(self.interval):
            with self._lock:
                self._sample()

    @property
    def _cpu_seconds(self) -> float:
        return self._tree.cpu_seconds + self._workers.cpu_seconds

    def _sample(self) -> int:
        memory = self._tree.sample() + self._workers.sample()
        for mark in self._marks:
            mark.peak_memory = max(mark.peak_memory, memory)
        return memory


class WorkersElsewhere:
    """Memory now, and CPU seconds so far, of the workers of a cluster elsewhere.

    Without one, all is 0. What the scheduler knows is asked for once a second, and not
    waited for.
    """

    INTERVAL = 1.0

    def __init__(self) -> None:
        self.cpu_seconds = 0.0
        self.threads = 0
        """Of all workers, the most that there were."""
        self._memory = 0
        self._asked_at = 0.0
        self._answer: Future | None = None
        self._read_at: float | None = None

    def sample(self) -> int:
        """Take in what has been answered; return the memory in bytes."""
        now = time.perf_counter()
        if self._answer is not None and self._answer.done():
            answer, self._answer = self._answer, None
            if answer.cancelled() or answer.exception() is not None:
                # The cluster is closed, or lost, which others tell.
                self._memory, self._read_at = 0, None
            else:
                self._take(answer.result()["workers"].values(), now)
        if self._answer is None and now - self._asked_at >= self.INTERVAL:
            self._asked_at = now
            client = client_elsewhere()
            if client is None:
                self._memory, self._read_at = 0, None
            else:
                identity = client.scheduler.identity
                self._answer = call(client, identity, n_workers=-1)
        return self._memory

    def _take(self, workers: Collection[Mapping[str, Any]], now: float) -> None:
        metrics = [worker["metrics"] for worker in workers if worker["metrics"]]
        self._memory = sum(found["memory"] for found in metrics)
        self.threads = max(self.threads, sum(w["nthreads"] for w in workers))
        if self._read_at is not None:
            # Per cent of one core, since the worker's last report.
            cores = sum(found["cpu"] for found in metrics) / 100
            self.cpu_seconds += cores * (now - self._read_at)
        self._read_at = now


class ProcessTree:
    """Memory now, and CPU seconds so far, of a process and its descendants.

    Args:
        pid: of the process; this one by default.
    """

    def __init__(self, pid: int | None = None):
        self.cpu_seconds = 0.0
        self._cpu_before = 0.0
        self._root = psutil.Process(pid)
        self._processes = [self._root]
        self._next_listing = 0.0

    def sample(self) -> int:
        """Take one sample; the memory in bytes is returned, CPU time added up."""
        for _ in range(3):
            self._look_for_children()
            try:
                readings = [_read(process) for process in self._processes]
                break
            except psutil.NoSuchProcess:
                # Its CPU time is its parent's by now, which was read too early.
                self._next_listing = 0.0
        else:
            readings = list(self._read_those_left())
        cpu = sum(seconds for _, seconds in readings)
        # An orphan takes its CPU time out of the tree: never count backwards.
        self.cpu_seconds += max(0.0, cpu - self._cpu_before)
        self._cpu_before = cpu
        return sum(memory for memory, _ in readings)

    def _look_for_children(self):
        begin = time.perf_counter()
        if begin < self._next_listing:
            return
        try:
            # Parents come before their children, so that a child that ends
            # meanwhile is missed (and the sample repeated), never counted twice.
            self._processes = [self._root, *self._root.children(recursive=True)]
        except psutil.Error:
            self._processes = [self._root]
        end = time.perf_counter()
        self._next_listing = end + (end - begin) / _LISTING_BUDGET

    def _read_those_left(self) -> Iterator[tuple[int, float]]:
        for process in self._processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                yield _read(process)


def _read(process: psutil.Process) -> tuple[int, float]:
    """Memory in bytes and CPU seconds, those of the children it waited for included."""
    try:
        memory, cpu = process.memory_info(), process.cpu_times()
    except psutil.AccessDenied:
        return 0, 0.0
    ended_children = getattr(cpu, "children_user", 0.0)
    ended_children += getattr(cpu, "children_system", 0.0)
    anonymous = memory.rss - getattr(memory, "shared", 0)
    return max(anonymous, 0), cpu.user + cpu.system + ended_children
