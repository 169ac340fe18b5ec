"""An earlier version made current again, by itself or with those it came with."""

import pyarrow as pa
import pytest

from dask_etl.errors import StorageError
from dask_etl.storage.commit import commit
from dask_etl.storage.delta import Conflict, Content
from dask_etl.storage.release import Change, Released
from dask_etl.storage.restore import released_together, restore
from dask_etl.storage.vacuum import Removed, vacuum
from support.delta_tables import (
    files,
    needed,
    parts_of,
    read,
    save,
    stage,
    table_store,
    write_part,
)

OURS = "part-00000-a1b2c3d4-0123456789abcdef.parquet"


def bring_back(*stores, version=0, run_id="undo"):
    state = stores[0].release.read()
    return restore({s: state.find(s.name, version) for s in stores}, run_id)


def test_an_earlier_version_is_current_again_and_can_be_undone(tmp_path):
    store = table_store(tmp_path)
    save(store, [1, 2], "one")
    save(store, [3], "two")
    assert bring_back(store) == (store,)
    assert read(store) == [1, 2]
    state = store.release.read()
    assert [v.version for v in state.tables["table"]] == [2, 1]
    event = state.events[state.current("table").release]
    assert (event.run_id, event.tables) == ("undo", ("table",))
    # Readers of the log itself see the same.
    assert store.log.head().version == 2
    bring_back(store, version=1)
    assert read(store) == [3]
    assert files(store) == needed(store)


def test_a_version_that_shares_parts_with_the_current_one(tmp_path):
    store = table_store(tmp_path)
    save(store, [1], "one")
    attempt = store.begin("two")
    commit([attempt.append(parts_of(attempt, [2], first=attempt.next_number))])
    assert read(store) == [1, 2]
    bring_back(store)
    assert read(store) == [1]
    save(store, [5])
    assert read(store) == [5]


def test_a_version_with_other_columns(tmp_path):
    store = table_store(tmp_path)
    save(store, [1], "one")
    attempt = store.begin("two")
    other = pa.table({"number": ["a"], "more": [True]})
    part = write_part(attempt, other, 0, statistics=())
    commit([attempt.overwrite(Content(other.schema, (part,)))])
    bring_back(store)
    assert read(store) == [1]
    assert store.log.head().content.schema.names == ["number"]
    bring_back(store, version=1)
    assert read(store) == ["a"]


def test_what_is_current_already_is_left_as_it_is(tmp_path):
    store = table_store(tmp_path)
    save(store, [1])
    before = store.release.read()
    assert bring_back(store) == ()
    assert store.release.read() == before


def test_tables_released_together_come_back_in_one_release(tmp_path):
    a, b = table_store(tmp_path, "a"), table_store(tmp_path, "b")
    for run_id, number in (("one", 1), ("two", 2)):
        commit([stage(a, [number], run_id), stage(b, [number * 10], run_id)])
    state = a.release.read()
    together = released_together(state, "a", 0)
    assert set(together) == {"a", "b"}
    restore({a: together["a"], b: together["b"]}, "undo")
    assert (read(a), read(b)) == ([1], [10])
    after = a.release.read()
    assert after.number == state.number + 1
    assert after.current("a").release == after.current("b").release


def test_a_version_whose_company_is_gone_is_refused_with_the_way_out(tmp_path):
    a, b = table_store(tmp_path, "a"), table_store(tmp_path, "b")
    commit([stage(a, [1], "one"), stage(b, [1], "one")])
    for number in (2, 3):
        save(b, [number])
    with pytest.raises(StorageError, match=r"together with b,.*--alone"):
        released_together(a.release.read(), "a", 0)


def test_a_version_that_is_not_kept_is_named(tmp_path):
    store = table_store(tmp_path)
    for number in (1, 2, 3):
        save(store, [number])
    with pytest.raises(StorageError, match=r"no version '0'; there are 2 .*, 1 "):
        released_together(store.release.read(), "table", 0)


def test_a_run_that_ended_in_the_meantime_wins(tmp_path, monkeypatch):
    """Between the look at the release and its swap another writer may come."""
    store = table_store(tmp_path)
    save(store, [1])
    save(store, [2])
    swap = store.release.commit

    def late(changes, run_id):
        monkeypatch.undo()
        base = store.release.read().current("table")
        store.release.commit(
            [Change("table", base, Released(9, 0, 1, 1, 1, base.digest), 2)], "other"
        )
        return swap(changes, run_id)

    monkeypatch.setattr(store.release, "commit", late)
    with pytest.raises(Conflict):
        bring_back(store)
    assert store.release.read().current("table").version == 9


def test_nothing_is_restored_while_a_run_writes(tmp_path):
    store, writer = table_store(tmp_path), table_store(tmp_path)
    save(store, [1])
    save(store, [2])
    writer.acquire()
    with pytest.raises(StorageError, match="another run is writing"):
        bring_back(store)
    with pytest.raises(StorageError, match="another run is writing"):
        vacuum(store)
    writer.free()
    assert read(store) == [2]


def test_a_version_with_a_missing_part_is_not_made_current(tmp_path):
    store = table_store(tmp_path)
    save(store, [1])
    save(store, [2])
    [old] = store.content(store.release.read().find("table", 0)).parts
    (tmp_path / "table" / old.name).unlink()
    with pytest.raises(StorageError, match=f"{old.name}: gone or altered"):
        bring_back(store)
    assert read(store) == [2]


def test_vacuum_removes_what_no_version_needs_and_nothing_of_others(tmp_path):
    store = table_store(tmp_path)
    store.acquire()
    save(store, [1])
    save(store, [2])
    stage(store, [3, 4])  # a run that died
    store.free()
    folder = tmp_path / "table"
    (folder / "_scratch").mkdir()
    (folder / "_scratch" / "receipt").write_bytes(b"12345")
    (folder / "notes.txt").write_text("mine")
    (folder / "data.parquet").write_text("mine")
    (folder / f"{OURS}.{'0' * 32}.tmp").write_bytes(b"half")
    stray = {
        path
        for path in folder.iterdir()
        if path.is_file() and path.name not in needed(store)
    } - {folder / name for name in ("notes.txt", "data.parquet", "_writer.lock")}
    bytes_there = sum(path.stat().st_size for path in stray)
    assert vacuum(store) == Removed(len(stray) + 1, bytes_there + 5)
    assert files(store) == needed(store) | {"notes.txt", "data.parquet"}
    assert (read(store), read(store, 0)) == ([2], [1])
    assert vacuum(store) == Removed()


def test_vacuum_of_a_folder_of_others_touches_nothing(tmp_path):
    (tmp_path / "table").mkdir()
    (tmp_path / "table" / OURS).write_bytes(b"a copy")
    assert vacuum(table_store(tmp_path)) == Removed()
    assert [path.name for path in (tmp_path / "table").iterdir()] == [OURS]
