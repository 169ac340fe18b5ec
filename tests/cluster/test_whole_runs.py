"""Whole runs on a cluster of another environment, with faults: ``make test-cluster``."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pytest
import s3fs

from dask_etl.datasets import PandasParquetDataset
from dask_etl.retail.tables import STATE
from oracle.raw_files import AS_OF, dirty_transactions, write_raw
from support.fault_injection import contents
from support.kedro_project import Project, make_project, write_yaml
from support.remote_cluster import RemoteCluster, remote_cluster
from support.s3_server import s3_server

pytestmark = pytest.mark.cluster

NAMES = tuple(table.name for table in STATE)
FILES = 24
ROWS = 50

SLOW = """
import time
from dask_etl.pipelines.etl_dask import kernels

def dask_setup(worker):
    # The source is the same, and the digest of it: only this process takes its time.
    screen = kernels.screen_partition
    def slow(*arguments, **options):
        time.sleep(0.15)
        return screen(*arguments, **options)
    kernels.screen_partition = slow
"""
"""What workers load to be so slow that a fault meets them in the middle."""


@dataclass(frozen=True)
class Place:
    """Where raw files and tables are, for a project of one environment.

    Attributes:
        project: the project, with its environment.
        root: the address that both are below.
        credentials: of the bucket, if it is one.
    """

    project: Project
    root: str
    credentials: dict[str, str]

    @property
    def filesystem(self):
        import fsspec

        protocol = "s3" if self.credentials else "file"
        return fsspec.filesystem(protocol, **self.credentials)

    def deliver(self, raw: Path) -> None:
        """Have raw files be the ones that there are, or more of them."""
        self.filesystem.put(f"{raw}/", f"{self.root}/raw/", recursive=True)

    def tables(self) -> dict[str, PandasParquetDataset]:
        # Data sets of each time's own: nothing is remembered.
        address = f"s3://{self.root}" if self.credentials else self.root
        return {
            name: PandasParquetDataset(
                filepath=f"{address}/data/03_primary/dask/{name}",
                release=f"{address}/data",
                schema=name,
                credentials=self.credentials,
            )
            for name in NAMES
        }

    def contents(self) -> dict:
        """What readers get, and the files of a table that no reader is told of."""
        self.filesystem.invalidate_cache()
        tables = self.tables()
        # When a run began, it notes itself.
        return contents({n: t for n, t in tables.items() if n != "processed_files"})

    def leftovers(self) -> list[str]:
        """Files of the tables' folders that no version of them needs, and locks held."""
        self.filesystem.invalidate_cache()
        needed = set()
        for name, table in self.tables().items():
            for version in table.versions():
                parts = table.store.content(version).parts
                needed |= {f"{name}/{part.name}" for part in parts}
        found = self.filesystem.find(f"{self.root}/data/03_primary/dask")
        names = {path.partition("/03_primary/dask/")[2] for path in found}
        # The mark of a table of ours is empty, and held by nobody where there are locks.
        return sorted(
            name
            for name in names - needed
            if "/_delta_log/" not in name and not name.endswith("/_writer.lock")
        )

    def finished(self, stage: int = 3) -> int:
        """Partitions of a stage that are done, of a run that goes on."""
        self.filesystem.invalidate_cache()
        home = f"{self.root}/data/03_primary/dask/clean_transactions/_scratch"
        names = self.filesystem.find(home) if self.filesystem.exists(home) else []
        pattern = re.compile(rf"/stage-{stage}-\d{{5}}\.arrow$")
        return sum(bool(pattern.search(name)) for name in names)

    def start(self, **params: str) -> subprocess.Popen:
        """``kedro run`` of the Dask engine, in a process of its own."""
        given = {"clock.as_of": f"{AS_OF:%Y-%m-%d}", **params}
        return subprocess.Popen(
            [
                *(sys.executable, "-m", "kedro", "run", "--env", self.project.env),
                *("--pipelines", "etl_dask"),
                *("--params", ",".join(f"{k}={v}" for k, v in given.items())),
            ],
            cwd=self.project.path,
            env={**os.environ, "PYTHONPATH": ""},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, **params: str) -> str:
        """Run it to its end; returns what it says."""
        return end(self.start(**params))


