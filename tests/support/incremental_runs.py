"""Runs that add to what earlier ones left: the nodes of both engines, without Kedro."""

from datetime import datetime
from pathlib import Path

import pyarrow as pa

from dask_etl.datasets import EarlierTables, PandasParquetDataset
from dask_etl.datasets.earlier import Earlier
from dask_etl.datasets.publish import publish
from dask_etl.pipelines.etl_dask import kernels
from dask_etl.pipelines.etl_pandas.moments import judge_at
from dask_etl.retail.parameters import Calendar, Cleaning, Etl, Features
from dask_etl.retail.tables import STATE
from oracle.raw_files import AS_OF
from support.engine_runs import (
    AUTO,
    TABLES,
    TOLERANT,
    describe,
    make_pandas,
    raw_dataset,
    stored,
)
from support.fault_injection import slowed
from support.good_rows import CALENDAR, CURRENCY

NAMES = tuple(table.name for table in STATE)


def datasets_in(out: Path) -> dict[str, PandasParquetDataset]:
    """The data sets of the tables in a folder, and of what the next run needs."""
    return {
        name: PandasParquetDataset(
            filepath=str(out / name), schema=name, release=str(out)
        )
        for name in NAMES
    }


def earlier_in(out: Path) -> Earlier | None:
    """What a run finds there."""
    return EarlierTables(filepath=str(out), tables=NAMES, release=str(out)).load()


def add(
    raw: Path,
    out: Path,
    as_of: datetime = AS_OF,
    etl: Etl = AUTO,
    cleaning: Cleaning = TOLERANT,
    rows_per_partition: int = 40,
    resume: bool = True,
    calendar: Calendar = CALENDAR,
) -> None:
    """Run the Dask engine on a folder of raw files, and add to what there is."""
    frame = raw_dataset(raw, rows_per_partition).load()
    made = describe(
        frame,
        as_of,
        cleaning,
        calendar,
        earlier=earlier_in(out),
        etl=etl,
        with_state=True,
    )
    datasets = datasets_in(out)
    publish({datasets[name]: table for name, table in made.items()}, resume)


def slowed_add(raw: Path, out: Path, seconds: float, *arguments) -> None:
    """The same, slowly."""
    for name in ("survey_partition", "screen_partition"):
        setattr(kernels, name, slowed(getattr(kernels, name), seconds, None))
    add(raw, out, *arguments)


def tables_in(out: Path) -> dict[str, pa.Table]:
    """The tables that runs have left."""
    return {name: stored(dataset) for name, dataset in datasets_in(out).items()}


def pandas_beside(
    raw: Path,
    out: Path,
    as_of: datetime = AS_OF,
    etl: Etl = AUTO,
    cleaning: Cleaning = TOLERANT,
    calendar: Calendar = CALENDAR,
) -> dict[str, pa.Table]:
    """The tables of the pandas engine, run beside what the Dask engine has left."""
    dataset = PandasParquetDataset(filepath=str(raw), schema="raw_transactions")
    frame = dataset.load()
    settings = (cleaning, Features(), calendar, CURRENCY)
    moments = judge_at(frame, earlier_in(out), as_of, etl, *settings)
    made = make_pandas(frame, moments, cleaning, calendar)
    datasets = datasets_in(out)
    return {name: datasets[name].table_of(made[name]) for name in TABLES}
