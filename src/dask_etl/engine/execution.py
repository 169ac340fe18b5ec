"""Run described computations: one Dask graph, one task per partition and bucket.

The graph is flat (a few keys per partition, no edges between partitions and
buckets): partitions → barrier → buckets → barrier → next stage. What passes a
barrier lies in scratch files, not in memory.
"""

import bisect
import functools
import itertools
import logging
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dask.task_spec import DataNode, Task, TaskRef

from dask_etl.engine.blocks import Gather, Spread, blocks_of
from dask_etl.engine.client import current_client, elsewhere
from dask_etl.engine.fingerprint import modules_of
from dask_etl.engine.partitions import (
    ComputedFrame,
    Lazy,
    Partitions,
    Parts,
    Reduction,
    first_few,
    reductions_in,
)
from dask_etl.engine.progress import Computation, Step, running
from dask_etl.engine.remote_code import collect
from dask_etl.engine.scratch import DamagedScratch, Scratch
from dask_etl.engine.tasks import Merge, Stage
from dask_etl.errors import OtherCode, WorkersLost
from dask_etl.storage.parts import PartFile, PartWriter

logger = logging.getLogger(__name__)

_SHOWN = 12
"""Characters of a task's name that the dashboard shows."""

_REPAIRS = 2
"""Times that damaged partial results are made again before the run gives up."""


def execute(
    outputs: Mapping[Lazy, PartWriter], scratch: Scratch
) -> dict[Lazy, list[PartFile]]:
    """Compute and write lazy tables in one Dask graph.

    Runs on the cluster of the current Dask client, or on threads where there is none.

    Args:
        outputs: the lazy tables, and what writes each one's parts.
        scratch: folder for partial tables and receipts; what an earlier attempt at
            the same computation left there is not computed again.

    Returns:
        The parts written, in order, by lazy table.

    Raises:
        DamagedScratch: partial results are damaged again and again.
    """
    for _ in range(_REPAIRS):
        try:
            return _execute(outputs, scratch)
        # What is intact is found done, so only what is damaged or lacking costs time
        # again.
        except DamagedScratch as error:
            logger.warning("Made again, because it was damaged: %s", error)
        except OtherCode as error:
            logger.warning("Goes on without it: %s", error)
    return _execute(outputs, scratch)


def _execute(
    outputs: Mapping[Lazy, PartWriter], scratch: Scratch
) -> dict[Lazy, list[PartFile]]:
    graph = Graph(outputs, scratch)
    keys = graph.build()
    results = _run(graph, list(keys.values()))
    found = dict(zip(keys, results, strict=True))
    done: dict[Lazy, list[PartFile]] = {}
    for lazy in outputs:
        if isinstance(lazy, Parts):
            reports = found[lazy.partitions]
            done[lazy] = [PartFile(**report["parts"][lazy.name]) for report in reports]
        else:
            done[lazy] = [PartFile(**part) for part in found[lazy]]
    return done


def _run(graph: "Graph", keys: list) -> list:
    """Compute the keys of a graph on the current client, or on threads."""
    client = current_client()
    if client is None:
        from dask_etl.engine.threads import compute  # noqa: PLC0415  (start-up)

        return compute(graph.tasks, keys, graph.steps())
    from distributed.scheduler import KilledWorker  # noqa: PLC0415  (start-up)

    # Of all tasks, not only of those wanted: they tell how far the work is.
    steps = graph.steps()
    tracked = [key for step in steps for key in step.keys]
    cluster = elsewhere(client)
    if cluster is None:
        tasks, gather, workers = graph.tasks, client.gather, None
    else:
        from dask_etl.engine.sealed import seal  # noqa: PLC0415  (start-up)
        from dask_etl.engine.watch import gather_from, workers_for  # noqa: PLC0415  (start-up)

        tasks = seal(graph.tasks, modules_of(graph.outputs))
        gather = functools.partial(gather_from, client, cluster)
        workers = workers_for(client, cluster)
    found = client.get(_in_order(tasks), tracked, sync=False, workers=workers)
    futures = dict(zip(tracked, found, strict=True))
    wanted = [[futures[key] for key in some] for some in keys]
    try:
        with running(Computation(steps, lambda key: futures[key].done())):
            return list(gather(wanted))
    except KilledWorker as error:
        raise _workers_lost(error, graph.describe(error.task)) from error
    finally:
        for future in futures.values():
            future.release()


