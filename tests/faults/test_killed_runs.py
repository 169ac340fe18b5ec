"""Kill whole runs: readers keep what they had, and the next run goes on from there."""

import random
import time
from collections import Counter
from datetime import timedelta

import psutil
import pytest
from kedro.io import DatasetError

from dask_etl.errors import StorageError
from oracle.raw_files import AS_OF, dirty_transactions, write_raw
from support.engine_runs import stored
from support.fault_injection import (
    contents,
    frames,
    held_run,
    plain_tables,
    publish_by_turns,
    publish_frames,
    run,
    run_on_cluster,
    slowed_run,
    start,
    strays,
    tables_in,
    without_hanging,
)

MOMENTS = 8
PARTITIONS = 24
"""Of the runs that are interrupted when more than half of them are finished."""
ALL_AGAIN = {"survey_partition": PARTITIONS, "screen_partition": PARTITIONS}


def raw_files(folder, partitions, seed):
    write_raw(folder, dirty_transactions(10 * partitions, seed), partitions)
    return folder


def computed(log):
    """How many partitions each step has computed, by step."""
    return Counter(path.name.split("-")[0] for path in log.iterdir())


@pytest.fixture
def log(tmp_path):
    folder = tmp_path / "log"
    folder.mkdir()
    return folder


def test_run_killed_at_any_moment_leaves_all_old_or_all_new_tables(tmp_path):
    raw = [raw_files(tmp_path / f"raw-{seed}", 15, seed) for seed in range(2)]
    folder = tmp_path / "tables"
    datasets = tables_in(folder)
    expected, spent = [], 0.0
    for source in raw:
        begun = time.monotonic()
        child = start(slowed_run, source, folder, 0.02)
        assert child.end() == 0
        spent = time.monotonic() - begun
        expected.append(contents(datasets))
    new = 0
    random.seed(7)
    for _ in range(MOMENTS):
        child = start(slowed_run, raw[new], folder, 0.02)
        time.sleep(random.uniform(0, spent))
        child.kill()
        assert contents(datasets) in expected

        run(raw[new], folder)
        assert contents(datasets) == expected[new]
        assert strays(datasets) == []
        new = 1 - new


@pytest.fixture
def interrupted(tmp_path, log):
    """A run that is killed when about 14 of 24 partitions are finished."""
    raw = raw_files(tmp_path / "raw", PARTITIONS, 1)
    run(raw_files(tmp_path / "other", 2, 2), tmp_path / "tables")
    child = start(slowed_run, raw, tmp_path / "tables", 0.03, log)
    child.wait_for(lambda: computed(log)["screen_partition"] >= 14)
    child.kill()
    for path in log.iterdir():
        path.unlink()
    return raw


def finished(folder):
    """The partitions that an interrupted run has receipts for, by stage."""
    receipts = folder.glob("clean_transactions/_scratch/*/stage-?-?????.arrow")
    return Counter(path.name.rpartition("-")[0] for path in receipts)


def undisturbed(tmp_path, raw, **options):
    run(raw, tmp_path / "undisturbed", **options)
    return contents(tables_in(tmp_path / "undisturbed"))


def resume(tmp_path, raw, log, **options):
    """Run again; returns how many partitions were computed, by step."""
    child = start(slowed_run, raw, tmp_path / "tables", 0, log, **options)
    assert child.end() == 0
    return computed(log)


def test_second_run_computes_only_what_the_killed_one_did_not_finish(
    tmp_path, log, interrupted
):
    done = finished(tmp_path / "tables")
    assert done["stage-0"] == PARTITIONS
    assert 12 <= done["stage-3"] < PARTITIONS
    steps = resume(tmp_path, interrupted, log)
    assert steps["survey_partition"] == 0
    assert steps["screen_partition"] == PARTITIONS - done["stage-3"]
    datasets = tables_in(tmp_path / "tables")
    assert contents(datasets) == undisturbed(tmp_path, interrupted)
    assert strays(datasets) == []


def test_run_killed_twice_goes_on_from_both(tmp_path, log, interrupted):
    first = finished(tmp_path / "tables")["stage-3"]
    child = start(slowed_run, interrupted, tmp_path / "tables", 0.05, log)
    child.wait_for(lambda: computed(log)["screen_partition"] >= 4)
    child.kill()
    done = finished(tmp_path / "tables")["stage-3"]
    assert done > first
    for path in log.iterdir():
        path.unlink()
    steps = resume(tmp_path, interrupted, log)
    assert steps["screen_partition"] == PARTITIONS - done
    datasets = tables_in(tmp_path / "tables")
    assert contents(datasets) == undisturbed(tmp_path, interrupted)


def test_resume_false_computes_all_again(tmp_path, log, interrupted):
    steps = resume(tmp_path, interrupted, log, resume=False)
    assert steps == ALL_AGAIN
    datasets = tables_in(tmp_path / "tables")
    assert contents(datasets) == undisturbed(tmp_path, interrupted)
    assert strays(datasets) == []


def test_other_parameters_compute_all_again(tmp_path, log, interrupted):
    as_of = AS_OF - timedelta(days=400)
    steps = resume(tmp_path, interrupted, log, as_of=as_of)
    assert steps == ALL_AGAIN
    datasets = tables_in(tmp_path / "tables")
    assert contents(datasets) == undisturbed(tmp_path, interrupted, as_of=as_of)


