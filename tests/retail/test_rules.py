"""The rules against a plain reading of the contract, one row at a time."""

import math
from datetime import UTC, datetime, timedelta
from fractions import Fraction

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dask_etl.pipelines.etl_pandas import cleaning as pandas_engine
from dask_etl.retail import schema
from dask_etl.retail.parameters import Cleaning, Threshold
from dask_etl.retail.rules import (
    ThresholdExceeded,
    broken_rules,
    check_balance,
    check_thresholds,
    reasons,
)
from dask_etl.retail.tables import REJECTED_TRANSACTIONS
from support.good_rows import CURRENCY, GOOD

AS_OF = datetime(2024, 7, 1, tzinfo=UTC)
DEFAULT = Cleaning()
EARLIEST = datetime(1900, 1, 1, tzinfo=UTC)
TICK = timedelta(microseconds=1)
NAN, INF = math.nan, math.inf

FLOATS = st.one_of(
    st.none(),
    st.sampled_from([NAN, INF, -INF, 0.0, -0.0, 1.0, 5.0, 1e-300, 1e300, -1e-300]),
    st.sampled_from([1e9, np.nextafter(1e9, 2e9), -1e9, -1.1e9, 90071992.54740992]),
    st.sampled_from([np.nextafter(x, to) for x in (0, 1, 5) for to in (-9, 9)]),
    st.floats(-2, 7),
)
ROWS = st.fixed_dictionaries(
    {
        "transaction_id": st.one_of(st.none(), st.integers(0, 4)),
        "customer_id": st.one_of(st.none(), st.integers(0, 2)),
        "product_category": st.none(),
        "region": st.none(),
        "amount": FLOATS,
        "quantity": st.one_of(
            st.none(),
            st.integers(-1, 2),
            st.sampled_from(
                [10**6, 10**6 + 1, -(10**6) - 1, 2**53, 2**63 - 1, -(2**63)]
            ),
        ),
        "discount": FLOATS,
        "timestamp": st.one_of(
            st.none(),
            st.sampled_from([AS_OF - TICK, AS_OF, AS_OF + TICK]),
            st.sampled_from([EARLIEST, EARLIEST - TICK, datetime(1, 1, 1, tzinfo=UTC)]),
            st.datetimes(
                datetime(1800, 1, 1), datetime(2400, 1, 1), timezones=st.just(UTC)
            ),
        ),
        "rating": FLOATS,
        "is_returned": st.none(),
    }
)
# Mostly good rows, so that each rule is met alone and duplicates are, too.
SPOILED = st.one_of(
    ROWS,
    st.builds(
        lambda row, names: {**GOOD, **{name: row[name] for name in names}},
        ROWS,
        st.lists(st.sampled_from(list(GOOD)), max_size=2),
    ),
)


def given_number(value) -> bool:
    return value is not None and math.isfinite(value)


def beyond(row: dict, cleaning: Cleaning) -> bool:
    """Whether a value is out of range, in exact arithmetic."""
    limits = cleaning.limits
    amount, quantity = (
        Fraction(row[name]) if given_number(row[name]) else None
        for name in ("amount", "quantity")
    )
    decimals = 0 if cleaning.quantity == "whole" else 6
    return (
        (amount is not None and abs(amount) > limits.amount)
        or (quantity is not None and abs(quantity) > limits.quantity)
        # As somebody would write it down: the shortest decimal number that is meant.
        or (
            quantity is not None
            and float(round(quantity, decimals)) != float(row["quantity"])
        )
        or (
            amount is not None
            and quantity is not None
            and abs(amount * quantity * 100) >= 2**53
        )
        or (row["timestamp"] is not None and row["timestamp"] < limits.timestamp)
    )


def naive(rows: list[dict], cleaning: Cleaning = DEFAULT) -> list[list[str]]:
    """The rules that each row broke, in their order."""
    verdicts, seen = [], set()
    for row in rows:
        amount, quantity = row["amount"], row["quantity"]
        discount, rating = row["discount"], row["rating"]
        broken = {
            "missing_transaction_id": row["transaction_id"] is None,
            "missing_customer_id": row["customer_id"] is None,
            "missing_timestamp": row["timestamp"] is None,
            "missing_amount": not given_number(amount),
            "missing_quantity": not given_number(quantity),
            "non_positive_amount": given_number(amount) and amount <= 0,
            "non_positive_quantity": given_number(quantity) and quantity <= 0,
            "discount_out_of_range": given_number(discount) and not 0 <= discount <= 1,
            "rating_out_of_range": given_number(rating) and not 1 <= rating <= 5,
            "value_out_of_range": beyond(row, cleaning),
            "future_timestamp": row["timestamp"] is not None
            and row["timestamp"] > AS_OF,
        }
        verdict = [rule for rule in schema.RULES if broken.get(rule)]
        if not verdict and row["transaction_id"] in seen:
            verdict = ["duplicate_transaction_id"]
        elif not verdict:
            seen.add(row["transaction_id"])
        verdicts.append(verdict)
    return verdicts


