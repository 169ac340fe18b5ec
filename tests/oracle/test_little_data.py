"""One row, none, or none that stays."""

import math

import pyarrow.compute as pc
import pytest

from oracle.example import utc
from support.good_rows import raw_table as raw

NAN, INF = math.nan, math.inf


@pytest.mark.parametrize("parts", [1, 3])
@pytest.mark.parametrize("rows", ["none", "all rejected"])
def test_nothing_kept(judge, parts, rows):
    data = raw(amount=[]) if rows == "none" else raw(amount=[-1.0, None, NAN])
    tables = judge(data, parts)
    ledger = tables.pop("row_ledger")
    assert ledger.num_rows == parts
    assert pc.sum(ledger["rows_read"]).as_py() == data.num_rows
    assert pc.sum(ledger["rows_kept"]).as_py() == 0
    assert tables.pop("rejected_transactions").num_rows == data.num_rows
    assert tables.pop("customer_summary").to_pylist() == [
        {
            "customers": 0,
            "counted": "lines",
            "repeat_purchase_rate": None,
            "average_revenue_per_customer": None,
            "gini": None,
            "top_20_percent_share": None,
        }
    ]
    assert tables.pop("order_summary")["orders"].to_pylist() == [0]
    assert {name: found.num_rows for name, found in tables.items()} == dict.fromkeys(
        tables, 0
    )


def test_one_row(judge):
    tables = judge(raw(amount=[20.0], rating=[3.0]), as_of=utc(2024, 1, 3))
    assert tables["customer_segments"].to_pylist() == [
        {
            "customer_id": 1,
            "recency_days": 2,
            "frequency": 1,
            "monetary": 20.0,
            "recency_score": 1,
            "frequency_score": 1,
            "monetary_score": 1,
            "segment": "All",
        }
    ]
    # 1 January 2024 is a Monday; no other weekday is in the period.
    weekdays = tables["weekday_pattern"]
    assert weekdays["calendar_days"].to_pylist() == [1, 0, 0, 0, 0, 0, 0]
    assert weekdays["mean_revenue_per_day"].to_pylist() == [20.0] + [None] * 6
    assert weekdays["index_to_mean"].to_pylist() == [1.0] + [None] * 6
    assert tables["cohort_retention"]["retention"].to_pylist() == [1.0]
    assert tables["customer_summary"].to_pylist() == [
        {
            "customers": 1,
            "counted": "lines",
            "repeat_purchase_rate": 0.0,
            "average_revenue_per_customer": 20.0,
            "gini": 0.0,
            "top_20_percent_share": 1.0,
        }
    ]


def test_ratios_of_nothing_are_null(judge):
    tables = judge(
        raw(amount=[5.0, 5.0], discount=[1.0, 0.0], is_returned=[False, True])
    )
    region = tables["region_performance"].to_pylist()[0]
    assert region["net_revenue"] == 0
    assert region["net_revenue_share"] is None
    assert region["return_rate_value"] == 1.0
    assert region["average_rating"] is None
    assert tables["category_performance"]["cumulative_share"].to_pylist() == [None]
    assert tables["weekday_pattern"]["index_to_mean"].to_pylist() == [None] * 7
    assert tables["segment_summary"]["net_revenue_share"].to_pylist() == [None]
    summary = tables["customer_summary"].to_pylist()[0]
    assert summary["gini"] is None
    assert summary["top_20_percent_share"] is None
    free = judge(raw(amount=[5.0], discount=[1.0]))["region_performance"]
    assert free["return_rate_value"].to_pylist() == [None]
