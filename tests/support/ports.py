"""Ports of this machine: one that is free, and one where a server answers."""

import contextlib
import socket
import subprocess
import time


def free_port() -> int:
    """Find a port that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


def wait_for(port: int, server: subprocess.Popen) -> None:
    """Wait until a server answers, ten seconds at most."""
    for _ in range(200):
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", port)),
        ):
            return
        assert server.poll() is None, f"{server.args} has ended"
        time.sleep(0.05)
    raise AssertionError(f"{server.args} does not answer")
