"""What came of a run, kept beside that of the runs before; and what has changed."""

from datetime import date
from typing import Any

import pandas as pd

from dask_etl.hooks.records import latest_totals
from dask_etl.retail.schema import RULES

from .performance import PIPELINES
from .style import percent

COMPARED = 3
"""Earlier runs that it takes to say what is usual."""

UNUSUAL = 0.5
"""A rate further from the usual one than this share of it has drifted …"""

NOTABLE = 0.001
"""… if it is as many rows of all besides."""


def record_run(
    *,
    row_ledger: pd.DataFrame,
    categories: pd.DataFrame,
    days: pd.DataFrame,
    customers: pd.DataFrame,
    run_metrics: pd.DataFrame,
    run_facts: dict[str, Any],
) -> pd.DataFrame:
    """Put on record what came of a run: one row of ``run_history``."""
    totals = latest_totals(run_metrics).set_index("pipeline")
    cost = totals.loc[PIPELINES["Dask"]] if PIPELINES["Dask"] in totals.index else {}
    record = {
        "run_id": run_facts["run_id"],
        "started_at": pd.Timestamp(run_facts["started_at"]).as_unit("us"),
        "first_day": _day(days["day"].min()),
        "last_day": _day(days["day"].max()),
        **{
            name: int(row_ledger[name].sum())
            for name in ("rows_read", "rows_kept", "rows_rejected", *RULES)
        },
        **{
            name: float(categories[name].sum())
            for name in ("revenue", "returned_revenue", "net_revenue")
        },
        "lines": int(categories["lines"].sum()),
        "customers": int(customers["customers"].iloc[0]),
        "seconds": cost.get("wall_seconds"),
        "peak_memory_mb": cost.get("peak_memory_mb"),
    }
    return pd.DataFrame([record]).astype(
        {"seconds": "float64", "peak_memory_mb": "float64"}
    )


def _day(value: Any) -> date | None:
    return None if pd.isna(value) else pd.Timestamp(value).date()


def rates(run_history: pd.DataFrame) -> pd.DataFrame:
    """Share of the rows read that each rule rejected, and all of them; a row per run."""
    read = run_history["rows_read"].where(run_history["rows_read"] > 0)
    names = ["rows_rejected", *RULES]
    return run_history[names].astype(float).div(read.astype(float), axis=0)


def drift(run_history: pd.DataFrame) -> dict[str, str]:
    """Name the rules that reject far more, or fewer, rows than they usually do.

    Usual is the median of the runs before, if there are three of them.

    Returns:
        What has changed, in words, by rule.
    """
    if len(run_history) <= COMPARED:
        return {}
    found = rates(run_history)
    now, usual = found.iloc[-1], found.iloc[:-1].median()
    return {
        rule: f"{percent(now[rule])} of the rows, usually {percent(usual[rule])}"
        for rule in RULES
        if abs(now[rule] - usual[rule]) > max(UNUSUAL * usual[rule], NOTABLE)
    }
