"""How far a run is, told while it runs."""

from __future__ import annotations

import atexit
import threading
import time
from dataclasses import dataclass

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node

from dask_etl.engine.progress import Computation, Progress, computations
from dask_etl.hooks.displays import Display, calm_notebook, display
from dask_etl.hooks.monitor import ProcessTree
from dask_etl.wording import counted, duration, number

PROGRESS = "progress"
"""The parameter: false for a run that says nothing but warnings."""

TICK = 0.5
"""Seconds between two looks."""


class ProgressHooks:
    """Tells the node, its partitions and rows, the memory, and the time that is left.

    A thread of its own looks a few times a second at what is there anyway: the nodes
    do not know of it.
    """

    def __init__(self) -> None:
        self._wanted = True
        self._watch: _Watch | None = None

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Read whether anybody wants to know."""
        calm_notebook()
        self._wanted = context.config_loader["parameters"].get(PROGRESS, True)

    @hook_impl
    def before_pipeline_run(self, pipeline: Pipeline) -> None:
        """Begin to watch."""
        # Ctrl-C ends a run without telling hooks; a notebook goes on.
        self._stop()
        if self._wanted:
            self._watch = _Watch(len(pipeline.nodes))
            atexit.register(self._stop)

    @hook_impl
    def before_dataset_loaded(self, node: Node) -> None:
        """Note the node whose turn it is."""
        self.before_node_run(node)

    @hook_impl
    def before_node_run(self, node: Node) -> None:
        """Note the node whose turn it is."""
        if self._watch is not None:
            self._watch.enter(node.name)

    @hook_impl
    def after_pipeline_run(self) -> None:
        """Stop watching."""
        self._stop()

    @hook_impl
    def on_pipeline_error(self) -> None:
        """Stop watching."""
        self._stop()

    def _stop(self) -> None:
        watch, self._watch = self._watch, None
        if watch is not None:
            atexit.unregister(self._stop)
            watch.stop()


class _Watch:
    """Looks at a run from a thread of its own, and shows what it sees."""

    def __init__(self, nodes: int):
        self._nodes = nodes
        self._names: list[str] = []
        self._entered = time.monotonic()
        self._pace: Pace | None = None
        self._memory = ProcessTree()
        self._end = threading.Event()
        self._thread = threading.Thread(
            target=self._look_on, name="progress", daemon=True
        )
        self._thread.start()

    def enter(self, node: str) -> None:
        """Note the node that runs now."""
        if node not in self._names:
            self._entered = time.monotonic()
            self._names.append(node)

    def stop(self) -> None:
        """Show nothing any more."""
        self._end.set()
        self._thread.join()

    def _look_on(self) -> None:
        shown = time.monotonic()
        place: Display | None = None
        try:
            while not self._end.wait(TICK):
                now = time.monotonic()
                line, share = self._look(now)
                # Made when there is something to show: that imports what draws.
                place = place or display()
                if line and now - shown >= place.interval:
                    place.show(line, share)
                    shown = now
        finally:
            if place is not None:
                place.close()

    def _look(self, now: float) -> tuple[str, float | None]:
        if not self._names:
            return "", None
        memory = f"{self._memory.sample() / 1e6:,.0f} MB"
        for computation in computations():
            if (progress := computation.look()) is None:
                continue
            if self._pace is None or not self._pace.is_of(computation, progress):
                self._pace = Pace(computation, progress, now)
            said = [*self._pace.say(progress, now), memory]
            return " · ".join(said), progress.done / progress.total
        name = self._names[-1]
        if self._nodes > 1:
            name += f" (node {len(self._names)} of {self._nodes})"
        return f"{name} · {duration(max(now - self._entered, 0.0))} · {memory}", None


@dataclass
class Pace:
    """How fast a step is, since it was seen first.

    What was done before that, by an earlier run say, does not count.
    """

    computation: Computation
    first: Progress
    since: float

    def is_of(self, computation: Computation, progress: Progress) -> bool:
        """Tell whether the step is still the same."""
        return computation is self.computation and progress.number == self.first.number

    def say(self, progress: Progress, now: float) -> list[str]:
        """Name the step, what is left and what is done of it, and how fast.

        The most important comes first: a terminal may be narrow.
        """
        said = [f"{progress.step} ({progress.number} of {progress.steps})"]
        if (left := self._left(progress, now)) is not None:
            said.append(f"{duration(left)} left")
        steps = counted(progress.total, progress.unit)
        said.append(f"{progress.done:,} of {steps}")
        if progress.total_rows:
            said.append(_rows(progress.rows, progress.total_rows))
            if (read := progress.rows - self.first.rows) > 0 and now > self.since:
                said.append(f"{number(read / (now - self.since))}/s")
        return said

    def _left(self, progress: Progress, now: float) -> float | None:
        """Seconds until the step is done, at its pace so far; None at its beginning."""
        done = progress.done - self.first.done
        if done <= 0 or now <= self.since:
            return None
        return (progress.total - progress.done) * (now - self.since) / done


def _rows(done: int, total: int) -> str:
    if total < 1e6:
        return f"{done:,} of {total:,} rows"
    unit, name = (1e9, "billion") if total >= 1e9 else (1e6, "million")
    return f"{done / unit:,.1f} of {total / unit:,.1f} {name} rows"
