"""Synthetic retail transactions, one partition at a time.

A partition is a pure function of the parameters and its number: any number of
workers, in any order, produce the same rows. It consists of blocks, each with random
numbers of its own, so that a partition can look at the last block of the one before,
to replay lines of it, without producing the rest.
"""

from itertools import pairwise

import numpy as np
import pyarrow as pa

from dask_etl.pipelines.data_generation import profiles as shop
from dask_etl.pipelines.data_generation.defects import (
    GOOD,
    NAMES,
    NEAR_DUPLICATE,
    UNKNOWN_CUSTOMER,
    copy_near_duplicates,
    draw_kinds,
    replay_lines,
    spoil_lines,
)
from dask_etl.pipelines.data_generation.lines import (
    Lines,
    draw_lines,
    join,
)
from dask_etl.pipelines.data_generation.orders import (
    group_into_orders,
    hide_guests,
    take_back,
)
from dask_etl.retail import schema, tables
from dask_etl.retail.parameters import Generation
from dask_etl.storage.names import name_of_part

_BLOCK = 1 << 15
"""Lines drawn at a time: few enough that the work stays in the processor's cache."""
_LAST_BLOCK = 1 << 12
"""Lines that the next partition draws once more, to replay some."""


def partition_count(generation: Generation) -> int:
    """How many partitions there are; none for no rows."""
    return -(-generation.rows // generation.rows_per_partition)


def raw_columns(generation: Generation) -> pa.Schema:
    """Columns and types of the rows; ``order_id`` is the last if there are orders."""
    if generation.order_lines is None:
        return schema.raw()
    return schema.raw().append(schema.OPTIONAL.field("order_id"))


def generate_partition(generation: Generation, index: int) -> dict[str, pa.Table]:
    """One partition of the transactions, and what is wrong with it.

    Args:
        generation: what to generate.
        index: number of the partition, from 0. Every partition has
            ``rows_per_partition`` rows, the last one what is left.

    Returns:
        ``raw_transactions``: the rows in order of arrival, with the columns of
        :func:`raw_columns`; categories and regions are dictionary-encoded.
        ``truth``: rows of this partition by defect. ``defects``: which rows they are.
    """
    # No rows at all still make one, empty, partition: a table with its types.
    if not 0 <= index < max(partition_count(generation), 1):
        raise IndexError(
            f"partition {index} of {partition_count(generation)} does not exist"
        )
    blocks = [
        _draw_block(generation, first, end) for first, end in _blocks(generation, index)
    ]
    lines = join([block for block, _ in blocks])
    kinds = np.concatenate([kinds for _, kinds in blocks])
    rng = shop.random_stream(generation.seed, shop.DEFECTS, index)
    previous = _replayable(generation, index - 1) if index else lines.take(slice(0))
    copy_near_duplicates(rng, lines, kinds)
    replay_lines(generation, rng, lines, kinds, previous)
    spoil_lines(generation, rng, lines, kinds)
    return {
        "raw_transactions": _raw_table(generation, lines),
        "truth": _truth(kinds),
        "defects": _defects(kinds, index),
    }


def _blocks(generation: Generation, index: int) -> list[tuple[int, int]]:
    """First line and end of each block of a partition, counted over all partitions."""
    first = index * generation.rows_per_partition
    end = min(first + generation.rows_per_partition, generation.rows)
    last = max(first, end - _LAST_BLOCK)
    edges = [*range(first, last, _BLOCK), last, end]
    return list(pairwise(edges))


def _draw_block(
    generation: Generation, first: int, end: int
) -> tuple[Lines, np.ndarray]:
    """Good lines, and what each is to become."""
    rng = shop.random_stream(generation.seed, shop.LINES, first)
    kinds = draw_kinds(generation.defects, rng, end - first)
    unknown = np.flatnonzero(kinds == UNKNOWN_CUSTOMER)
    lines = draw_lines(generation, rng, first, end - first, unknown)
    if generation.order_lines:
        lines = group_into_orders(generation.order_lines, rng, lines, first)
    if generation.returns == "negative_lines":
        take_back(generation, rng, lines, kinds)
    if generation.guests:
        hide_guests(generation.guests, rng, lines, kinds)
    return lines, kinds


def _replayable(generation: Generation, index: int) -> Lines:
    """Good lines from the end of a partition."""
    lines, kinds = _draw_block(generation, *_blocks(generation, index)[-1])
    return lines.take(kinds == GOOD)


def _raw_table(generation: Generation, lines: Lines) -> pa.Table:
    sold = shop.categories_of(generation.categories)
    labels = {
        "product_category": pa.array([category.name for category in sold]),
        "region": pa.array(list(shop.regions_of(generation.regions))),
    }
    columns = {}
    for field in raw_columns(generation):
        values, nulls = lines.values[field.name], lines.nulls[field.name]
        if field.name in labels:
            codes = pa.array(values.astype(np.int32), mask=nulls)
            array = pa.DictionaryArray.from_arrays(codes, labels[field.name])
        else:
            array = pa.array(values, type=field.type, mask=nulls)
        columns[field.name] = array
    return pa.table(columns)


def _truth(kinds: np.ndarray) -> pa.Table:
    rows = np.bincount(kinds, minlength=len(NAMES) + 1)[1 : len(NAMES) + 1]
    return pa.table(
        {"defect": list(NAMES), "rows": rows}, schema=tables.GENERATION_TRUTH.schema
    )


def _defects(kinds: np.ndarray, index: int) -> pa.Table:
    rows = np.flatnonzero((kinds != GOOD) & (kinds != NEAR_DUPLICATE))
    file = pa.DictionaryArray.from_arrays(
        np.zeros(len(rows), np.int32), [name_of_part(index)]
    )
    rules = pa.DictionaryArray.from_arrays(kinds[rows].astype(np.int32) - 1, NAMES)
    return pa.table(
        {"source_file": file, "source_row": rows, "rule": rules},
        schema=tables.GENERATED_DEFECTS.schema,
    )
