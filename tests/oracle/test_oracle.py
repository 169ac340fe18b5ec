"""The contract by example: twelve raw rows, and by hand what becomes of them."""

import math
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from dask_etl.retail import schema
from dask_etl.retail.parameters import Cleaning, Segments
from dask_etl.retail.tables import (
    CATEGORY_PERFORMANCE,
    CLEAN_TRANSACTIONS,
    COHORT_RETENTION,
    CUSTOMER_SEGMENTS,
    CUSTOMER_SUMMARY,
    CUSTOMERS,
    DAILY_SALES,
    MONTHLY_SALES,
    ORDER_SUMMARY,
    ORDERS,
    REGION_PERFORMANCE,
    REJECTED_TRANSACTIONS,
    ROW_LEDGER,
    SALES_CUBE,
    SEGMENT_SUMMARY,
    WEEKDAY_PATTERN,
)
from dask_etl.tables import LABEL
from oracle import TABLES, assert_matches, oracle_tables
from oracle.raw_files import AS_OF, dirty_transactions, write_raw
from support.good_rows import raw_table as raw

NAN, INF = math.nan, math.inf


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)


def table(kind: pa.Schema, rows: Sequence[tuple]) -> pa.Table:
    """A table with a schema of the project, from tuples."""
    columns = zip(*rows, strict=True) if rows else [[]] * len(kind)
    return pa.table(
        [
            pa.array(list(values), field.type.value_type).cast(field.type)
            if pa.types.is_dictionary(field.type)
            else pa.array(list(values), field.type)
            for values, field in zip(columns, kind, strict=True)
        ],
        schema=kind,
    )


@pytest.fixture
def judge(tmp_path):
    """Computes the oracle's tables of raw rows."""

    def judge(rows: pa.Table, parts: int = 1, as_of=AS_OF, **options):
        return oracle_tables(write_raw(tmp_path, rows, parts), as_of, **options)

    return judge


# ---------------------------------------------------------------- the example

EXAMPLE_AS_OF = utc(2024, 3, 10, 12)

EXAMPLE_SEGMENTS = Segments(
    rules={"Recent": {"recency": {4, 5}}, "Frequent": {"frequency": {4, 5}}, "Rest": {}}
)

_AFTER = EXAMPLE_AS_OF + timedelta(microseconds=1)

# fmt: off
EXAMPLE = [
    # id, customer, category, region, amount, quantity, discount, timestamp, rating, returned
    # part-00000.parquet
    (1, 1, "Books", "North", 10.0, 2, 0.5, utc(2024, 1, 31, 23, 59, 59), 4.0, False),
    (2, 2, None, "South", 10.01, 1, None, utc(2024, 2, 1), None, None),
    (3, 1, "Books", None, 50.0, 3, 0.0, utc(2024, 2, 15, 12, 0, 1), 5.0, True),
    (2, 9, "Toys", "North", 7.0, 1, 0.1, utc(2024, 2, 16), 3.0, False),
    (None, None, "Toys", "North", -1.0, 1, NAN, utc(2024, 2, 17), 6.0, False),
    (5, 3, "Toys", "North", NAN, 0, 1.5, _AFTER, NAN, None),
    # part-00001.parquet
    (4, 3, "Toys", "North", 200.0, 1, 0.25, EXAMPLE_AS_OF, 1.0, False),
    (6, 2, "Toys", "South", 200.01, 1, 1.0, utc(2024, 3, 1), NAN, False),
    (5, 2, "Books", "North", 0.25, 1, 0.5, utc(2024, 1, 30, 8), 2.0, False),
    (5, 2, "Books", "North", 0.25, 1, 0.5, utc(2024, 1, 30, 8), 2.0, False),
    (7, 1, "Books", "North", 3.0, None, 0.0, None, 2.0, False),
    (8, 1, "Books", "South", INF, 1, -INF, utc(2024, 2, 20), None, False),
]
# fmt: on

NET = 17013
"""Cents that the example's customers kept to their purchases: 1000, 1013 and 15000."""


@pytest.fixture(scope="module")
def example(tmp_path_factory) -> dict[str, pa.Table]:
    files = write_raw(tmp_path_factory.mktemp("raw"), table(schema.raw(), EXAMPLE), 2)
    return oracle_tables(files, EXAMPLE_AS_OF, segments=EXAMPLE_SEGMENTS)


