"""Parquet files and Delta Lake tables of any columns as a source."""

import json
import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import unquote

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from dask_etl.errors import StorageError
from dask_etl.sources.batch import (
    Batch,
    Rows,
    Unit,
    missing_columns,
    refuse_misfits,
    together,
)
from dask_etl.sources.files import SourceFile, find_files, new_files
from dask_etl.storage.folder import SUFFIXES, check_file, footer, state_of, unreadable
from dask_etl.storage.location import Location

_HIVE_NULL = "__HIVE_DEFAULT_PARTITION__"


@dataclass(frozen=True)
class RowGroup:
    """A row group of a file, and the values that its folders say all its rows have."""

    unit: int
    filesystem: fsspec.AbstractFileSystem
    file: SourceFile
    number: int
    first_row: int
    size: int
    folders: tuple[tuple[str, str | None], ...]


@dataclass(frozen=True)
class ParquetFiles:
    """Parquet files, or those of a Delta Lake table."""

    filesystem: fsspec.AbstractFileSystem
    path: str
    blocksize: int
    is_delta: bool = False

    def identity(self) -> Mapping[str, Any]:
        """Return what says how it is read."""
        return {"kind": "delta" if self.is_delta else "parquet"}

    def columns(self) -> list[str]:
        """Return the columns of the first file."""
        file, folders = self._files()[0]
        schema = footer(self.filesystem, file.path).schema.to_arrow_schema()
        return [*schema.names, *(name for name, _ in folders)]

    def plan(
        self,
        needs: Sequence[str],
        coded: Sequence[str],
        known: Sequence[Unit],
        mode: Literal["auto", "full"],
    ) -> Batch:
        """See :class:`dask_etl.sources.batch.Source`."""
        folders_of = dict(self._files())
        fresh, unread, reason = new_files(self.filesystem, [*folders_of], known, mode)
        groups: list[RowGroup] = []
        problems = []
        for number, file in enumerate(unread):
            folders = folders_of[file]
            found = footer(self.filesystem, file.path)
            names = [*found.schema.to_arrow_schema().names, *(n for n, _ in folders)]
            if lacking := missing_columns(needs, names, file.name):
                problems.append(lacking)
                continue
            first_row = 0
            for group in range(found.num_row_groups):
                meta = found.row_group(group)
                groups.append(
                    RowGroup(
                        number,
                        self.filesystem,
                        file,
                        group,
                        first_row,
                        meta.total_byte_size,
                        folders,
                    )
                )
                first_row += meta.num_rows
        refuse_misfits(problems)
        reader = ParquetReader(tuple(needs), tuple(coded))
        return Batch(fresh, together(groups, self.blocksize), reader, reason)

    def _files(self) -> list[tuple[SourceFile, tuple[tuple[str, str | None], ...]]]:
        if self.is_delta:
            return self._delta_files()
        files = find_files(self.filesystem, self.path, SUFFIXES)
        return [(file, hive_folders(file.name)) for file in files]

    def _delta_files(self) -> list[Any]:
        from deltalake import DeltaTable
        from deltalake.exceptions import DeltaError

        location = Location(self.filesystem, self.path)
        try:
            table = DeltaTable(
                location.uri, storage_options=location.storage_options or None
            )
            actions = pa.table(table.get_add_actions(flatten=True)).to_pylist()
        except (DeltaError, OSError) as error:
            raise StorageError(
                f"{self.path}: not a readable Delta Lake table ({error}). Correct "
                "'filepath' of the source in the catalog."
            ) from error
        features = set(table.protocol().reader_features or [])
        if "deletionVectors" in features and any(
            pa.record_batch(batch).num_rows for batch in table.deletion_vectors()
        ):
            raise StorageError(
                f"{self.path}: a Delta Lake table with deletion vectors, which are not "
                "read here. Rewrite it without them (REORG TABLE … APPLY (PURGE))."
            )
        found = []
        for action in sorted(actions, key=lambda one: one["path"]):
            path = location.file(unquote(action["path"]))
            size, modified = state_of(self.filesystem, path)
            folders = tuple(
                (name.removeprefix("partition."), None if v is None else str(v))
                for name, v in action.items()
                if name.startswith("partition.")
            )
            found.append(
                (SourceFile(path, unquote(action["path"]), size, modified), folders)
            )
        return found


def hive_folders(name: str) -> tuple[tuple[str, str | None], ...]:
    """Read columns from the folders of a path: ``shop=North/part.parquet``."""
    pairs = [
        one.split("=", 1) for one in posixpath.dirname(name).split("/") if "=" in one
    ]
    return tuple(
        (key, None if value == _HIVE_NULL else unquote(value)) for key, value in pairs
    )


@dataclass(frozen=True)
class ParquetReader:
    """Reads row groups into the columns that are needed."""

    needs: tuple[str, ...]
    coded: tuple[str, ...]

    def __call__(self, groups: Sequence[RowGroup]) -> list[Rows]:
        """Read the row groups of one task."""
        return [self._read(group) for group in groups]

    def _read(self, group: RowGroup) -> Rows:
        folders = dict(group.folders)
        check_file(group.filesystem, group.file.path)
        try:
            with group.filesystem.open(group.file.path, "rb") as opened:
                file = pq.ParquetFile(opened)
                stored = [n for n in self.needs if n not in folders]
                read = file.read_row_group(group.number, stored, use_threads=False)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise unreadable(group.file.path, error) from error
        rows = file.metadata.row_group(group.number).num_rows
        table = pa.table(
            {
                name: pa.nulls(rows, pa.string())
                if name in folders and folders[name] is None
                else pa.repeat(pa.scalar(folders[name], pa.string()), rows)
                if name in folders
                else read[name]
                for name in self.needs
            }
        )
        return Rows(group.unit, table, NumberedRows(table, group.first_row).place)


@dataclass(frozen=True)
class NumberedRows:
    """Rows that have no lines: they are told by their numbers, and shown as JSON."""

    table: pa.Table
    first_row: int

    def place(self, rows: np.ndarray) -> tuple[list[int], list[str | None]]:
        """Tell the numbers of some rows, from 1, and their content."""
        shown = self.table.take(pa.array(rows)).to_pylist()
        return (
            [self.first_row + int(row) + 1 for row in rows],
            [json.dumps(row, default=str, ensure_ascii=False) for row in shown],
        )
