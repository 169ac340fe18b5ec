import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dask_etl.pipelines.analytics.performance import (
    category_performance,
    region_performance,
)
from support.analytics_tables import columns, make_cube, make_customers, stored_rows
from support.good_rows import CURRENCY


def test_region_performance():
    cube = make_cube(
        {
            "day": "2024-01-02",
            "region": "North",
            "lines": 3,
            "units": 5,
            "revenue_cents": 1000,
            "returned_lines": 1,
            "returned_revenue_cents": 400,
            "rating_sum": 7.1,
            "rating_count": 2,
        },
        {
            "day": "2024-01-01",
            "region": "North",
            "product_category": "Books",
            "units": 2,
            "revenue_cents": 200,
            "rating_sum": 1.0,
            "rating_count": 1,
        },
        {"day": "2024-01-01", "region": "East", "revenue_cents": 200},
    )
    customers = make_customers(
        {"regions": ["East", "North"]}, {"regions": ["North"]}, {"regions": ["North"]}
    )
    rows = stored_rows(
        "region_performance", region_performance(cube, customers, CURRENCY)
    )
    assert rows == [
        {
            "region": "East",
            "lines": 1,
            "units": 1,
            "returned_units": 0,
            "revenue": 2.0,
            "returned_revenue": 0.0,
            "net_revenue": 2.0,
            "net_revenue_share": 0.2,
            "average_line_revenue": 2.0,
            "unique_customers": 1,
            "return_rate_lines": 0.0,
            "return_rate_value": 0.0,
            "average_rating": None,
        },
        {
            "region": "North",
            "lines": 4,
            "units": 7,
            "returned_units": 0,
            "revenue": 12.0,
            "returned_revenue": 4.0,
            "net_revenue": 8.0,
            "net_revenue_share": 0.8,
            "average_line_revenue": 2.0,
            "unique_customers": 3,
            "return_rate_lines": 0.25,
            "return_rate_value": 400 / 1200,
            "average_rating": 8.1 / 3,
        },
    ]


def test_shares_and_rates_of_nothing_are_null():
    rows = stored_rows(
        "region_performance",
        region_performance(
            make_cube({"day": "2024-01-01"}), make_customers({}), CURRENCY
        ),
    )
    names = ["net_revenue_share", "return_rate_value", "average_rating"]
    assert columns(rows, *names) == [(None, None, None)]


def test_category_performance_ranks_by_net_revenue():
    cube = make_cube(
        *(
            {
                "day": "2024-01-01",
                "product_category": name,
                "revenue_cents": cents + 50,
                "returned_revenue_cents": 50,
            }
            for name, cents in [("a", 100), ("b", 300), ("d", 200), ("c", 200)]
        )
    )
    customers = make_customers({"product_categories": ["b", "c"]})
    rows = stored_rows(
        "category_performance", category_performance(cube, customers, CURRENCY)
    )
    assert columns(
        rows, "product_category", "rank", "cumulative_share", "unique_customers"
    ) == [
        ("b", 1, 300 / 800, 1),
        ("c", 2, 500 / 800, 1),
        ("d", 2, 700 / 800, 0),
        ("a", 4, 1.0, 0),
    ]


def test_label_columns_may_be_categories():
    cube = make_cube(
        {"day": "2024-01-01", "region": "b", "revenue_cents": 1},
        {"day": "2024-01-01", "region": "a", "revenue_cents": 2},
    )
    customers = make_customers({"regions": ["a", "b"]})
    expected = region_performance(cube, customers, CURRENCY)
    encoded = cube.astype({"region": "category"})
    encoded["region"] = encoded["region"].cat.set_categories(["z", "b", "a"])
    assert region_performance(encoded, customers, CURRENCY).equals(expected)


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("region_performance", region_performance),
        ("category_performance", category_performance),
    ],
)
def test_no_sales(name, function):
    assert stored_rows(name, function(make_cube(), make_customers(), CURRENCY)) == []


@settings(deadline=None)
@given(cents=st.lists(st.integers(1, 10**12), min_size=1, max_size=8))
def test_shares_add_up(cents):
    cube = make_cube(
        *(
            {"day": "2024-01-01", "product_category": str(i), "revenue_cents": value}
            for i, value in enumerate(cents)
        )
    )
    table = category_performance(cube, make_customers({}), CURRENCY)
    assert table["net_revenue_share"].sum() == pytest.approx(1)
    assert table["cumulative_share"].iloc[-1] == 1
    assert table["cumulative_share"].is_monotonic_increasing
    assert table["rank"].is_monotonic_increasing
