"""Storage: versioned, atomic Parquet, seen as Dask or as pandas frames."""

from dask_etl.datasets.parquet import DaskParquetDataset, PandasParquetDataset

__all__ = ["DaskParquetDataset", "PandasParquetDataset"]