def end(running: subprocess.Popen, code: int = 0, seconds: float = 120) -> str:
    said = running.communicate(timeout=seconds)[0]
    assert running.returncode == code, said
    return said


def wait_for(
    condition: Callable[[], bool], running: subprocess.Popen, seconds: float = 60
) -> None:
    give_up = time.monotonic() + seconds
    while not condition():
        assert running.poll() is None, running.communicate()[0]
        assert time.monotonic() < give_up, "what was waited for has not come"
        time.sleep(0.02)


@pytest.fixture
def new_place(tmp_path):
    """Makes environments of a project: with tables in a folder, or in a bucket."""
    project = make_project(tmp_path / "project")

    def make(name: str, credentials: dict[str, str] | None = None) -> Place:
        root = f"bucket/{name}" if credentials else str(tmp_path / name)
        address = f"s3://{root}" if credentials else root
        env = project.path / "conf" / name
        write_yaml(env / "globals.yml", {"data_root": f"{address}/data"})
        write_yaml(
            env / "dask.yml",
            {"local_cluster": {"dashboard_address": None}, "workers_timeout": 20},
        )
        write_yaml(env / "credentials.yml", {"storage": credentials or {}})
        raw = {
            "type": "dask_etl.datasets.DaskParquetDataset",
            "filepath": f"{address}/raw",
            "schema": "raw_transactions",
            "credentials": "storage",
            "rows_per_partition": ROWS,
        }
        write_yaml(env / "catalog.yml", {"raw_transactions@dask": raw})
        cleaning = {
            "allow_nothing_kept": True,
            "thresholds": {"any": {"fail_above": 1}},
        }
        write_yaml(env / "parameters_etl.yml", {"cleaning": cleaning})
        return Place(replace(project, env=name), root, credentials or {})

    return make


@pytest.fixture
def raw(tmp_path) -> Path:
    folder = tmp_path / "delivered"
    write_raw(folder, dirty_transactions(FILES * ROWS, 1), FILES)
    return folder


@pytest.fixture
def more(tmp_path) -> Path:
    """Files of another day, some of whose rows were delivered before."""
    folder = tmp_path / "more"
    first = dirty_transactions(FILES * ROWS, 1)
    write_raw(folder, pa.concat_tables([first.slice(0, 70), first.slice(900, 50)]), 2)
    for path in sorted(folder.iterdir()):
        path.rename(path.with_name(f"z-{path.name}"))
    return folder


def slowly(cluster: RemoteCluster, *names: str) -> None:
    """Start workers that take their time."""
    module = cluster.folder / "slow.py"
    module.write_text(SLOW)
    for name in names:
        preload = f'["{module}"]'
        cluster.start_worker(name, DASK_DISTRIBUTED__WORKER__PRELOAD=preload)


@pytest.fixture
def credentials():
    with s3_server() as options:
        yield options


@pytest.mark.parametrize("storage", ["folder", "bucket"])
def test_a_whole_run_and_an_increment_are_those_of_one_machine(
    storage, new_place, raw, more, tmp_path, credentials
):
    here = new_place("here")
    there = new_place("there", credentials if storage == "bucket" else None)
    with remote_cluster(tmp_path / "cluster") as cluster:
        for delivery in (raw, more):
            for place in (here, there):
                place.deliver(delivery)
            here.run()
            said = there.run(**{"dask.scheduler": cluster.address})
            assert cluster.address in said
            assert there.contents() == here.contents()
            assert there.leftovers() == []
        assert f"2 of {FILES + 2} source files are new" in said


