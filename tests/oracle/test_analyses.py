"""Analyses of data made for them."""

from datetime import date, timedelta

import pytest

from dask_etl.retail.parameters import Segments
from oracle.example import utc
from oracle.raw_files import AS_OF
from support.good_rows import raw_table as raw


def test_categories_with_equal_revenue_share_a_rank(judge):
    performance = judge(
        raw(
            product_category=["b", "a", "c", "d"],
            amount=[3.0, 3.0, 1.0, 5.0],
        )
    )["category_performance"]
    assert performance["product_category"].to_pylist() == ["d", "a", "b", "c"]
    assert performance["rank"].to_pylist() == [1, 2, 2, 4]
    assert performance["cumulative_share"].to_pylist() == pytest.approx(
        [5 / 12, 8 / 12, 11 / 12, 1.0]
    )


def test_changes_compare_complete_months_only(judge):
    # A sale on both ends makes January 2023 to February 2024 complete, March not.
    sales = {
        utc(2023, 1, 1): 10.0,
        utc(2023, 2, 5): 20.0,
        utc(2023, 4, 5): 30.0,
        utc(2024, 1, 5): 15.0,
        utc(2024, 2, 5): 5.0,
        utc(2024, 3, 30): 80.0,
    }
    rows = raw(timestamp=list(sales), amount=list(sales.values()))
    monthly = judge(rows)["monthly_sales"].to_pylist()
    found = {row["month"]: row for row in monthly if row["is_total"]}
    assert len(found) == 15
    assert sum(row["is_complete"] for row in found.values()) == 14
    assert not found[date(2024, 3, 1)]["is_complete"]
    on_month = {m: row["month_on_month"] for m, row in found.items()}
    assert on_month[date(2023, 1, 1)] is None
    assert on_month[date(2023, 2, 1)] == pytest.approx(1.0)
    assert on_month[date(2023, 3, 1)] == pytest.approx(-1.0)
    assert on_month[date(2023, 4, 1)] is None
    assert on_month[date(2024, 2, 1)] == pytest.approx(5 / 15 - 1)
    assert on_month[date(2024, 3, 1)] is None
    on_year = {m: row["year_on_year"] for m, row in found.items()}
    assert on_year[date(2023, 12, 1)] is None
    assert on_year[date(2024, 1, 1)] == pytest.approx(0.5)
    assert on_year[date(2024, 2, 1)] == pytest.approx(-0.75)
    assert on_year[date(2024, 3, 1)] is None


@pytest.mark.parametrize(
    ("last", "enough"), [(utc(2024, 12, 30), False), (utc(2024, 12, 31), True)]
)
def test_seasons_need_24_complete_months(judge, last, enough):
    first = [utc(year, month, 1) for year in (2023, 2024) for month in range(1, 13)]
    rows = raw(
        timestamp=[*first, last],
        amount=[10.0 if moment.month != 7 else 70.0 for moment in [*first, last]],
        product_category=["a"] * 24 + ["b"],
    )
    monthly = judge(rows, as_of=utc(2025, 1, 1))["monthly_sales"]
    assert set(monthly["enough_data"].to_pylist()) == {enough}
    found = {
        (row["month"], row["product_category"]): row["seasonality_index"]
        for row in monthly.to_pylist()
    }
    assert len(found) == 24 * 3
    if not enough:
        assert set(found.values()) == {None}
        return
    # All categories: 22 months of 10, two of 70, and 10 more in December 2024
    mean = (22 * 10 + 2 * 70 + 10) / 24
    assert found[date(2023, 7, 1), None] == pytest.approx(70 / mean)
    assert found[date(2024, 7, 1), None] == pytest.approx(70 / mean)
    assert found[date(2023, 12, 1), None] == pytest.approx(15 / mean)
    assert found[date(2023, 1, 1), None] == pytest.approx(10 / mean)
    assert found[date(2023, 12, 1), "b"] == pytest.approx(12.0)
    assert found[date(2023, 1, 1), "b"] == 0.0


def test_months_at_the_edge_of_the_data_count_only_if_complete(judge):
    # 15 December 2022 to 31 December 2024: December's mean leaves out 2022.
    moments = [utc(2022, 12, 15)]
    moments += [utc(year, month, 1) for year in (2023, 2024) for month in range(1, 13)]
    moments += [utc(2024, 12, 31)]
    rows = raw(timestamp=moments, amount=[1000.0] + [1.0] * 25)
    monthly = judge(rows, as_of=utc(2025, 1, 1))["monthly_sales"].to_pylist()
    december = [row for row in monthly if row["month"].month == 12]
    assert [row["is_complete"] for row in december] == [False] * 2 + [True] * 4
    for row in december:
        assert row["seasonality_index"] == pytest.approx(1.5 / (25 / 24))
    changes = {
        row["month"]: (row["month_on_month"], row["year_on_year"])
        for row in monthly
        if row["is_total"]
    }
    assert changes[date(2022, 12, 1)] == (None, None)
    assert changes[date(2023, 1, 1)] == (None, None)
    assert changes[date(2023, 12, 1)] == (0.0, None)
    assert changes[date(2024, 12, 1)] == (1.0, 1.0)


