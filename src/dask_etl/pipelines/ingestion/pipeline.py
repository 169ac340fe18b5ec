"""The ingestion: one node, one pass over what is new in the source."""

from kedro.pipeline import Node, Pipeline

from .nodes import ingest


def create_pipeline(**kwargs) -> Pipeline:
    """Take a source in as ``raw_transactions``, by the mapping in ``source.yml``."""
    return Pipeline(
        [
            Node(
                func=ingest,
                inputs=["source", "ingested", "params:mapping", "params:ingestion"],
                outputs=[
                    "raw_transactions@dask",
                    "rejected_lines",
                    "ingestion_ledger",
                ],
                name="ingest",
            )
        ],
        tags="ingestion",
    )
