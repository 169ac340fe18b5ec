"""The same promises on S3, as far as a server that imitates it can tell."""

import functools
import re

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import s3fs
from kedro.io import DatasetError

import dask_etl.datasets.publish
from dask_etl.datasets import DaskParquetDataset, PandasParquetDataset
from dask_etl.datasets.publish import publish
from dask_etl.errors import StorageError, explanation
from dask_etl.storage.delta import Conflict
from dask_etl.storage.session import Session
from oracle.raw_files import dirty_transactions, write_raw
from support.engine_runs import TABLES, describe, raw_dataset, stored
from support.s3_server import s3_server


@pytest.fixture(scope="module")
def credentials():
    with s3_server() as options:
        yield options


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

        def fail(session, staged):
            raise RuntimeError("the process dies before its commit")

        patch.setattr(Session, "commit", fail)
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
    for dataset in datasets.values():
        stored(dataset)
    filesystem = s3fs.S3FileSystem(**credentials)
    filesystem.invalidate_cache()
    needed = {
        f"bucket/data/{name}/{part.name}"
        for name, dataset in datasets.items()
        for part in dataset.content().parts
    }
    left = {path for path in filesystem.find("bucket/data") if "_delta_log" not in path}
    markers = {f"bucket/data/{name}/_writer.lock" for name in TABLES}
    assert left == needed | markers | {"bucket/data/release.json"}


def test_of_two_runs_the_second_is_refused_and_no_lock_stays(credentials, tmp_path):
    """The first one dies, as far as anybody can see, and a third goes on."""
    raw = tmp_path / "raw"
    write_raw(raw, dirty_transactions(40, 2), 2)
    works = []
    for _ in range(2):
        datasets = tables(credentials)
        lazies = describe(raw_dataset(raw, 10).load())
        outputs = {datasets[name]: lazy for name, lazy in lazies.items()}
        works.append(dask_etl.datasets.publish.stage(outputs, resume=False))
    dask_etl.datasets.publish.commit([works[0]])
    with pytest.raises(Conflict, match=r"another run committed .* Run again"):
        dask_etl.datasets.publish.commit([works[1]])
    run(raw, credentials)
    assert tables(credentials)["row_ledger"].load()["rows_read"].sum() == 40


def test_versions_on_object_storage(credentials):
    for number in range(4):
        dataset = PandasParquetDataset(
            filepath="s3://bucket/more/numbers", credentials=credentials
        )
        dataset.save(pd.DataFrame({"number": [number]}))
    assert dataset.load()["number"].tolist() == [3]
    assert [version.version for version in dataset.versions()] == [3, 2]
    location = dataset.store.location
    found = location.filesystem.ls(location.path, detail=False)
    assert sum(path.endswith(".parquet") for path in found) == 2
    # One that this process has not read: what it has, it keeps.
    dataset.save(pd.DataFrame({"number": [4]}))
    [part] = dataset.content().parts
    location.filesystem.pipe_file(location.file(part.name), b"PAR1")
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


@pytest.mark.parametrize("rows", [3, 100_000])
def test_a_file_that_is_replaced_during_a_run_is_noticed_when_it_is_read(
    credentials, tmp_path, rows
):
    """Without being looked at first; also by one of the same size."""
    filesystem = s3fs.S3FileSystem(**credentials)
    path = tmp_path / "f.parquet"
    for first in (1, 2):
        values = np.random.default_rng(first).random(2 * rows)
        table = pa.table({"a": values})
        pq.write_table(table, path, compression="none", use_dictionary=False)
        filesystem.put(str(path), f"bucket/replaced-{rows}/f.parquet")
        if first == 1:
            source = DaskParquetDataset(
                filepath=f"s3://bucket/replaced-{rows}", credentials=credentials
            ).source()
            assert len(source.reader.read(source.segments)) == 2 * rows
    with pytest.raises(StorageError, match=r"f\.parquet: changed since the run began"):
        source.reader.read(source.segments)