def test_equal_customers_share_a_score(judge):
    customers = [1, 2, 3, 4, 5, 6, 6, 7, 7, 8]
    tables = judge(raw(customer_id=customers, amount=[1.0] * 5 + [0.5] * 4 + [9.0]))
    found = tables["customer_segments"]
    # 8 customers; all were last seen on the same day
    assert found["recency_score"].to_pylist() == [1] * 8
    # six bought once (0 worse), two twice (6 worse): 1 and 1 + ⌊30/8⌋
    assert found["frequency_score"].to_pylist() == [1] * 5 + [4, 4, 1]
    # seven spent 1.00, one 9.00 (7 worse): 1 + ⌊35/8⌋
    assert found["monetary_score"].to_pylist() == [1] * 7 + [5]


def test_five_different_customers_have_five_scores(judge):
    moments = [AS_OF - timedelta(days=n, hours=1) for n in range(5)]
    rows = raw(
        customer_id=[1, 2, 3, 4, 5], timestamp=moments, amount=[5.0, 4.0, 3.0, 2.0, 1.0]
    )
    found = judge(rows)["customer_segments"]
    assert found["recency_days"].to_pylist() == [0, 1, 2, 3, 4]
    assert found["recency_score"].to_pylist() == [5, 4, 3, 2, 1]
    assert found["monetary_score"].to_pylist() == [5, 4, 3, 2, 1]


def test_the_first_segment_that_fits_wins(judge):
    segments = Segments(
        rules={
            "z first": {"monetary": {5}},
            "a second": {"monetary": {4, 5}},
            "m rest": {},
        }
    )
    rows = raw(customer_id=[1, 2, 3, 4, 5], amount=[5.0, 4.0, 3.0, 2.0, 1.0])
    tables = judge(rows, segments=segments)
    assert tables["customer_segments"]["segment"].to_pylist() == [
        "z first",
        "a second",
        *["m rest"] * 3,
    ]
    summary = tables["segment_summary"]
    assert summary["segment"].to_pylist() == ["a second", "m rest", "z first"]
    assert summary["customer_share"].to_pylist() == pytest.approx([0.2, 0.6, 0.2])
    assert summary["average_monetary"].to_pylist() == pytest.approx([4.0, 2.0, 5.0])


def test_a_month_without_purchases_is_0_and_a_month_to_come_is_null(judge):
    rows = raw(
        customer_id=[1, 1, 2, 3],
        timestamp=[
            utc(2023, 11, 30, 23),
            utc(2024, 2, 1),
            utc(2023, 11, 1),
            utc(2024, 1, 9),
        ],
    )
    retention = judge(rows)["cohort_retention"].to_pylist()
    assert [tuple(row.values()) for row in retention] == [
        (date(2023, 11, 1), 0, True, 2, 2, 1.0),
        (date(2023, 11, 1), 1, True, 2, 0, 0.0),
        (date(2023, 11, 1), 2, True, 2, 0, 0.0),
        (date(2023, 11, 1), 3, False, 2, 1, 0.5),
        (date(2024, 1, 1), 0, True, 1, 1, 1.0),
        (date(2024, 1, 1), 1, False, 1, 0, 0.0),
        (date(2024, 1, 1), 2, False, 1, None, None),
        (date(2024, 1, 1), 3, False, 1, None, None),
    ]


def test_inequality(judge):
    def summary(*amounts: float) -> dict:
        rows = raw(customer_id=list(range(len(amounts))), amount=list(amounts))
        return judge(rows)["customer_summary"].to_pylist()[0]

    equal = summary(3.0, 3.0, 3.0)
    assert equal["gini"] == 0
    assert equal["top_20_percent_share"] == pytest.approx(1 / 3)
    # Σ(2i - n - 1)x = -5*1 - 3*2 - 1*3 + 1*4 + 3*5 + 5*6 = 35; n Σx = 6 * 21
    six = summary(6.0, 5.0, 4.0, 3.0, 2.0, 1.0)
    assert six["gini"] == pytest.approx(35 / 126)
    assert six["top_20_percent_share"] == pytest.approx(11 / 21)