@settings(max_examples=300)
@given(rows=st.lists(SPOILED, max_size=8))
def test_the_dask_engine_judges_as_the_contract_reads(rows):
    table = pa.Table.from_pylist(rows, schema.raw())
    expected = [
        [rule for rule in verdict if rule != "duplicate_transaction_id"]
        for verdict in naive(rows)
    ]
    assert (
        reasons(broken_rules(table, AS_OF, DEFAULT, CURRENCY)).to_pylist() == expected
    )


@settings(max_examples=150)
@given(rows=st.lists(SPOILED, max_size=8))
def test_the_pandas_engine_judges_as_the_contract_reads(rows):
    frame = pa.Table.from_pylist(rows, schema.raw()).to_pandas(
        types_mapper={pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}.get
    )
    lines = pandas_engine.conform(frame, DEFAULT)
    broken = pandas_engine.broken_rules(lines, AS_OF, DEFAULT, CURRENCY)
    assert pandas_engine.list_reasons(broken).tolist() == naive(rows)


QUANTITIES = st.one_of(
    FLOATS,
    st.integers(0, 10**9).map(lambda millionths: millionths / 1e6),
    st.sampled_from([0.5, 1e-6, 1e-7, 2.000001, 1.0000005, 999_999.999999, 1e19]),
)


@pytest.mark.parametrize("kind", ["whole", "decimal"])
@settings(max_examples=100)
@given(quantity=st.lists(QUANTITIES, min_size=1, max_size=8))
def test_a_quantity_that_arrives_as_float_is_judged_alike(kind, quantity):
    cleaning = Cleaning(quantity=kind)
    rows = [{**GOOD, "quantity": value} for value in quantity]
    table = pa.Table.from_pylist(rows, schema.raw(quantity=pa.float64()))
    expected = [
        [rule for rule in verdict if rule != "duplicate_transaction_id"]
        for verdict in naive(rows, cleaning)
    ]
    assert (
        reasons(broken_rules(table, AS_OF, cleaning, CURRENCY)).to_pylist() == expected
    )
    lines = pandas_engine.conform(table.to_pandas(), DEFAULT)
    broken = pandas_engine.broken_rules(lines, AS_OF, cleaning, CURRENCY)
    assert pandas_engine.list_reasons(broken).tolist() == naive(rows, cleaning)


BLANKS = ["", " ", "\t\r\n", "\u3000\u2028 ", "\x1c\x85"]
TEXTS = ["a", " a ", "\u200b", "0", "null"]


@pytest.mark.parametrize("column", ["transaction_id", "customer_id"])
def test_ids_of_white_space_are_missing(column):
    ids = [*BLANKS, *TEXTS, None]
    rows = [{**GOOD, column: one} for one in ids]
    types = {"transaction_id": pa.int64(), column: pa.string()}
    table = pa.Table.from_pylist(rows, schema.raw(**types))
    expected = [[f"missing_{column}"]] * 5 + [[]] * 5 + [[f"missing_{column}"]]
    assert (
        reasons(broken_rules(table, AS_OF, DEFAULT, CURRENCY)).to_pylist() == expected
    )
    lines = pandas_engine.conform(table.to_pandas(), DEFAULT)
    broken = pandas_engine.broken_rules(lines, AS_OF, DEFAULT, CURRENCY)
    assert broken[f"missing_{column}"].tolist() == [bool(rules) for rules in expected]


def test_reasons_of_no_rows():
    found = reasons(np.zeros(0, np.uint16))
    assert found.to_pylist() == []
    assert found.type == REJECTED_TRANSACTIONS.schema.field("reasons").type


# ------------------------------------------------------- ledger and thresholds


