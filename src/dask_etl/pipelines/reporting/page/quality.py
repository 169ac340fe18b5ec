"""The page's section on the data: what became of the rows, and where figures come from."""

from __future__ import annotations

from typing import Any

import pandas as pd

from dask_etl.pipelines.reporting import history
from dask_etl.pipelines.reporting.accuracy import accuracy_finding
from dask_etl.pipelines.reporting.page import svg
from dask_etl.pipelines.reporting.page.head import RUNS
from dask_etl.pipelines.reporting.page.tables import shown
from dask_etl.pipelines.reporting.style import percent
from dask_etl.retail.schema import RULES
from dask_etl.wording import counted, number

FILES = 20
"""Source files, those with the largest share of rejected rows, that are listed."""


def quality_of(
    row_ledger: pd.DataFrame, samples: pd.DataFrame, run_history: pd.DataFrame
) -> dict[str, Any]:
    """Return the section on the data: rows by rule and by file, drift, samples."""
    read, kept, rejected = (
        int(row_ledger[f"rows_{what}"].sum()) for what in ("read", "kept", "rejected")
    )
    finding = (
        f"{read:,} rows read = {kept:,} kept + {rejected:,} rejected "
        f"({percent(rejected / read) if read else 'n/a'})"
    )
    drifted = history.drift(run_history)
    rates = history.rates(run_history.tail(RUNS))
    rules = pd.DataFrame(
        {
            "rule": RULES,
            "rows": [int(row_ledger[rule].sum()) for rule in RULES],
            "share_of_rows": [rates[rule].iloc[-1] for rule in RULES],
            "against_earlier_runs": [drifted.get(rule, "") for rule in RULES],
        }
    )
    notes = [
        {"kind": "bad", "text": f"▲ {rule} has drifted: {said}."}
        for rule, said in drifted.items()
    ]
    if not drifted and len(run_history) > history.COMPARED:
        notes = [
            {
                "kind": "good",
                "text": "✓ Every rule rejects about as many as it used to.",
            }
        ]
    trend = [
        {
            "name": rule.replace("_", " "),
            "spark": svg.sparkline(
                rates[rule].tolist(), f"{rule}: share of rows over the last runs"
            ),
            "value": percent(rates[rule].iloc[-1]),
        }
        for rule in RULES
        if len(rates) > 1 and rates[rule].max() > 0
    ]
    return {
        "finding": finding,
        "notes": notes,
        "trend": trend,
        "rules": shown(
            rules,
            "rules-table",
            "Rows by rule that they broke; one that broke several counts under each",
        ),
        "files": _files(row_ledger),
        "samples": [
            {
                **shown(rows, f"sample-{rule}", f"Rejected for {rule}, as they came"),
                "summary": f"{rule} ({counted(len(rows), 'row')})",
            }
            for rule, rows in samples.groupby("rule", sort=False)
            if len(rows)
        ],
    }


def accuracy_of(rule_accuracy: pd.DataFrame) -> dict[str, Any] | None:
    """Return how well the rules found what was planted; None where nothing is known."""
    if rule_accuracy.empty:
        return None
    caption = "Precision and recall of the rules, on what the generator planted"
    table = shown(rule_accuracy, "accuracy-table", caption)
    return {**table, "summary": accuracy_finding(rule_accuracy)}


def _files(row_ledger: pd.DataFrame) -> dict[str, Any] | None:
    """Rules by files: the files with the largest share of rejected rows."""
    if row_ledger.empty:
        return None
    share = row_ledger["rows_rejected"] / row_ledger["rows_read"].where(
        row_ledger["rows_read"] > 0
    )
    worst = row_ledger.assign(share_rejected=share).sort_values(
        "share_rejected", ascending=False, kind="stable"
    )
    broken = [rule for rule in RULES if row_ledger[rule].any()]
    columns = ["source_file", "rows_read", "rows_rejected", "share_rejected", *broken]
    table = shown(
        worst[columns].head(FILES),
        "files-table",
        "Source files, the largest share of rejected rows first",
        total=len(row_ledger),
    )
    return {**table, "summary": f"By file ({counted(len(row_ledger), 'file')})"}


def lineage_of(
    row_ledger: pd.DataFrame, categories: pd.DataFrame, customers: pd.DataFrame
) -> str:
    """Draw how the tables come from each other, with their rows."""
    read, kept, rejected = (
        int(row_ledger[f"rows_{what}"].sum()) for what in ("read", "kept", "rejected")
    )
    people = int(customers["customers"].iloc[0])
    columns = [
        [("raw_transactions", f"{number(read)} rows")],
        [
            ("clean_transactions", f"{number(kept)} rows"),
            ("rejected_transactions", f"{number(rejected)} rows"),
            ("row_ledger", counted(len(row_ledger), "file")),
        ],
        [
            ("sales_cube", f"{number(int(categories['lines'].sum()))} lines"),
            ("customers", f"{number(people)} rows"),
        ],
        [("ten analyses", "of sales, customers, orders")],
        [("this report", "figures and tables")],
    ]
    said = " → ".join(", ".join(f"{n} ({s})" for n, s in column) for column in columns)
    return svg.lineage(columns, f"Lineage: {said}")