# fmt: off
EXPECTED = {
    # The category is that of the unit price; 12.5 cents round to the even 12.
    "clean_transactions": (CLEAN_TRANSACTIONS.schema, [
        (1, 1, "Books", "North", 10.0, 2, 0.5, utc(2024, 1, 31, 23, 59, 59), 4.0, False,
         5.0, 10.0, "Low", 2024, 1, 1, 2),
        (2, 2, "Unknown", "South", 10.01, 1, 0.0, utc(2024, 2, 1), None, False,
         10.01, 10.01, "Medium", 2024, 2, 1, 3),
        (3, 1, "Books", "Unknown", 50.0, 3, 0.0, utc(2024, 2, 15, 12, 0, 1), 5.0, True,
         50.0, 150.0, "Medium", 2024, 2, 1, 3),
        (4, 3, "Toys", "North", 200.0, 1, 0.25, EXAMPLE_AS_OF, 1.0, False,
         150.0, 150.0, "High", 2024, 3, 1, 6),
        (6, 2, "Toys", "South", 200.01, 1, 1.0, utc(2024, 3, 1), None, False,
         0.0, 0.0, "Premium", 2024, 3, 1, 4),
        (5, 2, "Books", "North", 0.25, 1, 0.5, utc(2024, 1, 30, 8), 2.0, False,
         0.125, 0.12, "Low", 2024, 1, 1, 1),
    ]),
    # Raw values, NaN as null. The first delivery of 5 broke rules, so the second one
    # stays and the third is the duplicate.
    "rejected_transactions": (REJECTED_TRANSACTIONS.schema, [
        (2, 9, "Toys", "North", 7.0, 1, 0.1, utc(2024, 2, 16), 3.0, False,
         ["duplicate_transaction_id"], "part-00000.parquet", 3),
        (None, None, "Toys", "North", -1.0, 1, None, utc(2024, 2, 17), 6.0, False,
         ["missing_transaction_id", "missing_customer_id", "non_positive_amount",
          "rating_out_of_range"], "part-00000.parquet", 4),
        (5, 3, "Toys", "North", None, 0, 1.5, _AFTER, None, None,
         ["missing_amount", "non_positive_quantity", "discount_out_of_range",
          "future_timestamp"], "part-00000.parquet", 5),
        (5, 2, "Books", "North", 0.25, 1, 0.5, utc(2024, 1, 30, 8), 2.0, False,
         ["duplicate_transaction_id"], "part-00001.parquet", 3),
        (7, 1, "Books", "North", 3.0, None, 0.0, None, 2.0, False,
         ["missing_timestamp", "missing_quantity"], "part-00001.parquet", 4),
        (8, 1, "Books", "South", INF, 1, -INF, utc(2024, 2, 20), None, False,
         ["missing_amount"], "part-00001.parquet", 5),
    ]),
    "row_ledger": (ROW_LEDGER.schema, [
        ("part-00000.parquet", 6, 3, 3, 0, 0, 1, 1, 0, 1, 0, 1, 1, 1, 1, 0, 1, 1, EXAMPLE_AS_OF),
        ("part-00001.parquet", 6, 3, 3, 0, 0, 0, 0, 1, 1, 1, 0, 0, 0, 0, 0, 0, 1, EXAMPLE_AS_OF),
    ]),
    "sales_cube": (SALES_CUBE.schema, [
        (date(2024, 1, 30), "North", "Books", 1, 1, 12, 0, 0, 0, 2.0, 1),
        (date(2024, 1, 31), "North", "Books", 1, 2, 1000, 0, 0, 0, 4.0, 1),
        (date(2024, 2, 1), "South", "Unknown", 1, 1, 1001, 0, 0, 0, 0.0, 0),
        (date(2024, 2, 15), "Unknown", "Books", 1, 3, 15000, 1, 3, 15000, 5.0, 1),
        (date(2024, 3, 1), "South", "Toys", 1, 1, 0, 0, 0, 0, 0.0, 0),
        (date(2024, 3, 10), "North", "Toys", 1, 1, 15000, 0, 0, 0, 1.0, 1),
    ]),
    "customers": (CUSTOMERS.schema, [
        (1, 2, 5, 16000, 1, 3, 15000, 9.0, 2,
         utc(2024, 1, 31, 23, 59, 59), utc(2024, 2, 15, 12, 0, 1),
         ["North", "Unknown"], ["Books"], [date(2024, 1, 1), date(2024, 2, 1)]),
        (2, 3, 3, 1013, 0, 0, 0, 2.0, 1,
         utc(2024, 1, 30, 8), utc(2024, 3, 1),
         ["North", "South"], ["Books", "Toys", "Unknown"],
         [date(2024, 1, 1), date(2024, 2, 1), date(2024, 3, 1)]),
        (3, 1, 1, 15000, 0, 0, 0, 1.0, 1,
         EXAMPLE_AS_OF, EXAMPLE_AS_OF,
         ["North"], ["Toys"], [date(2024, 3, 1)]),
    ]),
    "region_performance": (REGION_PERFORMANCE.schema, [
        ("North", 3, 4, 0, 160.12, 0.0, 160.12,
         16012 / NET, 160.12 / 3, 3, 0.0, 0.0, 7 / 3),
        ("South", 2, 2, 0, 10.01, 0.0, 10.01, 1001 / NET, 5.005, 1, 0.0, 0.0, None),
        ("Unknown", 1, 3, 3, 150.0, 150.0, 0.0, 0.0, 0.0, 1, 1.0, 1.0, 5.0),
    ]),
    "category_performance": (CATEGORY_PERFORMANCE.schema, [
        ("Toys", 2, 2, 0, 150.0, 0.0, 150.0,
         15000 / NET, 75.0, 2, 0.0, 0.0, 1.0, 1, 15000 / NET),
        ("Books", 3, 6, 3, 160.12, 150.0, 10.12,
         1012 / NET, 10.12 / 3, 2, 1 / 3, 15000 / 16012, 11 / 3, 2, 16012 / NET),
        ("Unknown", 1, 1, 0, 10.01, 0.0, 10.01,
         1001 / NET, 10.01, 1, 0.0, 0.0, None, 3, 1.0),
    ]),
    # The data run from 30 January to 10 March: only February is complete.
    "monthly_sales": (MONTHLY_SALES.schema, [
        (date(2024, month, 1), label, label is None, *sold,
         month == 2, None, None, None, False)
        for month, label, *sold in [
            (1, None, 2, 3, 0, 10.12, 0.0, 10.12),
            (1, "Books", 2, 3, 0, 10.12, 0.0, 10.12),
            (1, "Toys", 0, 0, 0, 0.0, 0.0, 0.0),
            (1, "Unknown", 0, 0, 0, 0.0, 0.0, 0.0),
            (2, None, 2, 4, 3, 160.01, 150.0, 10.01),
            (2, "Books", 1, 3, 3, 150.0, 150.0, 0.0),
            (2, "Toys", 0, 0, 0, 0.0, 0.0, 0.0),
            (2, "Unknown", 1, 1, 0, 10.01, 0.0, 10.01),
            (3, None, 2, 2, 0, 150.0, 0.0, 150.0),
            (3, "Books", 0, 0, 0, 0.0, 0.0, 0.0),
            (3, "Toys", 2, 2, 0, 150.0, 0.0, 150.0),
            (3, "Unknown", 0, 0, 0, 0.0, 0.0, 0.0),
        ]
    ]),
    # 41 days, a Tuesday the first: every weekday six times, Mondays five.
    "weekday_pattern": (WEEKDAY_PATTERN.schema, [
        (0, 5, 0, 0.0, 0.0, 0.0),
        (1, 6, 1, 0.12, 0.02, 0.02 * 41 / 170.13),
        (2, 6, 1, 10.0, 10 / 6, 10 / 6 * 41 / 170.13),
        (3, 6, 2, 10.01, 10.01 / 6, 10.01 / 6 * 41 / 170.13),
        (4, 6, 1, 0.0, 0.0, 0.0),
        (5, 6, 0, 0.0, 0.0, 0.0),
        (6, 6, 1, 150.0, 25.0, 25 * 41 / 170.13),
    ]),
    # Of three customers none, one and two are worse: 1, 1 + ⌊5/3⌋ and 1 + ⌊10/3⌋.
    # Customer 1 bought 24 days less a second before as_of, which is 23 whole days.
    "customer_segments": (CUSTOMER_SEGMENTS.schema, [
        (1, 23, 2, 10.0, 1, 2, 1, "Rest"),
        (2, 9, 3, 10.13, 2, 4, 2, "Frequent"),
        (3, 0, 1, 150.0, 4, 1, 4, "Recent"),
    ]),
    "segment_summary": (SEGMENT_SUMMARY.schema, [
        ("Frequent", 1, 1 / 3, 10.13, 1013 / NET, 9.0, 3.0, 10.13),
        ("Recent", 1, 1 / 3, 150.0, 15000 / NET, 0.0, 1.0, 150.0),
        ("Rest", 1, 1 / 3, 10.0, 1000 / NET, 23.0, 2.0, 10.0),
    ]),
    "cohort_retention": (COHORT_RETENTION.schema, [
        (date(2024, 1, 1), 0, False, 2, 2, 1.0),
        (date(2024, 1, 1), 1, True, 2, 2, 1.0),
        (date(2024, 1, 1), 2, False, 2, 1, 0.5),
        (date(2024, 3, 1), 0, False, 1, 1, 1.0),
        (date(2024, 3, 1), 1, False, 1, None, None),
        (date(2024, 3, 1), 2, False, 1, None, None),
    ]),
    "customer_summary": (CUSTOMER_SUMMARY.schema, [
        (3, "lines", 2 / 3, 56.71, (2 * 15000 - 2 * 1000) / (3 * NET), 15000 / NET),
    ]),
    "orders": (ORDERS.schema, []),
    "order_summary": (ORDER_SUMMARY.schema, [
        ("lines", 6, 6, 9, 3, 320.13, 150.0, 170.13, 1.0, 1.5, 170.13 / 6),
    ]),
}
# fmt: on


