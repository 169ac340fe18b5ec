"""Describe the generation of raw transactions; Dask makes the partitions in parallel."""

import functools
from collections.abc import Sequence

import pyarrow as pa

from dask_etl.engine.partitions import Partitions, Parts, Reduction
from dask_etl.retail.parameters import Generation
from dask_etl.retail.tables import (
    GENERATED_DEFECTS,
    GENERATION_TRUTH,
)

from .generator import generate_partition, partition_count, raw_columns


def generate(generation: Generation) -> tuple[Parts, Reduction, Parts]:
    """Generate retail transactions, a part per partition, and count their defects.

    Returns:
        Lazy ``raw_transactions``, ``generation_truth`` and ``generated_defects``.
    """
    partitions = Partitions(
        range(max(partition_count(generation), 1)),
        functools.partial(generate_partition, generation),
        name="generate",
        rows=generation.rows,
    )
    return (
        partitions.parts("raw_transactions", raw_columns(generation)),
        partitions.reduction("truth", add_truths, schema=GENERATION_TRUTH.schema),
        partitions.parts("defects", GENERATED_DEFECTS.schema),
    )


def add_truths(partials: Sequence[pa.Table]) -> pa.Table:
    """Add up the counts of several partitions."""
    truths = pa.concat_tables(partials).to_pandas()
    total = truths.groupby("defect", sort=False, as_index=False)["rows"].sum()
    return pa.Table.from_pandas(total, GENERATION_TRUTH.schema, preserve_index=False)
