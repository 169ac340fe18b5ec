"""How tables are compared, and differences told."""

import math

import pyarrow as pa
import pytest

from dask_etl.tables import LABEL
from oracle import assert_matches
from oracle.example import utc

NAN, INF = math.nan, math.inf


def _change(found: pa.Table, column: str, row: int, value) -> pa.Table:
    values = found[column].to_pylist()
    values[row] = value
    position = found.column_names.index(column)
    field = found.schema.field(position).with_nullable(True)
    return found.set_column(position, field, pa.array(values, field.type))


@pytest.mark.parametrize(
    ("name", "column", "row", "value"),
    [
        ("sales_cube", "revenue_cents", 1, 1001),
        ("sales_cube", "rating_sum", 1, math.nextafter(4.0, 5.0)),
        ("region_performance", "net_revenue", 0, math.nextafter(160.12, 0.0)),
        ("region_performance", "net_revenue_share", 0, 0.94116),
        ("region_performance", "average_rating", 1, NAN),
        ("region_performance", "average_rating", 0, None),
        ("customers", "regions", 0, ["Unknown", "North"]),
        ("customers", "first_purchase", 0, utc(2024, 1, 31, 23, 59, 58)),
        ("customer_segments", "segment", 2, "Rest"),
        ("row_ledger", "rows_kept", 0, 4),
        ("customer_summary", "customers", 0, 4),
    ],
)
def test_a_difference_is_named(example, name, column, row, value):
    changed = _change(example[name], column, row, value)
    with pytest.raises(AssertionError, match=rf"(?s){name} differs.*{column}:"):
        assert_matches(changed, example[name], name)


def test_the_message_shows_the_key_and_both_values(example):
    cube = example["sales_cube"]
    with pytest.raises(AssertionError) as failure:
        assert_matches(_change(cube, "units", 3, 7), cube, "sales_cube")
    assert str(failure.value).splitlines() == [
        "sales_cube differs from the oracle:",
        "  [day=2024-02-15] [region=Unknown] [product_category=Books] units: 7,"
        " expected 3",
    ]


def test_only_the_first_differences_are_shown(example):
    days = example["daily_sales"]
    with pytest.raises(AssertionError, match="and 36 more") as failure:
        assert_matches(
            days.set_column(1, days.schema.field(1), pa.array([9] * 41)),
            days,
            "daily_sales",
        )
    assert len(str(failure.value).splitlines()) == 7


def test_rows_that_lack_or_are_too_many_or_out_of_order(example):
    cube = example["sales_cube"]
    with pytest.raises(
        AssertionError, match=r"(?s)5 rows, expected 6.*missing row .*30"
    ):
        assert_matches(cube.slice(1), cube, "sales_cube")
    with pytest.raises(AssertionError, match=r"(?s)7 rows, expected 6.*unexpected row"):
        assert_matches(pa.concat_tables([cube, cube.slice(0, 1)]), cube, "sales_cube")
    turned = cube.take(pa.array([1, 0, 2, 3, 4, 5]))
    with pytest.raises(AssertionError, match=r"order: row 0 is .*31.*expected .*30"):
        assert_matches(turned, cube, "sales_cube")


def test_customers_may_come_in_any_order(example):
    customers = example["customers"]
    assert_matches(customers.take(pa.array([2, 0, 1])), customers, "customers")


def test_columns_and_kinds_must_be_those_of_the_contract(example):
    cube = example["sales_cube"]
    with pytest.raises(AssertionError, match="columns"):
        assert_matches(cube.drop_columns(["units"]), cube, "sales_cube")
    floats = cube.set_column(4, "units", cube["units"].cast(pa.float64()))
    with pytest.raises(AssertionError, match="'units' has type double, expected int64"):
        assert_matches(floats, cube, "sales_cube")
    labels = cube.set_column(1, "region", cube["region"].cast(LABEL))
    assert_matches(labels, cube, "sales_cube")


def test_ratios_may_differ_in_their_last_bits(example):
    region = example["region_performance"]
    share = region["net_revenue_share"][0].as_py()
    near = _change(region, "net_revenue_share", 0, math.nextafter(share, 1))
    assert_matches(near, region, "region_performance")
