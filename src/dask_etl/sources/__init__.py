"""Any data in: files, databases and APIs of others, mapped to the columns of a table."""

from dask_etl.sources.datasets import (
    CsvSource,
    DeltaSource,
    ExcelSource,
    JsonLinesSource,
    ParquetSource,
)
from dask_etl.sources.remote_sources import ApiSource, DatabaseSource

__all__ = [
    "ApiSource",
    "CsvSource",
    "DatabaseSource",
    "DeltaSource",
    "ExcelSource",
    "JsonLinesSource",
    "ParquetSource",
]
