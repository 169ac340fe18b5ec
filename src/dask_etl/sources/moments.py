"""Text, dates and numbers to moments in UTC; what cannot be is told."""

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dask_etl.sources.convert import Converted, plain, there_in, to_decimal

MOMENT = pa.timestamp("us", tz="UTC")

EPOCHS = {"epoch_s": 1_000_000, "epoch_ms": 1_000, "epoch_us": 1}
"""Formats of moments that are numbers since 1970, and microseconds of one."""

_EXCEL = "excel"


_EXCEL_DAY_0 = datetime(1899, 12, 30)


_WIDTHS = {"Y": 4, "m": 2, "d": 2, "H": 2, "M": 2, "S": 2, "y": 2}

_ISO_LAYOUTS = (
    "%Y-%m-%d",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%dT%H:%M",
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%dT%H:%M:%S",
)


def to_moment(
    values: pa.Array, formats: Sequence[str] = (), timezone: str = "UTC"
) -> Converted:
    """Take a column as moments in UTC, in microseconds.

    Args:
        values: text, dates, moments or numbers.
        formats: as ``strptime`` has them, tried in this order; ``epoch_s``,
            ``epoch_ms``, ``epoch_us`` and ``excel`` (days since 1899-12-30) are for
            numbers. None: ISO 8601.
        timezone: where clocks show what is written without an offset. An hour that
            comes twice is the earlier, one that is left out the next there is.
    """
    values = plain(values)
    number = next((f for f in formats if f in EPOCHS or f == _EXCEL), None)
    if pa.types.is_timestamp(values.type) or pa.types.is_date(values.type):
        return _moments_of(values, timezone), np.zeros(len(values), bool)
    if number is not None:
        counts, bad = to_decimal(values)
        return _counted(counts, bad, number, timezone)
    if not pa.types.is_string(values.type):
        return pa.nulls(len(values), MOMENT), there_in(values.is_valid())
    text = pc.utf8_trim_whitespace(values)
    if not formats:
        try:
            moments = text.cast(pa.timestamp("us"))
        except pa.ArrowInvalid:
            pass
        else:
            nothing = np.zeros(len(text), bool)
            return _in_utc(moments, nothing, timezone), nothing
    there = there_in(text.is_valid())
    ticks = np.zeros(len(text), np.int64)
    fits = ~there
    aware = np.zeros(len(text), bool)
    for layout in formats or _ISO_LAYOUTS:
        if fits.all():
            break
        rows, found = _by_layout(text, layout, ~fits)
        ticks[rows], fits[rows] = found, True
    left = np.flatnonzero(~fits)
    if len(left):
        parse = _parser(formats)
        coded = text.take(pa.array(left)).dictionary_encode()
        parsed = [parse(one) for one in coded.dictionary.to_pylist()]
        for row, code in zip(left, coded.indices.to_numpy(), strict=True):
            if (found := parsed[code]) is not None:
                ticks[row], aware[row] = found
                fits[row] = True
    moments = pa.array(ticks, mask=~(fits & there)).cast(pa.timestamp("us"))
    return _in_utc(moments, aware, timezone), ~fits


def _moments_of(values: pa.Array, timezone: str) -> pa.Array:
    if pa.types.is_timestamp(values.type) and values.type.tz:
        return values.cast(MOMENT, safe=False)
    local = values.cast(pa.timestamp("us"), safe=False)
    return _in_utc(local, np.zeros(len(local), bool), timezone)


def _counted(
    counts: pa.Array, bad: np.ndarray, format: str, timezone: str
) -> Converted:
    numbers = pc.fill_null(counts, 0).to_numpy()
    if format == _EXCEL:
        base = (_EXCEL_DAY_0 - datetime(1970, 1, 1)) // timedelta(microseconds=1)
        micros = np.rint(numbers * 86_400_000) * 1000 + base
    else:
        micros = np.rint(numbers * EPOCHS[format])
    fits = np.abs(micros) < 2.5e17
    ticks = np.where(fits, micros, 0).astype(np.int64)
    moments = pa.array(ticks, mask=~fits | ~there_in(counts.is_valid()))
    aware = np.full(len(ticks), format != _EXCEL)
    bad = bad | (~fits & there_in(counts.is_valid()))
    return _in_utc(moments.cast(pa.timestamp("us")), aware, timezone), bad


def _in_utc(local: pa.Array, aware: np.ndarray, timezone: str) -> pa.Array:
    as_utc = local.cast(MOMENT)
    if timezone == "UTC" or aware.all():
        return as_utc
    shifted = pc.assume_timezone(
        local, timezone, ambiguous="earliest", nonexistent="latest"
    ).cast(MOMENT)
    return pc.if_else(pa.array(aware), as_utc, shifted) if aware.any() else shifted


