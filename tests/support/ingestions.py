"""The ingestion without Kedro: a folder of CSV files into tables beside it."""

from pathlib import Path

from dask_etl.datasets import DaskParquetDataset, PandasParquetDataset, StateDataset
from dask_etl.datasets.publish import publish
from dask_etl.pipelines.ingestion.nodes import ingest
from dask_etl.retail.mapping import Ingestion, Mapping
from dask_etl.sources import CsvSource

MAPPING = Mapping.model_validate(
    {
        "columns": {
            "transaction_id": {"compose": ["receipt"], "numbered": True},
            "customer_id": {"from": "who"},
            "amount": {"from": "price"},
            "quantity": {"constant": 1},
            "timestamp": {"from": "at", "format": "%d.%m.%Y"},
        },
        "keep": ["note"],
    }
)
HEAD = "receipt,who,price,at,note"
TABLES = {
    "raw_transactions": "rows",
    "rejected_lines": "rejected_lines",
    "ingestion_ledger": "ingestion_ledger",
}


def tables_in(folder: Path) -> dict[str, PandasParquetDataset]:
    """The tables of an ingestion, to look at; rows with the columns that they have."""
    return {
        name: PandasParquetDataset(
            filepath=str(folder / name),
            release=str(folder),
            schema=None if name == "raw_transactions" else name,
        )
        for name in TABLES
    }


def take_in(
    source: Path, folder: Path, mode: str = "auto", blocksize: int = 64
) -> None:
    """Take in what is new in a folder of CSV files."""
    state = StateDataset(
        filepath=str(folder),
        release=str(folder),
        notes="ingestion_ledger",
        tables={other: name for name, other in TABLES.items()},
    )
    made = ingest(
        CsvSource(filepath=str(source), blocksize=blocksize).load(),
        state.load(),
        MAPPING,
        Ingestion(mode=mode, thresholds={}),
    )
    datasets = [
        DaskParquetDataset(
            filepath=str(folder / name), release=str(folder), schema=name
        )
        for name in TABLES
    ]
    publish(dict(zip(datasets, made, strict=True)))
