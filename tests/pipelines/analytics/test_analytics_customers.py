from datetime import date, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dask_etl.pipelines.analytics.customers import (
    cohort_retention,
    customer_segments,
    customer_summary,
    gini,
    segment_summary,
)
from dask_etl.retail.parameters import Segments
from dask_etl.retail.segments import (
    percent_rank_scores,
    segment_names,
    segment_table,
)
from support.analytics_tables import (
    columns,
    make_cube,
    make_customers,
    make_ledger,
    stored_rows,
)
from support.good_rows import CURRENCY

SEGMENTS = Segments(
    rules={
        "Best": {"recency": [5], "frequency": [5], "monetary": [5]},
        "Recent": {"recency": [4, 5]},
        "Rest": {},
    }
)


@settings(deadline=None)
@given(st.lists(st.integers(-5, 20), max_size=40))
def test_scores_are_one_plus_floor_of_five_times_percent_rank(values):
    n = len(values)
    naive = [1 + 5 * sum(v < value for v in values) // n for value in values]
    assert percent_rank_scores(np.array(values, np.int64)).tolist() == naive


def test_scores_of_fewer_than_five():
    assert percent_rank_scores(np.array([7])).tolist() == [1]
    assert percent_rank_scores(np.array([3, 1, 2])).tolist() == [4, 1, 2]
    assert percent_rank_scores(np.array([2, 2, 2, 2])).tolist() == [1] * 4


def test_the_first_rule_that_fits_names_the_segment():
    cells = np.array([(r, f, m) for r in range(1, 6) for f in (1, 5) for m in (1, 5)])
    names = segment_names(*cells.T, SEGMENTS)
    for (r, f, m), name in zip(cells, names, strict=True):
        best = (r, f, m) == (5, 5, 5)
        assert name == ("Best" if best else "Recent" if r >= 4 else "Rest")
    assert np.bincount(segment_table(SEGMENTS).ravel()).tolist() == [1, 49, 75]


def five_customers():
    """Ids shuffled; customer 1 is best at everything, 5 worst."""
    return make_customers(
        *(
            {
                "customer_id": i,
                "last_purchase": f"2024-12-{30 - i:02} 12:00",
                "first_purchase": "2024-01-01",
                "lines": 10 - i,
                "revenue_cents": 1000 - 100 * i,
                "returned_revenue_cents": 1,
            }
            for i in (3, 1, 5, 2, 4)
        )
    )


def test_customer_segments():
    table = customer_segments(
        five_customers(), make_ledger("2025-01-01"), SEGMENTS, CURRENCY
    )
    rows = stored_rows("customer_segments", table)
    assert columns(rows, *rows[0]) == [
        # customer, days, lines, money, scores, segment
        (1, 2, 9, 8.99, 5, 5, 5, "Best"),
        (2, 3, 8, 7.99, 4, 4, 4, "Recent"),
        (3, 4, 7, 6.99, 3, 3, 3, "Rest"),
        (4, 5, 6, 5.99, 2, 2, 2, "Rest"),
        (5, 6, 5, 4.99, 1, 1, 1, "Rest"),
    ]


def test_recency_ties_are_of_whole_days():
    customers = make_customers(
        {"first_purchase": "2024-12-30 00:00:01"},
        {"first_purchase": "2024-12-30 23:59:59"},
        {"first_purchase": "2024-12-31 00:00:00"},
        {"first_purchase": "2024-12-31 00:00:01"},
        {"first_purchase": "2025-01-01"},
    )
    table = customer_segments(customers, make_ledger("2025-01-01"), SEGMENTS, CURRENCY)
    assert table["recency_days"].tolist() == [1, 1, 1, 0, 0]
    assert table["recency_score"].tolist() == [1, 1, 1, 4, 4]


def test_string_customers_are_sorted():
    customers = make_customers(
        {"customer_id": "b"}, {"customer_id": "a"}, customer_id=pa.string()
    )
    table = customer_segments(customers, make_ledger(), SEGMENTS, CURRENCY)
    rows = stored_rows("customer_segments", table, customer_id=pa.string())
    assert [row["customer_id"] for row in rows] == ["a", "b"]


def test_segment_summary():
    segments = customer_segments(five_customers(), make_ledger(), SEGMENTS, CURRENCY)
    rows = stored_rows(
        "segment_summary", segment_summary(segments, five_customers(), CURRENCY)
    )
    assert rows == [
        {
            "segment": "Best",
            "customers": 1,
            "customer_share": 0.2,
            "net_revenue": 8.99,
            "net_revenue_share": 899 / 3495,
            "average_recency_days": 2.0,
            "average_frequency": 9.0,
            "average_monetary": 8.99,
        },
        {
            "segment": "Recent",
            "customers": 1,
            "customer_share": 0.2,
            "net_revenue": 7.99,
            "net_revenue_share": 799 / 3495,
            "average_recency_days": 3.0,
            "average_frequency": 8.0,
            "average_monetary": 7.99,
        },
        {
            "segment": "Rest",
            "customers": 3,
            "customer_share": 0.6,
            "net_revenue": 17.97,
            "net_revenue_share": 1797 / 3495,
            "average_recency_days": 5.0,
            "average_frequency": 6.0,
            "average_monetary": 17.97 / 3,
        },
    ]


def cohorts_of(customers):
    """The cohorts, of data that cover the purchases."""
    days = {
        *customers["first_purchase"].dt.date,
        *customers["last_purchase"].dt.date,
        *(
            month.astype("datetime64[D]").item() + timedelta(days=14)
            for months in customers["months"]
            for month in months
        ),
    }
    return cohort_retention(make_cube(*({"day": day} for day in days)), customers)


def test_cohort_retention():
    customers = make_customers(
        {"first_purchase": "2024-01-31", "months": ["2024-01", "2024-02"]},
        {"first_purchase": "2024-01-01", "months": ["2024-01", "2024-04"]},
        {
            "first_purchase": "2024-03-15",
            "last_purchase": "2024-04-29 23:59",
            "months": ["2024-03", "2024-04"],
        },
    )
    rows = stored_rows("cohort_retention", cohorts_of(customers))
    january, march = date(2024, 1, 1), date(2024, 3, 1)
    assert columns(rows, *rows[0]) == [
        # The data end on 29 April.
        (january, 0, True, 2, 2, 1.0),
        (january, 1, True, 2, 1, 0.5),
        (january, 2, True, 2, 0, 0.0),
        (january, 3, False, 2, 1, 0.5),
        (march, 0, True, 1, 1, 1.0),
        (march, 1, False, 1, 1, 1.0),
        (march, 2, False, 1, None, None),
        (march, 3, False, 1, None, None),
    ]


def test_cohorts_before_1970():
    rows = stored_rows(
        "cohort_retention",
        cohorts_of(
            make_customers({"first_purchase": "1969-12-31", "months": ["1969-12"]})
        ),
    )
    assert columns(rows, *rows[0]) == [(date(1969, 12, 1), 0, False, 1, 1, 1.0)]


@pytest.mark.parametrize(
    ("first", "last", "complete"),
    [
        ("2024-02-01 23:59", "2024-02-29 00:00", [True]),
        ("2024-02-02", "2024-02-29", [False]),
        ("2024-02-01", "2024-02-28 23:59", [False]),
        ("2023-12-31 23:59", "2024-03-01 00:00", [False, True, True, False]),
        ("2023-12-01", "2024-02-29", [True, True, True]),
        ("1969-11-30", "1970-02-28", [False, True, True, True]),
    ],
)
def test_a_month_is_complete_if_the_data_cover_it_whole(first, last, complete):
    customers = make_customers(
        {"customer_id": 2, "first_purchase": last},
        {"customer_id": 1, "first_purchase": first},
    )
    table = cohorts_of(customers)
    cohort = table[table["cohort"] == table["cohort"].min()]
    assert cohort["is_complete"].tolist() == complete


MONTHS = st.lists(st.integers(0, 14), min_size=1, max_size=6, unique=True)


@settings(deadline=None)
@given(st.lists(MONTHS, min_size=1, max_size=10))
def test_cohorts_against_counting_by_hand(active):
    names = [
        [str(pd.Period("2023-06", "M") + month) for month in sorted(months)]
        for months in active
    ]
    customers = make_customers(
        *({"first_purchase": f"{m[0]}-15", "months": m} for m in names)
    )
    table = cohorts_of(customers)
    first, last = min(map(min, active)), max(map(max, active))
    assert len(table) == len({min(m) for m in active}) * (last - first + 1)
    for row in table.itertuples():
        cohort = (row.cohort.year - 2023) * 12 + row.cohort.month - 6
        members = [months for months in active if min(months) == cohort]
        assert row.cohort_size == len(members)
        if cohort + row.months_since > last:
            assert row.active_customers is pd.NA
            assert row.retention is pd.NA
        else:
            buying = sum(cohort + row.months_since in months for months in members)
            assert row.active_customers == buying
            assert row.retention == buying / len(members)


def test_customer_summary():
    customers = make_customers(
        *(
            {"revenue_cents": cents + 1, "returned_revenue_cents": 1, "lines": lines}
            for cents, lines in [(100, 1), (200, 2), (300, 3), (400, 1), (500, 1)] * 2
        )
    )
    (row,) = stored_rows("customer_summary", customer_summary(customers, CURRENCY))
    assert row == {
        "customers": 10,
        "counted": "lines",
        "repeat_purchase_rate": 0.4,
        "average_revenue_per_customer": 3.0,
        "gini": pytest.approx(4 / 15),
        "top_20_percent_share": 1000 / 3000,
    }


def test_the_top_fifth_is_rounded_up():
    customers = make_customers(*({"revenue_cents": c} for c in (1, 2, 3, 4, 5, 6)))
    assert customer_summary(customers, CURRENCY)["top_20_percent_share"][0] == 11 / 21


def test_inequality_of_nothing_is_null():
    (row,) = stored_rows(
        "customer_summary", customer_summary(make_customers({}, {}), CURRENCY)
    )
    assert columns([row], "customers", "gini", "top_20_percent_share") == [
        (2, None, None)
    ]


@settings(deadline=None)
@given(st.lists(st.integers(-50, 10**15), min_size=1, max_size=30))
def test_gini_is_half_the_relative_mean_absolute_difference(cents):
    values = [max(value, 0) for value in cents]
    n, total = len(values), sum(values)
    found = gini(np.sort(np.array(cents, np.int64)))
    if not total:
        assert np.isnan(found)
        return
    differences = sum(abs(a - b) for a in values for b in values)
    assert found == pytest.approx(differences / (2 * n * total), abs=1e-15)
    assert 0 <= found < 1


def test_gini_is_exact_where_64_bits_are_not():
    n = 1_000_000
    equal = np.full(n, 10**12)
    assert gini(equal) == 0
    one_has_all = np.zeros(n, np.int64)
    one_has_all[-1] = 10**18
    assert gini(one_has_all) == (n - 1) / n


def test_no_customers():
    nobody = make_customers()
    segments = customer_segments(nobody, make_ledger(None), SEGMENTS, CURRENCY)
    assert stored_rows("customer_segments", segments) == []
    assert (
        stored_rows("segment_summary", segment_summary(segments, nobody, CURRENCY))
        == []
    )
    assert stored_rows("cohort_retention", cohorts_of(nobody)) == []
    assert stored_rows("customer_summary", customer_summary(nobody, CURRENCY)) == [
        {
            "customers": 0,
            "counted": "lines",
            "repeat_purchase_rate": None,
            "average_revenue_per_customer": None,
            "gini": None,
            "top_20_percent_share": None,
        }
    ]


def test_order_of_customers_does_not_matter():
    customers = five_customers()
    backwards = customers.iloc[::-1]
    ledger = make_ledger()
    expected = customer_segments(customers, ledger, SEGMENTS, CURRENCY)
    pd.testing.assert_frame_equal(
        customer_segments(backwards, ledger, SEGMENTS, CURRENCY), expected
    )
    pd.testing.assert_frame_equal(cohorts_of(backwards), cohorts_of(customers))
    pd.testing.assert_frame_equal(
        customer_summary(backwards, CURRENCY), customer_summary(customers, CURRENCY)
    )
