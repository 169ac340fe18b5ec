"""Sale lines as numpy columns: how good ones are drawn, copied and joined."""

from typing import NamedTuple

import numpy as np

from dask_etl.pipelines.data_generation import profiles as shop
from dask_etl.pipelines.data_generation.calendar import Calendar, calendar, sale_days
from dask_etl.pipelines.data_generation.customers import customer_ids, draw_customers
from dask_etl.retail.parameters import Generation, Missing

_SECONDS_PER_DAY = 86_400
MICROSECONDS = 1_000_000

_ID_BITS = 40
_ID_MASK = np.uint64((1 << _ID_BITS) - 1)
_ID_FACTORS = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD1B54A32D192ED03))
_HOME = np.uint64(0x9E3779B97F4A7C15)


class Lines(NamedTuple):
    """Columns by name, as in ``schema.raw()``, and which of their values are null.

    Categories and regions are numbers of the lists that ``profiles`` has, timestamps are
    microseconds since 1970. The value behind a null means nothing.
    """

    values: dict[str, np.ndarray]
    nulls: dict[str, np.ndarray]

    @property
    def rows(self) -> int:
        """Number of lines."""
        return len(self.values["transaction_id"])

    def take(self, rows) -> "Lines":
        """The lines that ``rows``, any numpy index, selects."""
        return Lines(*({name: c[rows] for name, c in side.items()} for side in self))


def draw_lines(
    generation: Generation,
    rng: np.random.Generator,
    first: int,
    count: int,
    unknown: np.ndarray,
) -> Lines:
    """Good lines ``first`` … ``first + count - 1`` of all, in order of arrival.

    Args:
        generation: the shop, and how many lines of it there are.
        rng: random numbers.
        first: number of the first line.
        count: how many.
        unknown: those of them that are to lose their customers. They are like such
            lines, mostly sold in stores, but still have customers.
    """
    profiles = shop.profiles(generation.seed, generation.regions, generation.categories)
    when = calendar(generation.start, generation.end, generation.seed)
    days = sale_days(rng, when, first, count, generation.rows)

    entry = _row(when.month.take(days.astype(np.int32)), rng)
    category = profiles.category.take(entry)
    category[unknown] = profiles.category_unknown.take(entry[unknown])
    online_share = profiles.online.take(category)
    online_share[unknown] = profiles.online_unknown.take(category[unknown])
    online = _draw(rng, count) < online_share
    returned = _uniform(rng, count) < profiles.returns.take(category * 2 + online)
    customer = draw_customers(rng, days, when.days, generation.customers)
    values = {
        "transaction_id": transaction_ids(np.arange(first, first + count)),
        "customer_id": customer_ids(customer, generation.customers),
        "product_category": category,
        "region": _regions(rng, customer, profiles.region),
        "amount": profiles.price.take(_row(category, rng)),
        "quantity": profiles.units.take(_row(category, rng)).astype(np.int64),
        "discount": profiles.discount.take(_entry(rng, count)),
        "timestamp": _timestamps(when, days),
        "rating": profiles.rating.take(_row(returned, rng)),
        "is_returned": returned,
    }
    return Lines(values, _nulls(rng, generation.missing, online, profiles.online_share))


def transaction_ids(number: np.ndarray) -> np.ndarray:
    """Ids below 2⁴⁰, another one for each number below 2⁴⁰, in no visible order."""
    mixed = number.astype(np.uint64)
    for factor in _ID_FACTORS:
        # Each step can be undone, so that no two numbers meet in one id.
        mixed = mixed * factor & _ID_MASK
        mixed ^= mixed >> np.uint64(_ID_BITS // 2)
    return mixed.astype(np.int64)


def join(parts: list[Lines]) -> Lines:
    """All lines, one part after the other."""
    return Lines(
        *(
            {
                name: np.concatenate([part[side][name] for part in parts])
                for name in first
            }
            for side, first in enumerate(parts[0])
        )
    )


def copy_rows(
    source: Lines, rows: np.ndarray, target: Lines, at: np.ndarray, keep: tuple = ()
) -> None:
    """Overwrite lines of ``target`` by lines of ``source``, but for columns ``keep``."""
    for old, new in zip(source, target, strict=True):
        for name, column in new.items():
            if name not in keep:
                column[at] = old[name][rows]


def _nulls(
    rng: np.random.Generator, missing: Missing, online: np.ndarray, online_share: float
) -> dict[str, np.ndarray]:
    """Where values are missing: regions mostly online, all else at random."""
    count = len(online)
    region_online = min(1.0, missing.region * shop.ONLINE_MISSING_REGION)
    region_store = (missing.region - online_share * region_online) / (1 - online_share)
    nulls = {
        name: np.zeros(count, dtype=bool)
        for name in ("transaction_id", "customer_id", "amount", "quantity", "timestamp")
    }
    nulls["region"] = _uniform(rng, count) < np.where(
        online, np.float32(region_online), np.float32(region_store)
    )
    for name in ("product_category", "discount", "rating", "is_returned"):
        nulls[name] = _uniform(rng, count) < getattr(missing, name)
    return nulls


def _regions(
    rng: np.random.Generator, customer: np.ndarray, regions: np.ndarray
) -> np.ndarray:
    """The customer's own region on most lines."""
    home = customer.astype(np.uint64) * _HOME >> np.uint64(64 - shop.LOOKUP_BITS)
    entry = home.astype(np.int64)
    away = np.flatnonzero(_uniform(rng, len(customer)) < shop.AWAY_FROM_HOME)
    entry[away] = _entry(rng, len(away))
    return regions.take(entry)


def _timestamps(when: Calendar, days: np.ndarray) -> np.ndarray:
    """Whole seconds, in microseconds since 1970."""
    seconds = (days * _SECONDS_PER_DAY).astype(np.int64)
    return seconds * MICROSECONDS + when.start.astype(np.int64)


def _draw(rng: np.random.Generator, count: int) -> np.ndarray:
    return rng.integers(0, 1 << 16, count, dtype=np.uint16)


def _uniform(rng: np.random.Generator, count: int) -> np.ndarray:
    return rng.random(count, dtype=np.float32)


def _entry(rng: np.random.Generator, count: int) -> np.ndarray:
    """Random entries of a lookup."""
    return _draw(rng, count) >> np.uint16(16 - shop.LOOKUP_BITS)


def _row(row: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Random entries within the given rows of a lookup."""
    return row.astype(np.int32) * shop.LOOKUP + _entry(rng, len(row))
