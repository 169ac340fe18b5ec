"""One raw row that breaks no rule; tests name what is other about theirs."""

from datetime import UTC, datetime

import pyarrow as pa

from dask_etl.retail import schema
from dask_etl.retail.parameters import Calendar, Currency

CALENDAR, CURRENCY = Calendar(), Currency()
"""As they are where nobody says otherwise."""

GOOD = {
    "transaction_id": 1,
    "customer_id": 1,
    "product_category": "Toys",
    "region": "North",
    "amount": 1.0,
    "quantity": 1,
    "discount": 0.0,
    "timestamp": datetime(2024, 1, 1, tzinfo=UTC),
    "rating": None,
    "is_returned": False,
}


def raw_table(**columns) -> pa.Table:
    """Raw rows that are good but for the given columns; ids count from 1.

    Values are in the types of the schema, but for those that are Arrow arrays.
    """
    rows = len(next(iter(columns.values())))
    good = {name: [value] * rows for name, value in GOOD.items()}
    good["transaction_id"] = list(range(1, rows + 1))
    assert columns.keys() <= good.keys()
    kinds = schema.raw()
    return pa.table(
        {
            name: values
            if isinstance(values, pa.Array)
            else pa.array(values, kinds.field(name).type)
            for name, values in (good | columns).items()
        }
    )