def _in_order(tasks: Mapping) -> Any:
    """Have a cluster take the tasks in the order in which they are named.

    Its own order jumps between partitions; files are read from front to back, and so
    are the slices of a large row group, which cannot be entered in the middle.
    """
    from dask.highlevelgraph import (  # noqa: PLC0415  (start-up)
        HighLevelGraph,
        MaterializedLayer,
    )

    priorities = {key: -number for number, key in enumerate(tasks)}
    layer = MaterializedLayer(tasks, annotations={"priority": priorities.__getitem__})
    return HighLevelGraph({"tables": layer}, {"tables": set()})


def _workers_lost(error, work: str) -> WorkersLost:
    """Say what the workers died of, as far as it is known, and what helps."""
    from dask.utils import format_bytes  # noqa: PLC0415  (start-up)

    limit = getattr(error.last_worker, "memory_limit", None)
    return WorkersLost(
        f"{work}, or what ran beside it on the same worker: "
        f"{error.allowed_failures + 1} workers died on it, one after another. Most "
        "often that is memory: a worker's limit is "
        f"{format_bytes(limit) if limit else 'unknown'} (local_cluster.memory_limit in "
        "dask.yml). Give workers more, run fewer of them, or make partitions smaller "
        "(rows_per_partition of the input in the catalog). Earlier outputs are "
        "untouched; finished partitions are kept for the next run."
    )


