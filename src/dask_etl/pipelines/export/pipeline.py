"""The export: nothing is computed, what is loaded is saved in another format."""

from typing import Any

from kedro.pipeline import Node, Pipeline

from dask_etl.retail.tables import ANALYSES

ENGINES = ("dask", "pandas")


def create_pipeline() -> Pipeline:
    """Write the clean transactions of the Dask engine and the analyses of both."""
    clean = Pipeline([_export("clean_transactions")], namespace="dask", tags="export")
    return sum(
        (
            Pipeline(
                [_export(table.name) for table in ANALYSES],
                namespace=engine,
                tags="export",
            )
            for engine in ENGINES
        ),
        clean,
    )


def _export(table: str) -> Node:
    return Node(
        func=as_it_is,
        inputs=table,
        outputs=f"{table}_csv",
        name=f"export_{table}",
    )


def as_it_is(table: Any) -> Any:
    """Return a table, pandas or Dask, for its dataset to write."""
    return table
