import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dask_etl.pipelines.etl_pandas.cleaning import screen
from dask_etl.pipelines.etl_pandas.enrichment import enrich, revenue_cents
from dask_etl.retail.parameters import Cleaning, Features
from support.engine_runs import TOLERANT
from support.good_rows import CALENDAR, CURRENCY
from support.pandas_tables import AS_OF, as_stored, make_raw

NAN, INF = float("nan"), float("inf")


@pytest.fixture
def clean():
    def clean(*changes, features=None, files=None):
        kept, _, _ = screen(make_raw(*changes, files=files), AS_OF, TOLERANT, CURRENCY)
        table = enrich(kept, TOLERANT, features or Features(), CALENDAR, CURRENCY)
        return as_stored("clean_transactions", table).to_pylist()

    return clean


def test_missing_values_are_filled(clean):
    (row,) = clean(
        {
            "discount": NAN,
            "region": None,
            "product_category": None,
            "is_returned": None,
            "rating": NAN,
        }
    )
    assert row["discount"] == 0
    assert row["region"] == row["product_category"] == "Unknown"
    assert row["is_returned"] is False
    assert row["rating"] is None


def test_infinite_discount_and_rating_are_missing(clean):
    (row,) = clean({"discount": INF, "rating": -INF})
    assert (row["discount"], row["rating"]) == (0, None)


def test_money(clean):
    (row,) = clean({"amount": 19.99, "discount": 0.15, "quantity": 3})
    assert row["net_amount"] == 19.99 * (1 - 0.15)
    assert row["revenue"] == 50.97  # 50.9745


@pytest.mark.parametrize(
    ("amount", "cents"), [(0.125, 12), (0.375, 38), (0.625, 62), (0.135, 14)]
)
def test_half_a_cent_goes_to_the_even_one(clean, amount, cents):
    (row,) = clean({"amount": amount, "discount": 0.0, "quantity": 1})
    assert row["revenue"] == cents / 100


@settings(deadline=None)
@given(
    amount=st.floats(0.01, 1e5),
    discount=st.floats(0, 1),
    quantity=st.integers(1, 1000),
)
def test_revenue_is_the_formula(amount, discount, quantity):
    cents = revenue_cents(
        pd.Series([amount * (1 - discount)]), pd.Series([quantity]), CURRENCY
    )
    assert cents[0] == np.rint(amount * (1 - discount) * quantity * 100)


def test_price_categories_include_their_upper_bound(clean):
    amounts = [0.01, 10.0, 10.01, 50.0, 50.01, 200.0, 200.01, 1e6]
    rows = clean(*({"amount": amount} for amount in amounts))
    assert [row["price_category"] for row in rows] == [
        *["Low"] * 2,
        *["Medium"] * 2,
        *["High"] * 2,
        *["Premium"] * 2,
    ]


def test_price_bounds_are_a_parameter(clean):
    features = Features(price_bounds=(1, 2, 3))
    rows = clean({"amount": 2.5}, {"amount": 4.0}, features=features)
    assert [row["price_category"] for row in rows] == ["High", "Premium"]


@pytest.mark.parametrize(
    ("moment", "calendar"),
    [
        ("2024-01-01T00:00:00", (2024, 1, 1, 0)),
        ("2023-12-31T23:59:59.999999", (2023, 12, 4, 6)),
        ("2024-02-29T12:00:00", (2024, 2, 1, 3)),
        ("1969-12-31T23:59:59", (1969, 12, 4, 2)),
        ("2024-07-01T01:00:00+02:00", (2024, 6, 2, 6)),
    ],
)
def test_calendar(clean, moment, calendar):
    (row,) = clean({"timestamp": moment})
    found = (row["year"], row["month"], row["quarter"], row["day_of_week"])
    assert found == calendar


def test_rows_stay_in_raw_order(clean):
    rows = clean(
        {"transaction_id": 9},
        {"transaction_id": 8, "amount": NAN},
        {"transaction_id": 7},
    )
    assert [row["transaction_id"] for row in rows] == [9, 7]


def test_decimal_quantities_stay_decimal():
    kept, _, _ = screen(make_raw({}), AS_OF, TOLERANT, CURRENCY)
    kept["quantity"] = 0.125
    table = enrich(kept, Cleaning(quantity="decimal"), Features(), CALENDAR, CURRENCY)
    assert table["quantity"].tolist() == [0.125]
    # 10 × 0.75 × 0.125 = 93.75 cents.
    assert table["revenue"].tolist() == [0.94]
