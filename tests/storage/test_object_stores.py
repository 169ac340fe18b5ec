"""The same on S3, where nothing can be locked: as far as an imitation can tell."""

import threading
import uuid

import pytest
import s3fs

from dask_etl.errors import StorageError
from dask_etl.storage.commit import commit
from dask_etl.storage.delta import Conflict, Content
from dask_etl.storage.location import Location
from dask_etl.storage.release import Change, Release, Released
from dask_etl.storage.store import TableStore
from support.delta_tables import SCHEMA, parts_of, read, save, stage
from support.s3_server import s3_server


@pytest.fixture(scope="module")
def filesystem():
    with s3_server() as options:
        yield s3fs.S3FileSystem(**options)


@pytest.fixture
def new_store(filesystem):
    folder = f"bucket/{uuid.uuid4().hex}"

    def make(name="table", keep=2):
        release = Release(Location(filesystem, folder))
        return TableStore(Location(filesystem, f"{folder}/{name}"), release, keep)

    return make


def part_names(store):
    store.location.filesystem.invalidate_cache()
    found = store.location.filesystem.ls(store.location.path, detail=False)
    return {path.rpartition("/")[2] for path in found if path.endswith(".parquet")}


def test_versions_come_and_go(new_store):
    store = new_store()
    for number in range(4):
        save(store, [number, number + 1])
        assert read(store) == [number, number + 1]
    assert read(store, 2) == [2, 3]
    assert len(part_names(store)) == 4


def test_lock_of_a_dead_writer_does_not_stand_in_the_way(new_store):
    new_store().acquire()
    second = new_store()
    second.acquire()
    save(second, [1])
    assert read(second) == [1]


def test_of_two_writers_one_wins_and_nothing_is_mixed(new_store):
    save(new_store(), [0])
    first, second = stage(new_store(), [1]), stage(new_store(), [2])
    commit([first])
    with pytest.raises(Conflict, match="another run committed this table"):
        commit([second])
    assert read(new_store()) == [1]
    assert part_names(new_store()) >= {part.name for part in first.added}


@pytest.mark.parametrize("columns", ["same", "other"])
def test_loser_that_got_as_far_as_the_log_takes_it_back(new_store, columns):
    """Both have committed to the log, or would; the release takes the first."""
    save(new_store(), [0])
    first, second = stage(new_store(), [1]), new_store().begin("second")
    content = Content(SCHEMA, tuple(parts_of(second, [2])))
    late = second.overwrite(content)
    log = late.store.log

    def overwrite(head, content, run_id):
        # The other one commits and releases just now.
        commit([first])
        return type(log).overwrite(log, log.open(), content, run_id)

    log.overwrite = overwrite
    with pytest.raises(Conflict):
        commit([late])
    store = new_store()
    assert read(store) == [1]
    assert store.log.open().content.digest == first.content.digest


def test_of_many_writers_of_one_table_each_round_has_one_winner(new_store):
    save(new_store(), [0])
    rounds, writers = 6, 4
    barrier = threading.Barrier(writers)
    won, failed = [], []

    def write(writer):
        for number in range(rounds):
            barrier.wait()
            staged = stage(new_store(keep=3), [100 * number + writer])
            barrier.wait()
            try:
                commit([staged])
                won.append((number, writer))
            except Conflict:
                continue

    def write_all(writer):
        try:
            write(writer)
        except BaseException as error:
            failed.append(error)
            barrier.abort()

    threads = [threading.Thread(target=write_all, args=(n,)) for n in range(writers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert [number for number, _ in sorted(won)] == [*range(rounds)]
    last = max(won)
    store = new_store()
    assert read(store) == [100 * last[0] + last[1]]
    # Everybody else sees what was released.
    released = store.release.read().current("table")
    assert store.log.open().content.digest == released.digest


def test_writers_of_other_tables_do_not_stand_in_each_others_way(new_store):
    def write(name):
        for number in range(4):
            save(new_store(name), [number])

    threads = [threading.Thread(target=write, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [read(new_store(name)) for name in "abc"] == [[3]] * 3


def test_release_that_was_written_although_its_answer_was_lost(new_store, monkeypatch):
    """The client sends the write again, and is refused: its own one stands."""
    save(new_store(), [0])
    release = new_store().release
    base = release.read().current("table")
    put = Release._put_if

    def sent_twice(self, content, tag):
        put(self, content, tag)
        return put(self, content, tag)

    monkeypatch.setattr(Release, "_put_if", sent_twice)
    new = Released(1, 0, 1, 1, 1, "d")
    state = release.commit([Change("table", base, new, 2)], "run")
    assert state == release.read()
    assert state.number == 2


def test_storage_without_conditional_writes_is_not_written(new_store, monkeypatch):
    store = new_store()
    save(store, [0])
    staged = stage(store, [1])
    filesystem = store.location.filesystem
    monkeypatch.setattr(filesystem, "info", lambda path: {"name": path})
    with pytest.raises(StorageError, match="no conditional writes"):
        commit([staged])
    assert read(store) == [0]
