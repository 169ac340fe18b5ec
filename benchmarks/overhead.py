"""What scheduling costs: partitions with nothing to do, on threads and on a cluster."""

import contextlib
import pickle
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence

import pyarrow as pa

from dask_etl.engine.cluster import Cluster
from dask_etl.engine.cluster_settings import DaskSettings
from dask_etl.engine.execution import Graph, execute
from dask_etl.engine.partitions import Lazy, Partitions, Reduction, Tables

NOTHING = pa.table({"nothing": pa.array([], pa.int8())})

QUIET = {"distributed": "warning", "distributed.worker": "error"}

OVERHEAD = pa.schema(
    {
        "scheduler": pa.string(),
        "what": pa.string(),
        "partitions": pa.int64(),
        "graph_keys": pa.int64(),
        "graph_bytes": pa.int64(),
        "build_seconds": pa.float64(),
        "seconds": pa.float64(),
        "milliseconds_per_partition": pa.float64(),
        "partitions_per_second": pa.float64(),
    }
)
"""``what``: "tasks alone", one task per partition that returns at once; "engine", the
same through the engine of ``etl_dask``, which writes and merges a scratch file and a
receipt for each. ``graph_*`` and ``build_seconds`` are of the graph that runs."""


def measure_overhead(partitions: Sequence[int]) -> pa.Table:
    """Time empty partitions, by number, on both schedulers; see ``OVERHEAD``."""
    records = []
    # The cluster first: distributed reads how much to log when it is imported.
    for name, scheduler in {"cluster": _cluster, "threads": _threads}.items():
        with scheduler() as get:
            _alone(10, get)  # the first call imports and starts threads
            for count in sorted(partitions):
                for what, timed in {"tasks alone": _alone, "engine": _engine}.items():
                    found = timed(count, get)
                    records.append(
                        {
                            "scheduler": name,
                            "what": what,
                            "partitions": count,
                            **found,
                            "milliseconds_per_partition": found["seconds"]
                            / count
                            * 1000,
                            "partitions_per_second": count / found["seconds"],
                        }
                    )
    return pa.Table.from_pylist(records, OVERHEAD)


@contextlib.contextmanager
def _threads() -> Iterator:
    import dask.threaded

    yield dask.threaded.get


@contextlib.contextmanager
def _cluster() -> Iterator:
    """The cluster that pipelines have by default: one worker in this process."""
    cluster = Cluster(DaskSettings(config={"logging": QUIET}))
    try:
        yield cluster.client.get
    finally:
        cluster.close()


def _alone(partitions: int, get) -> dict:
    from dask.task_spec import Task

    began = time.perf_counter()
    keys = [("nothing", number) for number in range(partitions)]
    tasks = {key: Task(key, _nothing, key[1]) for key in keys}
    built = time.perf_counter()
    get(tasks, keys)
    ended = time.perf_counter()
    return {**_sizes(tasks), "build_seconds": built - began, "seconds": ended - built}


def _engine(partitions: int, _get) -> dict:
    """Run partitions through the engine, which finds the scheduler itself."""
    import fsspec

    from dask_etl.engine.scratch import Scratch
    from dask_etl.storage.location import Location
    from dask_etl.storage.parts import PartWriter

    filesystem = fsspec.filesystem("file", auto_mkdir=True)
    with tempfile.TemporaryDirectory(prefix="dask-etl-overhead-") as folder:
        scratch = Scratch(Location(filesystem, f"{folder}/scratch"))
        writer = PartWriter(filesystem, f"{folder}/table", "0" * 8)
        outputs: dict[Lazy, PartWriter] = {_lazy(partitions): writer}
        for needed in (scratch.location.path, writer.folder):
            filesystem.makedirs(needed)
        began = time.perf_counter()
        graph = Graph(outputs, scratch)
        graph.build()
        built = time.perf_counter()
        execute(outputs, scratch)
        seconds = time.perf_counter() - built
    return {**_sizes(graph.tasks), "build_seconds": built - began, "seconds": seconds}


def _lazy(partitions: int) -> Reduction:
    empty = Partitions(range(partitions), _no_rows)
    return empty.reduction("nothing", pa.concat_tables, schema=NOTHING.schema)


def _no_rows(_number: int) -> Tables:
    return {"nothing": NOTHING}


def _nothing(number: int) -> int:
    return number


def _sizes(tasks: Mapping) -> dict:
    return {"graph_keys": len(tasks), "graph_bytes": len(pickle.dumps(dict(tasks)))}
