from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dask_etl.retail import schema
from dask_etl.retail.features import add_features, fill_missing
from dask_etl.retail.parameters import Cleaning, Features
from dask_etl.retail.tables import CLEAN_TRANSACTIONS, RAW_TRANSACTIONS
from support.good_rows import CALENDAR, CURRENCY, GOOD

LABELS = {
    "product_category": pa.array(["Toys", "Unknown"]),
    "region": pa.array(["North", "Unknown"]),
}


def kept(*changes: dict, quantity: pa.DataType = pa.int64()) -> pa.Table:  # noqa: B008
    rows = [{**GOOD, **change} for change in changes]
    raw = pa.Table.from_pylist(rows, schema.raw(quantity=quantity))
    return raw.cast(RAW_TRANSACTIONS.with_labels(raw.schema)).combine_chunks()


def clean(*changes: dict, features=None, cleaning=None, **options) -> list[dict]:
    rows = kept(*changes, **options)
    every = np.arange(len(rows))
    filled = fill_missing(rows, LABELS, every, cleaning or Cleaning())
    table = add_features(
        filled, cleaning or Cleaning(), features or Features(), CALENDAR, CURRENCY
    )
    assert table.schema.names == CLEAN_TRANSACTIONS.schema.names
    return table.to_pylist()


# ------------------------------------------------------------------------ money


def exact_cents(amount: int, percent: int, quantity: int) -> Decimal:
    """Cents of ``quantity`` pieces of ``amount`` cents, less so many per cent."""
    return Decimal(amount) * (100 - percent) * quantity / 100


def revenue(amount: int, percent: int, quantity: int) -> float:
    [row] = clean(
        {"amount": amount / 100, "discount": percent / 100, "quantity": quantity}
    )
    return row["revenue"]


MONEY = {
    "amount": st.integers(1, 10_000_000),
    "quantity": st.integers(1, 1_000),
}


@settings(max_examples=300)
@given(percent=st.integers(0, 100), **MONEY)
def test_revenue_is_the_decimal_amount_in_whole_cents(amount, percent, quantity):
    cents = exact_cents(amount, percent, quantity)
    # At half a cent, binary fractions that are not exact decide; see below.
    assume(cents % 1 != Decimal("0.5"))
    expected = cents.quantize(Decimal(1), ROUND_HALF_EVEN)
    assert revenue(amount, percent, quantity) == int(expected) / 100


@settings(max_examples=300)
@given(percent=st.sampled_from([0, 25, 50, 75]), **MONEY)
def test_half_a_cent_goes_to_the_even_cent(amount, percent, quantity):
    """Quarters of a currency unit are exact in binary, so halves are, too."""
    amount = amount // 25 * 25 or 25
    expected = exact_cents(amount, percent, quantity).quantize(
        Decimal(1), ROUND_HALF_EVEN
    )
    assert revenue(amount, percent, quantity) == int(expected) / 100


@pytest.mark.parametrize(("amount", "expected"), [(25, 0.12), (75, 0.38), (125, 0.62)])
def test_half_a_cent_by_example(amount, expected):
    assert revenue(amount, 50, 1) == expected


@settings(max_examples=200)
@given(
    amount=st.floats(0.01, 1e6),
    discount=st.floats(0, 1),
    quantity=st.integers(1, 10_000),
)
def test_money_is_the_formula_of_the_contract_in_its_order(amount, discount, quantity):
    [row] = clean({"amount": amount, "discount": discount, "quantity": quantity})
    assert row["net_amount"] == amount * (1 - discount)
    assert row["revenue"] == round(amount * (1 - discount) * quantity * 100) / 100


@settings(max_examples=200)
@given(amount=st.floats(0.01, 9e13), quantity=st.integers(1, 3))
def test_no_cent_is_lost_on_the_way_through_currency_units(amount, quantity):
    """Not true of any number of cents, but of those that a product gives."""
    cents = round(amount * quantity * 100)
    assume(cents < 2**53)
    [row] = clean({"amount": amount, "quantity": quantity})
    assert round(row["revenue"] * 100) == cents


