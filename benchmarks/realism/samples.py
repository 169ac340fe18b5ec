"""What is measured: generated rows, and public data of real shops."""

from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta
from typing import NamedTuple

import pandas as pd
import pyarrow as pa

from dask_etl.pipelines.data_generation.generator import (
    generate_partition,
    partition_count,
)
from dask_etl.retail.parameters import Cleaning, Currency, Generation
from dask_etl.retail.rules import broken_rules, is_rejected
from examples.public.take_in import described


class Sample(NamedTuple):
    """Sale lines of one shop, with the columns that it has."""

    name: str
    lines: pd.DataFrame
    """``value`` (paid for the line), ``day``, and any of ``customer_id``,
    ``product_category``, ``region``, ``amount`` (unit price), ``discount``,
    ``is_returned``, ``product``."""
    purchases: pd.DataFrame
    """What was bought at once: its ``value``, its ``kind``, and ``customer_id`` if the
    lines have it."""
    is_steady: bool = True
    """The customers are those of a shop, not some who began together and leave."""
    delivered: pd.DataFrame | None = None
    """All rows as they came, also spoiled ones: raw columns, ``rule`` that the row was
    spoiled for (else null), ``part`` it came in. Of generated data alone."""


def generated(generation: Generation) -> Sample:
    """Make rows; those without defects are the lines.

    Near-duplicates under ids of their own are as rare as the generator makes them; of
    replays the first stays.
    """
    raw, delivered = [], []
    for index in range(partition_count(generation)):
        made = generate_partition(generation, index)
        rows = made["raw_transactions"].to_pandas().assign(part=index, rule=None)
        planted = made["defects"].to_pandas()
        rule = rows["rule"].to_numpy(copy=True)
        rule[planted["source_row"]] = planted["rule"].astype(object)
        delivered.append(rows.assign(rule=rule))
        raw.append(made["raw_transactions"])
    table = pa.concat_tables(raw).combine_chunks()
    last = datetime.combine(generation.end, time(), UTC) + timedelta(days=1)
    good = ~is_rejected(broken_rules(table, last, Cleaning(), Currency()))
    rows = table.filter(pa.array(good)).to_pandas().drop_duplicates("transaction_id")
    lines = rows.assign(
        value=rows["amount"] * (1 - rows["discount"].fillna(0)) * rows["quantity"],
        day=rows["timestamp"].dt.tz_localize(None).dt.floor("D"),
    )
    purchases = lines[["value", "customer_id"]].assign(kind=lines["product_category"])
    everything = pd.concat(delivered, ignore_index=True)
    return Sample("Generated", lines, purchases, delivered=everything)


def complete_journey() -> Sample:
    """2 469 households at a grocer's, 2017: lines of baskets, of products.

    The price of a unit is what was paid, the discount what the shop had taken off.
    """
    said = described("completejourney")
    rows = pd.read_parquet(said["file"])
    lookup = said["mapping"]["columns"]["product_category"]["lookup"]
    products = pd.read_parquet(lookup["file"], columns=["product_id", "department"])
    off = rows["retail_disc"] + rows["coupon_match_disc"]
    full = rows["sales_value"] + off
    lines = pd.DataFrame(
        {
            "customer_id": rows["household_id"],
            "product": rows["product_id"],
            "product_category": rows["product_id"].map(
                products.set_index("product_id")["department"].astype("category")
            ),
            "region": rows["store_id"],
            # Fuel is sold by the thousandth of a gallon.
            "amount": (rows["sales_value"] / rows["quantity"]).where(
                rows["quantity"].between(1, 99)
            ),
            "discount": (off / full).where(full > 0).clip(0, 1),
            "value": rows["sales_value"],
            "day": rows["transaction_timestamp"].dt.floor("D"),
        }
    )
    baskets = rows.groupby("basket_id")
    purchases = pd.DataFrame(
        {
            "value": baskets["sales_value"].sum(),
            "kind": "any",
            "customer_id": baskets["household_id"].first(),
        }
    )
    return Sample("Complete Journey", lines, purchases)


def cdnow() -> Sample:
    """23 570 customers of a music shop who first bought early in 1997; 18 months."""
    said = described("cdnow")
    rows = pd.read_csv(said["file"], sep=r"\s+", dtype={"date": str})
    lines = pd.DataFrame(
        {
            "customer_id": rows["customer_id"],
            "value": rows["dollar_value"],
            "day": pd.to_datetime(rows["date"], format="%Y%m%d"),
        }
    )
    purchases = lines[["value", "customer_id"]].assign(kind="any")
    return Sample("CDNOW", lines, purchases, is_steady=False)


def pizzaplace() -> Sample:
    """49 574 pizzas of a restaurant, 2015, of customers whom nobody knows."""
    said = described("pizzaplace")
    rows = pd.read_csv(said["file"])
    lines = pd.DataFrame(
        {
            "product": rows["name"] + rows["size"],
            "product_category": rows["type"],
            "amount": rows["price"],
            "value": rows["price"],
            "day": pd.to_datetime(rows["date"]),
        }
    )
    value = rows.groupby("id")["price"].sum()
    purchases = pd.DataFrame({"value": value, "kind": "any"})
    return Sample("Pizzaplace", lines, purchases)


REAL: dict[str, Callable[[], Sample]] = {
    "completejourney": complete_journey,
    "cdnow": cdnow,
    "pizzaplace": pizzaplace,
}
"""Public data by their names in ``examples/public``."""


def real() -> tuple[list[Sample], list[str]]:
    """Read the public data that are there.

    Returns:
        The samples, and a sentence on each data set whose package is not installed.
    """
    samples, missing = [], []
    for name, read in REAL.items():
        try:
            samples.append(read())
        except ModuleNotFoundError as error:
            missing.append(f"{name}: {error}; pip install it to compare with it")
    return samples, missing
