"""The analyses, once per engine: plain pandas on the summary tables."""

from kedro.pipeline import Node, Pipeline

from .customers import (
    cohort_retention,
    customer_segments,
    customer_summary,
    segment_summary,
)
from .orders import order_summary
from .performance import category_performance, region_performance
from .time_series import daily_sales, monthly_sales, weekday_pattern

ENGINES = ("dask", "pandas")


def create_pipeline() -> Pipeline:
    """Return the same ten analyses of both engines' summaries."""
    return sum(
        (
            Pipeline(
                _analyses(),
                namespace=engine,
                parameters={"params:segments", "params:currency"},
                tags=["analytics"],
            )
            for engine in ENGINES
        ),
        Pipeline([]),
    )


def _analyses() -> list[Node]:
    return [
        Node(
            func=region_performance,
            inputs=["sales_cube", "customers", "params:currency"],
            outputs="region_performance",
            name="region_performance",
        ),
        Node(
            func=category_performance,
            inputs=["sales_cube", "customers", "params:currency"],
            outputs="category_performance",
            name="category_performance",
        ),
        Node(
            func=monthly_sales,
            inputs=["sales_cube", "params:currency"],
            outputs="monthly_sales",
            name="monthly_sales",
        ),
        Node(
            func=daily_sales,
            inputs=["sales_cube", "params:currency"],
            outputs="daily_sales",
            name="daily_sales",
        ),
        Node(
            func=weekday_pattern,
            inputs=["sales_cube", "params:currency"],
            outputs="weekday_pattern",
            name="weekday_pattern",
        ),
        Node(
            func=customer_segments,
            inputs=[
                "customers",
                "row_ledger",
                "params:segments",
                "params:currency",
            ],
            outputs="customer_segments",
            name="customer_segments",
        ),
        Node(
            func=segment_summary,
            inputs=["customer_segments", "customers", "params:currency"],
            outputs="segment_summary",
            name="segment_summary",
        ),
        Node(
            func=cohort_retention,
            inputs=["sales_cube", "customers"],
            outputs="cohort_retention",
            name="cohort_retention",
        ),
        Node(
            func=customer_summary,
            inputs=["customers", "params:currency"],
            outputs="customer_summary",
            name="customer_summary",
        ),
        Node(
            func=order_summary,
            inputs=["orders", "customers", "sales_cube", "params:currency"],
            outputs="order_summary",
            name="order_summary",
        ),
    ]
