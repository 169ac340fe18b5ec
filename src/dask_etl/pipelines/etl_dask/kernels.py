"""What the Dask engine does with one partition: survey, screen, enrich, summarise.

Each step takes and returns tables by name, as :mod:`dask_etl.engine.partitions` has
it: ``rows`` are raw transactions, ``origin`` tells where they stood.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dask_etl.engine.partitions import Origin, Tables
from dask_etl.retail import schema, summaries
from dask_etl.retail.calendar import local
from dask_etl.retail.features import add_features, fill_missing
from dask_etl.retail.parameters import Calendar, Cleaning, Currency, Features
from dask_etl.retail.rules import (
    BIT,
    broke,
    broken_rules,
    check_balance,
    check_thresholds,
    is_rejected,
    reasons,
    stayed,
)
from dask_etl.retail.summaries import Domain
from dask_etl.retail.tables import ROW_LEDGER
from dask_etl.storage.arrays import as_array, take

AsOf = datetime | Mapping[str, datetime]
"""The moment that rows are judged at; by source file where they differ."""

_COUNTS = [
    name for name in ROW_LEDGER.schema.names if name not in ("source_file", "as_of")
]


def survey_partition(
    tables: Tables, as_of: AsOf, cleaning: Cleaning, currency: Currency
) -> Tables:
    """Note what the judgement of other partitions' rows depends on.

    Returns:
        ``keys``: ``transaction_id`` and ``row`` of the rows that break no rule so far;
        ``extent``: one row with the labels found and the first and last timestamp.
    """
    rows = tables["rows"]
    flags = _validated(tables, as_of, cleaning, currency)
    kept = (~is_rejected(flags)).nonzero()[0].astype(np.int32)
    ids = take(as_array(rows["transaction_id"]), kept)
    keys = pa.table({"transaction_id": ids, "row": kept})
    timestamps = as_array(rows["timestamp"]).cast(pa.int64())
    micros = timestamps.fill_null(0).to_numpy()[kept]
    extent = {
        name: pa.array([as_array(rows[name]).dictionary], pa.list_(pa.string()))
        for name in schema.LABEL_COLUMNS
    }
    extent["first"] = pa.array([micros.min() if len(micros) else None], pa.int64())
    extent["last"] = pa.array([micros.max() if len(micros) else None], pa.int64())
    return {"keys": keys, "extent": pa.table(extent)}


def _validated(
    tables: Tables, as_of: AsOf, cleaning: Cleaning, currency: Currency
) -> np.ndarray:
    """Validate the rows, each file's at its moment; see :func:`broken_rules`."""
    rows = tables["rows"]
    if not isinstance(as_of, Mapping):
        return broken_rules(rows, as_of, cleaning, currency)
    flags, first = [np.empty(0, np.uint32)], 0
    for name, _, count in tables["origin"].segments:
        own = rows.slice(first, count)
        flags.append(broken_rules(own, as_of[name], cleaning, currency))
        first += count
    return np.concatenate(flags)


def merge_extents(partials: Sequence[pa.Table]) -> pa.Table:
    """Join the extents of several partitions into one; every label stays once."""
    extents = pa.concat_tables(partials)
    joined = {
        name: pa.array([as_array(extents[name]).flatten().unique()], kind)
        for name, kind in ((n, pa.list_(pa.string())) for n in schema.LABEL_COLUMNS)
    }
    joined["first"] = pa.array([pc.min(extents["first"]).as_py()], pa.int64())
    joined["last"] = pa.array([pc.max(extents["last"]).as_py()], pa.int64())
    return pa.table(joined)


def domain_of(extent: pa.Table, calendar: Calendar) -> Domain:
    """Tell what there is from the joined extent of all partitions."""
    labels = {
        name: pa.array(
            sorted({schema.UNKNOWN, *as_array(extent[name]).flatten().to_pylist()}),
            pa.string(),
        )
        for name in schema.LABEL_COLUMNS
    }
    first, last = pc.min(extent["first"]).as_py(), pc.max(extent["last"]).as_py()
    if first is None:
        return Domain(labels, 0, 0)
    ends = local(np.array([first, last], np.int64), calendar.timezone)
    months = ends.astype("datetime64[us]").astype("datetime64[M]")
    first_month, last_month = months.astype(np.int64).tolist()
    return Domain(labels, first_month, last_month - first_month + 1)


