"""The benchmark's parts: its plan, what it measures, and the whole command once."""

import os
import shutil
import sys
from collections import Counter
from itertools import groupby

import pandas as pd
import pytest
import yaml

from benchmarks import commands, measure
from benchmarks.overhead import measure_overhead
from benchmarks.plan import Variant, experiments, rounds
from benchmarks.settings import DEFAULTS, Benchmark, Scaling, Wide, load_settings
from benchmarks.summary import summarise
from benchmarks.workspace import BenchmarkError, check_disk
from dask_etl.errors import ExplainedError
from dask_etl.retail.parameters import Generation
from support.benchmark_runs import results
from support.commands import run as run_command
from support.kedro_project import ROOT, write_yaml

SMALL = {
    "sizes": [5_000],
    "crossover_sizes": [],
    "scaling": None,
    "wide": None,
    "repeats": 1,
    "overhead_partitions": [3],
}


# ------------------------------------------------------------------- the plan


def test_rounds_begin_with_another_contender_each():
    settings = Benchmark(
        sizes=[10], contenders=["etl_pandas", "etl_dask", "pandas_plain"], repeats=4
    )
    plan = experiments(settings.model_copy(update={"scaling": None}))
    [experiment] = [e for e in plan if e.name == "sizes"]
    order = [(number, variant.name) for number, variant in rounds(experiment)]
    names = [name for _, name in order]
    assert [number for number, _ in order] == [n for n in (1, 2, 3, 4) for _ in "abc"]
    assert names[:6] == [
        "etl_pandas", "etl_dask", "pandas_plain", "etl_dask", "pandas_plain", "etl_pandas"
    ]  # fmt: skip
    assert set(Counter(names).values()) == {4}


def test_plan_has_every_experiment_least_rows_first():
    settings = Benchmark(
        sizes=[1000, 100],
        crossover_sizes=[10, 100],
        contenders=["etl_dask", "polars_tuned"],
        memory_caps=[10**9],
        scaling=Scaling(rows=50, threads=[1, 2], processes=[1]),
        wide=Wide(rows=100),
    )
    plan = experiments(settings)
    assert [(e.name, e.rows) for e in plan] == [
        ("crossover", 10),
        ("scaling", 50),
        ("sizes", 100),
        ("memory cap", 100),
        ("wide data", 100),
        ("sizes", 1000),
        ("memory cap", 1000),
    ]
    names = {e.name: [v.name for v in e.variants] for e in plan}
    assert names["crossover"] == ["etl_dask"]
    assert names["wide data"] == ["etl_dask", "polars_tuned"]
    [wide] = [dict(e.generation) for e in plan if e.generation]
    assert wide == {"regions": 1_000, "categories": 200, "start": "2015-01-01"}
    assert Generation(**wide).categories == 200
    # Experiments on the same raw data stand together.
    assert len(list(groupby(plan, key=lambda e: e.data))) == 5
    assert names["scaling"] == [
        "etl_dask, 1 thread", "etl_dask, 2 threads", "etl_dask, 1 process"
    ]  # fmt: skip
    assert names["memory cap"] == ["etl_dask in 1 GB", "polars_tuned in 1 GB"]


def test_workers_become_parameters_of_the_run():
    threads = Variant("etl_dask", "a", "threads", 2).parameters
    processes = Variant("etl_dask", "b", "processes", 3).parameters
    assert list(threads.values()) == ["false", 1, 2]
    assert list(processes.values()) == ["true", 3, 1]
    assert Variant("etl_dask", "c").parameters == {}


