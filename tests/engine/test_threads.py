"""Without a cluster, tasks run on threads, in their order."""

import threading

import pytest
from dask.task_spec import Task, TaskRef

from dask_etl.engine.progress import Step, computations
from dask_etl.engine.threads import compute

TASKS = 40


def graph(work):
    """Two stages of tasks with a barrier between them."""
    tasks = {
        key: Task(key, work, number)
        for number in range(TASKS)
        for key in [("first", number)]
    }
    barrier = ("first", "done")
    tasks[barrier] = Task(barrier, lambda *_: None, *map(TaskRef, [*tasks]))
    for number in range(TASKS):
        key = ("second", number)
        tasks[key] = Task(key, lambda _, n: work(n), TaskRef(barrier), TASKS + number)
    return tasks, [[("second", number) for number in range(TASKS)]]


def test_tasks_begin_in_the_order_in_which_they_are_named():
    begun = []
    lock = threading.Lock()

    def work(number):
        with lock:
            begun.append(number)
        return number

    tasks, wanted = graph(work)
    assert compute(tasks, wanted, []) == [tuple(range(TASKS, 2 * TASKS))]
    # Two threads that are handed their tasks in order may begin in either.
    assert all(abs(number - place) <= 1 for place, number in enumerate(begun))


def test_the_computation_tells_how_far_it_is():
    seen = []

    def work(number):
        [computation] = computations()
        seen.append(computation.look())
        return number

    tasks, wanted = graph(work)
    steps = [
        Step(name, "partition", [(name, n) for n in range(TASKS)])
        for name in ("first", "second")
    ]
    compute(tasks, wanted, steps)
    assert {progress.step for progress in seen if progress} == {"first", "second"}
    done = [progress.done for progress in seen if progress and progress.step == "first"]
    assert done == sorted(done)
    assert max(done) >= TASKS - 3
    assert computations() == ()


def test_no_task_works_on_when_another_has_failed():
    """What it writes would come after the run has been given up."""
    begun, ended = threading.Event(), []

    def work(number):
        if number == 0:
            begun.wait(10)
            raise ZeroDivisionError
        begun.set()
        threading.Event().wait(0.2)
        ended.append(number)
        return number

    tasks, wanted = graph(work)
    with pytest.raises(ZeroDivisionError):
        compute(tasks, wanted, [])
    assert ended[:1] == [1]
    assert not [t for t in threading.enumerate() if t.name.startswith("task")]