def _expected_days() -> pa.Table:
    """``daily_sales`` of the example, the averages summed up naively."""
    sold = {
        date(2024, 1, 30): (1, 1, 0, 12, 0),
        date(2024, 1, 31): (1, 2, 0, 1000, 0),
        date(2024, 2, 1): (1, 1, 0, 1001, 0),
        date(2024, 2, 15): (1, 3, 3, 15000, 15000),
        date(2024, 3, 1): (1, 1, 0, 0, 0),
        date(2024, 3, 10): (1, 1, 0, 15000, 0),
    }
    days = [date(2024, 1, 30) + timedelta(days=n) for n in range(41)]
    filled = [sold.get(day, (0, 0, 0, 0, 0)) for day in days]
    net = [cents - returned for *_, cents, returned in filled]
    rows = []
    for n, (day, (*counts, cents, returned)) in enumerate(
        zip(days, filled, strict=True)
    ):
        money = [value / 100 for value in (cents, returned, cents - returned)]
        averages = [
            sum(net[n + 1 - window : n + 1]) / window / 100 if n + 1 >= window else None
            for window in (7, 28)
        ]
        rows.append((day, *counts, *money, *averages))
    return table(DAILY_SALES.schema, rows)


def test_the_example_covers_every_table(example):
    assert {*EXPECTED, "daily_sales"} == set(TABLES) == set(example)


