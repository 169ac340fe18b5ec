"""Dask DataFrames as a way in: made from files, traced back to them, or any other."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd
import pyarrow as pa

from dask_etl.compat.dask import mapping_of
from dask_etl.engine.lazy_frame import LazyFrame
from dask_etl.storage.frames import from_pandas, to_pandas
from dask_etl.storage.parts import (
    Conform,
    PartFile,
    PartReader,
    PartWriter,
    StorageError,
)
from dask_etl.storage.segments import Partition
from dask_etl.storage.sources import SourceFiles
from dask_etl.tables import Table


@dataclass(frozen=True)
class ReadPandas:
    """Reads one partition for a Dask DataFrame; Dask may ask for fewer columns.

    Attributes:
        reader: reads the files.
        labels: all that columns of few values may hold, where that is known before;
            their categories are these, in this order.
    """

    reader: PartReader
    labels: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def __call__(
        self, partition: Partition, columns: list[str] | None = None
    ) -> pd.DataFrame:
        """Read a partition; nullable columns of nullable types, always.

        Raises:
            StorageError: it has a label that it cannot have.
        """
        reader = self.reader
        if columns is not None:
            chosen = pa.schema([reader.schema.field(name) for name in columns])
            reader = replace(reader, schema=chosen)
        table = reader.read(partition)
        frame = to_pandas(
            table, [column.name for column in table.schema if column.nullable]
        )
        known = {
            name: _with_categories(frame[name], labels, partition)
            for name, labels in self.labels.items()
            if name in frame
        }
        return frame.assign(**known) if known else frame


def _with_categories(
    column: pd.Series, labels: Sequence[str], partition: Partition
) -> pd.Series:
    # pandas would make nulls of what is not among the categories.
    others = column.cat.categories.difference([*labels])
    if len(others):
        # The dictionary of a part may hold more than its rows do.
        used = column.cat.remove_unused_categories().cat.categories
        others = used.difference([*labels])
    if len(others):
        where = partition[0].path if partition else "no file"
        raise StorageError(
            f"{where}: {column.name} holds {others[0]!r}, which the summary of the "
            "table does not know. Run the pipeline that writes them both."
        )
    return column.cat.set_categories([*labels])


def from_files(
    reader: PartReader,
    partitions: Sequence[Partition],
    label: str,
    labels: Mapping[str, Sequence[str]] | None = None,
) -> Any:
    """Make a lazy Dask DataFrame of files, a partition per task.

    Args:
        reader: reads a partition.
        partitions: the files of each partition; none for an empty table.
        label: names the tasks.
        labels: of columns of few values, where all that they may hold is known.

    Returns:
        A frame whose length is known without reading it.
    """
    read = ReadPandas(reader, labels or {})
    items = list(partitions)
    return LazyFrame(reader, items, functools.partial(_made, read, items, label))


def _made(read: ReadPandas, partitions: Sequence[Partition], label: str) -> Any:
    import dask
    import dask.dataframe as dd
    from dask.dataframe.utils import clear_known_categories

    from dask_etl.compat.dask_frames import (  # noqa: PLC0415  (start-up)
        with_lengths,
    )

    # Text is Arrow-backed already; Dask would make text of lists, too.
    with dask.config.set({"dataframe.convert-string": False}):
        empty = read(())
        # Other labels of a partition are known when it is read, not before.
        categorical = empty.select_dtypes("category").columns
        unknown = [name for name in categorical if name not in read.labels]
        meta = clear_known_categories(empty, cols=unknown)
        made = dd.from_map(read, partitions or [()], meta=meta, label=label)
        return with_lengths(made)


def files_of(frame) -> tuple[PartReader, list[Partition]] | None:
    """Return how and from which files a Dask DataFrame was made.

    Returns:
        The reader and the partitions; None unless the frame is just as
        :func:`from_files` made it.
    """
    if isinstance(frame, LazyFrame):
        return frame.files
    match mapping_of(frame):
        case (ReadPandas(reader), items):
            return reader, list(items)
    return None


def columns_of(frame) -> list[str]:
    """List the columns of a Dask DataFrame."""
    found = files_of(frame)
    return list(frame.columns) if found is None else found[0].schema.names


def sources_of(frame) -> SourceFiles | None:
    """Return the files that a Dask DataFrame was made from; None as :func:`files_of`."""
    found = files_of(frame)
    if found is None:
        return None
    reader, items = found
    segments = (segment for item in items for segment in item)
    return SourceFiles.of(reader.filesystem, reader.schema, segments)


def meta_of(frame) -> pd.DataFrame:
    """Return an empty frame with the columns and types of a Dask DataFrame."""
    from dask.dataframe.dispatch import make_meta

    return make_meta(frame.__wrapped__ if isinstance(frame, LazyFrame) else frame)


def schema_of(frame, table: Table) -> pa.Schema:
    """Find the schema of a Dask DataFrame that holds such a table, from its meta data."""
    found = pa.Schema.from_pandas(meta_of(frame))
    if table.unify is not None:
        return table.unify({table.name.replace("_", " "): found})
    return table.schema_for(found)


def graph_of(frame, columns: Sequence[str]) -> tuple[dict, list]:
    """Return the Dask graph of a frame's columns and the keys of its partitions."""
    optimized = frame[list(columns)].optimize()
    return dict(optimized.__dask_graph__()), list(optimized.__dask_keys__())


def to_arrow(
    frame: pd.DataFrame, target: pa.Schema, name: str, conform: Conform | None
) -> pa.Table:
    """Convert a computed partition to Arrow in ``target``."""
    if conform is None:
        table = from_pandas(frame, target)
    else:
        table = conform(
            pa.Table.from_pandas(frame, preserve_index=False), target, name, 0
        )
    return table.unify_dictionaries().combine_chunks()


def write_frame(frame, schema: pa.Schema, writer: PartWriter) -> list[PartFile]:
    """Compute a Dask DataFrame and write a part per partition."""
    import dask

    write = dask.delayed(_write_part, pure=False)
    parts = dask.compute(
        *(
            write(part, schema, writer, number)
            for number, part in enumerate(frame.to_delayed())
        )
    )
    return list(parts)


def _write_part(part, schema, writer: PartWriter, number: int) -> PartFile:
    try:
        table = from_pandas(part, schema)
    except (pa.ArrowException, KeyError, TypeError, ValueError) as error:
        raise StorageError(
            f"{writer.folder}: partition {number} does not fit the table: {error}"
        ) from error
    return writer.write(table, number)
