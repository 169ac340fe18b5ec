"""A PostgreSQL server of a test's own, where the machine has one."""

import contextlib
import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.ports import free_port


def _found(name: str) -> str | None:
    """Find a program of the server: on the path, or where Debian hides it."""
    there = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), reverse=True)
    return shutil.which(name) or next(map(str, there), None)


@contextlib.contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """Start a server in a folder, on a socket there; yield the URL of its database.

    The server refuses to run as root: then it runs as ``nobody``.
    """
    initdb, ctl = _found("initdb"), _found("pg_ctl")
    if initdb is None or ctl is None:
        missing = pytest.fail if os.environ.get("CI") else pytest.skip
        missing("PostgreSQL is not installed")
    user = pwd.getpwnam("nobody") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
    as_user = (
        {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        if os.geteuid() == 0
        else {}
    )
    os.chown(folder, user.pw_uid, user.pw_gid)
    data = folder / "data"

    def call(*command: str) -> None:
        done = subprocess.run(
            command, capture_output=True, text=True, cwd=folder, check=False, **as_user
        )
        assert done.returncode == 0, done.stdout + done.stderr

    call(
        initdb, "-D", str(data), "-U", "shop", "-A", "trust", "-E", "UTF8", "--no-sync"
    )
    port = free_port()
    options = f"-h 127.0.0.1 -p {port} -k {folder} -F"
    log = str(folder / "log")
    call(ctl, "-D", str(data), "-l", log, "-o", options, "-w", "start")
    try:
        yield f"postgresql+psycopg://shop@127.0.0.1:{port}/postgres"
    finally:
        call(ctl, "-D", str(data), "-m", "immediate", "-w", "stop")
