"""What a table is, and how the catalog names one."""

import sys
from types import ModuleType

import pandas as pd
import pyarrow as pa
import pytest
from kedro.io import DatasetError

import dask_etl
from dask_etl.datasets import PandasParquetDataset
from dask_etl.retail import tables
from dask_etl.tables import LABEL, Table, UnknownTable, find_table, known_tables

READINGS = Table(
    "readings",
    pa.schema({"sensor": pa.string(), "value": pa.float64()}),
    variants={"sensor": pa.int64()},
    key=("sensor",),
)


@pytest.fixture
def elsewhere(monkeypatch):
    """A module of somebody else's that declares a table."""
    module = ModuleType("somebodys_tables")
    module.READINGS = READINGS
    monkeypatch.setitem(sys.modules, "somebodys_tables", module)


def test_ours_are_known_by_name():
    assert find_table("sales_cube") is tables.SALES_CUBE
    names = [table.name for table in known_tables()]
    assert len(names) == len(set(names))
    for table in known_tables():
        assert find_table(table.name) is table
        assert set(table.key) <= set(table.schema.names)


@pytest.mark.usefixtures("elsewhere")
def test_somebody_elses_is_known_by_its_path_or_by_its_module(tmp_path, monkeypatch):
    assert find_table("somebodys_tables.READINGS") is READINGS
    with pytest.raises(UnknownTable, match="no table is called 'readings'; there are"):
        find_table("readings")
    monkeypatch.setattr(dask_etl, "TABLE_MODULES", ["somebodys_tables"])
    assert find_table("readings") is READINGS

    dataset = PandasParquetDataset(
        filepath=str(tmp_path / "t"), schema="somebodys_tables.READINGS"
    )
    dataset.save(pd.DataFrame({"value": [1, 2], "sensor": ["a", "b"]}))
    assert dataset.source().reader.schema == READINGS.schema


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nowhere.TABLE", "cannot import nowhere.TABLE"),
        ("dask_etl.retail.tables.NOTHING", "cannot import .*NOTHING"),
        ("dask_etl.retail.tables.LABEL", "LABEL is a .*, not a dask_etl.tables.Table"),
    ],
)
def test_what_is_no_table_is_refused_by_name(name, words):
    with pytest.raises(UnknownTable, match=words):
        find_table(name)
    with pytest.raises((UnknownTable, DatasetError), match=words):
        PandasParquetDataset(filepath="anywhere", schema=name)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (pa.int64(), pa.int64()),
        (pa.int32(), pa.string()),
        (pa.large_string(), pa.string()),
        (pa.dictionary(pa.int8(), pa.int64()), pa.int64()),
        (pa.null(), pa.string()),
    ],
    ids=str,
)
def test_a_column_has_another_type_where_the_data_has_it(found, expected):
    given = pa.schema({"sensor": found, "more": pa.int8()})
    schema = READINGS.schema_for(given)
    assert schema.names == ["sensor", "value"]
    assert schema.field("sensor").type == expected


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), LABEL], ids=str)
def test_ids_are_text_where_the_data_has_text(kind):
    found = pa.schema({"transaction_id": kind})
    schema = tables.CLEAN_TRANSACTIONS.schema_for(found)
    assert schema.field("transaction_id").type == pa.string()
    assert schema.field("customer_id").type == pa.int64()


def test_labels_are_text_that_is_no_id():
    ids = pa.schema({"transaction_id": pa.string()})
    schema = tables.RAW_TRANSACTIONS.schema_for(ids)
    labelled = tables.RAW_TRANSACTIONS.with_labels(schema)
    assert [field.name for field in labelled if field.type == LABEL] == [
        "product_category",
        "region",
    ]
