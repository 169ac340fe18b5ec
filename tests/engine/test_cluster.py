import gc
import json
import logging
import multiprocessing
import os
import re
import socket
import subprocess
import sys
import time
from ipaddress import ip_address
from pathlib import Path
from urllib.request import urlopen

import dask
import psutil
import pytest
from distributed import LocalCluster, Scheduler, Worker
from distributed.worker import get_client

import dask_etl.engine.dashboard
import dask_etl.engine.preflight
from dask_etl.engine.cluster import Cluster
from dask_etl.engine.cluster_settings import DaskSettings
from dask_etl.errors import ClusterError
from oracle.raw_files import dirty_transactions, write_raw
from support.engine_runs import cluster
from support.fault_injection import contents, run, tables_in, without_hanging
from support.ssh_server import ssh_server


@pytest.fixture
def remote():
    """A scheduler that somebody else started."""
    with LocalCluster(
        n_workers=1,
        threads_per_worker=1,
        processes=False,
        protocol="tcp",
        host="127.0.0.1",
        dashboard_address=None,
        scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
    ) as started:
        yield started


@pytest.mark.parametrize("processes", [False, True])
@pytest.mark.parametrize("dashboard", [None, "127.0.0.1:0"])
def test_nothing_listens_on_the_network(processes, dashboard):
    """Schedulers and workers serve HTTP even without a dashboard."""
    before = listening()
    with cluster(n_workers=1, processes=processes, dashboard_address=dashboard):
        opened = listening() - before
    assert opened
    assert [
        address for address in opened if not ip_address(address[0]).is_loopback
    ] == []


def listening() -> set:
    me = psutil.Process()
    return {
        connection.laddr
        for process in (me, *me.children(recursive=True))
        for connection in process.net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    }


def test_one_cluster_after_another_in_one_process():
    before = listening()
    for _ in range(2):
        with cluster(n_workers=1) as started:
            assert started.client.submit(sum, (1, 2)).result() == 3
            assert listening() > before
        assert started.client.status == "closed"
        assert listening() == before
    with pytest.raises(ValueError, match="No global client"):
        get_client()


def test_settings_are_merged_into_dasks_own():
    settings = {"distributed": {"scheduler": {"allowed-failures": 1}}}
    with dask.config.set(dask.config.config):
        with cluster(n_workers=1):
            kept = dask.config.get("distributed.comm.timeouts.connect")
        Cluster(DaskSettings(config=settings)).close()
        assert dask.config.get("distributed.scheduler.allowed-failures") == 1
        assert dask.config.get("distributed.comm.timeouts.connect") == kept


def test_a_persons_environment_beats_the_settings(monkeypatch):
    monkeypatch.setenv("DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES", "7")
    settings = {"distributed": {"scheduler": {"allowed-failures": 1}}}
    with dask.config.set(dask.config.config):
        Cluster(DaskSettings(config=settings)).close()
        assert dask.config.get("distributed.scheduler.allowed-failures") == 7


def test_attaches_to_a_scheduler_and_leaves_it_running(remote):
    address = remote.scheduler_address
    attached = Cluster(DaskSettings(scheduler=address))
    assert attached.client.scheduler_info()["address"] == address
    assert attached.client.submit(os.getpid).result() == os.getpid()
    attached.close()
    assert remote.status.name == "running"
    assert len(remote.scheduler.workers) == 1


@pytest.fixture
def silent():
    """The address of something that accepts connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"tcp://127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize(
    ("address", "said"),
    [
        (None, "has not answered within 300ms"),
        ("tcp://127.0.0.1:1", "cannot be reached"),
        ("tls://127.0.0.1:1", "certificates"),
        ("carrier-pigeon://127.0.0.1:1", "unknown address scheme"),
    ],
)
def test_a_scheduler_that_does_not_answer_is_not_waited_for(silent, address, said):
    settings = DaskSettings(scheduler=address or silent)
    with dask.config.set({"distributed.comm.timeouts.connect": "300ms"}):
        error = without_hanging(Cluster, settings)
    assert isinstance(error, ClusterError)
    assert said in str(error)
    assert "leave the address out" in str(error)


def test_a_scheduler_without_workers_is_told_and_not_waited_for_ever(
    remote, caplog, monkeypatch
):
    monkeypatch.setattr(dask_etl.engine.preflight, "PATIENCE", 0.2)
    remote.scale(0)
    remote.sync(remote._correct_state)
    settings = DaskSettings(scheduler=remote.scheduler_address, workers_timeout=0.5)
    error = without_hanging(Cluster, settings)
    assert isinstance(error, ClusterError)
    assert "has no workers, and none came within 0.5 s" in str(error)
    assert "has no workers yet" in caplog.text


CLASSES: dict[str, dict] = {
    "distributed.LocalCluster": {
        "kwargs": {
            "host": "127.0.0.1",
            "protocol": "tcp://",
            "n_workers": 0,
            "processes": False,
        },
        "scale": {"minimum": 1, "maximum": 2},
    },
    "distributed.SubprocessCluster": {
        "kwargs": {"n_workers": 0, "threads_per_worker": 1},
        "scale": {"workers": 1},
    },
    "dask_jobqueue.local.LocalCluster": {
        "kwargs": {
            "cores": 1,
            "memory": "1GiB",
            "walltime": "00:10:00",
            "interface": "lo",
            "scheduler_options": {"host": "127.0.0.1"},
        },
        "scale": {"workers": 1},
    },
}

RUN = """
import sys, yaml, dask
from pathlib import Path
from dask_etl.engine.cluster import Cluster
from dask_etl.engine.cluster_settings import DaskSettings
from support.fault_injection import run

