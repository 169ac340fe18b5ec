"""The ETL in plain pandas: what the Dask engine must match, number by number."""

from kedro.pipeline import Node, Pipeline

from .cleaning import resolve_as_of, screen
from .enrichment import enrich
from .summaries import summarise_customers, summarise_sales


def create_pipeline() -> Pipeline:
    """Return the pipeline from raw rows to the two summary tables."""
    return Pipeline(
        [
            Node(
                func=resolve_as_of,
                inputs="params:clock",
                outputs="as_of",
                name="resolve_as_of",
            ),
            Node(
                func=screen,
                inputs=["raw_transactions@pandas", "as_of", "params:cleaning"],
                outputs=["kept", "rejected_transactions", "row_ledger"],
                name="screen",
            ),
            Node(
                func=enrich,
                inputs=["kept", "params:features"],
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
        inputs={"raw_transactions@pandas"},
        parameters={"params:clock", "params:cleaning", "params:features"},
        tags=["etl_pandas"],
    )
