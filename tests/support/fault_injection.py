"""Faults on purpose, and the runs that they happen to, in processes of their own."""

import functools
import importlib
import json
import multiprocessing
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

import dask.dataframe
import distributed.scheduler  # noqa: F401
import numpy as np
import pandas as pd
import pytest

from dask_etl.datasets import PandasParquetDataset
from dask_etl.datasets.publish import publish
from dask_etl.engine.partitions import Lazy
from dask_etl.pipelines.etl_dask import kernels
from dask_etl.storage.delta import Log
from dask_etl.storage.names import number_in
from dask_etl.storage.parts import PartFile, PartWriter
from oracle.raw_files import AS_OF
from support.engine_runs import TABLES, describe, raw_dataset, stored

PROCESSES = multiprocessing.get_context("forkserver")
# Children are forked from a process that has imported all this, and has no threads.
PRELOADED = (
    *("support.fault_injection", "kedro.framework.cli.cli", "kedro_telemetry.plugin"),
    *("kedro_viz.integrations.kedro.hooks", "dask_etl.pipeline_registry", "deltalake"),
    *("distributed.deploy.local", "prometheus_client", "seaborn"),
)
PROCESSES.set_forkserver_preload([*PRELOADED])


# -- tables and runs -----------------------------------------------------------


def tables_in(folder: Path, names=TABLES, **options) -> dict[str, PandasParquetDataset]:
    """Data sets of the engine's tables in a folder."""
    return {
        name: PandasParquetDataset(filepath=str(folder / name), schema=name, **options)
        for name in names
    }


def run(
    raw: Path,
    folder: Path,
    *,
    as_of=AS_OF,
    resume: bool = True,
    rows_per_partition: int = 10,
    change: Callable[[dict], dict] = dict,
) -> None:
    """Run the Dask engine's nodes on a folder of raw files."""
    frame = raw_dataset(raw, rows_per_partition).load()
    datasets = tables_in(folder)
    described = change(describe(frame, as_of))
    publish({datasets[name]: lazy for name, lazy in described.items()}, resume)


def slowed_run(
    raw: Path, folder: Path, seconds: float, log: Path | None = None, **options
) -> None:
    """Run slowly, and leave a file in ``log`` for every partition that is computed."""
    for name in ("survey_partition", "screen_partition"):
        setattr(kernels, name, slowed(getattr(kernels, name), seconds, log))
    run(raw, folder, **options)


def held_run(raw: Path, folder: Path, gate: Path) -> None:
    """Run up to the second reading, and on from there when there is a file ``gate``."""
    step = kernels.screen_partition

    @functools.wraps(step)
    def held(tables, **arguments):
        while not gate.exists():
            time.sleep(0.02)
        return step(tables, **arguments)

    kernels.screen_partition = held
    run(raw, folder)


def slowed_run_of(package: Path, *arguments: Any) -> None:
    """Run slowly with the code of a copy of the package, in a process of one's own."""
    for name in [*sys.modules]:
        if name.partition(".")[0] in ("dask_etl", "oracle", "support"):
            del sys.modules[name]
    sys.path.insert(0, str(package.parent))
    module = importlib.import_module("support.fault_injection")
    assert Path(module.kernels.__file__).is_relative_to(package)
    module.slowed_run(*arguments)


def slowed(step: Callable, seconds: float, log: Path | None) -> Callable:
    # The same name, so that the computation is the same one.
    @functools.wraps(step)
    def slow(tables, **arguments):
        if log is not None:
            [(name, first, _)] = tables["origin"].segments
            (log / f"{step.__name__}-{name}-{first}").touch()
        time.sleep(seconds)
        return step(tables, **arguments)

    return slow


def contents(
    datasets: Mapping[str, PandasParquetDataset],
) -> dict[str, list[tuple[int, int, int, str]]]:
    """What readers get of every table: number, rows, size and checksum of the parts.

    The names also tell which attempt wrote a part: that differs, the bytes do not.
    """
    found = {}
    for name, dataset in datasets.items():
        stored(dataset)
        found[name] = [
            (number_in(part.name), part.rows, part.bytes, part.checksum)
            for part in dataset.content().parts
        ]
    return found


