"""A hard limit on the memory of a whole process tree, where the machine allows one.

Linux control groups do it. The group is made inside the one that the benchmark runs
in, so a process never gets out of the bounds that it was put in.
"""

import contextlib
import shutil
import subprocess
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")


class CapImpossible(Exception):
    """This machine gives the benchmark no way to limit memory."""


@dataclass(frozen=True)
class Cap:
    """A limit in force.

    Attributes:
        prefix: what to put before a command, to run it under the limit.
        events: file that counts the processes killed for going past it, if any.
    """

    prefix: Sequence[str]
    events: Path | None = None

    def kills(self) -> int:
        """Return how many processes were killed for want of memory."""
        if self.events is None:
            return 0
        lines = (line.split() for line in self.events.read_text().splitlines())
        return next((int(line[1]) for line in lines if line[0] == "oom_kill"), 0)


@contextlib.contextmanager
def memory_cap(limit: int | None) -> Iterator[Cap]:
    """Have a limit (in bytes) for as long as the context lasts; None is no limit.

    Raises:
        CapImpossible: with what was tried.
    """
    if limit is None:
        yield Cap([])
        return
    problems = []
    for kind, make in {"cgroup v1": _version_1, "cgroup v2": _version_2}.items():
        try:
            group, events = make(limit)
        except OSError as error:
            problems.append(f"{kind}: {error}")
            continue
        try:
            yield Cap(_enter(group), events)
        finally:
            _remove(group)
        return
    prefix = _systemd(limit)
    if prefix is None:
        raise CapImpossible("; ".join([*problems, "systemd-run: not usable"]))
    yield Cap(prefix)


def _version_1(limit: int) -> tuple[Path, Path]:
    group = _new_group(_own_group("memory", CGROUPS / "memory"))
    try:
        (group / "memory.limit_in_bytes").write_text(str(limit))
        with_swap = group / "memory.memsw.limit_in_bytes"
        if with_swap.exists():
            with_swap.write_text(str(limit))
    except OSError:
        group.rmdir()
        raise
    return group, group / "memory.oom_control"


def _version_2(limit: int) -> tuple[Path, Path]:
    parent = _own_group("", CGROUPS)
    if "memory" not in (parent / "cgroup.subtree_control").read_text().split():
        # Refused where the group has processes of its own, but for the root.
        (parent / "cgroup.subtree_control").write_text("+memory")
    group = _new_group(parent)
    try:
        (group / "memory.max").write_text(str(limit))
        swap = group / "memory.swap.max"
        if swap.exists():
            swap.write_text("0")
    except OSError:
        group.rmdir()
        raise
    return group, group / "memory.events"


def _own_group(controller: str, mount: Path) -> Path:
    """Find the group that this process is in."""
    for line in MEMBERSHIP.read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            own = mount / path.lstrip("/")
            # In a container the mount may show this group as the root.
            return own if (own / "cgroup.procs").exists() else mount
    raise FileNotFoundError(f"no memory controller in {MEMBERSHIP}")


def _new_group(parent: Path) -> Path:
    group = parent / f"dask-etl-benchmark-{uuid.uuid4().hex[:8]}"
    group.mkdir()
    return group


def _enter(group: Path) -> list[str]:
    """A shell that joins the group, then becomes the command that follows."""
    join = 'echo $$ > "$0" && exec "$@"'
    return ["/bin/sh", "-c", join, str(group / "cgroup.procs")]


def _remove(group: Path) -> None:
    """Remove the group; its last processes may take a moment to be gone."""
    for _ in range(50):
        try:
            group.rmdir()
        except OSError:
            time.sleep(0.1)
        else:
            return


def _systemd(limit: int) -> list[str] | None:
    """systemd makes the group where it runs, for a user of its own too."""
    program = shutil.which("systemd-run")
    if program is None:
        return None
    for scope in (["--user"], []):
        prefix = [
            *(program, *scope, "--scope", "--quiet", "--collect"),
            *("-p", f"MemoryMax={limit}", "-p", "MemorySwapMax=0", "--"),
        ]
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            tried = subprocess.run(
                [*prefix, "true"], capture_output=True, timeout=10, check=False
            )
            if tried.returncode == 0:
                return prefix
    return None
