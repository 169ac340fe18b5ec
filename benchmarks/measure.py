"""What one command costs, measured from outside: time, CPU, memory, bytes."""

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dask_etl.hooks.monitor import ResourceMonitor, usable_cores

from .caps import memory_cap

COMPLETED, KILLED, TIMED_OUT, FAILED = "completed", "killed", "timed out", "failed"

NOT_INHERITED = (
    "DASK_SCHEDULER_ADDRESS",
    "KEDRO_ENV",
    "KEDRO_LOGGING_CONFIG",
    "PYTHONDONTWRITEBYTECODE",
    "PYTHONPROFILEIMPORTTIME",
)
"""Environment variables that would make runs differ from those of another person."""

INTERVAL = 0.05
LOG_LINES = 15


@dataclass(frozen=True)
class Cost:
    """What a command cost, its start and end included.

    ``cpu_seconds`` are the kernel's own account of the process and all descendants
    that were waited for; ``read_mb`` and ``written_mb`` count what they read and
    wrote through system calls, from the page cache too, program files included, but
    not what is read through memory maps (None where the system does not tell).
    ``peak_memory_mb`` is as in :class:`dask_etl.hooks.monitor.Usage`.
    """

    outcome: str
    exit_code: int
    wall_seconds: float
    cpu_seconds: float
    cpu_use: float
    peak_memory_mb: float
    read_mb: float | None
    written_mb: float | None


def run(
    command: Sequence[str],
    folder: Path,
    log: Path,
    timeout: float,
    cap: int | None = None,
) -> Cost:
    """Run a command in a session of its own, and measure it.

    Args:
        command: program and arguments.
        folder: its working directory.
        log: file for what it says.
        timeout: seconds after which it is killed.
        cap: hard limit on its memory, in bytes.

    Raises:
        CapImpossible: memory cannot be limited here.
    """
    with memory_cap(cap) as limit, log.open("wb") as said:
        started = time.perf_counter()
        process = subprocess.Popen(
            [*limit.prefix, *command],
            cwd=folder,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        expired = threading.Event()
        alarm = threading.Timer(timeout, _expire, [process.pid, expired])
        alarm.start()
        monitor = ResourceMonitor(INTERVAL, process.pid)
        monitor.start()
        try:
            # Ended, but not yet forgotten: its counters can still be read.
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
            wall = time.perf_counter() - started
        finally:
            alarm.cancel()
            # Nobody else can have its number before wait4.
            _kill(process.pid)
            peak = monitor.stop().peak_memory_mb
            read, written = _bytes_moved(process.pid)
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        cpu = usage.ru_utime + usage.ru_stime
        return Cost(
            _outcome(process.returncode, expired.is_set(), limit.kills()),
            process.returncode,
            wall,
            cpu,
            cpu / (wall * usable_cores()),
            peak,
            read,
            written,
        )


def _environment() -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if k not in NOT_INHERITED}
    return {**kept, "DO_NOT_TRACK": "1"}


def _outcome(exit_code: int, expired: bool, kills: int) -> str:
    if exit_code == 0:
        return COMPLETED
    if expired:
        return TIMED_OUT
    return KILLED if kills or exit_code == -signal.SIGKILL else FAILED


def _expire(group: int, expired: threading.Event) -> None:
    expired.set()
    _kill(group)


def _kill(group: int) -> None:
    """End what is left of a session that was started here."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def _bytes_moved(pid: int) -> tuple[float | None, float | None]:
    """Megabytes read and written by a process and the children it waited for."""
    try:
        lines = Path(f"/proc/{pid}/io").read_text().splitlines()
    except OSError:
        return None, None
    counters = dict(line.split(": ") for line in lines)
    return int(counters["rchar"]) / 1e6, int(counters["wchar"]) / 1e6


def last_words(log: Path) -> str:
    """Return the end of what a command said."""
    lines = log.read_text(errors="replace").strip().splitlines()
    return "\n".join(lines[-LOG_LINES:])