@pytest.mark.parametrize("name", EXPECTED)
def test_example(example, name):
    expected = table(*EXPECTED[name])
    assert example[name].schema == expected.schema
    assert_matches(example[name], expected, name)


def test_example_days(example):
    days = example["daily_sales"]
    assert_matches(days, _expected_days(), "daily_sales")
    assert days["moving_average_7"].to_pylist()[5:8] == [
        None,
        pytest.approx(20.13 / 7, rel=1e-12),
        pytest.approx(20.01 / 7, rel=1e-12),
    ]
    assert days["moving_average_28"].null_count == 27
    assert days["moving_average_28"][-1].as_py() == pytest.approx(150 / 28, rel=1e-12)


# ---------------------------------------------------------------- rows


@pytest.mark.parametrize(
    ("column", "value", "rules"),
    [
        ("amount", 0.0, ["non_positive_amount"]),
        ("amount", -INF, ["missing_amount"]),
        ("amount", 0.01, []),
        ("quantity", -1, ["non_positive_quantity"]),
        ("discount", 0.0, []),
        ("discount", 1.0, []),
        ("discount", math.nextafter(1, 2), ["discount_out_of_range"]),
        ("discount", -math.nextafter(0, 1), ["discount_out_of_range"]),
        ("discount", INF, []),
        ("rating", 1.0, []),
        ("rating", 5.0, []),
        ("rating", 4.5, []),
        ("rating", math.nextafter(5, 6), ["rating_out_of_range"]),
        ("rating", math.nextafter(1, 0), ["rating_out_of_range"]),
        ("rating", -INF, []),
        ("timestamp", AS_OF, []),
        ("timestamp", AS_OF + timedelta(microseconds=1), ["future_timestamp"]),
        ("timestamp", utc(2300, 1, 1), ["future_timestamp"]),
    ],
)
def test_boundaries_of_the_rules(judge, column, value, rules):
    tables = judge(raw(**{column: [value]}))
    assert tables["rejected_transactions"]["reasons"].to_pylist() == [rules] * bool(
        rules
    )
    assert tables["clean_transactions"].num_rows == (not rules)


def test_null_and_not_finite_numbers_of_kept_rows_are_filled_in(judge):
    clean = judge(raw(discount=[None, NAN, INF], rating=[None, NAN, -INF]))[
        "clean_transactions"
    ]
    assert clean["discount"].to_pylist() == [0, 0, 0]
    assert clean["rating"].to_pylist() == [None] * 3


def test_nan_is_null_and_infinite_stays_in_rejected_rows(judge):
    rejected = judge(
        raw(amount=[NAN, INF], discount=[INF, NAN], rating=[NAN, -INF]),
    )["rejected_transactions"]
    assert rejected["amount"].to_pylist() == [None, INF]
    assert rejected["discount"].to_pylist() == [INF, None]
    assert rejected["rating"].to_pylist() == [None, -INF]


@pytest.mark.parametrize("parts", [1, 2, 6])
def test_the_first_good_delivery_stays_in_whichever_file(judge, parts):
    tables = judge(
        raw(
            transaction_id=[7, 7, 8, 7, 7, 8],
            amount=[-1.0, 2.0, 3.0, 2.0, 5.0, 6.0],
        ),
        parts,
    )
    assert tables["clean_transactions"]["amount"].to_pylist() == [2.0, 3.0]
    assert tables["rejected_transactions"]["reasons"].to_pylist() == [
        ["non_positive_amount"],
        *[["duplicate_transaction_id"]] * 3,
    ]


def test_raw_order_is_the_order_of_the_list_of_files(tmp_path):
    rows = raw(transaction_id=[1, 1], amount=[2.0, 3.0])
    first, second = write_raw(tmp_path, rows, 2)
    tables = oracle_tables([second, first], AS_OF)
    assert tables["clean_transactions"]["amount"].to_pylist() == [3.0]
    assert tables["row_ledger"]["source_file"].to_pylist() == [second.name, first.name]


