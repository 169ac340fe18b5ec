"""The two summaries that every analysis rolls up: partial per partition, then merged.

A *partial* holds whole numbers only (revenue in cents, ratings in millionths), so that
merging is exact, associative and commutative: any partitioning gives the same table.
Sets (where and when a customer bought) travel as bits of unsigned words. Partials pass
through files, so they are no wider than they need be: counts are int32 until merged.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa

from dask_etl.retail import schema, tables
from dask_etl.retail.features import day_numbers
from dask_etl.retail.rules import numbers

MILLIONTHS = 1_000_000
SUMS = (
    "lines",
    "units",
    "revenue_cents",
    "returned_lines",
    "returned_revenue_cents",
    "rating_millionths",
    "rating_count",
)
COUNTS = {"lines", "returned_lines", "rating_count"}
"""Sums that one partition cannot make larger than its number of rows."""

CUBE_KEYS = ("day", "region", "product_category")
_DENSE_CELLS = 4_000_000


@dataclass(frozen=True)
class Domain:
    """What only a look at every row tells: the labels and the months there are.

    Attributes:
        labels: all labels by label column, sorted, "Unknown" among them.
        first_month: first calendar month of the kept rows, months since 1970.
        months: how many calendar months the kept rows span.
    """

    labels: dict[str, tuple[str, ...]]
    first_month: int
    months: int


def _measures(
    table: pa.Table,
) -> dict[str, tuple[np.ndarray | None, np.ndarray | None]]:
    """What to add up: (values, or None to count; rows that count, or None for all)."""
    cents = np.rint(numbers(table, "revenue") * 100)
    returned = numbers(table, "is_returned").nonzero()[0]
    rating = numbers(table, "rating")
    rated = np.isfinite(rating).nonzero()[0]
    millionths = np.rint(rating[rated] * MILLIONTHS)
    return {
        "lines": (None, None),
        "units": (numbers(table, "quantity"), None),
        "revenue_cents": (cents, None),
        "returned_lines": (None, returned),
        "returned_revenue_cents": (cents[returned], returned),
        "rating_millionths": (millionths, rated),
        "rating_count": (None, rated),
    }


def _sums(table: pa.Table, groups: np.ndarray, count: int) -> dict[str, np.ndarray]:
    """Add up every measure per group; float64 sums are exact below 2**53."""
    return {
        name: np.bincount(
            groups if rows is None else groups[rows], weights=values, minlength=count
        ).astype(np.int32 if name in COUNTS else np.int64)
        for name, (values, rows) in _measures(table).items()
    }


def cube_partial(table: pa.Table) -> pa.Table:
    """Sum clean rows by day × region × product category.

    Args:
        table: ``CLEAN_TRANSACTIONS`` rows whose label columns share one dictionary over
            all partitions.

    Returns:
        ``day`` (days since 1970), ``region``, ``product_category`` (dictionary
        codes) and :data:`SUMS`, whole numbers; one row per cell that has lines.
    """
    days = day_numbers(table)
    region, category = (table[name].combine_chunks() for name in CUBE_KEYS[1:])
    first = int(days.min()) if len(days) else 0
    shape = (
        int(days.max()) - first + 1 if len(days) else 0,
        len(region.dictionary),
        len(category.dictionary),
    )
    cells = ((days - first) * shape[1] + region.indices.to_numpy()) * shape[2]
    cells += category.indices.to_numpy()
    if np.prod(shape) <= _DENSE_CELLS:
        found = np.arange(np.prod(shape))
    else:
        cells, found = pd.factorize(cells)
    sums = _sums(table, cells, len(found))
    present = sums["lines"] > 0
    keys = np.unravel_index(found[present], shape) if len(days) else ([], [], [])
    return pa.table(
        {
            "day": np.asarray(keys[0], np.int64) + first,
            "region": np.asarray(keys[1], np.int64),
            "product_category": np.asarray(keys[2], np.int64),
            **{name: values[present] for name, values in sums.items()},
        }
    )


def merge_cubes(partials: Sequence[pa.Table]) -> pa.Table:
    """Merge cube partials into one, sorted by day and codes."""
    merged = (
        _joined(partials)
        .group_by(list(CUBE_KEYS), use_threads=False)
        .aggregate([(name, "sum") for name in SUMS])
    )
    return merged.rename_columns([*CUBE_KEYS, *SUMS]).sort_by(
        [(name, "ascending") for name in CUBE_KEYS]
    )


def finish_cube(merged: pa.Table, domain: Domain) -> pa.Table:
    """Turn a merged cube partial into ``SALES_CUBE``."""
    columns = _finished_sums(merged)
    columns["day"] = merged["day"].cast(pa.int32()).cast(pa.date32())
    for name in CUBE_KEYS[1:]:
        columns[name] = pa.array(domain.labels[name], pa.string()).take(merged[name])
    return _as(tables.SALES_CUBE.schema, columns)


def customers_partial(table: pa.Table, domain: Domain) -> pa.Table:
    """Sum clean rows by customer, and note where and when each bought.

    Args:
        table: ``CLEAN_TRANSACTIONS`` rows whose label columns are encoded with the domain's
            labels.
        domain: the labels and months of the whole data set.

    Returns:
        ``customer_id``, :data:`SUMS`, ``first``/``last`` purchase (µs since 1970) and
        words of bits ``regions_0`` …, ``product_categories_0`` …, ``months_0`` …
    """
    codes, ids = encode(table["customer_id"].combine_chunks())
    sums = _sums(table, codes, len(ids))
    micros = table["timestamp"].combine_chunks().cast(pa.int64()).to_numpy()
    first = np.full(len(ids), np.iinfo(np.int64).max)
    last = np.full(len(ids), np.iinfo(np.int64).min)
    np.minimum.at(first, codes, micros)
    np.maximum.at(last, codes, micros)
    month = numbers(table, "year").astype(np.int32) * 12
    month += numbers(table, "month")
    month -= 1970 * 12 + 1 + domain.first_month
    region, category = (table[name].combine_chunks() for name in CUBE_KEYS[1:])
    sets = (
        ("regions", region.indices.to_numpy(), len(region.dictionary)),
        ("product_categories", category.indices.to_numpy(), len(category.dictionary)),
        ("months", month, domain.months),
    )
    return pa.table(
        {
            "customer_id": ids,
            **sums,
            "first": first,
            "last": last,
            **{
                word: bits
                for name, values, size in sets
                for word, bits in _bit_words(name, codes, values, len(ids), size)
            },
        }
    )


def encode(ids: pa.Array) -> tuple[np.ndarray, pa.Array]:
    """Number the distinct ids of a column: (number of each row, ids by number)."""
    if pa.types.is_integer(ids.type) and len(ids):
        values = ids.to_numpy()
        lowest, highest = int(values.min()), int(values.max())
        if highest - lowest < 8 * len(values):
            # Ids without large gaps need no hash table: count them in place.
            offsets = values - lowest
            present = np.zeros(highest - lowest + 1, bool)
            present[offsets] = True
            found = present.nonzero()[0]
            numbering = np.empty(len(present), np.int32)
            numbering[found] = np.arange(len(found), dtype=np.int32)
            return numbering[offsets], pa.array(found + lowest, ids.type)
    encoded = ids.dictionary_encode()
    return encoded.indices.to_numpy(), encoded.dictionary


def _bit_words(
    name: str, groups: np.ndarray, values: np.ndarray, count: int, size: int
):
    """Yield columns of 64 bits in which group g has bit v set for each of its values."""
    word = np.min_scalar_type((1 << min(size, 64)) - 1)
    bits = np.left_shift(word.type(1), (values & 63).astype(word))
    word_of = values >> 6
    for position in range((size + 63) // 64):
        words = np.zeros(count, word)
        if size <= 64:
            np.bitwise_or.at(words, groups, bits)
        else:
            rows = (word_of == position).nonzero()[0]
            np.bitwise_or.at(words, groups[rows], bits[rows])
        yield f"{name}_{position}", words


def merge_customers(partials: Sequence[pa.Table]) -> pa.Table:
    """Merge customer partials into one row per customer."""
    joined = _joined(partials)
    codes, ids = encode(joined["customer_id"].combine_chunks())
    columns = {"customer_id": ids}
    for name in joined.column_names[1:]:
        values = joined[name].to_numpy()
        if name == "first":
            merged = np.full(len(ids), np.iinfo(np.int64).max)
            np.minimum.at(merged, codes, values)
        elif name == "last":
            merged = np.full(len(ids), np.iinfo(np.int64).min)
            np.maximum.at(merged, codes, values)
        elif name in SUMS:
            merged = np.zeros(len(ids), np.int64)
            np.add.at(merged, codes, values.astype(np.int64))
        else:
            merged = np.zeros(len(ids), values.dtype)
            np.bitwise_or.at(merged, codes, values)
        columns[name] = merged
    return pa.table(columns)


def _joined(partials: Sequence[pa.Table]) -> pa.Table:
    """Concatenate partials; what was merged before has wider counts than the others."""
    return pa.concat_tables(partials, promote_options="permissive")


def finish_customers(merged: pa.Table, domain: Domain) -> pa.Table:
    """Turn a merged customer partial into ``CUSTOMERS``, sorted by customer."""
    merged = merged.sort_by("customer_id")
    columns = _finished_sums(merged)
    columns["first_purchase"] = merged["first"].cast(schema.TIMESTAMP)
    columns["last_purchase"] = merged["last"].cast(schema.TIMESTAMP)
    months = np.arange(domain.first_month, domain.first_month + domain.months)
    dates = months.astype("datetime64[M]").astype("datetime64[D]")
    for name, members in (
        ("regions", pa.array(domain.labels["region"], pa.string())),
        (
            "product_categories",
            pa.array(domain.labels["product_category"], pa.string()),
        ),
        ("months", pa.array(dates, pa.date32())),
    ):
        columns[name] = _sets(merged, name, members)
    return _as(tables.CUSTOMERS.schema_for(merged.schema), columns)


def _sets(merged: pa.Table, name: str, members: pa.Array) -> pa.ListArray:
    """Unpack words of bits into a list column of the members whose bit is set."""
    words = [column for column in merged.column_names if column.startswith(f"{name}_")]
    if not words:
        return pa.array([[]] * len(merged), pa.list_(members.type))
    packed = np.column_stack([merged[word].to_numpy() for word in words])
    packed = packed.astype(packed.dtype.newbyteorder("<"), copy=False)
    flags = np.unpackbits(packed.view(np.uint8), axis=1, bitorder="little")
    flags = flags[:, : len(members)]
    offsets = np.concatenate([[0], flags.sum(axis=1, dtype=np.int32).cumsum()])
    member = flags.nonzero()[1].astype(np.int32)
    return pa.ListArray.from_arrays(offsets.astype(np.int32), members.take(member))


def _finished_sums(merged: pa.Table) -> dict[str, pa.ChunkedArray | np.ndarray]:
    columns = {name: merged[name] for name in merged.column_names}
    columns["rating_sum"] = merged["rating_millionths"].to_numpy() / MILLIONTHS
    return columns


def _as(target: pa.Schema, columns: dict) -> pa.Table:
    return pa.table([columns[name] for name in target.names], schema=target)
