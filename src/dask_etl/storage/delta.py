"""The commit log of one Delta Lake table.

Only the driver reads and writes it; workers need no Delta Lake. Every commit is a
compare-and-swap against the version that was opened: a second writer is refused, not
merged. The library checks nothing about the files that it is told of, so the callers
do (:mod:`dask_etl.storage.commit`).
"""

import contextlib
import json
import logging
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dask_etl.errors import StorageError
from dask_etl.storage.files import cannot_write, checksum, get, put_if
from dask_etl.storage.folder import check_file
from dask_etl.storage.location import Location
from dask_etl.storage.names import checksum_in, is_ours, number_in
from dask_etl.storage.parts import PartFile

logger = logging.getLogger(__name__)

CHECKPOINT_EVERY = 10
"""Commits between checkpoints; readers replay the log from the last one."""

_DICTIONARY = b"dask_etl.dictionary"
"""Note on a column that its parts hold a dictionary, and of which indices."""

_INERT = {"timestampNtz", "v2Checkpoint", "vacuumProtocolCheck"}
"""Features of others' tables that make no difference to who reads the active files."""


class Conflict(StorageError):
    """Somebody else committed the table after this writer had looked at it."""


@dataclass(frozen=True)
class Content:
    """What a version of a table holds: its columns and its parts, in order."""

    schema: pa.Schema
    parts: tuple[PartFile, ...]

    @property
    def rows(self) -> int:
        """The number of rows."""
        return sum(part.rows for part in self.parts)

    @property
    def bytes(self) -> int:
        """The size of the parts."""
        return sum(part.bytes for part in self.parts)

    @cached_property
    def digest(self) -> str:
        """A checksum of all that readers take from the log.

        It is kept elsewhere: a flipped bit in the log is noticed by it.
        """
        files = sorted((part.name, part.bytes, part.rows) for part in self.parts)
        columns = json.loads(_delta_schema(self.schema).to_json())
        return checksum(json.dumps([columns, files], sort_keys=True).encode())


@dataclass(frozen=True)
class Logged:
    """A version of the log, opened."""

    version: int
    content: Content
    table: Any


