"""The one moment that both engines judge the data at."""

from datetime import datetime

from kedro.pipeline import Node

from dask_etl.retail.parameters import Clock


def resolve_as_of(clock: Clock) -> datetime:
    """Return the moment that the data is judged at: the parameter, or now, in UTC."""
    return clock.resolve()


def resolve_as_of_node() -> Node:
    """Make the node that both ETL pipelines share: in one run there is one of it."""
    return Node(
        func=resolve_as_of,
        inputs="params:clock",
        outputs="as_of",
        name="resolve_as_of",
        tags=["etl_dask", "etl_pandas"],
    )
