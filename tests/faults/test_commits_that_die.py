"""Kill the process at every single change to the file system that a commit makes."""

import json
import random

import pyarrow as pa
import pytest

from oracle.raw_files import dirty_transactions, write_raw
from support.fault_injection import (
    contents,
    count_file_operations,
    die_at_file_operation,
    frames,
    plain_tables,
    publish_frames,
    run,
    start,
    strays,
    tables_in,
)


def numbers(folder):
    """What readers get of every table now."""
    return {
        name: dataset.load()["number"].to_list()
        for name, dataset in plain_tables(folder).items()
    }


def wanted(seed):
    return {name: frame["number"].to_list() for name, frame in frames(seed).items()}


def operations(report, function, *arguments):
    assert start(count_file_operations, report, function, *arguments).end() == 0
    return json.loads(report.read_text())


def test_tables_change_together_whatever_operation_of_a_publish_dies(tmp_path):
    folder = tmp_path / "tables"
    publish_frames(folder, 0)
    total = operations(tmp_path / "report", publish_frames, folder, 1)
    assert len(total) > 30
    seed = 1
    outcomes = set()
    for number in range(len(total)):
        before, after = wanted(seed), wanted(seed + 1)
        child = start(die_at_file_operation, number, publish_frames, folder, seed + 1)
        assert child.end() == -9, total[number]

        found = numbers(folder)
        assert found in (before, after), total[number]
        outcomes.add(found == after)

        publish_frames(folder, seed + 2)
        assert numbers(folder) == wanted(seed + 2)
        assert strays(plain_tables(folder)) == []
        seed += 2
    assert outcomes == {False, True}


def save_number(folder, number):
    plain_tables(folder / "tables")["one"].save(pa.table({"number": [number]}))


def test_one_table_is_there_whatever_operation_of_its_save_dies(tmp_path):
    save_number(tmp_path, 0)
    total = operations(tmp_path / "report", save_number, tmp_path, 1)
    last = 1
    for number, name in enumerate(total):
        assert start(die_at_file_operation, number, save_number, tmp_path, 99).end()
        [found] = plain_tables(tmp_path / "tables")["one"].load()["number"]
        assert found in (last, 99), name
        last = number
        save_number(tmp_path, last)
        assert strays({"one": plain_tables(tmp_path / "tables")["one"]}) == []


def test_only_one_of_the_tables_is_written_after_a_death(tmp_path):
    """What was released stands, and what was not does not, whichever comes next."""
    folder = tmp_path / "tables"
    publish_frames(folder, 0)
    publish_frames(folder, 1)
    total = operations(tmp_path / "report", publish_frames, folder, 2)
    first = total.index("before overwrite")
    for seed, number in enumerate(range(first, len(total)), start=2):
        start(die_at_file_operation, number, publish_frames, folder, seed + 1).end()
        found = numbers(folder)
        assert found in (wanted(seed), wanted(seed + 1)), total[number]

        # Another node writes one of them alone, each time another one.
        name = ("one", "two", "three")[number % 3]
        plain_tables(folder)[name].save(pa.table({"number": [number]}))
        assert numbers(folder) == found | {name: [number]}
        publish_frames(folder, seed + 1)
        assert strays(plain_tables(folder)) == []


@pytest.fixture
def raw(tmp_path):
    """Two folders of raw files, three partitions each."""
    folders = [tmp_path / "raw-a", tmp_path / "raw-b"]
    for seed, folder in enumerate(folders):
        write_raw(folder, dirty_transactions(30, seed), 3)
    return folders


def test_engine_tables_change_together_wherever_the_engine_dies(tmp_path, raw):
    folder = tmp_path / "tables"
    datasets = tables_in(folder, keep_versions=1)
    expected = []
    for source in reversed(raw):
        run(source, folder)
        expected.insert(0, contents(datasets))
    total = operations(tmp_path / "report", run, raw[1], folder)
    run(raw[0], folder)

    random.seed(4)
    begun = next(n for n, name in enumerate(total) if name == "before overwrite")
    chosen = [
        *sorted(random.sample(range(begun), 6)),
        *sorted(random.sample(range(begun, len(total)), 10)),
    ]
    new = 1
    for number in chosen:
        child = start(die_at_file_operation, number, run, raw[new], folder)
        assert child.end() == -9, total[number]
        found = contents(datasets)
        assert found in expected, total[number]

        run(raw[new], folder)
        assert contents(datasets) == expected[new], total[number]
        assert strays(datasets) == []
        new = 1 - new