def strays(datasets: Mapping[str, PandasParquetDataset]) -> list[str]:
    """Files in the tables' folders that no version of them needs."""
    found = []
    for dataset in datasets.values():
        root = Path(dataset.store.location.path)
        known = {root / "_writer.lock"}
        for version in dataset.versions():
            parts = dataset.store.content(version).parts
            known |= {root / part.name for part in parts}
        log = re.compile(r"\d{20}(\.checkpoint)?\.(json|parquet)|_last_checkpoint")
        for path in root.rglob("*"):
            in_log = path.parent == root / "_delta_log" and log.fullmatch(path.name)
            if path.is_file() and path not in known and not in_log:
                found.append(str(path))
        found += [str(path) for path in root.parent.glob("*.tmp")]
    return found


# -- processes that die --------------------------------------------------------


@dataclass
class Child:
    """A process of its own; a pipe to it says that it has begun, and how it failed."""

    process: Any
    pipe: Any

    def wait_for(self, condition: Callable[[], Any], seconds: float = 60) -> Any:
        """Wait for something that the process does."""
        give_up = time.monotonic() + seconds
        while not (value := condition()):
            if time.monotonic() > give_up or not self.process.is_alive():
                self.end(seconds=1)
                raise AssertionError("the process did not do what was waited for")
            time.sleep(0.005)
        return value

    def kill(self) -> None:
        """Kill it, as the kernel does when memory runs out, if it is still there."""
        self.process.kill()
        self.end()

    def end(self, seconds: float = 60) -> int:
        """Wait for its end; returns its exit code."""
        self.process.join(seconds)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
            raise AssertionError("the process hangs")
        return self.process.exitcode


def start_server() -> None:
    """Start the process that children are forked from, unless it is there."""
    with pytest.MonkeyPatch.context() as patch:
        # The process that children are forked from finds its modules here.
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
        # As the project has it, before Dask is imported.
        patch.setenv("DASK_LOGGING__DISTRIBUTED", "warning")
        forkserver.ensure_running()


def start(function: Callable, *arguments: Any, **options: Any) -> Child:
    """Call a function in a process of its own; returns when it has begun."""
    start_server()
    pipe, other = PROCESSES.Pipe()
    process = PROCESSES.Process(
        target=_call, args=(other, function, arguments, options)
    )
    process.start()
    other.close()
    pipe.recv()
    return Child(process, pipe)


def _call(pipe, function: Callable, arguments: tuple, options: dict) -> None:
    pipe.send("begun")
    function(*arguments, **options)


def die() -> None:
    """Die without a chance to tidy up."""
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)


def count_file_operations(report: Path, function: Callable, *arguments: Any) -> None:
    """Call a function; note how many times it changes the file system, and what."""
    seen = _watch(lambda _: None)
    function(*arguments)
    report.write_text(json.dumps(list(seen)))


def die_at_file_operation(number: int, function: Callable, *arguments: Any) -> None:
    """Call a function; die before it changes the file system for the n-th time."""
    _watch(lambda count: die() if count == number else None)
    function(*arguments)


def _watch(act: Callable[[int], None]) -> list[str]:
    """Have every change to the file system seen.

    That is opening for writing, renaming, removing and making of folders; and what the
    Delta library does at once, before it and after it.
    """
    seen: list[str] = []
    lock = threading.Lock()
    for name in ("overwrite", "replace", "restore", "checkpoint"):
        setattr(Log, name, _watched(getattr(Log, name), lock, seen, act))

    def hook(event: str, arguments: tuple) -> None:
        if event == "open":
            flags = arguments[2]
            if not isinstance(flags, int) or not flags & (os.O_WRONLY | os.O_RDWR):
                return
        elif event not in ("os.rename", "os.remove", "os.rmdir", "os.mkdir"):
            return
        with lock:
            act(len(seen))
            seen.append(f"{event} {arguments[0]}")

    # One thread, so that the n-th operation is the same one every time.
    dask.config.set(num_workers=1)
    sys.addaudithook(hook)
    return seen


def _watched(change: Callable, lock, seen: list[str], act: Callable) -> Callable:
    @functools.wraps(change)
    def watched(*arguments):
        for moment in ("before", "after"):
            if moment == "after":
                result = change(*arguments)
            with lock:
                act(len(seen))
                seen.append(f"{moment} {change.__name__}")
        return result

    return watched