def test_revenue_is_rounded_as_numpy_does(judge):
    random = np.random.default_rng(3)
    size = 20_000
    amount = np.concatenate(
        [
            np.round(random.lognormal(3, 2, size), 2) + 0.01,
            random.integers(1, 4000, size) / 8,
        ]
    )
    discount = np.concatenate(
        [
            np.round(random.uniform(0, 1, size), 2),
            random.choice([0, 0.5, 0.25, 0.125], size),
        ]
    )
    quantity = random.integers(1, 100, 2 * size)
    tables = judge(
        raw(
            amount=pa.array(amount),
            discount=pa.array(discount),
            quantity=list(quantity),
        )
    )
    clean = tables["clean_transactions"]
    cents = np.rint(amount * (1 - discount) * quantity * 100)
    exact = amount * (1 - discount) * quantity * 100
    assert (exact % 1 == 0.5).sum() > 1000
    np.testing.assert_array_equal(clean["revenue"].to_numpy(), cents / 100)
    np.testing.assert_array_equal(
        clean["net_amount"].to_numpy(), amount * (1 - discount)
    )
    total = sum(int(c) for c in cents)
    assert pc.sum(tables["sales_cube"]["revenue_cents"]).as_py() == total


def test_price_bounds_are_a_parameter(judge):
    rows = raw(amount=[1.0, 1.01, 2.0, 3.0, 3.01])
    clean = judge(rows, price_bounds=(1, 2, 3))["clean_transactions"]
    assert clean["price_category"].to_pylist() == [
        "Low",
        "Medium",
        "Medium",
        "High",
        "Premium",
    ]


def test_ratings_add_up_in_millionths(judge):
    cube = judge(raw(rating=[1.1, 2.2, 3.3, 4 / 3, None]))["sales_cube"]
    assert cube["rating_sum"].to_pylist() == [(6600000 + 1333333) / 1e6]
    assert cube["rating_count"].to_pylist() == [4]


def test_calendar_columns_are_utc(judge):
    naive = pa.array([datetime(2023, 12, 31, 23, 59)], pa.timestamp("us"))
    elsewhere = pa.array([utc(2023, 12, 31, 23, 59)], pa.timestamp("us", "Asia/Tokyo"))
    for moment in (naive, elsewhere):
        clean = judge(raw(timestamp=moment))["clean_transactions"]
        assert clean.select(
            ["year", "month", "quarter", "day_of_week"]
        ).to_pylist() == [{"year": 2023, "month": 12, "quarter": 4, "day_of_week": 6}]
        assert clean["timestamp"].to_pylist() == [utc(2023, 12, 31, 23, 59)]


def test_as_of_without_a_zone_is_utc(judge):
    rows = raw(timestamp=[utc(2024, 1, 1)])
    ledger = judge(rows, as_of=datetime(2024, 1, 1))["row_ledger"]
    assert ledger["as_of"].to_pylist() == [utc(2024, 1, 1)]
    assert ledger["rows_kept"].to_pylist() == [1]
    tokyo = timezone(timedelta(hours=9))
    ledger = judge(rows, as_of=datetime(2024, 1, 1, tzinfo=tokyo))["row_ledger"]
    assert ledger["as_of"].to_pylist() == [utc(2023, 12, 31, 15)]
    assert ledger["future_timestamp"].to_pylist() == [1]


# ---------------------------------------------------------------- types


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


# ---------------------------------------------------------------- little or no data


@pytest.mark.parametrize("parts", [1, 3])
@pytest.mark.parametrize("rows", ["none", "all rejected"])
def test_nothing_kept(judge, parts, rows):
    data = raw(amount=[]) if rows == "none" else raw(amount=[-1.0, None, NAN])
    tables = judge(data, parts)
    ledger = tables.pop("row_ledger")
    assert ledger.num_rows == parts
    assert pc.sum(ledger["rows_read"]).as_py() == data.num_rows
    assert pc.sum(ledger["rows_kept"]).as_py() == 0
    assert tables.pop("rejected_transactions").num_rows == data.num_rows
    assert tables.pop("customer_summary").to_pylist() == [
        {
            "customers": 0,
            "counted": "lines",
            "repeat_purchase_rate": None,
            "average_revenue_per_customer": None,
            "gini": None,
            "top_20_percent_share": None,
        }
    ]
    assert tables.pop("order_summary")["orders"].to_pylist() == [0]
    assert {name: found.num_rows for name, found in tables.items()} == dict.fromkeys(
        tables, 0
    )


