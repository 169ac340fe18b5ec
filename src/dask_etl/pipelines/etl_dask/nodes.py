"""The Dask ETL, described: nothing here computes; the last node's outputs run as one."""

import functools
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa

from dask_etl.engine.deduplicate import buckets_for, later_copies
from dask_etl.engine.partitions import Gathered, Lazy, Partitions
from dask_etl.pipelines.etl_dask import kernels
from dask_etl.retail import schema, summaries, tables
from dask_etl.retail.conform import check_columns
from dask_etl.retail.parameters import Calendar, Cleaning, Currency, Features
from dask_etl.retail.rules import screened_columns

# A Dask DataFrame: Dask is imported by what runs, not by what describes.
DaskFrame = Any


@dataclass(frozen=True)
class Survey:
    """What a row's treatment needs to know of all other rows.

    Attributes:
        later_copies: rows whose transaction id came before, by partition.
        domain: the labels and months there are (:class:`summaries.Domain`).
        buckets: how many buckets rows that must meet are hashed into.
        columns: the raw columns that the tables have, too, and their types.
    """

    later_copies: Gathered
    domain: Gathered
    buckets: int
    columns: pa.Schema


def survey(
    raw: DaskFrame,
    as_of: datetime,
    cleaning: Cleaning,
    calendar: Calendar,
    currency: Currency,
) -> Survey:
    """Read the screened columns once: find duplicates, labels and months.

    Args:
        raw: raw transactions; those of our datasets are read straight as Arrow.
        as_of: later rows are not valid, and do not count as first copies.
        cleaning: nor do rows beyond its limits.
        calendar: whose months they are.
        currency: how many cents are in a unit.

    Raises:
        SchemaError: the parameters ask for a column that the data do not have.
    """
    check_columns(raw.columns, cleaning)
    rows = Partitions.of(
        raw,
        tables.RAW_TRANSACTIONS,
        [*screened_columns(cleaning), *schema.LABEL_COLUMNS],
    )
    if rows.schema is None:
        raise TypeError("the types of the raw transactions are not known")
    buckets = buckets_for(rows.count_rows())
    surveyed = rows.map(
        kernels.survey_partition, as_of=as_of, cleaning=cleaning, currency=currency
    )
    return Survey(
        later_copies=surveyed.gather(
            "keys",
            functools.partial(later_copies, key=("transaction_id",)),
            bucket_by="transaction_id",
            buckets=buckets,
            associative=False,
            scatter=True,
        ),
        domain=surveyed.gather(
            "extent",
            kernels.merge_extents,
            finish=kernels.domain_of,
            arguments={"calendar": calendar},
        ),
        buckets=buckets,
        columns=tables.kept_columns(rows.schema, cleaning),
    )


def screen(
    raw: DaskFrame,
    survey: Survey,
    as_of: datetime,
    cleaning: Cleaning,
    currency: Currency,
) -> Partitions:
    """Divide the rows into ``kept`` and ``rejected``, and count them per file."""
    rows = Partitions.of(raw, tables.RAW_TRANSACTIONS, survey.columns.names)
    return rows.map(
        kernels.screen_partition,
        as_of=as_of,
        cleaning=cleaning,
        currency=currency,
        later_copies=survey.later_copies,
    )


def enrich(
    screened: Partitions,
    survey: Survey,
    cleaning: Cleaning,
    features: Features,
    calendar: Calendar,
    currency: Currency,
) -> Partitions:
    """Fill the gaps of the kept rows and add money, price class and calendar."""
    return screened.map(
        kernels.enrich_partition,
        domain=survey.domain,
        cleaning=cleaning,
        features=features,
        calendar=calendar,
        currency=currency,
    )


def summarise(
    enriched: Partitions,
    survey: Survey,
    as_of: datetime,
    cleaning: Cleaning,
    calendar: Calendar,
    currency: Currency,
) -> tuple[Lazy, Lazy, Lazy, Lazy, Lazy, Lazy | pa.Table]:
    """Name all tables of the run; they are computed together, in one pass.

    Returns:
        Lazy ``clean_transactions``, ``rejected_transactions``, ``row_ledger``,
        ``sales_cube``, ``customers`` and ``orders``, of which there are none where lines
        do not tell theirs.
    """
    rows = enriched.map(
        kernels.summarise_partition,
        domain=survey.domain,
        calendar=calendar,
        currency=currency,
    )
    found = survey.columns
    clean = tables.with_quantity(found, schema.QUANTITIES[cleaning.quantity])
    sums = tables.summed(clean)
    orders: Lazy | pa.Table = tables.ORDERS.schema_for(sums).empty_table()
    if "order_id" in found.names:
        orders = rows.gather(
            "orders",
            summaries.merge_orders,
            schema=tables.ORDERS.schema_for(sums),
            bucket_by="order_id",
            buckets=survey.buckets,
            finish=summaries.finish_orders,
        )
    return (
        rows.parts("clean", tables.CLEAN_TRANSACTIONS.schema_for(clean)),
        rows.parts("rejected", tables.REJECTED_TRANSACTIONS.schema_for(found)),
        rows.gather(
            "ledger",
            kernels.merge_ledgers,
            schema=tables.ROW_LEDGER.schema,
            finish=kernels.finish_ledger,
            arguments={"as_of": as_of, "cleaning": cleaning},
        ),
        rows.gather(
            "cube",
            summaries.merge_cubes,
            schema=tables.SALES_CUBE.schema_for(sums),
            finish=summaries.finish_cube,
            arguments={"domain": survey.domain},
        ),
        rows.gather(
            "customers",
            summaries.merge_customers,
            schema=tables.CUSTOMERS.schema_for(sums),
            bucket_by="customer_id",
            buckets=survey.buckets,
            finish=summaries.finish_customers,
            arguments={"domain": survey.domain},
        ),
        orders,
    )
