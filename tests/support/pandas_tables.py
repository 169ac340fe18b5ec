import pandas as pd
import pyarrow as pa

from dask_etl.retail import schema
from dask_etl.tables import find_table
from support.good_rows import GOOD

AS_OF = pd.Timestamp("2025-01-01", tz="UTC")
LEAP_DAY = {
    **GOOD,
    "customer_id": 7,
    "amount": 10.0,
    "quantity": 2,
    "discount": 0.25,
    "timestamp": "2024-02-29T12:00:00",
    "rating": 4.0,
}


def make_raw(*changes, files=None):
    """Raw rows like LEAP_DAY with consecutive ids, each with the given changes."""
    rows = [
        {**LEAP_DAY, "transaction_id": number, **change}
        for number, change in enumerate(changes)
    ]
    raw = pd.DataFrame(rows, columns=schema.raw().names)
    raw["timestamp"] = pd.to_datetime(
        raw["timestamp"], utc=True, format="ISO8601"
    ).dt.as_unit("us")
    files = files or [("a.parquet", len(raw))]
    names = [name for name, rows in files for _ in range(rows)]
    return raw.assign(
        source_file=pd.Categorical(names, [name for name, _ in files]),
        source_row=[row for _, rows in files for row in range(rows)],
    )


def as_stored(name, frame, **types):
    """The table as the data set writes it: this fails on a wrong column or type."""
    table_schema = find_table(name).schema_for(pa.schema(types))
    assert list(frame) == table_schema.names
    table = pa.Table.from_pandas(frame, schema=table_schema, preserve_index=False)
    for field in table_schema:
        assert field.nullable or not table[field.name].null_count, field
    return table
