"""Figures of the business, one node function each; titles say what is seen."""

from __future__ import annotations

from typing import Any

import pandas as pd

from dask_etl.retail.parameters import Currency

from . import findings, heatmaps, lines, panels, style

# A matplotlib figure: matplotlib is imported by what draws, at the first figure.
Figure = Any


def regional_analysis(regions: pd.DataFrame, currency: Currency) -> Figure:
    """Net revenue and return rate per region."""
    top = findings.largest(regions, "region")
    figure, axes = _bars_and_dots(top)
    panels.revenue_bars(axes[0], top, currency)
    style.panel_title(axes[0], "Net revenue")
    panels.value_dots(
        axes[1],
        top["return_rate_value"] * 100,
        _ratio(regions, "returned_revenue", "revenue") * 100,
        lambda rate: style.percent(rate / 100),
        style.RED,
    )
    style.panel_title(axes[1], "Returns")
    axes[1].set_xlabel("Returned revenue (% of revenue); dashed: overall")
    return style.headline(
        figure,
        findings.region_finding(regions),
        "Net revenue = revenue − returned revenue.",
    )


def category_revenue(categories: pd.DataFrame, currency: Currency) -> Figure:
    """Net revenue and revenue per line of each product category."""
    top = findings.largest(categories, "product_category")
    figure, axes = _bars_and_dots(top)
    panels.revenue_bars(axes[0], top, currency, style.GREEN)
    style.panel_title(axes[0], "Net revenue")
    panels.value_dots(
        axes[1],
        top["average_line_revenue"],
        _ratio(categories, "net_revenue", "lines"),
        style.number,
        style.PURPLE,
    )
    style.panel_title(axes[1], "What a line brings")
    unit = style.literal(currency.unit)
    axes[1].set_xlabel(f"Net revenue per line ({unit}); dashed: overall")
    return style.headline(
        figure,
        findings.category_finding(categories),
        "Net revenue = revenue − returned revenue. A line is one product on a receipt.",
    )


def _bars_and_dots(top: pd.DataFrame):
    figure = style.new_figure(12, max(4.0, 1.9 + 0.36 * len(top)))
    return figure, figure.subplots(1, 2, width_ratios=[3, 2])


def _ratio(table: pd.DataFrame, over: str, under: str) -> float:
    divisor = table[under].sum()
    return table[over].sum() / divisor if divisor else float("nan")


def monthly_sales(months: pd.DataFrame, currency: Currency) -> Figure:
    """Net revenue per month: the total, and a line per category."""
    figure = style.new_figure(12, 8)
    total, categories = figure.subplots(2, 1, height_ratios=[2, 3])
    lines.monthly_total(total, months, currency)
    style.panel_title(total, "All categories")
    lines.category_lines(categories, months, currency)
    style.panel_title(categories, "By category")
    return style.headline(
        figure,
        findings.month_finding(months, currency),
        "Net revenue = revenue − returned revenue. Months that the data do not cover "
        "from the first to the last day are pale above, and open circles below.",
    )


def seasonality(months: pd.DataFrame) -> Figure:
    """Seasonality index per calendar month and category."""
    rows = min(months["product_category"].nunique(), 13)
    figure = style.new_figure(12, max(4.0, 2.0 + 0.36 * rows))
    axes = figure.subplots()
    finding = findings.season_finding(months)
    if findings.enough_seasons(months) and months["seasonality_index"].notna().any():
        heatmaps.season_map(axes, months)
    else:
        style.message(axes, "Not enough data for a seasonal pattern")
    return style.headline(
        figure,
        finding,
        "Index: mean net revenue of that calendar month ÷ mean of all complete months.",
    )


def weekday_pattern(weekdays: pd.DataFrame, currency: Currency) -> Figure:
    """Mean net revenue per day of the week."""
    figure = style.new_figure(10, 5.5)
    panels.weekday_bars(figure.subplots(), weekdays, currency)
    return style.headline(
        figure,
        findings.weekday_finding(weekdays),
        "Dashed: mean of all calendar days; at the bars: the distance from it.",
    )


