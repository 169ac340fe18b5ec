"""Many files, many partitions, many runs."""

import os
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from dask_etl.datasets import PandasParquetDataset
from dask_etl.datasets.publish import publish
from dask_etl.engine.partitions import Partitions
from dask_etl.retail.tables import RAW_TRANSACTIONS
from dask_etl.storage import commit
from oracle.raw_files import dirty_transactions, write_raw
from support.engine_runs import raw_dataset
from support.fault_injection import contents, run, strays, tables_in


def test_a_thousand_small_files_become_few_partitions(tmp_path):
    write_raw(tmp_path / "raw", dirty_transactions(3000, 1), 1000)
    partitions = raw_dataset(tmp_path / "raw", 1000).load().npartitions
    assert 3 <= partitions <= 4
    run(tmp_path / "raw", tmp_path / "tables", rows_per_partition=1000)
    datasets = tables_in(tmp_path / "tables")
    ledger = datasets["row_ledger"].load()
    assert len(ledger) == 1000
    assert ledger["rows_read"].sum() == 3000
    assert len(datasets["clean_transactions"].content().parts) == partitions


def open_files():
    return len(os.listdir("/proc/self/fd"))


RUNS = 16


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts open files")
def test_many_runs_leave_no_files_open_and_none_behind(tmp_path, monkeypatch):
    monkeypatch.setattr(commit, "CHECKPOINT_EVERY", 4)
    folder = tmp_path / "tables"
    for seed in range(2):
        write_raw(tmp_path / f"raw-{seed}", dirty_transactions(40, seed), 2)
    files, logged, handles = [], [], []
    for number in range(RUNS):
        run(tmp_path / f"raw-{number % 2}", folder)
        contents(tables_in(folder))
        paths = [path for path in folder.rglob("*") if path.is_file()]
        in_logs = [path for path in paths if path.parent.name == "_delta_log"]
        files.append(len(paths) - len(in_logs))
        logged.append(len(in_logs))
        handles.append(open_files())
    assert len(set(files[2:])) == 1
    # A checkpoint every few commits takes the place of what came before it.
    assert max(logged) <= len(tables_in(folder)) * 12
    assert max(handles[8:]) <= max(handles[:8]) + 2
    assert strays(tables_in(folder)) == []


def count_rows(tables):
    rows = tables["rows"]
    counts = pa.table({"rows": pa.array([len(rows)], pa.int64())})
    return {"counts": counts, "part": rows.select(["transaction_id"])}


def add_up(partials):
    return pa.table({"rows": [sum(part["rows"][0].as_py() for part in partials)]})


def test_a_thousand_partitions(tmp_path):
    """The machinery with next to nothing to do, a thousand times."""
    write_raw(tmp_path / "raw", dirty_transactions(1000, 1), 1000)
    frame = raw_dataset(tmp_path / "raw", 1).load()
    rows = Partitions.of(frame, RAW_TRANSACTIONS, ["transaction_id"]).map(count_rows)
    # By itself, no data set makes so many of so few rows.
    rows = replace(rows, items=[(file,) for item in rows.items for file in item])
    assert len(rows.items) == 1000
    kept, total = (
        PandasParquetDataset(filepath=str(tmp_path / name))
        for name in ("kept", "total")
    )
    written = pa.schema({"transaction_id": pa.int64()})
    publish(
        {
            kept: rows.parts("part", written),
            total: rows.reduction(
                "counts", add_up, schema=pa.schema({"rows": pa.int64()})
            ),
        }
    )
    assert total.load()["rows"].tolist() == [1000]
    assert len(kept.content().parts) == 1000
    assert strays({"kept": kept, "total": total}) == []
