"""What parameters make of rows, by hand: returns, guests, clocks, orders, totals."""

from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dask_etl.retail.parameters import Calendar, Cleaning, Currency
from oracle import oracle_tables
from oracle.example import utc
from oracle.raw_files import AS_OF
from support.good_rows import raw_table


@pytest.fixture
def judge(tmp_path):
    """Computes the oracle's tables of raw rows, and perhaps further columns."""

    def judge(rows: pa.Table, more: dict | None = None, **options):
        for name, values in (more or {}).items():
            rows = rows.append_column(name, pa.array(values))
        file: Path = tmp_path / "raw.parquet"
        pq.write_table(rows, file)
        cleaning = Cleaning(thresholds={}, **options.pop("cleaning", {}))
        return oracle_tables([file], AS_OF, cleaning=cleaning, **options)

    return judge


def test_a_line_of_negative_quantity_is_a_return_and_no_sale(judge):
    rows = raw_table(
        customer_id=[1, 1, 2, 3, 1],
        amount=[10.0, 10.0, 5.0, 4.0, 1.0],
        quantity=[3, -2, -1, 1, 0],
        rating=[4.0, 1.0, 2.0, None, None],
        # A flag says nothing here.
        is_returned=[False, False, None, True, False],
        timestamp=[utc(2024, month, 5) for month in (1, 2, 3, 1, 1)],
        region=["North", "North", "South", "North", "North"],
    )
    tables = judge(rows, cleaning={"returns": "negative_lines"})
    clean = tables["clean_transactions"]
    assert clean["quantity"].to_pylist() == [3, -2, -1, 1]
    assert clean["revenue"].to_pylist() == [30, -20, -5, 4]
    assert clean["is_returned"].to_pylist() == [False, True, True, False]
    assert tables["rejected_transactions"]["reasons"].to_pylist() == [
        ["non_positive_quantity"]
    ]
    customers = tables["customers"].to_pylist()
    assert [tuple(row.values())[:8] for row in customers] == [
        # lines, units, cents; returned lines, units, cents; rating
        (1, 1, 3, 3000, 1, 2, 2000, 4.0),
        (2, 0, 0, 0, 1, 1, 500, 0.0),
        (3, 1, 1, 400, 0, 0, 0, 0.0),
    ]
    # The return of February tells nothing of where and when customer 1 bought.
    assert customers[0]["months"] == [date(2024, 1, 1)]
    assert customers[0]["last_purchase"] == utc(2024, 1, 5)
    assert customers[1]["first_purchase"] is None
    assert customers[1]["regions"] == customers[1]["months"] == []
    # Who only returned something is no customer of the analyses, but in the revenue.
    assert tables["customer_segments"]["customer_id"].to_pylist() == [1, 3]
    assert tables["customer_summary"]["customers"].to_pylist() == [2]
    south = tables["region_performance"].to_pylist()[1]
    assert (south["lines"], south["returned_units"], south["net_revenue"]) == (0, 1, -5)
    assert south["average_line_revenue"] is south["return_rate_lines"] is None
    assert south["unique_customers"] == 0
    # Days with returns only are days of the data.
    assert tables["daily_sales"]["day"].to_pylist()[-1] == date(2024, 3, 5)
    assert len(tables["cohort_retention"]) == 3


def test_both_ways_of_returning_give_the_same_net_revenue(judge):
    flagged = judge(
        raw_table(amount=[10.0, 2.5], quantity=[2, 1], is_returned=[True, False])
    )
    lines = judge(
        raw_table(amount=[10.0, 2.5, 10.0], quantity=[2, 1, -2]),
        cleaning={"returns": "negative_lines"},
    )
    for name in ("lines", "units", "returned_units", "returned_revenue", "net_revenue"):
        one, other = (
            t["region_performance"][name].to_pylist() for t in (flagged, lines)
        )
        assert one == other, name


