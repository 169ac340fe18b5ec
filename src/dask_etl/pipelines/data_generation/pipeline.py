"""Make raw transactions to run on, where there are none of one's own."""

from kedro.pipeline import Node, Pipeline

from .nodes import generate


def create_pipeline(**kwargs) -> Pipeline:
    """Generate ``raw_transactions`` and what is wrong with them."""
    return Pipeline(
        [
            Node(
                func=generate,
                inputs="params:generation",
                outputs=[
                    "raw_transactions@dask",
                    "generation_truth",
                    "generated_defects",
                ],
                name="generate",
            )
        ],
        tags="data_generation",
    )
