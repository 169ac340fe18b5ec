"""How far a computation is: counted when somebody asks, at no cost when nobody does."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Step:
    """Tasks of a computation that may run beside each other.

    Attributes:
        name: as Dask's dashboard shows it.
        unit: what a task does one of: partitions, or buckets of a merge.
        keys: of the tasks.
        rows: how many each task reads, where that is known; else none.
    """

    name: str
    unit: str
    keys: Sequence[Any]
    rows: Sequence[int] = ()


@dataclass(frozen=True)
class Progress:
    """How far the step is that a computation is at.

    Attributes:
        step: the step; ``number`` of ``steps`` of them.
        done: tasks that are done; ``rows`` is what they read.
        total: tasks there are, and ``total_rows`` in all; 0 if that is not known.
    """

    step: str
    unit: str
    number: int
    steps: int
    done: int
    total: int
    rows: int
    total_rows: int


class Computation:
    """Steps of a graph that is being computed.

    Args:
        steps: in the order in which they end.
        is_done: tells whether the task of a key is done.
    """

    def __init__(self, steps: Sequence[Step], is_done: Callable[[Any], bool]):
        self._steps = steps
        self._is_done = is_done
        self._at = 0
        self._left = self._tasks()

    def look(self) -> Progress | None:
        """Say how far the first step is that is not done; None if there is none."""
        while self._at < len(self._steps):
            self._left = [task for task in self._left if not self._is_done(task[0])]
            if self._left:
                return self._progress(self._steps[self._at])
            self._at += 1
            self._left = self._tasks()
        return None

    def _tasks(self) -> list[tuple[Any, int]]:
        if self._at >= len(self._steps):
            return []
        step = self._steps[self._at]
        return list(zip(step.keys, step.rows or [0] * len(step.keys), strict=True))

    def _progress(self, step: Step) -> Progress:
        total_rows = sum(step.rows)
        return Progress(
            step=step.name,
            unit=step.unit,
            number=self._at + 1,
            steps=len(self._steps),
            done=len(step.keys) - len(self._left),
            total=len(step.keys),
            rows=total_rows - sum(rows for _, rows in self._left),
            total_rows=total_rows,
        )


_running: list[Computation] = []


@contextlib.contextmanager
def running(computation: Computation) -> Iterator[None]:
    """Let a computation be found by :func:`computations` while it runs."""
    _running.append(computation)
    try:
        yield
    finally:
        _running.remove(computation)


def computations() -> tuple[Computation, ...]:
    """Return the computations that run in this process now."""
    return (*_running,)
