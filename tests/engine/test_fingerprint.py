"""What an interrupted run may take over: the same data, parameters and code."""

import functools
import importlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import dask_etl
from dask_etl.engine.fingerprint import fingerprint, source_files
from dask_etl.engine.partitions import Partitions
from oracle.raw_files import dirty_transactions, write_raw
from support.engine_runs import describe, raw_dataset

PACKAGE = Path(dask_etl.__file__).parent
SCHEMA = pa.schema({"number": pa.int64()})
STEPS = """
from .helpers import double

def step(tables, factor=1):
    return {"out": double(tables["rows"])}
"""
HELPERS = "def double(table):\n    return table\n"


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """A package with a step, what the step imports, and something else."""
    folder = tmp_path / "somebody"
    folder.mkdir()
    for name, text in {
        "__init__": "", "steps": STEPS, "helpers": HELPERS, "report": "",
    }.items():  # fmt: skip
        (folder / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.import_module("somebody.report")
    yield folder
    for name in [name for name in sys.modules if name.partition(".")[0] == "somebody"]:
        del sys.modules[name]


def read(number):
    return {"rows": pa.table({"number": [number]}, schema=SCHEMA)}


def parts(step, items=range(3), **arguments):
    rows = Partitions(items, read).map(step, **arguments)
    return [rows.parts("out", SCHEMA)]


def test_only_the_code_that_makes_the_table_counts(mine):
    step = importlib.import_module("somebody.steps").step
    before = fingerprint(parts(step))
    with (mine / "report.py").open("a") as file:
        file.write("# edited\n")
    assert fingerprint(parts(step)) == before
    for name in ("helpers", "steps"):
        with (mine / f"{name}.py").open("a") as file:
            file.write("# edited\n")
        after = fingerprint(parts(step))
        assert after != before, name
        before = after


def test_the_etl_depends_on_its_steps_and_on_what_is_under_them():
    files = {
        str(path.relative_to(PACKAGE))
        for path in source_files(["dask_etl.pipelines.etl_dask.kernels"])
    }
    assert files >= {
        "engine/execution.py", "storage/parts.py", "storage/encodings.py", "tables.py",
        "pipelines/etl_dask/kernels.py", "retail/rules.py", "retail/schema.py",
        "retail/summaries.py", "retail/features.py", "retail/parameters.py",
    }  # fmt: skip
    others = ("pipelines/reporting", "pipelines/etl_pandas", "hooks", "datasets")
    assert [name for name in files if name.startswith(others)] == []


def other(tables, factor=1):
    return tables


def step(tables, factor=1):
    return tables


CHANGES = {
    "another step": parts(other),
    "another argument": parts(step, factor=2),
    "other items": parts(step, items=range(4)),
    "other columns": [
        Partitions(range(3), read).map(step).parts("out", pa.schema({"n": pa.int8()}))
    ],
    "another source": [Partitions(range(3), other).map(step).parts("out", SCHEMA)],
    "a partial source": [
        Partitions(range(3), functools.partial(other, factor=3))
        .map(step)
        .parts("out", SCHEMA)
    ],
    "a long array": parts(step, factor=np.arange(10_000)),
    "another long array": parts(step, factor=np.arange(10_000) ** 2 % 9_973),
    "a typed function": parts(step, factor=eval("lambda: 1", {"__name__": "typed"})),
    "another typed function": parts(
        step, factor=eval("lambda: 2", {"__name__": "typed"})
    ),
}


def test_whatever_makes_another_table_makes_another_name():
    names = {change: fingerprint(lazies) for change, lazies in CHANGES.items()}
    assert len({fingerprint(parts(step)), *names.values()}) == len(names) + 1


SAME = """
import sys
from datetime import UTC, datetime
from dask_etl.engine.fingerprint import fingerprint
from support.engine_runs import describe, raw_dataset
print(fingerprint(describe(raw_dataset(sys.argv[1]).load()).values()))
"""


def test_another_process_gives_it_the_same_name(tmp_path):
    # It is all the same what was imported before.
    import dask.dataframe  # noqa: F401

    write_raw(tmp_path, dirty_transactions(20, 1), 2)
    here = fingerprint(describe(raw_dataset(tmp_path).load()).values())
    tests = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", SAME, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(tests), "PYTHONHASHSEED": "7"},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.stdout.split()[-1:] == [here], done.stderr
