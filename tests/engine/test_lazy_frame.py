"""What a dataset gives as a Dask DataFrame is one, to whoever asks."""

import copy
import pickle
import subprocess
import sys

import dask
import dask.dataframe as dd
import pandas as pd
import pytest

from dask_etl.engine.frames import columns_of, files_of, meta_of
from oracle.raw_files import dirty_transactions, write_raw
from support.engine_runs import raw_dataset


@pytest.fixture
def frame(tmp_path):
    write_raw(tmp_path / "raw", dirty_transactions(300, 1), 5)
    return raw_dataset(tmp_path / "raw", 60).load()


def test_it_is_a_dask_dataframe(frame):
    assert isinstance(frame, dd.DataFrame)
    assert not isinstance(frame, pd.DataFrame)
    assert dask.is_dask_collection(frame)
    assert repr(frame).startswith("Dask DataFrame Structure")
    assert len(frame) == 300
    assert frame.npartitions == 5


def test_it_can_be_used_as_one(frame):
    whole = frame.compute()
    [computed] = dask.compute(frame)
    pd.testing.assert_frame_equal(computed, whole)
    few = frame[frame["quantity"] > 1].compute()
    pd.testing.assert_frame_equal(few, whole[whole["quantity"] > 1])
    assert len(dd.concat([frame, frame])) == 600
    keyed = frame.assign(row=1)[["row"]].merge(
        frame[["quantity"]].assign(row=1).head(1)
    )
    assert len(keyed) == 300
    assert dd.map_partitions(len, frame).compute().sum() == 300
    assert dask.delayed(len)(frame).compute() == 300
    frame.columns = [name.upper() for name in frame.columns]
    assert frame["QUANTITY"].name == "QUANTITY"


@pytest.mark.parametrize(
    "copied",
    [copy.copy, copy.deepcopy, lambda frame: pickle.loads(pickle.dumps(frame))],
    ids=["copied", "copied deeply", "sent"],
)
def test_it_can_be_copied_and_sent(frame, copied):
    again = copied(frame)
    assert type(again) is dd.DataFrame
    pd.testing.assert_frame_equal(again.compute(), frame.compute())


def test_its_files_are_known_before_and_after_it_is_made(frame):
    before = files_of(frame)
    made = frame[list(frame.columns)]
    assert files_of(frame) == before == files_of(frame.__wrapped__)
    assert files_of(made) is None
    assert columns_of(frame) == columns_of(made) == list(meta_of(frame).columns)


def test_neither_dask_dataframe_nor_distributed_is_imported_for_a_small_run(project):
    """Each takes as long as the run itself."""
    project.run("data_generation")
    code = """
import sys
from kedro.framework.cli import main

sys.argv[1:] = ["run", "--env", "test", "--pipelines", "etl_dask"]
try:
    main()
except SystemExit as ended:
    assert not ended.code, ended.code
unwanted = {"bokeh", "dask.dataframe", "distributed", "matplotlib", "seaborn"}
sys.exit(" ".join(unwanted & set(sys.modules)) or 0)
"""
    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=project.path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert project.table("dask.row_ledger").num_rows > 0
