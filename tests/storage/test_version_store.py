"""The store of versions: what is committed, kept, swept, refused."""

import errno
import json
import os
import re
import uuid

import fsspec
import pyarrow as pa
import pytest

from dask_etl.storage.files import StorageError, put, seal, unseal
from dask_etl.storage.parts import PartWriter
from dask_etl.storage.versions import Manifest, VersionStore, commit

SCHEMA = pa.schema({"number": pa.int64()})


@pytest.fixture(params=["local", "memory"])
def new_store(request, tmp_path):
    """Makes stores on a file system, by table name."""
    if request.param == "local":
        filesystem, home = fsspec.filesystem("file", auto_mkdir=True), str(tmp_path)
    else:
        filesystem, home = fsspec.filesystem("memory"), f"/{uuid.uuid4().hex}"
    yield lambda name="table", keep=2: VersionStore(filesystem, f"{home}/{name}", keep)
    if request.param == "memory" and filesystem.exists(home):
        filesystem.rm(home, recursive=True)


def stage(store, version, numbers=(1, 2), parts=2, earlier=()):
    """A version of some parts that waits for its commit."""
    store.begin(version, earlier)
    writer = PartWriter(store.filesystem, store.path(version))
    table = pa.table({"number": list(numbers)}, SCHEMA)
    store.stage(version, SCHEMA, [writer.write(table, part) for part in range(parts)])


def save(store, version, **options):
    stage(store, version, **options)
    commit([(store, version)])


def files(store):
    """All files of a table, by their names within it."""
    root = store.root.strip("/")
    found = store.filesystem.find(store.root)
    return sorted(path.strip("/").removeprefix(f"{root}/") for path in found)


def version_files(*versions, parts=2):
    names = ["manifest.json", *(f"part-{part:05d}.parquet" for part in range(parts))]
    return sorted(
        ["current.json"]
        + [f"versions/{version}/{name}" for version in versions for name in names]
    )


def test_nothing_written_has_no_version(new_store):
    store = new_store()
    assert store.current() is None
    assert store.versions() == []
    with pytest.raises(StorageError, match="nothing has been written here"):
        store.manifest()


def test_staged_version_is_seen_from_its_commit_on(new_store):
    store = new_store()
    stage(store, "a")
    assert store.current() is None
    commit([(store, "a")])
    assert store.current() == "a"
    stage(store, "b")
    assert store.current() == "a"
    commit([(store, "b")])
    assert store.versions() == ["b", "a"]


def test_latest_versions_are_kept(new_store):
    store = new_store(keep=2)
    for version in "abcd":
        save(store, version)
    assert store.versions() == ["d", "c"]
    assert files(store) == version_files("c", "d")
    assert store.manifest("c").version == "c"
    with pytest.raises(StorageError, match=r"no version 'a'; there are d, c"):
        store.manifest("a")


@pytest.mark.parametrize("keep", [0, 1])
def test_the_current_version_is_always_kept(new_store, keep):
    store = new_store(keep=keep)
    for version in "ab":
        save(store, version)
    assert store.versions() == ["b"]
    assert files(store) == version_files("b")


def test_version_is_not_written_twice(new_store):
    store = new_store()
    save(store, "a")
    with pytest.raises(StorageError, match="version a exists already"):
        store.begin("a")


def test_next_writer_sweeps_what_an_interrupted_one_left(new_store):
    store = new_store()
    save(store, "a")
    stage(store, "b", parts=5)
    store.filesystem.pipe_file(f"{store.root}/current.json.{'0' * 32}.tmp", b"{")
    save(store, "c")
    assert files(store) == version_files("a", "c")


def test_parts_of_an_interrupted_attempt_at_the_same_name_do_not_stay(new_store):
    store = new_store()
    stage(store, "a", parts=5)
    save(store, "a", parts=2)
    assert files(store) == version_files("a")


def test_attempt_takes_over_the_parts_of_the_last_one_it_names(new_store):
    store = new_store()
    save(store, "a")
    stage(store, "b", numbers=[7])
    store.begin("c", ["b"])
    assert store.filesystem.exists(f"{store.path('c')}/part-00001.parquet")
    assert not store.filesystem.exists(store.path("b"))
    # What the new attempt does not name in its manifest goes.
    store.stage("c", SCHEMA, [])
    commit([(store, "c")])
    assert store.versions() == ["c", "a"]
    assert store.manifest().rows == 0
    assert "versions/c/part-00001.parquet" not in files(store)


def test_committed_version_is_never_taken_over(new_store):
    store = new_store()
    save(store, "a")
    stage(store, "b", earlier=["a"])
    assert store.manifest("a").version == "a"


def test_folder_that_is_no_version_is_left_alone(new_store, caplog):
    store = new_store()
    store.filesystem.makedirs(f"{store.root}/versions/2024", exist_ok=True)
    store.filesystem.pipe_file(f"{store.root}/versions/2024/thesis.txt", b"mine")
    save(store, "a")
    assert (
        store.filesystem.cat_file(f"{store.root}/versions/2024/thesis.txt") == b"mine"
    )
    assert "left alone" in caplog.text