def test_one_row(judge):
    tables = judge(raw(amount=[20.0], rating=[3.0]), as_of=utc(2024, 1, 3))
    assert tables["customer_segments"].to_pylist() == [
        {
            "customer_id": 1,
            "recency_days": 2,
            "frequency": 1,
            "monetary": 20.0,
            "recency_score": 1,
            "frequency_score": 1,
            "monetary_score": 1,
            "segment": "All",
        }
    ]
    # 1 January 2024 is a Monday; no other weekday is in the period.
    weekdays = tables["weekday_pattern"]
    assert weekdays["calendar_days"].to_pylist() == [1, 0, 0, 0, 0, 0, 0]
    assert weekdays["mean_revenue_per_day"].to_pylist() == [20.0] + [None] * 6
    assert weekdays["index_to_mean"].to_pylist() == [1.0] + [None] * 6
    assert tables["cohort_retention"]["retention"].to_pylist() == [1.0]
    assert tables["customer_summary"].to_pylist() == [
        {
            "customers": 1,
            "counted": "lines",
            "repeat_purchase_rate": 0.0,
            "average_revenue_per_customer": 20.0,
            "gini": 0.0,
            "top_20_percent_share": 1.0,
        }
    ]


def test_ratios_of_nothing_are_null(judge):
    tables = judge(
        raw(amount=[5.0, 5.0], discount=[1.0, 0.0], is_returned=[False, True])
    )
    region = tables["region_performance"].to_pylist()[0]
    assert region["net_revenue"] == 0
    assert region["net_revenue_share"] is None
    assert region["return_rate_value"] == 1.0
    assert region["average_rating"] is None
    assert tables["category_performance"]["cumulative_share"].to_pylist() == [None]
    assert tables["weekday_pattern"]["index_to_mean"].to_pylist() == [None] * 7
    assert tables["segment_summary"]["net_revenue_share"].to_pylist() == [None]
    summary = tables["customer_summary"].to_pylist()[0]
    assert summary["gini"] is None
    assert summary["top_20_percent_share"] is None
    free = judge(raw(amount=[5.0], discount=[1.0]))["region_performance"]
    assert free["return_rate_value"].to_pylist() == [None]


# ---------------------------------------------------------------- analyses


def test_categories_with_equal_revenue_share_a_rank(judge):
    performance = judge(
        raw(
            product_category=["b", "a", "c", "d"],
            amount=[3.0, 3.0, 1.0, 5.0],
        )
    )["category_performance"]
    assert performance["product_category"].to_pylist() == ["d", "a", "b", "c"]
    assert performance["rank"].to_pylist() == [1, 2, 2, 4]
    assert performance["cumulative_share"].to_pylist() == pytest.approx(
        [5 / 12, 8 / 12, 11 / 12, 1.0]
    )


def test_changes_compare_complete_months_only(judge):
    # A sale on both ends makes January 2023 to February 2024 complete, March not.
    sales = {
        utc(2023, 1, 1): 10.0,
        utc(2023, 2, 5): 20.0,
        utc(2023, 4, 5): 30.0,
        utc(2024, 1, 5): 15.0,
        utc(2024, 2, 5): 5.0,
        utc(2024, 3, 30): 80.0,
    }
    rows = raw(timestamp=list(sales), amount=list(sales.values()))
    monthly = judge(rows)["monthly_sales"].to_pylist()
    found = {row["month"]: row for row in monthly if row["is_total"]}
    assert len(found) == 15
    assert sum(row["is_complete"] for row in found.values()) == 14
    assert not found[date(2024, 3, 1)]["is_complete"]
    on_month = {m: row["month_on_month"] for m, row in found.items()}
    assert on_month[date(2023, 1, 1)] is None
    assert on_month[date(2023, 2, 1)] == pytest.approx(1.0)
    assert on_month[date(2023, 3, 1)] == pytest.approx(-1.0)
    assert on_month[date(2023, 4, 1)] is None
    assert on_month[date(2024, 2, 1)] == pytest.approx(5 / 15 - 1)
    assert on_month[date(2024, 3, 1)] is None
    on_year = {m: row["year_on_year"] for m, row in found.items()}
    assert on_year[date(2023, 12, 1)] is None
    assert on_year[date(2024, 1, 1)] == pytest.approx(0.5)
    assert on_year[date(2024, 2, 1)] == pytest.approx(-0.75)
    assert on_year[date(2024, 3, 1)] is None


