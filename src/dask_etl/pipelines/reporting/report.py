"""The report in Markdown: what the data say, and why they can be believed."""

from collections.abc import Mapping

import pandas as pd

from dask_etl.retail.parameters import Currency
from dask_etl.retail.schema import RULES
from dask_etl.wording import number

from . import findings
from .accuracy import accuracy_finding
from .performance import latest_runs, performance_finding, ratio, totals
from .style import percent

WORST_FILES = 5
"""Source files with the largest share of rejected rows that are listed."""

COMPARED = {"wall_seconds", "cpu_seconds", "peak_memory_mb"}
"""Measures of a run of which the ratio of the engines means something."""


def render_report(
    *,
    row_ledger: pd.DataFrame,
    rule_accuracy: pd.DataFrame,
    verification: pd.DataFrame,
    run_metrics: pd.DataFrame,
    regions: pd.DataFrame,
    categories: pd.DataFrame,
    months: pd.DataFrame,
    weekdays: pd.DataFrame,
    segments: pd.DataFrame,
    cohorts: pd.DataFrame,
    customers: pd.DataFrame,
    orders: pd.DataFrame,
    currency: Currency,
    **figures: str | None,
) -> str:
    """Put the findings of a run on one page, with links to its figures.

    Args:
        figures: names of their files, by the figure; None where one was not drawn.

    Returns:
        Markdown; figures are linked as files beside it.
    """
    insights = {
        "regional_analysis": findings.region_finding(regions),
        "category_revenue": findings.category_finding(categories),
        "monthly_sales": findings.month_finding(months, currency),
        "seasonality": findings.season_finding(months),
        "weekday_pattern": findings.weekday_finding(weekdays),
        "customer_segments": findings.segment_finding(segments),
        "cohort_retention": findings.cohort_finding(cohorts),
    }
    sections = [
        "# Sales report",
        headline_figures(row_ledger, categories, customers, orders, currency),
        "## What the data say",
        "\n".join(
            f"- {_link(name, figures)}: {_safe(text)}."
            for name, text in insights.items()
        ),
        *_picture("business_insights", figures),
        "## Where the rows went",
        ledger_summary(row_ledger),
        *accuracy_summary(rule_accuracy),
        "## Do both engines agree?",
        verification_summary(verification),
        "## What the engines cost",
        performance_summary(run_metrics),
        *_picture("performance_comparison", figures),
    ]
    return "\n\n".join(sections) + "\n"


def _link(figure: str, files: Mapping[str, str | None]) -> str:
    title, file = figure.replace("_", " ").capitalize(), files.get(figure)
    return f"[{title}]({file})" if file else title


def _picture(figure: str, files: Mapping[str, str | None]) -> list[str]:
    return [f"!{_link(figure, files)}"] if files.get(figure) else []


def headline_figures(
    row_ledger: pd.DataFrame,
    categories: pd.DataFrame,
    customers: pd.DataFrame,
    orders: pd.DataFrame,
    currency: Currency,
) -> str:
    """Size of the business, of its orders and of its customer base."""
    who, order = customers.iloc[0], orders.iloc[0]
    has_orders = order["counted"] == "orders"
    revenue, returned = (
        categories["revenue"].sum(),
        categories["returned_revenue"].sum(),
    )
    rows = {
        f"Net revenue ({currency.unit})": number(categories["net_revenue"].sum()),
        "Revenue before returns": number(revenue),
        "Returned, share of revenue": percent(returned / revenue) if revenue else "n/a",
        "Sale lines": f"{int(categories['lines'].sum()):,}",
        **(_orders(order) if has_orders else {}),
        "Customers": f"{int(who['customers']):,}",
        "Net revenue per customer": _or_na(number, who["average_revenue_per_customer"]),
        f"Customers with more than one {'order' if has_orders else 'line'}": percent(
            who["repeat_purchase_rate"]
        ),
        "Net revenue from the top 20 % of customers": percent(
            who["top_20_percent_share"]
        ),
        "Gini coefficient of net revenue per customer": _or_na(
            "{:.2f}".format, who["gini"]
        ),
        "Judged at": ", ".join(f"{t:%Y-%m-%d %H:%M} UTC" for t in _moments(row_ledger)),
    }
    return _table(["", ""], rows.items())


def _orders(order: pd.Series) -> dict[str, str]:
    return {
        "Orders": f"{int(order['orders']):,}",
        "Net revenue per order": _or_na(number, order["net_revenue_per_order"]),
        "Lines per order": _or_na("{:,.2f}".format, order["lines_per_order"]),
    }


def _moments(row_ledger: pd.DataFrame):
    return pd.to_datetime(row_ledger["as_of"], utc=True).unique()


def _or_na(text, value) -> str:
    return "n/a" if pd.isna(value) else text(value)


