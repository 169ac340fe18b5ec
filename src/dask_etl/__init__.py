"""Dask ETL: retail transactions from raw rows to reports, on Dask and on pandas."""

__version__ = "0.1.0"