def test_several_tables_are_committed_by_one_record(new_store, monkeypatch):
    stores = [new_store(name) for name in ("x", "y", "z")]
    for store in stores:
        save(store, "a")
        stage(store, "b")
    moments = []

    def watched(filesystem, path, content):
        moments.append({store.current() for store in stores})
        put(filesystem, path, content)

    monkeypatch.setattr("dask_etl.storage.versions.put", watched)
    commit([(store, "b") for store in stores])
    assert moments[0] == {"a"}
    assert all(len(versions) == 1 for versions in moments)
    for store in stores:
        assert store.versions() == ["b", "a"]
        assert files(store) == version_files("a", "b")


def test_tables_on_either_side_of_a_lost_swap_agree(new_store):
    """The record is there, one table is swapped, the process dies."""
    one, two = new_store("one"), new_store("two")
    for store in (one, two):
        save(store, "a")
        stage(store, "b")
    record = f"{one.root}/commits/b-0.json"
    for store in (one, two):
        store.await_commit("b", record)
    one.filesystem.makedirs(f"{one.root}/commits", exist_ok=True)
    put(one.filesystem, record, seal({"tables": ["../../one", "../../two"]}))
    one.swap("b")
    assert one.current() == two.current() == "b"

    save(one, "c")
    assert two.versions() == ["b", "a"]
    save(two, "c")
    for store in (one, two):
        assert files(store) == version_files("b", "c")


def test_wait_for_a_commit_that_never_came_is_forgotten(new_store):
    one, two = new_store("one"), new_store("two")
    for store in (one, two):
        save(store, "a")
        stage(store, "b")
        store.await_commit("b", f"{one.root}/commits/b-0.json")
    save(one, "b")
    assert one.current() == "b"
    assert two.current() == "a"


def test_record_of_another_commit_is_not_the_one_waited_for(new_store, monkeypatch):
    """A commit dies before its record; a later one of the same name has other tables."""
    one, two, three = (new_store(name) for name in ("one", "two", "three"))
    for store in (one, two, three):
        save(store, "a")
    for store in (one, two):
        stage(store, "b")

    def dies(filesystem, path, content):
        if "/commits/" in path:
            raise RuntimeError("dies")
        put(filesystem, path, content)

    with monkeypatch.context() as patch:
        patch.setattr("dask_etl.storage.versions.put", dies)
        with pytest.raises(RuntimeError, match="dies"):
            commit([(one, "b"), (two, "b")])
    for store in (one, three):
        stage(store, "b")
    shown = set()

    def watched(filesystem, path, content):
        shown.add(two.current())
        put(filesystem, path, content)

    monkeypatch.setattr("dask_etl.storage.versions.put", watched)
    commit([(one, "b"), (three, "b")])
    assert shown == {"a"}
    assert [store.current() for store in (one, two, three)] == ["b", "a", "b"]


def test_data_that_is_moved_between_a_commit_and_its_swaps_stays_one(tmp_path):
    filesystem = fsspec.filesystem("file", auto_mkdir=True)
    stores = [VersionStore(filesystem, str(tmp_path / "old" / n)) for n in "xy"]
    for store in stores:
        stage(store, "a")
        store.await_commit("a", f"{stores[0].root}/commits/a-0.json")
    stores[0].filesystem.makedirs(f"{stores[0].root}/commits")
    put(filesystem, f"{stores[0].root}/commits/a-0.json", seal({"tables": []}))
    stores[0].swap("a")
    (tmp_path / "old").rename(tmp_path / "new")
    moved = [VersionStore(filesystem, str(tmp_path / "new" / n)) for n in "xy"]
    assert [store.current() for store in moved] == ["a", "a"]


def test_older_version_can_be_made_current_by_hand(new_store):
    store = new_store()
    for version in "ab":
        save(store, version)
    store.acquire()
    store.swap(store.manifest("a").version)
    store.release()
    assert store.versions() == ["a", "b"]


# -- one writer ----------------------------------------------------------------


def test_second_writer_fails_fast(new_store):
    first, second = new_store(), new_store()
    first.acquire()
    with pytest.raises(StorageError, match=f"{first.root}: another run is writing"):
        second.acquire()
    second.release()
    with pytest.raises(StorageError, match="another run is writing"):
        second.acquire()
    first.release()
    second.acquire()
    second.release()


