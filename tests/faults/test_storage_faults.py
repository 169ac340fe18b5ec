"""Full and read-only disks, and folders that nobody may write to."""

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from dask_etl.datasets import PandasParquetDataset
from dask_etl.errors import StorageError
from oracle.raw_files import dirty_transactions, write_raw
from support.engine_runs import raw_dataset
from support.fault_injection import contents, run, strays, tables_in


def in_mounts_of_its_own(mount, code, folder):
    """Run Python code where a mount holds for it alone; skip where none is possible."""
    tests = Path(__file__).parents[1]
    if shutil.which("unshare") is None:
        pytest.skip("no unshare here")
    possible = subprocess.run(
        ["unshare", "--mount", "sh", "-c", mount.format(folder=folder)],
        capture_output=True,
        check=False,
        timeout=60,
    )
    if possible.returncode:
        pytest.skip("mounting takes root")
    done = subprocess.run(
        [
            "unshare",
            "--mount",
            "sh",
            "-c",
            f'{mount.format(folder=folder)} && exec "$@"',
            "sh",
            sys.executable,
            "-c",
            code,
            str(folder),
        ],
        env={**os.environ, "PYTHONPATH": str(tests)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr


FULL = """
import re, sys
from pathlib import Path
import numpy as np, pandas as pd, pytest
from support.fault_injection import contents, run, strays, tables_in
from dask_etl.datasets import PandasParquetDataset
from dask_etl.errors import StorageError
from kedro.io import DatasetError
from oracle.raw_files import dirty_transactions, write_raw

folder = Path(sys.argv[1])
small, big = folder / "small", folder / "big"
write_raw(small, dirty_transactions(50, 1), 2)
run(small, folder / "tables")
datasets = tables_in(folder / "tables")
before = contents(datasets)

# The engine, on as much data as fits only once.
write_raw(big, dirty_transactions(6000, 2, string_ids=True), 4)
filler = folder / "filler"
filler.write_bytes(bytes(1_250_000))
with pytest.raises(StorageError, match=r"no space left: [\\d,]+ bytes are needed, [\\d,]+ are free") as error:
    run(big, folder / "tables", rows_per_partition=2_000)
assert str(folder / "tables") in str(error.value)
assert contents(datasets) == before

# Room is made: the run goes on, and sweeps.
filler.unlink()
run(big, folder / "tables", rows_per_partition=2_000)
assert contents(datasets) != before
assert strays(datasets) == []

# A frame that does not fit at all.
cube = PandasParquetDataset(filepath=str(folder / "frame"), rows_per_partition=10_000)
cube.save(pd.DataFrame({"a": [1]}))
with pytest.raises(DatasetError, match="no space left"):
    cube.save(pd.DataFrame({"a": np.random.default_rng(1).normal(size=500_000)}))
assert cube.load()["a"].tolist() == [1]
cube.save(pd.DataFrame({"a": [2]}))
assert cube.load()["a"].tolist() == [2]
assert strays({"cube": cube}) == []
"""


def test_full_disk_is_named_and_changes_nothing(tmp_path):
    in_mounts_of_its_own("mount -t tmpfs -o size=2m tmpfs {folder}", FULL, tmp_path)


READ_ONLY = """
import sys
from pathlib import Path
import pytest
from support.fault_injection import contents, run, tables_in
from dask_etl.errors import StorageError

folder = Path(sys.argv[1])
before = contents(tables_in(folder / "tables"))
with pytest.raises(StorageError, match=r"cannot be written .*Read-only.* data_root"):
    run(folder / "raw", folder / "tables")
with pytest.raises(StorageError, match=r"cannot be written .*Read-only.* data_root"):
    run(folder / "raw", folder / "new")
assert contents(tables_in(folder / "tables")) == before
"""


def test_read_only_data_is_read_and_not_written(tmp_path):
    write_raw(tmp_path / "raw", dirty_transactions(50, 1), 2)
    run(tmp_path / "raw", tmp_path / "tables")
    mount = "mount --bind {folder} {folder} && mount -o remount,ro,bind {folder}"
    in_mounts_of_its_own(mount, READ_ONLY, tmp_path)


FAULTS = {
    errno.ENOSPC: r"no space left: [\d,]+ bytes are needed, [\d,]+ are free",
    errno.EDQUOT: r"no space left",
    errno.EACCES: r"cannot be written \(.*Permission denied.*\)",
    errno.EROFS: r"cannot be written \(.*Read-only.*\)",
}


@pytest.mark.parametrize("number", FAULTS, ids=errno.errorcode.get)
def test_write_that_the_system_refuses_is_explained(tmp_path, monkeypatch, number):
    """On any system, without mounts: every other renaming of a file is refused."""
    raw, folder = tmp_path / "raw", tmp_path / "tables"
    write_raw(raw, dirty_transactions(50, 1), 4)
    run(raw, folder)
    before = contents(tables_in(folder))
    write_raw(raw, dirty_transactions(50, 2), 4)
    renamed = os.replace
    count = 0

    def refuse(source, target):
        nonlocal count
        count += 1
        if count > 12:
            raise OSError(number, os.strerror(number))
        renamed(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", refuse)
        with pytest.raises(StorageError, match=FAULTS[number]) as error:
            run(raw, folder)
    assert str(folder) in str(error.value)
    assert not list(folder.rglob("*.tmp"))
    assert contents(tables_in(folder)) == before
    run(raw, folder)
    assert contents(tables_in(folder)) != before
    assert strays(tables_in(folder)) == []


def test_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    dataset = PandasParquetDataset(filepath=str(tmp_path / "file" / "table"))
    assert not dataset.exists()
    with pytest.raises(StorageError, match=r"file/table: cannot be written"):
        dataset.store.acquire()


def test_input_that_may_not_be_read_is_named(tmp_path, monkeypatch):
    files = write_raw(tmp_path / "raw", dirty_transactions(50, 1), 4)
    dataset = raw_dataset(tmp_path / "raw")
    frame = dataset.load()

    def refuse(path, *arguments, **options):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(dataset._filesystem, "_open", refuse)
    with pytest.raises(StorageError, match=f"{files[0]}.*Permission denied"):
        frame.compute(scheduler="sync")


def test_empty_frame_needs_no_space(tmp_path):
    dataset = PandasParquetDataset(filepath=str(tmp_path / "t"), schema="sales_cube")
    dataset.save(pd.DataFrame(columns=dataset.written_schema(pa.schema([])).names))
    assert dataset.count_rows() == 0
