"""Row groups of any size: read slice by slice, in whatever order, decoded once."""

import random
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dask_etl.datasets import PandasParquetDataset
from dask_etl.engine.partitions import Partitions
from dask_etl.errors import StorageError
from dask_etl.retail.tables import RAW_TRANSACTIONS
from dask_etl.storage import parts, segments, slices
from oracle.raw_files import dirty_transactions
from support.engine_runs import cluster, raw_dataset, run_dask

ROWS = 1_050


@pytest.fixture
def raw(tmp_path):
    table = dirty_transactions(ROWS, 3)
    pq.write_table(table, tmp_path / "part.parquet", row_group_size=ROWS)
    return tmp_path


@pytest.fixture
def parsed(monkeypatch):
    """Files whose footers are parsed, one entry a time."""
    found = []

    def counted(filesystem, path):
        found.append(path)
        return footer(filesystem, path)

    footer = parts.footer
    monkeypatch.setattr(parts, "footer", counted)
    return found


@pytest.fixture
def begun(monkeypatch):
    """Columns with which the reading of a row group began, one entry a time."""
    found = []

    def counted(key, begin, *numbers):
        def count():
            found.append(key)
            return begin()

        return read_slice(key, count, *numbers)

    read_slice = slices.read_slice
    monkeypatch.setattr(parts, "read_slice", counted)
    return found


def values(table):
    """The rows in order; as text, NaN is what it is."""
    return repr(table.to_pylist())


def partitions_of(raw, rows, columns=None):
    return Partitions.of(raw_dataset(raw, rows).load(), RAW_TRANSACTIONS, columns)


@pytest.mark.parametrize("rows", [100, 349, 524])
def test_slices_in_order_are_the_row_group_and_decoded_once(raw, begun, rows):
    partitions = partitions_of(raw, rows)
    tables = [partitions.source(item)["rows"] for item in partitions.items]
    assert [len(table) for table in tables[:-1]] == [rows] * (ROWS // rows)
    whole = partitions_of(raw, ROWS)
    [item] = whole.items
    expected = whole.source(item)["rows"]
    assert values(pa.concat_tables(tables)) == values(expected)
    assert len(begun) == 1
    # What was read to its end is not kept open.
    assert all(place.cursor is None for place in slices._places.values())


def test_slices_in_any_order_and_by_threads_are_the_same(raw):
    partitions = partitions_of(raw, 50)
    expected = [partitions.source(item)["rows"] for item in partitions.items]
    order = list(range(len(expected))) * 3
    random.Random(1).shuffle(order)
    with ThreadPoolExecutor(4) as threads:
        found = threads.map(lambda n: partitions.source(partitions.items[n]), order)
        for number, tables in zip(order, found, strict=True):
            assert values(tables["rows"]) == values(expected[number])
            assert tables["origin"].segments == (("part.parquet", number * 50, 50),)


def test_a_slice_that_was_overtaken_is_not_decoded_again(raw, begun):
    partitions = partitions_of(raw, 100)
    order = [1, 0, 2, 5, 3, 4, 8, 7, 6, 10, 9]
    found = {
        number: partitions.source(partitions.items[number])["rows"] for number in order
    }
    assert len(begun) == 1
    whole = partitions_of(raw, ROWS)
    expected = whole.source(whole.items[0])["rows"]
    in_order = [found[number] for number in range(len(partitions.items))]
    assert values(pa.concat_tables(in_order)) == values(expected)


def test_a_cluster_decodes_the_row_group_once_for_the_survey_and_once_for_the_pass(
    raw, begun, tmp_path
):
    with cluster(dashboard_address=None):
        run_dask(raw_dataset(raw, 50).load(), tmp_path / "out")
    assert len(begun) == 2


def test_pandas_reads_all_slices_and_a_preview_one(raw):
    dataset = PandasParquetDataset(
        filepath=str(raw), schema="raw_transactions", rows_per_partition=100
    )
    frame = dataset.load()
    assert frame["source_row"].tolist() == list(range(ROWS))
    assert set(frame["source_file"]) == {"part.parquet"}


def test_a_file_that_is_cut_under_the_reader_is_named(raw):
    partitions = partitions_of(raw, 100)
    partitions.source(partitions.items[0])
    path = raw / "part.parquet"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(StorageError, match=r"part\.parquet: changed since"):
        partitions.source(partitions.items[1])


def test_few_row_groups_are_kept_open(raw):
    for column in ("amount", "rating", "quantity", "discount", "region", "timestamp"):
        partitions = partitions_of(raw, 100, [column])
        partitions.source(partitions.items[0])
    assert len(slices._places) <= slices._KEPT


def test_thousands_of_tiny_row_groups_are_few_tasks_and_one_footer(tmp_path, parsed):
    table = dirty_transactions(100, 3)
    table = pa.concat_tables([table] * 15)
    pq.write_table(table, tmp_path / "part.parquet", row_group_size=1)
    partitions = partitions_of(tmp_path, 1, ["amount"])
    assert len(partitions.items) <= 256
    found = [partitions.source(item)["rows"] for item in partitions.items]
    assert values(pa.concat_tables(found)) == values(table.select(["amount"]))
    assert len(parsed) == 1


def test_thousands_of_tiny_parts_of_our_own_are_few_tasks(tmp_path):
    tiny = [
        segments.Segment(str(number), str(number), 0, 1, 100)
        for number in range(10_000)
    ]
    grouped = segments.partitions(tiny, 1)
    assert len(grouped) <= 256
    assert [segment for group in grouped for segment in group] == tiny
    # What somebody wants for good reason is not changed.
    assert len(segments.partitions(tiny[:200], 1)) == 200
