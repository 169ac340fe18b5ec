"""Every row is read once, and whatever fails stops the run and changes nothing."""

import contextlib
import re
from collections import Counter

import dask.dataframe as dd
import fsspec
import pytest

from dask_etl.datasets import PandasParquetDataset
from dask_etl.datasets.publish import publish
from dask_etl.engine.execution import Graph
from dask_etl.engine.scratch import Scratch
from dask_etl.retail.parameters import Cleaning, Threshold
from dask_etl.retail.rules import SCREENED_COLUMNS, ThresholdExceeded
from dask_etl.storage.location import Location
from dask_etl.storage.parts import PartReader, PartWriter
from oracle.raw_files import dirty_transactions, write_raw
from support.engine_runs import (
    TABLES,
    cluster,
    describe,
    lazy_tables,
    nullable,
    raw_dataset,
    run_dask,
)


@pytest.fixture
def frame(tmp_path):
    write_raw(tmp_path / "raw", dirty_transactions(300, 1), 5)
    return raw_dataset(tmp_path / "raw", 60).load()


def test_a_partition_is_surveyed_once_and_read_in_full_once(
    frame, tmp_path, monkeypatch
):
    """One survey of few columns, then all five outputs from a single read."""
    reads = Counter()
    read = PartReader.read

    def counted(self, partition):
        # The survey leaves out what it has no use for.
        kind = "full" if "is_returned" in self.schema.names else "survey"
        reads[kind, partition[0].name] += 1
        return read(self, partition)

    monkeypatch.setattr(PartReader, "read", counted)
    lazy = describe(frame)
    assert not reads
    datasets = {
        name: PandasParquetDataset(filepath=str(tmp_path / "out" / name), schema=name)
        for name in TABLES
    }
    publish({datasets[name]: table for name, table in lazy.items()})
    files = [f"part-{number:05d}.parquet" for number in range(5)]
    assert reads == Counter([(kind, f) for f in files for kind in ("survey", "full")])
    assert "is_returned" not in SCREENED_COLUMNS


def test_foreign_frames_that_fail_stop_the_run_with_their_error(tmp_path):
    def fail(number):
        if number == 2:
            raise ZeroDivisionError("somebody else's bug")
        return nullable(dirty_transactions(50, number))

    meta = nullable(dirty_transactions(0, 1))
    frame = dd.from_map(fail, [1, 2, 3], meta=meta)
    with pytest.raises(ZeroDivisionError, match="somebody else's bug"):
        run_dask(frame, tmp_path / "out")
    assert nothing_visible(tmp_path / "out")


@pytest.mark.parametrize("workers", [None, {"n_workers": 2, "threads_per_worker": 1}])
def test_an_error_of_one_output_withholds_all(frame, tmp_path, workers):
    cleaning = Cleaning(thresholds={"any": Threshold(fail_above=0)})
    with (
        cluster(**workers) if workers else contextlib.nullcontext(),
        pytest.raises(ThresholdExceeded, match="Nothing was changed"),
    ):
        run_dask(frame, tmp_path / "out", cleaning=cleaning)
    assert nothing_visible(tmp_path / "out")
    assert run_dask(frame, tmp_path / "out")["sales_cube"].num_rows > 0


def test_whatever_workers_die_of_is_named_by_its_files(frame, tmp_path):
    """Dask may blame any task, those included that only hold what others share."""
    writer = PartWriter(fsspec.filesystem("file"), str(tmp_path / "out"), "0" * 8)
    scratch = Scratch(Location(writer.filesystem, str(tmp_path / "scratch")))
    graph = Graph(dict.fromkeys(lazy_tables(frame), writer), scratch)
    graph.build()
    said = {graph.describe(key) for key in graph.tasks}
    files = [f"part-{number:05d}.parquet" for number in range(5)]
    assert {f"partition {number} {file}" for number, file in enumerate(files)} <= said
    assert f"a partition of {', '.join(files[:3])} and 2 more" in said
    merges = {name for line in said for name in re.findall("merge of '(.*?)'", line)}
    assert merges == {"keys", "extent", "ledger", "cube", "customers"}
    kinds = r"partition \d+ part|a partition of part|merge of '"
    assert [line for line in said if not re.match(kinds, line)] == []


def test_foreign_frames_are_named_as_input(tmp_path):
    raw = dd.from_pandas(nullable(dirty_transactions(50, 1)), npartitions=2)
    writer = PartWriter(fsspec.filesystem("file"), str(tmp_path / "out"), "0" * 8)
    scratch = Scratch(Location(writer.filesystem, str(tmp_path / "scratch")))
    graph = Graph(dict.fromkeys(lazy_tables(raw), writer), scratch)
    graph.build()
    said = {graph.describe(key) for key in graph.tasks}
    assert {"partition 0", "partition 1", "a partition of the input"} <= said
    assert "reading the input of a partition" in said
    assert not any("stage-" in line for line in said)


def nothing_visible(folder) -> bool:
    return not any(
        PandasParquetDataset(filepath=str(folder / name), schema=name).exists()
        for name in TABLES
    )
