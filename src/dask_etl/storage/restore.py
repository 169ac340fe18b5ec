"""Earlier versions made current again: one release, as if a run had written them."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from dask_etl.errors import StorageError
from dask_etl.storage.commit import commit
from dask_etl.storage.release import Released, State
from dask_etl.storage.store import Attempt, Staged, TableStore


@dataclass(frozen=True)
class Restoration(Staged):
    """A version that is kept, about to be current again; its parts are all there.

    Attributes:
        kept: the version.
    """

    kept: Released = field(kw_only=True)

    def log(self) -> int:
        """Commit the content of the kept version to the table's log, as the newest.

        Raises:
            Conflict: somebody else committed in this moment.
        """
        return self.store.log.restore(self.kept.version, self.attempt.run_id)

    def check_files(self, found: Mapping[str, int]) -> None:
        """Compare the version's parts with the files in the folder.

        Raises:
            StorageError: one is missing or has another size.
        """
        for part in self.content.parts:
            if found.get(part.name) != part.bytes:
                raise StorageError(
                    f"{self.store.location.file(part.name)}: gone or altered, so version "
                    f"{self.kept.version} cannot be current again. Choose another one "
                    "(dask-etl tables history)."
                )


def released_together(state: State, name: str, version: int) -> dict[str, Released]:
    """Find the versions of all tables that came into force with one of a table.

    Args:
        state: the release.
        name: of the table.
        version: its number.

    Returns:
        The versions by table, the table's own among them.

    Raises:
        StorageError: the version is not kept, or that of a table beside it is not.
    """
    chosen = state.find(name, version)
    event = state.events[chosen.release]
    found = {
        table: kept
        for table in event.tables
        for kept in state.tables.get(table, ())
        if kept.release == chosen.release
    }
    if gone := sorted(set(event.tables) - set(found)):
        raise StorageError(
            f"{name}: version {chosen.version} was released by run {event.run_id} together "
            f"with {', '.join(gone)}, of which that version is not kept any more. "
            "Restore the table alone (--alone) if it may differ from the others."
        )
    return found


def restore(
    wanted: Mapping[TableStore, Released], run_id: str
) -> tuple[TableStore, ...]:
    """Make kept versions of tables current, all of them in one release or none.

    Args:
        wanted: the version of each table, all of one release file.
        run_id: what the history has for it.

    Returns:
        The tables that had another version before.

    Raises:
        Conflict: another run committed one of the tables in the meantime.
        StorageError: a run is writing one of them, or a file is damaged.
    """
    stores = sorted(wanted, key=lambda store: store.location.path)
    with writing(stores):
        attempts = {store: store.begin(run_id) for store in stores}
        staged = [
            _restoration(attempt, wanted[store])
            for store, attempt in attempts.items()
            if attempt.base is not None and attempt.base.digest != wanted[store].digest
        ]
        commit(staged)
    return tuple(each.store for each in staged)


def _restoration(attempt: Attempt, kept: Released) -> Restoration:
    store = attempt.store
    # A run may have ended since somebody looked.
    if kept not in store.release.read().tables.get(store.name, ()):
        raise StorageError(
            f"{store.location.path}: version {kept.version} is not kept any more"
        )
    return Restoration(attempt, "overwrite", store.content(kept), (), kept=kept)


@contextlib.contextmanager
def writing(stores: Sequence[TableStore]) -> Iterator[None]:
    """Be the only writer of some tables, where there are locks.

    Raises:
        StorageError: a run is writing one of them.
    """
    with contextlib.ExitStack() as held:
        for store in stores:
            store.acquire()
            held.callback(store.free)
        yield