def test_other_input_computes_all_again(tmp_path, log, interrupted):
    write_raw(interrupted, dirty_transactions(10 * PARTITIONS, 3), PARTITIONS)
    steps = resume(tmp_path, interrupted, log)
    assert steps == ALL_AGAIN
    datasets = tables_in(tmp_path / "tables")
    assert contents(datasets) == undisturbed(tmp_path, interrupted)


@pytest.fixture(scope="module")
def ten_partitions(tmp_path_factory):
    """Raw files, and what an undisturbed run makes of them."""
    folder = tmp_path_factory.mktemp("ten")
    raw = raw_files(folder / "raw", 10, 1)
    return raw, undisturbed(folder, raw)


def spoil(path, how):
    content = path.read_bytes()
    if how == "flipped":
        middle = len(content) // 2
        content = (
            content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
        )
    path.write_bytes({"empty": b"", "cut": content[:-9]}.get(how, content))
    if how == "gone":
        path.unlink()


@pytest.mark.parametrize(
    ("what", "how"),
    [
        ("clean_transactions/part-*.parquet", "flipped"),
        ("clean_transactions/part-*.parquet", "cut"),
        ("rejected_transactions/part-*.parquet", "gone"),
        ("clean_transactions/_scratch/*/stage-3-?????.arrow", "flipped"),
        ("clean_transactions/_scratch/*/stage-3-?????.arrow", "empty"),
        ("clean_transactions/_scratch/*/stage-3-?????.arrow", "gone"),
        ("clean_transactions/_scratch/*/stage-0-?????.arrow", "cut"),
        ("clean_transactions/_scratch/*/stage-0-keys-merged-?????.arrow", "cut"),
        ("clean_transactions/_scratch/*/attempt.json", "flipped"),
        ("clean_transactions/_scratch/*/attempt.json", "gone"),
    ],
)
def test_damaged_work_of_a_killed_run_is_done_again(
    tmp_path, log, ten_partitions, what, how
):
    raw, expected = ten_partitions
    folder = tmp_path / "tables"
    child = start(slowed_run, raw, folder, 0.02, log)
    child.wait_for(lambda: finished(folder)["stage-3"] >= 3)
    child.kill()
    assert not any(dataset.exists() for dataset in tables_in(folder).values())
    done = {path.stem for path in folder.glob("clean_transactions/_scratch/*/*.arrow")}
    damaged = sorted(
        path
        for path in folder.glob(what)
        if path.suffix != ".parquet" or f"stage-3-{path.name[5:10]}" in done
    )[0]
    spoil(damaged, how)

    run(raw, folder)
    datasets = tables_in(folder)
    assert contents(datasets) == expected
    assert strays(datasets) == []


def test_second_writer_fails_fast_and_the_first_one_goes_on(tmp_path, ten_partitions):
    raw, expected = ten_partitions
    folder = tmp_path / "tables"
    first = start(held_run, raw, folder, tmp_path / "gate")
    first.wait_for(lambda: finished(folder)["stage-0"])
    refused = without_hanging(run, raw, folder)
    assert isinstance(refused, StorageError)
    assert "another run is writing this table" in str(refused)
    (tmp_path / "gate").touch()
    assert first.end() == 0
    assert contents(tables_in(folder)) == expected


def test_of_two_writers_one_wins(tmp_path):
    children = [
        start(publish_by_turns, tmp_path, iter(range(seed, seed + 5)), 0)
        for seed in (0, 10)
    ]
    codes = sorted(child.end() for child in children)
    assert codes[0] == 0
    assert contents(plain_tables(tmp_path))
    assert strays(plain_tables(tmp_path)) == []


def test_lock_of_a_killed_writer_is_free(tmp_path, ten_partitions):
    raw, expected = ten_partitions
    folder = tmp_path / "tables"
    child = start(held_run, raw, folder, tmp_path / "gate")
    child.wait_for(lambda: finished(folder)["stage-0"])
    child.kill()
    run(raw, folder)
    assert contents(tables_in(folder)) == expected


def test_readers_never_see_a_mix_while_versions_come_and_go(tmp_path):
    publish_frames(tmp_path, 0)
    known = [
        frame["number"].to_list()
        for seed in range(16)
        for frame in frames(seed).values()
    ]
    child = start(publish_by_turns, tmp_path, iter(range(1, 16)), 0.02)
    seen, taken_away = set(), 0
    while child.process.is_alive():
        for dataset in plain_tables(tmp_path).values():
            try:
                found = dataset.load()["number"].to_list()
            except DatasetError:
                # keep_versions is 1 here: the version was taken away while being read.
                taken_away += 1
                continue
            seen.add(known.index(found))
    assert child.end() == 0
    assert len(seen) > max(3, taken_away)


def test_main_process_killed_beside_its_workers(tmp_path):
    """The workers end by themselves, and hold no lock."""
    raw = raw_files(tmp_path / "raw", 8, 1)
    folder = tmp_path / "tables"
    run(raw_files(tmp_path / "other", 2, 2), folder)
    before = contents(tables_in(folder))
    pids = tmp_path / "pids"
    child = start(run_on_cluster, raw, folder, pids)
    child.wait_for(lambda: finished(folder)["stage-3"])
    child.kill()
    workers = [int(pid) for pid in pids.read_text().split()]
    assert len(workers) >= 2
    assert contents(tables_in(folder)) == before
    run(raw, folder)
    assert contents(tables_in(folder)) == undisturbed(tmp_path, raw)
    give_up = time.monotonic() + 60
    while any(is_running(pid) for pid in workers):
        assert time.monotonic() < give_up
        time.sleep(0.1)
    assert stored(tables_in(folder)["customers"]).num_rows


def is_running(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
