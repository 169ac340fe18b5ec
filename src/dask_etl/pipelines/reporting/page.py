"""The report as one page: figures, tables and history, in a file that needs no other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

import pandas as pd

from dask_etl.retail.schema import RULES
from dask_etl.wording import counted, number

from . import figures, findings, history, svg
from .page_tables import shown
from .performance import (
    latest_runs,
    performance_comparison,
    performance_finding,
    same_work,
    totals,
)
from .style import percent

FILES = 20
"""Source files, those with the largest share of rejected rows, that are listed."""

RUNS = 20
"""Runs that the page tells of."""


def render_page(
    *,
    regions: pd.DataFrame,
    categories: pd.DataFrame,
    months: pd.DataFrame,
    days: pd.DataFrame,
    weekdays: pd.DataFrame,
    segments: pd.DataFrame,
    cohorts: pd.DataFrame,
    customers: pd.DataFrame,
    row_ledger: pd.DataFrame,
    rejected_samples: pd.DataFrame,
    run_history: pd.DataFrame,
    run_metrics: pd.DataFrame,
    verification: pd.DataFrame,
    run_facts: Mapping[str, Any],
    parameters: Mapping[str, Any],
) -> str:
    """Write the report of a run as HTML.

    Args:
        regions: and the other analyses, of the Dask engine.
        row_ledger: what became of the rows.
        rejected_samples: some of the rejected rows.
        run_history: this run, the last row, and those before.
        run_metrics: what runs cost; may be empty.
        verification: whether both engines made the same; empty where one ran alone.
        run_facts: what the run knows of itself.
        parameters: all of them.

    Returns:
        One page that fetches nothing, in UTF-8.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415  (start-up)
    from markupsafe import Markup  # noqa: PLC0415  (start-up)

    sections = [
        *_analyses(regions, categories, months, weekdays, segments, cohorts),
        _customers(customers, days),
    ]
    for section in sections:
        section["figure"] = Markup(section["figure"])
    quality = _quality(row_ledger, rejected_samples, run_history)
    for line in quality["trend"]:
        line["spark"] = Markup(line["spark"])
    tiles = _tiles(run_history)
    for tile in tiles:
        tile["spark"] = Markup(tile["spark"])
    ids = [
        *((section["id"], section["name"]) for section in sections),
        ("quality", "Data quality"),
        ("lineage", "Lineage"),
        ("runs", "Runs"),
        ("engines", "Engines"),
    ]
    environment = Environment(
        loader=PackageLoader("dask_etl.pipelines.reporting", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    return environment.get_template("report.html.j2").render(
        title="Sales report",
        css=Markup(_resource("report.css")),
        script=Markup(_resource("report.js")),
        facts=_facts(row_ledger, run_history, run_facts, parameters),
        links=[{"id": "findings", "name": "Findings"}]
        + [{"id": name, "name": text} for name, text in ids],
        tiles=tiles,
        findings=[
            *({"id": s["id"], "text": s["finding"]} for s in sections),
            {"id": "quality", "text": quality["finding"]},
        ],
        sections=sections,
        quality=quality,
        lineage=Markup(_lineage(row_ledger, categories, customers)),
        runs=_runs(run_history),
        engines=_engines(run_metrics, verification, Markup),
        environment=_environment(run_facts, row_ledger),
        parameters=sorted(_flat(parameters)),
    )


def _resource(name: str) -> str:
    return (
        resources.files("dask_etl.pipelines.reporting")
        .joinpath("templates", name)
        .read_text("utf-8")
    )


# -- the head ------------------------------------------------------------------


def _facts(
    row_ledger: pd.DataFrame,
    run_history: pd.DataFrame,
    run_facts: Mapping[str, Any],
    parameters: Mapping[str, Any],
) -> list[str]:
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


def _tiles(run_history: pd.DataFrame) -> list[dict[str, str]]:
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


# -- the analyses --------------------------------------------------------------


def _analyses(
    regions: pd.DataFrame,
    categories: pd.DataFrame,
    months: pd.DataFrame,
    weekdays: pd.DataFrame,
    segments: pd.DataFrame,
    cohorts: pd.DataFrame,
) -> list[dict[str, Any]]:
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


def _customers(customers: pd.DataFrame, days: pd.DataFrame) -> dict[str, Any]:
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


# -- the data ------------------------------------------------------------------


def _quality(
    row_ledger: pd.DataFrame, samples: pd.DataFrame, run_history: pd.DataFrame
) -> dict[str, Any]:
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


def _lineage(
    row_ledger: pd.DataFrame, categories: pd.DataFrame, customers: pd.DataFrame
) -> str:
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
        [("nine analyses", "of sales and customers")],
        [("this report", "figures and tables")],
    ]
    said = " → ".join(", ".join(f"{n} ({s})" for n, s in column) for column in columns)
    return svg.lineage(columns, f"Lineage: {said}")


# -- the runs ------------------------------------------------------------------


def _runs(run_history: pd.DataFrame) -> dict[str, Any]:
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


def _engines(
    run_metrics: pd.DataFrame, verification: pd.DataFrame, markup: type
) -> dict[str, Any]:
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


# -- the foot ------------------------------------------------------------------


def _environment(
    run_facts: Mapping[str, Any], row_ledger: pd.DataFrame
) -> list[tuple[str, str]]:
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


def _flat(values: Any, name: str = "") -> list[tuple[str, str]]:
    if isinstance(values, Mapping) and values:
        return [
            line
            for key, value in values.items()
            for line in _flat(value, f"{name}.{key}".lstrip("."))
        ]
    if isinstance(values, Sequence) and not isinstance(values, str):
        return [(name, ", ".join(map(str, values)))]
    return [(name, "null" if values is None else str(values))]
