"""Versions of a table in a folder: staged unseen, committed in one step, kept, swept.

Layout, on any fsspec file system::

    <root>/versions/<version>/part-00000.parquet …
    <root>/versions/<version>/manifest.json     what belongs to the version
    <root>/current.json                         the version that readers get
    <root>/pending.json                         staged, waits for its commit record
    <root>/commits/<version>-<random>.json      commit record of several tables
    <root>/writer.lock                          held by the run that writes the table

Only two steps are seen by readers, and each writes one small file atomically: the
swap of ``current.json`` (one table) or the birth of a commit record (several
tables at once; their ``pending.json`` files name it). Whatever dies in between
leaves the old version or the new one, for all tables alike. The JSON files carry
their own checksum, and name nothing outside of the table but the commit record.
"""

import base64
import contextlib
import errno
import logging
import os
import posixpath
import re
import socket
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

import fsspec
import pyarrow as pa
from filelock import FileLock, Timeout
from fsspec.implementations.local import LocalFileSystem

from dask_etl.errors import StorageError, TableMissing
from dask_etl.storage.files import cannot_write, check_name, put, seal, unseal
from dask_etl.storage.folder import check_file
from dask_etl.storage.parts import PartFile

logger = logging.getLogger(__name__)

_OURS = re.compile(r"(part-\d+\.parquet|manifest\.json)(\.[0-9a-f]{32}\.tmp)?")
"""Names of the files in the folder of a version."""


_PART_OF_VERSION = re.compile(
    r"versions/\d{4}(-\d\d){2}T\d\d(\.\d\d){2}\.\d{3}Z(-\d+)?/part-\d{5}\.parquet"
)
"""Path of a part within its table, where the version has the name of a Kedro run."""


def is_unfinished(name: str) -> bool:
    """Tell whether a path in a folder without ``current.json`` is a part of ours.

    A folder ``versions`` by itself says nothing: other people have such folders, too.
    """
    return _PART_OF_VERSION.fullmatch(name) is not None


