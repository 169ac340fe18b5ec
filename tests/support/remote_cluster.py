"""A scheduler and workers of another environment, in another folder."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
import venv
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from distributed import Client, LocalCluster

from support.kedro_project import ROOT

SETTINGS = {
    "DASK_DISTRIBUTED__ADMIN__TICK__LIMIT": "30s",
    "DASK_LOGGING__DISTRIBUTED": "critical",
}


@dataclass
class RemoteCluster:
    """Processes that know nothing of this one but what it sends them."""

    folder: Path
    address: str = ""
    processes: dict[str, subprocess.Popen] = field(default_factory=dict)

    @property
    def python(self) -> Path:
        return self.folder / "env" / "bin" / "python"

    @property
    def packages(self) -> Path:
        """Where its own packages are."""
        [found] = (self.folder / "env" / "lib").glob("python*/site-packages")
        return found

    def start(self, name: str, *arguments: str, **env: str) -> None:
        self.processes[name] = subprocess.Popen(
            [
                str(self.python),
                *("-m", f"distributed.cli.dask_{arguments[0]}"),
                *arguments[1:],
            ],
            cwd=self.folder,
            env={
                "PATH": os.environ["PATH"],
                "TMPDIR": tempfile.gettempdir(),
                **SETTINGS,
                **env,
            },
            stdout=(self.folder / f"{name}.log").open("w"),
            stderr=subprocess.STDOUT,
        )

    def start_scheduler(self) -> None:
        file = self.folder / "scheduler.json"
        self.start(
            "scheduler",
            *("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard"),
            *("--dashboard-address", "127.0.0.1:0", "--scheduler-file", str(file)),
        )
        give_up = time.monotonic() + 60
        while not self.address:
            assert time.monotonic() < give_up, self.log("scheduler")
            time.sleep(0.05)
            with contextlib.suppress(OSError, ValueError):
                self.address = json.loads(file.read_text())["address"]

    def start_worker(self, name: str, **env: str) -> None:
        self.start(
            name,
            *("worker", self.address, "--no-nanny", "--nthreads", "1"),
            *("--host", "127.0.0.1", "--name", name, "--no-dashboard"),
            *("--dashboard-address", "127.0.0.1:0"),
            **env,
        )

    def wait_for(self, workers: int) -> None:
        with Client(self.address, set_as_default=False) as client:
            client.wait_for_workers(workers, timeout=60)

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()

    def kill(self, name: str) -> None:
        process = self.processes.pop(name)
        process.kill()
        process.wait()


class SilentCluster(LocalCluster):
    """A cluster that starts, and whose scheduler cannot be reached from here."""

    def get_client(self):
        time.sleep(600)


def copy_package(folder: Path, stale: bool = False) -> Path:
    """Install a copy of the package; a stale one has another rule."""
    made = folder / "dask_etl"
    shutil.copytree(
        ROOT / "src" / "dask_etl", made, ignore=shutil.ignore_patterns("__pycache__")
    )
    if stale:
        rules = made / "retail" / "rules.py"
        rules.write_text(rules.read_text() + "\n# as it was last year\n")
    return made


@contextlib.contextmanager
def remote_cluster(
    folder: Path, package: str | None = "same", workers: int = 2
) -> Iterator[RemoteCluster]:
    """Run a cluster of another environment.

    Args:
        folder: of its own.
        package: ``same``, ``stale`` or None for none.
        workers: that are there at the beginning.
    """
    folder.mkdir(parents=True)
    cluster = RemoteCluster(folder)
    venv.create(folder / "env", with_pip=False, symlinks=True)
    # Its dependencies are those of this environment, the package is not.
    dependencies = {sysconfig.get_path("purelib"), *_sites()}
    (cluster.packages / "dependencies.pth").write_text("\n".join(dependencies))
    if package:
        copy_package(cluster.packages, stale=package == "stale")
    try:
        cluster.start_scheduler()
        for number in range(workers):
            cluster.start_worker(f"worker-{number}")
        if workers:
            cluster.wait_for(workers)
        yield cluster
    finally:
        for process in cluster.processes.values():
            process.kill()
        for process in cluster.processes.values():
            process.wait()


def _sites() -> list[str]:
    return [path for path in sys.path if path.endswith("site-packages")]
