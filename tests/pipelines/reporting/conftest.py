"""Tables as the analytics would make them, of any size, quick and plausible."""

import copy
import pickle
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from dask_etl.hooks.records import RUN_METRICS, with_pipeline_totals
from dask_etl.pipelines.reporting.page import render
from dask_etl.pipelines.reporting.page.analyses import analyses
from dask_etl.retail import schema
from dask_etl.retail.parameters import Currency
from dask_etl.retail.tables import (
    CATEGORY_PERFORMANCE,
    COHORT_RETENTION,
    CUSTOMER_SUMMARY,
    MONTHLY_SALES,
    REGION_PERFORMANCE,
    ROW_LEDGER,
    RULE_ACCURACY,
    SEGMENT_SUMMARY,
    WEEKDAY_PATTERN,
)

REGIONS = ["North", "South", "East", "West", "Central", "Online", "Unknown"]
CATEGORIES = [
    "Electronics",
    "Clothing",
    "Home",
    "Beauty",
    "Sports",
    "Books",
    "Toys",
    "Grocery",
]
SEGMENTS = [
    "Champions",
    "Loyal",
    "Big spenders",
    "New or promising",
    "Potential loyalists",
    "Cannot lose them",
    "At risk",
    "Needs attention",
    "Hibernating",
    "Lost",
]
SEASON = np.array([0.9, 0.88, 0.95, 0.97, 1, 1.02, 0.98, 0.97, 0.99, 1.03, 1.12, 1.35])


def empty(fields) -> pd.DataFrame:
    return fields.empty_table().to_pandas()


def names(some: list[str], count: int, word: str) -> list[str]:
    return (some + [f"{word} {i:04d}" for i in range(count)])[:count]


def performance(rng, label, labels, revenue=9e7):
    weights = rng.permutation(np.arange(1, len(labels) + 1) ** -0.6)
    gross = np.round(revenue * weights / weights.sum(), 2)
    returned = np.round(gross * rng.uniform(0.03, 0.18, len(labels)), 2)
    lines = np.maximum((gross / 40).astype(int), 1)
    net = gross - returned
    return pd.DataFrame(
        {
            label: labels,
            "lines": lines,
            "units": lines * 2,
            "returned_units": lines // 9,
            "revenue": gross,
            "returned_revenue": returned,
            "net_revenue": net,
            "net_revenue_share": net / net.sum(),
            "average_line_revenue": net / lines * rng.uniform(0.6, 1.6, len(labels)),
            "unique_customers": lines // 3 + 1,
            "return_rate_lines": returned / gross,
            "return_rate_value": returned / gross,
            "average_rating": rng.uniform(3, 4.5, len(labels)),
        }
    )


ALL = object()
"""All categories together, until that is a null: grouping leaves nulls out."""


def monthly(rng, categories, months):
    starts = pd.date_range("2023-01-01", periods=months, freq="MS")
    rows = []
    for category in categories:
        level = 2e5 * rng.uniform(0.5, 3)
        swing = rng.uniform(0.5, 2)
        sales = level * (1 + (SEASON[starts.month - 1] - 1) * swing)
        sales *= np.linspace(1, 1.15, months) * rng.normal(1, 0.02, months)
        rows.append(
            pd.DataFrame(
                {"month": starts, "product_category": category, "net_revenue": sales}
            )
        )
    table = pd.concat(rows, ignore_index=True)
    total = table.groupby("month", as_index=False)["net_revenue"].sum()
    table = pd.concat([table, total.assign(product_category=ALL)], ignore_index=True)
    table["is_complete"] = table["month"] < starts[-1]
    enough = months - 1 >= 24
    complete = table[table["is_complete"]]
    mean = complete.groupby("product_category")["net_revenue"].mean()
    by_month = complete.groupby(
        ["product_category", complete["month"].dt.month.rename("number")]
    )["net_revenue"].mean()
    key = pd.MultiIndex.from_arrays(
        [table["product_category"], table["month"].dt.month]
    )
    index = by_month.reindex(key).to_numpy() / mean.reindex(key.get_level_values(0))
    before = table.groupby("product_category")["net_revenue"].shift(12)
    year = (table["net_revenue"] / before - 1).where(table["is_complete"])
    table = table.assign(
        year_on_year=year,
        seasonality_index=index.to_numpy() if enough else np.nan,
        enough_data=enough,
        month_on_month=np.nan,
        month=table["month"].dt.date,
        lines=(table["net_revenue"] / 40).astype(int),
        revenue=table["net_revenue"] * 1.1,
        returned_revenue=table["net_revenue"] * 0.1,
        units=1,
        returned_units=0,
        is_total=table["product_category"] == ALL,
    )
    table["product_category"] = table["product_category"].mask(table["is_total"])
    return table.sort_values(
        ["month", "product_category"], ignore_index=True, na_position="first"
    )[MONTHLY_SALES.schema.names]


