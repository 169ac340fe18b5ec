"""Readings of thermometers: drop the impossible, deduplicate, hourly means.

No shop, no Kedro: the same engine and the same storage, from another domain.
"""

import functools
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dask_etl.datasets import DaskParquetDataset, PandasParquetDataset
from dask_etl.datasets.publish import publish
from dask_etl.engine.deduplicate import buckets_for, later_copies
from dask_etl.engine.partitions import Partitions, Tables
from dask_etl.storage.encodings import Encodings
from dask_etl.tables import Table

INSTANT = pa.timestamp("us", tz="UTC")
COLDEST, HOTTEST = -60.0, 60.0
"""Degrees Celsius that the thermometers can measure."""

READINGS = Table(
    "readings",
    pa.schema({"sensor": pa.string(), "taken_at": INSTANT, "celsius": pa.float64()}),
    key=("sensor", "taken_at"),
    encodings=Encodings(filtered=frozenset({"taken_at"})),
)
HOURLY = Table(
    "hourly",
    pa.schema(
        {
            "sensor": pa.string(),
            "hour": INSTANT,
            "readings": pa.int64(),
            "mean": "double",
        }
    ),
    key=("sensor", "hour"),
)
"""Sorted by sensor and hour; ``mean`` in degrees, of whole thousandths."""


def note_keys(tables: Tables) -> Tables:
    """Note the key of every possible reading, with its row."""
    rows = tables["rows"]
    kept = pc.and_(
        pc.greater_equal(rows["celsius"], COLDEST),
        pc.less_equal(rows["celsius"], HOTTEST),
    )
    number = pa.array(np.arange(len(rows), dtype=np.int32))
    keys = rows.select(READINGS.key).append_column("row", number)
    return {"keys": keys.filter(kept)}


def clean(tables: Tables, copies: pa.Table) -> Tables:
    """Keep the possible readings that did not come before; sum them by hour."""
    kept = np.zeros(len(tables["rows"]), bool)
    kept[note_keys(tables)["keys"]["row"].to_numpy()] = True
    kept[copies["row"].to_numpy()] = False
    rows = tables["rows"].filter(pa.array(kept))
    thousandths = pc.round(pc.multiply(rows["celsius"], 1000.0)).cast(pa.int64())
    hour = pc.floor_temporal(rows["taken_at"], unit="hour")
    sums = pa.table(
        {"sensor": rows["sensor"].cast("string"), "hour": hour, "sum": thousandths}
    )
    counts = pa.array(np.ones(len(rows), np.int64))
    return {"rows": rows, "hourly": add_up([sums.append_column("readings", counts)])}


def add_up(partials: list[pa.Table]) -> pa.Table:
    """Merge sums by sensor and hour: whole numbers, so their order does not matter."""
    grouped = pa.concat_tables(partials).group_by(["sensor", "hour"], use_threads=False)
    sums = grouped.aggregate([("sum", "sum"), ("readings", "sum")])
    return sums.rename_columns(["sensor", "hour", "sum", "readings"])


def finish(merged: pa.Table) -> pa.Table:
    """Turn sums into means."""
    mean = merged["sum"].to_numpy() / 1000 / merged["readings"].to_numpy()
    table = merged.drop_columns("sum").append_column("mean", pa.array(mean))
    sort = [("sensor", "ascending"), ("hour", "ascending")]
    return table.select(HOURLY.schema.names).cast(HOURLY.schema).sort_by(sort)


def run(raw: Path, folder: Path, rows_per_partition: int = 1_000_000) -> None:
    """Read a folder of Parquet files; write ``clean`` and ``hourly``, both or none."""
    read = DaskParquetDataset(
        filepath=str(raw), schema=READINGS, rows_per_partition=rows_per_partition
    )
    rows = Partitions.of(read.load(), READINGS)
    copies = rows.map(note_keys).reduction(
        "keys",
        functools.partial(later_copies, key=READINGS.key),
        split_by="sensor",
        split_out=buckets_for(rows.count_rows()),
        associative=False,
        scatter=True,
    )
    cleaned = rows.map(clean, copies=copies)
    outputs = {
        READINGS: cleaned.parts("rows", READINGS.schema),
        HOURLY: cleaned.reduction(
            "hourly", add_up, schema=HOURLY.schema, aggregate=finish
        ),
    }
    publish(
        {
            PandasParquetDataset(
                filepath=str(folder / table.name), release=str(folder), schema=table
            ): lazy
            for table, lazy in outputs.items()
        }
    )