def ledger(read, kept, rejected, **rules) -> pd.DataFrame:
    counts = {**dict.fromkeys(schema.RULES, [0] * len(read)), **rules}
    return pd.DataFrame(
        {
            "source_file": [f"{number}.parquet" for number in range(len(read))],
            "rows_read": read,
            "rows_kept": kept,
            "rows_rejected": rejected,
            **counts,
            "as_of": pd.Timestamp("2025-01-01", tz="UTC"),
        }
    )


def test_a_balanced_ledger_passes():
    check_balance(ledger([3, 0], [2, 0], [1, 0]))


@pytest.mark.parametrize("kept", [[2, 5], [1, 4], [4, 3]])
def test_a_file_whose_rows_do_not_add_up_is_named(kept):
    """Also where the gain of one file would hide the loss of another."""
    with pytest.raises(RuntimeError, match=r"0\.parquet.*unaccounted"):
        check_balance(ledger([4, 5], kept, [1, 1]))


@pytest.mark.parametrize("rule", ["any", "missing_amount"])
def test_thresholds_are_shares_of_all_rows_read(rule):
    counts = ledger([10, 30], [6, 30], [4, 0], missing_amount=[4, 0])
    check_thresholds(counts, Cleaning(thresholds={rule: Threshold(fail_above=0.1)}))
    with pytest.raises(ThresholdExceeded, match=rf"'{rule}': 4 of 40 rows \(10\.00%\)"):
        check_thresholds(
            counts, Cleaning(thresholds={rule: Threshold(fail_above=0.0999)})
        )


def test_no_rows_are_no_share_of_anything():
    thresholds = {"any": Threshold(warn_above=0, fail_above=0)}
    check_thresholds(ledger([], [], []), Cleaning(thresholds=thresholds))


def test_every_threshold_passed_is_named():
    counts = ledger([10], [4], [6], missing_amount=[4], future_timestamp=[3])
    limit = Threshold(fail_above=0.2)
    cleaning = Cleaning(
        thresholds={"missing_amount": limit, "future_timestamp": limit, "any": {}}
    )
    with pytest.raises(ThresholdExceeded) as failure:
        check_thresholds(counts, cleaning)
    first, second = str(failure.value).splitlines()
    assert "'missing_amount': 4 of 10" in first
    assert "'future_timestamp': 3 of 10" in second


def test_more_than_half_rejected_is_too_much_without_further_ado():
    check_thresholds(ledger([4], [2], [2]), Cleaning())
    with pytest.raises(ThresholdExceeded, match=r"'any': 3 of 4 rows"):
        check_thresholds(ledger([4], [1], [3]), Cleaning())


LEFT_OUT = {
    "missing_timestamp": [0, 1],
    "missing_amount": [3, 2],
    "missing_quantity": [2, 0],
    "future_timestamp": [3, 3],
}


def test_a_run_that_keeps_nothing_fails_and_names_what_took_most():
    counts = ledger([3, 3], [0, 0], [3, 3], **LEFT_OUT)
    with pytest.raises(ThresholdExceeded) as failure:
        check_thresholds(counts, Cleaning(thresholds={}))
    [said] = str(failure.value).splitlines()
    assert "none of the 6 rows is kept" in said
    assert "future_timestamp 6, missing_amount 5, missing_quantity 2." in said
    assert "2025-01-01T00:00:00+00:00" in said
    assert "cleaning.allow_nothing_kept: true" in said


def test_one_row_kept_is_something():
    counts = ledger([3, 3], [0, 1], [3, 2], **LEFT_OUT)
    check_thresholds(counts, Cleaning(thresholds={}))


def test_nothing_kept_is_borne_on_demand_but_thresholds_hold():
    counts = ledger([3, 3], [0, 0], [3, 3], **LEFT_OUT)
    check_thresholds(counts, Cleaning(thresholds={}, allow_nothing_kept=True))
    with pytest.raises(ThresholdExceeded, match=r"'any': 6 of 6 rows"):
        check_thresholds(counts, Cleaning(allow_nothing_kept=True))


def test_a_share_worth_a_warning_is_no_failure(caplog):
    counts = ledger([4], [3], [1])
    check_thresholds(counts, Cleaning(thresholds={"any": Threshold(warn_above=0.25)}))
    assert not caplog.records
    check_thresholds(counts, Cleaning(thresholds={"any": Threshold(warn_above=0.24)}))
    assert "1 of 4 rows (25.00%)" in caplog.text
