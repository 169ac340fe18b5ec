"""What came of the data in a run: the lines of its summary that know a shop."""

from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from dask_etl.compat.kedro import unwrapped
from dask_etl.hooks.records import RUN_METRICS, latest_totals
from dask_etl.retail.schema import RULES
from dask_etl.wording import duration, number, percent

REASONS = 3
"""Rules that are named with their rows; the others are counted."""

ENGINES = {"Dask": "dask", "pandas": "pandas"}


def lines(catalog: Any, touched: Collection[str]) -> Iterator[tuple[str, str]]:
    """Say what became of the rows, what they are worth, and what that cost.

    Args:
        catalog: of the run.
        touched: the datasets that the run read or wrote; others are none of its
            business.
    """
    for namespace in ENGINES.values():
        if f"{namespace}.row_ledger" in touched:
            yield from _rows(catalog.load(f"{namespace}.row_ledger"))
            break
    for namespace in ENGINES.values():
        if f"{namespace}.sales_cube" in touched:
            currency = catalog.load("params:currency")
            total = _net_cents(catalog[f"{namespace}.sales_cube"]) / currency.cents
            yield "Net revenue", " ".join(filter(None, [number(total), currency.label]))
            break
    if "verification" in touched:
        tables = catalog.load("verification")
        same, count = int(tables["identical"].sum()), len(tables)
        if count:  # else it is one engine alone, and there is nothing to compare
            yield (
                "Verification",
                f"all {count} tables of both engines are identical"
                if same == count
                else f"{count - same} of {count} tables differ between the engines",
            )
    if RUN_METRICS.name in touched:
        yield from _cost(catalog.load(RUN_METRICS.name))


def _rows(ledger) -> Iterator[tuple[str, str]]:
    read, kept, rejected = (
        int(ledger[f"rows_{what}"].sum()) for what in ("read", "kept", "rejected")
    )
    share = f" ({percent(rejected / read)})" if read else ""
    yield "Rows", f"{read:,} read = {kept:,} kept + {rejected:,} rejected{share}"
    stayed = {
        name: int(ledger[f"rows_{name}"].sum()) for name in ("blanked", "excused")
    }
    if any(stayed.values()):
        yield (
            "Among the kept",
            ", ".join(f"{rows:,} {name}" for name, rows in stayed.items() if rows),
        )
    broken = ledger[list(RULES)].sum().sort_values(ascending=False, kind="stable")
    broken = broken[broken > 0]
    if broken.empty:
        return
    named = [f"{rule} {int(rows):,}" for rule, rows in broken[:REASONS].items()]
    others = len(broken) - REASONS
    if others > 0:
        named.append(f"{others} more {int(broken[REASONS:].sum()):,}")
    # The ledger counts what a rule found, whatever became of the rows.
    yield "Rules broken" if any(stayed.values()) else "Rejected by", ", ".join(named)


def _net_cents(dataset: Any) -> int:
    """Add up the cents of a cube, a part at a time: it may have millions of rows."""
    source = unwrapped(dataset).source()
    names = ("revenue_cents", "returned_revenue_cents")
    reader = replace(
        source.reader, schema=pa.schema([source.reader.schema.field(n) for n in names])
    )
    cents = 0
    for segment in source.segments:
        rows = reader.read([segment])
        sold, returned = (pc.sum(rows[name]).as_py() or 0 for name in names)
        cents += sold - returned
    return cents


def _cost(run_metrics) -> Iterator[tuple[str, str]]:
    totals = latest_totals(run_metrics)
    said = [
        f"{engine} {duration(row.wall_seconds)}, {row.peak_memory_mb:,.0f} MB"
        for engine, namespace in ENGINES.items()
        for row in totals[totals["pipeline"] == f"etl_{namespace}"].itertuples()
    ]
    if said:
        yield "Engines", "; ".join(said)
