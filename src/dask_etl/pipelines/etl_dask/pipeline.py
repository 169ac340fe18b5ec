"""The fast engine: the whole ETL as one Dask computation, one pass after a survey."""

from kedro.pipeline import Node, Pipeline

from dask_etl.pipelines.as_of import resolve_as_of_node

from .nodes import enrich, plan, screen, summarise, survey


def create_pipeline(**kwargs) -> Pipeline:
    """Plan → survey → screen → enrich → summarise raw transactions with Dask."""
    engine = Pipeline(
        [
            Node(
                func=plan,
                inputs=[
                    "raw_transactions@dask",
                    "earlier",
                    "as_of",
                    "params:etl",
                    "params:cleaning",
                    "params:features",
                    "params:calendar",
                    "params:currency",
                ],
                outputs="batch",
                name="plan",
            ),
            Node(
                func=survey,
                inputs=[
                    "raw_transactions@dask",
                    "batch",
                    "params:cleaning",
                    "params:calendar",
                    "params:currency",
                ],
                outputs="survey",
                name="survey",
            ),
            Node(
                func=screen,
                inputs=[
                    "raw_transactions@dask",
                    "survey",
                    "batch",
                    "params:cleaning",
                    "params:currency",
                ],
                outputs="screened",
                name="screen",
            ),
            Node(
                func=enrich,
                inputs=[
                    "screened",
                    "survey",
                    "params:cleaning",
                    "params:features",
                    "params:calendar",
                    "params:currency",
                ],
                outputs="enriched",
                name="enrich",
            ),
            Node(
                func=summarise,
                inputs=[
                    "enriched",
                    "survey",
                    "batch",
                    "params:cleaning",
                    "params:calendar",
                    "params:currency",
                ],
                outputs=[
                    "clean_transactions",
                    "rejected_transactions",
                    "row_ledger",
                    "sales_cube",
                    "customers",
                    "orders",
                    "processed_files",
                ],
                name="summarise",
            ),
        ],
        namespace="dask",
        inputs={"raw_transactions@dask", "earlier", "as_of"},
        parameters={
            "params:etl",
            "params:cleaning",
            "params:features",
            "params:calendar",
            "params:currency",
        },
        tags="etl_dask",
    )
    return Pipeline([resolve_as_of_node()]) + engine
