"""Summary tables by hand, as the analyses find them in storage."""

from datetime import date

import pandas as pd
import pyarrow as pa

from dask_etl.retail.tables import ROW_LEDGER
from dask_etl.tables import find_table

MEASURES = {
    "lines": 1,
    "units": 1,
    "revenue_cents": 0,
    "returned_lines": 0,
    "returned_units": 0,
    "returned_revenue_cents": 0,
    "rating_sum": 0.0,
    "rating_count": 0,
}


def make_cube(*rows):
    """Rows of the sales cube; what is not said is one line of 0 cents."""
    defaults = {"region": "North", "product_category": "Toys", **MEASURES}
    return _stored(
        "sales_cube",
        [
            {**defaults, **row, "day": date.fromisoformat(str(row["day"]))}
            for row in rows
        ],
    )


def make_customers(*rows, customer_id=None):
    """Rows of the customers table; months follow from the purchases if not said."""
    filled = []
    for number, row in enumerate(rows):
        first = pd.Timestamp(row.get("first_purchase", "2024-01-01"), tz="UTC")
        last = pd.Timestamp(row.get("last_purchase", first.isoformat()))
        last = last if last.tzinfo else last.tz_localize("UTC")
        months = row.get("months", sorted({f"{first:%Y-%m}", f"{last:%Y-%m}"}))
        filled.append(
            {
                "customer_id": number,
                **MEASURES,
                "regions": ["North"],
                "product_categories": ["Toys"],
                **row,
                "first_purchase": first,
                "last_purchase": last,
                "months": [date.fromisoformat(f"{month}-01") for month in months],
            }
        )
    return _stored("customers", filled, customer_id=customer_id or pa.int64())


def make_ledger(as_of="2025-01-01"):
    """A row ledger of which only ``as_of`` counts; none without it."""
    counts = dict.fromkeys(ROW_LEDGER.schema.names, 0)
    rows = [{**counts, "source_file": "a", "as_of": pd.Timestamp(as_of, tz="UTC")}]
    return _stored("row_ledger", rows if as_of else [])


def _stored(name, rows, **types):
    table = pa.Table.from_pylist(rows, find_table(name).schema_for(pa.schema(types)))
    return table.to_pandas(date_as_object=False)


def stored_rows(name, frame, **types):
    """Rows as the data set writes them: this fails on a wrong column or type."""
    table_schema = find_table(name).schema_for(pa.schema(types))
    assert list(frame) == table_schema.names
    table = pa.Table.from_pandas(frame, schema=table_schema, preserve_index=False)
    for field in table_schema:
        assert field.nullable or not table[field.name].null_count, field
    return table.to_pylist()


def columns(rows, *names):
    """Some columns of the rows, as a list of tuples."""
    return [tuple(row[name] for name in names) for row in rows]
