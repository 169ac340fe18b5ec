from datetime import UTC, datetime
from decimal import Decimal

import pyarrow as pa
import pytest

from dask_etl.retail import schema
from dask_etl.retail.conform import SchemaError, check_columns, conform, unify
from dask_etl.retail.parameters import Cleaning
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


def test_columns_are_put_in_order_and_further_ones_follow(caplog):
    names = [*reversed(RAW.names), "till"]
    found = pa.schema(
        [RAW.field(n) if n != "till" else pa.field(n, pa.int8()) for n in names]
    )
    target = unify({"first": RAW, "second": found})
    assert target == RAW.append(pa.field("till", pa.int64()))
    for one in (RAW, found):
        assert conform(one.empty_table(), target, "second").schema == target
    assert conform(found.empty_table(), RAW, "second").schema == RAW
    check_columns(target.names, Cleaning(keep=["till"]))
    assert not caplog.text
    check_columns(target.names, Cleaning())
    assert "column 'till' is not used" in caplog.text


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        ([pa.int8(), pa.float32()], pa.float64()),
        ([pa.large_string(), pa.null()], pa.string()),
        ([pa.dictionary(pa.int8(), pa.string())], pa.string()),
        ([pa.timestamp("ns")], schema.TIMESTAMP),
        ([pa.date32()], pa.date32()),
        ([pa.null()], pa.string()),
        ([pa.string(), pa.int64()], None),
        ([pa.list_(pa.int64())], None),
    ],
)
def test_a_further_column_has_one_type_or_cannot_be_kept(kinds, expected):
    files = {
        f"{number}": RAW.append(pa.field("more", kind))
        for number, kind in enumerate(kinds)
    }
    target = unify({"none": RAW, **files})
    found = target.field("more").type if "more" in target.names else None
    assert found == expected
    if expected is None:
        with pytest.raises(SchemaError, match=r"cleaning.keep names 'more'"):
            check_columns(target.names, Cleaning(keep=["more"]))


def test_optional_columns_are_null_in_files_that_have_none():
    found = RAW.append(pa.field("order_id", pa.string()))
    target = unify({"a": RAW, "b": found})
    assert target == RAW.append(pa.field("order_id", pa.string()))
    rows = pa.table([pa.nulls(2, f.type) for f in RAW], schema=RAW)
    assert conform(rows, target, "a")["order_id"].to_pylist() == [None, None]
    with pytest.raises(SchemaError, match="no column 'line_total'"):
        check_columns(target.names, Cleaning(revenue="total"))


UUID = "12345678-9abc-def0-1234-56789abcdef0"


@pytest.mark.parametrize(
    ("column", "values", "expected"),
    [
        ("customer_id", pa.array([7.0, float("nan"), None]), [7, None, None]),
        ("is_returned", pa.array([1, 0, None], pa.int8()), [True, False, None]),
        ("amount", pa.array([Decimal("8.15"), Decimal("-0.10"), None]), [8.15, -0.1, None]),
        ("timestamp", pa.array([MOMENT.date()], pa.date32()), [MOMENT.replace(hour=0, minute=0, second=0, microsecond=0)]),
        ("transaction_id", pa.array([bytes.fromhex(UUID.replace("-", "")), None], pa.binary(16)), [UUID, None]),
        ("customer_id", pa.array([], pa.binary(16)), []),
        ("transaction_id", pa.ExtensionArray.from_storage(pa.uuid(), pa.array([bytes.fromhex(UUID.replace("-", ""))], pa.binary(16))), [UUID]),
    ],
)  # fmt: skip
def test_what_means_the_same_is_taken(column, values, expected):
    found = with_type(column, values.type)
    rows = pa.table(
        [values if f.name == column else pa.nulls(len(values), f.type) for f in found],
        schema=found,
    )
    target = unify({"a": found})
    assert target in (
        RAW,
        schema.raw(**{column: pa.string()} if column.endswith("id") else {}),
    )
    assert conform(rows, target, "a")[column].to_pylist() == expected


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("customer_id", pa.array([1.0, 2.5])),
        ("is_returned", pa.array([0, 2], pa.int64())),
    ],
)
def test_what_does_not_is_refused_by_row(column, values):
    found = with_type(column, values.type)
    rows = pa.table(
        [values if f.name == column else pa.nulls(2, f.type) for f in found],
        schema=found,
    )
    with pytest.raises(SchemaError, match=rf"a, row 1: column '{column}'"):
        conform(rows, unify({"a": found}), "a")


@pytest.mark.parametrize("name", ["Amount ", "AMOUNT", "amoumt"])
def test_a_missing_column_is_sought_among_those_there_are(name):
    found = RAW.set(RAW.get_field_index("amount"), pa.field(name, pa.float64()))
    with pytest.raises(SchemaError, match=f"a: .*'amount' is missing; .*'{name}'"):
        unify({"a": found})


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
