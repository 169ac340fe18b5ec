from datetime import UTC, datetime

import pyarrow as pa
import pytest

from dask_etl.retail import schema
from dask_etl.retail.conform import SchemaError, conform, unify
from oracle.raw_files import dirty_transactions

RAW = schema.raw()


def with_type(column: str, kind: pa.DataType) -> pa.Schema:
    return RAW.set(RAW.get_field_index(column), pa.field(column, kind))


WIDENED = {
    "small integers": ("customer_id", pa.array([1, None], pa.int16())),
    "unsigned": ("transaction_id", pa.array([1, 2**62], pa.uint64())),
    "whole amounts": ("amount", pa.array([1, None], pa.int32())),
    "single precision": ("discount", pa.array([0.25, None], pa.float32())),
    "whole ratings": ("rating", pa.array([5, None], pa.int8())),
    "large text": ("region", pa.array(["a", None], pa.large_string())),
    "text views": ("region", pa.array(["a", None], pa.string_view())),
    "categories": ("product_category", pa.array(["a", None]).dictionary_encode()),
    "nothing": ("rating", pa.nulls(2)),
}


@pytest.mark.parametrize("case", WIDENED)
def test_harmless_differences_are_widened(case):
    column, values = WIDENED[case]
    found = with_type(column, values.type)
    target = unify({"a.parquet": found})
    assert target == RAW
    rows = found.empty_table().schema
    table = pa.table(
        [values if field.name == column else pa.nulls(2, field.type) for field in rows],
        schema=rows,
    )
    result = conform(table, target, "a.parquet")
    assert result.schema == RAW
    assert result[column].to_pylist() == values.to_pylist()


MOMENT = datetime(2024, 2, 29, 12, 30, 1, 500_000, UTC)


@pytest.mark.parametrize(
    "kind",
    [
        pa.timestamp("ns"), pa.timestamp("us"), pa.timestamp("ms", "UTC"),
        pa.timestamp("ns", "Asia/Tokyo"), pa.timestamp("us", "America/New_York"),
    ],
)  # fmt: skip
def test_moments_become_utc_and_naive_ones_are_utc(kind):
    values = pa.array([MOMENT], pa.timestamp("us", "UTC")).cast(
        pa.timestamp(kind.unit, kind.tz or "UTC")
    )
    if kind.tz is None:
        # Without its zone the same clock reading: that of UTC.
        values = values.cast(kind)
    table = RAW.empty_table().schema.set(7, pa.field("timestamp", kind))
    rows = pa.table(
        [values if f.name == "timestamp" else pa.nulls(1, f.type) for f in table],
        schema=table,
    )
    result = conform(rows, unify({"a": table}), "a")
    assert result["timestamp"].type == schema.TIMESTAMP
    assert result["timestamp"].to_pylist() == [MOMENT]


def test_nanoseconds_are_cut_to_microseconds():
    kind = pa.timestamp("ns")
    values = pa.array([1_999, -1], pa.int64()).cast(kind)
    table = pa.table({"timestamp": values})
    target = pa.schema([pa.field("timestamp", schema.TIMESTAMP)])
    result = conform(table, target, "a")["timestamp"].cast(pa.int64())
    assert result.to_pylist()[0] == 1


def test_columns_are_put_in_order_and_unknown_ones_left_out_with_a_word(caplog):
    names = [*reversed(RAW.names), "till"]
    found = pa.schema(
        [RAW.field(n) if n != "till" else pa.field(n, pa.int8()) for n in names]
    )
    assert unify({"first": RAW, "second": found}) == RAW
    assert "second: column 'till' is not used" in caplog.text
    assert conform(found.empty_table(), RAW, "second").schema == RAW


def test_text_ids_make_the_table_one_of_text_ids():
    target = unify({"a": with_type("customer_id", pa.large_string())})
    assert target == schema.raw(customer_id=pa.string())


def test_ids_that_are_all_null_take_the_type_of_the_other_files():
    files = {
        "a": with_type("customer_id", pa.null()),
        "b": with_type("customer_id", pa.string()),
    }
    assert unify(files) == schema.raw(customer_id=pa.string())


def test_an_id_that_is_text_here_and_a_number_there_is_refused():
    files = {"a": RAW, "b": with_type("customer_id", pa.string())}
    with pytest.raises(SchemaError, match=r"'customer_id' is text in b and .* in a"):
        unify(files)


@pytest.mark.parametrize(
    ("largest", "exact"), [(2**53 - 1, True), (2**53, False), (2**60, False)]
)
def test_ids_that_arrive_as_floats_are_taken_as_far_as_they_are_exact(largest, exact):
    rows = dirty_transactions(2, 1)
    floats = rows.set_column(0, "transaction_id", pa.array([1.0, float(largest)]))
    if exact:
        found = conform(floats, RAW, "partition-00000")["transaction_id"]
        assert found.to_pylist() == [1, largest]
    else:
        with pytest.raises(SchemaError, match=r"partition-00000.*transaction_id"):
            conform(floats, RAW, "partition-00000")
