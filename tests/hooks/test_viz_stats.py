"""Kedro-Viz shows the rows and the size of every table, whichever run wrote it."""

import json
from types import SimpleNamespace

import pytest

from dask_etl.datasets import PandasParquetDataset
from dask_etl.hooks import VizStatsHooks


def test_every_table_that_was_written_has_rows_and_a_size(project):
    pytest.importorskip("kedro_viz")
    # In a process of its own: Kedro-Viz remembers the frames of earlier runs.
    for pipeline in ("data_generation", "etl_pandas"):
        process = project.kedro(
            *("run", "--env", "test", "--pipelines", pipeline),
            *("--params", "generation.rows=400"),
        )
        assert process.returncode == 0, process.stderr
    stats = json.loads((project.path / ".viz" / "stats.json").read_text())
    raw = stats["raw_transactions"]
    assert (raw["rows"], raw["columns"]) == (400, 10)
    for name in ("pandas.clean_transactions", "pandas.customers", "generation_truth"):
        dataset = PandasParquetDataset(filepath=str(project.folder(name)))
        newest = dataset.versions()[0]
        assert (stats[name]["rows"], stats[name]["file_size"]) == (
            newest.rows,
            newest.bytes,
        )
    assert "dask.customers" not in stats


def test_without_kedro_viz_nothing_is_written(project, monkeypatch):
    from kedro_viz.integrations.kedro.hooks import DatasetStatsHook

    monkeypatch.setattr(DatasetStatsHook, "after_pipeline_run", lambda self: None)
    project.run("data_generation", params={"generation": {"rows": 400}})
    assert not (project.path / ".viz" / "stats.json").exists()


def test_each_environment_has_its_own_records(tmp_path):
    def hooks(env):
        made = VizStatsHooks()
        made.after_context_created(SimpleNamespace(project_path=tmp_path, env=env))
        return made

    folder = tmp_path / ".viz"
    events = folder / "kedro_pipeline_events.json"
    hooks("one").on_pipeline_error()
    assert not folder.exists()
    folder.mkdir()
    events.write_text("failed")
    hooks("one").on_pipeline_error()
    hooks("one")
    assert events.read_text() == "failed"
    hooks("two")
    assert not events.exists()
    events.write_text("fine")
    hooks("one")
    assert events.read_text() == "failed"
    hooks("two")
    assert events.read_text() == "fine"
