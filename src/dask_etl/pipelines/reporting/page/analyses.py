"""The page's sections of the business: a finding, a figure, a table."""

from __future__ import annotations

from typing import Any

import pandas as pd

from dask_etl.pipelines.reporting import figures, findings
from dask_etl.pipelines.reporting.page import svg
from dask_etl.pipelines.reporting.page.tables import shown
from dask_etl.pipelines.reporting.style import percent
from dask_etl.wording import counted


def analyses(
    regions: pd.DataFrame,
    categories: pd.DataFrame,
    months: pd.DataFrame,
    weekdays: pd.DataFrame,
    segments: pd.DataFrame,
    cohorts: pd.DataFrame,
) -> list[dict[str, Any]]:
    """Return a section for each analysis that is drawn."""
    largest = regions.sort_values("net_revenue", ascending=False, kind="stable")
    total = findings.all_categories(months).iloc[::-1]
    seasons = findings.season_index(months) if len(months) else pd.DataFrame()
    seasons = seasons.rename_axis(index="product_category").reset_index()
    seasons.columns = [
        f"{pd.Timestamp(2000, c, 1):%b} index" if isinstance(c, int) else str(c)
        for c in seasons.columns
    ]
    named = weekdays.assign(
        day=[findings.WEEKDAYS[day] for day in weekdays["day_of_week"]]
    )
    drop = ["product_category", "is_total", "enough_data", "seasonality_index"]
    drawn = [
        ("regions", "Regions", figures.regional_analysis, regions, largest),
        ("categories", "Categories", figures.category_revenue, categories, categories),
        ("months", "Months", figures.monthly_sales, months, total.drop(columns=drop)),
        ("seasons", "Seasons", figures.seasonality, months, seasons),
        (
            "weekdays",
            "Weekdays",
            figures.weekday_pattern,
            weekdays,
            named[["day", *(c for c in weekdays if c != "day_of_week")]],
        ),
        ("segments", "Segments", figures.customer_segments, segments, segments),
        ("cohorts", "Cohorts", figures.cohort_retention, cohorts, _wide(cohorts)),
    ]
    sections = []
    for name, title, draw, data, table in drawn:
        figure = draw(data)
        finding, caption = figure.get_suptitle(), figure.get_supxlabel()
        finding, caption = (
            " ".join(text.replace(r"\$", "$").split()) for text in (finding, caption)
        )
        sections.append(
            {
                "id": name,
                "name": title,
                "finding": finding,
                "caption": caption,
                "figure": svg.inline(figure, name, f"{title}. {finding}. {caption}"),
                "tables": [shown(table, f"{name}-table", title)] if len(table) else [],
            }
        )
    return sections


def _wide(cohorts: pd.DataFrame) -> pd.DataFrame:
    """Put the retention of each cohort on a row, in complete months."""
    known = cohorts[cohorts["is_complete"].astype(bool)]
    wide = known.pivot(
        index="cohort", columns="months_since", values="retention"
    ).astype(float)
    sizes = cohorts.groupby("cohort")["cohort_size"].first()
    wide.columns = [f"retention {month}" for month in wide.columns]
    wide.insert(0, "customers", sizes.reindex(wide.index))
    return wide.reset_index()


def customers_section(customers: pd.DataFrame, days: pd.DataFrame) -> dict[str, Any]:
    """Return the section of what has no figure: all customers, and every day."""
    who = customers.iloc[0]
    finding = findings.NO_DATA
    if who["customers"]:
        finding = (
            f"The top 20 % of customers bring {percent(who['top_20_percent_share'])} of "
            f"net revenue; {percent(who['repeat_purchase_rate'])} bought more than once"
        )
    latest = days.iloc[::-1]
    return {
        "id": "customers",
        "name": "Customers",
        "finding": finding,
        "caption": "",
        "figure": "",
        "tables": [
            {
                **shown(customers, "customers-table", "All customers"),
                "summary": "Figures",
            },
            {
                **shown(latest, "days-table", "Days, the latest first"),
                "summary": f"Day by day ({counted(len(days), 'day')})",
            },
        ],
    }
