"""The store of versions under any interleaving of writers, crashes and readers."""

import contextlib

import fsspec
import pyarrow as pa
import pyarrow.parquet
from fsspec.implementations.memory import MemoryFileSystem
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
)

from dask_etl.errors import StorageError
from dask_etl.storage.parts import PartWriter, Segment, read_checked
from dask_etl.storage.versions import VersionStore, commit

TABLES = ("x", "y", "z")
SCHEMA = pa.schema({"number": pa.int64()})
KEEP = 2


class Crash(BaseException):
    """The process is gone: no handler of errors sees this."""


class Fragile(MemoryFileSystem):
    """A file system of its own whose user dies before its n-th change."""

    cachable = False

    def __init__(self):
        super().__init__()
        self.store = {}
        self.pseudo_dirs = [""]
        self.left = None

    def _use(self):
        if self.left is not None:
            if self.left == 0:
                raise Crash
            self.left -= 1

    def pipe_file(self, path, value, **options):
        self._use()
        return super().pipe_file(path, value, **options)

    def rm_file(self, path):
        self._use()
        return super().rm_file(path)

    def _rm(self, path):
        self._use()
        return super()._rm(path)

    def rmdir(self, path):
        self._use()
        return super().rmdir(path)

    def cp_file(self, path1, path2, **options):
        self._use()
        return super().cp_file(path1, path2, **options)

    def rm(self, path, recursive=False, maxdepth=None):
        # File by file, as object stores do it.
        for found in sorted(self.find(path)):
            self.rm_file(found)
        with contextlib.suppress(FileNotFoundError):
            super().rm(path, recursive=True)


class Store(RuleBasedStateMachine):
    """A model of several tables: what each has shown to readers, in order."""

    held = Bundle("held")

    @initialize()
    def begin(self):
        self.filesystem = Fragile()
        self.count = 0
        self.history = {name: [] for name in TABLES}
        self.numbers = {}
        self.leftovers = []

    def table(self, name):
        return VersionStore(self.filesystem, f"/{name}", KEEP)

    def publish(self, names, number, parts, earlier):
        """What a run does, up to the end; the locks stay as a dead process leaves them."""
        version = f"v{number}"
        stores = [self.table(name) for name in names]
        for store in stores:
            store.acquire()
        for store in stores:
            store.begin(version, earlier)
        for store in stores:
            writer = PartWriter(self.filesystem, store.path(version))
            table = pa.table({"number": [number]}, SCHEMA)
            written = [writer.write(table, part) for part in range(parts)]
            store.stage(version, SCHEMA, written)
        commit([(store, version) for store in stores])
        for store in stores:
            store.release()

    @rule(
        names=st.sets(st.sampled_from(TABLES), min_size=1).map(sorted),
        parts=st.integers(0, 3),
        dies_at=st.none() | st.integers(0, 60),
        takes_over=st.booleans(),
    )
    def write(self, names, parts, dies_at, takes_over):
        number = self.count = self.count + 1
        version = f"v{number}"
        self.filesystem.left = dies_at
        try:
            self.publish(names, number, parts, self.leftovers if takes_over else [])
            died = False
        except Crash:
            died = True
        self.filesystem.left = None
        # Locks on object stores are removed by hand.
        for name in TABLES:
            with contextlib.suppress(FileNotFoundError):
                self.filesystem.rm_file(f"/{name}/writer.lock")
        self.numbers[version] = (number, parts)
        shown = {self.table(name).current() == version for name in names}
        assert len(shown) == 1, "some tables changed, some did not"
        assert died or shown == {True}
        for name in names:
            if shown == {True}:
                self.history[name].append(version)
        self.leftovers.append(version)

    @rule(target=held, name=st.sampled_from(TABLES))
    def hold(self, name):
        """A reader finds out what to read, and reads it later."""
        if not self.history[name]:
            return multiple()
        manifest = self.table(name).manifest()
        return name, manifest, len(self.history[name])

    @rule(reader=held)
    def read_later(self, reader):
        """The version stays for as long as fewer than KEEP others were committed."""
        name, manifest, then = reader
        if len(self.history[name]) - then < KEEP:
            self.check(name, manifest)

    @rule(name=st.sampled_from(TABLES))
    def second_writer(self, name):
        first, second = self.table(name), self.table(name)
        first.acquire()
        try:
            second.acquire()
        except StorageError:
            pass
        else:
            raise AssertionError("two writers at once")
        first.release()

    @invariant()
    def readers_get_the_last_commit(self):
        for name in TABLES:
            store = self.table(name)
            shown = self.history[name][::-1]
            assert store.versions()[:KEEP] == shown[:KEEP]
            for version in shown[:KEEP]:
                self.check(name, store.manifest(version))

    def check(self, name, manifest):
        number, parts = self.numbers[manifest.version]
        assert len(manifest.parts) == manifest.rows == parts
        for part in manifest.parts:
            path = self.table(name).path(manifest.version, part.name)
            segment = Segment(
                path, part.name, 0, part.rows, part.bytes, checksum=part.checksum
            )
            content = read_checked(self.filesystem, segment)
            table = pa.parquet.read_table(pa.BufferReader(content))
            assert table["number"].to_pylist() == [number]

    def teardown(self):
        """One undisturbed run over all tables leaves no strays."""
        self.write(list(TABLES), 1, None, False)
        for name in TABLES:
            store = self.table(name)
            expected = {f"/{name}/current.json"}
            for version in store.versions():
                names = [part.name for part in store.manifest(version).parts]
                expected |= {
                    store.path(version, each) for each in ("manifest.json", *names)
                }
            assert set(self.filesystem.find(f"/{name}")) == expected


TestStore = Store.TestCase
TestStore.settings = settings(
    max_examples=60, stateful_step_count=20, derandomize=True, deadline=None
)


def test_machine_has_a_file_system_of_its_own():
    one, two = Fragile(), Fragile()
    one.pipe_file("/a", b"")
    assert not two.exists("/a")
    assert not fsspec.filesystem("memory").exists("/a")
