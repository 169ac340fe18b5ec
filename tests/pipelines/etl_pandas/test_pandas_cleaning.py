import logging
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from dask_etl.pipelines.as_of import resolve_as_of
from dask_etl.pipelines.etl_pandas.cleaning import screen
from dask_etl.retail.parameters import Cleaning, Clock
from dask_etl.retail.rules import ThresholdExceeded
from dask_etl.retail.schema import RULES
from support.engine_runs import TOLERANT
from support.good_rows import CURRENCY
from support.pandas_tables import AS_OF, as_stored, make_raw

NAN, INF = float("nan"), float("inf")


def reasons_of(*changes):
    _, rejected, _ = screen(make_raw(*changes), AS_OF, TOLERANT, CURRENCY)
    return dict(zip(rejected["source_row"], rejected["reasons"], strict=True))


@pytest.mark.parametrize(
    ("change", "reasons"),
    [
        ({}, None),
        ({"transaction_id": None}, ["missing_transaction_id"]),
        ({"customer_id": None}, ["missing_customer_id"]),
        ({"timestamp": None}, ["missing_timestamp"]),
        ({"amount": NAN}, ["missing_amount"]),
        ({"amount": INF}, ["missing_amount"]),
        ({"amount": -INF}, ["missing_amount"]),
        ({"quantity": None}, ["missing_quantity"]),
        ({"quantity": INF}, ["missing_quantity"]),
        ({"amount": 0.0}, ["non_positive_amount"]),
        ({"amount": -1.0}, ["non_positive_amount"]),
        ({"amount": 0.01}, None),
        ({"quantity": 0}, ["non_positive_quantity"]),
        ({"quantity": -3}, ["non_positive_quantity"]),
        ({"discount": -0.01}, ["discount_out_of_range"]),
        ({"discount": 1.01}, ["discount_out_of_range"]),
        ({"discount": 0.0}, None),
        ({"discount": 1.0}, None),
        ({"discount": NAN}, None),
        ({"discount": INF}, None),
        ({"rating": 0.5}, ["rating_out_of_range"]),
        ({"rating": 6.0}, ["rating_out_of_range"]),
        ({"rating": 1.0}, None),
        ({"rating": 5.0}, None),
        ({"rating": NAN}, None),
        ({"rating": -INF}, None),
        ({"timestamp": "2025-01-01T00:00:00"}, None),
        ({"timestamp": "2025-01-01T00:00:00.000001"}, ["future_timestamp"]),
        (
            {"customer_id": None, "amount": -1.0, "rating": 9.0},
            ["missing_customer_id", "non_positive_amount", "rating_out_of_range"],
        ),
    ],
)
def test_a_row_is_rejected_by_the_rules_it_breaks(change, reasons):
    found = reasons_of({}, change)
    assert found == ({1: reasons} if reasons else {})


def test_the_first_valid_row_of_an_id_stays():
    found = reasons_of(
        {"transaction_id": 5, "amount": -1.0},  # invalid: does not count as the first
        {"transaction_id": 5, "amount": 1.0},
        {"transaction_id": 6},
        {"transaction_id": 5, "amount": 2.0},  # another line with the same id
        {"transaction_id": 6},  # delivered twice
        {"transaction_id": 5, "quantity": 0},  # broke a rule: not a duplicate as well
    )
    assert found == {
        0: ["non_positive_amount"],
        3: ["duplicate_transaction_id"],
        4: ["duplicate_transaction_id"],
        5: ["non_positive_quantity"],
    }


def test_rows_without_an_id_are_not_duplicates_of_each_other():
    found = reasons_of(*[{"transaction_id": None}] * 2)
    assert found == {0: ["missing_transaction_id"], 1: ["missing_transaction_id"]}


def test_rejected_rows_keep_their_values_and_place():
    raw = make_raw(
        {},
        {"amount": -INF, "region": None, "is_returned": None},
        {"amount": NAN},
        {},
        {"rating": INF, "quantity": 0},
        files=[("a.parquet", 2), ("empty.parquet", 0), ("b.parquet", 3)],
    )
    _, rejected, _ = screen(raw, AS_OF, TOLERANT, CURRENCY)
    rows = as_stored("rejected_transactions", rejected).to_pylist()
    assert [(row["source_file"], row["source_row"]) for row in rows] == [
        ("a.parquet", 1),
        ("b.parquet", 0),
        ("b.parquet", 2),
    ]
    assert [row["amount"] for row in rows] == [-INF, None, 10.0]
    assert [row["rating"] for row in rows] == [4.0, 4.0, INF]
    assert (rows[0]["region"], rows[0]["is_returned"]) == (None, None)


