"""Reading and writing single Parquet files: partitions in, parts out.

A *partition* is what one task reads: one or more segments, each a file or some of
its row groups, so that small files come together and large ones are taken apart.
"""

import posixpath
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

from dask_etl.storage.encodings import BY_TYPE, Encodings
from dask_etl.storage.files import StorageError, checksum, put


@dataclass(frozen=True)
class PartFile:
    """One Parquet file of a version: name, size and XXH3 checksum of its bytes."""

    name: str
    rows: int
    bytes: int
    checksum: str


@dataclass(frozen=True)
class Segment:
    """Rows of one source file: all of them, or those of some row groups.

    Attributes:
        path: where the file is.
        name: its name in the table, as ledgers and rejected rows show it.
        first_row: number of the segment's first row within the file.
        rows: how many rows.
        bytes: size of the file.
        row_groups: which ones; None for all.
        checksum: XXH3 of the file; None where nobody recorded it.
        modified: when the file was changed, where there is no checksum.
    """

    path: str
    name: str
    first_row: int
    rows: int
    bytes: int
    row_groups: tuple[int, ...] | None = None
    checksum: str | None = None
    modified: str | None = None


Partition = tuple[Segment, ...]

Conform = Callable[[pa.Table, pa.Schema, str], pa.Table]
"""Brings rows of somebody else's file to a schema; the file is named for errors."""


@dataclass(frozen=True)
class PartReader:
    """Reads partitions of one table as Arrow, checked and in the table's schema.

    Attributes:
        filesystem: where the files are.
        schema: what every partition is brought to; its dictionary columns are read
            as dictionaries whatever the file says.
        conform: brings rows to ``schema`` where the files come from others.
        columns: the columns to read; None for all.
        threads: decode the columns of a file in parallel (not inside Dask tasks,
            which are parallel already).
    """

    filesystem: fsspec.AbstractFileSystem
    schema: pa.Schema
    conform: Conform | None = None
    columns: tuple[str, ...] | None = None
    threads: bool = False

    def read(self, partition: Partition) -> pa.Table:
        """Read a partition, one chunk per column.

        Raises:
            StorageError: a file is missing, truncated, altered or not Parquet.
        """
        tables = [self._read_segment(segment) for segment in partition]
        if not tables:
            return self._target().empty_table()
        # Dictionaries of several files are unified, so that the chunks can be joined.
        table = tables[0] if len(tables) == 1 else pa.concat_tables(tables)
        return table.unify_dictionaries().combine_chunks()

    def _target(self) -> pa.Schema:
        if self.columns is None:
            return self.schema
        return pa.schema([self.schema.field(name) for name in self.columns])

    def _read_segment(self, segment: Segment) -> pa.Table:
        target = self._target()
        labels = [field.name for field in target if pa.types.is_dictionary(field.type)]
        try:
            with _open(self.filesystem, segment) as source:
                # Pages of other people's files may carry a checksum: it is compared.
                file = pq.ParquetFile(
                    source, read_dictionary=labels, page_checksum_verification=True
                )
                table = file.read_row_groups(
                    segment.row_groups or range(file.num_row_groups),
                    columns=target.names,
                    use_threads=self.threads,
                )
        except (pa.ArrowException, OSError, ValueError) as error:
            raise _unreadable(segment.path, error) from error
        if len(table) != segment.rows:
            raise StorageError(
                f"{segment.path}: {len(table):,} rows where {segment.rows:,} are expected"
            )
        if self.conform is not None:
            return self.conform(table, target, segment.name)
        # Dictionaries are read with 32-bit indices, whatever they were written with.
        return table if table.schema == target else table.cast(target)


def _open(filesystem: fsspec.AbstractFileSystem, segment: Segment):
    """Open a file: ours checked and in memory, others' to be read where needed."""
    if segment.checksum:
        return pa.BufferReader(read_checked(filesystem, segment))
    if segment.modified and state_of(filesystem, segment.path) != (
        segment.bytes,
        segment.modified,
    ):
        raise StorageError(
            f"{segment.path}: changed since the run began. Run again when nobody "
            "writes to the folder."
        )
    return filesystem.open(segment.path, "rb")


def state_of(filesystem: fsspec.AbstractFileSystem, path: str) -> tuple[int, str]:
    """Return the size of a file and when it was changed.

    Raises:
        StorageError: it cannot be read.
    """
    try:
        return filesystem.size(path), str(filesystem.modified(path))
    except OSError as error:
        raise StorageError(f"{path}: cannot be read ({error})") from error


def read_checked(filesystem: fsspec.AbstractFileSystem, segment: Segment) -> bytes:
    """Read a file and compare its size and checksum with what was recorded.

    Raises:
        StorageError: it is missing, truncated or altered.
    """
    try:
        content = filesystem.cat_file(segment.path)
    except OSError as error:
        raise StorageError(f"{segment.path}: cannot be read ({error})") from error
    if len(content) != segment.bytes:
        raise StorageError(
            f"{segment.path}: {len(content):,} bytes where {segment.bytes:,} were "
            "written: the file is truncated or was replaced"
        )
    if checksum(content) != segment.checksum:
        raise StorageError(f"{segment.path}: checksum mismatch: the file was altered")
    return content


def footer(filesystem: fsspec.AbstractFileSystem, path: str) -> pq.FileMetaData:
    """Read a Parquet file's footer.

    Raises:
        StorageError: the file is not Parquet or cannot be read.
    """
    try:
        with filesystem.open(path, "rb") as file:
            return pq.read_metadata(file)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: str, error: Exception) -> StorageError:
    return StorageError(
        f"{path}: not a readable Parquet file ({error}). Write it again at the source, "
        "or take it out of the folder."
    )


def partitions(segments: Iterable[Segment], rows: int) -> list[Partition]:
    """Group consecutive segments into partitions of about ``rows`` rows.

    A segment is never taken apart here, so a partition holds between one segment
    and as many as fit into ``rows``.
    """
    grouped: list[Partition] = []
    group: list[Segment] = []
    held = 0
    for segment in segments:
        if group and held + segment.rows > rows:
            grouped.append(tuple(group))
            group, held = [], 0
        group.append(segment)
        held += segment.rows
    if group:
        grouped.append(tuple(group))
    return grouped


@dataclass(frozen=True)
class PartWriter:
    """Writes the parts of one version of a table; safe to call again for a part.

    Attributes:
        filesystem: where the table lives.
        folder: the folder of the version.
        encodings: what the types of the columns do not tell.
    """

    filesystem: fsspec.AbstractFileSystem
    folder: str
    encodings: Encodings = BY_TYPE

    def write(self, table: pa.Table, number: int) -> PartFile:
        """Write part ``number``; readers never see half of it."""
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, **self.encodings.of(table.schema))
        content = sink.getvalue()
        name = f"part-{number:05d}.parquet"
        put(self.filesystem, posixpath.join(self.folder, name), content)
        return PartFile(name, len(table), content.size, checksum(content))
