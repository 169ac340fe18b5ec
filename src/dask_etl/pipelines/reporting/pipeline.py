"""Reporting: what do the data say, what did it cost, are both engines right?"""

import warnings
from collections.abc import Iterable

from kedro.pipeline import Node, Pipeline

from dask_etl.pipelines.verification.nodes import require_identical

from .accuracy import measure_rules
from .figures import (
    business_insights,
    category_revenue,
    cohort_retention,
    customer_segments,
    monthly_sales,
    regional_analysis,
    seasonality,
    weekday_pattern,
)
from .history import record_run
from .page import render_page
from .performance import performance_comparison
from .report import render_report
from .samples import sample_rejected

ANALYSES = {
    "regions": "dask.region_performance",
    "categories": "dask.category_performance",
    "months": "dask.monthly_sales",
    "weekdays": "dask.weekday_pattern",
    "segments": "dask.segment_summary",
    "cohorts": "dask.cohort_retention",
    "currency": "params:currency",
}


FIGURES = (
    "business_insights",
    "category_revenue",
    "cohort_retention",
    "customer_segments",
    "monthly_sales",
    "regional_analysis",
    "seasonality",
    "weekday_pattern",
)
COMPARISON = "performance_comparison"
"""The figure of both engines."""


def create_pipeline() -> Pipeline:
    """Draw the figures, write the reports, and fail if the engines differ."""
    return _pipeline([*_of_both_engines(), *_nodes((*FIGURES, COMPARISON))])


def of_one_engine() -> Pipeline:
    """Return the same for the Dask engine alone, which nothing is compared with."""
    return _pipeline(_nodes(FIGURES))


def _pipeline(nodes: list[Node]) -> Pipeline:
    with warnings.catch_warnings():
        # Kedro warns of dots outside a namespace: these nodes read from two of them.
        warnings.filterwarnings("ignore", message="One or more dataset names contain")
        # A box in Kedro-Viz; tables and figures keep their names.
        return Pipeline(
            nodes,
            namespace="reporting",
            prefix_datasets_with_namespace=False,
            tags="reporting",
        )


def _of_both_engines() -> list[Node]:
    """Return what makes no sense where one engine ran alone."""
    return [
        Node(
            func=performance_comparison,
            inputs=["run_metrics", "verification"],
            outputs="performance_comparison_plot",
            name="plot_performance_comparison",
        ),
        Node(
            func=require_identical,
            inputs=[
                "verification",
                "dask.row_ledger",
                "pandas.row_ledger",
                "report",
                "report_page",
            ],
            outputs=None,
            name="require_identical",
        ),
    ]


def _nodes(figures: Iterable[str]) -> list[Node]:
    return [
        Node(
            func=regional_analysis,
            inputs=["dask.region_performance", "params:currency"],
            outputs="regional_analysis_plot",
            name="plot_regional_analysis",
        ),
        Node(
            func=category_revenue,
            inputs=["dask.category_performance", "params:currency"],
            outputs="category_revenue_plot",
            name="plot_category_revenue",
        ),
        Node(
            func=monthly_sales,
            inputs=["dask.monthly_sales", "params:currency"],
            outputs="monthly_sales_plot",
            name="plot_monthly_sales",
        ),
        Node(
            func=seasonality,
            inputs="dask.monthly_sales",
            outputs="seasonality_plot",
            name="plot_seasonality",
        ),
        Node(
            func=weekday_pattern,
            inputs=["dask.weekday_pattern", "params:currency"],
            outputs="weekday_pattern_plot",
            name="plot_weekday_pattern",
        ),
        Node(
            func=customer_segments,
            inputs=["dask.segment_summary", "params:currency"],
            outputs="customer_segments_plot",
            name="plot_customer_segments",
        ),
        Node(
            func=cohort_retention,
            inputs="dask.cohort_retention",
            outputs="cohort_retention_plot",
            name="plot_cohort_retention",
        ),
        Node(
            func=business_insights,
            inputs=ANALYSES,
            outputs="business_insights_plot",
            name="plot_business_insights",
        ),
        Node(
            func=measure_rules,
            inputs=[
                "generated_defects_by_part",
                "rejected_reasons_by_part",
                "dask.row_ledger",
                "params:cleaning",
            ],
            outputs="rule_accuracy",
            name="measure_rules",
        ),
        Node(
            func=render_report,
            inputs={
                **ANALYSES,
                "customers": "dask.customer_summary",
                "orders": "dask.order_summary",
                "row_ledger": "dask.row_ledger",
                "rule_accuracy": "rule_accuracy",
                "verification": "verification",
                "run_metrics": "run_metrics",
                **{name: f"{name}_plot" for name in figures},
            },
            outputs="report",
            name="write_report",
        ),
        Node(
            func=record_run,
            inputs={
                "row_ledger": "dask.row_ledger",
                "categories": "dask.category_performance",
                "days": "dask.daily_sales",
                "customers": "dask.customer_summary",
                "run_metrics": "run_metrics",
                "run_facts": "run_facts",
            },
            outputs="run_history",
            name="record_run",
        ),
        Node(
            func=sample_rejected,
            inputs=["rejected_transactions_by_part", "dask.row_ledger"],
            outputs="rejected_samples",
            name="sample_rejected",
        ),
        Node(
            func=render_page,
            inputs={
                **ANALYSES,
                "days": "dask.daily_sales",
                "customers": "dask.customer_summary",
                "orders": "dask.order_summary",
                "row_ledger": "dask.row_ledger",
                "rule_accuracy": "rule_accuracy",
                "rejected_samples": "rejected_samples",
                "run_history": "run_history",
                "run_metrics": "run_metrics",
                "verification": "verification",
                "run_facts": "run_facts",
                "calendar": "params:calendar",
                "parameters": "parameters",
            },
            outputs="report_page",
            name="write_report_page",
        ),
    ]
