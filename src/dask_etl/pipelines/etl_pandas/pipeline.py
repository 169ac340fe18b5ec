"""The ETL in plain pandas: what the Dask engine must match, number by number."""

from kedro.pipeline import Node, Pipeline

from dask_etl.pipelines.as_of import resolve_as_of_node

from .cleaning import screen
from .enrichment import enrich
from .summaries import summarise_customers, summarise_sales


def create_pipeline() -> Pipeline:
    """Return the pipeline from raw rows to the two summary tables."""
    engine = Pipeline(
        [
            Node(
                func=screen,
                inputs=["raw_transactions@pandas", "as_of", "params:cleaning"],
                outputs=["kept", "rejected_transactions", "row_ledger"],
                name="screen",
            ),
            Node(
                func=enrich,
                inputs=["kept", "params:cleaning", "params:features"],
                outputs="clean_transactions",
                name="enrich",
            ),
            Node(
                func=summarise_sales,
                inputs="clean_transactions",
                outputs="sales_cube",
                name="summarise_sales",
            ),
            Node(
                func=summarise_customers,
                inputs="clean_transactions",
                outputs="customers",
                name="summarise_customers",
            ),
        ],
        namespace="pandas",
        inputs={"raw_transactions@pandas", "as_of"},
        parameters={"params:cleaning", "params:features"},
        tags=["etl_pandas"],
    )
    return Pipeline([resolve_as_of_node()]) + engine
