"""The contract by example: twelve raw rows, and by hand what becomes of them."""

import math
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

import pyarrow as pa

from dask_etl.retail.parameters import Segments
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


def expected_days() -> pa.Table:
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