def customer_segments(segments: pd.DataFrame, currency: Currency) -> Figure:
    """Customers and revenue per segment, and what a customer of each is like."""
    ranked = _ranked(segments)
    figure = style.new_figure(12, max(4.5, 2.0 + 0.5 * len(ranked)))
    axes = figure.subplots(1, 3, width_ratios=[3, 1.6, 1.6])
    panels.segment_bars(axes[0], ranked)
    style.panel_title(axes[0], "How many, and how much they bring")
    customers = ranked["customers"].sum()
    for panel, column, text, title, label, color in (
        (
            axes[1],
            "average_monetary",
            style.number,
            "Spend",
            style.literal(currency.unit),
            style.GREEN,
        ),
        (
            axes[2],
            "average_recency_days",
            "{:,.0f}".format,
            "Last purchase",
            "days ago",
            style.PURPLE,
        ),
    ):
        mean = (ranked[column] * ranked["customers"]).sum() / max(customers, 1)
        panels.value_dots(panel, ranked[column], mean, text, color)
        style.panel_title(panel, title)
        panel.set_xlabel(f"Mean per customer ({label})")
    return style.headline(
        figure,
        findings.segment_finding(segments),
        "Segments by recency, frequency and monetary scores. Dashed: mean of all "
        "customers.",
    )


def _ranked(segments: pd.DataFrame) -> pd.DataFrame:
    return segments.sort_values("net_revenue", ascending=False, ignore_index=True)


def cohort_retention(cohorts: pd.DataFrame) -> Figure:
    """Share of each cohort that bought again, month by month."""
    figure = style.new_figure(12, 7.5 if len(cohorts) > 60 else 5.5)
    heatmaps.retention_map(figure.subplots(), cohorts)
    return style.headline(
        figure,
        findings.cohort_finding(cohorts),
        "Blank: months that the data do not cover whole. Month 0, when everybody buys, "
        "is left out.",
    )


def business_insights(
    *,
    regions: pd.DataFrame,
    categories: pd.DataFrame,
    months: pd.DataFrame,
    weekdays: pd.DataFrame,
    segments: pd.DataFrame,
    cohorts: pd.DataFrame,
    currency: Currency,
) -> Figure:
    """The six views of the business side by side."""
    figure = style.new_figure(19, 10.5)
    grid = figure.subplots(2, 3)
    top = {"count": 8}
    panels.revenue_bars(
        grid[0, 0], findings.largest(regions, "region", **top), currency
    )
    panels.revenue_bars(
        grid[0, 1],
        findings.largest(categories, "product_category", **top),
        currency,
        style.GREEN,
    )
    lines.category_lines(grid[0, 2], months, currency)
    panels.weekday_bars(grid[1, 0], weekdays, currency)
    panels.segment_bars(grid[1, 1], _ranked(segments))
    heatmaps.retention_map(grid[1, 2], cohorts, labels=13)
    titles = {
        "Regions": findings.region_finding(regions),
        "Product categories": findings.category_finding(categories),
        "Months": findings.month_finding(months, currency),
        "Days of the week": findings.weekday_finding(weekdays),
        "Customer segments": findings.segment_finding(segments),
        "Cohorts": findings.cohort_finding(cohorts),
    }
    for axes, (subject, finding) in zip(grid.flat, titles.items(), strict=True):
        text = subject if finding == findings.NO_DATA else finding
        style.panel_title(axes, text, width=56)
    finding = overview_finding(categories, segments, currency)
    return style.headline(figure, finding, CAPTION)


CAPTION = (
    "Net revenue = revenue − returned revenue. Open circles: months that the data do "
    "not cover completely. Dashed: mean of all calendar days."
)


def overview_finding(
    categories: pd.DataFrame, segments: pd.DataFrame, currency: Currency
) -> str:
    """The size of the business in one line."""
    if categories.empty:
        return findings.NO_DATA
    customers = int(segments["customers"].sum())
    return (
        f"{style.amount(categories['net_revenue'].sum(), currency)} of net revenue from "
        f"{style.number(categories['lines'].sum())} lines and "
        f"{style.number(customers)} customers"
    )
