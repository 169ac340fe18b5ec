"""Compute a graph on threads of this process, by Dask's threaded scheduler."""

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import dask.threaded
from dask.callbacks import Callback
from dask.system import CPU_COUNT

from dask_etl.engine.progress import Computation, Step, running


def compute(tasks: Mapping, keys: list, steps: Sequence[Step]) -> list:
    """Compute the keys of a graph, its tasks in the order in which they are named.

    Args:
        tasks: of the graph.
        keys: those wanted, in lists.
        steps: of the graph, to tell how far it is.
    """
    watched = InOrder(tasks)
    # A pool of its own: when a task fails, those beside it have ended, and write no
    # more, before anybody hears of it.
    with (
        ThreadPoolExecutor(CPU_COUNT, "task") as pool,
        watched,
        running(Computation(steps, watched.done.__contains__)),
    ):
        return list(dask.threaded.get(tasks, keys, pool=pool))


class InOrder(Callback):
    """Has the scheduler take the tasks in the order in which they are named.

    Its own order jumps between partitions; files are read from front to back, and so
    are the slices of a large row group, which cannot be entered in the middle.

    Attributes:
        done: the keys of the tasks that have ended.
    """

    def __init__(self, keys: Iterable):
        super().__init__()
        self.done: set = set()
        self._place = {key: number for number, key in enumerate(keys)}
        self._sorted = 0

    def _start_state(self, dsk: Mapping, state: Mapping[str, Any]) -> None:
        self._sort(state)

    def _pretask(self, key: Any, dsk: Mapping, state: Mapping[str, Any]) -> None:
        self._sorted -= 1

    def _posttask(
        self, key: Any, result: Any, dsk: Mapping, state: Mapping[str, Any], worker: Any
    ) -> None:
        self.done.add(key)
        if len(state["ready"]) > self._sorted:
            self._sort(state)

    def _sort(self, state: Mapping[str, Any]) -> None:
        # The scheduler takes the last one that is ready.
        state["ready"].sort(key=self._place.__getitem__, reverse=True)
        self._sorted = len(state["ready"])