def test_who_cannot_take_part_and_why(tmp_path, monkeypatch):
    def reason(name, rows=10):
        return commands.unavailable(
            Variant(name, name), rows, {"etl_pandas": 20}, tmp_path
        )

    assert reason("etl_pandas") is None
    assert "above 20 rows" in reason("etl_pandas", 21)
    assert "is not there" in reason("pandas_plain")
    shutil.copytree(ROOT / "benchmarks", tmp_path / "benchmarks")
    assert reason("pandas_plain") is None
    monkeypatch.setitem(commands.LIBRARIES, "polars_tuned", ("no_such_library", "x"))
    assert "no_such_library is not installed (pip install 'dask_etl[x]')" in (
        reason("polars_tuned")
    )
    monkeypatch.setitem(commands.LIBRARIES, "pyspark_local", ("json", "x"))
    monkeypatch.setenv("JAVA_HOME", "/somewhere")
    assert reason("pyspark_local") is None
    monkeypatch.delenv("JAVA_HOME")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "there is no Java" in reason("pyspark_local")


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"size": [1]}, "settings.size: there is no 'size'; did you mean 'sizes'?"),
        ({"contenders": ["spark"]}, "settings.contenders[0]: there is no 'spark'."),
        (
            {"scaling": {"rows": 0}},
            "settings.scaling.rows: must be at least 1, it is 0",
        ),
        ({"as_of": 2018}, "settings.as_of: "),
    ],
    ids=["unknown", "unknown contender", "out of bounds", "no moment"],
)
def test_settings_are_strict(tmp_path, wrong, words):
    write_yaml(tmp_path / "mine.yml", wrong)
    with pytest.raises(ExplainedError) as failure:
        load_settings(tmp_path / "mine.yml")
    [said] = str(failure.value).splitlines()
    assert said.startswith(f"{tmp_path / 'mine.yml'}: {words}")


def test_a_disk_that_is_too_small(tmp_path):
    with pytest.raises(BenchmarkError, match=r"may need 300000000\.0 GB of disk"):
        check_disk(tmp_path / "new", 10**15)
    check_disk(tmp_path / "new", 1)


# ------------------------------------------------------------- the measurement


def measured(tmp_path, code, **options):
    return measure.run(
        [sys.executable, "-c", code],
        tmp_path,
        tmp_path / "log",
        **{"timeout": 60, **options},
    )


def test_counts_what_children_did(tmp_path):
    child = (
        "block = b'x' * 60_000_000; open('written', 'wb').write(block); "
        "import time; time.sleep(0.3)"
    )
    cost = measured(
        tmp_path,
        "import subprocess, sys; block = bytearray(b'x' * 50_000_000); "
        f"subprocess.run([sys.executable, '-c', {child!r}])",
    )
    assert cost.outcome == measure.COMPLETED
    assert cost.peak_memory_mb > 105
    assert cost.wall_seconds > 0.3
    assert cost.cpu_seconds > 0
    assert cost.written_mb is None or cost.written_mb >= 60


def test_tells_failures_from_timeouts(tmp_path):
    failed = measured(tmp_path, "raise SystemExit('no such thing')")
    assert (failed.outcome, failed.exit_code) == (measure.FAILED, 1)
    assert measure.last_words(tmp_path / "log") == "no such thing"
    slow = measured(tmp_path, "import time; time.sleep(60)", timeout=0.3)
    assert slow.outcome == measure.TIMED_OUT
    shot = measured(tmp_path, "import os; os.kill(os.getpid(), 9)")
    assert shot.outcome == measure.KILLED


def test_environment_of_the_person_does_not_reach_contenders(tmp_path, monkeypatch):
    monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", "tcp://127.0.0.1:1")
    code = "import os; print('DASK_SCHEDULER_ADDRESS' in os.environ)"
    measured(tmp_path, code)
    assert measure.last_words(tmp_path / "log") == "False"


def test_graphs_are_linear_in_partitions():
    table = measure_overhead([20, 10]).to_pandas()
    assert len(table) == 8
    assert (table["seconds"] > 0).all()
    for _, lines in table.groupby(["scheduler", "what"]):
        few, many = lines.to_dict("records")
        assert (few["partitions"], many["partitions"]) == (10, 20)
        assert many["graph_keys"] - few["graph_keys"] == 10


# ------------------------------------------------------------------ the command


@pytest.fixture
def bench_project(project):
    shutil.copytree(ROOT / "benchmarks", project.path / "benchmarks")
    return project