def test_the_ledger_balances_per_file():
    raw = make_raw(
        {"amount": -1.0, "quantity": 0},
        {},
        {"transaction_id": 1},
        {},
        files=[("a", 2), ("empty", 0), ("b", 2), ("also empty", 0)],
    )
    _, _, ledger = screen(raw, AS_OF, TOLERANT, CURRENCY)
    rows = as_stored("row_ledger", ledger).to_pylist()
    counts = [
        (row["source_file"], row["rows_read"], row["rows_kept"], row["rows_rejected"])
        for row in rows
    ]
    assert counts == [
        ("a", 2, 1, 1),
        ("empty", 0, 0, 0),
        ("b", 2, 1, 1),
        ("also empty", 0, 0, 0),
    ]
    broken = [{rule for rule in RULES if row[rule]} for row in rows]
    assert broken == [
        {"non_positive_amount", "non_positive_quantity"},
        set(),
        {"duplicate_transaction_id"},
        set(),
    ]
    assert {row["as_of"] for row in rows} == {AS_OF}


def test_some_rows_of_a_table_keep_their_place():
    raw = make_raw(
        {}, {"amount": -1.0}, {}, {"amount": -1.0}, files=[("a", 2), ("b", 2)]
    )
    _, rejected, ledger = screen(raw[raw["amount"] < 0], AS_OF, TOLERANT, CURRENCY)
    assert rejected["source_file"].tolist() == ["a", "b"]
    assert rejected["source_row"].tolist() == [1, 1]
    assert ledger["rows_read"].tolist() == [1, 1]


def test_a_table_without_file_names_is_one_file():
    raw = make_raw({}, {})
    raw = raw.drop(columns=["source_file", "source_row"])
    _, _, ledger = screen(raw, AS_OF, TOLERANT, CURRENCY)
    assert ledger["rows_read"].tolist() == [2]


def test_the_raw_table_is_left_as_it_was():
    raw = make_raw({"discount": NAN}, {"amount": -1.0})
    before = raw.copy()
    screen(raw, AS_OF, TOLERANT, CURRENCY)
    pd.testing.assert_frame_equal(raw, before)


def test_thresholds_warn_or_fail(caplog):
    raw = make_raw({"amount": -1.0}, {}, {}, {})
    warn = Cleaning(thresholds={"non_positive_amount": {"warn_above": 0.2}})
    with caplog.at_level(logging.WARNING):
        screen(raw, AS_OF, warn, CURRENCY)
    assert "non_positive_amount" in caplog.text
    with pytest.raises(ThresholdExceeded, match="non_positive_amount"):
        screen(
            raw,
            AS_OF,
            Cleaning(thresholds={"non_positive_amount": {"fail_above": 0.2}}),
            CURRENCY,
        )
    exactly = Cleaning(thresholds={"any": {"fail_above": 0.25}})
    screen(raw, AS_OF, exactly, CURRENCY)


def test_as_of_is_the_parameter_in_utc():
    clock = Clock(as_of="2025-01-01T02:00:00+02:00")
    assert str(resolve_as_of(clock)) == "2025-01-01 00:00:00+00:00"
    assert resolve_as_of(Clock(as_of="2025-01-01")).tzinfo is not None


def test_as_of_null_is_now():
    as_of = resolve_as_of(Clock())
    age = datetime.now(UTC) - as_of
    assert timedelta(0) <= age < timedelta(minutes=1)


@pytest.mark.parametrize("dtype", ["float64", "Int64", "object"])
def test_quantities_of_any_type_mean_the_same(dtype):
    raw = make_raw({"quantity": 1}, {"quantity": None}, {"quantity": -1})
    raw["quantity"] = raw["quantity"].astype(dtype)
    kept, rejected, _ = screen(raw, AS_OF, TOLERANT, CURRENCY)
    assert kept["quantity"].tolist() == [1]
    assert rejected["reasons"].tolist() == [
        ["missing_quantity"],
        ["non_positive_quantity"],
    ]


def test_timestamps_without_a_zone_are_utc():
    raw = make_raw({"timestamp": "2025-01-01"}, {"timestamp": "2025-01-01T00:00:01"})
    raw["timestamp"] = raw["timestamp"].dt.tz_localize(None)
    kept, _, _ = screen(raw, AS_OF, TOLERANT, CURRENCY)
    assert kept.index.tolist() == [0]
    assert str(kept["timestamp"].dtype) == "datetime64[us, UTC]"


def test_reasons_follow_the_order_of_the_rules():
    rng = np.random.default_rng(1)
    changes = [
        {
            "amount": rng.choice([NAN, -1.0, 5.0]),
            "quantity": int(rng.integers(-1, 2)),
            "rating": rng.choice([0.0, 3.0]),
            "discount": rng.choice([-1.0, 0.0]),
        }
        for _ in range(50)
    ]
    for reasons in reasons_of(*changes).values():
        assert reasons == sorted(reasons, key=RULES.index)
