from datetime import date, timedelta

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dask_etl.pipelines.analytics.time_series import (
    daily_sales,
    monthly_sales,
    weekday_pattern,
)
from support.analytics_tables import columns, make_cube, stored_rows
from support.good_rows import CURRENCY


def sold(day, cents, category="Toys", returned=0):
    return {
        "day": day,
        "product_category": category,
        "revenue_cents": cents,
        "returned_revenue_cents": returned,
        "returned_lines": int(returned > 0),
    }


def monthly(*sales):
    return stored_rows("monthly_sales", monthly_sales(make_cube(*sales), CURRENCY))


def test_every_month_has_every_category_and_all():
    rows = monthly(sold("2024-01-31", 100), sold("2024-03-01", 200, "Books", 50))
    assert columns(rows, "month", "product_category", "lines", "net_revenue") == [
        (date(2024, 1, 1), None, 1, 1.0),
        (date(2024, 1, 1), "Books", 0, 0.0),
        (date(2024, 1, 1), "Toys", 1, 1.0),
        (date(2024, 2, 1), None, 0, 0.0),
        (date(2024, 2, 1), "Books", 0, 0.0),
        (date(2024, 2, 1), "Toys", 0, 0.0),
        (date(2024, 3, 1), None, 1, 1.5),
        (date(2024, 3, 1), "Books", 1, 1.5),
        (date(2024, 3, 1), "Toys", 0, 0.0),
    ]
    assert all(row["is_total"] == (row["product_category"] is None) for row in rows)
    # The data cover 31 January to 1 March: of these months, all of February.
    assert {row["month"].month for row in rows if row["is_complete"]} == {2}


def test_changes_need_two_complete_months_and_an_earlier_sale():
    rows = monthly(
        sold("2023-12-15", 100),
        sold("2024-01-10", 200),
        sold("2024-02-10", 300),
        sold("2024-02-11", 100, "Books"),
        sold("2024-03-10", 0),
        sold("2024-04-10", 500),
        sold("2024-05-30", 600),
    )
    changes = {
        (row["product_category"], row["month"].month): row["month_on_month"]
        for row in rows
    }
    toys = [changes["Toys", month] for month in (12, 1, 2, 3, 4, 5)]
    assert toys == [None, None, 0.5, -1.0, None, None]
    assert [changes["Books", month] for month in (2, 3, 4)] == [None, -1.0, None]
    assert changes[None, 2] == 1.0
    assert {row["year_on_year"] for row in rows} == {None}


def months_of_sales(count, cents):
    first = pd.Period("2022-01", "M")
    months = [first + i for i in range(count)]
    ends = [sold(months[0].start_time.date(), 0), sold(months[-1].end_time.date(), 0)]
    return [*(sold(m.start_time.date(), cents(i)) for i, m in enumerate(months)), *ends]


