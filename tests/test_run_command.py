"""What is mistyped on the command line ends in one line, before anything starts."""

import os

import pytest
from click.testing import CliRunner
from kedro.framework.startup import bootstrap_project

from dask_etl.cli import cli
from dask_etl.run_command import run
from support import commands


def said(project, *arguments: str) -> str:
    """Run in the project, which must refuse; return what it says."""
    bootstrap_project(project.path)
    result = CliRunner().invoke(run, [*arguments])
    assert result.exit_code == 1, result.exception
    [line] = result.output.splitlines()
    return line


MISTYPED = {
    "pipeline": (
        ["--pipelines", "etl_dsk"],
        "Error: --pipelines: there is no 'etl_dsk'; did you mean 'etl_dask'? There are "
        "analytics, data_generation, ",
    ),
    "pipeline, old option": (
        ["--pipeline", "reportng"],
        "Error: --pipelines: there is no 'reportng'; did you mean 'reporting'?",
    ),
    "environment": (
        ["--env", "tset", "--pipelines", "etl_pandas"],
        "Error: there is no environment 'tset' in ",
    ),
    "node": (
        ["--nodes", "dask.surve"],
        "Error: --nodes: there is no 'dask.surve' in any pipeline of the default run; "
        "did you mean dask.survey",
    ),
    "node without its namespace": (
        ["--pipelines", "etl_dask", "--from-nodes", "survey"],
        "Error: --from-nodes: there is no 'survey' in etl_dask; did you mean "
        "dask.survey? There are ",
    ),
    "node, nothing like it": (
        ["--to-nodes", "zzzzzz"],
        "Error: --to-nodes: there is no 'zzzzzz' in any pipeline of the default run.",
    ),
    "namespace": (
        ["--pipelines", "analytics", "--namespaces", "dusk"],
        "Error: --namespaces: there is no 'dusk' in analytics; did you mean dask? There "
        "are dask, pandas",
    ),
    "output": (
        ["--to-outputs", "buisness_insights_plot"],
        "Error: --to-outputs: there is no 'buisness_insights_plot' in any pipeline of "
        "the default run; did you mean business_insights_plot",
    ),
    "tag": (
        ["--tags", "analytcs"],
        "Error: --tags: there is no 'analytcs' in any pipeline of the default run; did "
        "you mean analytics",
    ),
    "runner": (
        ["--runner", "SequentalRunner"],
        "Error: --runner: there is no 'SequentalRunner'; did you mean "
        "'SequentialRunner'?",
    ),
    "nothing left": (
        ["--tags", "reporting", "--namespaces", "dask"],
        "Error: --tags reporting --namespaces dask: Pipeline contains no nodes",
    ),
    "parameter": (
        ["--params", "generation.rows=-1"],
        "Error: generation.rows: must be at least 0, it is -1",
    ),
}


@pytest.mark.parametrize("case", MISTYPED)
def test_what_is_mistyped_is_told_in_one_line(shared_project, case):
    arguments, line = MISTYPED[case]
    assert said(shared_project, *arguments).startswith(line)


def test_names_with_or_without_their_face_are_known(shared_project):
    """Kedro takes both; what runs then is another matter."""
    for name in ("raw_transactions", "raw_transactions@dask"):
        line = said(
            shared_project, "--from-inputs", name, "--params", "generation.rows=-1"
        )
        assert line.startswith("Error: generation.rows: ")


@pytest.mark.parametrize(
    "command", [["run"], ["tables", "list"], ["doctor"], ["report"]]
)
def test_outside_of_a_project_it_is_said_that_this_is_none(
    tmp_path, monkeypatch, command
):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(cli, command)
    assert result.exit_code == 1
    assert result.output == (
        f"Error: {tmp_path} is in no project: there is no folder conf/base. Change to "
        "the project's folder.\n"
    )


def test_outside_of_a_project_nothing_else_is_said(tmp_path):
    words = ["dask-etl", "tables", "list"]
    process = commands.run(words, tmp_path, os.environ, timeout=100)
    assert process.returncode == 1
    assert process.stdout == ""
    assert process.stderr.startswith(f"Error: {tmp_path} is in no project")
    assert process.stderr.count("\n") == 1


def test_from_a_folder_of_the_project_the_project_runs(project):
    """As in its own folder: the same data, the same way of logging."""
    below = project.path / "src"
    process = commands.run(
        [
            "dask-etl", "run", "--env", "test",
            "--pipelines", "data_generation", "--params", "generation.rows=10",
        ],
        below, os.environ, timeout=100,
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    assert project.table("generation_truth").num_rows > 0
    assert not list(below.iterdir())
    assert (
        "raw_transactions 10, generation_truth 12, generated_defects" in process.stderr
    )
    assert "Kedro project" not in process.stderr