def _by_layout(
    text: pa.Array, layout: str, wanted: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Read dates of fixed width, digit by digit, all rows at once.

    Returns:
        The rows that are of this layout, and their microseconds since 1970.
    """
    nothing = np.zeros(0, np.int64), np.zeros(0, np.int64)
    pieces = _pieces(layout)
    if pieces is None:
        return nothing
    width = sum(size for _, size in pieces)
    offsets = np.frombuffer(text.buffers()[1], np.int32)
    offsets = offsets[text.offset : text.offset + len(text) + 1]
    rows = np.flatnonzero(wanted & (np.diff(offsets) == width))
    content = text.buffers()[2]
    if not len(rows) or content is None:
        return nothing
    data = np.frombuffer(content, np.uint8)
    starts = offsets[:-1][rows]
    if len(rows) == len(text):
        signs = data[starts[0] : starts[0] + width * len(rows)].reshape(-1, width)
    else:
        signs = data[starts[:, None] + np.arange(width)]
    # A row for each place of the text, so that a step goes through memory in order.
    signs = np.ascontiguousarray(signs.T)
    good = np.ones(len(rows), bool)
    parts: dict[str, Any] = {"Y": 1970, "m": 1, "d": 1, "H": 0, "M": 0, "S": 0}
    place = 0
    for kind, size in pieces:
        here = signs[place : place + size]
        place += size
        if kind not in _WIDTHS:
            good &= here[0] == ord(kind)
            continue
        # Below "0" the numbers wrap round, and are large.
        digits = here - np.uint8(ord("0"))
        value = np.zeros(len(rows), np.int32)
        for digit in digits:
            good &= digit <= 9
            value = value * 10 + digit
        if kind == "y":  # POSIX: 69–99 are of the 20th century
            value = value + np.where(value < 69, 2000, 1900)
        parts["Y" if kind == "y" else kind] = value
    year, month, day = (np.broadcast_to(parts[k], len(rows)) for k in "Ymd")
    good &= (month >= 1) & (month <= 12) & (day >= 1) & (year >= 1)
    good &= (parts["H"] <= 23) & (parts["M"] <= 59) & (parts["S"] <= 59)
    first = (np.where(good, year, 1970) - 1970) * 12 + np.where(good, month, 1) - 1
    months = first.astype("datetime64[M]")
    begin = months.astype("datetime64[D]").astype(np.int64)
    length = (months + 1).astype("datetime64[D]").astype(np.int64) - begin
    good &= day <= length
    seconds = (parts["H"] * 60 + parts["M"]) * 60 + parts["S"]
    ticks = ((begin + day - 1) * 86_400 + seconds) * 1_000_000
    return rows[good], ticks[good]


def _pieces(layout: str) -> list[tuple[str, int]] | None:
    """Take a format apart; None if its width is not fixed."""
    pieces = []
    for found in re.finditer(r"%(.)|([^%])", layout):
        directive, other = found[1], found[2]
        if directive is None:
            if ord(other) > 127:
                return None
            pieces.append((other, 1))
        elif directive in _WIDTHS:
            pieces.append((directive, _WIDTHS[directive]))
        else:
            return None
    # A letter that stands for itself is not mistaken for a directive.
    return None if any(k in _WIDTHS and s == 1 for k, s in pieces) else pieces


def _parser(formats: Sequence[str]) -> Callable[[str], tuple[int, bool] | None]:
    """Return what reads a single moment: its microseconds, and whether they are UTC."""
    readers: list[Callable[[str], datetime]] = [
        partial(_strptime, format=one) for one in formats
    ] or [datetime.fromisoformat]

    def parse(text: str) -> tuple[int, bool] | None:
        for read in readers:
            try:
                moment = read(text)
                aware = moment.tzinfo is not None
                if aware:
                    moment = moment.astimezone(UTC).replace(tzinfo=None)
            except (ValueError, OverflowError):
                continue
            return (moment - datetime(1970, 1, 1)) // timedelta(microseconds=1), aware
        return None

    return parse


def _strptime(text: str, format: str) -> datetime:
    return datetime.strptime(text, format)


def is_timezone(name: str) -> bool:
    """Tell whether there is a time zone of that name."""
    try:
        ZoneInfo(name)
    except (ValueError, OSError):
        return False
    except Exception as error:  # ZoneInfoNotFoundError is a KeyError
        if isinstance(error, KeyError):
            return False
        raise
    return True
