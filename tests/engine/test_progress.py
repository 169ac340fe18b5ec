"""Computations tell how far they are, by the steps that Dask's dashboard shows."""

import threading

import fsspec
import pyarrow as pa
import pytest
from dask.utils import key_split

from dask_etl.engine.execution import Graph, execute
from dask_etl.engine.partitions import Partitions
from dask_etl.engine.progress import Computation, Step, computations
from dask_etl.engine.scratch import Scratch
from dask_etl.storage.location import Location
from dask_etl.storage.parts import PartWriter
from oracle.raw_files import dirty_transactions, write_raw
from support.engine_runs import cluster, lazy_tables, raw_dataset

SHOWN = 12
"""Characters of a task's name that the dashboard shows."""


def test_steps_are_counted_one_after_the_other():
    done = set()
    steps = [
        Step("first", "partition", ["a", "b", "c"], [10, 20, 30]),
        Step("second", "bucket", ["d"]),
    ]
    computation = Computation(steps, done.__contains__)

    def seen():
        found = computation.look()
        return found and (found.step, found.done, found.total, found.rows)

    assert seen() == ("first", 0, 3, 0)
    done.add("b")
    assert seen() == ("first", 1, 3, 20)
    # What is done of later steps does not count before it is their turn.
    done |= {"a", "d"}
    assert seen() == ("first", 2, 3, 30)
    assert computation.look().total_rows == 60
    done.add("c")
    assert seen() is None


def test_a_later_step_says_which_it_is():
    computation = Computation(
        [Step("one", "partition", ["a"]), Step("two", "bucket", ["b"])], "a".__eq__
    )
    found = computation.look()
    assert (found.step, found.number, found.steps, found.unit) == (
        "two",
        2,
        2,
        "bucket",
    )
    assert (found.rows, found.total_rows) == (0, 0)


HELD = threading.Event()
REACHED = threading.Semaphore(0)
STARTED: list[int] = []


def hold(number):
    """Make a partition; all but the first two wait until they are let go."""
    STARTED.append(number)
    if number not in STARTED[:2]:
        REACHED.release()
        assert HELD.wait(30)
    return {"rows": pa.table({"n": [number]})}


@pytest.mark.parametrize("workers", [True, False])
def test_a_run_can_be_watched_while_it_goes_on(tmp_path, workers):
    """On a cluster and on plain threads; afterwards there is nothing to watch."""
    HELD.clear()
    STARTED.clear()
    filesystem = fsspec.filesystem("file")
    for name in ("out", "scratch"):
        (tmp_path / name).mkdir()
    lazy = Partitions(range(4), hold, name="made", rows=4).parts(
        "rows", pa.schema({"n": pa.int64()})
    )
    writer = PartWriter(filesystem, str(tmp_path / "out"), "0" * 8)
    scratch = Scratch(Location(filesystem, str(tmp_path / "scratch")))
    results = []

    def run():
        results.append(execute({lazy: writer}, scratch))

    def watch():
        thread = threading.Thread(target=run)
        thread.start()
        for _ in range(2):
            assert REACHED.acquire(timeout=30)
        [computation] = computations()
        # The client hears of what is done a moment later.
        for _ in range(200):
            found = computation.look()
            if found.done == 2:
                break
            threading.Event().wait(0.05)
        HELD.set()
        thread.join(30)
        return found

    if workers:
        with cluster(n_workers=1, threads_per_worker=2):
            found = watch()
    else:
        found = watch()
    assert (found.step, found.done, found.total) == ("made", 2, 4)
    assert (found.rows, found.total_rows) == (2, 4)
    assert computations() == ()
    assert [part.rows for part in results[0][lazy]] == [1] * 4


def test_tasks_have_the_names_of_their_steps(tmp_path):
    """Dask groups and colours tasks by these, and shows their first characters."""
    write_raw(tmp_path / "raw", dirty_transactions(300, 1), 5)
    frame = raw_dataset(tmp_path / "raw", 60).load()
    writer = PartWriter(fsspec.filesystem("file"), str(tmp_path / "out"), "0" * 8)
    scratch = Scratch(Location(writer.filesystem, str(tmp_path / "scratch")))
    graph = Graph(dict.fromkeys(lazy_tables(frame), writer), scratch)
    graph.build()
    names = {key_split(key) for key in graph.tasks}
    assert names == {
        "survey",
        "merge_keys",
        "merge_extent",
        "pass",
        "merge_ledger",
        "merge_cube",
        "customers",
    }
    assert max(map(len, names)) <= SHOWN
    assert {step.name for step in graph.steps()} == names
    survey = graph.steps()[0]
    assert (survey.name, survey.rows) == ("survey", [60] * 5)


def test_steps_of_one_name_are_told_apart(tmp_path):
    first = Partitions(range(2), hold, name="pass")
    second = Partitions(range(3), hold, name="pass")
    schema = pa.schema({"n": pa.int64()})
    lazies = [first.parts("one", schema), second.parts("two", schema)]
    writer = PartWriter(fsspec.filesystem("file"), str(tmp_path / "out"), "0" * 8)
    scratch = Scratch(Location(writer.filesystem, str(tmp_path / "scratch")))
    graph = Graph(dict.fromkeys(lazies, writer), scratch)
    graph.build()
    assert [step.name for step in graph.steps()] == ["pass", "pass-2"]
    assert {key_split(key) for key in graph.tasks} == {"pass"}


@pytest.mark.parametrize(
    ("rows", "partitions", "each"),
    [(25, 3, [9, 9, 7]), (4, 4, [1] * 4), (0, 1, []), (7, 1, [7])],
)
def test_rows_that_are_yet_to_be_made_are_shared_out(rows, partitions, each):
    assert Partitions(range(partitions), hold, rows=rows).rows_each() == each
