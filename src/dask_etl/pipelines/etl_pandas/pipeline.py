"""The ETL in plain pandas: what the Dask engine must match, number by number."""

from kedro.pipeline import Node, Pipeline

from dask_etl.pipelines.as_of import resolve_as_of_node

from .cleaning import screen
from .enrichment import enrich
from .moments import judge_at
from .summaries import summarise_customers, summarise_orders, summarise_sales


def create_pipeline() -> Pipeline:
    """Return the pipeline from raw rows to the summary tables."""
    engine = Pipeline(
        [
            Node(
                func=judge_at,
                inputs=[
                    "raw_transactions@pandas",
                    "earlier",
                    "as_of",
                    "params:etl",
                    "params:cleaning",
                    "params:features",
                    "params:calendar",
                    "params:currency",
                ],
                outputs="moments",
                name="judge_at",
            ),
            Node(
                func=screen,
                inputs=[
                    "raw_transactions@pandas",
                    "moments",
                    "params:cleaning",
                    "params:currency",
                ],
                outputs=["kept", "rejected_transactions", "row_ledger"],
                name="screen",
            ),
            Node(
                func=enrich,
                inputs=[
                    "kept",
                    "params:cleaning",
                    "params:features",
                    "params:calendar",
                    "params:currency",
                ],
                outputs="clean_transactions",
                name="enrich",
            ),
            Node(
                func=summarise_sales,
                inputs=["clean_transactions", "params:calendar", "params:currency"],
                outputs="sales_cube",
                name="summarise_sales",
            ),
            Node(
                func=summarise_customers,
                inputs=["clean_transactions", "params:currency"],
                outputs="customers",
                name="summarise_customers",
            ),
            Node(
                func=summarise_orders,
                inputs=["clean_transactions", "params:currency"],
                outputs="orders",
                name="summarise_orders",
            ),
        ],
        namespace="pandas",
        inputs={"raw_transactions@pandas", "earlier", "as_of"},
        parameters={
            "params:etl",
            "params:cleaning",
            "params:features",
            "params:calendar",
            "params:currency",
        },
        tags=["etl_pandas"],
    )
    return Pipeline([resolve_as_of_node()]) + engine
