"""What is wrong with some of the lines, on purpose, and how it is put into them.

Every function makes the given rows break one cleaning rule and no other.
"""

from datetime import date

import numpy as np

from dask_etl.pipelines.data_generation.lines import MICROSECONDS, Lines, copy_rows
from dask_etl.retail.parameters import Defects, Generation

NAMES = tuple(Defects.model_fields)
GOOD = 0
DUPLICATE = NAMES.index("duplicate_transaction_id") + 1
UNKNOWN_CUSTOMER = NAMES.index("missing_customer_id") + 1
NEAR_DUPLICATE = len(NAMES) + 1
"""Kinds of lines; a defect has its place in ``NAMES``, counted from 1."""

_NEAR_DUPLICATES = 0.002
"""Share of the lines that repeat another one under an id of their own."""
_LATE = 0.1
"""Share of the replays that come, whenever, from the end of the previous partition: a
batch that is delivered once more days later. The others come minutes to hours later."""
_CHANGED = 0.4
"""Share of the replays that are not exact copies."""
_NEAR_BACK = 5
"""Mean number of good lines between a line and its near-duplicate."""
_DELAY_DAYS = 0.125
"""Mean time between a first delivery and its replay."""

_ABSURD_FROM = date(2069, 12, 31)
"""Future lines are 30 years or more after this, however old the data."""
_SPREADSHEET_ZERO = np.datetime64("1899-12-30", "s").astype(np.int64)
_BARCODES = (4_000_000_000_000, 4_410_000_000_000)
"""EAN-13 of German articles: beyond the limits as units and as cents."""

_YEAR_SECONDS = 31_557_600


def draw_kinds(defects: Defects, rng: np.random.Generator, count: int) -> np.ndarray:
    """What each line is to become: good, with a defect, or a near-duplicate."""
    shares = [getattr(defects, name) for name in NAMES]
    shares.append(_NEAR_DUPLICATES * max(0.0, 1 - sum(shares)))
    edges = np.cumsum(shares)
    place = rng.random(count)
    kinds = np.zeros(count, dtype=np.int8)
    bad = np.flatnonzero(place < edges[-1])
    kinds[bad] = np.searchsorted(edges, place[bad], side="right") + 1
    return kinds


def copy_near_duplicates(
    rng: np.random.Generator, lines: Lines, kinds: np.ndarray
) -> None:
    """Turn rows into repetitions, under ids of their own, of good lines shortly before.

    Changes ``lines``. Where no good line precedes, the row stays as it is.
    """
    good = np.flatnonzero(kinds == GOOD)
    rows = np.flatnonzero(kinds == NEAR_DUPLICATE)
    back = 1 + rng.exponential(_NEAR_BACK, len(rows)).astype(np.int64)
    source = np.searchsorted(good, rows) - back
    exists = source >= 0
    copy_rows(
        lines, good[source[exists]], lines, rows[exists], keep=("transaction_id",)
    )


def replay_lines(
    generation: Generation,
    rng: np.random.Generator,
    lines: Lines,
    kinds: np.ndarray,
    previous: Lines,
) -> None:
    """Turn rows into replays of good lines that were delivered before them.

    Changes ``lines``; rows before which there is nothing to replay become good ones,
    in ``kinds`` too.

    Args:
        generation: for the period and how many lines a day has.
        rng: random numbers.
        lines: the partition, before anything is spoiled.
        kinds: what each row is to become.
        previous: good lines from the end of the previous partition, perhaps none.
    """
    good = np.flatnonzero(kinds == GOOD)
    rows = np.flatnonzero(kinds == DUPLICATE)
    before = np.searchsorted(good, rows)
    days = (generation.end - generation.start).days + 1
    delay = rng.exponential(_DELAY_DAYS * generation.rows / days, len(rows))
    own = before - 1 - delay.astype(np.int64)
    other = rng.integers(0, max(previous.rows, 1), len(rows))
    is_late = rng.random(len(rows)) < _LATE

    is_other = (is_late | (own < 0)) & (previous.rows > 0)
    # A delay that begins before the partition does goes on in the one before.
    reaches = is_other & ~is_late & (own >= -previous.rows)
    other[reaches] = own[reaches] + previous.rows
    is_own = ~is_other & (before > 0)
    copy_rows(previous, other[is_other], lines, rows[is_other])
    copy_rows(lines, good[own[is_own] % before[is_own]], lines, rows[is_own])
    kinds[rows[~is_other & ~is_own]] = GOOD
    _change_some(generation, rng, lines, rows[is_other | is_own])


