"""Verification: every table of one engine against its twin of the other."""

import warnings

from kedro.pipeline import Node, Pipeline

from dask_etl.retail.tables import COMPARED

from .nodes import verify_engines


def create_pipeline() -> Pipeline:
    """Compare the engines' tables; what comes of a difference is up to reporting."""
    with warnings.catch_warnings():
        # Kedro warns of dots outside a namespace: the node reads from two of them.
        warnings.filterwarnings("ignore", message="One or more dataset names contain")
        node = Node(
            func=verify_engines,
            inputs={
                f"{engine}_{table}": f"{engine}.{table}"
                for table in COMPARED
                for engine in ("dask", "pandas")
            },
            outputs="verification",
            name="verify_engines",
        )
        return Pipeline([node], tags="verification")