def screen_partition(
    tables: Tables,
    as_of: AsOf,
    cleaning: Cleaning,
    currency: Currency,
    later_copies: pa.Table,
) -> Tables:
    """Tell the rows that stay from those that do not, and count both.

    Args:
        tables: ``rows`` and their ``origin``.
        as_of: the moment the rows are judged at.
        cleaning: the limits of their values, and what becomes of which rows.
        currency: how many cents are in a unit.
        later_copies: ``row`` numbers of this partition whose id came before.

    Returns:
        ``rows``, ``kept`` (numbers of those that stay), ``rejected``
        (``REJECTED_TRANSACTIONS``) and ``ledger`` (counts by source file).
    """
    rows, origin = tables["rows"], tables["origin"]
    flags = _validated(tables, as_of, cleaning, currency)
    flags[later_copies["row"].to_numpy()] |= BIT["duplicate_transaction_id"]
    is_bad = is_rejected(flags)
    bad, conspicuous = is_bad.nonzero()[0], flags.nonzero()[0]
    segment, source_row = origin.locate(bad)
    return {
        **tables,
        "kept": (~is_bad).nonzero()[0],
        "rejected": _rejected(rows, bad, flags[bad], origin, segment, source_row),
        "ledger": _counts(
            origin, origin.locate(conspicuous)[0], flags[conspicuous], cleaning
        ),
    }


def _rejected(
    rows: pa.Table,
    bad: np.ndarray,
    flags: np.ndarray,
    origin: Origin,
    segment: np.ndarray,
    source_row: np.ndarray,
) -> pa.Table:
    rejected = rows.take(bad)
    for position, field in enumerate(rejected.schema):
        if pa.types.is_floating(field.type) and field.name in schema.TAKEN:
            # NaN says no more than null does; one of them is enough for readers.
            values = as_array(rejected[field.name])
            values = pa.array(values.to_numpy(zero_copy_only=False), from_pandas=True)
            rejected = rejected.set_column(position, field.name, values)
    files = pa.array([name for name, _, _ in origin.segments], pa.string())
    source_file = pa.DictionaryArray.from_arrays(segment.astype(np.int32), files)
    return (
        rejected.append_column("reasons", reasons(flags))
        .append_column("source_file", source_file)
        .append_column("source_row", pa.array(source_row, pa.int64()))
    )


def _counts(
    origin: Origin, segment: np.ndarray, flags: np.ndarray, cleaning: Cleaning
) -> pa.Table:
    """Count the rows of every file, from those that broke a rule."""
    files = [name for name, _, _ in origin.segments]
    rows = np.array([rows for _, _, rows in origin.segments], np.int64)

    def count(chosen: np.ndarray) -> np.ndarray:
        return np.bincount(segment[chosen], minlength=len(files))

    rejected = count(is_rejected(flags))
    return pa.table(
        {
            "source_file": pa.array(files, pa.string()),
            "rows_read": rows,
            "rows_kept": rows - rejected,
            "rows_rejected": rejected,
            "rows_blanked": count(stayed(flags, "blank", cleaning)),
            "rows_excused": count(stayed(flags, "keep", cleaning)),
            **{rule: count(broke(flags, rule)) for rule in schema.RULES},
        }
    )


def merge_ledgers(partials: Sequence[pa.Table]) -> pa.Table:
    """Add up the counts by source file, in raw order."""
    ledger = pa.concat_tables(partials).to_pandas()
    merged = ledger.groupby("source_file", sort=False)[_COUNTS].sum().reset_index()
    return pa.Table.from_pandas(merged, partials[0].schema, preserve_index=False)


def finish_ledger(
    merged: pa.Table, as_of: AsOf, cleaning: Cleaning, earlier: pa.Table | None
) -> pa.Table:
    """Complete ``ROW_LEDGER``; refuse one out of balance or past a threshold.

    Args:
        merged: the counts of the files of this run, in raw order.
        as_of: the moment that they were judged at.
        cleaning: the thresholds.
        earlier: the ledger of the files before them, which were checked in their run;
            None where these are all.
    """
    files = merged["source_file"].to_pylist()
    by_file = as_of if isinstance(as_of, Mapping) else dict.fromkeys(files, as_of)
    instants = pa.array([by_file[name] for name in files], schema.TIMESTAMP)
    completed = merged.append_column("as_of", instants).cast(ROW_LEDGER.schema)
    ledger = completed.to_pandas()
    check_balance(ledger)
    check_thresholds(ledger, cleaning, is_addition=earlier is not None)
    return completed if earlier is None else pa.concat_tables([earlier, completed])


def enrich_partition(
    tables: Tables,
    domain: Domain,
    cleaning: Cleaning,
    features: Features,
    calendar: Calendar,
    currency: Currency,
) -> Tables:
    """Fill what is missing in the kept rows and add the features."""
    rows, kept = tables.pop("rows"), tables.pop("kept")
    filled = fill_missing(rows, domain.labels, kept, cleaning)
    clean = add_features(filled, cleaning, features, calendar, currency)
    return {**tables, "clean": clean}


def summarise_partition(
    tables: Tables, domain: Domain, calendar: Calendar, currency: Currency
) -> Tables:
    """Add the partial ``cube``, ``customers`` and ``orders`` of the clean rows.

    There are orders only where lines have an ``order_id``.
    """
    clean = tables["clean"]
    measured = summaries.measures(clean, currency)
    made = {
        **tables,
        "cube": summaries.cube_partial(clean, measured, calendar),
        "customers": summaries.customers_partial(clean, domain, measured, currency),
    }
    if "order_id" in clean.column_names:
        made["orders"] = summaries.orders_partial(clean, measured)
    return made