@pytest.mark.parametrize(
    ("last", "enough"), [(utc(2024, 12, 30), False), (utc(2024, 12, 31), True)]
)
def test_seasons_need_24_complete_months(judge, last, enough):
    first = [utc(year, month, 1) for year in (2023, 2024) for month in range(1, 13)]
    rows = raw(
        timestamp=[*first, last],
        amount=[10.0 if moment.month != 7 else 70.0 for moment in [*first, last]],
        product_category=["a"] * 24 + ["b"],
    )
    monthly = judge(rows, as_of=utc(2025, 1, 1))["monthly_sales"]
    assert set(monthly["enough_data"].to_pylist()) == {enough}
    found = {
        (row["month"], row["product_category"]): row["seasonality_index"]
        for row in monthly.to_pylist()
    }
    assert len(found) == 24 * 3
    if not enough:
        assert set(found.values()) == {None}
        return
    # All categories: 22 months of 10, two of 70, and 10 more in December 2024
    mean = (22 * 10 + 2 * 70 + 10) / 24
    assert found[date(2023, 7, 1), None] == pytest.approx(70 / mean)
    assert found[date(2024, 7, 1), None] == pytest.approx(70 / mean)
    assert found[date(2023, 12, 1), None] == pytest.approx(15 / mean)
    assert found[date(2023, 1, 1), None] == pytest.approx(10 / mean)
    assert found[date(2023, 12, 1), "b"] == pytest.approx(12.0)
    assert found[date(2023, 1, 1), "b"] == 0.0


def test_months_at_the_edge_of_the_data_count_only_if_complete(judge):
    # 15 December 2022 to 31 December 2024: December's mean leaves out 2022.
    moments = [utc(2022, 12, 15)]
    moments += [utc(year, month, 1) for year in (2023, 2024) for month in range(1, 13)]
    moments += [utc(2024, 12, 31)]
    rows = raw(timestamp=moments, amount=[1000.0] + [1.0] * 25)
    monthly = judge(rows, as_of=utc(2025, 1, 1))["monthly_sales"].to_pylist()
    december = [row for row in monthly if row["month"].month == 12]
    assert [row["is_complete"] for row in december] == [False] * 2 + [True] * 4
    for row in december:
        assert row["seasonality_index"] == pytest.approx(1.5 / (25 / 24))
    changes = {
        row["month"]: (row["month_on_month"], row["year_on_year"])
        for row in monthly
        if row["is_total"]
    }
    assert changes[date(2022, 12, 1)] == (None, None)
    assert changes[date(2023, 1, 1)] == (None, None)
    assert changes[date(2023, 12, 1)] == (0.0, None)
    assert changes[date(2024, 12, 1)] == (1.0, 1.0)


def test_equal_customers_share_a_score(judge):
    customers = [1, 2, 3, 4, 5, 6, 6, 7, 7, 8]
    tables = judge(raw(customer_id=customers, amount=[1.0] * 5 + [0.5] * 4 + [9.0]))
    found = tables["customer_segments"]
    # 8 customers; all were last seen on the same day
    assert found["recency_score"].to_pylist() == [1] * 8
    # six bought once (0 worse), two twice (6 worse): 1 and 1 + ⌊30/8⌋
    assert found["frequency_score"].to_pylist() == [1] * 5 + [4, 4, 1]
    # seven spent 1.00, one 9.00 (7 worse): 1 + ⌊35/8⌋
    assert found["monetary_score"].to_pylist() == [1] * 7 + [5]


def test_five_different_customers_have_five_scores(judge):
    moments = [AS_OF - timedelta(days=n, hours=1) for n in range(5)]
    rows = raw(
        customer_id=[1, 2, 3, 4, 5], timestamp=moments, amount=[5.0, 4.0, 3.0, 2.0, 1.0]
    )
    found = judge(rows)["customer_segments"]
    assert found["recency_days"].to_pylist() == [0, 1, 2, 3, 4]
    assert found["recency_score"].to_pylist() == [5, 4, 3, 2, 1]
    assert found["monetary_score"].to_pylist() == [5, 4, 3, 2, 1]


def test_the_first_segment_that_fits_wins(judge):
    segments = Segments(
        rules={
            "z first": {"monetary": {5}},
            "a second": {"monetary": {4, 5}},
            "m rest": {},
        }
    )
    rows = raw(customer_id=[1, 2, 3, 4, 5], amount=[5.0, 4.0, 3.0, 2.0, 1.0])
    tables = judge(rows, segments=segments)
    assert tables["customer_segments"]["segment"].to_pylist() == [
        "z first",
        "a second",
        *["m rest"] * 3,
    ]
    summary = tables["segment_summary"]
    assert summary["segment"].to_pylist() == ["a second", "m rest", "z first"]
    assert summary["customer_share"].to_pylist() == pytest.approx([0.2, 0.6, 0.2])
    assert summary["average_monetary"].to_pylist() == pytest.approx([4.0, 2.0, 5.0])


def test_a_month_without_purchases_is_0_and_a_month_to_come_is_null(judge):
    rows = raw(
        customer_id=[1, 1, 2, 3],
        timestamp=[
            utc(2023, 11, 30, 23),
            utc(2024, 2, 1),
            utc(2023, 11, 1),
            utc(2024, 1, 9),
        ],
    )
    retention = judge(rows)["cohort_retention"].to_pylist()
    assert [tuple(row.values()) for row in retention] == [
        (date(2023, 11, 1), 0, True, 2, 2, 1.0),
        (date(2023, 11, 1), 1, True, 2, 0, 0.0),
        (date(2023, 11, 1), 2, True, 2, 0, 0.0),
        (date(2023, 11, 1), 3, False, 2, 1, 0.5),
        (date(2024, 1, 1), 0, True, 1, 1, 1.0),
        (date(2024, 1, 1), 1, False, 1, 0, 0.0),
        (date(2024, 1, 1), 2, False, 1, None, None),
        (date(2024, 1, 1), 3, False, 1, None, None),
    ]


