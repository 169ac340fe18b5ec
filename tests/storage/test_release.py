"""Several tables change together: the release file, its readers and its writers."""

import errno
import os
import threading

import pytest

from dask_etl.errors import StorageError
from dask_etl.storage.commit import commit
from dask_etl.storage.delta import Conflict, Content, Log
from dask_etl.storage.location import Location
from dask_etl.storage.release import Change, Release, Released, State
from dask_etl.storage.session import Session, session_of
from dask_etl.storage.store import TableStore
from support.delta_tables import (
    SCHEMA,
    every_flip,
    files,
    location,
    needed,
    parts_of,
    read,
    save,
    stage,
    table_store,
)

NAMES = ("x", "y", "z")


def stores(folder, **options):
    return [table_store(folder, name, **options) for name in NAMES]


def commit_all(folder, number, **options):
    commit(
        [stage(store, [number], f"r{number}") for store in stores(folder, **options)]
    )


def shown(folder):
    return [read(store) for store in stores(folder)]


def test_nothing_is_released_at_first(tmp_path):
    assert shown(tmp_path) == [None, None, None]
    assert Release(location(tmp_path / "none")).read() == State()


def test_tables_change_together_and_kept_versions_stay(tmp_path):
    for number in range(5):
        commit_all(tmp_path, number, keep=3)
        assert shown(tmp_path) == [[number]] * 3
    store = stores(tmp_path)[0]
    assert [read(store, wanted) for wanted in ("r4", 3, "2")] == [[4], [3], [2]]
    with pytest.raises(StorageError, match=r"x: no version '1'; there are 4 \(r4\), 3"):
        read(store, 1)
    assert files(store) == needed(store)
    assert len(files(store)) == 3
    state = store.release.read()
    assert state.number == 5
    assert sorted(state.events) == [3, 4, 5]
    assert state.events[5].tables == NAMES
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "release.json",
        "release.lock",
        *NAMES,
    ]


def test_the_version_in_force_is_always_kept(tmp_path):
    for number in range(3):
        commit_all(tmp_path, number, keep=0)
    assert shown(tmp_path) == [[2]] * 3
    assert len(files(stores(tmp_path)[0])) == 1


def test_tables_that_are_committed_alone_leave_the_others(tmp_path):
    commit_all(tmp_path, 1)
    save(stores(tmp_path)[1], [7], "alone")
    assert shown(tmp_path) == [[1], [7], [1]]
    assert set(stores(tmp_path)[0].release.read().events) == {1, 2}


def test_conflict_of_one_table_keeps_all_as_they_were(tmp_path):
    commit_all(tmp_path, 1)
    late = [stage(store, [2]) for store in stores(tmp_path)]
    save(stores(tmp_path)[2], [3])
    with pytest.raises(Conflict, match=f"{tmp_path}/z: another run committed"):
        commit(late)
    assert shown(tmp_path) == [[1], [1], [3]]


def test_failure_after_the_logs_is_taken_back_for_everybody(tmp_path, monkeypatch):
    commit_all(tmp_path, 1)
    staged = [stage(store, [2]) for store in stores(tmp_path)]

    def fails(*arguments):
        raise StorageError("no room")

    with monkeypatch.context() as patch:
        patch.setattr(Release, "commit", fails)
        with pytest.raises(StorageError, match="no room"):
            commit(staged)
    assert shown(tmp_path) == [[1]] * 3
    for store in stores(tmp_path):
        head = store.log.open()
        assert store.content(store.release.read().current(store.name)).digest == (
            head.content.digest
        )
    commit_all(tmp_path, 3)
    assert shown(tmp_path) == [[3]] * 3
    assert [files(s) == needed(s) for s in stores(tmp_path)] == [True] * 3


def test_commit_that_never_was_released_is_taken_back_by_the_next_writer(tmp_path):
    commit_all(tmp_path, 1)
    store = stores(tmp_path)[0]
    for kind in ("append", "overwrite"):
        before = read(store)
        dead = stage(store, [2])
        dead.log()
        assert read(store) == before
        attempt = store.begin("next")
        parts = parts_of(attempt, [3], attempt.next_number)
        content = Content(SCHEMA, tuple(parts))
        commit(
            [attempt.append(parts) if kind == "append" else attempt.overwrite(content)]
        )
        assert read(store) == ([*before, 3] if kind == "append" else [3])
        assert store.log.open().content == store.content(
            store.release.read().current("x")
        )


