"""Reading and writing single Parquet files: partitions in, parts out."""

import contextlib
import functools
import posixpath
import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from fsspec.implementations.local import LocalFileSystem

from dask_etl.errors import StorageError
from dask_etl.storage.arrays import as_array
from dask_etl.storage.encodings import BY_TYPE, Encodings
from dask_etl.storage.files import Pieces, checksum, get, put
from dask_etl.storage.folder import (
    check_file,
    footer,
    open_at,
    open_unchanged,
    unreadable,
)
from dask_etl.storage.names import part_name
from dask_etl.storage.segments import Partition, Segment
from dask_etl.storage.slices import read_slice


@dataclass(frozen=True)
class PartFile:
    """One Parquet file of a table.

    Attributes:
        name: its path within the table.
        rows: how many rows.
        bytes: its size.
        checksum: XXH3 of its bytes; None for files of others.
        statistics: ``minValues``, ``maxValues`` and ``nullCount`` of the columns that
            readers filter on, as the commit log has them.
    """

    name: str
    rows: int
    bytes: int
    checksum: str | None
    statistics: Mapping[str, Any] = field(default_factory=dict, compare=False)


_BUFFER = 1 << 20
"""Bytes of a column that are fetched at a time of a row group read in slices."""

_SMALL = 1 << 20
"""Bytes of a file of others that is fetched whole: a request takes longer than they."""

_KEPT = 64 << 20
"""Bytes of distant parts that a process keeps: nodes load the same small tables."""

_BATCH = 1 << 17
"""Rows that are decoded at a time there."""

Conform = Callable[[pa.Table, pa.Schema, str, int], pa.Table]
"""Brings rows of somebody else's file to a schema.

For errors, the file and the number of its first row are given."""


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
            which are parallel already), and keep parts that come from afar.
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

    def read_alone(self, segment: Segment) -> pa.Array:
        """Read the only column of the schema from a part, and nothing else of it.

        It is compared with a checksum of its own; a part that has none is read whole.

        Raises:
            StorageError: the part is missing, truncated, altered or not Parquet.
        """
        [name] = self.schema.names
        check_file(self.filesystem, segment.path)
        try:
            with open_at(self.filesystem, segment.path) as source:
                file = pq.ParquetFile(source)
                noted = (file.metadata.metadata or {}).get(_note_of(name))
                if noted is None:
                    return as_array(self.read((segment,))[name])
                column = file.read(columns=[name], use_threads=False)[name]
        except (pa.ArrowException, OSError, ValueError) as error:
            raise unreadable(segment.path, error) from error
        values = as_array(column)
        if len(values) != segment.rows or _digest_of(values).encode() != noted:
            raise StorageError(
                f"{segment.path}: checksum mismatch in column '{name}': the file was "
                "altered"
            )
        return values

    def _target(self) -> pa.Schema:
        if self.columns is None:
            return self.schema
        return pa.schema([self.schema.field(name) for name in self.columns])

    def _read_segment(self, segment: Segment) -> pa.Table:
        target = self._target()
        try:
            table = (
                self._read_groups(segment)
                if segment.skip is None
                else self._read_slice(segment, segment.skip)
            )
        except (pa.ArrowException, OSError, ValueError) as error:
            raise unreadable(segment.path, error) from error
        if len(table) != segment.rows:
            raise StorageError(
                f"{segment.path}: {len(table):,} rows where {segment.rows:,} are expected"
            )
        if self.conform is not None:
            return self.conform(table, target, segment.name, segment.first_row)
        # Dictionaries are read with 32-bit indices, whatever they were written with.
        return table if table.schema == target else table.cast(target)

    def _read_groups(self, segment: Segment) -> pa.Table:
        with _open(self.filesystem, segment, keep=self.threads) as source:
            file = self._parquet_file(source, segment)
            return file.read_row_groups(
                segment.row_groups or range(file.num_row_groups),
                columns=self._target().names,
                use_threads=self.threads,
            )

    def _read_slice(self, segment: Segment, skip: int) -> pa.Table:
        # Who reads on elsewhere asks for the bytes of the same file.
        if segment.modified and isinstance(self.filesystem, LocalFileSystem):
            now = (segment.bytes, segment.modified)
            open_unchanged(self.filesystem, segment.path, now).close()
        [number] = segment.row_groups or ()
        group = _footer_of(self.filesystem, segment).row_group(number)
        columns = tuple(self._target().names)
        state = (segment.path, segment.bytes, segment.modified, segment.row_groups)
        key = (self.filesystem, *state, columns, self.threads)

        def batches():
            with _open(self.filesystem, segment) as source:
                file = self._parquet_file(source, segment, buffer_size=_BUFFER)
                yield from file.iter_batches(
                    min(segment.rows, _BATCH),
                    row_groups=segment.row_groups,
                    columns=columns,
                    use_threads=self.threads,
                )

        return read_slice(key, batches, skip, segment.rows, group.num_rows)

    def _parquet_file(self, source, segment: Segment, **options) -> pq.ParquetFile:
        labels = [f.name for f in self._target() if pa.types.is_dictionary(f.type)]
        # The footer of a file that was taken apart is parsed once, not by each task.
        footer = segment.row_groups and _footer_of(self.filesystem, segment)
        if self.conform is not None:
            # Not all files of others have all columns.
            footer = footer or pq.read_metadata(source)
            names = {footer.schema.column(n).path for n in range(footer.num_columns)}
            labels = [name for name in labels if name in names]
        return pq.ParquetFile(
            source,
            read_dictionary=labels,
            metadata=footer,
            # Neighbouring columns are fetched together; from a disk that gains nothing.
            pre_buffer=not isinstance(source, pa.BufferReader)
            and not isinstance(self.filesystem, LocalFileSystem)
            and not options,
            # Pages of other people's files may carry a checksum: it is compared.
            page_checksum_verification=True,
            **options,
        )


