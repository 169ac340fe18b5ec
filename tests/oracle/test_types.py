"""Raw columns of all the types that they may have."""

import math

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dask_etl.retail.parameters import Cleaning
from oracle import oracle_tables
from oracle.raw_files import AS_OF
from support.good_rows import raw_table as raw

NAN, INF = math.nan, math.inf


def test_string_ids_sort_as_text(judge):
    tables = judge(
        raw(
            transaction_id=pa.array(["a", "b", "c", "a"]),
            customer_id=pa.array(["9", "10", "é", "9"]),
        )
    )
    segments = tables["customer_segments"]
    assert segments["customer_id"].to_pylist() == ["10", "9", "é"]
    for name in ("clean_transactions", "rejected_transactions"):
        assert tables[name].schema.field("transaction_id").type == pa.string()
        assert tables[name].schema.field("customer_id").type == pa.string()


@pytest.mark.parametrize("kind", [pa.int8(), pa.int32(), pa.uint32(), pa.float64()])
def test_quantity_of_any_numeric_type(judge, kind):
    rows = raw(quantity=pa.array([1, 2, None], kind), rating=pa.array([1, 5, 3], kind))
    tables = judge(rows)
    assert tables["clean_transactions"]["quantity"].to_pylist() == [1, 2]
    assert tables["clean_transactions"]["rating"].to_pylist() == [1.0, 5.0]
    assert tables["rejected_transactions"]["reasons"].to_pylist() == [
        ["missing_quantity"]
    ]


@pytest.mark.parametrize(
    ("quantity", "kept", "units"),
    [("whole", [3.0], 3), ("decimal", [3.0, 0.1, 1e-6], 3.100001)],
)
def test_quantity_with_decimals(judge, quantity, kept, units):
    rows = raw(quantity=pa.array([3, 0.1, 1e-6, 1e-7, 2.0000001], pa.float64()))
    tables = judge(rows, cleaning=Cleaning(quantity=quantity))
    assert tables["clean_transactions"]["quantity"].to_pylist() == kept
    assert tables["customers"]["units"].to_pylist() == [units]
    assert tables["daily_sales"]["units"].to_pylist() == [units]
    reasons = tables["rejected_transactions"]["reasons"].to_pylist()
    assert reasons == [["value_out_of_range"]] * (5 - len(kept))


def test_quantity_that_is_not_finite_is_missing(judge):
    tables = judge(raw(quantity=pa.array([NAN, INF, -INF, 2.0])))
    assert (
        tables["rejected_transactions"]["reasons"].to_pylist()
        == [["missing_quantity"]] * 3
    )
    # A floating-point quantity stays one in the rejected rows, and infinite too
    assert tables["rejected_transactions"]["quantity"].to_pylist() == [None, INF, -INF]
    assert tables["clean_transactions"]["quantity"].type == pa.int64()


def test_columns_of_type_null(judge):
    empty = {
        name: pa.nulls(2)
        for name in ("region", "product_category", "discount", "rating", "is_returned")
    }
    clean = judge(raw(**empty))["clean_transactions"]
    assert clean["region"].to_pylist() == ["Unknown"] * 2
    assert clean["product_category"].to_pylist() == ["Unknown"] * 2
    assert clean["discount"].to_pylist() == [0.0] * 2
    assert clean["is_returned"].to_pylist() == [False] * 2


def test_files_whose_types_differ(tmp_path):
    parts = [
        raw(region=pa.nulls(1), quantity=pa.array([2], pa.int32())),
        raw(transaction_id=[2**61], quantity=[3]),
        raw(
            transaction_id=pa.array([3], pa.int32()),
            region=pa.array(["East"]).dictionary_encode(),
        ),
    ]
    files = [tmp_path / f"{n}.parquet" for n in range(3)]
    for file, part in zip(files, parts, strict=True):
        pq.write_table(part, file)
    clean = oracle_tables(files, AS_OF)["clean_transactions"]
    assert clean["transaction_id"].to_pylist() == [1, 2**61, 3]
    assert clean["region"].to_pylist() == ["Unknown", "North", "East"]
    assert clean["quantity"].to_pylist() == [2, 3, 1]


def test_an_unknown_label_in_the_data_joins_the_missing_ones(judge):
    region = judge(raw(region=["Unknown", None]))["region_performance"]
    assert region["lines"].to_pylist() == [2]
