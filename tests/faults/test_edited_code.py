"""A killed run goes on after an edit of the package, unless the edit changes its work."""

import shutil
from collections import Counter

import pytest

from oracle.raw_files import dirty_transactions, write_raw
from support.fault_injection import (
    contents,
    run,
    slowed_run_of,
    start,
    strays,
    tables_in,
)
from support.kedro_project import ROOT

PARTITIONS = 40


@pytest.fixture
def package(tmp_path):
    """A copy of the package, that may be edited."""
    ignored = shutil.ignore_patterns("__pycache__")
    copy = tmp_path / "src" / "dask_etl"
    return shutil.copytree(ROOT / "src" / "dask_etl", copy, ignore=ignored)


def start_run(package, tmp_path, seconds):
    """Run the engine with the code of the copy; what is computed is logged anew."""
    log = tmp_path / "log"
    shutil.rmtree(log, ignore_errors=True)
    log.mkdir()
    folders = (tmp_path / "raw", tmp_path / "tables")
    return start(slowed_run_of, package, *folders, seconds, log)


def computed(tmp_path):
    """How many partitions the latest run has computed, by step."""
    return Counter(path.name.split("-")[0] for path in (tmp_path / "log").iterdir())


def kill_after(child, tmp_path, screened):
    """Kill a run when it has gone so far; returns how many partitions are finished."""
    child.wait_for(lambda: computed(tmp_path)["screen_partition"] >= screened)
    child.kill()
    receipts = tmp_path.glob("tables/clean_transactions/_scratch/*/stage-3-?????.arrow")
    return len(list(receipts))


def edit(file):
    with file.open("a") as opened:
        opened.write("\n# edited\n")


def test_only_edits_of_the_code_that_makes_the_tables_cost_the_work(tmp_path, package):
    write_raw(tmp_path / "raw", dirty_transactions(10 * PARTITIONS, 1), PARTITIONS)
    half = kill_after(start_run(package, tmp_path, 0.02), tmp_path, PARTITIONS // 2)
    assert PARTITIONS // 3 < half < PARTITIONS

    edit(package / "pipelines" / "reporting" / "style.py")
    more = kill_after(start_run(package, tmp_path, 0.02), tmp_path, PARTITIONS // 5)
    steps = computed(tmp_path)
    assert steps["survey_partition"] == 0
    assert steps["screen_partition"] <= PARTITIONS - half
    assert half < more < PARTITIONS

    edit(package / "retail" / "rules.py")
    assert start_run(package, tmp_path, 0).end() == 0
    all_again = {"survey_partition": PARTITIONS, "screen_partition": PARTITIONS}
    assert computed(tmp_path) == all_again

    datasets = tables_in(tmp_path / "tables")
    run(tmp_path / "raw", tmp_path / "undisturbed")
    assert contents(datasets) == contents(tables_in(tmp_path / "undisturbed"))
    assert strays(datasets) == []
