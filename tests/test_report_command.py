"""``dask-etl report`` says where the report is, and opens it if asked to."""

import click
from click.testing import CliRunner
from kedro.framework.startup import bootstrap_project

from dask_etl.cli import cli


def asked(*arguments: str):
    result = CliRunner().invoke(cli, ["report", "--env", "test", *arguments])
    return result.exit_code, result.output.strip()


def test_the_report_is_found_and_opened(project, monkeypatch):
    bootstrap_project(project.path)
    page = project.data / "08_reporting" / "report.html"
    code, said = asked()
    assert code == 1
    assert said == (
        f"Error: {page}: no report has been written here yet; kedro run --pipelines "
        "reporting writes it"
    )
    page.parent.mkdir(parents=True)
    page.write_text("<!doctype html>")
    assert asked() == (0, str(page))
    opened = []
    monkeypatch.setattr(click, "launch", lambda path: opened.append(path) or 0)
    assert asked("--open") == (0, str(page))
    assert opened == [str(page)]
    monkeypatch.setattr(click, "launch", lambda path: 1)
    code, said = asked("--open")
    assert code == 1
    assert said.endswith("no browser could be started; open the file")