def test_inequality(judge):
    def summary(*amounts: float) -> dict:
        rows = raw(customer_id=list(range(len(amounts))), amount=list(amounts))
        return judge(rows)["customer_summary"].to_pylist()[0]

    equal = summary(3.0, 3.0, 3.0)
    assert equal["gini"] == 0
    assert equal["top_20_percent_share"] == pytest.approx(1 / 3)
    # Σ(2i - n - 1)x = -5*1 - 3*2 - 1*3 + 1*4 + 3*5 + 5*6 = 35; n Σx = 6 * 21
    six = summary(6.0, 5.0, 4.0, 3.0, 2.0, 1.0)
    assert six["gini"] == pytest.approx(35 / 126)
    assert six["top_20_percent_share"] == pytest.approx(11 / 21)


# ---------------------------------------------------------------- dirty data


@pytest.mark.parametrize("string_ids", [False, True])
def test_dirty_data_break_every_rule_and_meet_every_boundary(judge, string_ids):
    rows = dirty_transactions(500, seed=6, string_ids=string_ids)
    tables = judge(rows, parts=3)
    ledger = tables["row_ledger"].drop_columns(["source_file", "as_of"])
    totals = {name: pc.sum(ledger[name]).as_py() for name in ledger.column_names}
    assert totals["rows_read"] == 500
    assert totals["rows_read"] == totals["rows_kept"] + totals["rows_rejected"]
    assert all(totals[rule] for rule in schema.RULES)
    reasons = tables["rejected_transactions"]["reasons"].to_pylist()
    assert any(len(broken) > 2 for broken in reasons)

    clean = tables["clean_transactions"]
    assert set(clean["price_category"].to_pylist()) == set(schema.PRICE_CATEGORIES)
    for column, values in {
        "amount": {10.0, 50.0, 200.0},
        "discount": {0.0, 1.0},
        "rating": {1.0, 5.0, None},
        "timestamp": {AS_OF},
        "region": {"Unknown"},
        "is_returned": {True, False},
    }.items():
        assert values <= set(clean[column].to_pylist()), column
    assert any(map(math.isnan, filter(None, rows["amount"].to_pylist())))
    assert any(map(math.isinf, filter(None, rows["amount"].to_pylist())))
    assert any(tables["monthly_sales"]["enough_data"].to_pylist())


def test_dirty_data_depend_on_the_seed_only():
    assert str(dirty_transactions(50, 1)) == str(dirty_transactions(50, 1))
    assert str(dirty_transactions(50, 1)) != str(dirty_transactions(50, 2))
    assert dirty_transactions(0, 1).num_rows == 0
    assert dirty_transactions(1, 1, regions=1000, customers=1).num_rows == 1


def test_tables_do_not_depend_on_the_files(tmp_path):
    rows = dirty_transactions(400, seed=2)
    whole = oracle_tables(write_raw(tmp_path / "1", rows, 1), AS_OF)
    split = oracle_tables(write_raw(tmp_path / "2", rows, 450), AS_OF)
    assert split["row_ledger"].num_rows == 450
    for name in TABLES:
        if name == "row_ledger":
            continue
        left, right = whole[name], split[name]
        if name == "rejected_transactions":
            left, right = (
                side.drop_columns(["source_file", "source_row"])
                for side in (left, right)
            )
        assert left.to_pylist() == right.to_pylist(), name


def test_summaries_add_up_to_the_clean_rows(judge):
    tables = judge(dirty_transactions(600, seed=3), parts=4)
    clean = tables["clean_transactions"]
    cents = int(np.rint(clean["revenue"].to_numpy() * 100).sum())
    for name in ("sales_cube", "customers"):
        summary = tables[name]
        assert pc.sum(summary["lines"]).as_py() == clean.num_rows
        assert pc.sum(summary["units"]).as_py() == pc.sum(clean["quantity"]).as_py()
        assert pc.sum(summary["revenue_cents"]).as_py() == cents
        assert (
            pc.sum(summary["rating_count"]).as_py() == pc.count(clean["rating"]).as_py()
        )
    for name in ("region_performance", "category_performance", "daily_sales"):
        assert pc.sum(tables[name]["revenue"]).as_py() == pytest.approx(cents / 100)


# ---------------------------------------------------------------- assert_matches


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


def test_the_example_runs_from_any_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_raw(Path("raw"), raw(amount=[1.0]), 1)
    tables = oracle_tables([Path("raw/part-00000.parquet")], AS_OF)
    assert tables["clean_transactions"].num_rows == 1
