"""The fast engine: the whole ETL as one Dask computation, one pass after a survey."""

from kedro.pipeline import Node, Pipeline

from .nodes import enrich, resolve_as_of, screen, summarise, survey


def create_pipeline(**kwargs) -> Pipeline:
    """Survey → screen → enrich → summarise raw transactions with Dask."""
    return Pipeline(
        [
            Node(
                func=resolve_as_of,
                inputs="params:clock",
                outputs="as_of",
                name="resolve_as_of",
            ),
            Node(
                func=survey,
                inputs=["raw_transactions@dask", "as_of"],
                outputs="survey",
                name="survey",
            ),
            Node(
                func=screen,
                inputs=["raw_transactions@dask", "survey", "as_of"],
                outputs="screened",
                name="screen",
            ),
            Node(
                func=enrich,
                inputs=["screened", "survey", "params:features"],
                outputs="enriched",
                name="enrich",
            ),
            Node(
                func=summarise,
                inputs=["enriched", "survey", "as_of", "params:cleaning"],
                outputs=[
                    "clean_transactions",
                    "rejected_transactions",
                    "row_ledger",
                    "sales_cube",
                    "customers",
                ],
                name="summarise",
            ),
        ],
        namespace="dask",
        inputs={"raw_transactions@dask"},
        parameters={"params:clock", "params:cleaning", "params:features"},
        tags="etl_dask",
    )