def frames(seed: int) -> dict[str, pd.DataFrame]:
    """Frames of three tables without a schema, other ones for every seed."""
    random = np.random.default_rng(seed)
    return {
        name: pd.DataFrame({"number": random.integers(0, 1000, 15)})
        for name in ("one", "two", "three")
    }


def plain_tables(folder: Path) -> dict[str, PandasParquetDataset]:
    """Data sets for :func:`frames`, two parts each."""
    return {
        name: PandasParquetDataset(
            filepath=str(folder / name), rows_per_partition=10, keep_versions=1
        )
        for name in frames(0)
    }


def publish_frames(folder: Path, seed: int) -> None:
    """Publish the frames of a seed together."""
    datasets = plain_tables(folder)
    publish({datasets[name]: frame for name, frame in frames(seed).items()})


def publish_by_turns(folder: Path, seeds: Iterator[int], pause: float) -> None:
    """Publish one version after another."""
    for seed in seeds:
        publish_frames(folder, seed)
        time.sleep(pause)


# -- what happens to Dask workers ----------------------------------------------


@dataclass(frozen=True)
class Once:
    """Happens the first time only, in whatever process."""

    marker: Path

    def __call__(self) -> bool:
        try:
            self.marker.touch(exist_ok=False)
        except FileExistsError:
            return False
        return True


@dataclass(frozen=True)
class FatalSource:
    """Reads partitions; the worker dies of one of them."""

    source: Callable
    file: str
    once: Once | None = None
    eats_memory: bool = False

    def __call__(self, item: Any) -> dict[str, Any]:
        """Read a partition."""
        if item[0].name == self.file and (self.once is None or self.once()):
            if not self.eats_memory:
                die()
            eaten = []
            for _ in range(200):
                eaten.append(np.ones(2**21))
                time.sleep(0.02)
        return self.source(item)


@dataclass(frozen=True)
class FatalWriter(PartWriter):
    """Writes parts; the worker dies after the third."""

    once: Once | None = None

    def write(self, table, number: int) -> PartFile:
        """Write a part."""
        part = super().write(table, number)
        if number == 3 and self.once():
            die()
        return part


@dataclass(frozen=True)
class FatalMerge:
    """Merges partial tables; the worker dies of the first time."""

    combine: Callable
    once: Once

    def __call__(self, partials: Any) -> Any:
        """Merge."""
        if self.once():
            die()
        return self.combine(partials)


def with_source(lazies: Mapping[str, Any], make: Callable) -> dict[str, Any]:
    """Replace what reads the partitions of lazy tables."""
    partitions = lazies["clean_transactions"].partitions
    changed = replace(partitions, source=make(partitions.source))
    return {
        name: replace(lazy, partitions=changed) if isinstance(lazy, Lazy) else lazy
        for name, lazy in lazies.items()
    }


class SlowWriter(PartWriter):
    """Takes its time for every part, but for the first: that is waited for."""

    def write(self, table, number: int) -> PartFile:
        """Write a part."""
        time.sleep(0.1 if number == 0 else 3)
        return super().write(table, number)


def slow_kedro(*arguments: str) -> None:
    """``kedro`` with these arguments, in which the parts take seconds."""
    from kedro.framework.cli.cli import main

    import dask_etl.datasets.publish as module

    module.PartWriter = SlowWriter
    sys.argv = ["kedro", *arguments]
    main()


def run_on_cluster(raw: Path, folder: Path, pids: Path) -> None:
    """Run on worker processes, slowly; write down which they are."""
    import psutil

    import dask_etl.datasets.publish as module
    from support.engine_runs import cluster

    module.PartWriter = SlowWriter
    with cluster(processes=True, n_workers=2, threads_per_worker=1):
        children = psutil.Process().children(recursive=True)
        pids.write_text(" ".join(str(child.pid) for child in children))
        run(raw, folder)


def without_hanging(function, *arguments):
    """Call in a thread, so that a test of what must not wait for ever fails instead."""
    ended = []

    def call():
        try:
            ended.append(function(*arguments))
        except Exception as error:
            ended.append(error)

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(30)
    assert ended, "it hangs"
    return ended[0]