@dataclass(frozen=True)
class Manifest:
    """What belongs to one version of a table: its parts, in order, and its schema."""

    version: str
    created_at: str
    rows: int
    schema: pa.Schema
    parts: tuple[PartFile, ...]

    def to_json(self) -> bytes:
        """Serialise; the schema both readable and as Arrow IPC."""
        return seal(
            {
                "version": self.version,
                "created_at": self.created_at,
                "rows": self.rows,
                "columns": {field.name: str(field.type) for field in self.schema},
                "schema": base64.b64encode(self.schema.serialize()).decode(),
                "parts": [asdict(part) for part in self.parts],
            }
        )

    @classmethod
    def from_json(cls, text: bytes) -> "Manifest":
        """Read what :meth:`to_json` wrote.

        Raises:
            ValueError: it is something else, or was altered.
        """
        found = unseal(text)
        for part in found["parts"]:
            check_name(part["name"])
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
        if pending and self._record(pending) is not None:
            return pending["version"]
        # Read after pending.json: a commit in between has put its version here.
        pointer = self._read("current.json")
        return pointer["version"] if pointer else None

    def versions(self) -> list[str]:
        """Return the committed versions, newest first."""
        history = self._history()
        current = self.current()
        older = [version for version in history if version != current]
        return [current, *older] if current else older

    def _history(self) -> list[str]:
        return (self._read("current.json") or {"history": []})["history"]

    def manifest(self, version: str | None = None) -> Manifest:
        """Read the manifest of a committed version, the current one by default.

        Raises:
            StorageError: there is no such version, or its manifest is unreadable.
        """
        known = self.versions()
        if not known:
            raise TableMissing(f"{self.root}: nothing has been written here yet")
        version = version or known[0]
        if version not in known:
            raise StorageError(
                f"{self.root}: no version {version!r}; there are {', '.join(known)}"
            )
        path = self.path(version, "manifest.json")
        try:
            manifest = Manifest.from_json(self.filesystem.cat_file(path))
        except (OSError, ValueError, KeyError, TypeError, StorageError) as error:
            raise StorageError(f"{path}: unreadable manifest ({error})") from error
        if manifest.version != version:
            raise StorageError(f"{path}: the manifest of {manifest.version!r}")
        return manifest

    def path(self, version: str, name: str | None = None) -> str:
        """Return the path of a version's folder, or of a file in it."""
        folder = posixpath.join(self.root, "versions", check_name(version))
        return folder if name is None else posixpath.join(folder, check_name(name))

    # -- the writer ------------------------------------------------------------

    def acquire(self) -> None:
        """Become the table's only writer.

        Raises:
            StorageError: another run is writing the table.
        """
        lock = self._file("writer.lock")
        said = (
            f"{self.root}: another run is writing this table. Wait for it to end, "
            "or stop it, and run again."
        )
        try:
            self.filesystem.makedirs(self.root, exist_ok=True)
        except OSError as error:
            raise cannot_write(self.root, error) from error
        try:
            if isinstance(self.filesystem, LocalFileSystem):
                # The kernel frees the lock when its process dies, however it dies.
                holder = FileLock(lock, timeout=0, thread_local=False)
                holder.acquire()
                self._lock = holder
            else:
                with self.filesystem.open(lock, "xb") as file:
                    file.write(f"{socket.gethostname()} {os.getpid()}".encode())
                self._lock = lock
        except Timeout as error:
            raise StorageError(said) from error
        except FileExistsError as error:
            raise StorageError(f"{said} If it died, remove {lock}.") from error
        except OSError as error:
            if error.errno in (errno.EOPNOTSUPP, errno.ENOLCK, errno.EINVAL):
                raise StorageError(
                    f"{lock}: cannot be locked ({error}). The file system has no locks; "
                    "point data_root (conf/*/globals.yml) to one that has."
                ) from error
            raise cannot_write(self.root, error) from error

    def release(self) -> None:
        """Let others write the table."""
        if isinstance(self._lock, FileLock):
            self._lock.release()
        elif self._lock:
            self._remove(self._lock)
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
        self._settle()
        known = self.versions()
        if version in known:
            raise StorageError(f"{self.root}: version {version} exists already")
        folder = self.path(version)
        left = [v for v in earlier if v not in known and self._exists(self.path(v))]
        if left[-1:] != [version]:
            self._remove_tree(folder)
            if left:
                self._take_over(self.path(left[-1]), folder)
        self._sweep({*known, version})
        self.filesystem.makedirs(folder, exist_ok=True)

    def _take_over(self, left: str, folder: str) -> None:
        if isinstance(self.filesystem, LocalFileSystem):
            os.replace(left, folder)
        else:
            # Object stores have no folders to rename; the copied parts are swept.
            found = self._list(left)
            self.filesystem.copy(
                found, [posixpath.join(folder, posixpath.basename(f)) for f in found]
            )

    def _settle(self) -> None:
        """Finish a commit that has its record; forget one that never got so far."""
        pending = self._read("pending.json")
        if pending is None:
            return
        if self._record(pending) is None:
            self._remove(self._file("pending.json"))
        else:
            self.swap(pending["version"])
            self.retire(self._record_path(pending))

    def _sweep(self, known: Iterable[str]) -> None:
        """Remove what interrupted runs left; other people's files stay."""
        for found in self._list(self._file("versions")):
            if posixpath.basename(found) in known:
                continue
            names = map(posixpath.basename, self._list(found))
            if all(_OURS.fullmatch(name) for name in names):
                logger.info("Removing %s, left by an interrupted run", found)
                self._remove_tree(found)
            else:
                logger.warning("%s is not a version of the table: left alone", found)
        records = self._file("commits")
        for found in [*self._list(self.root), *self._list(records)]:
            if found.endswith(".tmp"):
                self._remove(found)
        for found in self._list(records):
            if found.endswith(".json"):
                self.retire(found)

    def stage(self, version: str, schema: pa.Schema, parts: Sequence[PartFile]) -> None:
        """Describe the finished parts; readers still see the version before."""
        manifest = Manifest(
            version=version,
            created_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
            rows=sum(part.rows for part in parts),
            schema=schema,
            parts=tuple(parts),
        )
        put(self.filesystem, self.path(version, "manifest.json"), manifest.to_json())
        named = {"manifest.json", *(part.name for part in parts)}
        for found in self._list(self.path(version)):
            if posixpath.basename(found) not in named:
                self._remove(found)

    def swap(self, version: str) -> None:
        """Make a staged version the current one and remove those past ``keep``."""
        history = [version, *(v for v in self._history() if v != version)]
        kept = {"version": version, "history": history[: self.keep]}
        self.write("current.json", kept)
        self._remove(self._file("pending.json"))
        for old in history[self.keep :]:
            self._remove_tree(self.path(old))

    # -- small files -----------------------------------------------------------

    def write(self, name: str, content: dict) -> None:
        """Write a small JSON file of the table atomically."""
        put(self.filesystem, self._file(name), seal(content))

    def await_commit(self, version: str, record: str) -> None:
        """Let readers see a staged version as soon as there is a commit record."""
        path = posixpath.relpath(record, self.root)
        self.write("pending.json", {"version": version, "commit": path})

    def retire(self, record: str) -> None:
        """Remove a commit record that no table waits for."""
        content = self._read_file(record)
        for name in content["tables"] if content else []:
            root = posixpath.normpath(posixpath.join(posixpath.dirname(record), name))
            pending = VersionStore(self.filesystem, root)._read("pending.json")
            if pending and pending["commit"] == posixpath.relpath(record, root):
                return
        self._remove(record)

    def _file(self, name: str) -> str:
        return posixpath.join(self.root, name)

    def _record_path(self, pending: dict) -> str:
        path = posixpath.normpath(posixpath.join(self.root, pending["commit"]))
        if posixpath.basename(posixpath.dirname(path)) != "commits":
            raise StorageError(f"{self.root}/pending.json: {path} is no commit record")
        return path

    def _record(self, pending: dict) -> dict | None:
        return self._read_file(self._record_path(pending))

    def _read(self, name: str) -> dict | None:
        return self._read_file(self._file(name))

    def _read_file(self, path: str) -> dict | None:
        try:
            if isinstance(self.filesystem, LocalFileSystem) and os.path.exists(path):
                check_file(self.filesystem, path)
            # Not asked for by exists(): object stores answer that from a cache.
            return unseal(self.filesystem.cat_file(path))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError) as error:
            raise StorageError(f"{path}: unreadable ({error})") from error

    def _list(self, folder: str) -> list[str]:
        self.filesystem.invalidate_cache()
        try:
            return self.filesystem.ls(folder, detail=False)
        except (FileNotFoundError, NotADirectoryError):
            return []

    def _exists(self, path: str) -> bool:
        self.filesystem.invalidate_cache()
        return self.filesystem.exists(path)

    def _remove(self, path: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            self.filesystem.rm_file(path)

    def _remove_tree(self, path: str) -> None:
        if self._exists(path):
            self.filesystem.rm(path, recursive=True)


def commit(staged: Sequence[tuple[VersionStore, str]]) -> None:
    """Make staged versions of several tables current, all of them or none.

    The birth of the commit record is the moment of the commit: readers of any of
    the tables follow their ``pending.json`` to it. The swaps after it only tidy up,
    and the next reader or writer does not depend on them. All tables are on one file
    system.
    """
    if len(staged) == 1:
        store, version = staged[0]
        store.swap(version)
    elif staged:
        first, version = staged[0]
        # A name that never was: nobody's pending.json can wait for it by mistake.
        name = f"{version}-{uuid.uuid4().hex[:8]}.json"
        record = posixpath.join(first.root, "commits", name)
        for store, pending in staged:
            store.await_commit(pending, record)
        folder = posixpath.dirname(record)
        first.filesystem.makedirs(folder, exist_ok=True)
        tables = [posixpath.relpath(store.root, folder) for store, _ in staged]
        put(first.filesystem, record, seal({"tables": tables}))
        for store, pending in staged:
            store.swap(pending)
        first.retire(record)
