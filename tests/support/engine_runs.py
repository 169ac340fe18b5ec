"""Run the nodes of both engines on a folder of raw Parquet, without Kedro."""

import contextlib
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pandas as pd
import pyarrow as pa

from dask_etl.datasets import DaskParquetDataset, PandasParquetDataset
from dask_etl.datasets.earlier import Earlier
from dask_etl.datasets.publish import publish
from dask_etl.engine.cluster import Cluster
from dask_etl.engine.cluster_settings import DaskSettings
from dask_etl.engine.partitions import Lazy
from dask_etl.pipelines.analytics.customers import (
    cohort_retention,
    customer_segments,
    customer_summary,
    segment_summary,
)
from dask_etl.pipelines.analytics.orders import order_summary
from dask_etl.pipelines.analytics.performance import (
    category_performance,
    region_performance,
)
from dask_etl.pipelines.analytics.time_series import (
    daily_sales,
    monthly_sales,
    weekday_pattern,
)
from dask_etl.pipelines.etl_dask import nodes
from dask_etl.pipelines.etl_pandas.cleaning import screen
from dask_etl.pipelines.etl_pandas.enrichment import enrich
from dask_etl.pipelines.etl_pandas.summaries import (
    summarise_customers,
    summarise_orders,
    summarise_sales,
)
from dask_etl.retail.parameters import (
    Calendar,
    Cleaning,
    Currency,
    Etl,
    Features,
    Segments,
)
from dask_etl.retail.tables import ETL_TABLES
from oracle.raw_files import AS_OF

TOLERANT = Cleaning(thresholds={}, allow_nothing_kept=True)
"""For tests of what becomes of rows, however many of them are bad."""

AUTO = Etl()

TABLES = tuple(table.name for table in ETL_TABLES)


def raw_dataset(folder: Path, rows_per_partition: int = 1_000_000):
    """The data set of a folder of raw files, for Dask."""
    return DaskParquetDataset(
        filepath=str(folder),
        schema="raw_transactions",
        rows_per_partition=rows_per_partition,
    )


def describe(
    raw,
    as_of: datetime = AS_OF,
    cleaning: Cleaning = TOLERANT,
    calendar: Calendar = Calendar(),  # noqa: B008  (never changed)
    currency: Currency = Currency(),  # noqa: B008  (never changed)
    earlier: Earlier | None = None,
    etl: Etl = AUTO,
    with_state: bool = False,
) -> dict[str, object]:
    """The lazy tables that the nodes of the Dask engine make of a Dask DataFrame.

    With its state, ``processed_files`` is among them, which is not lazy.
    """
    features = Features()
    batch = nodes.plan(raw, earlier, as_of, etl, cleaning, features, calendar, currency)
    survey = nodes.survey(raw, batch, cleaning, calendar, currency)
    screened = nodes.screen(raw, survey, batch, cleaning, currency)
    enriched = nodes.enrich(screened, survey, cleaning, features, calendar, currency)
    tables = nodes.summarise(enriched, survey, batch, cleaning, calendar, currency)
    made = dict(zip((*TABLES, "processed_files"), tables, strict=True))
    return made if with_state else {name: made[name] for name in TABLES}


def lazy_tables(raw) -> list[Lazy]:
    """Those tables of :func:`describe` that are yet to be computed."""
    return [table for table in describe(raw).values() if isinstance(table, Lazy)]


def run_dask(raw, folder: Path, **options) -> dict[str, pa.Table]:
    """Run the Dask engine on a Dask DataFrame and read back what it wrote."""
    datasets = {
        name: PandasParquetDataset(filepath=str(folder / name), schema=name)
        for name in TABLES
    }
    lazy = describe(raw, **options)
    publish({datasets[name]: table for name, table in lazy.items()})
    return {name: stored(dataset) for name, dataset in datasets.items()}


def make_pandas(
    raw: pd.DataFrame,
    as_of: datetime = AS_OF,
    cleaning: Cleaning = TOLERANT,
    calendar: Calendar = Calendar(),  # noqa: B008  (never changed)
    currency: Currency = Currency(),  # noqa: B008  (never changed)
) -> dict[str, pd.DataFrame]:
    """The tables that the nodes of the pandas engine make of raw rows."""
    kept, rejected, ledger = screen(raw, as_of, cleaning, currency)
    clean = enrich(kept, cleaning, Features(), calendar, currency)
    tables = (
        clean,
        rejected,
        ledger,
        summarise_sales(clean, calendar, currency),
        summarise_customers(clean, currency),
        summarise_orders(clean, currency),
    )
    return dict(zip(TABLES, tables, strict=True))


def run_pandas(folder: Path, **options) -> dict[str, pa.Table]:
    """Run the pandas engine's nodes on a folder of raw files."""
    raw = PandasParquetDataset(filepath=str(folder), schema="raw_transactions")
    return {
        name: PandasParquetDataset(filepath=str(folder), schema=name).table_of(table)
        for name, table in make_pandas(raw.load(), **options).items()
    }


def run_analyses(
    tables: dict[str, pa.Table],
    currency: Currency = Currency(),  # noqa: B008  (never changed)
) -> dict[str, pa.Table]:
    """Run the analyses on an engine's summary tables."""
    cube, customers, orders, ledger = (
        tables[name].to_pandas(date_as_object=False)
        for name in ("sales_cube", "customers", "orders", "row_ledger")
    )
    segments = customer_segments(
        customers, ledger, Segments(rules={"All": {}}), currency
    )
    found = {
        "region_performance": region_performance(cube, customers, currency),
        "category_performance": category_performance(cube, customers, currency),
        "monthly_sales": monthly_sales(cube, currency),
        "daily_sales": daily_sales(cube, currency),
        "weekday_pattern": weekday_pattern(cube, currency),
        "customer_segments": segments,
        "segment_summary": segment_summary(segments, customers, currency),
        "cohort_retention": cohort_retention(cube, customers),
        "customer_summary": customer_summary(customers, currency),
        "order_summary": order_summary(orders, customers, cube, currency),
    }
    return {
        name: PandasParquetDataset(filepath="unused", schema=name).table_of(table)
        for name, table in found.items()
    }


def stored(dataset) -> pa.Table:
    """The current version of a data set, as it is stored."""
    source = dataset.source()
    return source.reader.read(source.segments)


def plain(table: pa.Table, *sort_keys: str) -> pa.Table:
    """The values of a table, whatever its encoding; rows sorted by the keys."""
    columns = {}
    for name in table.column_names:
        column = table[name]
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        columns[name] = column.combine_chunks()
    values = pa.table(columns)
    if not sort_keys:
        return values
    return values.sort_by([(key, "ascending") for key in sort_keys])


def nullable(raw: pa.Table) -> pd.DataFrame:
    """The rows as pandas, in types that lose nothing."""
    types = {
        pa.int64(): pd.Int64Dtype(),
        pa.bool_(): pd.BooleanDtype(),
        pa.float64(): pd.Float64Dtype(),
        pa.string(): pd.StringDtype(),
    }
    return raw.to_pandas(types_mapper=types.get)


@contextlib.contextmanager
def cluster(**local_cluster) -> Iterator[Cluster]:
    """A local cluster that lazy tables are computed on as long as it is open."""
    started = Cluster(DaskSettings(local_cluster=local_cluster))
    try:
        yield started
    finally:
        started.close()
