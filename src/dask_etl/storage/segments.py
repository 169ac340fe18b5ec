"""What a task reads: partitions made of segments, large files apart, small together.

A *partition* is what one task reads: one or more segments, each a file or some of
its row groups, so that small files come together and large ones are taken apart.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from dask_etl.errors import StorageError
from dask_etl.storage.folder import PlainFile


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
        skip: rows of the row groups before the segment's, which is a slice of one row
            group; None for all rows.
        checksum: XXH3 of the file; None where nobody recorded it.
        modified: when the file was changed, where there is no checksum.
    """

    path: str
    name: str
    first_row: int
    rows: int
    bytes: int
    row_groups: tuple[int, ...] | None = None
    skip: int | None = None
    checksum: str | None = None
    modified: str | None = None


Partition = tuple[Segment, ...]

Item = TypeVar("Item")

_MANY = 256
_SMALL = 10_000
"""Beyond so many partitions, none of fewer rows than this is of use: a task costs
several milliseconds, whatever it has to do."""


def sensible_rows(wanted: int, total: int) -> int:
    """Return how many rows a partition gets: those wanted, if they are not too few.

    Args:
        wanted: ``rows_per_partition`` of the catalog.
        total: rows of the table.
    """
    return max(wanted, min(-(-total // _MANY), _SMALL))


def partitions(segments: Iterable[Segment], rows: int) -> list[Partition]:
    """Group consecutive segments into partitions of about ``rows`` rows.

    A segment is never taken apart here, so a partition holds between one segment
    and as many as fit into ``rows``; more, where there were thousands of tiny ones.
    """
    segments = list(segments)
    rows = sensible_rows(rows, sum(segment.rows for segment in segments))
    return grouped(segments, lambda segment: segment.rows, rows)


def grouped(
    items: Iterable[Item], size_of: Callable[[Item], int], size: int
) -> list[tuple[Item, ...]]:
    """Group consecutive items whose sizes together are no more than a size.

    What is larger by itself is a group of its own.
    """
    groups: list[tuple[Item, ...]] = []
    group: list[Item] = []
    held = 0
    for item in items:
        if group and held + size_of(item) > size:
            groups.append(tuple(group))
            group, held = [], 0
        group.append(item)
        held += size_of(item)
    if group:
        groups.append(tuple(group))
    return groups


def taken_apart(
    file: Segment, footer: pq.FileMetaData, rows_per_partition: int
) -> Iterator[Segment]:
    """Take a large file apart, into segments of about a partition.

    That is at its row groups; a row group of several partitions is cut into slices.
    """
    largest = 2 * rows_per_partition
    if file.rows <= largest:
        yield file
        return
    groups: list[int] = []
    first_row, rows = 0, 0
    for group in range(footer.num_row_groups):
        held = footer.row_group(group).num_rows
        # What has come together goes by itself before a row group that is cut, too.
        if rows and (rows >= rows_per_partition or held > largest):
            yield replace(
                file, first_row=first_row, rows=rows, row_groups=tuple(groups)
            )
            first_row, rows, groups = first_row + rows, 0, []
        if held <= largest:
            rows += held
            groups.append(group)
            continue
        for skip in range(0, held, rows_per_partition):
            yield replace(
                file,
                first_row=first_row + skip,
                rows=min(rows_per_partition, held - skip),
                row_groups=(group,),
                skip=skip,
            )
        first_row += held
    if rows:
        yield replace(file, first_row=first_row, rows=rows, row_groups=tuple(groups))


def segments_of(
    files: Sequence[PlainFile], rows_per_partition: int
) -> Iterator[Segment]:
    """Describe the files of a plain folder as segments, large files taken apart."""
    wanted = sensible_rows(
        rows_per_partition, sum(file.footer.num_rows for file in files)
    )
    for file in files:
        rows = file.footer.num_rows
        whole = Segment(
            file.path, file.name, 0, rows, file.bytes, modified=file.modified
        )
        yield from taken_apart(whole, file.footer, wanted)


def check_alike(root: str, files: Sequence[PlainFile]) -> None:
    """Refuse files that have not the same columns and types.

    Raises:
        StorageError: it names the first that differs, and in what.
    """
    first = files[0]
    for file in files:
        if file.schema != first.schema:
            raise StorageError(
                f"{root}: {file.name} has other columns or types than "
                f"{first.name}: {_differences(file.schema, first.schema)}"
            )


def _differences(one: pa.Schema, other: pa.Schema) -> str:
    fields = {(field.name, str(field.type)) for field in one}
    others = {(field.name, str(field.type)) for field in other}
    return ", ".join(" ".join(field) for field in sorted(fields ^ others)) or "order"