def test_only_what_was_committed_last_is_taken_back(tmp_path):
    """A writer that fails may not take the place of one that came after it."""
    commit_all(tmp_path, 1)
    store = stores(tmp_path)[0]
    version = stage(store, [2]).log()
    later = stage(store, [3])
    later.log()
    store.take_back_own(version, "run")
    assert store.log.open().content == later.content


def test_parts_of_a_dead_writer_are_taken_over_in_place(tmp_path):
    """It had committed them to the log, too, and not released."""
    for first in (True, False):
        store = table_store(tmp_path, "x" if first else "y")
        if not first:
            save(store, [0])
        dead = stage(store, [1, 2])
        dead.log()
        attempt = store.begin("next", dead.attempt.name)
        commit([attempt.overwrite(dead.content)])
        assert read(store) == [1, 2]
        assert {part.name for part in dead.added} <= files(store)


def test_versions_before_a_log_that_began_anew_are_gone(tmp_path):
    store = table_store(tmp_path, keep=5)
    for number in range(3):
        save(store, [number])
    os.rename(tmp_path / "table", tmp_path / "away")
    with pytest.raises(StorageError, match="cannot be read"):
        read(table_store(tmp_path))
    save(table_store(tmp_path), [9])
    assert read(table_store(tmp_path)) == [9]
    assert len(store.release.read().tables["table"]) == 1


def test_data_can_be_moved(tmp_path):
    commit_all(tmp_path / "old", 1)
    (tmp_path / "old").rename(tmp_path / "new")
    assert shown(tmp_path / "new") == [[1]] * 3


def test_of_many_writers_of_other_tables_none_is_refused(tmp_path):
    failed = []

    def write(name):
        store = table_store(tmp_path, name)
        try:
            for number in range(8):
                save(store, [number])
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=write, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert [read(table_store(tmp_path, name)) for name in "abcd"] == [[7]] * 4
    assert Release(location(tmp_path)).read().number == 32


# -- one writer ----------------------------------------------------------------


def test_second_writer_fails_fast(tmp_path):
    first, second = table_store(tmp_path), table_store(tmp_path)
    first.acquire()
    with pytest.raises(StorageError, match="table: another run is writing"):
        second.acquire()
    second.free()
    first.acquire()
    first.free()
    second.acquire()
    second.free()