def cohorts(rng, months):
    starts = pd.date_range("2023-01-01", periods=months, freq="MS").date
    rows = []
    for i, cohort in enumerate(starts):
        size = int(60_000 * 0.8**i + rng.integers(50, 900))
        for since in range(months):
            seen = i + since < months
            share = 1.0 if since == 0 else 0.07 + 0.08 * np.exp(-since / 5)
            active = size * share * rng.uniform(0.93, 1.07) if since else size
            rows.append(
                (
                    cohort,
                    since,
                    # The last month is cut off.
                    i + since < months - 1,
                    size,
                    float(int(active)) if seen else np.nan,
                    int(active) / size if seen else np.nan,
                )
            )
    return pd.DataFrame(rows, columns=COHORT_RETENTION.schema.names)


def weekdays(rng):
    days = np.full(7, 104)
    net = 1.1e5 * days * np.array([0.93, 0.9, 0.95, 1.0, 1.08, 1.17, 0.97])
    return pd.DataFrame(
        {
            "day_of_week": np.arange(7, dtype="int8"),
            "calendar_days": days,
            "lines": (net / 40).astype(int),
            "net_revenue": net,
            "mean_revenue_per_day": net / days,
            "index_to_mean": net / days / (net.sum() / days.sum()),
        }
    )


def segments(rng, count):
    customers = rng.integers(5_000, 80_000, count)
    spend = np.linspace(900, 20, count) * rng.uniform(0.7, 1.3, count)
    net = customers * spend
    return pd.DataFrame(
        {
            "segment": SEGMENTS[:count],
            "customers": customers,
            "customer_share": customers / customers.sum(),
            "net_revenue": net,
            "net_revenue_share": net / net.sum(),
            "average_recency_days": np.linspace(12, 540, count),
            "average_frequency": np.linspace(30, 1, count),
            "average_monetary": spend,
        }
    ).sort_values("segment", ignore_index=True)


def ledger(files=20):
    read = np.full(files, 500_000)
    table = pd.DataFrame(0, index=range(files), columns=list(schema.RULES))
    table["non_positive_amount"] = 2_500
    table["duplicate_transaction_id"] = 5_000
    rejected = table.sum(axis=1) - 100
    table.insert(0, "source_file", [f"part-{i:05d}.parquet" for i in range(files)])
    table.insert(1, "rows_read", read)
    table.insert(2, "rows_kept", read - rejected)
    table.insert(3, "rows_rejected", rejected)
    table.insert(4, "rows_blanked", 0)
    table.insert(5, "rows_excused", 0)
    table["as_of"] = pd.Series(pd.Timestamp("2025-01-01", tz="UTC"), index=table.index)
    return table


def accuracy():
    """A rule that missed rows, one that found too many, others that saw none."""
    table = pd.DataFrame(
        {"rule": schema.RULES, "planted": 0, "found": 0, "both": 0},
    ).set_index("rule")
    table.loc["non_positive_amount"] = [50_000, 40_000, 40_000]
    table.loc["duplicate_transaction_id"] = [100_000, 125_000, 100_000]
    table["precision"] = table["both"] / table["found"]
    table["recall"] = table["both"] / table["planted"]
    return table.reset_index()


def node_record(pipeline, node, second, wall, peak, **values):
    noon = datetime(2025, 1, 3, 12, tzinfo=UTC)
    return {
        "run_id": f"run-{pipeline}",
        "pipeline": pipeline,
        "node": node,
        "started_at": noon + timedelta(seconds=second),
        "wall_seconds": wall,
        "cpu_seconds": wall * values.pop("busy", 1.5),
        "cpu_use": 0.75,
        "cores": 2,
        "memory_at_start_mb": 210.0,
        "peak_memory_mb": peak,
        "rows": 10_000_000,
        **values,
    }


