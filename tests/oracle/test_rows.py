"""What becomes of single rows."""

import math
from datetime import datetime, timedelta, timezone

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from oracle import oracle_tables
from oracle.example import utc
from oracle.raw_files import AS_OF, write_raw
from support.good_rows import raw_table as raw

NAN, INF = math.nan, math.inf


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
