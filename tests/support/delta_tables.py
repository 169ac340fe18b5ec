"""Small tables for the tests of the storage, without data sets and without Dask."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

from dask_etl.storage.commit import commit
from dask_etl.storage.delta import Content
from dask_etl.storage.files import checksum, put
from dask_etl.storage.location import Location
from dask_etl.storage.names import part_name
from dask_etl.storage.parts import PartFile, statistics_of
from dask_etl.storage.release import Release
from dask_etl.storage.store import Attempt, Staged, TableStore

SCHEMA = pa.schema({"number": pa.int64()})


def location(folder: Path | str) -> Location:
    """A folder on disk."""
    return Location(fsspec.filesystem("file", auto_mkdir=True), str(folder))


def table_store(folder: Path, name: str = "table", keep: int = 2) -> TableStore:
    """A table in a folder that has a release."""
    return TableStore(location(folder / name), Release(location(folder)), keep)


def write_part(
    attempt: Attempt,
    table: pa.Table,
    number: int,
    statistics: Sequence[str] = ("number",),
) -> PartFile:
    """Write a part as the writer of the engine does."""
    sink = pa.BufferOutputStream()
    footers: list = []
    pq.write_table(table, sink, metadata_collector=footers)
    content = sink.getvalue()
    name = part_name(number, attempt.name, checksum(content))
    where = attempt.store.location
    put(where.filesystem, where.file(name), content)
    return PartFile(
        name,
        len(table),
        content.size,
        checksum(content),
        statistics_of(footers[0], statistics),
    )


def parts_of(
    attempt: Attempt, numbers: Sequence[int], first: int = 0
) -> list[PartFile]:
    """A part for every number."""
    return [
        write_part(attempt, pa.table({"number": [number]}, SCHEMA), first + place)
        for place, number in enumerate(numbers)
    ]


def stage(store: TableStore, numbers: Sequence[int], run_id: str = "run") -> Staged:
    """A version of a part for every number, waiting for its commit."""
    attempt = store.begin(run_id)
    return attempt.overwrite(Content(SCHEMA, tuple(parts_of(attempt, numbers))))


def save(store: TableStore, numbers: Sequence[int], run_id: str = "run") -> None:
    """Have a table hold a part for every number."""
    commit([stage(store, numbers, run_id)])


def read(store: TableStore, wanted: str | int | None = None) -> list[int] | None:
    """What readers of the release get of a table."""
    state = store.release.read()
    released = (
        state.current(store.name) if wanted is None else state.find(store.name, wanted)
    )
    if released is None:
        return None
    numbers = []
    for part in store.content(released).parts:
        content = store.location.filesystem.cat_file(store.location.file(part.name))
        assert (len(content), checksum(content)) == (part.bytes, part.checksum)
        numbers += pq.read_table(pa.BufferReader(content))["number"].to_pylist()
    return numbers


def files(store: TableStore) -> set[str]:
    """All files of a table but its log and lock, by their names within it."""
    root = Path(store.location.path)
    return {
        str(path.relative_to(root))
        for path in root.rglob("*")
        if path.is_file()
        and path.name != "_writer.lock"
        and "_delta_log" not in path.parts
    }


def needed(store: TableStore) -> set[str]:
    """The files that the kept versions of a table need."""
    versions = store.release.read().tables.get(store.name, ())
    return {p.name for version in versions for p in store.content(version).parts}


def every_flip(content: bytes, step: int = 1) -> Iterator[bytes]:
    """The content with one bit flipped, for some bit of some bytes."""
    for position in range(0, len(content), step):
        changed = content[position] ^ (1 << position % 8)
        yield content[:position] + bytes([changed]) + content[position + 1 :]
