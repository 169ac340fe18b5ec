"""Time travel with Kedro's own option."""


def test_kedro_run_loads_an_earlier_version(project):
    project.run("data_generation", params={"generation": {"rows": 2_000}})
    project.run("etl_dask")
    first = project.current("dask.sales_cube")
    project.run("analytics", namespaces=["dask"])
    wanted = project.table("dask.daily_sales")

    project.run("etl_dask", params={"clock": {"as_of": "2024-01-01"}})
    project.run("analytics", namespaces=["dask"])
    assert project.table("dask.daily_sales") != wanted
    project.run(
        "analytics",
        node_names=("dask.daily_sales",),
        load_versions={"dask.sales_cube": first},
    )
    assert project.table("dask.daily_sales") == wanted
