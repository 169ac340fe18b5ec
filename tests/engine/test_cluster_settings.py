"""What may stand in ``dask.yml``: bounds, and what null means on this machine."""

import dask
import pytest
from pydantic import ValidationError

from dask_etl.engine.cluster_settings import (
    SMALLEST_WORKER,
    InsecureAddress,
    LocalClusterSettings,
    check_address,
    dashboard,
    sized,
)
from dask_etl.errors import ClusterError


def test_the_machine_is_used_in_full_and_shared_out():
    threads = sized(LocalClusterSettings())
    assert threads["n_workers"] == 1
    assert threads["threads_per_worker"] == dask.system.CPU_COUNT
    workers = sized(LocalClusterSettings(n_workers=4))
    assert workers["threads_per_worker"] >= 1
    assert workers["memory_limit"] * 4 <= threads["memory_limit"]
    processes = sized(LocalClusterSettings(processes=True))
    assert processes["n_workers"] == dask.system.CPU_COUNT


@pytest.mark.parametrize("key", ["n_workers", "threads_per_worker"])
@pytest.mark.parametrize("value", [0, -1, "many", 1.5, True])
def test_counts_are_whole_and_positive(key, value):
    with pytest.raises(ValidationError, match=key):
        LocalClusterSettings(**{key: value})


@pytest.mark.parametrize("key", ["n_workers", "threads_per_worker"])
def test_counts_have_use_for_the_machine(key):
    with pytest.raises(ClusterError, match=rf"{key} 1,000,000: .* at most"):
        sized(LocalClusterSettings(**{key: 1_000_000}))


@pytest.mark.parametrize(
    ("given", "limit"),
    [
        ("4GiB", 4 << 30),
        ("300 MB", 300_000_000),
        (1 << 30, 1 << 30),
        (SMALLEST_WORKER, SMALLEST_WORKER),
    ],
)
def test_memory_is_in_bytes(given, limit):
    assert sized(LocalClusterSettings(memory_limit=given))["memory_limit"] == limit


@pytest.mark.parametrize("given", ["1MB", -1, "-1GiB", 0, "0", SMALLEST_WORKER - 1])
@pytest.mark.parametrize("processes", [False, True])
def test_a_worker_has_the_memory_to_start(given, processes):
    settings = LocalClusterSettings(memory_limit=given, processes=processes)
    with pytest.raises(ClusterError, match=rf"memory_limit {given}: .* at least"):
        sized(settings)


def test_memory_shared_out_is_enough_to_start(monkeypatch):
    monkeypatch.setattr("distributed.system.MEMORY_LIMIT", 1 << 30)
    assert sized(LocalClusterSettings(n_workers=4))["memory_limit"] == 256 << 20
    with pytest.raises(ClusterError, match=r"1\.00 GiB shared: .*n_workers is 5"):
        sized(LocalClusterSettings(n_workers=5))


@pytest.mark.parametrize("given", ["lots", "1e999", "nan", "GB?"])
def test_memory_that_is_no_number_of_bytes_is_refused(given):
    with pytest.raises(ClusterError, match=r"memory_limit .*such as 4GiB"):
        sized(LocalClusterSettings(memory_limit=given))


@pytest.mark.parametrize(
    ("given", "served"),
    [
        (None, None),
        ("127.0.0.1:8787", "127.0.0.1:8787"),
        (":8799", "127.0.0.1:8799"),
        ("8799", "127.0.0.1:8799"),
        (8799, "127.0.0.1:8799"),
        ("localhost:0", "127.0.0.1:0"),
        ("127.0.0.7:65535", "127.0.0.7:65535"),
    ],
)
def test_a_dashboard_is_served_on_this_machine_alone(given, served):
    assert dashboard(given) == served


@pytest.mark.parametrize(
    "given", ["0.0.0.0:8799", "192.0.2.7:80", "example.org:80", "*:80", "127.1.x:80"]
)
def test_a_dashboard_on_the_network_must_be_allowed(given):
    with pytest.raises(InsecureAddress, match=r"Use 127\.0\.0\.1:.*allow_insecure"):
        dashboard(given)
    assert dashboard(given, allow_insecure=True) == given


@pytest.mark.parametrize(
    "given", ["", "localhost", "127.0.0.1:", ":x", ":65536", ":-1", -1, 70_000, ":²"]
)
def test_a_dashboard_has_a_port(given):
    with pytest.raises(ClusterError, match=r"expected host:port .*65535"):
        dashboard(given, allow_insecure=True)


@pytest.mark.parametrize(
    "address",
    [
        "tls://10.0.0.1:8786",
        "tcp://127.0.0.1:8786",
        "tcp://localhost:1",
        "tcp://[::1]:2",
        "localhost:8786",
        "inproc://10.0.0.1/1/2",
    ],
)
def test_an_encrypted_or_local_scheduler_is_trusted(address):
    check_address(address, allow_insecure=False)


@pytest.mark.parametrize(
    "address",
    ["tcp://10.0.0.1:8786", "tcp://scheduler:8786", "ws://10.0.0.1:8786", "10.0.0.1:1"],
)
def test_any_other_scheduler_must_be_allowed(address):
    with pytest.raises(InsecureAddress, match=r"TLS.*tls://.*allow_insecure: true"):
        check_address(address, allow_insecure=False)
    check_address(address, allow_insecure=True)


@pytest.mark.parametrize(
    "address", ["scheduler", "tcp://localhost", "tls://:8786", "tcp://localhost:99999"]
)
def test_what_is_no_address_of_a_scheduler_is_refused(address):
    with pytest.raises(ClusterError, match="expected scheme, host and port"):
        check_address(address, allow_insecure=True)
