"""Which version of every table is in force: one small file for all of them.

Each table has its own commit log. What makes several tables change together is
``release.json`` in the folder above them: it names the version of each that readers
get, and those kept before it. It is replaced in one step (on disk by a rename under a
short lock, on S3 by a conditional write), so readers find all tables old or all new.
"""

import contextlib
import glob
import os
import posixpath
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import PurePosixPath

from filelock import Timeout

from dask_etl.errors import StorageError
from dask_etl.storage.delta import Conflict
from dask_etl.storage.files import get, locked, put, put_if, seal, unseal
from dask_etl.storage.folder import check_file
from dask_etl.storage.location import Location
from dask_etl.storage.sweep import remove_file

RELEASE = "release.json"
ATTEMPTS = 100
"""How often a conditional write is tried while others write for other tables."""
PATIENCE = 60
"""Seconds to wait for the lock, which is held for the length of a rename."""


@dataclass(frozen=True)
class Released:
    """A version of a table that was, or is, in force.

    Attributes:
        version: number in the table's log.
        release: number of the release that brought it.
        rows: how many rows it holds.
        bytes: size of its parts.
        parts: how many.
        digest: of its columns and parts, see :class:`~dask_etl.storage.delta.Content`.
    """

    version: int
    release: int
    rows: int
    bytes: int
    parts: int
    digest: str


@dataclass(frozen=True)
class Event:
    """A release: which tables changed together, when, and by which run."""

    run_id: str
    released_at: str
    tables: tuple[str, ...]


@dataclass(frozen=True)
class State:
    """The content of the release file.

    Attributes:
        number: of the last release; 0 where there was none.
        tables: versions by the table's path in the folder, newest first.
        events: the releases that these versions came with, by number.
    """

    number: int = 0
    tables: Mapping[str, tuple[Released, ...]] = field(default_factory=dict)
    events: Mapping[int, Event] = field(default_factory=dict)

    def current(self, name: str) -> Released | None:
        """Return the version of a table that readers get."""
        versions = self.tables.get(name, ())
        return versions[0] if versions else None

    def find(self, name: str, wanted: str | int) -> Released:
        """Return the version of a table with that number, or the newest of that run.

        Raises:
            StorageError: none that is kept fits.
        """
        versions = self.tables.get(name, ())
        for version in versions:
            run_id = self.events[version.release].run_id
            if str(wanted) in (str(version.version), run_id):
                return version
        there = ", ".join(
            f"{version.version} ({self.events[version.release].run_id})"
            for version in versions
        )
        raise StorageError(
            f"{name}: no version {str(wanted)!r}; there are {there}"
            if there
            else f"{name}: no version {str(wanted)!r}: nothing has been written here yet"
        )

    def to_json(self) -> bytes:
        """Serialise, with a checksum."""
        return seal(
            {
                "format": 1,
                "release": self.number,
                "releases": {
                    str(number): asdict(event) for number, event in self.events.items()
                },
                "tables": {
                    name: [asdict(version) for version in versions]
                    for name, versions in sorted(self.tables.items())
                },
            }
        )

    @classmethod
    def from_json(cls, text: bytes) -> "State":
        """Read what :meth:`to_json` wrote.

        Raises:
            ValueError: it is something else, was altered, or is newer than this code.
        """
        found = unseal(text)
        if found.get("format") != 1:
            raise ValueError("written by a newer version of this project")
        for name in found["tables"]:
            _check_name(name)
        return cls(
            found["release"],
            {
                name: tuple(Released(**version) for version in versions)
                for name, versions in found["tables"].items()
            },
            {
                int(number): Event(**{**event, "tables": tuple(event["tables"])})
                for number, event in found["releases"].items()
            },
        )


@dataclass(frozen=True)
class Change:
    """A table's part in a release.

    Attributes:
        name: of the table.
        base: the version in force when its writer looked; another one is a conflict.
        new: the version from now on; its release is numbered here.
        keep: how many versions stay readable, this one included.
    """

    name: str
    base: Released | None
    new: Released
    keep: int


