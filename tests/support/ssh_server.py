"""An SSH server of the test's own on this machine, for who has the key."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from support.ports import free_port, wait_for

_PROGRAM = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/usr/bin")


@contextmanager
def ssh_server(folder: Path) -> Iterator[dict[str, Any]]:
    """Serve SSH on loopback; gives what asyncssh needs to connect."""
    asyncssh = pytest.importorskip("asyncssh")
    if _PROGRAM is None:
        pytest.skip("there is no sshd here (package openssh-server)")
    for name in ("host", "person"):
        key = asyncssh.generate_private_key("ssh-ed25519")
        key.write_private_key(str(folder / name))
        key.write_public_key(str(folder / f"{name}.pub"))
        (folder / name).chmod(0o600)
    port = free_port()
    settings = {
        "Port": port,
        "ListenAddress": "127.0.0.1",
        "HostKey": folder / "host",
        "AuthorizedKeysFile": folder / "person.pub",
        "PasswordAuthentication": "no",
        "StrictModes": "no",
        "UsePAM": "no",
        "PidFile": "none",
    }
    lines = [f"{name} {value}\n" for name, value in settings.items()]
    (folder / "sshd_config").write_text("".join(lines))
    if os.geteuid() == 0:
        # Debian's wants this folder when root starts it.
        Path("/run/sshd").mkdir(exist_ok=True)
    server = subprocess.Popen(
        [_PROGRAM, "-D", "-f", folder / "sshd_config", "-E", folder / "log"]
    )
    try:
        wait_for(port, server)
        keys = [str(folder / "person")]
        yield {"port": port, "known_hosts": None, "client_keys": keys}
    finally:
        server.terminate()
        server.wait()
