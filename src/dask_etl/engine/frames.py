"""Dask DataFrames as a way in: what they were read from, and how to read any other."""

from collections.abc import Sequence

import pandas as pd
import pyarrow as pa

from dask_etl.datasets.files import Partition, PartReader
from dask_etl.retail.conform import conform, unify


def files_of(frame) -> tuple[PartReader, list[Partition]] | None:
    """Return how and from which files a Dask DataFrame was made.

    Returns:
        The reader and the partitions; None unless the frame is just as
        :class:`dask_etl.datasets.DaskParquetDataset` loaded it.
    """
    from dask_etl.datasets.parquet import ReadPandas

    made = frame.expr
    operands = dict(zip(made._parameters, made.operands, strict=False))
    read = operands.get("func")
    narrowed = [operands.get(name) for name in ("_partitions", "columns")]
    if not isinstance(read, ReadPandas) or narrowed != [None, None]:
        return None
    return read.reader, list(operands["iterables"][0])


def raw_schema_of(frame) -> pa.Schema:
    """Find the raw schema of a Dask DataFrame from its meta data."""
    return unify({"raw transactions": pa.Schema.from_pandas(frame._meta)})


def graph_of(frame, columns: Sequence[str]) -> tuple[dict, list]:
    """Return the Dask graph of a frame's columns and the keys of its partitions."""
    optimized = frame[list(columns)].optimize()
    return dict(optimized.__dask_graph__()), list(optimized.__dask_keys__())


def to_arrow(frame: pd.DataFrame, target: pa.Schema, name: str) -> pa.Table:
    """Convert a computed partition to Arrow in ``target``."""
    table = pa.Table.from_pandas(frame, preserve_index=False)
    return conform(table, target, name).unify_dictionaries().combine_chunks()
