"""Versions of a table in a folder: staged unseen, committed in one step, kept, swept.

Layout, on any fsspec file system::

    <root>/versions/<version>/part-00000.parquet …
    <root>/versions/<version>/manifest.json     what belongs to the version
    <root>/current.json                         the version that readers get
    <root>/pending.json                         staged, waits for its commit record
    <root>/commits/<version>.json               commit record of several tables

Only two steps are seen by readers, and each writes one small file atomically: the
swap of ``current.json`` (one table) or the birth of a commit record (several
tables at once; their ``pending.json`` files name it). Whatever dies in between
leaves the old version or the new one, for all tables alike.
"""

import base64
import json
import logging
import os
import posixpath
import socket
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

import fsspec
import pyarrow as pa
from filelock import FileLock, Timeout
from fsspec.implementations.local import LocalFileSystem

from dask_etl.errors import ExplainedError

logger = logging.getLogger(__name__)


class StorageError(ExplainedError, RuntimeError):
    """A table on disk is missing, damaged, or being written by another run."""


@dataclass(frozen=True)
class PartFile:
    """One Parquet file of a version: name, size and XXH3 checksum of its bytes."""

    name: str
    rows: int
    bytes: int
    checksum: str


@dataclass(frozen=True)
class Manifest:
    """What belongs to one version of a table: its parts, in order, and its schema."""

    version: str
    created_at: str
    rows: int
    schema: pa.Schema
    parts: tuple[PartFile, ...]

    def to_json(self) -> str:
        """Serialise; the schema both readable and as Arrow IPC."""
        return json.dumps(
            {
                "version": self.version,
                "created_at": self.created_at,
                "rows": self.rows,
                "columns": {field.name: str(field.type) for field in self.schema},
                "schema": base64.b64encode(self.schema.serialize()).decode(),
                "parts": [asdict(part) for part in self.parts],
            },
            indent=1,
        )

    @classmethod
    def from_json(cls, text: bytes) -> "Manifest":
        """Read what :meth:`to_json` wrote."""
        found = json.loads(text)
        return cls(
            version=found["version"],
            created_at=found["created_at"],
            rows=found["rows"],
            schema=pa.ipc.read_schema(pa.py_buffer(base64.b64decode(found["schema"]))),
            parts=tuple(PartFile(**part) for part in found["parts"]),
        )