@pytest.mark.parametrize("number", [errno.EOPNOTSUPP, errno.ENOLCK])
def test_file_system_without_locks_is_no_other_run(tmp_path, monkeypatch, number):
    fcntl = pytest.importorskip("fcntl")

    def flock(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    store = VersionStore(fsspec.filesystem("file"), str(tmp_path / "table"))
    with pytest.raises(StorageError, match=r"writer\.lock: .* has no locks; point"):
        store.acquire()


def test_file_in_the_place_of_a_table_is_no_other_run(tmp_path):
    (tmp_path / "table").touch()
    store = VersionStore(fsspec.filesystem("file"), str(tmp_path / "table"))
    with pytest.raises(StorageError, match=r"table: cannot be written .*exists"):
        store.acquire()


# -- damage --------------------------------------------------------------------


def every_flip(content):
    """The content with one bit flipped, for some bit of every byte."""
    for position, byte in enumerate(content):
        yield (
            content[:position]
            + bytes([byte ^ (1 << position % 8)])
            + content[position + 1 :]
        )


def test_seal_breaks_with_any_bit():
    content = {"version": "2024-01-01T00.00.00.000Z", "history": ["b", "a"]}
    sealed = seal(content)
    assert unseal(sealed) == content
    for flipped in every_flip(sealed):
        try:
            found = unseal(flipped)
        except ValueError:
            continue
        assert found == content  # white space, say


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"null", b"\xff", b'{"a": 1}'])
def test_seal_of_something_else_is_refused(content):
    with pytest.raises(ValueError, match=r".+"):
        unseal(content)


def test_manifest_survives_its_file():
    schema = pa.schema(
        [
            pa.field("label", pa.dictionary(pa.int32(), pa.string()), nullable=False),
            pa.field("list", pa.list_(pa.date32())),
        ]
    )
    manifest = Manifest("v", "2024-01-01", 0, schema, ())
    assert Manifest.from_json(manifest.to_json()) == manifest


def test_any_flipped_bit_of_a_manifest_is_noticed(new_store):
    store = new_store()
    save(store, "a")
    path = store.path("a", "manifest.json")
    content = store.filesystem.cat_file(path)
    manifest = store.manifest()
    refused = 0
    for flipped in every_flip(content):
        store.filesystem.pipe_file(path, flipped)
        try:
            found = store.manifest()
        except StorageError:
            refused += 1
        else:
            assert found == manifest
    assert refused > 100
    store.filesystem.pipe_file(path, b"")
    with pytest.raises(StorageError, match=re.escape(path)):
        store.manifest()


@pytest.mark.parametrize("name", ["current.json", "pending.json"])
@pytest.mark.parametrize("content", [b"", b"{", b"{}", b"[1]"])
def test_unreadable_pointer_is_named(new_store, name, content):
    store = new_store()
    save(store, "a")
    store.filesystem.pipe_file(f"{store.root}/{name}", content)
    for act in (store.current, store.versions, lambda: store.begin("b")):
        with pytest.raises(StorageError, match=f"{name}: unreadable"):
            act()
    assert store.filesystem.exists(store.path("a", "manifest.json"))


def test_manifest_of_another_version_is_refused(new_store):
    store = new_store()
    for version in "ab":
        save(store, version)
    content = store.filesystem.cat_file(store.path("a", "manifest.json"))
    store.filesystem.pipe_file(store.path("b", "manifest.json"), content)
    with pytest.raises(StorageError, match=r"manifest of 'a'"):
        store.manifest()


# -- nothing outside of the table ----------------------------------------------

NAMES = ["..", ".", "", "../other", "a/b", "/etc", "a\\b", "a\0b"]


@pytest.mark.parametrize("name", NAMES)
def test_names_cannot_lead_out_of_the_table(new_store, name):
    store = new_store()
    save(store, "a")
    for act in (
        lambda: store.path(name),
        lambda: store.path("a", name),
        lambda: store.begin(name),
        lambda: store.begin("b", [name]),
    ):
        with pytest.raises(StorageError, match="is no name for"):
            act()
    if name:
        with pytest.raises(StorageError, match="no version"):
            store.manifest(name)


@pytest.mark.parametrize("name", NAMES)
def test_manifest_cannot_name_files_elsewhere(new_store, name):
    store = new_store()
    save(store, "a")
    path = store.path("a", "manifest.json")
    content = unseal(store.filesystem.cat_file(path))
    content["parts"][0]["name"] = name
    store.filesystem.pipe_file(path, seal(content))
    with pytest.raises(StorageError, match=r"manifest.json: unreadable manifest"):
        store.manifest()


@pytest.mark.parametrize("name", NAMES[:-1])
def test_pointer_cannot_name_a_version_elsewhere(new_store, name):
    store = new_store()
    save(store, "a")
    store.write("current.json", {"version": name, "history": [name]})
    if name:
        with pytest.raises(StorageError, match="is no name for"):
            store.manifest()


def test_commit_record_is_nothing_but_a_commit_record(new_store):
    store = new_store()
    save(store, "a")
    store.write("pending.json", {"version": "a", "commit": "../../etc/passwd"})
    with pytest.raises(StorageError, match="is no commit record"):
        store.current()


def test_files_of_the_store_are_json(new_store):
    store = new_store()
    save(store, "a")
    for name in ("current.json", "versions/a/manifest.json"):
        json.loads(store.filesystem.cat_file(f"{store.root}/{name}"))
