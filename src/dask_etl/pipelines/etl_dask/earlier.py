"""What a run that adds to tables takes from them: ids that come again, and sums."""

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from dask_etl.datasets.earlier import Earlier
from dask_etl.engine import probe
from dask_etl.engine.partitions import Partitions, Reduction, Tables
from dask_etl.retail import reopened, schema
from dask_etl.retail.summaries import Domain
from dask_etl.storage.arrays import as_array

KEY = "transaction_id"
DAY = 86_400_000_000
"""In µs."""


def known_keys(earlier: Earlier, surveyed: Partitions, rows: int) -> Partitions:
    """Describe the ids of kept rows that may be among those of new rows.

    Args:
        earlier: the tables.
        surveyed: the new rows, of which :func:`note_keys` has taken note.
        rows: how many they are.

    Returns:
        Partitions with a table ``keys``, as the survey makes it of new rows.
    """
    sought = surveyed.reduction(
        "sought",
        probe.merge_noted,
        aggregate=probe.sought,
        arguments={"size": probe.filter_size(rows)},
    )
    parts, reader, limits = earlier.keys("clean_transactions", KEY)
    return parts.map(
        probe.select_keys, reader=reader, limits=limits, keys="keys", sought=sought
    )


def note_keys(surveyed: Partitions, rows: int) -> Partitions:
    """Have surveyed rows note which ids they have."""
    return surveyed.map(
        probe.note_keys, keys="keys", key=KEY, size=probe.filter_size(rows)
    )


def extents(earlier: Earlier) -> Partitions:
    """Describe the labels and the months of the rows that are kept already."""
    columns = ["day", *schema.LABEL_COLUMNS]
    return earlier.partitions("sales_cube", columns).map(cube_extent)


def cube_extent(tables: Tables) -> Tables:
    """Step of the cube: one row with its labels, and a time that all its days are in.

    That begins and ends (µs) a day early and late: a local day is another one in UTC.
    """
    rows = tables["rows"]
    days = pc.min_max(rows["day"].cast(pa.int32()))
    labels = {
        name: pa.array([as_array(rows[name]).dictionary], pa.list_(pa.string()))
        for name in schema.LABEL_COLUMNS
    }
    ends = {
        name: pc.multiply(pc.add(pa.array([days[end].as_py()], pa.int64()), more), DAY)
        for name, end, more in (("first", "min", -1), ("last", "max", 2))
    }
    return {"extent": pa.table({**labels, **ends})}


@dataclass(frozen=True)
class Sums:
    """The summaries of the rows that are kept already; none by default.

    Attributes:
        cube: partitions with a table ``cube``, a partial.
        customers: the same of ``customers``.
        orders: the same of ``orders``.
    """

    cube: tuple[Partitions, ...] = ()
    customers: tuple[Partitions, ...] = ()
    orders: tuple[Partitions, ...] = ()

    @classmethod
    def of(cls, earlier: Earlier, domain: Reduction, found: pa.Schema) -> "Sums":
        """Describe the summaries.

        Args:
            earlier: the tables.
            domain: of these and of the new rows.
            found: the columns of the rows; ``order_id``, if they tell their orders.
        """
        cube = earlier.partitions("sales_cube").map(reopen_cube, domain=domain)
        order_id = found.field("order_id").type if "order_id" in found.names else None
        customers = earlier.partitions("customers").map(
            reopen_customers, domain=domain, order_id=order_id
        )
        if order_id is None:
            return cls((cube,), (customers,))
        orders = earlier.partitions("orders")
        buyers = orders.map(reopen_buyers, domain=domain)
        return cls((cube,), (customers, buyers), (orders.map(reopen_orders),))


def reopen_cube(tables: Tables, domain: Domain) -> Tables:
    """Step of the cube: the partial that its rows stand for."""
    return {"cube": reopened.cube_partial_of(tables["rows"], domain)}


def reopen_customers(
    tables: Tables, domain: Domain, order_id: pa.DataType | None
) -> Tables:
    """Step of the customers: the partial that their rows stand for."""
    partial = reopened.customers_partial_of(tables["rows"], domain, order_id)
    return {"customers": partial}


def reopen_buyers(tables: Tables, domain: Domain) -> Tables:
    """Step of the orders: what the customers' partial lacks, who gave which order."""
    return {"customers": reopened.buyers_partial_of(tables["rows"], domain)}


def reopen_orders(tables: Tables) -> Tables:
    """Step of the orders: the partial that their rows stand for."""
    return {"orders": reopened.orders_partial_of(tables["rows"])}