class Release:
    """The release file of a folder of tables."""

    def __init__(self, location: Location):
        self.location = location

    @property
    def path(self) -> str:
        """Where the file is."""
        return self.location.file(RELEASE)

    def read(self) -> State:
        """Return what is in force.

        Raises:
            StorageError: the file is unreadable.
        """
        try:
            if self.location.is_local and os.path.exists(self.path):
                check_file(self.location.filesystem, self.path)
            # Not asked for by exists(): object stores answer that from a cache.
            return State.from_json(get(self.location.filesystem, self.path))
        except (FileNotFoundError, NotADirectoryError):
            return State()
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StorageError(f"{self.path}: unreadable ({error})") from error

    def commit(self, changes: Sequence[Change], run_id: str) -> State:
        """Put new versions of some tables in force, all of them or none.

        Raises:
            Conflict: another version of one of them came into force in the meantime.
            StorageError: the file cannot be written.
        """

        bases = {change.name: change.base for change in changes}

        def changed(state: State) -> State:
            self._check(state, bases)
            return _next(state, changes, run_id)

        return self._swap(changed)

    def check(self, bases: Mapping[str, Released | None]) -> None:
        """Compare what is in force with what it was when writers looked, by table.

        Raises:
            Conflict: another version of one of them came into force in the meantime.
        """
        self._check(self.read(), bases)

    def _check(self, state: State, bases: Mapping[str, Released | None]) -> None:
        for name, base in bases.items():
            if state.current(name) != base:
                raise Conflict(
                    f"{self.location.file(name)}: another run committed this table in "
                    "the meantime; nothing of this one was. Run again when the other "
                    "has ended."
                )

    def _swap(self, change) -> State:
        if self.location.is_local:
            with self._lock():
                state = change(self.read())
                put(self.location.filesystem, self.path, state.to_json())
                # Nobody else is writing it: these are of writers that died.
                for left in glob.glob(f"{glob.escape(self.path)}.*.tmp"):
                    remove_file(self.location.filesystem, left)
                return state
        for attempt in range(ATTEMPTS):
            # The tag first: if the file changes in between, the write is refused.
            tag = self._tag()
            state = change(self.read())
            if self._put_if(state.to_json(), tag) or self._is_ours(state):
                return state
            time.sleep(random.uniform(0, min(0.05 * 2**attempt, 1)))
        raise StorageError(
            f"{self.path}: written by others again and again; not by this run. Run again."
        )

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        try:
            with locked(self.location.file("release.lock"), PATIENCE):
                yield
        except Timeout as error:
            raise StorageError(
                f"{self.path}: another process has held its lock for {PATIENCE} seconds. "
                "Stop it, or run again when it has ended."
            ) from error

    def _tag(self) -> str | None:
        filesystem = self.location.filesystem
        filesystem.invalidate_cache()
        try:
            found = filesystem.info(self.path)
        except FileNotFoundError:
            return None
        if "ETag" not in found:
            raise StorageError(
                f"{self.path}: this kind of storage has no conditional writes that this "
                "project knows. Tables are written to disks and to S3; others are "
                "read only."
            )
        return found["ETag"]

    def _put_if(self, content: bytes, tag: str | None) -> bool:
        return put_if(self.location.filesystem, self.path, content, tag)

    def _is_ours(self, state: State) -> bool:
        """Tell whether a write stands that was refused when it was sent again."""
        event = self.read().events.get(state.number)
        return event == state.events[state.number]


def nearest_release(table: Location) -> Location:
    """Return the nearest folder above a table that has a release, or else the nearest."""
    folders = [*map(str, PurePosixPath(table.path).parents)]
    # Neither the root of a disk nor the list of all buckets.
    for folder in folders[:-1]:
        found = replace(table, path=folder)
        if table.filesystem.exists(found.file(RELEASE)):
            return found
    return replace(table, path=folders[0])


def _next(state: State, changes: Sequence[Change], run_id: str) -> State:
    number = state.number + 1
    tables = dict(state.tables)
    for change in changes:
        # A log that began anew has none of the versions before it.
        older = [
            v for v in tables.get(change.name, ()) if v.version < change.new.version
        ]
        new = replace(change.new, release=number)
        tables[change.name] = (new, *older[: max(change.keep, 1) - 1])
    event = Event(
        run_id,
        datetime.now(UTC).isoformat(timespec="milliseconds"),
        tuple(sorted(change.name for change in changes)),
    )
    needed = {version.release for versions in tables.values() for version in versions}
    events = {**state.events, number: event}
    return State(number, tables, {n: events[n] for n in sorted(needed)})


def _check_name(name: str) -> None:
    parts = name.split("/")
    if posixpath.isabs(name) or "\\" in name or {"", ".", ".."} & {*parts}:
        raise ValueError(f"{name!r} is no name of a table")
