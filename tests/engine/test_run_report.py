"""Dask's own report of long runs: readable without a network, few, and not for short ones."""

import fsspec

from dask_etl.engine import run_report
from dask_etl.engine.run_report import RunReport
from support.engine_runs import cluster


def test_reports_tell_the_tasks_and_only_the_latest_stay(tmp_path, monkeypatch):
    monkeypatch.setattr(run_report, "KEPT", 2)
    (tmp_path / "dask").mkdir()
    for name in ("dask-1.html", "dask-2.html", "mine.html"):
        (tmp_path / "dask" / name).write_text("")
    with cluster(n_workers=1) as started:
        report = RunReport(started.client)
        assert started.client.submit(sum, (1, 2), key="added-up").result() == 3
        path = report.write(
            fsspec.filesystem("file"), str(tmp_path / "dask"), "2025-01-31T06.00"
        )
    page = (tmp_path / "dask" / "dask-2025-01-31T06.00.html").read_text()
    assert path == f"{tmp_path}/dask/dask-2025-01-31T06.00.html"
    assert "number of tasks: 1" in page
    assert "cdn.bokeh.org" not in page
    left = {file.name for file in (tmp_path / "dask").iterdir()}
    assert left == {"dask-2.html", "dask-2025-01-31T06.00.html", "mine.html"}


def test_short_runs_are_not_worth_one(monkeypatch):
    asked = []

    class Client:
        def get_task_stream(self, **options):
            asked.append(options)

    report = RunReport(Client())
    assert not report.is_worth_it
    monkeypatch.setattr(run_report, "LONG", 0.0)
    assert report.is_worth_it
    assert len(asked) == 1
