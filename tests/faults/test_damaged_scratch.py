"""What partitions tell each other is damaged on its way: never a wrong table."""

import os
import pickle
import threading

import pytest

from dask_etl.engine import execution
from dask_etl.engine.scratch import DamagedScratch, Scratch
from dask_etl.engine.tasks import Merge, Stage
from dask_etl.errors import StorageError
from oracle.raw_files import dirty_transactions, write_raw
from support.engine_runs import cluster, plain, raw_dataset, run_dask
from support.fault_injection import contents, run, strays, tables_in


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    folder = tmp_path_factory.mktemp("raw")
    write_raw(folder, dirty_transactions(400, 5), 4)
    return folder


@pytest.fixture(scope="module")
def undisturbed(raw, tmp_path_factory):
    return run_dask(raw_dataset(raw, 100).load(), tmp_path_factory.mktemp("tables"))


def raw_files(folder, files):
    write_raw(folder, dirty_transactions(10 * files, 1), files)
    return folder


def flip(content: bytes, position: int) -> bytes:
    changed = bytearray(content)
    changed[position] ^= 1
    return bytes(changed)


DAMAGES = {
    "header": lambda content: flip(content, 1),
    "high bit of a length": lambda content: flip(content, 14),
    "checksum": lambda content: flip(content, 20),
    "first table": lambda content: flip(content, 300),
    "half": lambda content: content[: len(content) // 2],
    "empty": lambda _: b"",
}


ENDS = {
    "last byte": lambda content: flip(content, len(content) - 1),
    "length of the receipt": lambda content: flip(content, len(content) - 8),
    "receipt": lambda content: flip(content, len(content) - 60),
    "cut": lambda content: content[:-9],
}
"""What only a later run reads."""


def spoil_once(monkeypatch, folder, damage, pattern):
    """Damage one file between its writing and its reading, once in a run."""
    spoiled: list = []
    one_at_a_time = threading.Lock()

    def spoil(self):
        found = sorted((folder / "clean_transactions").glob(f"_scratch/*/{pattern}"))
        with one_at_a_time:
            if found and not spoiled:
                found[0].write_bytes(damage(found[0].read_bytes()))
                spoiled.append(found[0])

    for task in (Merge, Stage):
        monkeypatch.setattr(task, "run", before(task.run, spoil))
    return spoiled


def before(method, action):
    def wrapped(self, *arguments):
        action(self)
        return method(self, *arguments)

    return wrapped


@pytest.mark.parametrize(
    ("pattern", "damage"),
    [
        *(("stage-3-00001.arrow", damage) for damage in DAMAGES),
        ("stage-0-00000.arrow", "first table"),
        ("stage-0-keys-merged-00000.arrow", "half"),
        ("stage-3-00003.arrow", "empty"),
    ],
)
def test_what_is_damaged_before_it_is_read_is_made_again(
    raw, undisturbed, tmp_path, monkeypatch, pattern, damage
):
    monkeypatch.setattr("dask_etl.engine.deduplicate.ROWS_PER_BUCKET", 100)
    spoiled = spoil_once(monkeypatch, tmp_path, DAMAGES[damage], pattern)
    tables = run_dask(raw_dataset(raw, 100).load(), tmp_path)
    assert spoiled
    for name, expected in undisturbed.items():
        keys = ["customer_id"] * (name == "customers")
        assert plain(tables[name], *keys).equals(plain(expected, *keys)), name


def test_what_is_damaged_every_time_ends_the_run_and_the_next_one_goes_on(
    tmp_path, monkeypatch
):
    raw = raw_files(tmp_path / "raw", 4)
    folder = tmp_path / "tables"
    write = Scratch.write

    def damaged(self, name, tables, note={}):  # noqa: B006  (never changed)
        written = write(self, name, tables, note)
        if name == "stage-3-00002.arrow":
            with open(self.location.file(name), "r+b") as file:
                file.write(b"\0")
        return written

    with cluster(n_workers=1, threads_per_worker=2):
        monkeypatch.setattr(Scratch, "write", damaged)
        with pytest.raises(
            StorageError, match=r"stage-3-00002\.arrow.*damaged.*Run\s+again"
        ):
            run(raw, folder)
    monkeypatch.undo()
    assert not any(dataset.exists() for dataset in tables_in(folder).values())
    run(raw, folder)
    run(raw, tmp_path / "others")
    assert contents(tables_in(folder)) == contents(tables_in(tmp_path / "others"))


def test_a_run_resumed_over_any_damaged_file_does_it_again(tmp_path, monkeypatch):
    """Every file in turn: receipts and partial results, cut, flipped, empty, gone."""
    raw = raw_files(tmp_path / "raw", 3)
    run(raw, tmp_path / "undisturbed")
    expected = contents(tables_in(tmp_path / "undisturbed"))
    folder = tmp_path / "tables"
    home = folder / "clean_transactions" / "_scratch"

    def broken_off():
        with monkeypatch.context() as patch:
            patch.setattr("dask_etl.datasets.publish.commit", lambda staged: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                run(raw, folder)

    broken_off()
    names = sorted(path.name for path in home.glob("*/*"))
    assert {"attempt.json", "stage-0-00000.arrow"} < set(names)
    assert len(names) == 8
    hows = [*DAMAGES.values(), *ENDS.values()]
    for number, name in enumerate(3 * names):
        [path] = home.glob(f"*/{name}")
        path.write_bytes(hows[number % len(hows)](path.read_bytes()))
        broken_off()
    [path] = home.glob("*/stage-0-00001.arrow")
    path.unlink()
    run(raw, folder)
    assert contents(tables_in(folder)) == expected
    assert strays(tables_in(folder)) == []


def test_a_link_in_the_place_of_an_attempt_leads_nowhere(tmp_path, monkeypatch):
    raw = raw_files(tmp_path / "raw", 2)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for name in ("attempt.json", "stage-0-00000.arrow", "mine.txt"):
        (elsewhere / name).write_text("kept")
    home = tmp_path / "tables" / "clean_transactions" / "_scratch"
    home.mkdir(parents=True)
    names = ["0123456789abcdef"]
    # Also under the very name that the run's own attempt will have.
    fingerprint = "dask_etl.datasets.publish.fingerprint"
    monkeypatch.setattr(fingerprint, lambda lazies: "fedcba9876543210")
    names.append("fedcba9876543210")
    for name in names:
        os.symlink(elsewhere, home / name)
    run(raw, tmp_path / "tables")
    assert {
        path.name: path.read_text() for path in elsewhere.iterdir()
    } == dict.fromkeys(("attempt.json", "stage-0-00000.arrow", "mine.txt"), "kept")
    assert not home.exists()


def test_a_link_in_the_place_of_scratch_itself_is_refused(tmp_path):
    raw = raw_files(tmp_path / "raw", 2)
    attempt = tmp_path / "elsewhere" / "0123456789abcdef"
    attempt.mkdir(parents=True)
    (attempt / "attempt.json").write_text("kept")
    table = tmp_path / "tables" / "clean_transactions"
    table.mkdir(parents=True)
    os.symlink(attempt.parent, table / "_scratch")
    with pytest.raises(StorageError, match=r"_scratch: is a symbolic link"):
        run(raw, tmp_path / "tables")
    assert (attempt / "attempt.json").read_text() == "kept"


def test_repairs_are_bounded():
    """A disk that damages everything is not written to for ever."""
    tries = []

    def fail(outputs, scratch):
        tries.append(1)
        raise DamagedScratch("damaged")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(execution, "_execute", fail)
        with pytest.raises(DamagedScratch):
            execution.execute({}, Scratch(None))
    assert len(tries) == 3


def test_the_error_comes_whole_from_another_process():
    error = pickle.loads(pickle.dumps(DamagedScratch("which file, and what to do")))
    assert isinstance(error, DamagedScratch)
    assert str(error) == "which file, and what to do"
