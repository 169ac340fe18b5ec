from datetime import UTC, date, datetime

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dask_etl.pipelines.etl_pandas.enrichment import revenue_cents
from dask_etl.pipelines.etl_pandas.summaries import (
    measures,
    summarise_customers,
    summarise_sales,
)
from support.engine_runs import make_pandas
from support.good_rows import CALENDAR, CURRENCY
from support.pandas_tables import AS_OF, as_stored, make_raw


def utc(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


SALES = [
    {
        "timestamp": "2024-01-31T23:00:00",
        "amount": 10.0,
        "quantity": 1,
        "discount": 0.0,
        "rating": 4.5,
    },
    {
        "timestamp": "2024-01-31T01:00:00",
        "amount": 5.0,
        "quantity": 2,
        "discount": 0.5,
        "is_returned": True,
        "rating": None,
    },
    {
        "timestamp": "2024-02-01T00:00:00",
        "amount": 1.0,
        "quantity": 1,
        "discount": 0.0,
        "region": "East",
        "rating": 1.0,
    },
    {
        "timestamp": "2023-12-01T00:00:00",
        "amount": 2.0,
        "quantity": 3,
        "discount": 0.0,
        "customer_id": 3,
        "region": None,
        "product_category": "Books",
        "rating": 2.0,
    },
]


def test_sales_cube():
    cube = as_stored("sales_cube", make_pandas(make_raw(*SALES), AS_OF)["sales_cube"])
    columns = list(zip(*(column.to_pylist() for column in cube.columns), strict=True))
    assert columns == [
        # day, region, category, lines, units, cents, the same returned, rating
        (date(2023, 12, 1), "Unknown", "Books", 1, 3, 600, 0, 0, 0, 2.0, 1),
        (date(2024, 1, 31), "North", "Toys", 2, 3, 1500, 1, 2, 500, 4.5, 1),
        (date(2024, 2, 1), "East", "Toys", 1, 1, 100, 0, 0, 0, 1.0, 1),
    ]


def test_customers():
    customers = as_stored(
        "customers", make_pandas(make_raw(*SALES), AS_OF)["customers"]
    )
    assert customers.to_pylist() == [
        {
            "customer_id": 3,
            "lines": 1,
            "units": 3,
            "revenue_cents": 600,
            "returned_lines": 0,
            "returned_units": 0,
            "returned_revenue_cents": 0,
            "rating_sum": 2.0,
            "rating_count": 1,
            "first_purchase": utc("2023-12-01"),
            "last_purchase": utc("2023-12-01"),
            "regions": ["Unknown"],
            "product_categories": ["Books"],
            "months": [date(2023, 12, 1)],
        },
        {
            "customer_id": 7,
            "lines": 3,
            "units": 4,
            "revenue_cents": 1600,
            "returned_lines": 1,
            "returned_units": 2,
            "returned_revenue_cents": 500,
            "rating_sum": 5.5,
            "rating_count": 2,
            "first_purchase": utc("2024-01-31T01:00:00"),
            "last_purchase": utc("2024-02-01"),
            "regions": ["East", "North"],
            "product_categories": ["Toys"],
            "months": [date(2024, 1, 1), date(2024, 2, 1)],
        },
    ]


def test_order_of_rows_and_encoding_of_labels_do_not_matter():
    clean = make_pandas(make_raw(*SALES), AS_OF)["clean_transactions"]
    shuffled = clean.iloc[::-1].reset_index(drop=True)
    for name in ("region", "product_category"):
        backwards = sorted(clean[name].cat.categories, reverse=True)
        shuffled[name] = shuffled[name].cat.set_categories([*backwards, "not sold"])
    plain = clean.astype({"region": "str", "product_category": "str"})
    for summarise, *more in (
        (summarise_sales, CALENDAR, CURRENCY),
        (summarise_customers, CURRENCY),
    ):
        expected = summarise(clean, *more)
        pd.testing.assert_frame_equal(summarise(shuffled, *more), expected)
        pd.testing.assert_frame_equal(summarise(plain, *more), expected)


def test_labels_sort_by_code_point():
    names = ["é", "a", "Z", "z", "10", "9", "日本", ""]
    tables = make_pandas(make_raw(*({"region": name} for name in names)), AS_OF)
    assert tables["sales_cube"]["region"].tolist() == sorted(names)
    assert tables["customers"]["regions"][0].tolist() == sorted(names)


@settings(deadline=None)
@given(amount=st.floats(0.01, 9e12), quantity=st.integers(1, 9))
def test_cents_come_back_from_revenue_exactly(amount, quantity):
    # Not true of any whole number below 2**53, but of those that a product gives.
    line = pd.DataFrame({"net_amount": [amount], "quantity": [quantity]})
    cents = revenue_cents(line["net_amount"], line["quantity"], CURRENCY)
    line = line.assign(revenue=cents / 100, is_returned=False, rating=np.nan)
    assert measures(line, CURRENCY)["revenue_cents"].tolist() == [int(cents[0])]


ROW = st.fixed_dictionaries(
    {
        "transaction_id": st.integers(0, 15),
        "customer_id": st.integers(0, 3),
        "region": st.sampled_from(["a", "b", None]),
        "amount": st.sampled_from([1.0, 2.55, -1.0, float("nan")]),
        "quantity": st.integers(0, 3),
        "timestamp": st.sampled_from(["2024-01-31", "2024-02-01", "2024-04-01"]),
        "rating": st.sampled_from([1.0, 3.1, 4.9, 7.0, None]),
        "is_returned": st.sampled_from([True, False, None]),
    }
)


@settings(max_examples=40, deadline=None)
@given(rows=st.lists(ROW, max_size=20), cut=st.integers(0, 20))
def test_the_tables_agree_with_each_other(rows, cut):
    cut = min(cut, len(rows))
    raw = make_raw(*rows, files=[("a", cut), ("b", len(rows) - cut)])
    tables = make_pandas(raw, AS_OF)
    clean, cube = tables["clean_transactions"], tables["sales_cube"]
    customers, ledger = tables["customers"], tables["row_ledger"]
    assert ledger["rows_kept"].sum() == len(clean)
    assert ledger["rows_rejected"].sum() == len(tables["rejected_transactions"])
    assert clean["transaction_id"].is_unique
    for name in ("lines", "units", "revenue_cents", "returned_revenue_cents"):
        assert cube[name].sum() == customers[name].sum()
    assert cube["lines"].sum() == len(clean)
    expected = clean.astype({"region": "str"}).groupby("customer_id")["region"]
    for customer, regions in zip(
        customers["customer_id"], customers["regions"], strict=True
    ):
        assert list(regions) == sorted(set(expected.get_group(customer)))


@pytest.mark.parametrize("rows", [0, 1])
@pytest.mark.parametrize("valid", [True, False])
def test_empty_and_single_row_tables_have_their_types(rows, valid):
    raw = make_raw(*[{} if valid else {"amount": -1.0}] * rows)
    for name, table in make_pandas(raw, AS_OF).items():
        as_stored(name, table)


@pytest.mark.parametrize(
    "column",
    [
        "transaction_id",
        "customer_id",
        "product_category",
        "region",
        "amount",
        "quantity",
        "discount",
        "timestamp",
        "rating",
        "is_returned",
    ],
)
def test_a_column_may_be_all_null_and_of_no_type(column):
    raw = make_raw({}, {})
    raw[column] = pd.Series([None, None], dtype=object)
    tables = make_pandas(raw, AS_OF)
    for name, table in tables.items():
        as_stored(name, table)
    optional = {"product_category", "region", "discount", "rating", "is_returned"}
    assert len(tables["clean_transactions"]) == (2 if column in optional else 0)


def test_ids_may_be_strings():
    raw = make_raw(
        {"transaction_id": "x1", "customer_id": "c2"},
        {"transaction_id": "x1", "customer_id": "c1"},
        {"transaction_id": "x2", "customer_id": "c1"},
        {"transaction_id": None, "customer_id": None},
    ).astype({"transaction_id": "str", "customer_id": "str"})
    tables = make_pandas(raw, AS_OF)
    types = {"transaction_id": pa.string(), "customer_id": pa.string()}
    for name, table in tables.items():
        as_stored(name, table, **types)
    assert tables["customers"]["customer_id"].tolist() == ["c1", "c2"]
    assert tables["rejected_transactions"]["reasons"].tolist() == [
        ["duplicate_transaction_id"],
        ["missing_transaction_id", "missing_customer_id"],
    ]


def test_integer_ids_with_nulls_come_out_as_plain_integers():
    raw = make_raw({}, {"transaction_id": None}).astype({"transaction_id": "Int64"})
    clean = make_pandas(raw, AS_OF)["clean_transactions"]
    assert clean["transaction_id"].dtype == "int64"
