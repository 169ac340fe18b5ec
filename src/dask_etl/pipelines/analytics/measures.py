"""What the analyses share: sums in whole cents, and their way to currency units."""

from typing import TypeAlias

import numpy as np
import pandas as pd

from dask_etl.retail.parameters import Currency
from dask_etl.retail.totals import MILLIONTHS

Sums: TypeAlias = pd.DataFrame
"""Sums per group, all int64: ``lines``, ``units`` (``unit_millionths`` where units have
decimals), ``revenue_cents``, ``returned_lines``, ``returned_units`` (the same),
``returned_revenue_cents``, ``net_revenue_cents``, ``rating_millionths``, ``rating_count``; the index holds the
groups."""


def sum_by(sales_cube: pd.DataFrame, by: pd.Series | list[pd.Series]) -> Sums:
    """Add up rows of the sales cube by one or several columns, sorted.

    Every sum is one of whole numbers, so it does not depend on the order of the rows.
    """
    sums = pd.DataFrame(
        {
            "lines": sales_cube["lines"],
            **units_of(sales_cube),
            "revenue_cents": sales_cube["revenue_cents"],
            "returned_lines": sales_cube["returned_lines"],
            "returned_revenue_cents": sales_cube["returned_revenue_cents"],
            "net_revenue_cents": net_cents(sales_cube),
            "rating_millionths": _millionths(sales_cube["rating_sum"]),
            "rating_count": sales_cube["rating_count"],
        }
    )
    return sums.groupby(by, observed=True).sum()


def units_of(table: pd.DataFrame) -> dict[str, pd.Series]:
    """Return units sold and returned of a summary: whole numbers, or in millionths."""
    units = {name: table[name] for name in ("units", "returned_units")}
    if not pd.api.types.is_float_dtype(table["units"]):
        return units
    return {
        f"{name.removesuffix('s')}_millionths": _millionths(values)
        for name, values in units.items()
    }


def _millionths(numbers: pd.Series) -> pd.Series:
    return (numbers * MILLIONTHS).round().astype("int64")


def net_cents(table: pd.DataFrame) -> pd.Series:
    """Return net revenue = revenue − returned revenue, in cents."""
    return table["revenue_cents"] - table["returned_revenue_cents"]


def sales(sums: Sums, currency: Currency) -> pd.DataFrame:
    """Return lines, units and the three revenues in currency units."""
    return pd.DataFrame(
        {
            "lines": sums["lines"],
            **{
                name: sums[f"{name.removesuffix('s')}_millionths"] / MILLIONTHS
                if "unit_millionths" in sums
                else sums[name]
                for name in ("units", "returned_units")
            },
            **{
                name: sums[f"{name}_cents"] / currency.cents
                for name in ("revenue", "returned_revenue", "net_revenue")
            },
        }
    )


def ratio(part: pd.Series, whole: pd.Series | float) -> pd.Series:
    """Divide; null where the divisor is 0."""
    if isinstance(whole, pd.Series):
        return part / whole.where(whole != 0)
    return part / (whole if whole != 0 else np.nan)


def labels(column: pd.Series) -> pd.Series:
    """Return a label column as plain strings, however it was encoded."""
    return column.astype("str")


def flatten(lists: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Join the lists of a column end to end.

    Returns:
        All elements in row order, and the length of each row's list.
    """
    arrays = lists.to_numpy(dtype=object)
    lengths = np.fromiter(map(len, arrays), np.int64, len(arrays))
    return (np.concatenate(arrays) if len(arrays) else np.empty(0, object)), lengths
