"""Dask ETL: retail transactions from raw rows to reports, on Dask and on pandas."""

__version__ = "0.1.0"

TABLE_MODULES = [
    "dask_etl.retail.tables",
    "dask_etl.hooks.records",
    "dask_etl.sources.tables",
]
"""Modules whose tables the catalog may name without their path."""