@pytest.mark.parametrize(
    ("quantity", "kind", "found"), [("whole", int, 3), ("decimal", float, 3.0)]
)
@pytest.mark.parametrize("raw", [pa.int64(), pa.float64()])
def test_a_clean_quantity_has_the_type_of_the_parameter(quantity, kind, found, raw):
    cleaning = Cleaning(quantity=quantity)
    [row] = clean({"quantity": 3}, quantity=raw, cleaning=cleaning)
    assert row["quantity"] == found
    assert type(row["quantity"]) is kind


# ------------------------------------------------------------------- categories


@pytest.mark.parametrize(
    ("amount", "expected"),
    [
        (0.01, "Low"), (10.0, "Low"), (10.01, "Medium"), (50.0, "Medium"),
        (50.01, "High"), (200.0, "High"), (200.01, "Premium"), (1e9, "Premium"),
    ],
)  # fmt: skip
def test_price_categories_include_their_upper_bound(amount, expected):
    [row] = clean({"amount": amount})
    assert row["price_category"] == expected


def test_price_category_is_by_unit_price_and_by_the_parameters():
    features = Features(price_bounds=(1, 2, 3))
    rows = clean(
        {"amount": 2.0, "quantity": 100, "discount": 0.9},
        {"amount": 3.5},
        features=features,
    )
    assert [row["price_category"] for row in rows] == ["Medium", "Premium"]


# --------------------------------------------------------------------- calendar


@settings(max_examples=100)
@given(
    moments=st.lists(
        st.datetimes(
            datetime(1900, 1, 1), datetime(2262, 1, 1), timezones=st.just(UTC)
        ),
        min_size=1,
        max_size=4,
    )
)
def test_the_calendar_is_that_of_python(moments):
    for moment, row in zip(
        moments, clean(*({"timestamp": m} for m in moments)), strict=True
    ):
        assert (row["year"], row["month"]) == (moment.year, moment.month)
        assert row["quarter"] == (moment.month - 1) // 3 + 1
        assert row["day_of_week"] == moment.weekday()


def test_a_day_ends_at_midnight_utc():
    last = datetime(2023, 12, 31, 23, 59, 59, 999_999, UTC)
    rows = clean(*({"timestamp": m} for m in (last, last + timedelta(microseconds=1))))
    assert [(row["year"], row["month"], row["day_of_week"]) for row in rows] == [
        (2023, 12, 6),
        (2024, 1, 0),
    ]


# ------------------------------------------------------------------------- gaps


@pytest.mark.parametrize("nothing", [None, float("nan"), float("inf"), -float("inf")])
def test_gaps_are_filled_and_a_rating_stays_null(nothing):
    gaps = dict.fromkeys(("product_category", "region", "is_returned"))
    [row] = clean({**gaps, "amount": 10.0, "discount": nothing, "rating": nothing})
    assert row["discount"] == 0
    assert row["rating"] is None
    assert row["region"] == row["product_category"] == "Unknown"
    assert row["is_returned"] is False
    assert row["net_amount"] == 10.0


def test_what_is_there_stays():
    [row] = clean({"discount": 0.25, "rating": 4.5, "is_returned": True})
    expected = {**GOOD, "discount": 0.25, "rating": 4.5, "is_returned": True}
    assert {name: row[name] for name in GOOD} == expected


def test_no_rows_have_all_columns():
    assert clean() == []


def test_a_null_that_stays_is_a_null_and_one_that_goes_leaves_no_trace():
    rows = kept({"customer_id": None}, {"customer_id": 5}, {"customer_id": None})
    for numbers, expected in (([1], [5]), ([0, 1], [None, 5]), ([2], [None]), ([], [])):
        places = np.array(numbers, np.int64)
        filled = fill_missing(rows, LABELS, places, Cleaning())
        assert filled["customer_id"].to_pylist() == expected
