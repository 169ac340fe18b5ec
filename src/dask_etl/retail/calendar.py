"""Whose day it is: moments are UTC, but a shop's days, months and weekdays are local.

Clocks are set a few times a year, so a column of moments becomes local by a look-up
among these few instants, and not row by row.
"""

import functools
import zoneinfo
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa

from dask_etl.retail.schema import UTC_ZONE
from dask_etl.storage.arrays import as_array

MICROSECONDS_PER_DAY = 86_400_000_000
_SECONDS_PER_DAY = 86_400
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Python's calendar begins and ends here; two days less, whatever the zone.
_FIRST_DAY = (datetime.min.replace(tzinfo=UTC) - _EPOCH).days + 2
_LAST_DAY = (datetime.max.replace(tzinfo=UTC) - _EPOCH).days - 2


def day_numbers(table: pa.Table, zone: str = UTC_ZONE) -> np.ndarray:
    """Days since 1970-01-01 of each row's timestamp on the clocks of a zone, int64."""
    micros = as_array(table["timestamp"]).cast(pa.int64()).to_numpy()
    return local(micros, zone) // MICROSECONDS_PER_DAY


def local(micros: np.ndarray, zone: str) -> np.ndarray:
    """Shift moments to what the clocks of a zone show.

    Args:
        micros: microseconds since 1970-01-01 UTC, int64.
        zone: its IANA name.

    Returns:
        Microseconds since 1970-01-01, local time.
    """
    if zone == UTC_ZONE or not len(micros):
        return micros
    days = micros // MICROSECONDS_PER_DAY
    first = int(days.min())
    present = np.zeros(int(days.max()) - first + 1, bool)
    present[days - first] = True
    instants: list[int] = []
    offsets: list[int] = []
    for day in (present.nonzero()[0] + first).tolist():
        for instant, offset in _offsets(zone, min(max(day, _FIRST_DAY), _LAST_DAY)):
            if not offsets or offset != offsets[-1]:
                instants.append(instant)
                offsets.append(offset)
    if len(offsets) == 1:
        return micros + offsets[0]
    place = np.searchsorted(np.array(instants[1:]), micros, side="right")
    return micros + np.array(offsets)[place]


@functools.lru_cache(maxsize=1 << 16)
def _offsets(zone: str, day: int) -> tuple[tuple[int, int], ...]:
    """Offsets from UTC on a UTC day, and from when on: pairs of microseconds."""
    begin = day * _SECONDS_PER_DAY
    known = zoneinfo.ZoneInfo(zone)
    found = [(begin, _offset(known, begin))]
    found += _changes(known, begin, begin + _SECONDS_PER_DAY)
    return tuple((instant * 1_000_000, offset) for instant, offset in found)


def _changes(zone: zoneinfo.ZoneInfo, begin: int, end: int) -> list[tuple[int, int]]:
    """Find by bisection the seconds (begin < s ≤ end) from which clocks show another offset."""
    after = _offset(zone, end)
    if _offset(zone, begin) == after:
        return []
    if end - begin == 1:
        return [(end, after)]
    middle = (begin + end) // 2
    return [*_changes(zone, begin, middle), *_changes(zone, middle, end)]


def _offset(zone: zoneinfo.ZoneInfo, second: int) -> int:
    local_time = (_EPOCH + timedelta(seconds=second)).astimezone(zone)
    return int(local_time.utcoffset() / timedelta(microseconds=1))  # type: ignore[operator]


def calendar(days: np.ndarray) -> dict[str, np.ndarray]:
    """Year, month, quarter and day of week (Monday = 0) of day numbers."""
    if not len(days):
        first = last = 0
    else:
        first, last = int(days.min()), int(days.max())
    # Data spans a few thousand days: look them up instead of computing each row's.
    known = _calendar_of(first, last)
    offsets = days - first
    return {name: values[offsets] for name, values in known.items()}


def _calendar_of(first: int, last: int) -> dict[str, np.ndarray]:
    days = np.arange(first, last + 1)
    months = days.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)
    month = months % 12 + 1
    return {
        "year": (months // 12 + 1970).astype(np.int16),
        "month": month.astype(np.int8),
        "quarter": ((month + 2) // 3).astype(np.int8),
        # 1970-01-01 was a Thursday (3).
        "day_of_week": ((days + 3) % 7).astype(np.int8),
    }