class Graph:
    """Builds the graph of some outputs, stage by stage."""

    def __init__(self, outputs: Mapping[Lazy, PartWriter], scratch: Scratch):
        self.outputs = outputs
        self.scratch = scratch
        self.run = uuid.uuid4().hex
        self.tasks: dict = {}
        self.keys: dict[Partitions | Reduction, list] = {}
        self.names: dict[Partitions | Reduction, str] = {}
        """Of scratch files."""
        self.labels: dict[Partitions | Reduction, str] = {}
        """Of Dask's tasks, for its dashboard: it shows no more than 15 characters."""
        self.lazies: dict[Partitions, list[Lazy]] = {}
        self.feeds: dict[Partitions, tuple[str, int]] = {}
        """Scratch files that merges read: names before the number, and how many."""
        self.blocks: dict[Partitions, tuple[int, ...]] = {}
        self._in_blocks = not scratch.location.is_local
        self._known = scratch.names() if self._in_blocks else None

    def build(self) -> dict[Partitions | Reduction, list]:
        """Fill ``tasks``; return the keys to ask for, by stage and by merge."""
        for lazy in self.outputs:
            self._find(lazy)
        for lazy in self.outputs:
            self._add_lazy(lazy)
        wanted = {
            lazy.partitions if isinstance(lazy, Parts) else lazy
            for lazy in self.outputs
        }
        return {lazy: self.keys[lazy] for lazy in wanted}

    def steps(self) -> list[Step]:
        """List what is done side by side, in the order in which it comes to its end."""
        return [
            Step(self.labels[lazy], "bucket", keys)
            if isinstance(lazy, Reduction)
            else Step(self.labels[lazy], "partition", keys, lazy.rows_each())
            for lazy, keys in self.keys.items()
        ]

    def describe(self, key: Any) -> str:
        """Name the work of a task for people: files, or the table that is merged.

        Dask may blame what the partitions of a stage have in common, which only
        happened to be at the worker: then it is one of the partitions.
        """
        for lazy, keys in self.keys.items():
            number = keys.index(key) if key in keys else None
            if number is None and not self._belongs(key, self.labels[lazy]):
                continue
            if isinstance(lazy, Reduction):
                bucket = "" if number is None else f", bucket {number}"
                return f"merge of '{lazy.name}'{bucket}"
            if number is not None:
                return f"partition {number} {_files([lazy.items[number]])}".rstrip()
            return f"a partition of {_files(lazy.items) or 'the input'}"
        return "reading the input of a partition"

    def _belongs(self, key: Any, label: str) -> bool:
        return isinstance(key, tuple) and key[0] in (
            f"{label}-{self.run}",
            f"{label}-input-{self.run}",
        )

    def _label(self, of: Partitions | Reduction, wanted: str) -> str:
        """Give tasks a label that no others have; Dask shows it up to the number."""
        taken = sum(label.split("-")[0] == wanted for label in self.labels.values())
        self.labels[of] = f"{wanted}-{taken + 1}" if taken else wanted
        return self.labels[of]

    def _find(self, lazy: Lazy) -> None:
        """Note a lazy table under every stage that feeds it, and all that it needs."""
        for partitions in _sources(lazy):
            fed = self.lazies.setdefault(partitions, [])
            if lazy in fed:
                return
            fed.append(lazy)
        for needed in _needs(lazy):
            self._find(needed)

    def _add_lazy(self, lazy: Lazy) -> None:
        """Add the stages that feed a lazy table, and its merge, after what they need."""
        for needed in _needs(lazy):
            self._add_lazy(needed)
        for partitions in _sources(lazy):
            if partitions not in self.keys:
                self._add_stage(partitions)
        if isinstance(lazy, Reduction) and lazy not in self.keys:
            self._add_merge(lazy)

    def _add_stage(self, partitions: Partitions) -> None:
        lazies = self.lazies[partitions]
        reductions = [lazy for lazy in lazies if isinstance(lazy, Reduction)]
        name = f"stage-{len(self.names)}"
        self.names[partitions] = name
        label = self._label(partitions, partitions.name)
        inputs = {
            argument: (self.names[argument], self._blocks(argument.partitions))
            for _, arguments in partitions.steps
            for argument in reductions_in(arguments).values()
        }
        stage = Stage(
            name,
            partitions.source,
            partitions.steps,
            {
                lazy.name: (self.outputs[lazy], lazy.schema)
                for lazy in lazies
                if isinstance(lazy, Parts)
            },
            reductions,
            inputs,
            self.scratch,
            self._known_of(name),
            bool(reductions and self._in_blocks),
        )
        common = self._share(label, "what", stage)
        self.tasks.update(partitions.graph)
        self.keys[partitions] = [
            self._add(
                (label, number),
                Stage.run,
                TaskRef(common),
                number,
                self._item(label, number, item),
                *(TaskRef(self._whole(argument, number)) for argument in inputs),
            )
            for number, item in enumerate(partitions.items)
        ]
        self._feed(partitions)

    def _blocks(self, partitions: Partitions) -> tuple[int, ...]:
        """Return the blocks of partitions; none where tables are read one by one."""
        if not self._in_blocks:
            return ()
        if partitions not in self.blocks:
            rows = partitions.rows_each()
            self.blocks[partitions] = blocks_of(len(partitions.items), rows)
        return self.blocks[partitions]

    def _known_of(self, name: str) -> frozenset[str] | None:
        """Return which scratch files of a stage or merge were there before."""
        if self._known is None:
            return None
        return frozenset(each for each in self._known if each.startswith(f"{name}-"))

    def _feed(self, partitions: Partitions) -> None:
        """Have merges wait for the partitions, and find their tables."""
        name, label = self.names[partitions], self.labels[partitions]
        keys, blocks = self.keys[partitions], self._blocks(partitions)
        self.feeds[partitions] = (name, len(keys))
        if blocks and any(
            isinstance(each, Reduction) for each in self.lazies[partitions]
        ):
            gather = Gather(f"{name}-block", name, blocks, self.scratch)
            common = self._share(label, "gather", gather)
            keys = [
                self._add(
                    (label, f"block-{block}"),
                    Gather.run,
                    TaskRef(common),
                    block,
                    *map(TaskRef, keys[start:stop]),
                )
                for block, (start, stop) in enumerate(itertools.pairwise(blocks))
            ]
            self.feeds[partitions] = (gather.name, len(keys))
        self._add((label, "done"), collect, *map(TaskRef, keys))

    def _item(self, label: str, number: int, item: Any) -> Any:
        if not isinstance(item, ComputedFrame):
            return item
        return TaskRef(
            self._add((f"{label}-input", number), _pair, TaskRef(item.key), item.name)
        )

    def _add_merge(self, reduction: Reduction) -> None:
        stage = self.names[reduction.partitions]
        name = f"{stage}-{reduction.name}-merged"
        self.names[reduction] = name
        named = f"merge_{reduction.name}"
        label = self._label(
            reduction, named if len(named) <= _SHOWN else reduction.name
        )
        merge = Merge(
            name,
            tuple(
                (*self.feeds[p], self._first(reduction, p)) for p in reduction.sources
            ),
            reduction,
            self.outputs.get(reduction),
            self.scratch,
            self._pieces(reduction),
            self._known_of(name),
        )
        common = self._share(label, "what", merge)
        needs = [
            TaskRef(self._whole(argument))
            for argument in reductions_in(reduction.arguments).values()
        ]
        done = [self._key(self.labels[p], "done") for p in reduction.sources]
        if len(done) > 1:
            done = [self._add((label, "begin"), collect, *map(TaskRef, done))]
        barrier = TaskRef(done[0])
        self.keys[reduction] = [
            self._add(
                (label, bucket), Merge.run, TaskRef(common), bucket, barrier, *needs
            )
            for bucket in range(reduction.split_out)
        ]
        if reduction.scatter:
            self._scatter(reduction, merge)

    def _first(self, reduction: Reduction, partitions: Partitions) -> int:
        """Return the position of a reduction's first bucket in files of partitions."""
        lazies = self.lazies[partitions]
        before = lazies[: lazies.index(reduction)]
        return sum(each.split_out for each in before if isinstance(each, Reduction))

    def _pieces(self, reduction: Reduction) -> Sequence[int]:
        """Say which partitions the tables of a scattered bucket are for.

        Partitions are numbered from those of earlier rows on, which get none.
        """
        if not reduction.scatter:
            return ()
        first = sum(len(partitions.items) for partitions in reduction.earlier)
        targets = reduction.partitions
        each = self._blocks(targets) or range(len(targets.items) + 1)
        return [first + number for number in each]

    def _scatter(self, reduction: Reduction, merge: Merge) -> None:
        """Have partitions wait for all buckets, or for their block of them."""
        label, keys = self.labels[reduction], self.keys[reduction]
        done = self._add((label, "done"), collect, *map(TaskRef, keys))
        if not self._in_blocks:
            return
        spread = Spread(
            f"{merge.name}-block",
            merge.name,
            reduction.split_out,
            merge.pieces,
            self.scratch,
        )
        common = self._share(label, "spread", spread)
        for block in range(len(merge.pieces) - 1):
            self._add(
                (label, f"block-{block}"),
                Spread.run,
                TaskRef(common),
                block,
                TaskRef(done),
            )

    def _whole(self, reduction: Reduction, number: int = 0):
        """Return the key that stands for all buckets of a reduction, for a partition."""
        label = self.labels[reduction]
        if not reduction.scatter:
            return self.keys[reduction][0]
        if not self._in_blocks:
            return self._key(label, "done")
        block = bisect.bisect_right(self._blocks(reduction.partitions), number) - 1
        return self._key(label, f"block-{block}")

    def _share(self, label: str, what: str, value: Any):
        """Add what several tasks have in common."""
        key = self._key(label, what)
        self.tasks[key] = DataNode(key, value)
        return key

    def _add(self, name: tuple, function: Callable, *arguments: Any):
        key = self._key(*name)
        self.tasks[key] = Task(key, function, *arguments)
        return key

    def _key(self, label: str, number: Any):
        return (f"{label}-{self.run}", number)


def _sources(lazy: Lazy) -> tuple[Partitions, ...]:
    return lazy.sources if isinstance(lazy, Reduction) else (lazy.partitions,)


def _needs(lazy: Lazy) -> list[Reduction]:
    """List the merged tables that a lazy table, or the stages that feed it, need."""
    needs = [a for stage in _sources(lazy) for _, a in stage.steps]
    if isinstance(lazy, Reduction):
        needs.append(lazy.arguments)
    return [needed for a in needs for needed in reductions_in(a).values()]


def _files(items: Sequence[Any]) -> str:
    """Name the files that partitions are made from, the first few of many."""
    return first_few(
        part.name for item in items if isinstance(item, tuple) for part in item
    )


def _pair(first: Any, second: Any) -> tuple[Any, Any]:
    return first, second
