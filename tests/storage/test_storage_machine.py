"""The storage under any interleaving of writers, deaths and readers."""

import contextlib
import os
import shutil
import sys
import tempfile
from pathlib import Path

import deltalake
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
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
from dask_etl.storage.commit import commit
from dask_etl.storage.delta import Content, Log
from dask_etl.storage.session import Session
from support.delta_tables import (
    SCHEMA,
    files,
    needed,
    parts_of,
    read,
    save,
    table_store,
)

TABLES = ("x", "y", "z")
KEEP = 2


class Crash(BaseException):
    """The process is gone: no handler of errors sees this."""


class Life:
    """How many changes to files the process makes before it dies."""

    left: int | None = None

    @classmethod
    def use(cls) -> None:
        if cls.left is not None:
            if cls.left == 0:
                raise Crash
            cls.left -= 1


def _hook(event, arguments):
    if Life.left is None:
        return
    if event == "open":
        flags = arguments[2]
        if isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR):
            Life.use()
    elif event in ("os.rename", "os.remove", "os.rmdir", "os.mkdir"):
        Life.use()


@pytest.fixture(scope="module", autouse=True)
def mortal():
    """Every change to a file is one that the process can die before."""
    # A hook of Python's stays for good; without a count of changes it does nothing.
    sys.addaudithook(_hook)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("overwrite", "replace", "restore", "checkpoint"):
            patch.setattr(Log, name, _mortal(getattr(Log, name)))
        yield


def _mortal(act):
    def dies(*arguments):
        # The library's own change is atomic: it was made, or not.
        Life.use()
        result = act(*arguments)
        Life.use()
        return result

    return dies


class Storage(RuleBasedStateMachine):
    """A model of several tables: what each has shown to readers, in order."""

    held = Bundle("held")

    @initialize()
    def begin(self):
        self.folder = Path(tempfile.mkdtemp())
        self.count = 0
        self.history = {name: [] for name in TABLES}
        self.leftovers = []

    def table(self, name):
        return table_store(self.folder, name, KEEP)

    def stage(self, store, kind, numbers):
        attempt = store.begin(f"run {self.count}", f"{self.count:08x}")
        parts = tuple(parts_of(attempt, numbers, attempt.next_number))
        if kind == "overwrite" or attempt.base is None:
            return attempt.overwrite(Content(SCHEMA, parts))
        old = attempt.head.content.parts[: len(attempt.head.content.parts) // 2]
        names = [part.name for part in old] if kind == "replace" else []
        return attempt.replace(names, parts)

    def wanted(self, name, kind, numbers):
        before = self.history[name][-1] if self.history[name] else []
        if kind == "overwrite" or not self.history[name]:
            return numbers
        return before[len(before) // 2 if kind == "replace" else 0 :] + numbers

    def live(self, act, dies_at):
        """Do something that the process may die of; tells whether it did."""
        Life.left = dies_at
        try:
            act()
        except Crash:
            return True
        finally:
            Life.left = None
        return False

    @rule(
        names=st.sets(st.sampled_from(TABLES), min_size=1).map(sorted),
        kind=st.sampled_from(["overwrite", "append", "replace"]),
        parts=st.integers(0, 3),
        dies_at=st.none() | st.integers(0, 40),
    )
    def write(self, names, kind, parts, dies_at):
        self.count += 1
        numbers = [self.count * 10 + part for part in range(parts)]
        wanted = {name: self.wanted(name, kind, numbers) for name in names}
        before = {name: read(self.table(name)) for name in names}
        stores = [self.table(name) for name in names]

        def run():
            for store in stores:
                store.acquire()
            commit([self.stage(store, kind, numbers) for store in stores])

        died = self.live(run, dies_at)
        for store in stores:
            store.free()
        found = {name: read(self.table(name)) for name in names}
        assert found in (before, wanted), "some tables changed, some did not"
        assert died or found == wanted
        release = self.table(names[0]).release.read()
        committed = f"run {self.count}" in {e.run_id for e in release.events.values()}
        for name in names:
            if committed:
                self.history[name].append(wanted[name])

    @rule(target=held, name=st.sampled_from(TABLES))
    def hold(self, name):
        """A session finds out what to read, and reads it later."""
        if not self.history[name]:
            return multiple()
        store = self.table(name)
        content = Session(store.release).content(store)
        return name, content, len(self.history[name])

    @rule(reader=held)
    def read_later(self, reader):
        """The parts stay for as long as fewer than KEEP others were committed."""
        name, content, then = reader
        if len(self.history[name]) - then < KEEP:
            root = self.folder / name
            found = [pq.read_table(root / part.name) for part in content.parts]
            numbers = [n for table in found for n in table["number"].to_pylist()]
            assert numbers == self.history[name][then - 1]

    @rule(name=st.sampled_from(TABLES))
    def second_writer(self, name):
        first, second = self.table(name), self.table(name)
        first.acquire()
        with pytest.raises(StorageError, match="another run"):
            second.acquire()
        first.free()

    @invariant()
    def readers_get_the_last_commit(self):
        for name in TABLES:
            store = self.table(name)
            shown = self.history[name][::-1][:KEEP]
            versions = store.release.read().tables.get(name, ())
            assert [read(store, version.version) for version in versions] == shown

    @invariant()
    def everybody_else_gets_whole_tables(self):
        for name in TABLES:
            path = self.folder / name
            if (path / "_delta_log").exists():
                table = deltalake.DeltaTable(str(path)).to_pyarrow_table()
                assert isinstance(table, pa.Table)

    def teardown(self):
        """One undisturbed run over all tables leaves no strays."""
        with contextlib.suppress(AttributeError):
            self.write(list(TABLES), "overwrite", 1, None)
            for name in TABLES:
                store = self.table(name)
                assert files(store) == needed(store)
                assert read(store) == self.history[name][-1]
            shutil.rmtree(self.folder)


TestStorage = Storage.TestCase
TestStorage.settings = settings(
    max_examples=12, stateful_step_count=12, derandomize=True, deadline=None
)


def test_process_can_die_of_any_change(tmp_path):
    """The machine's deaths are real ones: each is reached, and the last is not."""
    outcomes = []
    for number in range(100):
        folder = tmp_path / str(number)
        save(table_store(folder, keep=1), [0])
        Life.left = number
        try:
            save(table_store(folder, keep=1), [1])
        except Crash:
            outcomes.append(read_after(folder))
        else:
            break
        finally:
            Life.left = None
    assert outcomes == sorted(outcomes)
    assert {0, 1} == {*outcomes}
    assert 8 < number < 30


def read_after(folder):
    Life.left = None
    [number] = read(table_store(folder))
    return number