@pytest.mark.parametrize("storage", ["folder", "bucket"])
def test_a_worker_is_killed_half_way_and_another_joins(
    storage, new_place, raw, tmp_path, credentials
):
    here = new_place("here")
    there = new_place("there", credentials if storage == "bucket" else None)
    for place in (here, there):
        place.deliver(raw)
    here.run()
    with remote_cluster(tmp_path / "cluster", workers=0) as cluster:
        slowly(cluster, "first", "second")
        cluster.wait_for(2)
        running = there.start(**{"dask.scheduler": cluster.address})
        try:
            wait_for(lambda: there.finished() >= FILES // 4, running)
            cluster.kill("first")
            done = there.finished()
            assert FILES // 4 <= done < FILES - 2
            slowly(cluster, "late")
            cluster.wait_for(2)
            # The other one goes, too: the late one alone can have done what is left.
            wait_for(lambda: there.finished() > done, running)
            assert there.finished() < FILES
            cluster.kill("second")
            end(running)
        finally:
            running.kill()
    assert there.contents() == here.contents()
    assert there.leftovers() == []


def test_all_workers_are_killed_half_way_and_the_next_run_goes_on(
    new_place, raw, tmp_path
):
    here, there = new_place("here"), new_place("there")
    for place in (here, there):
        place.deliver(raw)
    here.run()
    with remote_cluster(tmp_path / "cluster", workers=0) as cluster:
        slowly(cluster, "first")
        cluster.wait_for(1)
        params = {"dask.scheduler": cluster.address}
        running = there.start(**params, **{"dask.workers_timeout": "2"})
        try:
            wait_for(lambda: there.finished() >= FILES // 4, running)
            cluster.kill("first")
            begun = time.monotonic()
            said = end(running, code=1, seconds=40)
            assert time.monotonic() - begun < 30
        finally:
            running.kill()
        assert "no workers for 2 s" in " ".join(said.split())
        assert "Traceback" not in said
        assert not any(table.exists() for table in there.tables().values())
        cluster.start_worker("next")
        cluster.wait_for(1)
        said = there.run(**params)
        assert "Resuming an interrupted run" in said
    assert there.contents() == here.contents()
    assert there.leftovers() == []


def test_sigterm_on_object_storage_leaves_no_lock_and_the_next_run_goes_on(
    new_place, raw, tmp_path, credentials
):
    here, there = new_place("here"), new_place("there", credentials)
    for place in (here, there):
        place.deliver(raw)
    here.run()
    with remote_cluster(tmp_path / "cluster", workers=0) as cluster:
        slowly(cluster, "first", "second")
        cluster.wait_for(2)
        params = {"dask.scheduler": cluster.address}
        running = there.start(**params)
        try:
            wait_for(lambda: there.finished() >= FILES // 4, running)
            assert there.finished() < FILES
            running.send_signal(signal.SIGTERM)
            begun = time.monotonic()
            said = end(running, code=143, seconds=40)
            assert time.monotonic() - begun < 20
        finally:
            running.kill()
        assert "Traceback" not in said
        assert not any(table.exists() for table in there.tables().values())
        # The cluster is as it was: it belongs to others, too.
        said = there.run(**params)
        assert "Resuming an interrupted run" in said
    assert there.contents() == here.contents()
    assert there.leftovers() == []


def test_scratch_files_elsewhere_leave_no_trace(new_place, raw, tmp_path, credentials):
    """Tables are in a bucket, and what partitions tell each other is on a shared disk."""
    here, there = new_place("here"), new_place("there", credentials)
    for place in (here, there):
        place.deliver(raw)
    here.run()
    shared = tmp_path / "shared"
    with remote_cluster(tmp_path / "cluster", workers=0) as cluster:
        slowly(cluster, "first", "second")
        cluster.wait_for(2)
        params = {
            "dask.scheduler": cluster.address,
            "dask.scratch_root": str(shared),
        }
        running = there.start(**params)
        try:
            wait_for(lambda: [*shared.glob("*/*/stage-3-?????.arrow")], running)
            filesystem = s3fs.S3FileSystem(**credentials)
            filesystem.invalidate_cache()
            assert not [p for p in filesystem.find("bucket") if "_scratch" in p]
            end(running)
        finally:
            running.kill()
    assert there.contents() == here.contents()
    assert there.leftovers() == []
    assert [path for path in shared.rglob("*") if path.is_file()] == []
