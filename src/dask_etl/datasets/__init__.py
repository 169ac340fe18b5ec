"""Storage: versioned, atomic Parquet, seen as Dask or as pandas frames; CSV for others."""

from dask_etl.datasets.csv import CsvDataset
from dask_etl.datasets.parquet import DaskParquetDataset, PandasParquetDataset

__all__ = ["CsvDataset", "DaskParquetDataset", "PandasParquetDataset"]
