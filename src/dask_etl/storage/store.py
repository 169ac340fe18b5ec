"""A table that is released together with others: who reads it, and who writes it."""

import contextlib
import logging
import posixpath
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from filelock import Timeout

from dask_etl.errors import StorageError
from dask_etl.storage.delta import Conflict, Content, Log, Logged
from dask_etl.storage.files import locked, put
from dask_etl.storage.location import Location
from dask_etl.storage.names import attempt_in, is_ours, new_attempt, number_in
from dask_etl.storage.parts import PartFile
from dask_etl.storage.release import Release, Released, State
from dask_etl.storage.sweep import list_files, sweep_parts

logger = logging.getLogger(__name__)

LOCK = "_writer.lock"
"""Held while a run writes, where there are locks; where it lies, parts are ours."""

SCRATCH = "_scratch"
"""What a run that broke off could go on from, in the folder of its first table."""


class TableStore:
    """One table: its folder, its log, and its place in a release.

    Args:
        location: the table's folder.
        release: what says which version is in force.
        keep: how many released versions stay readable.
    """

    def __init__(self, location: Location, release: Release, keep: int = 2):
        self.location = location
        self.release = release
        self.keep = max(keep, 1)
        self.name = release.location.name_of(location)
        self.log = Log(location)
        self._lock: contextlib.ExitStack | None = None
        self._contents: dict[Released, Content] = {}
        self.is_new = False
        """Whether nothing was there when :meth:`look` was last called."""

    # -- readers ---------------------------------------------------------------

    def content(self, released: Released) -> Content:
        """Return what a released version holds.

        Raises:
            StorageError: the log is damaged: it says something else than was released.
        """
        if released not in self._contents:
            self.know(self.log.open(released.version).content, released)
        return self._contents[released]

    def know(self, found: Content, released: Released) -> None:
        """Keep what a released version holds, so that the log is not opened for it.

        Raises:
            StorageError: it is something else than was released.
        """
        self.check(found, released)
        self._contents[released] = found

    def check(self, found: Content, released: Released) -> None:
        """Compare what the log says with what was released.

        Raises:
            StorageError: they differ.
        """
        if found.digest != released.digest:
            raise StorageError(
                f"{self.location.path}: the log of the table was altered: version "
                f"{released.version} is not what was released. Make an earlier version "
                f"current (dask-etl tables restore), or move {self.location.file('_delta_log')} "
                "away and run the pipeline that writes the table."
            )

    def foreign_content(self) -> Content | None:
        """Return what a Delta Lake table of others holds now; None where there is none."""
        if not self.location.has_folder("_delta_log"):
            return None
        head = self.log.head()
        if head is None:
            return None
        content = head.content
        if content.parts and all(is_ours(part.name) for part in content.parts):
            # Ours, and never released: a run died before its first commit.
            return None
        return content

    def is_marked(self) -> bool:
        """Tell whether this project has begun to write the table, at some time."""
        self.location.filesystem.invalidate_cache()
        return self.location.filesystem.exists(self.location.file(LOCK))

    # -- the writer ------------------------------------------------------------

    def look(self) -> None:
        """See whether nothing is there at all: then nothing of it need be asked for."""
        self.is_new = not self.location.is_local and self.location.is_empty

    def acquire(self) -> None:
        """Become the table's only writer, where there are locks.

        On object storage there are none that end with their process; of two writers
        the second is refused when it commits.

        Raises:
            StorageError: another run is writing the table.
        """
        if not self.location.is_local:
            # Written again where it is there already: that costs no more than to look.
            put(self.location.filesystem, self.location.file(LOCK), b"")
            return
        if self._lock is not None:
            return
        lock = contextlib.ExitStack()
        try:
            lock.enter_context(locked(self.location.file(LOCK)))
        except Timeout as error:
            raise StorageError(
                f"{self.location.path}: another run is writing this table. Wait for it "
                "to end, or stop it, and run again."
            ) from error
        self._lock = lock

    def free(self) -> None:
        """Let others write the table."""
        lock, self._lock = self._lock, None
        if lock is not None:
            lock.close()

    def begin(
        self, run_id: str, attempt: str | None = None, state: State | None = None
    ) -> "Attempt":
        """Look what is in force; nothing is changed.

        Args:
            run_id: of the run, for the history.
            attempt: a name for the attempt: that of one that is continued.
            state: the release, where it was just read for other tables, too.

        Raises:
            StorageError: the release or the log is unreadable, or the table is not
                this project's.
        """
        self.location.make()
        base = (state or self.release.read()).current(self.name)
        self.is_new = self.is_new and base is None
        # Who has begun a log since is in the way of the first commit.
        head = None if self.is_new else self.log.head()
        if base is None and head is not None:
            self._check_own(head.content)
        elif head is not None and base is not None and head.version == base.version:
            # What was altered can still be overwritten; whoever reads it is told.
            with contextlib.suppress(StorageError):
                self.know(head.content, base)
        return Attempt(self, base, head, run_id, attempt or new_attempt())

    def _check_own(self, content: Content) -> None:
        foreign = [part.name for part in content.parts if not is_ours(part.name)]
        if foreign:
            raise StorageError(
                f"{self.location.path}: a Delta Lake table that this project did not "
                f"write (e.g. {foreign[0]}). Leave out the pipeline that writes this "
                "table, or give it another filepath."
            )

    def take_back(self, base: Released | None, head: Logged, run_id: str) -> Logged:
        """Undo commits that were never released; returns the newest version after it."""
        logger.warning(
            "%s: what was committed after version %s was not released: taken back",
            self.location.path,
            base.version if base else "none",
        )
        if base is not None:
            self.log.restore(base.version, run_id)
        elif head.content.parts:
            self.log.overwrite(head, Content(head.content.schema, ()), run_id)
        return self.log.open()

    def take_back_own(self, version: int, run_id: str) -> None:
        """Undo a commit of this writer, unless others have committed after it."""
        head = self.log.open()
        if head.version == version:
            self.take_back(self.release.read().current(self.name), head, run_id)

    def assert_own(self, version: int, run_id: str) -> None:
        """Have everybody else see the version that was just released.

        Without locks, a writer that was refused can have committed on top of it.
        """
        if not self.location.is_local and self.log.has(version + 1):
            self.log.restore(version, run_id)

    def sweep(
        self, state: State, candidates: Iterable[str], needed: Iterable[str] = ()
    ) -> list[str]:
        """Remove those of some files that no kept version needs.

        Args:
            state: the release.
            candidates: names of files.
            needed: names of others that stay.

        Returns:
            The names of those removed.
        """
        candidates, needed = set(candidates), set(needed)
        if any(map(is_ours, candidates)):
            for released in state.tables.get(self.name, ()):
                needed |= {part.name for part in self.content(released).parts}
        swept = sweep_parts(self.location, candidates, needed)
        if swept:
            logger.debug("%s: removed %d files", self.location.path, len(swept))
        return swept


