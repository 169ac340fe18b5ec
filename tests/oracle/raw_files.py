"""Small, nasty raw data for tests, made independently of the project's generator."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from dask_etl.retail import schema

AS_OF = datetime(2024, 7, 1, tzinfo=UTC)
"""The moment ``dirty_transactions`` is made for: some rows are at it, some after it."""

_MICROSECOND = timedelta(microseconds=1)
_START = datetime(2020, 11, 17, tzinfo=UTC)

_BOUNDARY_TIMES = (
    AS_OF,
    AS_OF - _MICROSECOND,
    datetime(2018, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
    datetime(2020, 1, 1, tzinfo=UTC),
    datetime(2020, 2, 29, 12, tzinfo=UTC),
    datetime(2021, 2, 28, 23, 59, 59, 999999, tzinfo=UTC),
    datetime(2021, 3, 1, tzinfo=UTC),
    datetime(2024, 2, 29, tzinfo=UTC),
    datetime(2024, 6, 30, tzinfo=UTC),
)
_FUTURE_TIMES = (
    AS_OF + _MICROSECOND,
    AS_OF + timedelta(days=40),
    datetime(2300, 1, 1, tzinfo=UTC),  # not representable in nanoseconds
)

_PAST_TIMES = (
    datetime(1899, 12, 30, tzinfo=UTC),  # the zero of spreadsheets
    datetime(1899, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
    datetime(1, 1, 1, tzinfo=UTC),
)

# 0.25 and 0.75 at half the price are 12.5 and 37.5 cents: one rounds down, one up.
_BOUNDARY_AMOUNTS = (10.0, 10.01, 50.0, 50.01, 200.0, 200.01, 0.25, 0.75, 0.01, 999.99)
_BOUNDARY_DISCOUNTS = (0.0, 1.0, 0.5, 1 / 3)
_BOUNDARY_RATINGS = (1.0, 5.0, 4.5, 1 / 3 + 1)

_REGIONS = ("north", "North", "Übersee", 'O\'Brien, "East"', "10", "9", "Unknown")
_CATEGORIES = ("Books", "books", "Home & Garden", "Zoë", "12")

_BOUNDARIES = {
    "amount": _BOUNDARY_AMOUNTS,
    "quantity": (1, 1000),
    "discount": _BOUNDARY_DISCOUNTS,
    "timestamp": _BOUNDARY_TIMES,
    "rating": _BOUNDARY_RATINGS,
}
"""Values by column at the edge of what the rules and the features tell apart."""

_BREAKS = {
    "transaction_id": (None,),
    "customer_id": (None,),
    "amount": (None, np.nan, np.nan, np.inf, -np.inf, 0.0, -5.0, -0.01, 1.1e9),
    "quantity": (None, 0, -1, 1_000_001, 2**62),
    "discount": (-0.01, 1.01, np.nextafter(1.0, 2.0)),
    "timestamp": (None, None, *_FUTURE_TIMES, *_PAST_TIMES),
    "rating": (0.0, 6.0, np.nextafter(1.0, 0.0), np.nextafter(5.0, 6.0)),
}
"""Values by column that break a rule."""

_GAPS = {
    "product_category": (None,),
    "region": (None,),
    "discount": (None, np.nan, np.inf),
    "rating": (None, np.nan, -np.inf),
    "is_returned": (None,),
}
"""Values by column that are missing, but break no rule."""


def write_raw(directory: Path, table: pa.Table, parts: int) -> list[Path]:
    """Splits a table into ``part-00000.parquet`` …; its rows keep their order.

    Args:
        directory: where the files go; made if it does not exist.
        table: the raw rows.
        parts: how many files; some are empty if there are more files than rows.

    Returns:
        The files in raw order.
    """
    directory.mkdir(parents=True, exist_ok=True)
    bounds = [table.num_rows * part // parts for part in range(parts + 1)]
    files = [directory / f"part-{part:05}.parquet" for part in range(parts)]
    for file, start, stop in zip(files, bounds[:-1], bounds[1:], strict=True):
        pq.write_table(table.slice(start, stop - start), file)
    return files


def dirty_transactions(
    rows: int,
    seed: int,
    *,
    string_ids: bool = False,
    regions: int = 5,
    categories: int = 4,
    customers: int | None = None,
) -> pa.Table:
    """Random raw rows that break every rule, one or several at a time.

    Most rows are good. Among the others are deliveries of an earlier row, good
    or bad, unchanged or with other values under the same id. From about 500 rows on,
    every rule is broken and every boundary value is met.

    Args:
        rows: how many rows.
        seed: the same seed gives the same rows.
        string_ids: ids as text, whose order is not that of the numbers in it.
        regions: how many regions.
        categories: how many product categories.
        customers: how many customers; a third of the rows if not given.
    """
    random = np.random.default_rng(seed)
    region_labels = _labels(_REGIONS, "region", regions)
    category_labels = _labels(_CATEGORIES, "category", categories)
    customers = customers or max(1, rows // 3)
    lines: list[dict] = []
    for position in range(rows):
        line = {
            # Beyond 2**53 a detour through floats would merge neighbouring ids
            "transaction_id": position if position % 2 else 2**60 + position,
            "customer_id": _customer(random, customers),
            "product_category": _pick(random, category_labels),
            "region": _pick(random, region_labels),
            "amount": round(float(random.lognormal(3.3, 1.3)) + 0.01, 2),
            "quantity": int(random.integers(1, 8)),
            "discount": round(float(random.uniform(0, 0.6)), 2),
            "timestamp": _START
            + timedelta(seconds=int(random.integers((AS_OF - _START).total_seconds()))),
            "rating": float(random.integers(1, 6)),
            "is_returned": bool(random.random() < 0.15),
        }
        _sprinkle(random, line, 0.06, _BOUNDARIES)
        _sprinkle(random, line, 0.05, _GAPS)
        if random.random() < 0.25:
            _sprinkle(random, line, 0.25, _BREAKS)
        if lines and random.random() < 0.2:
            earlier = lines[random.integers(len(lines))]
            changed = random.random() < 0.5
            line = (
                line | {"transaction_id": earlier["transaction_id"]}
                if changed
                else dict(earlier)
            )
        lines.append(line)
    if string_ids:
        for line in lines:
            _as_text(line, "transaction_id", "T")
            _as_text(line, "customer_id", "Kund:in ")
    kind = pa.string() if string_ids else pa.int64()
    return pa.Table.from_pylist(lines, schema=schema.raw(kind, kind))


def _labels(odd: tuple[str, ...], prefix: str, count: int) -> list[str]:
    return [*odd[:count], *(f"{prefix} {n}" for n in range(len(odd), count))]


def _pick(random: np.random.Generator, values):
    return values[random.integers(len(values))]


def _customer(random: np.random.Generator, customers: int) -> int:
    """A customer's id: some buy far more often; ids may be negative or large."""
    number = int(customers * random.random() ** 2)
    return 2**61 + number if number % 3 == 0 else number - 5


def _sprinkle(random: np.random.Generator, line: dict, share: float, values) -> None:
    """Gives each column named in ``values`` one of its values, with chance ``share``."""
    for column, choices in values.items():
        if random.random() < share:
            line[column] = _pick(random, choices)


def _as_text(line: dict, column: str, prefix: str) -> None:
    if line[column] is not None:
        # One customer stands for a field that somebody left blank.
        line[column] = f"{prefix}{line[column]}" if line[column] != -4 else "\u2003 "