class Log:
    """The log of the table in a folder."""

    def __init__(self, location: Location):
        self.location = location

    # -- reading ---------------------------------------------------------------

    def head(self) -> Logged | None:
        """Read the newest version; None where there is no Delta Lake table.

        Raises:
            StorageError: it is damaged, or has what cannot be read here.
        """
        from deltalake.exceptions import TableNotFoundError

        try:
            return self.open()
        except StorageError as error:
            if isinstance(error.__cause__, TableNotFoundError):
                return None
            raise

    def open(self, version: int | None = None) -> Logged:
        """Read a version, the newest by default.

        Raises:
            StorageError: there is none, it is damaged, or has what cannot be read here.
        """
        check_log(self.location)
        with self._explained():
            table = self._table(version)
            schema = pa.schema(table.schema().to_arrow())
            actions = pa.table(table.get_add_actions())
            content = Content(_decoded(schema), self._parts(actions))
            if not all(is_ours(part.name) for part in content.parts):
                self._check_foreign(table)
        return Logged(table.version(), content, table)

    def has(self, version: int) -> bool:
        """Tell whether there is a commit of that number; only that file is asked for.

        Raises:
            StorageError: the log cannot be read.
        """
        try:
            get(
                self.location.filesystem,
                self.location.file(f"_delta_log/{version:020}.json"),
            )
        except FileNotFoundError:
            return False
        except OSError as error:
            raise StorageError(
                f"{self.location.path}: the log of the table cannot be read ({error})"
            ) from error
        return True

    def _table(self, version: int | None = None):
        from deltalake import DeltaTable

        return DeltaTable(
            self.location.uri,
            version=version,
            storage_options=self.location.storage_options or None,
        )

    def _parts(self, actions: pa.Table) -> tuple[PartFile, ...]:
        paths = [unquote(path) for path in actions["path"].to_pylist()]
        sizes = actions["size_bytes"].to_pylist()
        counts = (
            actions["num_records"].to_pylist()
            if "num_records" in actions.column_names
            else [None] * len(paths)
        )
        for path in paths:
            _check_path(self.location, path)
        if None in counts:
            counts = self._counted(paths)
        parts = [
            PartFile(path, rows, size, checksum_in(path))
            for path, rows, size in zip(paths, counts, sizes, strict=True)
        ]
        return tuple(sorted(parts, key=_place))

    def _counted(self, paths: Sequence[str]) -> list[int]:
        """Count the rows of files whose writer did not say."""

        def count(path: str) -> int:
            with self.location.filesystem.open(self.location.file(path), "rb") as file:
                return pq.read_metadata(file).num_rows

        with ThreadPoolExecutor(8) as threads:
            return list(threads.map(count, paths))

    def _check_foreign(self, table) -> None:
        """Refuse tables of others that hold more than their files say."""
        features = set(table.protocol().reader_features or []) - _INERT
        if table.metadata().configuration.get("delta.columnMapping.mode") in (
            None,
            "none",
        ):
            features.discard("columnMapping")
        if "deletionVectors" in features and not _any_row(table.deletion_vectors()):
            features.discard("deletionVectors")
        if table.metadata().partition_columns:
            features.add("partition columns")
        if features:
            raise StorageError(
                f"{self.location.path}: a Delta Lake table with {', '.join(sorted(features))}, "
                "which this project does not read. Write a plain copy of it, e.g. "
                "with deltalake.write_deltalake(copy, table.to_pyarrow_dataset())."
            )

    def limits(self, version: int, column: str) -> dict[str, tuple[Any, Any]]:
        """Return the least and the greatest value of a column in each part.

        Returns:
            By the names of the parts; those of which it is not known are left out.
        """
        with self._explained():
            actions = pa.table(self._table(version).get_add_actions())
        ends = []
        for end in ("min", "max"):
            kind = (
                actions.schema.field(end).type if end in actions.column_names else None
            )
            if kind is None or kind.get_field_index(column) < 0:
                return {}
            ends.append(pc.struct_field(actions[end], column).to_pylist())
        paths = map(unquote, actions["path"].to_pylist())
        return {
            path: (least, greatest)
            for path, least, greatest in zip(paths, *ends, strict=True)
            if least is not None and greatest is not None
        }

    def history(self, limit: int | None = None) -> list[dict[str, Any]]:
        """Describe the commits, newest first: version, timestamp, operation, run_id."""
        with self._explained():
            return self._table().history(limit)

    # -- writing ---------------------------------------------------------------

    def overwrite(self, head: Logged | None, content: Content, run_id: str) -> int:
        """Replace all that the table holds; returns the new version.

        Where the columns change, the library has no compare-and-swap: a commit of
        others in between is noticed when the version is released.

        Args:
            head: the newest version, as it was opened; None for a new table.
            content: what the table holds from now on.
            run_id: of the run, for the history.

        Raises:
            Conflict: there is a newer version.
        """
        schema = _delta_schema(content.schema)
        actions = [_add_action(part) for part in content.parts]
        settings = _configuration(content)
        with self._explained():
            if (
                head is not None
                and head.table.schema().to_json() == schema.to_json()
                and head.table.metadata().configuration == settings
            ):
                return self._transact(head, actions, "overwrite", schema, run_id)
        return self._define(head, content, settings, run_id)

    def _define(
        self, head: Logged | None, content: Content, settings: dict, run_id: str
    ) -> int:
        """Make the table, or make it anew with other columns."""
        from deltalake.transaction import create_table_with_add_actions

        define: Callable[..., None] = partial(
            create_table_with_add_actions,
            schema=_delta_schema(content.schema),
            add_actions=[_add_action(part) for part in content.parts],
            mode="error" if head is None else "overwrite",
            configuration=settings,
            **_commit_options(run_id),
        )
        if head is None and self.location.has_conditional_writes:
            self._put_first(define)
            return 0
        with self._explained():
            define(
                self.location.uri,
                storage_options=self.location.storage_options or None,
            )
        if head is None:
            return 0
        # This call takes whatever version is the newest: which one did it make?
        newest = self.open()
        while newest.content.digest != content.digest:
            newest = self.open(newest.version - 1)
        return newest.version

    def _put_first(self, define: Callable[..., None]) -> None:
        """Write the first commit by one request.

        The library would make ten; so it makes the commit on this machine.

        Raises:
            Conflict: there is one already.
        """
        filesystem, name = self.location.filesystem, f"_delta_log/{0:020}.json"
        path = self.location.file(name)
        with self._explained(), tempfile.TemporaryDirectory() as folder:
            define(folder)
            content = Path(folder, name).read_bytes()
        # A request that was sent again is refused, although its own commit stands.
        if not put_if(filesystem, path, content, None) and (
            get(filesystem, path) != content
        ):
            raise _conflict(self.location)

    def append(self, head: Logged, parts: Sequence[PartFile], run_id: str) -> int:
        """Add parts to what the table holds; returns the new version.

        Raises:
            Conflict: there is a newer version.
        """
        return self.replace(head, [], parts, run_id)

    def replace(
        self, head: Logged, names: Sequence[str], parts: Sequence[PartFile], run_id: str
    ) -> int:
        """Take parts away by name and add others; returns the new version.

        Raises:
            Conflict: there is a newer version.
        """
        from deltalake.transaction import RemoveAction

        now = _milliseconds()
        sizes = {part.name: part.bytes for part in head.content.parts}
        actions = [
            *(RemoveAction(name, True, now, sizes[name]) for name in names),
            *map(_add_action, parts),
        ]
        with self._explained():
            schema = _delta_schema(head.content.schema)
            return self._transact(head, actions, "append", schema, run_id)

    def restore(self, version: int, run_id: str) -> int:
        """Make an earlier version's content the newest; returns the new version."""
        with self._explained():
            table = self._table()
            if table.version() == version:
                return version
            table.restore(
                version, protocol_downgrade_allowed=True, **_commit_options(run_id)
            )
            return table.version()

    def checkpoint(self, version: int) -> None:
        """Sum up the log so far, so that later readers begin there."""
        with self._explained():
            self._table(version).create_checkpoint()

    def _transact(self, head: Logged, actions, mode: str, schema, run_id: str) -> int:
        head.table.create_write_transaction(
            actions, mode, schema, **_commit_options(run_id)
        )
        return head.version + 1

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn the library's errors into ones that say what to do."""
        from deltalake.exceptions import CommitFailedError, DeltaError

        path = self.location.path
        try:
            yield
        except CommitFailedError as error:
            raise _conflict(self.location) from error
        except (DeltaError, OSError, ValueError, pa.ArrowException) as error:
            number = re.search(r"os error (\d+)|code: (\d+)", str(error))
            code = int(number[1] or number[2]) if number else 0
            said = _first_line(error)
            if code in _WRITE_ERRORS:
                raise cannot_write(path, OSError(code, said)) from error
            if "already exists at that location" in said:
                raise _conflict(self.location) from error
            raise StorageError(
                f"{path}: the log of the table cannot be read or written ({said})"
            ) from error
        except BaseException as error:
            if type(error).__name__ != "PanicException":
                raise
            raise StorageError(
                f"{path}: Delta Lake failed: {_first_line(error)}"
            ) from (error)