def test_guests_count_in_the_cube_and_are_no_customers(judge):
    rows = raw_table(customer_id=pa.array(["a", None, " "]), amount=[1.0, 2.0, 4.0])
    tables = judge(rows, cleaning={"rules": {"missing_customer_id": "keep"}})
    assert tables["clean_transactions"]["customer_id"].to_pylist() == ["a", None, None]
    assert tables["region_performance"]["net_revenue"].to_pylist() == [7]
    assert tables["region_performance"]["unique_customers"].to_pylist() == [1]
    assert tables["customers"]["customer_id"].to_pylist() == ["a"]
    [ledger] = tables["row_ledger"].to_pylist()
    assert (ledger["rows_kept"], ledger["rows_excused"]) == (3, 2)
    assert (ledger["missing_customer_id"], ledger["rows_rejected"]) == (2, 0)


def test_what_is_out_of_range_is_blanked_and_what_is_free_stays(judge):
    rows = raw_table(
        amount=[0.0, -1.0, 8.0, 8.0],
        discount=[0.0, 0.0, 7.0, 7.0],
        rating=[0.0, 5.0, 6.0, 3.0],
        quantity=[1, 1, 1, 0],
    )
    actions = {
        "non_positive_amount": "keep",
        "discount_out_of_range": "blank",
        "rating_out_of_range": "blank",
    }
    tables = judge(rows, cleaning={"rules": actions})
    clean = tables["clean_transactions"]
    assert clean["revenue"].to_pylist() == [0, 8]
    assert clean["discount"].to_pylist() == [0, 0]
    assert clean["rating"].to_pylist() == [None, None]
    # The reasons are why a row was rejected; the ledger counts all that was broken.
    assert tables["rejected_transactions"]["reasons"].to_pylist() == [
        ["non_positive_amount"],
        ["non_positive_quantity"],
    ]
    [ledger] = tables["row_ledger"].to_pylist()
    counted = {name: n for name, n in ledger.items() if isinstance(n, int) and n}
    assert counted == {
        "rows_read": 4,
        "rows_kept": 2,
        "rows_rejected": 2,
        "rows_blanked": 2,
        "rows_excused": 1,
        "non_positive_amount": 2,
        "non_positive_quantity": 1,
        "discount_out_of_range": 2,
        "rating_out_of_range": 2,
    }


@pytest.mark.parametrize(
    ("moment", "zone", "day"),
    [
        (utc(2024, 3, 30, 22, 59, 59), "Europe/Berlin", date(2024, 3, 30)),
        (utc(2024, 3, 30, 23), "Europe/Berlin", date(2024, 3, 31)),
        # Clocks are set forward on the 31st, and midnight is an hour earlier in UTC.
        (utc(2024, 3, 31, 21, 59, 59), "Europe/Berlin", date(2024, 3, 31)),
        (utc(2024, 3, 31, 22), "Europe/Berlin", date(2024, 4, 1)),
        (utc(2024, 1, 1, 4, 59, 59), "America/New_York", date(2023, 12, 31)),
        # Samoa left out the 30th of December 2011.
        (utc(2011, 12, 30, 9, 59, 59), "Pacific/Apia", date(2011, 12, 29)),
        (utc(2011, 12, 30, 10), "Pacific/Apia", date(2011, 12, 31)),
    ],
)
def test_days_are_those_of_the_zone(judge, moment, zone, day):
    rows = raw_table(timestamp=[moment])
    tables = judge(rows, calendar=Calendar(timezone=zone))
    [line] = tables["clean_transactions"].to_pylist()
    assert line["timestamp"] == moment
    assert (line["year"], line["month"]) == (day.year, day.month)
    assert line["quarter"] == (day.month + 2) // 3
    assert line["day_of_week"] == day.weekday()
    assert tables["sales_cube"]["day"].to_pylist() == [day]
    assert tables["customers"]["months"].to_pylist() == [[day.replace(day=1)]]
    assert tables["cohort_retention"]["cohort"].to_pylist() == [day.replace(day=1)]


