"""The page's head: what it is about, and headline figures with what has changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from dask_etl.pipelines.reporting.page import svg
from dask_etl.pipelines.reporting.style import percent
from dask_etl.wording import counted, number

RUNS = 20
"""Runs that the page tells of."""


def facts(
    row_ledger: pd.DataFrame,
    run_history: pd.DataFrame,
    run_facts: Mapping[str, Any],
    parameters: Mapping[str, Any],
) -> list[str]:
    """Say what the report is about: period, sources, currency, time zone, run, version."""
    now = run_history.iloc[-1]
    period = "no day of sales"
    if pd.notna(now["first_day"]):
        first, last = (pd.Timestamp(now[f"{end}_day"]) for end in ("first", "last"))
        period = f"{first:%d %B %Y} – {last:%d %B %Y}"
    version = f"dask-etl {run_facts['version']}"
    if run_facts["commit"]:
        version += f" ({run_facts['commit']})"
    zone = (parameters.get("calendar") or {}).get("timezone", "UTC")
    label = (parameters.get("currency") or {}).get("label")
    return [
        period,
        counted(len(row_ledger), "source file"),
        f"amounts in {label or 'currency units'}",
        f"days of {zone}",
        f"run {run_facts['run_id']}",
        version,
    ]


def tiles(run_history: pd.DataFrame) -> list[dict[str, str]]:
    """Return headline figures, their change since the run before, and a line of them."""
    runs = run_history.tail(RUNS).astype(
        dict.fromkeys(("revenue", "lines", "customers", "rows_read"), float)
    )
    revenue = runs["revenue"].where(runs["revenue"] != 0)
    heads = runs["customers"].where(runs["customers"] > 0)
    read = runs["rows_read"].where(runs["rows_read"] > 0)
    values = {
        "Net revenue": (runs["net_revenue"], number),
        "Sale lines": (runs["lines"], number),
        "Customers": (runs["customers"], number),
        "Net revenue per customer": (runs["net_revenue"] / heads, number),
        "Returned, share of revenue": (runs["returned_revenue"] / revenue, percent),
        "Rows rejected": (runs["rows_rejected"] / read, percent),
    }
    return [
        {
            "name": name,
            "value": "n/a" if pd.isna(series.iloc[-1]) else say(series.iloc[-1]),
            "change": _change(series),
            "spark": svg.sparkline(
                series.tolist(), f"{name} of the last {counted(len(series), 'run')}"
            ),
        }
        for name, (series, say) in values.items()
    ]


def _change(series: pd.Series) -> str:
    """Say how a figure differs from that of the run before."""
    if len(series) < 2:
        return "first run"
    now, before = series.iloc[-1], series.iloc[-2]
    if pd.isna(now) or pd.isna(before):
        return ""
    if now == before:
        return "as in the run before"
    if not before:
        return "none in the run before"
    share = now / before - 1
    sign = "+" if share > 0 else "−"
    return f"{sign}{percent(abs(share))} since the run before"
