"""When lines are sold: trend, seasons, weekdays, holidays and hours of the day."""

from datetime import date, timedelta
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from dask_etl.pipelines.data_generation.profiles import (
    CALENDAR,
    random_stream,
    seasons,
)

_WEEKDAYS = np.array([0.93, 0.9, 0.93, 0.98, 1.12, 1.2, 0.94])  # from Monday
_HOURS = (
    *(2, 1, 1, 1, 1, 2, 5, 12, 25, 40, 55, 62),
    *(65, 60, 55, 57, 65, 75, 72, 58, 40, 25, 12, 5),
)
_GROWTH = 0.04
"""Sales added per year, as a share of those of the first day."""
_NOISE = 0.06
"""Standard deviation of the log of a day's sales beside everything else."""
_DAYS_PER_YEAR = 365.25

_LATE_SHARE = 0.02
_LATE_DAYS = 0.25
"""Mean delay of the lines that arrive after others sold later."""


class Calendar(NamedTuple):
    """The period, day by day."""

    start: np.datetime64
    days: int
    edges: np.ndarray
    """Share of the lines sold before each day, and 1 at the end."""
    month: np.ndarray
    """Month of each day, 0–11."""


@lru_cache(maxsize=8)
def calendar(start: date, end: date, seed: int) -> Calendar:
    """How the lines are spread over the days from ``start`` to ``end``, inclusive."""
    number = np.arange((end - start).days + 1)
    dates = np.datetime64(start) + number
    month = (dates.astype("datetime64[M]").astype(np.int64) % 12).astype(np.uint8)
    weekday = (dates.astype(np.int64) + 3) % 7  # 1970-01-01 was a Thursday
    noise = random_stream(seed, CALENDAR).standard_normal(len(dates))
    weight = (
        seasons().sum(axis=1)[month]
        * _WEEKDAYS[weekday]
        * _holidays(start, end, len(dates))
        * (1 + _GROWTH * number / _DAYS_PER_YEAR)
        * np.exp(_NOISE * noise)
    )
    edges = np.concatenate([[0.0], np.cumsum(weight)])
    return Calendar(np.datetime64(start, "us"), len(dates), edges / edges[-1], month)


def sale_days(
    rng: np.random.Generator, when: Calendar, first: int, count: int, rows: int
) -> np.ndarray:
    """When the lines ``first`` … ``first + count - 1`` of ``rows`` are sold.

    Returns:
        Days since the start of the period, with fractions; in order, but for the
        lines that arrive late.
    """
    place = (np.arange(first, first + count) + rng.random(count)) / rows
    days = np.interp(place, when.edges, np.arange(when.days + 1))
    days = np.minimum(days, when.days - 1e-9)
    whole = np.floor(days)
    days = whole + np.interp(days - whole, *_day_curve())
    late = np.flatnonzero(rng.random(count, dtype=np.float32) < _LATE_SHARE)
    delayed = days[late] - rng.exponential(_LATE_DAYS, len(late))
    days[late] = np.where(delayed >= 0, delayed, days[late])
    return days


@lru_cache(maxsize=1)
def _day_curve() -> tuple[np.ndarray, np.ndarray]:
    """Share of a day's lines sold by a time, and that time as a fraction of the day."""
    sold = np.concatenate([[0], np.cumsum(_HOURS)])
    # The last instant belongs to the day itself, not to the next.
    return sold / sold[-1], np.linspace(0, 1 - 1e-9, len(sold))


def _holidays(start: date, end: date, days: int) -> np.ndarray:
    """Factor of each day: shops are busy before a holiday and quiet on it."""
    factor = np.ones(days)
    for year in range(start.year, end.year + 1):
        for day, value in _holiday_factors(year).items():
            if start <= day <= end:
                factor[(day - start).days] = value
    return factor


def _holiday_factors(year: int) -> dict[date, float]:
    easter = _easter(year)
    november = date(year, 11, 1)
    thanksgiving = november + timedelta(days=(3 - november.weekday()) % 7 + 21)
    return {
        date(year, 1, 1): 0.4,
        easter - timedelta(days=1): 1.5,
        easter: 0.45,
        thanksgiving - timedelta(days=1): 1.5,
        thanksgiving: 0.5,
        thanksgiving + timedelta(days=1): 1.9,
        date(year, 12, 23): 1.6,
        date(year, 12, 24): 1.3,
        date(year, 12, 25): 0.2,
        date(year, 12, 31): 1.3,
    }


def _easter(year: int) -> date:
    """Easter Sunday of the Gregorian calendar (Butcher's algorithm)."""
    century, rest = divmod(year, 100)
    golden = year % 19
    shift = (century - (century + 8) // 25 + 1) // 3
    epact = (19 * golden + century - century // 4 - shift + 15) % 30
    weekday = (32 + 2 * (century % 4) + 2 * (rest // 4) - epact - rest % 4) % 7
    correction = (golden + 11 * epact + 22 * weekday) // 451
    month, day = divmod(epact + weekday - 7 * correction + 114, 31)
    return date(year, month, day + 1)
