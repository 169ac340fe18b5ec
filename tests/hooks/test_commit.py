"""The tables of a pipeline of one engine are put in force together, or not at all."""

import pytest
from kedro.io import DatasetError, Version

from dask_etl.datasets import PandasParquetDataset
from dask_etl.retail.tables import ANALYSES, ETL_TABLES


def versions(project, engine, tables) -> dict[str, int]:
    return {
        table.name: PandasParquetDataset(
            filepath=str(project.folder(f"{engine}.{table.name}"))
        )
        .versions()[0]
        .version
        for table in tables
    }


def fails(*_, **__):
    raise ZeroDivisionError("on purpose")


@pytest.mark.parametrize(
    ("node", "pipeline", "engine", "tables"),
    [
        ("etl_pandas.pipeline.summarise_customers", "etl_pandas", "pandas", ETL_TABLES),
        ("analytics.pipeline.customer_summary", "analytics", "pandas", ANALYSES),
    ],
)
def test_a_failure_of_one_node_leaves_all_tables_as_they_were(
    project, monkeypatch, node, pipeline, engine, tables
):
    project.run("data_generation", params={"generation": {"rows": 2_000}})
    project.run("etl_pandas")
    options = {"namespaces": [engine]} if pipeline == "analytics" else {}
    project.run(pipeline, **options)
    before = versions(project, engine, tables)
    assert len(set(before)) == len(tables)

    with monkeypatch.context() as patch:
        patch.setattr(f"dask_etl.pipelines.{node}", fails)
        with pytest.raises(ZeroDivisionError, match="on purpose"):
            project.run(pipeline, **options)
    assert versions(project, engine, tables) == before

    project.run(pipeline, **options)
    after = versions(project, engine, tables)
    assert all(after[name] > before[name] for name in before)


def test_who_looked_before_a_commit_goes_on_seeing_what_was(project):
    """Data sets of one session, i.e. of one save version, see one moment."""
    project.run("data_generation", params={"generation": {"rows": 2_000}})
    project.run("etl_pandas")

    def table(name, session):
        return PandasParquetDataset(
            filepath=str(project.folder(f"pandas.{name}")),
            version=Version(None, session),
        )

    first = table("sales_cube", "a session")
    seen = first.load()
    project.run("etl_pandas", params={"clock": {"as_of": "2024-01-01"}})
    later = table("customers", "a session")
    assert later.load()["lines"].sum() == seen["lines"].sum()
    assert first.load().equals(seen)
    anew = table("customers", "another session").load()
    assert anew["lines"].sum() < seen["lines"].sum()
    with pytest.raises(DatasetError, match="no version"):
        PandasParquetDataset(
            filepath=str(project.folder("pandas.customers")),
            version=Version("1999-01-01T00.00.00.000Z", None),
        ).load()
