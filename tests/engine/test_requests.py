"""What a run asks object storage for: few requests, and nothing twice."""

import re
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import s3fs

from dask_etl.datasets import DaskParquetDataset, PandasParquetDataset
from dask_etl.datasets.publish import publish
from oracle.raw_files import dirty_transactions, write_raw
from support.engine_runs import TABLES, describe
from support.s3_server import Request, Requests, by_method, s3_server

PARTITIONS = (4, 8)

PER_PARTITION = 12
"""At most: two readings and their looks, two parts, and what goes through scratch."""


@pytest.fixture(scope="module")
def counted(tmp_path_factory) -> dict[int, list[Request]]:
    """The requests of a run over so many files, one a partition, on object storage."""
    folder = tmp_path_factory.mktemp("requests")
    found = {}
    with s3_server(folder / "log") as credentials:
        requests = Requests(folder / "log")
        filesystem = s3fs.S3FileSystem(**credentials)
        for files in PARTITIONS:
            raw = folder / f"raw-{files}"
            write_raw(raw, dirty_transactions(50 * files, 3), files)
            filesystem.put(f"{raw}/", f"bucket/raw-{files}/", recursive=True)
            source = DaskParquetDataset(
                filepath=f"s3://bucket/raw-{files}",
                schema="raw_transactions",
                credentials=credentials,
                rows_per_partition=50,
            )
            datasets = {
                name: PandasParquetDataset(
                    filepath=f"s3://bucket/out-{files}/{name}",
                    schema=name,
                    credentials=credentials,
                )
                for name in TABLES
            }
            requests.since()
            lazies = describe(source.load())
            publish({datasets[name]: lazy for name, lazy in lazies.items()})
            found[files] = requests.since()
    return found


def test_a_further_partition_costs_few_requests(counted):
    fewer, more = (len(counted[files]) for files in PARTITIONS)
    each = (more - fewer) / (PARTITIONS[1] - PARTITIONS[0])
    assert each <= PER_PARTITION, by_method(counted[PARTITIONS[1]])


@pytest.mark.parametrize("files", PARTITIONS)
def test_scratch_files_are_written_once_and_read_once(counted, files):
    """By one request each: nothing is looked at first, no byte is fetched twice."""
    scratch = [r for r in counted[files] if r.path.endswith(".arrow")]
    assert {r.method for r in scratch} == {"PUT", "GET"}
    for kind in (r"stage-\d-\d{5}", r"stage-\d-block-\d{5}", r"-merged-"):
        of_kind = [r for r in scratch if re.search(kind + r"[^/]*\.arrow$", r.path)]
        written = [r for r in of_kind if r.method == "PUT"]
        assert len({r.path for r in written}) == len(written) > 0
        read = sum(r.received for r in of_kind if r.method == "GET")
        # Receipts are read with what they are of, or not at all.
        assert 0 < read <= sum(r.sent for r in written)
    of_partitions = [r for r in scratch if re.search(r"stage-\d-\d{5}", r.path)]
    assert len(of_partitions) == 2 * 2 * files


@pytest.mark.parametrize("files", PARTITIONS)
def test_no_log_is_opened_twice_before_it_is_written(counted, files):
    logs = [
        r.path
        for r in counted[files]
        if r.method == "GET" and re.search(r"/_delta_log/0{20}\.json$", r.path)
    ]
    # The library itself reads what it has just made, twice.
    assert len(logs) <= 4 * len(TABLES)


def test_of_others_files_only_what_is_wanted_is_fetched(tmp_path):
    """A file of several partitions, read row group by row group and column by column."""
    values = np.random.default_rng(1).random(300_000)
    path = tmp_path / "f.parquet"
    pq.write_table(
        pa.table(dict.fromkeys("abc", values)),
        path,
        row_group_size=50_000,
        compression="none",
        use_dictionary=False,
    )
    with s3_server(tmp_path / "log") as credentials:
        s3fs.S3FileSystem(**credentials).put(str(path), "bucket/raw/f.parquet")
        source = DaskParquetDataset(
            filepath="s3://bucket/raw",
            credentials=credentials,
            rows_per_partition=50_000,
        ).source()
        requests = Requests(tmp_path / "log")
        for columns, share in ((None, 1), (("a",), 1 / 3)):
            requests.since()
            reader = replace(source.reader, columns=columns)
            read = [len(reader.read((each,))) for each in source.segments]
            fetched = sum(request.received for request in requests.since())
            assert read == 6 * [50_000]
            assert fetched <= 1.2 * share * path.stat().st_size
