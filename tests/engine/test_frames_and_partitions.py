import copy

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dask_etl.datasets import DaskParquetDataset
from dask_etl.engine.frames import files_of, schema_of
from dask_etl.engine.partitions import Origin, Partitions
from dask_etl.errors import StorageError
from dask_etl.retail import schema
from dask_etl.retail.conform import SchemaError, conform
from dask_etl.retail.tables import RAW_TRANSACTIONS
from dask_etl.tables import LABEL
from oracle.raw_files import dirty_transactions, write_raw
from support.engine_runs import describe, lazy_tables, raw_dataset


@pytest.fixture
def frame(tmp_path):
    write_raw(tmp_path, dirty_transactions(90, 1), 3)
    return raw_dataset(tmp_path, 30).load()


def test_our_frames_are_read_from_their_files(frame):
    reader, partitions = files_of(frame)
    assert [part.name for files in partitions for part in files] == [
        "part-00000.parquet", "part-00001.parquet", "part-00002.parquet",
    ]  # fmt: skip
    assert reader.conform is conform
    assert Partitions.of(frame, RAW_TRANSACTIONS).count_rows() == 90


@pytest.mark.parametrize(
    "change",
    [
        lambda frame: frame[frame["amount"] > 1],
        lambda frame: frame.assign(amount=1.0),
        lambda frame: frame.partitions[1:],
        lambda frame: frame.partitions[1:].optimize(),
        lambda frame: frame.head(5, compute=False),
        lambda frame: frame.repartition(npartitions=2),
        lambda frame: dd.concat([frame, frame]),
    ],
)
def test_a_frame_that_was_changed_is_not_read_from_files(frame, change):
    assert files_of(change(frame)) is None


def test_the_length_is_known_without_reading(frame, tmp_path):
    assert len(frame.partitions[1:]) == len(frame.partitions[1:].optimize()) == 60
    for file in tmp_path.glob("*.parquet"):
        file.unlink()
    assert len(frame) == len(frame["amount"]) == len(frame[["amount", "rating"]]) == 90
    assert len(frame.assign(more=frame["amount"] * 2)) == 90
    with pytest.raises(Exception, match=r"part-0000"):
        len(frame[frame["amount"] > 1])


@pytest.mark.parametrize("labels", [["Z", "A", "B"], ["A"]])
def test_labels_that_are_known_are_categories_and_too_few_are_refused(tmp_path, labels):
    schema = pa.schema([pa.field("place", LABEL), ("n", pa.int64())])
    # One label of the dictionary is that of no row.
    codes = pa.array([1, 2], pa.int32())
    place = pa.DictionaryArray.from_arrays(codes, ["Unknown", "B", "A"])
    values = [place, [1, 2]]
    pq.write_table(pa.table(values, schema=schema), tmp_path / "part.parquet")
    dataset = DaskParquetDataset(filepath=str(tmp_path))
    assert not dataset.load()["place"].cat.known
    frame = dataset.frame({"place": labels, "nowhere": []})
    assert frame["place"].cat.categories.tolist() == labels
    if len(labels) == 1:
        with pytest.raises(StorageError, match=r"part\.parquet: place holds 'B'"):
            frame.compute()
        return
    whole = frame.compute()
    assert whole["place"].tolist() == ["B", "A"]
    assert whole["place"].cat.categories.tolist() == labels
    sizes = frame.groupby("place", observed=False).size().compute()
    assert sizes.to_dict() == {"Z": 0, "A": 1, "B": 1}
    assert frame["n"].compute().tolist() == [1, 2]


def test_a_frame_without_a_column_is_refused_before_it_is_computed(frame):
    with pytest.raises(SchemaError, match="column 'amount' is missing"):
        describe(frame.drop(columns="amount"))


def test_types_of_a_foreign_frame_come_from_its_meta_data(frame):
    text = frame.assign(transaction_id=frame["transaction_id"].astype("string"))
    assert schema_of(text, RAW_TRANSACTIONS) == schema.raw(pa.string())


def test_a_row_is_located_in_the_file_it_came_from():
    origin = Origin((("a", 0, 3), ("empty", 0, 0), ("b", 100, 2)))
    segment, row = origin.locate(np.arange(5))
    assert segment.tolist() == [0, 0, 0, 2, 2]
    assert row.tolist() == [0, 1, 2, 100, 101]


def test_nothing_is_computed_by_describing(monkeypatch, tmp_path):
    """A frame whose every task fails can be described."""

    def fail(number):
        raise AssertionError("computed")

    meta = dirty_transactions(0, 1).to_pandas()
    lazy = describe(dd.from_map(fail, [1, 2], meta=meta))
    assert lazy.keys() == {
        "clean_transactions", "rejected_transactions", "row_ledger", "sales_cube",
        "customers", "orders",
    }  # fmt: skip


def test_kedro_may_copy_descriptions(frame):
    """It does, deeply, between nodes; what two nodes hold must stay one."""
    for lazy in lazy_tables(frame):
        assert copy.deepcopy(lazy) is lazy


def test_our_frames_look_like_the_rows_they_hold(frame, tmp_path):
    computed = frame.compute()
    assert computed.dtypes.to_dict() == frame.dtypes.to_dict()
    assert computed["transaction_id"].dtype == pd.Int64Dtype()
    expected = dirty_transactions(90, 1)["transaction_id"].to_pylist()
    assert [None if pd.isna(i) else i for i in computed["transaction_id"]] == expected


def test_dask_reads_only_the_columns_that_are_asked_for(frame):
    labels = frame["region"].optimize(fuse=False).expr
    while not {"columns", "iterables"} <= set(labels._parameters):
        (labels,) = labels.dependencies()
    assert labels.operand("columns") == ["region"]
    assert frame["region"].count().compute() == frame.compute()["region"].count()
