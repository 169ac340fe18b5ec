"""``dask-etl doctor`` finds what a run would fail of, and says what to do."""

import importlib.metadata
import socket

import pytest
from click.testing import CliRunner
from kedro.framework.startup import bootstrap_project

from dask_etl import doctor
from dask_etl.cli import cli
from support.kedro_project import write_yaml


def examined(project, *arguments: str):
    bootstrap_project(project.path)
    result = CliRunner().invoke(cli, ["doctor", "--env", "test", *arguments])
    return result.exit_code, result.output


def test_where_all_is_well_it_says_so(project):
    code, said = examined(project)
    assert code == 0, said
    assert said.splitlines()[-1] == "All is well."
    assert "✓ packages     all that a run needs are installed" in said
    assert f"✓ data         {project.data}: " in said
    assert "in-process workers" in said
    assert "✓ tables       0 of " in said


def test_a_damaged_table_is_named(project):
    project.run("data_generation", params={"generation": {"rows": 20}})
    part = next((project.data / "01_raw" / "transactions").glob("*.parquet"))
    part.write_bytes(part.read_bytes()[:-1])
    code, said = examined(project)
    assert code == 1
    assert f"✗ tables       raw_transactions: {part}: is damaged. Run the " in said
    assert "1 thing to mend." in said


def test_wrong_settings_are_told_in_a_line(project):
    write_yaml(
        project.path / "conf" / "test" / "parameters_features.yml",
        {"features": {"price_bounds": [3, 2, 1]}},
    )
    code, said = examined(project)
    assert code == 1
    assert said.startswith("Error: features")
    assert len(said.splitlines()) == 1


def test_what_is_missing_or_full_or_taken(project, monkeypatch):
    monkeypatch.setattr(doctor, "DISK", 1 << 60)
    monkeypatch.setattr(doctor, "MEMORY", 1 << 60)
    monkeypatch.setattr(
        importlib.metadata,
        "requires",
        lambda _: [
            "pyarrow>=21",
            "nothing-like-it>=3",
            'openpyxl>=9000; extra == "xlsx"',
            'pandas; extra == "here"',
        ],
    )
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        write_yaml(
            project.path / "conf" / "test" / "dask.yml",
            {"local_cluster": {"dashboard_address": f"127.0.0.1:{port}"}},
        )
        code, said = examined(project)
    assert code == 1
    assert "✗ packages     nothing-like-it >=3 (there is none); install: " in said
    assert "not installed: xlsx; pip install 'dask_etl[xlsx]' adds one" in said
    assert "! machine " in said
    assert "! temporary " in said
    assert f"port {port} is taken; a run finds another" in said


@pytest.mark.parametrize(
    ("address", "words"),
    [("tcp://127.0.0.1:1", "cannot be reached"), ("tcp://192.0.2.1:8786", "TLS")],
)
def test_a_scheduler_that_is_not_there_is_told(project, monkeypatch, address, words):
    monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", address)
    code, said = examined(project)
    assert code == 1
    [line] = [line for line in said.splitlines() if line.startswith("✗")]
    assert line.startswith(f"✗ cluster      dask.yml: dask.scheduler {address}: ")
    assert words in line
    assert "set, and heeded: " in said