def bench(project, *options, **settings):
    """``python -m benchmarks`` in a project, as a person would run it."""
    write_yaml(project.path / "mine.yml", {**SMALL, **settings})
    words = ["benchmarks", "--settings", "mine.yml", *options]
    return run_command(words, project.path, os.environ, timeout=120)


def test_a_contender_with_wrong_outputs_fails_the_benchmark(bench_project):
    scripts = bench_project.path / commands.SCRIPTS
    right = (scripts / "pandas_plain.py").read_text()
    wrong = right.replace("if __name__ ==", "PRICE_BINS[2] = 51\n\n\nif __name__ ==")
    assert wrong != right
    (scripts / "dask_textbook.py").write_text(wrong)
    done = bench(bench_project, contenders=["pandas_plain", "dask_textbook"])
    assert done.returncode == 1
    said = done.stderr.splitlines()[-1]
    assert "dask_textbook and pandas_plain made different tables" in said
    assert "clean_transactions: transaction_id=" in said
    assert "column price_category is 'Medium', expected 'High'" in said
    assert not [*(bench_project.path / "data").rglob("*benchmark*")]


def test_the_benchmark_runs_and_cleans_up(bench_project):
    done = bench(
        bench_project,
        contenders=["etl_dask", "pandas_plain", "polars_tuned"],
        max_rows={"polars_tuned": 10},
    )
    assert done.returncode == 0, done.stderr
    reports = bench_project.path / "data" / "08_reporting"
    table = pd.read_parquet(reports / "benchmark_results.parquet")
    assert dict(zip(table["variant"], table["outcome"], strict=True)) == {
        "polars_tuned": "skipped",
        "etl_dask": "completed",
        "pandas_plain": "completed",
    }
    completed = table[table["outcome"] == "completed"].set_index("variant")
    wanted = ["wall_seconds", "cpu_seconds", "peak_memory_mb", "input_mb", "output_mb"]
    assert (completed[wanted] > 0).all().all()
    dask = completed.loc["etl_dask"]
    assert 0 < dask["compute_seconds"] < dask["pipeline_seconds"] < dask["wall_seconds"]
    assert pd.isna(completed.loc["pandas_plain", "pipeline_seconds"])
    assert list(table.columns) == list(results().columns)
    text = (reports / "benchmark.md").read_text()
    assert "## 5,000 rows" in text
    assert str(bench_project.path) not in text
    assert (reports / "benchmark.png").stat().st_size > 10_000
    stored = pd.read_parquet(reports / "benchmark_summary.parquet")
    pd.testing.assert_frame_equal(stored, summarise(table))
    assert len(pd.read_parquet(reports / "benchmark_overhead.parquet")) == 4
    assert not (bench_project.path / "data" / "09_benchmark").exists()

    (reports / "benchmark.md").unlink()
    assert bench(bench_project, "--report-only").returncode == 0
    assert (reports / "benchmark.md").read_text() == text


@pytest.mark.parametrize(
    ("settings", "options", "said"),
    [
        ({"size": [1]}, [], "mine.yml: settings.size: there is no 'size'; did you"),
        ({"repeats": 0}, [], "mine.yml: settings.repeats: must be at least 1"),
        ({}, ["--report-only"], "There are no measurements in"),
    ],
)
def test_what_is_wrong_is_one_line(bench_project, settings, options, said):
    done = bench(bench_project, *options, **settings)
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert said in line


def test_settings_of_the_file_are_all_there_are():
    settings = load_settings().model_copy(update={"max_rows": {}})
    assert settings == Benchmark()
    assert set(yaml.safe_load(DEFAULTS.read_text())) == set(Benchmark.model_fields)


def test_the_product_does_not_know_its_benchmark():
    modules = [*(ROOT / "src").rglob("*.py"), *(ROOT / "conf").rglob("*.yml")]
    assert [str(m) for m in modules if "benchmark" in m.read_text().lower()] == []