def test_orders_count_where_lines_tell_them(judge):
    rows = raw_table(
        customer_id=[1, 1, 1, 2, 2, None, 1],
        quantity=[1, 2, 1, 1, 1, 1, -1],
        amount=[1.0] * 7,
    )
    orders = ["a", "a", "b", "a", " ", "g", "r"]
    tables = judge(
        rows,
        {"order_id": orders},
        cleaning={
            "rules": {"missing_customer_id": "keep"},
            "returns": "negative_lines",
        },
    )
    assert tables["clean_transactions"]["order_id"].to_pylist()[4] is None
    found = tables["orders"].to_pylist()
    assert [tuple(row.values())[:5] for row in found] == [
        ("a", 1, 2, 3, 300),
        ("a", 2, 1, 1, 100),
        ("b", 1, 1, 1, 100),
        ("g", None, 1, 1, 100),
        ("r", 1, 0, 0, 0),
    ]
    assert tables["customers"]["orders"].to_pylist() == [2, 1]
    assert tables["customer_segments"]["frequency"].to_pylist() == [2, 1]
    [summary] = tables["customer_summary"].to_pylist()
    assert (summary["counted"], summary["repeat_purchase_rate"]) == ("orders", 0.5)
    [summary] = tables["order_summary"].to_pylist()
    assert summary == {
        "counted": "orders",
        "orders": 4,
        "lines": 5,
        "units": 6,
        "returned_units": 1,
        "revenue": 6.0,
        "returned_revenue": 1.0,
        "net_revenue": 5.0,
        "lines_per_order": 1.25,
        "units_per_order": 1.5,
        "net_revenue_per_order": 1.25,
    }


def test_a_line_is_worth_the_total_that_it_came_with(judge):
    rows = raw_table(amount=[10.0] * 5, quantity=[3, 3, 3, 3, -3])
    totals = [29.985, None, float("inf"), -1.0, -29.0]
    cleaning = {"revenue": "total", "returns": "negative_lines"}
    tables = judge(rows, {"line_total": totals}, cleaning=cleaning)
    clean = tables["clean_transactions"]
    # Whole cents, half to even; 29.985 is a little less than that as a float.
    assert clean["revenue"].to_pylist() == [29.98, 30.0, 30.0, -29.0]
    assert clean["net_amount"].to_pylist() == [29.985 / 3, 10.0, 10.0, 29 / 3]
    assert tables["rejected_transactions"]["reasons"].to_pylist() == [
        ["value_out_of_range"]
    ]


@pytest.mark.parametrize(
    ("digits", "revenue"), [(0, 1.0), (1, 1.2), (2, 1.23), (3, 1.234)]
)
def test_a_currency_has_as_many_decimals_as_it_has(judge, digits, revenue):
    tables = judge(raw_table(amount=[1.2341]), currency=Currency(digits=digits))
    assert tables["clean_transactions"]["revenue"].to_pylist() == [revenue]
    cents = round(revenue * 10**digits)
    assert tables["sales_cube"]["revenue_cents"].to_pylist() == [cents]
    assert tables["daily_sales"]["revenue"].to_pylist() == [revenue]


def test_further_columns_stay_where_they_are_to_be_kept(judge):
    rows = raw_table(amount=[1.0, -1.0, 2.0])
    more = {
        "channel": ["web", None, "shop"],
        "cashier": [7, 8, None],
        "tip": [0.5, None, float("nan")],
        "due": [date(2024, 1, 1), None, date(2024, 1, 2)],
        "unknown": [1, 2, 3],
    }
    keep = ("channel", "cashier", "tip", "due")
    tables = judge(rows, more, cleaning={"keep": keep})
    clean, rejected = tables["clean_transactions"], tables["rejected_transactions"]
    assert clean.column_names[-4:] == rejected.column_names[-4:] == list(keep)
    assert clean["channel"].to_pylist() == ["web", "shop"]
    assert clean["tip"].to_pylist() == [0.5, None]
    assert clean["due"].type == pa.date32()
    assert rejected["cashier"].to_pylist() == [8]
