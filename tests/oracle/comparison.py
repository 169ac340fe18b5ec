"""Asserts that a table holds what the oracle computed, and says where it does not."""

import math
from collections import Counter
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from dask_etl.retail.tables import COMPARED

RATIOS = {
    "average_line_revenue",
    "average_rating",
    "net_revenue_share",
    "return_rate_lines",
    "return_rate_value",
    "cumulative_share",
    "seasonality_index",
    "moving_average_7",
    "moving_average_28",
    "mean_revenue_per_day",
    "index_to_mean",
    "customer_share",
    "average_recency_days",
    "average_frequency",
    "average_monetary",
    "retention",
    "repeat_purchase_rate",
    "lines_per_order",
    "units_per_order",
    "net_revenue_per_order",
    "average_revenue_per_customer",
    "top_20_percent_share",
}
"""Columns whose last bits depend on the order of the divisions; all others are exact."""

DIFFERENCES = {"month_on_month", "year_on_year", "gini"}
"""Ratios with a subtraction in them: near 0 only the absolute error stays small."""

TOLERANCE = 1e-12
SHOWN = 5


def assert_matches(actual: pa.Table, expected: pa.Table, name: str) -> None:
    """Fails with the first differences unless both hold the same table.

    Everything is compared exactly but ``RATIOS`` and ``DIFFERENCES``; null and NaN
    differ. Types are compared by kind: a dictionary counts as its values, an integer
    as an integer of any width.

    Args:
        actual: the table under test.
        expected: the table of the oracle.
        name: name of the table, one of ``COMPARED``.
    """
    problems = _schema_problems(actual.schema, expected.schema)
    if not problems:
        problems = _row_problems(actual, expected, name)
    if problems:
        more = len(problems) - SHOWN
        lines = problems[:SHOWN] + ([f"… and {more} more"] if more > 0 else [])
        raise AssertionError("\n  ".join([f"{name} differs from the oracle:", *lines]))


def _schema_problems(actual: pa.Schema, expected: pa.Schema) -> list[str]:
    if actual.names != expected.names:
        return [f"columns {actual.names}, expected {expected.names}"]
    return [
        f"column {field.name!r} has type {actual.field(field.name).type},"
        f" expected {field.type}"
        for field in expected
        if _kind(actual.field(field.name).type) != _kind(field.type)
    ]


def _kind(type_: pa.DataType) -> str:
    if pa.types.is_dictionary(type_):
        return _kind(type_.value_type)
    if pa.types.is_list(type_) or pa.types.is_large_list(type_):
        return f"list of {_kind(type_.value_type)}"
    if pa.types.is_integer(type_):
        return "integer"
    if pa.types.is_large_string(type_) or pa.types.is_string_view(type_):
        return "string"
    return str(type_)


def _row_problems(actual: pa.Table, expected: pa.Table, name: str) -> list[str]:
    key = COMPARED[name].key
    if not COMPARED[name].ordered:
        actual, expected = (_sorted(table, key) for table in (actual, expected))
    actual_keys, expected_keys = _rows(actual, key), _rows(expected, key)
    if actual_keys != expected_keys:
        return _key_problems(actual_keys, expected_keys, key)
    return [
        f"{_named(key, expected_keys[row])}{column}: {left!r}, expected {right!r}"
        for column in expected.column_names
        for row, (left, right) in enumerate(
            zip(_values(actual[column]), _values(expected[column]), strict=True)
        )
        if not _same(left, right, column)
    ]


def _key_problems(actual: list, expected: list, key: Sequence[str]) -> list[str]:
    """What is missing, unexpected, repeated or, if nothing else, out of order."""
    surplus = Counter(actual) - Counter(expected)
    lack = Counter(expected) - Counter(actual)
    problems = []
    if len(actual) != len(expected):
        problems.append(f"{len(actual)} rows, expected {len(expected)}")
    problems += [f"missing row {_named(key, row)}" for row in lack.elements()]
    problems += [f"unexpected row {_named(key, row)}" for row in surplus.elements()]
    return problems or [
        f"order: row {position} is {_named(key, left)}, expected {_named(key, right)}"
        for position, (left, right) in enumerate(zip(actual, expected, strict=True))
        if left != right
    ]


def _sorted(table: pa.Table, key: Sequence[str]) -> pa.Table:
    return table.sort_by([(column, "ascending") for column in key])


def _rows(table: pa.Table, columns: Sequence[str]) -> list[tuple]:
    if not columns:
        return [()] * table.num_rows
    return list(zip(*(_values(table[column]) for column in columns), strict=True))


def _values(column: pa.ChunkedArray) -> list:
    if pa.types.is_timestamp(column.type):
        # Text, because Python's datetime ends with the year 9999 and Arrow's does not
        column = pc.cast(pc.cast(column, pa.timestamp(column.type.unit)), pa.string())
    return column.to_pylist()


def _named(key: Sequence[str], values: tuple) -> str:
    return "".join(f"[{k}={v!s}] " for k, v in zip(key, values, strict=True))


def _same(left, right, column: str) -> bool:
    if left is None or right is None:
        return left is right
    if column in RATIOS:
        return math.isclose(left, right, rel_tol=TOLERANCE)
    if column in DIFFERENCES:
        return math.isclose(left, right, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    return left == right
