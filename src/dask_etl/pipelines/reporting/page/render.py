"""The report as one page: figures, tables and history, in a file that needs no other."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from typing import Any

import pandas as pd

from dask_etl.pipelines.reporting.page.analyses import analyses, customers_section
from dask_etl.pipelines.reporting.page.head import facts, tiles
from dask_etl.pipelines.reporting.page.quality import (
    accuracy_of,
    lineage_of,
    quality_of,
)
from dask_etl.pipelines.reporting.page.runs import (
    engines_of,
    environment_of,
    flat,
    runs_table,
)
from dask_etl.retail.parameters import Calendar, Currency

PACKAGE = "dask_etl.pipelines.reporting.page"


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
    orders: pd.DataFrame,
    calendar: Calendar,
    currency: Currency,
    row_ledger: pd.DataFrame,
    rule_accuracy: pd.DataFrame,
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
        calendar: whose days they are.
        currency: what amounts are in.
        row_ledger: what became of the rows.
        rule_accuracy: how well the rules found what was planted; may be empty.
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
        *analyses(regions, categories, months, weekdays, segments, cohorts, currency),
        customers_section(customers, orders, days),
    ]
    for section in sections:
        section["figure"] = Markup(section["figure"])
    quality = quality_of(row_ledger, rejected_samples, run_history)
    for line in quality["trend"]:
        line["spark"] = Markup(line["spark"])
    headline = tiles(run_history)
    for tile in headline:
        tile["spark"] = Markup(tile["spark"])
    ids = [
        *((section["id"], section["name"]) for section in sections),
        ("quality", "Data quality"),
        ("lineage", "Lineage"),
        ("runs", "Runs"),
        ("engines", "Engines"),
    ]
    environment = Environment(
        loader=PackageLoader(PACKAGE, "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    return environment.get_template("report.html.j2").render(
        title="Sales report",
        css=Markup(_resource("report.css")),
        script=Markup(_resource("report.js")),
        facts=facts(row_ledger, run_history, run_facts, calendar, currency),
        links=[{"id": "findings", "name": "Findings"}]
        + [{"id": name, "name": text} for name, text in ids],
        tiles=headline,
        findings=[
            *({"id": s["id"], "text": s["finding"]} for s in sections),
            {"id": "quality", "text": quality["finding"]},
        ],
        sections=sections,
        quality={**quality, "accuracy": accuracy_of(rule_accuracy)},
        lineage=Markup(lineage_of(row_ledger, categories, customers)),
        runs=runs_table(run_history),
        engines=engines_of(run_metrics, verification, Markup),
        environment=environment_of(run_facts, row_ledger),
        parameters=sorted(flat(parameters)),
    )


def _resource(name: str) -> str:
    return resources.files(PACKAGE).joinpath("templates", name).read_text("utf-8")