class VersionStore:
    """The versions of one table.

    Args:
        filesystem: where the table lives.
        root: the table's folder on it.
        keep: how many committed versions stay readable.
    """

    def __init__(self, filesystem: fsspec.AbstractFileSystem, root: str, keep: int = 2):
        self.filesystem = filesystem
        self.root = root.rstrip("/")
        self.keep = max(keep, 1)
        self._lock: FileLock | str | None = None

    # -- readers ---------------------------------------------------------------

    def current(self) -> str | None:
        """Return the version that readers get; None where nothing was committed."""
        pending = self._read("pending.json")
        if pending and self.filesystem.exists(pending["commit"]):
            return pending["version"]
        pointer = self._read("current.json")
        return pointer["version"] if pointer else None

    def versions(self) -> list[str]:
        """Return the committed versions, newest first."""
        pointer = self._read("current.json") or {"history": []}
        current = self.current()
        older = [version for version in pointer["history"] if version != current]
        return [current, *older] if current else older

    def manifest(self, version: str | None = None) -> Manifest:
        """Read the manifest of a committed version, the current one by default.

        Raises:
            StorageError: there is no such version, or its manifest is unreadable.
        """
        known = self.versions()
        if not known:
            raise StorageError(f"{self.root}: nothing has been written here yet")
        version = version or known[0]
        if version not in known:
            raise StorageError(
                f"{self.root}: no version {version!r}; there are {', '.join(known)}"
            )
        path = self.path(version, "manifest.json")
        try:
            return Manifest.from_json(self.filesystem.cat_file(path))
        except (OSError, ValueError, KeyError) as error:
            raise StorageError(f"{path}: unreadable manifest ({error})") from error

    def path(self, version: str, name: str = "") -> str:
        """Return the path of a version's folder, or of a file in it."""
        return posixpath.join(self.root, "versions", version, name).rstrip("/")

    # -- the writer ------------------------------------------------------------

    def acquire(self) -> None:
        """Become the table's only writer.

        Raises:
            StorageError: another run is writing the table.
        """
        lock = posixpath.join(self.root, "writer.lock")
        self.filesystem.makedirs(self.root, exist_ok=True)
        said = (
            f"{self.root}: another run is writing this table. Wait for it to end, "
            "or stop it, and run again."
        )
        if isinstance(self.filesystem, LocalFileSystem):
            # The kernel frees the lock when its process dies, however it dies.
            holder = FileLock(lock, timeout=0, thread_local=False)
            try:
                holder.acquire()
            except Timeout as error:
                raise StorageError(said) from error
            self._lock = holder
            return
        try:
            with self.filesystem.open(lock, "xb") as file:
                file.write(f"{socket.gethostname()} {os.getpid()}".encode())
        except FileExistsError as error:
            raise StorageError(f"{said} If it died, remove {lock}.") from error
        self._lock = lock

    def release(self) -> None:
        """Let others write the table."""
        if isinstance(self._lock, FileLock):
            self._lock.release()
        elif self._lock:
            self._remove("writer.lock")
        self._lock = None

    def begin(self, version: str, earlier: Sequence[str] = ()) -> None:
        """Sweep leftovers and open the folder for the parts of a new version.

        Args:
            version: its name.
            earlier: versions that interrupted attempts at the same were writing; the
                parts that the last of them left become this version's.

        Raises:
            StorageError: the version exists.
        """
        pending = self._read("pending.json")
        if pending and self.filesystem.exists(pending["commit"]):
            _roll_forward(self.filesystem, pending["commit"])
        elif pending:
            self._remove("pending.json")
        known = self.versions()
        if version in known:
            raise StorageError(f"{self.root}: version {version} exists already")
        folder = self.path(version)
        for left in reversed([v for v in earlier if v not in known]):
            if not self.filesystem.exists(folder) and self.filesystem.exists(
                self.path(left)
            ):
                self.filesystem.mv(self.path(left), folder, recursive=True)
        for found in self._list(posixpath.join(self.root, "versions")):
            if posixpath.basename(found) not in {*known, version}:
                logger.info("Removing %s, left by an interrupted run", found)
                self.filesystem.rm(found, recursive=True)
        self.filesystem.makedirs(folder, exist_ok=True)

    def stage(self, version: str, schema: pa.Schema, parts: Sequence[PartFile]) -> None:
        """Describe the finished parts; readers still see the version before."""
        manifest = Manifest(
            version=version,
            created_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
            rows=sum(part.rows for part in parts),
            schema=schema,
            parts=tuple(parts),
        )
        path = self.path(version, "manifest.json")
        put(self.filesystem, path, manifest.to_json().encode())

    def swap(self, version: str) -> None:
        """Make a staged version the current one and remove those past ``keep``."""
        pointer = self._read("current.json") or {"history": []}
        history = [version, *(v for v in pointer["history"] if v != version)]
        kept = {"version": version, "history": history[: self.keep]}
        self.write("current.json", kept)
        self._remove("pending.json")
        for old in history[self.keep :]:
            self._remove_tree(self.path(old))

    # -- small files -----------------------------------------------------------

    def write(self, name: str, content: dict) -> None:
        """Write a small JSON file of the table atomically."""
        put(
            self.filesystem,
            posixpath.join(self.root, name),
            json.dumps(content).encode(),
        )

    def _read(self, name: str) -> dict | None:
        path = posixpath.join(self.root, name)
        try:
            return json.loads(self.filesystem.cat_file(path))
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise StorageError(f"{path}: unreadable ({error})") from error

    def _list(self, folder: str) -> list[str]:
        self.filesystem.invalidate_cache()
        try:
            return self.filesystem.ls(folder, detail=False)
        except FileNotFoundError:
            return []

    def _remove(self, name: str) -> None:
        path = posixpath.join(self.root, name)
        if self.filesystem.exists(path):
            self.filesystem.rm_file(path)

    def _remove_tree(self, path: str) -> None:
        if self.filesystem.exists(path):
            self.filesystem.rm(path, recursive=True)


def commit(staged: Sequence[tuple[VersionStore, str]]) -> None:
    """Make staged versions of several tables current, all of them or none.

    The birth of the commit record is the moment of the commit: readers of any of
    the tables follow their ``pending.json`` to it. The swaps after it only tidy up,
    and the next reader or writer does not depend on them.
    """
    if len(staged) == 1:
        store, version = staged[0]
        store.swap(version)
    elif staged:
        first, version = staged[0]
        record = posixpath.join(first.root, "commits", f"{version}.json")
        for store, pending in staged:
            store.write("pending.json", {"version": pending, "commit": record})
        tables = [[store.root, pending, store.keep] for store, pending in staged]
        first.filesystem.makedirs(posixpath.dirname(record), exist_ok=True)
        put(first.filesystem, record, json.dumps(tables).encode())
        _roll_forward(first.filesystem, record)


def _roll_forward(filesystem: fsspec.AbstractFileSystem, record: str) -> None:
    for root, version, keep in json.loads(filesystem.cat_file(record)):
        store = VersionStore(filesystem, root, keep)
        pending = store._read("pending.json")
        if pending and pending["version"] == version:
            store.swap(version)
    filesystem.rm_file(record)


def put(filesystem: fsspec.AbstractFileSystem, path: str, content: bytes) -> None:
    """Write a file so that readers see all of it or nothing."""
    if not isinstance(filesystem, LocalFileSystem):
        # Object stores show an object when its upload is complete.
        filesystem.pipe_file(path, content)
        return
    temporary = f"{path}.{uuid.uuid4().hex}.tmp"
    try:
        with open(temporary, "wb") as file:
            file.write(content)
        os.replace(temporary, path)
    except BaseException:
        if os.path.exists(temporary):
            os.remove(temporary)
        raise
