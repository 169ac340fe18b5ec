"""What one run or one notebook sees: the tables as they were, and what it wrote itself."""

import threading
import weakref
from collections.abc import Sequence

from dask_etl.errors import StorageError
from dask_etl.storage.commit import commit
from dask_etl.storage.delta import Content
from dask_etl.storage.release import Release, Released, State
from dask_etl.storage.store import Staged, TableStore

_sessions: weakref.WeakValueDictionary = weakref.WeakValueDictionary()
_lock = threading.Lock()


class Session:
    """One consistent view of the tables of a release.

    The release is read once, at the first question. Tables that the session stages
    are its own from then on, before others see them.
    """

    def __init__(self, release: Release):
        self.release = release
        self._state: State | None = None
        self._staged: dict[str, Staged] = {}
        self._contents: dict[tuple[str, Released], Content] = {}
        self._lock = threading.RLock()

    @property
    def state(self) -> State:
        """The release as this session sees it."""
        with self._lock:
            if self._state is None:
                self._state = self.release.read()
            return self._state

    def staged(self, store: TableStore) -> Content | None:
        """Return what the session has written and not yet committed."""
        with self._lock:
            found = self._staged.get(store.name)
        return found.content if found else None

    def current(self, store: TableStore) -> Released | None:
        """Return the version in force, for this session."""
        return self.state.current(store.name)

    def has(self, store: TableStore) -> bool:
        """Tell whether the table was released, or is staged by this session."""
        return bool(self.staged(store) or self.current(store))

    def content(self, store: TableStore, wanted: str | None = None) -> Content | None:
        """Return what a table holds, for this session; None where there is none.

        Args:
            store: the table.
            wanted: a version's number or run; the one in force by default.

        Raises:
            StorageError: there is no such version, or the log is damaged.
        """
        if wanted is not None:
            return self._content(store, self.state.find(store.name, wanted))
        staged = self.staged(store)
        if staged is not None:
            return staged
        released = self.current(store)
        return self._content(store, released) if released else store.foreign_content()

    def _content(self, store: TableStore, released: Released) -> Content:
        """Open the log of a table once, however many data sets ask for it."""
        with self._lock:
            found = self._contents.get((store.name, released))
        if found is None:
            found = store.content(released)
            with self._lock:
                self._contents[store.name, released] = found
        return found

    def stage(self, staged: Sequence[Staged]) -> None:
        """Let this session, and nobody else, see tables that wait for their commit."""
        with self._lock:
            self._staged.update({each.store.name: each for each in staged})

    def forget(self, staged: Sequence[Staged]) -> None:
        """See staged tables as they were before."""
        with self._lock:
            for each in staged:
                if self._staged.get(each.store.name) is each:
                    del self._staged[each.store.name]

    def commit(self, staged: Sequence[Staged]) -> None:
        """Put staged tables in force together, for everybody.

        Raises:
            StorageError: they are as before; see :func:`~dask_etl.storage.commit.commit`.
        """
        self.state  # noqa: B018  (what the session saw before its own commit)
        try:
            after = commit(staged)
        finally:
            self.forget(staged)
        with self._lock:
            self._state = _with_own(self.state, after, [s.store.name for s in staged])
            for each in staged:
                name = each.store.name
                self._contents[name, after.tables[name][0]] = each.content


def _with_own(seen: State, after: State, names: Sequence[str]) -> State:
    """Return what a session sees after its own commit: others' changes stay unseen."""
    tables = {**seen.tables, **{name: after.tables[name] for name in names}}
    return State(after.number, tables, {**seen.events, **after.events})


def session_of(release: Release, key: str | None) -> Session:
    """Return the session of that key for a release; a new one without a key.

    All data sets of a Kedro catalog have the same save version: they share a session.
    """
    if key is None:
        return Session(release)
    location = release.location
    with _lock:
        name = (location.filesystem, location.path, key)
        session = _sessions.get(name)
        if session is None:
            session = _sessions[name] = Session(release)
        return session


def refuse_other_release(stores: Sequence[TableStore]) -> None:
    """Refuse tables that could not be committed together.

    Raises:
        StorageError: they are under different releases.
    """
    first, *others = stores
    for other in others:
        if other.release.location != first.release.location:
            raise StorageError(
                f"{first.location.path} and {other.location.path} change together, but "
                f"under different releases ({first.release.path} and "
                f"{other.release.path}), e.g. on different file systems or with "
                "different options. Give both one data_root."
            )
