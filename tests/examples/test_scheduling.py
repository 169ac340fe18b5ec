"""Schedules of examples/scheduling: what they run, in which order, and that it runs."""

import re
import runpy
import shlex
import shutil
import sys
import types

import pytest
import yaml

from dask_etl.pipeline_registry import register_pipelines
from examples.scheduling.airflow_dag import dag
from support.documented import blocks
from support.kedro_project import ROOT, Project

FOLDER = ROOT / "examples" / "scheduling"


class StandInDag:
    """Stands in for Airflow's: notes its arguments."""

    def __init__(self, **arguments):
        self.arguments = arguments

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return None


class StandInOperator:
    """Stands in for Airflow's: notes its arguments, and which tasks follow."""

    made: dict[str, "StandInOperator"]

    def __init__(self, *, task_id, bash_command, cwd, retries, do_xcom_push):
        self.command, self.cwd, self.then = bash_command, cwd, []
        type(self).made[task_id] = self

    def __rshift__(self, other):
        self.then.append(other)
        return other


@pytest.fixture
def airflow(monkeypatch):
    """What a DAG imports; Airflow itself is not here."""
    StandInOperator.made = {}
    bash = types.ModuleType("airflow.providers.standard.operators.bash")
    bash.BashOperator = StandInOperator
    whole = types.ModuleType("airflow")
    whole.DAG = StandInDag
    clock = types.ModuleType("pendulum")
    clock.datetime = lambda *parts, tz: (*parts, tz)
    for parent in ("providers", "providers.standard", "providers.standard.operators"):
        name = f"airflow.{parent}"
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    for module in (bash, whole, clock):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    return StandInOperator.made


def test_the_dag_runs_pipelines_in_the_order_of_their_tables(airflow, tmp_path):
    file = tmp_path / "dag.py"
    file.write_text(dag("mine", "/srv/it's here", "0 6 * * *"))
    made = runpy.run_path(str(file))["dag"]
    assert made.arguments["dag_id"] == "dask_etl_mine"
    assert made.arguments["max_active_runs"] == 1
    assert list(airflow) == ["ingestion", "etl_dask", "analytics", "reporting"]
    position = {id(task): place for place, task in enumerate(airflow.values())}
    for place, task in enumerate(airflow.values()):
        assert task.cwd == "/srv/it's here"
        assert all(position[id(then)] > place for then in task.then)
    first = airflow["ingestion"]
    assert first.then == [airflow["etl_dask"]]
    assert airflow["reporting"] in airflow["analytics"].then
    for name, task in airflow.items():
        words = shlex.split(task.command)
        assert words[words.index("--pipelines") + 1] == name


def commands() -> dict[str, list[str]]:
    """The ``kedro run`` of each example and of the README's walk, as words."""
    [readme] = [b.text for b in blocks(ROOT / "README.md") if "exports/" in b.text]
    texts = {
        "crontab": (FOLDER / "crontab").read_text(),
        "daily.yml": (FOLDER / "daily.yml").read_text(),
        "README.md": readme,
    }
    return {
        name: re.search(r"kedro (run --env mine --pipelines \S+)", text)[1].split()
        for name, text in texts.items()
    }


def test_the_workflow_is_one_and_never_runs_twice_at_a_time():
    workflow = yaml.safe_load((FOLDER / "daily.yml").read_text())
    assert workflow["concurrency"]["cancel-in-progress"] is False
    [job] = workflow["jobs"].values()
    assert all(step.keys() & {"run", "uses"} for step in job["steps"])


def test_the_page_shows_the_crontab_as_it_is():
    line = (FOLDER / "crontab").read_text().splitlines()[-1]
    assert line in (ROOT / "docs" / "scheduling.md").read_text()


def test_a_day_of_ones_own_data_and_the_next(project):
    from click.testing import CliRunner

    from dask_etl.cli import cli

    [words] = {tuple(words) for words in commands().values()}
    assert set(words[-1].split(",")) <= set(register_pipelines())
    (project.path / "exports").mkdir()
    shutil.copy(ROOT / "data" / "examples" / "shop.csv", project.path / "exports")
    adopt = ["adopt", "exports/shop.csv", "--env", "mine", "--yes"]
    done = CliRunner().invoke(cli, adopt)
    assert done.exit_code == 0, done.output
    shutil.copy(project.path / "conf/test/dask.yml", project.path / "conf" / "mine")
    mine = Project(project.path, "mine")
    first = mine.kedro(*words)
    assert first.returncode == 0, first.stderr
    assert mine.table("dask.row_ledger")["rows_kept"].to_pylist() == [626]
    # One engine alone has nothing to be compared with.
    assert "Verification" not in first.stdout + first.stderr
    assert (mine.data / "08_reporting" / "report.html").exists()
    # The next day has brought nothing; what would be reported is the same.
    mine.run("ingestion", "etl_dask")
    assert mine.table("dask.row_ledger")["rows_kept"].to_pylist() == [626]