def _conflict(location: Location) -> Conflict:
    return Conflict(
        f"{location.path}: another run committed this table in the meantime; nothing "
        "of this one was. Run again when the other has ended."
    )


_WRITE_ERRORS = {1, 13, 28, 30, 122}
"""EPERM, EACCES, ENOSPC, EROFS and EDQUOT."""


def _first_line(error: BaseException) -> str:
    plain = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).strip()
    return re.sub(r"\s+", " ", plain.split("\n   0:")[0])[:300]


def _milliseconds() -> int:
    return int(time.time() * 1000)


def _commit_options(run_id: str) -> dict[str, Any]:
    from deltalake.transaction import CommitProperties, PostCommitHookProperties

    return {
        "commit_properties": CommitProperties({"run_id": run_id}, max_commit_retries=0),
        # A checkpoint that fails would look like a commit that failed: made apart.
        "post_commithook_properties": PostCommitHookProperties(
            create_checkpoint=False, cleanup_expired_logs=False
        ),
    }


def _add_action(part: PartFile):
    from deltalake.transaction import AddAction

    statistics = json.dumps({"numRecords": part.rows, **part.statistics})
    return AddAction(part.name, part.bytes, {}, _milliseconds(), True, statistics)


def _configuration(content: Content) -> dict[str, str]:
    """Say which columns have statistics.

    Readers take a column for one without rows where statistics are missing that the
    table is said to have.
    """
    with_counts = [set(part.statistics.get("nullCount", ())) for part in content.parts]
    known = set.intersection(*with_counts) if with_counts else set()
    columns = [name for name in content.schema.names if name in known]
    if columns:
        return {"delta.dataSkippingStatsColumns": ",".join(columns)}
    return {"delta.dataSkippingNumIndexedCols": "0"}


