"""The project as Kedro sees it: pipelines, catalog, configuration, packaging."""

import os
import subprocess
import sys

import pyarrow.parquet as pq
import pytest
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project

from dask_etl.pipeline_registry import register_pipelines
from dask_etl.retail.parameters import (
    Cleaning,
    Clock,
    Features,
    Generation,
)
from dask_etl.tables import find_table
from oracle import TABLES
from settings_table import MODELS, configured
from support import commands
from support.kedro_project import ENGINES, ETL

PIPELINES = ("data_generation", *ETL, "analytics", "verification", "reporting")
OF_HOOKS = {"run_metrics", "run_facts", "parameters"}
"""What the hooks, or Kedro, put into the catalog."""
IN_MEMORY = {
    *("as_of", "dask.batch", "dask.survey", "dask.screened", "dask.enriched"),
    "pandas.moments",
}
"""Descriptions and moments; all that is data has an entry in the catalog."""


@pytest.fixture
def catalog(project):
    bootstrap_project(project.path)
    with KedroSession.create(project_path=project.path, env="test") as session:
        return session.load_context().catalog


def test_the_default_pipeline_is_all_of_them():
    pipelines = register_pipelines()
    default = pipelines["__default__"]
    assert set(PIPELINES) < set(pipelines)
    for name in PIPELINES:
        assert set(pipelines[name].nodes) <= set(default.nodes), name
    # Nothing is asked for that no pipeline makes, but for what the hooks give, what the
    # run before has left, and another face of what one makes.
    asked = {name for name in default.inputs() if not name.startswith("params:")}
    faces = ("rejected_transactions", "rejected_reasons", "generated_defects")
    assert asked == OF_HOOKS | {"earlier", *(f"{name}_by_part" for name in faces)}


def test_each_engine_makes_every_table_of_the_contract():
    default = register_pipelines()["__default__"]
    for engine in ENGINES:
        missing = {f"{engine}.{table}" for table in TABLES} - default.all_outputs()
        assert missing == set()


def test_every_table_has_a_place_in_the_catalog(catalog):
    names = register_pipelines()["__default__"].datasets()
    data = {name for name in names if not name.startswith("param")} - OF_HOOKS
    homeless = {
        name
        for name in data
        if "MemoryDataset" in (catalog.get_type(name) or "MemoryDataset")
    }
    assert homeless - IN_MEMORY <= {"pandas.kept", "rejected_samples"}


def test_every_stored_table_has_a_schema_and_a_folder_of_its_own(catalog):
    folders = {}
    for name in register_pipelines()["__default__"].datasets():
        dataset = catalog.get(name)
        dataset = getattr(dataset, "_dataset", dataset)
        described = dataset._describe() if dataset is not None else {}
        # Another face of a table of another name.
        if "schema" not in described or name.endswith("_by_part"):
            continue
        assert find_table(described["schema"]).schema is not None
        assert name.rpartition(".")[2].partition("@")[0] == described["schema"]
        folders.setdefault(described["filepath"], set()).add(name.partition("@")[0])
    assert len(folders) > 30
    assert {path: names for path, names in folders.items() if len(names) > 1} == {}


def test_tests_write_where_runs_do_not(catalog, project):
    for name in ("raw_transactions@dask", "dask.sales_cube", "report"):
        filepath = str(catalog.get(name)._filepath)
        assert filepath.startswith(str(project.path / "data" / "test")), name


def test_configured_parameters_are_valid_and_all_that_there_are():
    given = configured()
    assert given.keys() == MODELS.keys()
    for group, values in given.items():
        MODELS[group].model_validate(values)


def test_what_is_configured_is_what_the_code_takes_for_normal():
    given = configured()
    assert Generation(**given["generation"]) == Generation()
    assert Features(**given["features"]) == Features()
    assert Cleaning(**given["cleaning"]) == Cleaning()
    assert Clock(**given["clock"]) == Clock()


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["registry", "list"], PIPELINES),
        (["catalog", "list-patterns"], ["{engine}.sales_cube", "{figure}_plot"]),
        (
            ["catalog", "describe-datasets", "--env", "test"],
            ["raw_transactions@dask", "pandas.sales_cube", "DaskParquetDataset"],
        ),
        (
            ["catalog", "resolve-patterns", "--env", "test"],
            ["dask.cohort_retention", "schema: cohort_retention"],
        ),
    ],
)
def test_kedro_can_describe_the_project(project, command, words):
    process = project.kedro(*command)
    assert process.returncode == 0, process.stderr
    assert [word for word in words if word not in process.stdout] == []


def test_an_unknown_pipeline_is_refused_with_the_names_there_are(project):
    process = project.kedro("run", "--env", "test", "--pipelines", "etl_dusk")
    assert process.returncode != 0
    assert "etl_dusk" in process.stderr
    assert "etl_dask" in process.stderr


def test_the_package_runs_without_the_kedro_command(project):
    process = commands.run(
        [
            "dask-etl", "--env", "test",
            "--pipelines", "data_generation", "--params", "generation.rows=10",
        ],
        project.path, os.environ, timeout=100,
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    assert [pq.read_metadata(file).num_rows for file in project.raw_files()] == [10]


def test_describing_the_project_needs_no_cluster_and_no_dask():
    """``kedro registry list`` and the like answer without waiting for imports."""
    code = (
        "import sys; from dask_etl.pipeline_registry import register_pipelines;"
        "register_pipelines(); heavy = {'distributed', 'seaborn'} & set(sys.modules);"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    process = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert process.returncode == 0, process.stderr


def test_a_run_without_dask_tables_starts_no_cluster(project):
    project.run("data_generation", params={"generation": {"rows": 50}})
    process = project.kedro("run", "--env", "test", "--pipelines", "etl_pandas")
    assert process.returncode == 0, process.stderr
    assert "Dask:" not in process.stderr


def test_no_run_phones_home(tmp_path):
    """Not from any folder: without a ``.telemetry`` file Kedro takes silence for yes."""
    code = (
        "import pathlib; from kedro.framework.project import configure_project, settings;"
        "from kedro_telemetry.plugin import _check_for_telemetry_consent as consent;"
        "here = pathlib.Path.cwd(); before = consent(here);"
        "configure_project('dask_etl'); settings.HOOKS; print(before, consent(here))"
    )
    asked = ("DO_NOT_TRACK", "KEDRO_DISABLE_TELEMETRY")
    process = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={name: value for name, value in os.environ.items() if name not in asked},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert process.stdout.split()[-2:] == ["None", "False"]