def ledger_summary(row_ledger: pd.DataFrame) -> str:
    """Rows read, kept and rejected; the rules that were broken, most frequent first."""
    read, kept, rejected = (
        int(row_ledger[column].sum())
        for column in ("rows_read", "rows_kept", "rows_rejected")
    )
    balance = "=" if read == kept + rejected else "≠"
    text = (
        f"{read:,} rows read {balance} {kept:,} kept + {rejected:,} rejected "
        f"({percent(rejected / read) if read else 'n/a'})."
    )
    for column, became in (
        ("rows_blanked", "lost a value that is out of range"),
        ("rows_excused", "broke a rule that lets them stay"),
    ):
        if count := int(row_ledger[column].sum()):
            text += f" Of the rows kept, {count:,} {became}."
    counts = row_ledger[list(RULES)].sum().sort_values(ascending=False, kind="stable")
    counts = counts[counts > 0]
    if counts.empty:
        return text
    reasons = _table(
        ["Rule", "Rows", "Share of rows read"],
        [
            (f"`{rule}`", f"{int(count):,}", percent(count / read))
            for rule, count in counts.items()
        ],
    )
    return (
        f"{text} A row that broke several rules counts under each.\n\n{reasons}"
        f"{_worst_files(row_ledger)}"
    )


def accuracy_summary(rule_accuracy: pd.DataFrame) -> list[str]:
    """How well the rules found what was planted; nothing where nothing is known."""
    if rule_accuracy.empty:
        return []
    rows = [
        (
            f"`{row.rule}`",
            *(f"{count:,}" for count in (row.planted, row.found, row.both)),
            _or_na("{:.2%}".format, row.precision),
            _or_na("{:.2%}".format, row.recall),
        )
        for row in rule_accuracy.itertuples()
    ]
    heads = ["Rule", "Planted", "Found", "Both", "Precision", "Recall"]
    return [f"{accuracy_finding(rule_accuracy)}.", _table(heads, rows)]


def _worst_files(row_ledger: pd.DataFrame) -> str:
    share = row_ledger["rows_rejected"] / row_ledger["rows_read"].where(
        row_ledger["rows_read"] > 0
    )
    overall = row_ledger["rows_rejected"].sum() / row_ledger["rows_read"].sum()
    worst = share[share > 2 * overall].nlargest(WORST_FILES)
    if worst.empty:
        return ""
    files = _table(
        ["Source file", "Rows rejected", "Share of its rows"],
        [
            (
                row_ledger.loc[i, "source_file"],
                f"{int(row_ledger.loc[i, 'rows_rejected']):,}",
                percent(share[i]),
            )
            for i in worst.index
        ],
    )
    return (
        f"\n\nFiles with more than twice the overall share of rejected rows:\n\n{files}"
    )


def verification_summary(verification: pd.DataFrame) -> str:
    """Whether every table is identical, and the first difference of each that is not."""
    same, count = int(verification["identical"].sum()), len(verification)
    conclusion = (
        f"Yes: all {count} tables are identical, row by row and bit by bit."
        if same == count
        else f"**No: {count - same} of {count} tables differ.**"
    )
    rows = [
        (
            f"`{row.table}`",
            f"{row.rows_dask:,}",
            f"{row.rows_pandas:,}",
            "yes" if row.identical else "**no**",
            f"{row.differing_rows:,}",
            row.first_difference if isinstance(row.first_difference, str) else "",
        )
        for row in verification.itertuples()
    ]
    columns = ["Table", "Rows (Dask)", "Rows (pandas)", "Identical", "Differing rows"]
    return f"{conclusion}\n\n{_table([*columns, 'First difference'], rows)}"


def performance_summary(run_metrics: pd.DataFrame) -> str:
    """Time, memory and CPU use of the latest run of each engine."""
    total = totals(latest_runs(run_metrics))
    finding = f"{performance_finding(run_metrics)}."
    if total.empty:
        return finding
    columns = {
        "Wall time (s)": ("wall_seconds", "{:,.1f}"),
        "CPU time (s)": ("cpu_seconds", "{:,.1f}"),
        "CPU use of all cores": ("cpu_use", "{:.0%}"),
        "Cores": ("cores", "{:d}"),
        "Memory before (MB)": ("memory_at_start_mb", "{:,.0f}"),
        "Peak memory (MB)": ("peak_memory_mb", "{:,.0f}"),
    }
    rows = [
        (label, *(form.format(total.loc[engine, column]) for engine in total.index))
        for label, (column, form) in columns.items()
    ]
    if len(total) == 2:
        rows = [
            (
                *row,
                ratio(*total[column].loc[["Dask", "pandas"]])
                if column in COMPARED
                else "",
            )
            for row, (column, _) in zip(rows, columns.values(), strict=True)
        ]
    heads = ["", *total.index, *(["Dask ÷ pandas"] if len(total) == 2 else [])]
    return f"{finding}\n\n{_table(heads, rows)}"


def _table(heads, rows) -> str:
    """A Markdown table; numbers are aligned by whoever shows it."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(
        f"| {' | '.join(_safe(str(cell)) for cell in line)} |" for line in lines
    )


def _safe(text: str) -> str:
    """Keep a label from ending its table cell or line."""
    return text.replace("|", "\\|").replace("\n", " ")