def test_year_on_year_and_seasonality():
    # Flat but for Decembers: 100, then 200; 200, then 400.
    def cents(i):
        return (100, 200)[i // 12] * (2 if i % 12 == 11 else 1)

    rows = [
        row
        for row in monthly(*months_of_sales(24, cents))
        if row["product_category"] == "Toys"
    ]
    assert [row["year_on_year"] for row in rows] == [None] * 12 + [1.0] * 12
    mean = (11 * 100 + 200 + 11 * 200 + 400) / 24
    assert all(row["enough_data"] for row in rows)
    index = [row["seasonality_index"] for row in rows]
    assert index[0] == index[12] == pytest.approx(150 / mean)
    assert index[11] == index[23] == pytest.approx(300 / mean)
    assert sum(index) / 24 == pytest.approx(1)


def test_seasonality_needs_24_complete_months():
    rows = monthly(*months_of_sales(23, lambda _: 100))
    assert not any(row["enough_data"] for row in rows)
    assert {row["seasonality_index"] for row in rows} == {None}


def test_seasonality_of_no_revenue_is_null():
    rows = monthly(*months_of_sales(24, lambda _: 0))
    assert all(row["enough_data"] for row in rows)
    assert {row["seasonality_index"] for row in rows} == {None}


def test_incomplete_months_do_not_weigh_on_the_index():
    sales = months_of_sales(24, lambda _: 100)
    plain, more = monthly(*sales), monthly(*sales, sold("2024-01-05", 9900))
    january = [
        row["seasonality_index"]
        for row in more
        if row["month"].month == 1 and row["product_category"] == "Toys"
    ]
    assert january == [1.0, 1.0, 1.0]
    assert {row["seasonality_index"] for row in plain} == {1.0}


@pytest.mark.parametrize("name", ["(all)", "", "nan", "None", "Unknown"])
def test_a_category_may_have_any_name(name):
    rows = monthly(sold("2024-01-01", 100, name), sold("2024-02-01", 300, "Toys"))
    found = columns(rows, "product_category", "is_total", "net_revenue")
    assert sorted(found[:3], key=str) == sorted(
        [(None, True, 1.0), (name, False, 1.0), ("Toys", False, 0.0)], key=str
    )


def test_daily_sales_has_no_gaps():
    rows = stored_rows(
        "daily_sales",
        daily_sales(
            make_cube(sold("2024-03-01", 100), sold("2024-02-28", 500, "a", 100)),
            CURRENCY,
        ),
    )
    assert columns(rows, "day", "lines", "revenue", "net_revenue") == [
        (date(2024, 2, 28), 1, 5.0, 4.0),
        (date(2024, 2, 29), 0, 0.0, 0.0),
        (date(2024, 3, 1), 1, 1.0, 1.0),
    ]
    assert columns(rows, "moving_average_7", "moving_average_28") == [(None, None)] * 3


def test_moving_averages_are_trailing():
    first = date(2024, 1, 1)
    cents = [100 * (i + 1) for i in range(30)]
    cube = make_cube(*(sold(first + timedelta(i), c) for i, c in enumerate(cents)))
    rows = stored_rows("daily_sales", daily_sales(cube, CURRENCY))
    week = [row["moving_average_7"] for row in rows]
    assert week[:6] == [None] * 6
    assert week[6:9] == [4.0, 5.0, 6.0]
    month = [row["moving_average_28"] for row in rows]
    assert month[:27] == [None] * 27
    assert month[27:] == [14.5, 15.5, 16.5]


def test_averages_forget_large_days_completely():
    cube = make_cube(
        sold("2024-01-01", 10**15), sold("2024-01-02", 1), sold("2024-01-20", 1)
    )
    rows = stored_rows("daily_sales", daily_sales(cube, CURRENCY))
    assert [rows[i]["moving_average_7"] for i in (7, 8, 19)] == [
        1 / 7 / 100,
        0.0,
        1 / 7 / 100,
    ]


def test_weekday_pattern():
    # Monday 1 to Tuesday 9 January: two Mondays, two Tuesdays, one of each other.
    cube = make_cube(
        sold("2024-01-01", 300),
        sold("2024-01-09", 500),
        sold("2024-01-06", 100),
        sold("2024-01-06", 300, "Books", returned=300),
    )
    rows = stored_rows("weekday_pattern", weekday_pattern(cube, CURRENCY))
    assert columns(
        rows, "day_of_week", "calendar_days", "lines", "mean_revenue_per_day"
    ) == [
        (0, 2, 1, 1.5),
        (1, 2, 1, 2.5),
        (2, 1, 0, 0.0),
        (3, 1, 0, 0.0),
        (4, 1, 0, 0.0),
        (5, 1, 2, 1.0),
        (6, 1, 0, 0.0),
    ]
    assert rows[0]["index_to_mean"] == pytest.approx(1.5 / (9 / 9))


def test_weekdays_outside_the_data_have_no_mean():
    rows = stored_rows(
        "weekday_pattern", weekday_pattern(make_cube(sold("2024-01-03", 100)), CURRENCY)
    )
    assert columns(rows, "calendar_days", "mean_revenue_per_day", "index_to_mean") == [
        *[(0, None, None)] * 2,
        (1, 1.0, 1.0),
        *[(0, None, None)] * 4,
    ]


def test_weekday_index_of_no_revenue_is_null():
    rows = stored_rows(
        "weekday_pattern", weekday_pattern(make_cube(sold("2024-01-03", 0)), CURRENCY)
    )
    assert {row["index_to_mean"] for row in rows} == {None}


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("monthly_sales", monthly_sales),
        ("daily_sales", daily_sales),
        ("weekday_pattern", weekday_pattern),
    ],
)
def test_no_sales(name, function):
    assert stored_rows(name, function(make_cube(), CURRENCY)) == []


DAYS = st.dates(date(2023, 12, 1), date(2024, 4, 30))


@settings(deadline=None)
@given(sales=st.lists(st.tuples(DAYS, st.integers(0, 10**6)), min_size=1, max_size=12))
def test_every_view_of_the_calendar_adds_up_to_the_same(sales):
    cube = make_cube(*(sold(day, cents) for day, cents in sales))
    total = pytest.approx(sum(cents for _, cents in sales) / 100)
    months = monthly_sales(cube, CURRENCY)
    is_all = months["is_total"]
    days = daily_sales(cube, CURRENCY)
    assert months.loc[is_all, "net_revenue"].sum() == total
    assert months.loc[~is_all, "net_revenue"].sum() == total
    assert days["net_revenue"].sum() == total
    weekdays = weekday_pattern(cube, CURRENCY)
    assert weekdays["net_revenue"].sum() == total
    assert weekdays["calendar_days"].sum() == len(days)
    first, last = min(sales)[0], max(sales)[0]
    assert len(days) == (last - first).days + 1