raw, tables, settings = sys.argv[1:]
there = Cluster(DaskSettings.model_validate(yaml.safe_load(settings)))
assert "logging" not in dask.config.config
run(Path(raw), Path(tables))
there.close()
"""


@pytest.mark.parametrize("name", CLASSES)
def test_any_class_of_clusters(name, tmp_path):
    if name.startswith("dask_jobqueue"):
        pytest.importorskip("dask_jobqueue")
    assert_class_works({"class": name, **CLASSES[name]}, tmp_path)


def test_a_cluster_over_ssh(tmp_path):
    with ssh_server(tmp_path) as connect_options:
        kwargs = {
            "hosts": ["127.0.0.1"] * 2,
            "connect_options": connect_options,
            "scheduler_options": {"host": "127.0.0.1", "port": 0, "dashboard": False},
            "worker_options": {"nthreads": 1},
            "remote_python": sys.executable,
        }
        assert_class_works(
            {"class": "distributed.SSHCluster", "kwargs": kwargs}, tmp_path
        )


def assert_class_works(cluster, folder):
    """See that it makes the same tables; in a process of its own, as a run is."""
    settings = {
        "cluster": cluster,
        "workers_timeout": 60,
        "config": {"logging": {"distributed": "critical"}},
    }
    write_raw(folder / "raw", dirty_transactions(40, 1), 2)
    run(folder / "raw", folder / "here")
    # Nannies of earlier tests leave DASK_LOGGING__DISTRIBUTED here, and jobqueue's cluster
    # waits for a line that its workers say at level INFO.
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("DASK_")}
    done = subprocess.run(
        [sys.executable, "-c", RUN, "raw", str(folder / "there"), json.dumps(settings)],
        cwd=folder,
        env={**inherited, "PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert contents(tables_in(folder / "there")) == contents(tables_in(folder / "here"))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("dask_kubernetes.operator.KubeCluster", "no such class"),
        ("distributed.NoCluster", "no such class"),
        ("NoCluster", "no such class"),
        ("distributed.LocalCluster", "did not start: .*sausages"),
    ],
)
def test_a_class_that_does_not_start_a_cluster_is_told(given, said):
    settings = DaskSettings(cluster={"class": given, "kwargs": {"sausages": 1}})
    with dask.config.set(dask.config.config), pytest.raises(ClusterError, match=said):
        Cluster(settings)


def test_a_cluster_whose_scheduler_does_not_answer_is_not_waited_for():
    settings = DaskSettings(
        cluster={
            "class": "support.remote_cluster.SilentCluster",
            "kwargs": {"n_workers": 0, "processes": False},
        },
        config={"distributed": {"comm": {"timeouts": {"connect": "0.5s"}}}},
    )
    begun = time.monotonic()
    with dask.config.set(dask.config.config), pytest.raises(ClusterError) as error:
        Cluster(settings)
    assert time.monotonic() - begun < 20
    assert "SilentCluster: its scheduler at" in str(error.value)
    assert "has not answered within 0.5s" in str(error.value)


def test_a_gateway_needs_its_package():
    with pytest.raises(ClusterError, match="pip install dask-gateway"):
        Cluster(DaskSettings(scheduler="gateway://gateway.example.org:80/cluster"))


@pytest.mark.parametrize("fault", ["die", "hang"])
def test_a_worker_that_does_not_start_ends_the_wait(monkeypatch, fault):
    preload = {"die": "import os; os._exit(1)", "hang": "import time; time.sleep(600)"}
    if fault == "hang":
        monkeypatch.setattr(dask_etl.engine.cluster, "START_TIMEOUT", 0.5)
    settings = DaskSettings(
        local_cluster={"processes": True, "n_workers": 1},
        config={"distributed": {"worker": {"preload": [preload[fault]]}}},
    )
    before = multiprocessing.active_children()
    with dask.config.set(dask.config.config):
        error = without_hanging(Cluster, settings)
        dask.config.set({"distributed.worker.preload": []})
    assert set(multiprocessing.active_children()) <= set(before)
    assert isinstance(error, ClusterError)
    assert "the local Dask cluster did not start" in str(error)


def test_a_folder_that_workers_cannot_spill_to_is_told(tmp_path):
    (tmp_path / "file").touch()
    settings = {"n_workers": 1, "local_directory": str(tmp_path / "file")}
    with pytest.raises(ClusterError, match=r"did not start.*file.*local_directory"):
        Cluster(DaskSettings(local_cluster=settings))


def fails():
    raise ZeroDivisionError("a task's own error")


@pytest.mark.parametrize("processes", [False, True])
def test_a_failed_task_is_told_once(processes, capfd, caplog):
    with cluster(n_workers=1, processes=processes) as started:
        future = started.client.submit(fails)
        with pytest.raises(ZeroDivisionError, match="a task's own error"):
            future.result()
    assert "Compute Failed" not in caplog.text + capfd.readouterr().err


def test_what_was_started_is_said_in_one_line(caplog):
    caplog.set_level(logging.INFO, "dask_etl")
    with cluster(n_workers=2, threads_per_worker=3, memory_limit="1GiB"):
        pass
    [said] = [r.message for r in caplog.records if r.name == "dask_etl.engine.cluster"]
    assert said == (
        "Dask: 2 in-process workers × 3 threads, 2.00 GiB memory, no dashboard"
    )


@pytest.mark.parametrize(
    ("address", "insecure", "host"),
    [
        ("127.0.0.1:0", False, "127.0.0.1"),
        (":0", False, "127.0.0.1"),
        (0, False, "127.0.0.1"),
        ("0.0.0.0:0", True, "0.0.0.0"),
    ],
)
def test_the_dashboard_is_where_the_line_says(caplog, address, insecure, host):
    caplog.set_level(logging.INFO, "dask_etl")
    before = listening()
    settings = {"n_workers": 1, "dashboard_address": address}
    started = Cluster(DaskSettings(local_cluster=settings, allow_insecure=insecure))
    opened = listening() - before
    started.close()
    [said] = re.findall(r"dashboard http://(.*):(\d+)/status$", caplog.text, re.M)
    assert said[0] == host
    assert (host, int(said[1])) in opened


def test_the_line_names_another_port_where_the_one_asked_for_is_taken(caplog):
    caplog.set_level(logging.INFO, "dask_etl")
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = server.getsockname()[1]
        with cluster(n_workers=1, dashboard_address=f":{taken}"):
            [port] = re.findall(r"dashboard http://127.0.0.1:(\d+)/", caplog.text)
            assert int(port) != taken
            assert ("127.0.0.1", int(port)) in listening()


DASHBOARD = """
import sys, time, urllib.request
from dask_etl.engine.cluster import Cluster
from dask_etl.engine.cluster_settings import DaskSettings

