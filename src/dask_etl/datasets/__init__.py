"""Storage: versioned, atomic Parquet, seen as Dask or as pandas frames; CSV, figures, reports."""

from dask_etl.datasets.csv import CsvDataset
from dask_etl.datasets.dask_parquet import DaskParquetDataset
from dask_etl.datasets.earlier import EarlierTables
from dask_etl.datasets.figure import FigureDataset
from dask_etl.datasets.history_parquet import HistoryParquetDataset
from dask_etl.datasets.pandas_parquet import PandasParquetDataset
from dask_etl.datasets.parts_parquet import PartsParquetDataset
from dask_etl.datasets.report import ReportDataset
from dask_etl.datasets.state import StateDataset

__all__ = [
    "CsvDataset",
    "DaskParquetDataset",
    "EarlierTables",
    "FigureDataset",
    "HistoryParquetDataset",
    "PandasParquetDataset",
    "PartsParquetDataset",
    "ReportDataset",
    "StateDataset",
]