def metrics(engines=("etl_dask", "etl_pandas"), **values):
    nodes = [
        node_record("etl_dask", "dask.read_and_clean", 0, 3.61, 742.0, **values),
        node_record("etl_dask", "dask.check_ledger", 4, 0.05, 300.0, **values),
        node_record("etl_pandas", "pandas.clean", 10, 7.4, 2871.0, busy=1.02),
        node_record("etl_pandas", "pandas.enrich", 18, 2.9, 2410.0, busy=1.1),
        node_record("etl_pandas", "pandas.summarise_sales", 21, 2.2, 2300.0, busy=1.1),
        node_record(
            "etl_pandas", "pandas.summarise_customers", 24, 2.6, 2300.0, busy=1
        ),
    ]
    return with_pipeline_totals(n for n in nodes if n["pipeline"] in engines)


def tables_of(regions=7, categories=8, months=25, segment_count=10, seed=1):
    """Every table the figures and the report read."""
    rng = np.random.default_rng(seed)
    products = names(CATEGORIES, categories, "Category")
    by_category = performance(rng, "product_category", products).sort_values(
        "net_revenue", ascending=False, ignore_index=True
    )
    by_category["rank"] = np.arange(1, categories + 1)
    by_category["cumulative_share"] = by_category["net_revenue_share"].cumsum()
    return {
        "regions": performance(rng, "region", names(REGIONS, regions, "Store")),
        "categories": by_category,
        "months": monthly(rng, products, months),
        "weekdays": weekdays(rng),
        "segments": segments(rng, segment_count),
        "cohorts": cohorts(rng, months),
        "customers": pd.DataFrame(
            {
                "customers": [412_345],
                "counted": ["orders"],
                "repeat_purchase_rate": [0.71],
                "average_revenue_per_customer": [221.4],
                "gini": [0.58],
                "top_20_percent_share": [0.63],
            }
        ),
        "orders": pd.DataFrame(
            {
                "counted": ["orders"],
                "orders": [1_234_567],
                "net_revenue_per_order": [74.5],
                "lines_per_order": [2.4],
            }
        ),
        "currency": Currency(label="US$"),
        "row_ledger": ledger(),
        "rule_accuracy": accuracy(),
        "run_metrics": metrics(),
    }


def empty_tables():
    return {
        "regions": empty(REGION_PERFORMANCE.schema),
        "categories": empty(CATEGORY_PERFORMANCE.schema),
        "months": empty(MONTHLY_SALES.schema),
        "weekdays": empty(WEEKDAY_PATTERN.schema),
        "segments": empty(SEGMENT_SUMMARY.schema),
        "cohorts": empty(COHORT_RETENTION.schema),
        "customers": pd.DataFrame(
            {
                name: [0 if name == "customers" else np.nan]
                for name in CUSTOMER_SUMMARY.schema.names
            }
        ),
        "orders": pd.DataFrame({"counted": ["lines"], "orders": [0]}),
        "currency": Currency(),
        "row_ledger": empty(ROW_LEDGER.schema),
        "rule_accuracy": empty(RULE_ACCURACY.schema),
        "run_metrics": empty(RUN_METRICS.schema),
    }


CASES = {
    "normal": tables_of,
    "one row": lambda: tables_of(1, 1, 1, 1),
    "two years and ten regions": lambda: tables_of(10, 12, 24, 10, seed=5),
    "1000 regions": lambda: tables_of(1000, 200, 60, 10),
    "empty": empty_tables,
}


@pytest.fixture(scope="session", params=CASES, name="case")
def _case(request):
    return CASES[request.param]()


@pytest.fixture(autouse=True, scope="session")
def drawn_once():
    """The sections of a page that show the same tables are made once: figures take long."""
    made = {}

    def remembered(*tables):
        key = pickle.dumps(tables)
        if key not in made:
            made[key] = analyses(*tables)
        return copy.deepcopy(made[key])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(render, "analyses", remembered)
        yield


@pytest.fixture(scope="session")
def cases():
    """What makes the tables of each case."""
    return CASES


@pytest.fixture(scope="session")
def normal():
    return tables_of()


@pytest.fixture(scope="session")
def make_metrics():
    return metrics
