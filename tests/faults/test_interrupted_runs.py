"""Ctrl-C, and SIGTERM, on a real ``kedro run``."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from support.engine_runs import TABLES
from support.kedro_project import Project

CODE = "import sys; from support.fault_injection import slow_kedro; slow_kedro(*sys.argv[1:])"


def start_slow_run(project, *params):
    """``kedro run`` of the Dask engine in a group of processes, as a shell starts it."""
    arguments = ["run", "--env", project.env, "--pipelines", "etl_dask"]
    return subprocess.Popen(
        [sys.executable, "-c", CODE, *arguments, "--params", ",".join(params)],
        cwd=project.path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def wait_for(condition, running):
    give_up = time.monotonic() + 60
    while not condition():
        assert running.poll() is None, running.communicate()[0]
        assert time.monotonic() < give_up
        time.sleep(0.02)


@pytest.fixture(scope="module")
def prepared(shared_project):
    """A project after a run, to be copied."""
    shared_project.run("data_generation")
    shared_project.run("etl_dask", params={"clock": {"as_of": "2024-06-01"}})
    return shared_project


@pytest.fixture
def project(prepared, tmp_path, monkeypatch):
    copy = Project(shutil.copytree(prepared.path, tmp_path / "project"))
    monkeypatch.chdir(copy.path)
    return copy


@pytest.mark.parametrize(
    ("processes", "number"),
    [(False, signal.SIGINT), (True, signal.SIGINT), (True, signal.SIGTERM)],
    ids=["threads", "processes", "terminated"],
)
def test_ctrl_c_or_sigterm_ends_a_run_and_what_it_started(project, processes, number):
    before = {name: project.table(f"dask.{name}") for name in TABLES}

    running = start_slow_run(
        project, f"dask.processes={processes}", "dask.n_workers=1", "resume=true"
    )
    family = []
    try:
        scratch = project.folder("dask.clean_transactions") / "_scratch"
        wait_for(lambda: list(scratch.glob("*/stage-3-?????.arrow")), running)
        family = psutil.Process(running.pid).children(recursive=True)
        assert bool(family) == processes

        begun = time.monotonic()
        if number == signal.SIGTERM:
            # As Kubernetes and SLURM do, to the first process alone.
            running.send_signal(number)
        else:
            os.killpg(running.pid, number)
        said = running.communicate(timeout=30)[0]
        assert time.monotonic() - begun < 20
        if number == signal.SIGTERM:
            assert running.returncode == 143, said
            assert "Traceback" not in said
        assert running.returncode != 0, said
        _, left = psutil.wait_procs(family, timeout=20)
        assert not left
    finally:
        running.kill()
        for process in family:
            if process.is_running():
                process.kill()
    assert {name: project.table(f"dask.{name}") for name in TABLES} == before

    # The next run goes on, and commits.
    project.run("etl_dask")
    assert project.table("dask.row_ledger") != before["row_ledger"]
    assert not scratch.exists()
