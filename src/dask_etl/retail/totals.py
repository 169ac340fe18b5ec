"""Totals that stay exact: whole numbers below 2**53, or a run that says why not.

Money is added up in cents (of whatever currency), ratings and decimal quantities in millionths. Float64 holds
every whole number below 2**53, so up to there sums are exact whoever makes them, in
whatever order. All that is added is ≥ 0: if the total is exact, so is every part of it.
"""

import numpy as np

from dask_etl.errors import ExplainedError

EXACT = 2**53
"""Whole numbers below this are exact as float64, and so are their sums."""

MILLIONTHS = 1_000_000

EXACT_ROUND_TRIP = 2**51
"""Whole millionths below this can be told from their quotient by 1,000,000."""

_TOLD = {
    "units": ("quantity", 1, "units"),
    "unit_millionths": ("quantity", MILLIONTHS, "units"),
    "returned_units": ("returned quantity", 1, "units"),
    "returned_unit_millionths": ("returned quantity", MILLIONTHS, "units"),
    "revenue_cents": ("revenue", 1, "cents"),
    "returned_revenue_cents": ("returned revenue", 1, "cents"),
    "rating_millionths": ("rating", MILLIONTHS, "points"),
}
"""How totals are told to people, by the name of the sum: what, how many in one, of what.
The other sums are counts of rows."""


class InexactTotal(ExplainedError, ValueError):
    """A total is too large to be added up exactly."""


def check_total(name: str, parts: np.ndarray) -> None:
    """Refuse a total past 2**53.

    Added up in float64 it cannot wrap around, and it reaches 2**53 there just where the
    true total does: sums below are exact, and sums beyond never fall back.

    Args:
        name: of the sum, e.g. ``revenue_cents``; counts of rows are let pass.
        parts: whole numbers ≥ 0 that make up the total.

    Raises:
        InexactTotal: names the total, its size and the remedy.
    """
    if name in _TOLD and (total := float(np.sum(parts, dtype=np.float64))) >= EXACT:
        _refuse(name, total, EXACT, "The total")


def check_round_trip(name: str, sums: np.ndarray) -> None:
    """Refuse sums in millionths that a table could not hold exactly as float64.

    Raises:
        InexactTotal: a single sum of the table reaches 2**51 millionths.
    """
    if len(sums) and (largest := int(sums.max())) >= EXACT_ROUND_TRIP:
        _refuse(name, largest, EXACT_ROUND_TRIP, "The total of one row of a summary")


def _refuse(name: str, total: float, limit: int, whose: str) -> None:
    what, scale, unit = _TOLD[name]
    raise InexactTotal(
        f"{whose} of '{what}' reaches {total / scale:.4g} {unit}, and from "
        f"{limit / scale:.4g} on it is not exact any more. Nothing was changed. Lower "
        "cleaning.limits if single rows are absurd; else give the column in a larger "
        "unit, or the data in several runs."
    )
