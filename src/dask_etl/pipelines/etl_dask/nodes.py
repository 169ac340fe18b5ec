"""The Dask ETL, described: nothing here computes; the last node's outputs run as one."""

import functools
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa

from dask_etl.datasets.earlier import Earlier
from dask_etl.engine.deduplicate import buckets_for, later_copies
from dask_etl.engine.frames import columns_of, sources_of
from dask_etl.engine.partitions import UNCHANGED, Lazy, Partitions, Reduction, Unchanged
from dask_etl.pipelines.batch import Batch
from dask_etl.pipelines.batch import plan as plan_batch
from dask_etl.pipelines.etl_dask import earlier as before
from dask_etl.pipelines.etl_dask import kernels
from dask_etl.retail import schema, summaries, tables
from dask_etl.retail.conform import check_columns
from dask_etl.retail.parameters import Calendar, Cleaning, Currency, Etl, Features
from dask_etl.retail.rules import screened_columns

logger = logging.getLogger(__name__)

# A Dask DataFrame: Dask is imported by what runs, not by what describes.
DaskFrame = Any


@dataclass(frozen=True)
class Survey:
    """What a row's treatment needs to know of all other rows.

    Attributes:
        later_copies: rows whose transaction id came before, by partition.
        domain: the labels and months there are (:class:`summaries.Domain`).
        buckets: how many buckets customers and orders are hashed into.
        columns: the raw columns that the tables have, too, and their types.
    """

    later_copies: Reduction
    domain: Reduction
    buckets: int
    columns: pa.Schema


def plan(
    raw: DaskFrame,
    earlier: Earlier | None,
    as_of: datetime,
    etl: Etl,
    cleaning: Cleaning,
    features: Features,
    calendar: Calendar,
    currency: Currency,
) -> Batch:
    """Decide which source files are processed: see :func:`dask_etl.pipelines.batch.plan`."""
    sources = sources_of(raw)
    if sources is None:
        # Any Dask DataFrame: its partitions have names, and nothing to know them by.
        rows = Partitions.of(raw, tables.RAW_TRANSACTIONS)
        batch = plan_batch([item.name for item in rows.items], None, as_of, etl)
    else:
        settings = [cleaning, features, calendar, currency]
        batch = plan_batch(sources, earlier, as_of, etl, settings)
    logger.info(batch.described)
    return batch


def survey(
    raw: DaskFrame,
    batch: Batch,
    cleaning: Cleaning,
    calendar: Calendar,
    currency: Currency,
) -> Survey:
    """Read the screened columns once: find duplicates, labels and months.

    Args:
        raw: raw transactions; those of our datasets are read straight as Arrow.
        batch: which of them are read, and the moment that rows are judged at: later ones
            are not valid, and do not count as first copies.
        cleaning: nor do rows beyond its limits.
        calendar: whose months they are.
        currency: how many cents are in a unit.

    Raises:
        SchemaError: the parameters ask for a column that the data do not have.
    """
    check_columns(columns_of(raw), cleaning)
    rows = _rows(
        raw, batch, [*screened_columns(cleaning), *schema.LABEL_COLUMNS], "survey"
    )
    if rows.schema is None:
        raise TypeError("the types of the raw transactions are not known")
    count, earlier = rows.count_rows(), batch.earlier
    buckets = merged = buckets_for(count)
    surveyed = rows.map(
        kernels.survey_partition,
        as_of=batch.as_of,
        cleaning=cleaning,
        currency=currency,
    )
    known: tuple[Partitions, ...] = ()
    extents: tuple[Partitions, ...] = ()
    if earlier is not None:
        surveyed = before.note_keys(surveyed, count)
        known = (before.known_keys(earlier, surveyed, count),)
        extents = (before.extents(earlier),)
        # Customers are few, and their lists take long: no core is to wait for another.
        merged = buckets_for(4 * (earlier.rows("customers") + count))
    return Survey(
        later_copies=surveyed.reduction(
            "keys",
            functools.partial(later_copies, key=("transaction_id",)),
            split_by="transaction_id",
            split_out=buckets,
            associative=False,
            scatter=True,
            earlier=known,
        ),
        domain=surveyed.reduction(
            "extent",
            kernels.merge_extents,
            aggregate=kernels.domain_of,
            arguments={"calendar": calendar},
            earlier=extents,
        ),
        buckets=merged,
        columns=tables.kept_columns(rows.schema, cleaning),
    )


