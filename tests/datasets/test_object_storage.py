"""The same promises on S3, as far as a server that imitates it can tell."""

import functools
import re

import pytest

pytest.importorskip("s3fs")
moto_server = pytest.importorskip("moto.server")

import pandas as pd  # noqa: E402
import s3fs  # noqa: E402
from kedro.io import DatasetError  # noqa: E402

import dask_etl.datasets.publish  # noqa: E402
from dask_etl.datasets import PandasParquetDataset  # noqa: E402
from dask_etl.datasets.publish import publish  # noqa: E402
from dask_etl.errors import StorageError, explanation  # noqa: E402
from oracle.raw_files import dirty_transactions, write_raw  # noqa: E402
from support.engine_runs import TABLES, describe, raw_dataset, stored  # noqa: E402


@pytest.fixture(scope="module")
def credentials():
    server = moto_server.ThreadedMotoServer("127.0.0.1", port=0)
    server.start()
    _, port = server.get_host_and_port()
    found = {
        "key": "a",
        "secret": "b",
        "endpoint_url": f"http://127.0.0.1:{port}",
    }
    s3fs.S3FileSystem(**found).mkdir("bucket")
    yield found
    server.stop()
    s3fs.S3FileSystem.clear_instance_cache()


def tables(credentials):
    return {
        name: PandasParquetDataset(
            filepath=f"s3://bucket/data/{name}", schema=name, credentials=credentials
        )
        for name in TABLES
    }


def run(raw, credentials):
    datasets = tables(credentials)
    lazies = describe(raw_dataset(raw, 10).load())
    publish({datasets[name]: lazy for name, lazy in lazies.items()})


def test_engine_writes_to_object_storage_and_goes_on_there(
    tmp_path, credentials, monkeypatch
):
    raw = tmp_path / "raw"
    write_raw(raw, dirty_transactions(40, 1), 4)
    with monkeypatch.context() as patch:

        def fail(staged):
            raise RuntimeError("the process dies before its commit")

        patch.setattr(dask_etl.datasets.publish, "commit", fail)
        with pytest.raises(RuntimeError, match="dies"):
            run(raw, credentials)
    assert {dataset.exists() for dataset in tables(credentials).values()} == {False}

    read = []
    kernels = dask_etl.pipelines.etl_dask.kernels
    screen = kernels.screen_partition
    # A test's own function, but of the same name: the same computation.
    with monkeypatch.context() as patch:

        @functools.wraps(screen)
        def counted(found, **arguments):
            read.append(str(found["origin"]))
            return screen(found, **arguments)

        patch.setattr(kernels, "screen_partition", counted)
        run(raw, credentials)
    assert read == []

    datasets = tables(credentials)
    assert sum(datasets["row_ledger"].load()["rows_read"]) == 40
    filesystem = datasets["customers"].store.filesystem
    filesystem.invalidate_cache()
    left = [path for path in filesystem.find("bucket/data") if "/versions/" not in path]
    assert sorted(left) == sorted(f"bucket/data/{name}/current.json" for name in TABLES)
    for dataset in datasets.values():
        stored(dataset)


def test_one_writer_on_object_storage(credentials):
    first, second = (tables(credentials)["customers"].store for _ in range(2))
    first.acquire()
    with pytest.raises(StorageError, match=re.escape("remove bucket/data/customers")):
        second.acquire()
    first.release()
    second.acquire()
    second.release()


def test_versions_on_object_storage(credentials):
    for number in range(4):
        dataset = PandasParquetDataset(
            filepath="s3://bucket/numbers", credentials=credentials
        )
        dataset.save(pd.DataFrame({"number": [number]}))
    assert dataset.load()["number"].tolist() == [3]
    store = dataset.store
    assert len(store.versions()) == 2
    assert len(store.filesystem.ls("bucket/numbers/versions")) == 2
    part = store.path(store.current(), "part-00000.parquet")
    store.filesystem.pipe_file(part, b"PAR1")
    with pytest.raises(Exception, match="truncated or was replaced"):
        dataset.load()


def in_bucket(name, **credentials):
    return PandasParquetDataset(filepath=f"s3://{name}/t", credentials=credentials)


@pytest.mark.parametrize("act", ["load", "save"])
def test_a_bucket_that_is_not_there_is_named(credentials, act):
    table = in_bucket("no-such-bucket", **credentials)
    with pytest.raises(DatasetError) as error:
        table.load() if act == "load" else table.save(pd.DataFrame({"a": [1]}))
    said = explanation(error.value)
    assert re.match(
        r"no-such-bucket/t: .*bucket does not exist.* make the bucket", said
    )
    assert not table.exists()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"anon": False}, "Unable to locate credentials"),
        ({"endpoint_url": "http://127.0.0.1:1"}, "Could not connect to the endpoint"),
    ],
)
def test_what_s3_refuses_is_said_in_one_line(credentials, monkeypatch, given, words):
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    if "endpoint_url" in given:
        given = {**credentials, **given}
    with pytest.raises(DatasetError) as error:
        in_bucket("bucket", **given).load()
    said = explanation(error.value)
    assert words in said
    assert "filepath='bucket/t'" in said
    assert "\n" not in said


def test_a_defect_keeps_its_traceback():
    assert explanation(DatasetError("what")) is None
    assert explanation(ZeroDivisionError("where")) is None