def page(path):
    with urllib.request.urlopen(f"http://{web.address}:{web.port}{path}") as answer:
        return answer.geturl(), answer.read().decode()

started = Cluster(DaskSettings(local_cluster={"dashboard_address": ":0"}))
web = started._started.scheduler.http_server
assert page("/health")[1] == "ok"
assert "bokeh" not in sys.modules, "loaded before anyone asked"
address, text = page("/")
assert 'http-equiv="refresh"' in text and "being loaded" in text, text
while "being loaded" in text:
    time.sleep(0.1)
    _, text = page("/status")
assert "<title>Dask Diagnostic UI</title>" in text, text
address, text = page("/")
assert address.endswith("/status") and "<title>Dask Diagnostic UI</title>" in text, (address, text)
assert started.client.submit(sum, (1, 2)).result() == 3
started.close()
"""


def test_the_dashboard_is_loaded_when_somebody_looks_at_it():
    """In a process of its own, where nothing was imported yet."""
    subprocess.run([sys.executable, "-c", DASHBOARD], check=True, timeout=120)


@pytest.mark.parametrize("fault", ["no module", "no connection"])
def test_a_dashboard_that_cannot_be_loaded_says_so(monkeypatch, fault):
    def broken(*_):
        raise ImportError("there is no Bokeh")

    monkeypatch.setattr(
        dask_etl.engine.dashboard,
        "_connect",
        broken if fault == "no module" else lambda: broken,
    )
    with cluster(n_workers=1, dashboard_address=":0") as started:
        web = started._started.scheduler.http_server
        text = "being loaded"
        while "being loaded" in text:
            with urlopen(f"http://{web.address}:{web.port}/status") as answer:
                text = answer.read().decode()
        assert "cannot be shown: there is no Bokeh" in text
        assert started.client.submit(sum, (1, 2)).result() == 3


def servers() -> int:
    """Schedulers and workers that somebody still holds."""
    gc.collect()
    kinds = (Scheduler, Worker)
    return sum(issubclass(type(thing), kinds) for thing in gc.get_objects())


def test_clusters_that_are_closed_are_forgotten():
    """A process of many runs does not keep the schedulers of all of them."""
    before = servers()
    for _ in range(3):
        with cluster(n_workers=1) as started:
            assert started.client.submit(len, "work").result() == 4
            assert servers() == before + 2
        del started
    assert servers() == before