def _rows(
    raw: DaskFrame, batch: Batch, columns: Sequence[str], name: str
) -> Partitions:
    """Describe the raw rows of a batch, for tasks of that name."""
    rows = Partitions.of(raw, tables.RAW_TRANSACTIONS, columns, name)
    return rows if batch.new is None else rows.only(batch.new)


def screen(
    raw: DaskFrame,
    survey: Survey,
    batch: Batch,
    cleaning: Cleaning,
    currency: Currency,
) -> Partitions:
    """Divide the rows into ``kept`` and ``rejected``, and count them per file."""
    return _rows(raw, batch, survey.columns.names, "pass").map(
        kernels.screen_partition,
        as_of=batch.as_of,
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
    batch: Batch,
    cleaning: Cleaning,
    calendar: Calendar,
    currency: Currency,
) -> tuple[Lazy | Unchanged | pa.Table, ...]:
    """Name all tables of the run; they are computed together, in one pass.

    Returns:
        Lazy ``clean_transactions``, ``rejected_transactions``, ``row_ledger``,
        ``sales_cube``, ``customers`` and ``orders``, of which there are none where lines
        do not tell theirs; and ``processed_files``.
    """
    if batch.is_empty:
        return (UNCHANGED,) * len(tables.STATE)
    rows = enriched.map(
        kernels.summarise_partition,
        domain=survey.domain,
        calendar=calendar,
        currency=currency,
    )
    found = survey.columns
    clean = tables.with_quantity(found, schema.QUANTITIES[cleaning.quantity])
    sums = tables.summed(clean)
    earlier = batch.earlier
    onto = earlier.versions if earlier else {}
    held = before.Sums.of(earlier, survey.domain, found) if earlier else before.Sums()
    orders: Lazy | pa.Table = tables.ORDERS.schema_for(sums).empty_table()
    if "order_id" in found.names:
        orders = rows.reduction(
            "orders",
            summaries.merge_orders,
            schema=tables.ORDERS.schema_for(sums),
            split_by="order_id",
            split_out=survey.buckets,
            aggregate=summaries.finish_orders,
            earlier=held.orders,
            onto=onto.get("orders"),
        )
    return (
        rows.parts(
            "clean",
            tables.CLEAN_TRANSACTIONS.schema_for(clean),
            onto.get("clean_transactions"),
        ),
        rows.parts(
            "rejected",
            tables.REJECTED_TRANSACTIONS.schema_for(found),
            onto.get("rejected_transactions"),
        ),
        rows.reduction(
            "ledger",
            kernels.merge_ledgers,
            schema=tables.ROW_LEDGER.schema,
            aggregate=kernels.finish_ledger,
            arguments={
                "as_of": batch.as_of,
                "cleaning": cleaning,
                "earlier": earlier and earlier.load("row_ledger"),
            },
            onto=onto.get("row_ledger"),
        ),
        rows.reduction(
            "cube",
            summaries.merge_cubes,
            schema=tables.SALES_CUBE.schema_for(sums),
            aggregate=summaries.finish_cube,
            arguments={"domain": survey.domain},
            earlier=held.cube,
            onto=onto.get("sales_cube"),
        ),
        rows.reduction(
            "customers",
            summaries.merge_customers,
            schema=tables.CUSTOMERS.schema_for(sums),
            split_by="customer_id",
            split_out=survey.buckets,
            aggregate=summaries.finish_customers,
            arguments={"domain": survey.domain},
            earlier=held.customers,
            onto=onto.get("customers"),
        ),
        orders,
        batch.processed_files,
    )
