"""Tasks for workers elsewhere: they carry the digest of the code that they mean.

A function travels by its name, and does what the code of that name does where it
arrives. Each task therefore compares first (:func:`remote_code.perform`), also on a
worker that joined after the others had been looked at. What a task needs is pickled
within it, so that the package being absent is the task's error, not the end of the
worker that cannot read the message.
"""

import functools
import operator
import pickle
from collections.abc import Collection, Mapping
from typing import Any

from dask.task_spec import DataNode, Task, TaskRef

from dask_etl.engine.blocks import Gather, Spread
from dask_etl.engine.fingerprint import code_of
from dask_etl.engine.remote_code import as_code, collect, perform
from dask_etl.engine.tasks import Merge, Stage

WORK = (Stage.run, Merge.run, Gather.run, Spread.run)
"""What tasks do that are sealed; others belong to Dask."""


def seal(tasks: Mapping, modules: Collection[str]) -> dict:
    """Make tasks that compare the code before they work, out of such that do not.

    Args:
        tasks: a graph, as :class:`dask_etl.engine.execution.Graph` builds it.
        modules: whose code makes the results.

    Returns:
        The same graph, by the same keys.
    """
    import cloudpickle  # noqa: PLC0415  (start-up)

    # What was typed into a session travels as code.
    names = tuple(sorted({*modules} - {"__main__"}))
    code = code_of(names)
    with as_code():
        collecting = cloudpickle.dumps(collect)
    sealed = {}
    for key, task in tasks.items():
        if isinstance(task, DataNode) and isinstance(
            task.value, (Stage, Merge, Gather, Spread)
        ):
            work = functools.partial(
                perform, cloudpickle.dumps(task.value), names, code
            )
            with as_code():
                sealed[key] = Task(key, pickle.loads, cloudpickle.dumps(work))
        elif isinstance(task, Task) and task.func in WORK:
            work, number, *rest = task.args
            sealed[key] = Task(key, operator.call, work, number, *map(_packed, rest))
        elif isinstance(task, Task) and task.func is collect:
            opened_there = Task(None, pickle.loads, collecting)
            sealed[key] = Task(key, operator.call, opened_there, *task.args)
        else:
            sealed[key] = task
    return sealed


def _packed(argument: Any) -> Any:
    """Pickle an argument, unless it is what another task returns."""
    return argument if isinstance(argument, TaskRef) else pickle.dumps(argument)


@functools.lru_cache(maxsize=64)
def code_here(modules: tuple[str, ...]) -> str:
    """Return the digest of the code of the modules, as this process has it."""
    return code_of(modules)


@functools.lru_cache(maxsize=16)
def opened(work: bytes) -> Any:
    """Return what was pickled; what the tasks of a stage share is kept."""
    return pickle.loads(work)