# -- columns -------------------------------------------------------------------


def _delta_schema(schema: pa.Schema):
    from deltalake import Schema

    return Schema.from_arrow(_encoded(schema))


def _encoded(schema: pa.Schema) -> pa.Schema:
    """Write dictionaries as their values, with a note; Delta Lake has no such type."""
    fields = []
    for field in schema:
        bare = field.remove_metadata()
        if pa.types.is_dictionary(field.type):
            note = {_DICTIONARY: str(field.type.index_type)}
            bare = bare.with_type(field.type.value_type).with_metadata(note)
        fields.append(bare)
    return pa.schema(fields)


def _decoded(schema: pa.Schema) -> pa.Schema:
    fields = []
    for field in schema:
        bare = field.remove_metadata()
        index = (field.metadata or {}).get(_DICTIONARY)
        if index is not None:
            kind = pa.dictionary(pa.type_for_alias(index.decode()), field.type)
            bare = bare.with_type(kind)
        fields.append(bare)
    return pa.schema(fields)


_WIDER = {
    pa.uint8(): pa.int16(),
    pa.uint16(): pa.int32(),
    pa.uint32(): pa.int64(),
    pa.float16(): pa.float32(),
    pa.large_string(): pa.string(),
    pa.string_view(): pa.string(),
    pa.large_binary(): pa.binary(),
    pa.binary_view(): pa.binary(),
    pa.date64(): pa.date32(),
    pa.null(): pa.string(),
}


def storable(schema: pa.Schema) -> pa.Schema:
    """Return the types that Delta Lake has for those of a schema, none of them narrower.

    Raises:
        StorageError: a column has a type that it cannot hold.
    """
    stored = pa.schema(
        [field.with_type(_storable(field.type)) for field in schema]
    ).remove_metadata()
    for field in stored:
        try:
            back = _decoded(pa.schema(_delta_schema(pa.schema([field])).to_arrow()))
        except Exception as error:
            raise _no_type(field) from error
        if back.field(0).type != field.type:
            raise _no_type(field)
    return stored


def _no_type(field: pa.Field) -> StorageError:
    return StorageError(
        f"column {field.name!r} is of type {field.type}, which a Delta Lake table cannot "
        "hold. Convert it, e.g. to int64, string or timestamp[us]."
    )


def _storable(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_timestamp(kind):
        return pa.timestamp("us", kind.tz and "UTC")
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return pa.list_(_storable(kind.value_type))
    if pa.types.is_dictionary(kind):
        return pa.dictionary(kind.index_type, _storable(kind.value_type))
    return _WIDER.get(kind, kind)


# -- files ---------------------------------------------------------------------


def check_log(location: Location) -> None:
    """Refuse a log whose reader would wait for ever: for a pipe, say.

    Raises:
        StorageError: a file of the log is none.
    """
    if location.is_local:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            with os.scandir(location.file("_delta_log")) as entries:
                named = [
                    e.path for e in entries if e.name.endswith((".json", ".parquet"))
                ]
            for path in named:
                check_file(location.filesystem, path)


def _check_path(location: Location, path: str) -> None:
    """Refuse a log that names files outside of its table."""
    if path.startswith("/") or "\\" in path or "://" in path or ".." in path.split("/"):
        raise StorageError(
            f"{location.path}: the log of the table names a file elsewhere: {path!r}"
        )


def _place(part: PartFile) -> tuple:
    return (number_in(part.name), part.name) if is_ours(part.name) else (-1, part.name)


def _any_row(reader) -> bool:
    return any(len(batch) for batch in reader)
