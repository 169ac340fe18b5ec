"""Fixtures that all tests share."""

import atexit
import contextlib
import gc
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock
from hypothesis import settings

from support.kedro_project import Project, make_project

# The same examples on every machine, and no deadline on slow ones; or, for `make fuzz`,
# as many others as it takes to find what nobody thought of.
settings.register_profile("reproducible", derandomize=True, deadline=None)
settings.register_profile("fuzz", max_examples=10_000, deadline=None, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "reproducible"))


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores: many tests wait for processes that they start."""
    from dask_etl.hooks.monitor import usable_cores

    return usable_cores() + 1


def pytest_collection_finish():
    """Some twentieth of the time went into searching what was imported for garbage."""
    gc.collect()
    gc.freeze()


def pytest_unconfigure():
    """At the end all is searched, or DuckDB complains that things were left."""
    atexit.unregister(gc.freeze)
    gc.unfreeze()


@pytest.fixture(autouse=True, scope="session")
def no_cluster_of_ones_own():
    """Tests start their own clusters, whatever the person's environment says."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("DASK_SCHEDULER_ADDRESS", raising=False)
        yield


@pytest.fixture(autouse=True, scope="session")
def nothing_is_left_behind(tmp_path_factory):
    """What processes leave in the system's temporary folder goes with ``tmp_path``."""
    base = tmp_path_factory.getbasetemp()
    # Short: the path of a socket may have some hundred letters.
    folder = base / "t"
    folder.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(folder))
        patch.setattr(tempfile, "tempdir", str(folder))
        yield
    # A table in tmp_path itself has it there, where the tables of all tests look for one.
    assert not (base / "release.json").exists(), (
        "make the table in a folder of tmp_path"
    )


@contextlib.contextmanager
def temporary_project(folder: Path) -> Iterator[Project]:
    """A copy of the project without data, and this process as it was afterwards."""
    with pytest.MonkeyPatch.context() as patch:
        # Kedro puts the source folder of a project on the path for good.
        patch.setattr(sys, "path", [*sys.path])
        patch.setenv("PYTHONPATH", os.environ.get("PYTHONPATH", ""))
        made = make_project(folder / "project")
        patch.chdir(made.path)
        yield made


@pytest.fixture(scope="session")
def whole_run(tmp_path_factory) -> tuple[Project, subprocess.CompletedProcess[str]]:
    """``kedro run --env test`` from nothing: the project, to look at or to copy.

    All processes of a test run share it.
    """
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    said = base / "whole.json"
    with FileLock(base / "whole.lock"):
        if not said.exists():
            made = make_project(base / "whole")
            done = made.kedro("run", "--env", "test", afresh=True)
            said.write_text(json.dumps([done.returncode, done.stdout, done.stderr]))
    done = subprocess.CompletedProcess(
        "kedro run --env test", *json.loads(said.read_text())
    )
    return Project(base / "whole"), done


@pytest.fixture
def project(tmp_path) -> Iterator[Project]:
    """A project of the test's own, in which pipelines can be run."""
    with temporary_project(tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def shared_project(tmp_path_factory) -> Iterator[Project]:
    """A project that the tests of a module share."""
    with temporary_project(tmp_path_factory.mktemp("shared")) as made:
        yield made


@pytest.fixture(scope="module")
def forked_workers() -> Iterator[None]:
    """Worker processes are forked from one that has all modules: many are started."""
    import dask
    from distributed import utils

    from support.fault_injection import start_server

    start_server()
    with pytest.MonkeyPatch.context() as patch:
        # What Dask would have that process import: it runs already.
        patch.setattr(utils, "_forkserver_preload_set", True)
        with dask.config.set(
            {"distributed.worker.multiprocessing-method": "forkserver"}
        ):
            yield
