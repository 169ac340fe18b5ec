import logging
import os
from ipaddress import ip_address

import dask
import psutil
import pytest
from distributed import LocalCluster
from distributed.worker import get_client

from dask_etl.engine.cluster import (
    Cluster,
    DaskSettings,
    InsecureScheduler,
    LocalClusterSettings,
    check_address,
    sized,
)
from support.engine_runs import cluster


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


@pytest.mark.parametrize("source", ["settings", "environment"])
def test_attaches_to_a_scheduler_and_leaves_it_running(remote, monkeypatch, source):
    address = remote.scheduler_address
    if source == "environment":
        monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", address)
    settings = DaskSettings(scheduler=address if source == "settings" else None)
    attached = Cluster(settings)
    assert attached.client.scheduler_info()["address"] == address
    assert attached.client.submit(os.getpid).result() == os.getpid()
    attached.close()
    assert remote.status.name == "running"
    assert len(remote.scheduler.workers) == 1


@pytest.mark.parametrize(
    "address",
    [
        "tls://10.0.0.1:8786",
        "tcp://127.0.0.1:8786",
        "tcp://localhost:1",
        "tcp://[::1]:2",
    ],
)
def test_an_encrypted_or_local_scheduler_is_trusted(address):
    check_address(address, allow_insecure=False)


@pytest.mark.parametrize(
    "address", ["tcp://10.0.0.1:8786", "tcp://scheduler:8786", "ws://10.0.0.1:8786"]
)
def test_any_other_scheduler_must_be_allowed(address):
    with pytest.raises(InsecureScheduler, match=r"TLS.*tls://.*allow_insecure: true"):
        check_address(address, allow_insecure=False)
    check_address(address, allow_insecure=True)


def test_the_machine_is_used_in_full_and_shared_out():
    threads = sized(LocalClusterSettings())
    assert threads["n_workers"] == 1
    assert threads["threads_per_worker"] == dask.system.CPU_COUNT
    workers = sized(LocalClusterSettings(n_workers=4))
    assert workers["threads_per_worker"] >= 1
    assert workers["memory_limit"] * 4 <= threads["memory_limit"]
    processes = sized(LocalClusterSettings(processes=True))
    assert processes["n_workers"] == dask.system.CPU_COUNT


def test_what_was_started_is_said_in_one_line(caplog):
    caplog.set_level(logging.INFO, "dask_etl")
    with cluster(n_workers=2, threads_per_worker=3, memory_limit="1GiB"):
        pass
    [said] = [record.message for record in caplog.records if "Dask" in record.message]
    assert said == (
        "Dask: 2 in-process workers × 3 threads, 2.00 GiB memory, no dashboard"
    )


def test_the_dashboard_is_where_the_line_says(caplog):
    caplog.set_level(logging.INFO, "dask_etl")
    with cluster(n_workers=1, dashboard_address="127.0.0.1:0") as started:
        port = started.client.scheduler_info()["services"]["dashboard"]
        assert ("127.0.0.1", port) in listening()
    assert f"dashboard http://127.0.0.1:{port}/status" in caplog.text
