"""Several tables change together: their logs one by one, then one release."""

import contextlib
import logging
from collections.abc import Sequence

from dask_etl.errors import StorageError
from dask_etl.storage.delta import CHECKPOINT_EVERY, Conflict
from dask_etl.storage.release import Change, Released, State
from dask_etl.storage.store import Staged
from dask_etl.storage.sweep import list_files, sweep_log

logger = logging.getLogger(__name__)


def commit(staged: Sequence[Staged]) -> State:
    """Put staged tables in force, all of them or none.

    The tables' logs are committed first; the replacement of the release file is the
    moment from which readers of the release get all of the new. Whatever dies before
    it is taken back by the next writer. What no kept version needs is removed after it.

    Raises:
        Conflict: another run committed one of the tables in the meantime.
        StorageError: a part is missing, or something cannot be written; the tables
            are as before.
    """
    if not staged:
        return State()
    [release] = {
        each.store.release.path: each.store.release for each in staged
    }.values()
    run_id = staged[0].attempt.run_id
    # Listed before the release: what a writer begins after it is not in here.
    listed = [list_files(each.store.location) for each in staged]
    # Who loses a race may find its parts swept: what was released comes first.
    release.check({each.store.name: each.attempt.base for each in staged})
    for each, found in zip(staged, listed, strict=True):
        each.check_files(found)
    logged: list[tuple[Staged, int]] = []
    try:
        for each in staged:
            logged.append((each, each.log()))
        changes = [_change(each, version) for each, version in logged]
        state = release.commit(changes, run_id)
    except Exception:
        for each, version in reversed(logged):
            _take_back(each, version)
        raise
    for each, found in zip(staged, listed, strict=True):
        _tidy(each, state, list(found))
    return state


def _change(staged: Staged, version: int) -> Change:
    content = staged.content
    new = Released(
        version, 0, content.rows, content.bytes, len(content.parts), content.digest
    )
    return Change(staged.store.name, staged.attempt.base, new, staged.store.keep)


def _take_back(staged: Staged, version: int) -> None:
    try:
        staged.store.take_back_own(version, staged.attempt.run_id)
    except StorageError as error:
        # Readers of the release do not see it; the next writer takes it back.
        logger.warning("A commit that failed could not be taken back yet: %s", error)


def _tidy(staged: Staged, state: State, candidates: Sequence[str]) -> None:
    """Remove what is past its time; whatever fails here, the commit stands."""
    store = staged.store
    [current, *_] = versions = state.tables[store.name]
    try:
        with contextlib.suppress(Conflict):
            store.assert_own(current.version, staged.attempt.run_id)
        store.know(staged.content, current)
        store.sweep(state, candidates)
        if current.version and current.version % CHECKPOINT_EVERY == 0:
            store.log.checkpoint(current.version)
            sweep_log(store.location, versions[-1].version, current.version)
    except (StorageError, OSError) as error:
        logger.warning("%s: committed, not tidied up: %s", store.location.path, error)