@pytest.mark.parametrize("number", [errno.EOPNOTSUPP, errno.ENOLCK])
def test_file_system_without_locks_is_no_other_run(tmp_path, monkeypatch, number):
    fcntl = pytest.importorskip("fcntl")
    staged = stage(table_store(tmp_path), [1])

    def flock(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    for act in (table_store(tmp_path).acquire, lambda: commit([staged])):
        with pytest.raises(StorageError, match=r"\.lock: .* has no locks; point"):
            act()


def test_file_in_the_place_of_a_table_is_no_other_run(tmp_path):
    (tmp_path / "table").touch()
    with pytest.raises(StorageError, match=r"table: cannot be written .*exists"):
        table_store(tmp_path).acquire()


def test_lock_of_the_release_that_somebody_holds_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("dask_etl.storage.release.PATIENCE", 0.1)
    release = Release(location(tmp_path))
    save(table_store(tmp_path), [1])
    staged = stage(table_store(tmp_path), [2])
    with release._lock(), pytest.raises(StorageError, match=r"has held its lock"):
        commit([staged])
    assert read(table_store(tmp_path)) == [1]


# -- sessions ------------------------------------------------------------------


def numbers_in(session, store):
    content = session.content(store)
    return content and content.rows


def test_session_sees_one_release_and_its_own_work(tmp_path):
    x, y, z = stores(tmp_path, keep=5)
    commit_all(tmp_path, 1, keep=5)
    session = Session(x.release)
    assert numbers_in(session, x) == 1
    # Another run commits all: the session still sees the tables of one run.
    commit([stage(store, [1, 2]) for store in stores(tmp_path, keep=5)])
    assert [numbers_in(session, store) for store in (x, y, z)] == [1, 1, 1]
    assert [numbers_in(Session(x.release), store) for store in (x, y, z)] == [2, 2, 2]

    # What it stages is seen by itself, and by others when it is committed.
    staged = [stage(store, [1, 2, 3]) for store in (x, y)]
    session.stage(staged)
    assert [numbers_in(session, store) for store in (x, y, z)] == [3, 3, 1]
    assert numbers_in(Session(x.release), x) == 2
    session.commit(staged)
    assert [numbers_in(session, store) for store in (x, y, z)] == [3, 3, 1]
    assert [numbers_in(Session(x.release), s) for s in (x, y, z)] == [3, 3, 2]


def test_session_forgets_what_could_not_be_committed(tmp_path):
    x, y, _ = stores(tmp_path)
    commit_all(tmp_path, 1)
    session = Session(x.release)
    staged = [stage(store, [1, 2]) for store in (x, y)]
    session.stage(staged)
    save(table_store(tmp_path, "y"), [5, 6, 7])
    with pytest.raises(Conflict):
        session.commit(staged)
    assert numbers_in(session, x) == 1


def test_sessions_of_one_key_are_one_as_long_as_it_lives(tmp_path):
    release = Release(location(tmp_path))
    one = session_of(release, "a")
    assert session_of(Release(location(tmp_path)), "a") is one
    assert session_of(release, "b") is not one
    assert session_of(release, None) is not session_of(release, None)
    del one
    again = session_of(release, "a")
    assert again._state is None


# -- damage --------------------------------------------------------------------


def test_flipped_bit_of_the_release_is_noticed(tmp_path):
    commit_all(tmp_path, 1)
    path = tmp_path / "release.json"
    content = path.read_bytes()
    state = Release(location(tmp_path)).read()
    refused = 0
    for flipped in every_flip(content):
        path.write_bytes(flipped)
        try:
            found = Release(location(tmp_path)).read()
        except StorageError:
            refused += 1
        else:
            assert found == state  # white space, say
    assert refused > 500


@pytest.mark.parametrize("content", [b"", b"{", b"{}", b"[1]", b"\xff"])
def test_unreadable_release_is_named_and_nothing_is_swept(tmp_path, content):
    commit_all(tmp_path, 1)
    (tmp_path / "release.json").write_bytes(content)
    store = stores(tmp_path)[0]
    for act in (lambda: read(store), lambda: save(store, [2])):
        with pytest.raises(StorageError, match=r"release\.json: unreadable"):
            act()
    assert len(files(store)) == 1
    assert Log(store.location).open().version == 0


@pytest.mark.parametrize("name", ["..", "../other", "/etc", "a//b", "", "a\\b", "a/.."])
def test_release_cannot_name_tables_elsewhere(tmp_path, name):
    version = Released(0, 1, 0, 0, 0, "")
    (tmp_path / "release.json").write_bytes(State(1, {name: (version,)}).to_json())
    with pytest.raises(StorageError, match="is no name of a table"):
        Release(location(tmp_path)).read()


def test_table_must_be_in_the_folder_of_its_release(tmp_path):
    release = Release(location(tmp_path / "data"))
    for folder in ("elsewhere", "data", "data2"):
        with pytest.raises(StorageError, match="could not be committed together"):
            TableStore(location(tmp_path / folder), release)
    kind = type(release.location.filesystem)
    other = Location(kind(auto_mkdir=False), str(tmp_path / "data" / "x"))
    with pytest.raises(StorageError, match="could not be committed together"):
        TableStore(other, release)


def test_release_is_checked_where_it_is_swapped(tmp_path):
    """Between a writer's first look and its swap another one may come."""
    save(table_store(tmp_path), [1])
    release = Release(location(tmp_path))
    state = release.read()
    base = state.current("table")
    new = Released(1, 0, 1, 1, 1, "d")
    release.commit([Change("table", base, new, 2)], "a")
    with pytest.raises(Conflict):
        release.commit([Change("table", base, new, 2)], "b")