@functools.lru_cache(maxsize=2)
def _cached_footer(filesystem, path: str, *_state) -> pq.FileMetaData:
    return footer(filesystem, path)


def _footer_of(filesystem, segment: Segment) -> pq.FileMetaData:
    return _cached_footer(filesystem, segment.path, segment.bytes, segment.modified)


def _open(filesystem: fsspec.AbstractFileSystem, segment: Segment, keep: bool = False):
    """Open a file: ours checked and in memory, others' to be read where needed."""
    if segment.checksum:
        is_kept = keep and not isinstance(filesystem, LocalFileSystem)
        read = _kept.read if is_kept else read_checked
        return pa.BufferReader(read(filesystem, segment))
    whole = segment.bytes <= _SMALL
    if segment.modified:
        state = (segment.bytes, segment.modified)
        return open_unchanged(filesystem, segment.path, state, whole)
    check_file(filesystem, segment.path)
    return open_at(filesystem, segment.path, whole)


def read_checked(filesystem: fsspec.AbstractFileSystem, segment: Segment) -> bytes:
    """Read a file and compare its size and checksum with what was recorded.

    Raises:
        StorageError: it is missing, truncated or altered.
    """
    check_file(filesystem, segment.path)
    try:
        content = get(filesystem, segment.path)
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


class _Kept:
    """The parts that were read last. Their names have their checksums: none changes."""

    def __init__(self) -> None:
        self._held: OrderedDict[tuple, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def read(self, filesystem: fsspec.AbstractFileSystem, segment: Segment) -> bytes:
        key = (filesystem, segment.path, segment.bytes, segment.checksum)
        with self._lock:
            if key in self._held:
                self._held.move_to_end(key)
                return self._held[key]
        content = read_checked(filesystem, segment)
        if len(content) <= _KEPT // 4:
            with self._lock:
                self._held[key] = content
                while sum(map(len, self._held.values())) > _KEPT:
                    self._held.popitem(last=False)
        return content


_kept = _Kept()


@dataclass(frozen=True)
class PartWriter:
    """Writes the parts of one attempt at a table; safe to call again for a part.

    Attributes:
        filesystem: where the table lives.
        folder: the folder of the table.
        attempt: what the names of the parts have in common.
        encodings: what the types of the columns do not tell.
        first: the number of the first part, where others are kept.
    """

    filesystem: fsspec.AbstractFileSystem
    folder: str
    attempt: str
    encodings: Encodings = BY_TYPE
    first: int = 0

    def write(self, table: pa.Table, number: int) -> PartFile:
        """Write part ``number``; readers never see half of it."""
        alone = self.encodings.alone.intersection(table.column_names)
        if alone:
            digests = {name: _digest_of(as_array(table[name])) for name in alone}
            table = table.replace_schema_metadata(
                {_note_of(name): digest for name, digest in digests.items()}
            )
        written = Pieces()
        footers: list[pq.FileMetaData] = []
        pq.write_table(
            table,
            written,
            metadata_collector=footers,
            **self.encodings.of(table.schema),
        )
        digest = checksum(*written.pieces)
        name = part_name(self.first + number, self.attempt, digest)
        put(self.filesystem, posixpath.join(self.folder, name), *written.pieces)
        size = sum(map(len, written.pieces))
        statistics = statistics_of(footers[0], self.encodings.filtered)
        return PartFile(name, len(table), size, digest, statistics)


def _note_of(column: str) -> bytes:
    """Name the checksum of a column among what the file of a part says of itself."""
    return f"xxh3:{column}".encode()


def _digest_of(values: pa.Array) -> str:
    """Return the XXH3 of the values of a column without nulls, numbers or text."""
    if pa.types.is_primitive(values.type):
        return checksum(np.ascontiguousarray(values.to_numpy(zero_copy_only=False)))
    lengths = pc.binary_length(values).to_numpy(zero_copy_only=False)
    return checksum(lengths.tobytes() + _text_of(values))


def _text_of(values: pa.Array) -> bytes:
    whole = values.cast(pa.large_string())
    ends = np.frombuffer(whole.buffers()[1], np.int64)[whole.offset :][: len(whole) + 1]
    content = whole.buffers()[2]
    return bytes(content[ends[0] : ends[-1]]) if content is not None else b""


def statistics_of(footer: pq.FileMetaData, columns: Collection[str]) -> dict[str, Any]:
    """Take the statistics of some columns from a footer, as the commit log has them."""
    found: dict[str, Any] = {"minValues": {}, "maxValues": {}, "nullCount": {}}
    for index in range(footer.num_columns):
        name = footer.schema.column(index).path
        if name not in columns:
            continue
        groups = [
            footer.row_group(group).column(index).statistics
            for group in range(footer.num_row_groups)
        ]
        if not all(group and group.has_null_count for group in groups):
            continue
        found["nullCount"][name] = sum(group.null_count for group in groups)
        limits = [group for group in groups if group.has_min_max]
        if limits:
            # Instants beyond Python's calendar have no limits that could be told.
            with contextlib.suppress(OverflowError):
                least = _plain(min(group.min for group in limits))
                found["maxValues"][name] = _plain(max(group.max for group in limits))
                found["minValues"][name] = least
    return found


def _plain(value: Any) -> Any:
    is_time = hasattr(value, "isoformat")
    return value.isoformat().replace("+00:00", "Z") if is_time else value