@dataclass(frozen=True)
class Attempt:
    """A writer's work on one table, from its first look to its commit.

    Attributes:
        store: the table.
        base: the version in force when the attempt began.
        head: the newest version of the log then; None where there was no log.
        run_id: of the run.
        name: what the attempt's parts have in their names.
    """

    store: TableStore
    base: Released | None
    head: Logged | None
    run_id: str
    name: str

    def is_in_force(self, name: str) -> bool:
        """Tell whether parts of an attempt are in the version in force."""
        held = self.held.parts if self.base is not None else ()
        return any(attempt_in(part.name) == name for part in held)

    def sweep(self) -> None:
        """Make room before anything is written, of what no version needs."""
        # What a writer that died has committed is there for others to read.
        needed = [part.name for part in self.head.content.parts] if self.head else []
        state = self.store.release.read()
        self.store.sweep(state, list_files(self.store.location), needed)

    @property
    def held(self) -> Content:
        """What the table held when the attempt began.

        Raises:
            StorageError: nothing, or the log was altered.
        """
        if self.base is None:
            raise StorageError(
                f"{self.store.location.path}: nothing to add to: nothing has been "
                "written here yet"
            )
        return self.store.content(self.base)

    @property
    def next_number(self) -> int:
        """The number of the first part that would be appended."""
        if self.base is None:
            return 0
        numbers = [number_in(p.name) for p in self.held.parts if is_ours(p.name)]
        return max(numbers, default=-1) + 1

    def overwrite(self, content: Content) -> "Staged":
        """Have the table hold this and nothing else."""
        return Staged(self, "overwrite", content, content.parts)

    def append(self, parts: Sequence[PartFile]) -> "Staged":
        """Add parts (numbered from :attr:`next_number`) to what the table holds.

        Raises:
            StorageError: there is no table yet.
        """
        return self.replace([], parts)

    def replace(self, names: Sequence[str], parts: Sequence[PartFile]) -> "Staged":
        """Take parts away by name and add others, numbered from :attr:`next_number`.

        Raises:
            StorageError: there is no table yet, or it has no such parts.
        """
        held = self.held
        missing = set(names) - {part.name for part in held.parts}
        if missing:
            raise StorageError(
                f"{self.store.location.path}: has no part {', '.join(sorted(missing))}"
            )
        left = [part for part in held.parts if part.name not in set(names)]
        content = Content(held.schema, (*left, *parts))
        return Staged(self, "replace", content, tuple(parts), tuple(names))


@dataclass(frozen=True)
class Staged:
    """Parts that are written and wait to be committed.

    Attributes:
        attempt: whose they are.
        operation: whether they take the place of all that there was, or of some.
        content: what the table will hold.
        added: the parts that are new.
        removed: names of the parts that go, where not all do.
    """

    attempt: Attempt
    operation: Literal["overwrite", "replace"]
    content: Content
    added: tuple[PartFile, ...]
    removed: tuple[str, ...] = field(default=())

    @property
    def store(self) -> TableStore:
        """The table."""
        return self.attempt.store

    def log(self) -> int:
        """Commit to the table's log; returns the new version.

        Raises:
            Conflict: somebody else has committed since the attempt began.
        """
        attempt, log, head = self.attempt, self.store.log, self.attempt.head
        if head is not None and self._stands_on_unreleased(head):
            head = self.store.take_back(attempt.base, head, attempt.run_id)
        if self.operation == "overwrite":
            return log.overwrite(head, self.content, attempt.run_id)
        if head is None:
            raise Conflict(f"{self.store.location.path}: the table's log is gone")
        return log.replace(head, self.removed, self.added, attempt.run_id)

    def _stands_on_unreleased(self, head: Logged) -> bool:
        """Tell whether commits of a writer that died are in the way of this one.

        All that there is can be overwritten, but not by the same files.
        """
        if self.operation == "overwrite":
            own = {part.name for part in self.added}
            return any(part.name in own for part in head.content.parts)
        base = self.attempt.base
        return base is None or head.content.digest != base.digest

    def check_files(self, found: Mapping[str, int]) -> None:
        """Compare the new parts with the files in the folder: the log takes any name.

        Raises:
            StorageError: one is missing or has another size.
        """
        for part in self.added:
            if found.get(part.name) != part.bytes:
                raise StorageError(
                    f"{posixpath.join(self.store.location.path, part.name)}: written by "
                    "this run, and gone or altered before its commit. Run again; what "
                    "is finished is taken over."
                )
