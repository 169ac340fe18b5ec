"""The page's sections on runs and engines, and its foot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from dask_etl.pipelines.reporting import history
from dask_etl.pipelines.reporting.page import svg
from dask_etl.pipelines.reporting.page.head import RUNS
from dask_etl.pipelines.reporting.page.tables import shown
from dask_etl.pipelines.reporting.performance import (
    latest_runs,
    performance_comparison,
    performance_finding,
    same_work,
    totals,
)
from dask_etl.wording import counted


def runs_table(run_history: pd.DataFrame) -> dict[str, Any]:
    """Return the latest runs: rows, rejected, money, time and memory."""
    latest = run_history.tail(RUNS).iloc[::-1]
    rates = history.rates(run_history).loc[latest.index]
    table = pd.DataFrame(
        {
            "run": latest["run_id"],
            "started (UTC)": latest["started_at"],
            "rows read": latest["rows_read"],
            "rejected_rate": rates["rows_rejected"],
            "net_revenue": latest["net_revenue"],
            "customers": latest["customers"],
            "seconds": latest["seconds"],
            "peak memory (MB)": latest["peak_memory_mb"].round(),
        }
    )
    said = counted(len(run_history), "run")
    return {
        "finding": f"The last {said}" if len(run_history) > 1 else "The first run",
        "table": shown(table, "runs-table", "Runs, the latest first"),
    }


def verification_state(
    verification: pd.DataFrame, run_metrics: pd.DataFrame
) -> tuple[bool, str]:
    """Tell whether the tables of this report were compared, and say what came of it."""
    if verification.empty:
        return False, "Not compared: the pandas engine did not run"
    started = run_metrics.groupby("pipeline")["started_at"].max()
    compared, made = started.get("verification"), started.get("etl_dask")
    if compared is not None and made is not None and compared < made:
        return False, "Not compared since: the verification is that of an earlier run"
    return True, same_work(verification).rstrip(".!")


def engines_of(
    run_metrics: pd.DataFrame, verification: pd.DataFrame, markup: type
) -> dict[str, Any]:
    """Return whether the engines agree and what they took; the figure as ``markup``."""
    compared, said = verification_state(verification, run_metrics)
    total = totals(latest_runs(run_metrics))
    tables, finding = [], said
    if compared:
        tables.append(
            shown(verification, "verification-table", "Both engines compared")
        )
    if len(total):
        finding = f"{said}. {performance_finding(run_metrics)}"
        cost = total.rename_axis("engine").reset_index()
        columns = ["wall_seconds", "cpu_seconds", "peak_memory_mb", "cores", "rows"]
        cost = cost[["engine", "run_id", *columns]].infer_objects()
        tables.append(shown(cost, "cost-table", "What the engines took, latest runs"))
    figure = ""
    if compared and len(total) > 1:
        drawn = performance_comparison(run_metrics, verification)
        label = f"{performance_finding(run_metrics)}. Time, memory and nodes."
        figure = svg.inline(drawn, "performance", label)
    return {"finding": finding, "tables": tables, "figure": markup(figure)}


def environment_of(
    run_facts: Mapping[str, Any], row_ledger: pd.DataFrame
) -> list[tuple[str, str]]:
    """Say with what, when and of what the report was made."""
    files = row_ledger["source_file"].astype(str).tolist()
    named = ", ".join(files[:3]) + (f" and {len(files) - 3:,} more" * (len(files) > 3))
    judged = pd.to_datetime(row_ledger["as_of"], utc=True).unique()
    packages = run_facts["packages"].items()
    return [
        ("Run", str(run_facts["run_id"])),
        ("Made", f"{run_facts['started_at']:%Y-%m-%d %H:%M} UTC"),
        ("Environment", str(run_facts["environment"])),
        ("Sources", named or "none"),
        ("Judged at", ", ".join(f"{t:%Y-%m-%d %H:%M} UTC" for t in judged[:3])),
        ("dask-etl", f"{run_facts['version']} {run_facts['commit']}".strip()),
        ("Python", f"{run_facts['python']} on {run_facts['system']}"),
        ("Packages", ", ".join(f"{name} {version}" for name, version in packages)),
    ]


def flat(values: Any, name: str = "") -> list[tuple[str, str]]:
    """List settings by their dotted names."""
    if isinstance(values, Mapping) and values:
        return [
            line
            for key, value in values.items()
            for line in flat(value, f"{name}.{key}".lstrip("."))
        ]
    if isinstance(values, Sequence) and not isinstance(values, str):
        return [(name, ", ".join(map(str, values)))]
    return [(name, "null" if values is None else str(values))]
