import pytest

from dask_etl.pipelines.analytics import create_pipeline
from dask_etl.retail.tables import ANALYSES

TABLES = {
    "region_performance",
    "category_performance",
    "monthly_sales",
    "daily_sales",
    "weekday_pattern",
    "customer_segments",
    "segment_summary",
    "cohort_retention",
    "customer_summary",
    "order_summary",
}


@pytest.mark.parametrize("engine", ["dask", "pandas"])
def test_each_engine_has_every_analysis_of_its_summaries(engine):
    pipeline = create_pipeline().only_nodes_with_namespaces([engine])
    assert pipeline.all_outputs() == {f"{engine}.{table}" for table in TABLES}
    assert pipeline.inputs() == {
        f"{engine}.sales_cube",
        f"{engine}.customers",
        f"{engine}.orders",
        f"{engine}.row_ledger",
        "params:segments",
        "params:currency",
    }
    assert {node.name for node in pipeline.nodes} == pipeline.all_outputs()


def test_every_table_is_declared_and_every_node_has_the_tag():
    assert {table.name for table in ANALYSES} == TABLES
    assert all(node.tags == {"analytics"} for node in create_pipeline().nodes)