def _change_some(
    generation: Generation, rng: np.random.Generator, lines: Lines, rows: np.ndarray
) -> None:
    """Corrections: the same id with a later time, some with the return flag flipped."""
    changed = rows[rng.random(len(rows)) < _CHANGED]
    days = rng.exponential(_DELAY_DAYS, len(changed))
    seconds = 1 + (days * 86_400).astype(np.int64)
    end = np.datetime64(generation.end, "us").astype(np.int64)
    last = end + 86_399 * MICROSECONDS
    later = lines.values["timestamp"][changed] + seconds * MICROSECONDS
    lines.values["timestamp"][changed] = np.minimum(later, last)
    flipped = changed[rng.random(len(changed)) < 0.5]
    lines.values["is_returned"][flipped] ^= True
    lines.nulls["is_returned"][flipped] = False


def spoil_lines(
    generation: Generation, rng: np.random.Generator, lines: Lines, kinds: np.ndarray
) -> None:
    """Put every defect but the replays into its rows of ``lines``, in place."""
    values, nulls = lines

    def rows_of(name: str) -> np.ndarray:
        return np.flatnonzero(kinds == NAMES.index(name) + 1)

    for column in ("transaction_id", "customer_id", "timestamp", "quantity"):
        nulls[column][rows_of(f"missing_{column}")] = True

    rows = rows_of("missing_amount")
    not_numbers = np.array([np.nan, np.nan, np.inf, -np.inf])
    values["amount"][rows] = rng.choice(not_numbers, len(rows))
    nulls["amount"][rows] = rng.random(len(rows)) < 0.5

    rows = rows_of("non_positive_amount")
    values["amount"][rows] *= rng.choice([-1.0, -1.0, 0.0], len(rows))
    rows = rows_of("non_positive_quantity")
    # Where negative lines are returns, they are none.
    least = 0 if generation.returns == "negative_lines" else -1
    values["quantity"][rows] *= rng.choice([least, 0], len(rows))

    rows = rows_of("discount_out_of_range")
    values["discount"][rows] = rng.choice([-0.2, -0.05, 1.1, 1.5, 25.0], len(rows))
    nulls["discount"][rows] = False
    rows = rows_of("rating_out_of_range")
    values["rating"][rows] = rng.choice([-1.0, 0.0, 6.0, 9.0, 10.0], len(rows))
    nulls["rating"][rows] = False

    _exceed(rng, lines, rows_of("value_out_of_range"))

    rows = rows_of("future_timestamp")
    values["timestamp"][rows] = _absurd_times(generation, rng, len(rows))


def _exceed(rng: np.random.Generator, lines: Lines, rows: np.ndarray) -> None:
    """A barcode typed as quantity or as price, or the first day of a spreadsheet."""
    of_quantity, of_amount, of_time = np.array_split(rng.permutation(rows), 3)
    values, _ = lines
    values["quantity"][of_quantity] = rng.integers(*_BARCODES, len(of_quantity))
    values["amount"][of_amount] = rng.integers(*_BARCODES, len(of_amount)) / 100
    seconds = rng.integers(0, 86_400, len(of_time))
    values["timestamp"][of_time] = (_SPREADSHEET_ZERO + seconds) * MICROSECONDS


def _absurd_times(
    generation: Generation, rng: np.random.Generator, count: int
) -> np.ndarray:
    """30 to 80 years after the period and after every sensible ``as_of``."""
    start = np.datetime64(max(generation.end, _ABSURD_FROM), "s").astype(np.int64)
    seconds = rng.integers(30 * _YEAR_SECONDS, 80 * _YEAR_SECONDS, count)
    return (start + seconds) * MICROSECONDS
