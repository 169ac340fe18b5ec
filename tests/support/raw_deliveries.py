"""Whole deliveries of raw files, as strange as files can be and still be Parquet."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import strategies as st

from dask_etl.retail.parameters import Calendar, Cleaning, Currency, Limits
from dask_etl.retail.schema import ACTIONS
from oracle.raw_files import AS_OF

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def micros(*parts: int) -> int:
    """Microseconds since 1970 of a moment in UTC."""
    return (datetime(*parts, tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)


@dataclass(frozen=True)
class Delivery:
    """Files by name, in raw order, how they are cut, and how they are judged.

    Attributes:
        files: their tables.
        row_group_size: rows of a row group of each.
        knows_arrow: whether the files name their Arrow types.
        rows_per_partition: for the Dask engine.
        cleaning: parameters of the rules.
        calendar: whose days they are.
        currency: how many cents are in a unit.
        is_analysed: whether the analyses are made and compared, too.
    """

    files: dict[str, pa.Table]
    row_group_size: int
    knows_arrow: bool
    rows_per_partition: int
    cleaning: Cleaning
    calendar: Calendar
    currency: Currency
    is_analysed: bool

    def write(self, folder: Path) -> list[Path]:
        """Write the files; return them in raw order."""
        folder.mkdir(parents=True)
        for name, table in self.files.items():
            pq.write_table(
                table,
                folder / name,
                row_group_size=self.row_group_size,
                store_schema=self.knows_arrow,
            )
        return [folder / name for name in self.files]


# ------------------------------------------------------------------- the values

_LATEST = micros(2024, 7, 1)
assert EPOCH + timedelta(microseconds=_LATEST) == AS_OF

WHOLE_IDS = (*range(8), -1, 2**31, 2**53, 2**53 + 1, 2**63 - 1, -(2**63))
TEXT_IDS = (
    *("a", "b", "A", "ä", "a\u0308", " a", "a ", "0", "00", "1", "null", "nan"),
    # White space that Unicode knows, and what only looks like it.
    *("", " ", "\t\r\n", "\u3000\u2028", "\x1c\x85", "\u200b", "\ufeff", "x" * 300),
)
LABELS = (
    *("North", "north", "Unknown", "(all)", "All categories", "", " ", "nan", "None"),
    *("<NA>", "NULL", "Übersee", "\U0001f6d2", "\uffff", "1", "a\"b'c,\n"),
)
AMOUNTS = (
    *(0.01, 0.125, 0.375, 9.99, 10.0, 10.01, 19.99, 50.0, 200.0, 999.99, 1e-300),
    *(100.0, np.nextafter(100, 101), 1e9, np.nextafter(1e9, 2e9), 9e13, 1e300),
    *(0.0, -0.0, -5.0, -2e9, np.nan, np.inf, -np.inf, 2.0**53, 90071992.54740992),
)
WHOLE_QUANTITIES = (
    *(1, 2, 3, 10, 11, 100, 1000, 10**6, 10**6 + 1, 9 * 10**9, 2**31, 2**53),
    *(2**53 + 1, 2**62, 2**63 - 1, -(2**63), 0, -1, -(10**6) - 1),
)
BROKEN_QUANTITIES = (
    *(0.5, 1.25, 0.1, 1e-6, 1e-7, 2.000001, 1.0000005, 123456.123456, 1e19, 1e300),
    *(np.nan, np.inf, -np.inf, -0.5, -0.0),
)
DISCOUNTS = (
    *(0.0, 0.5, 1.0, 0.15, 1 / 3, -0.01, 1.01, np.nextafter(1, 2), -0.0, 1e-320),
    *(np.nan, np.inf, -np.inf, 1e300),
)
RATINGS = (
    *(1.0, 2.0, 3.0, 4.5, 5.0, 1 + 1 / 3, 0.0, 6.0, np.nextafter(1, 0), -1.0, 1e300),
    *(np.nextafter(5, 6), np.nan, np.inf, -np.inf),
)
MOMENTS = (
    *(_LATEST, _LATEST - 1, _LATEST + 1, micros(2024, 5, 31, 23, 59, 59, 999_999)),
    *(
        micros(2024, 6, 1),
        micros(2024, 6, 30),
        micros(2023, 12, 31),
        micros(2024, 2, 29),
    ),
    *(micros(2020, 1, 1), micros(2020, 1, 1) - 1, micros(2022, 1, 31)),
)
ODD_MOMENTS = (
    *(micros(1900, 1, 1), micros(1900, 1, 1) - 1, micros(1899, 12, 30), -1, 0, 1),
    *(micros(1, 1, 1), micros(1, 1, 1) - 86_400_000_000 * 366, micros(9999, 12, 31)),
    *(-(10**17), 2 * 10**17, micros(2262, 4, 12), micros(1677, 9, 21)),
)

_SOME = {
    "transaction_id": st.integers(0, 400),
    "customer_id": st.integers(0, 6),
    "product_category": st.sampled_from(LABELS[:6]),
    "region": st.sampled_from(LABELS[:3]),
    "amount": st.integers(1, 30_000).map(lambda cents: cents / 100),
    "quantity": st.one_of(st.integers(1, 9), st.integers(-4, 9)),
    "discount": st.sampled_from((0.0, 0.0, 0.25, 0.5, 0.15)),
    "timestamp": st.one_of(
        st.sampled_from(MOMENTS), st.integers(micros(2024, 4, 20), _LATEST)
    ),
    "rating": st.sampled_from((None, 1.0, 3.0, 4.5, 5.0)),
    "is_returned": st.sampled_from((None, False, False, True)),
}
"""Values of good rows; ids are numbers, to be made text where they are."""

_OPTIONAL = {
    "order_id": st.integers(0, 9),
    "line_total": st.one_of(
        st.none(),
        st.integers(-3_000, 30_000).map(lambda cents: cents / 100),
        st.sampled_from((0.0, 0.125, 1.0005, np.nan, np.inf, -np.inf, 9e13, 2.0**53)),
    ),
    "channel": st.sampled_from((None, "web", "shop", "")),
    "cashier": st.sampled_from((None, 1, 2, 300)),
    "packed": st.sampled_from((None, MOMENTS[0], MOMENTS[3])),
    "due": st.sampled_from((None, date(2024, 2, 29))),
}
FURTHER = ("channel", "cashier", "packed", "due")
"""Columns that may be kept."""

ZONES = (
    *("UTC", "UTC", "UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu"),
    *("Australia/Lord_Howe", "America/Sao_Paulo", "Pacific/Apia"),
)

_ANY = {
    "product_category": st.sampled_from((None, *LABELS)),
    "region": st.one_of(st.sampled_from((None, *LABELS)), st.text(max_size=3)),
    "amount": st.one_of(st.sampled_from((None, *AMOUNTS)), st.floats()),
    "discount": st.one_of(st.sampled_from((None, *DISCOUNTS)), st.floats(-0.1, 1.1)),
    "timestamp": st.sampled_from((None, *ODD_MOMENTS)),
    "rating": st.one_of(st.sampled_from((None, *RATINGS)), st.floats(0, 6)),
    "is_returned": st.sampled_from((None, True)),
}

# -------------------------------------------------------------------- the types

_TEXT_TYPES = (
    pa.string(),
    pa.string(),
    pa.large_string(),
    pa.dictionary(pa.int32(), pa.string()),
    pa.dictionary(pa.int8(), pa.large_string()),
)
_FLOAT_TYPES = (pa.float64(), pa.float64(), pa.float64(), pa.float32(), pa.int64())
_ID_TYPES = (
    *(pa.int64(), pa.int64(), pa.int64(), pa.int32(), pa.uint64(), pa.uint8()),
    pa.float64(),
)
_TYPES: Mapping[str, Sequence[pa.DataType]] = {
    "product_category": _TEXT_TYPES,
    "region": _TEXT_TYPES,
    "amount": _FLOAT_TYPES,
    "discount": _FLOAT_TYPES,
    "rating": (*_FLOAT_TYPES, pa.int8()),
    "timestamp": tuple(
        pa.timestamp(unit, zone)
        for zone in ("UTC", None, "Europe/Berlin")
        for unit in ("us", "us", "ns", "ms", "s")
    ),
    "is_returned": (pa.bool_(), pa.bool_(), pa.int8()),
    "line_total": _FLOAT_TYPES,
    "channel": _TEXT_TYPES,
    "cashier": (pa.int64(), pa.int16(), pa.float64(), pa.uint8()),
    "packed": (pa.timestamp("us", "UTC"), pa.timestamp("ms")),
    "due": (pa.date32(),),
}
_QUANTITY_TYPES = (pa.int64(), pa.int64(), pa.int32(), pa.uint64(), pa.float64())
_REFUSED = {
    "transaction_id": pa.binary(),
    "customer_id": pa.binary(),
    "amount": pa.string(),
    "quantity": pa.string(),
    "timestamp": pa.time64("us"),
    "is_returned": pa.float64(),
}
"""Types that no raw column may have."""


@st.composite
def deliveries(draw) -> Delivery:
    """Whole deliveries: several files, types of their own, rows that are mostly good."""
    are_text = {
        name: draw(st.booleans())
        for name in ("transaction_id", "customer_id", "order_id")
    }
    is_optional = st.lists(st.sampled_from(["order_id", "line_total", *FURTHER]))
    optional = draw(is_optional)
    count = draw(st.sampled_from((1, 1, 2, 3)))
    files = {
        f"part-{number}.parquet": draw(_file(_kinds_of_ids(draw, are_text), optional))
        for number in range(count)
    }
    limits = Limits(
        amount=draw(st.sampled_from((1e9, 1e9, 100.0, 9e13))),
        quantity=draw(st.sampled_from((1e6, 1e6, 10, 9e9))),
        timestamp=draw(st.sampled_from(("1900-01-01", "2020-01-01"))),
    )
    quantity = draw(st.sampled_from(("whole", "whole", "decimal")))
    further = {n for table in files.values() for n in table.column_names} & set(FURTHER)
    has_totals = any("line_total" in table.column_names for table in files.values())
    revenues = ("computed", "total") if has_totals else ("computed",)
    return Delivery(
        files,
        row_group_size=draw(st.sampled_from((3, 1000))),
        knows_arrow=draw(st.booleans()),
        rows_per_partition=draw(st.sampled_from((1, 5, 1000))),
        cleaning=Cleaning(
            limits=limits,
            quantity=quantity,
            returns=draw(st.sampled_from(("flag", "negative_lines"))),
            revenue=draw(st.sampled_from(revenues)),
            keep=draw(st.lists(st.sampled_from(sorted(further)), unique=True))
            if further
            else (),
            rules={
                rule: actions[0]
                for rule, actions in ACTIONS.items()
                if draw(st.booleans())
            },
            thresholds={},
            allow_nothing_kept=True,
        ),
        calendar=Calendar(timezone=draw(st.sampled_from(ZONES))),
        currency=Currency(digits=draw(st.sampled_from((2, 2, 0, 1, 3)))),
        is_analysed=draw(st.integers(0, 5)) == 0,
    )


def _kinds_of_ids(draw, are_text: Mapping[str, bool]) -> dict[str, bool]:
    """Seldom, a file has numbers where the others have text."""
    odd = draw(st.integers(0, 39)) == 0
    return {name: is_text != odd for name, is_text in are_text.items()}


@st.composite
def _file(draw, are_text: Mapping[str, bool], optional: Sequence[str]) -> pa.Table:
    some = {name: values for name, values in _SOME.items() if name not in _OPTIONAL}
    # Not every file has what some have.
    if optional and draw(st.integers(0, 4)):
        some |= {name: _OPTIONAL[name] for name in optional}
    are_text = {name: so for name, so in are_text.items() if name in some}
    pools = {name: [*_TYPES.get(name, ())] for name in some}
    values = {name: any_ for name, any_ in _ANY.items() if name in some}
    for name, is_text in are_text.items():
        pools[name] = [*(_TEXT_TYPES if is_text else _ID_TYPES)]
        values[name] = st.sampled_from((None, *(TEXT_IDS if is_text else WHOLE_IDS)))
    pools["quantity"] = [*_QUANTITY_TYPES]
    types = {name: draw(st.sampled_from(pool)) for name, pool in pools.items()}
    if draw(st.integers(0, 29)) == 0:
        name = draw(st.sampled_from(sorted(_REFUSED)))
        types[name] = _REFUSED[name]
    elif draw(st.integers(0, 9)) == 0:
        types[draw(st.sampled_from(sorted(types)))] = pa.null()
    quantities = WHOLE_QUANTITIES
    if pa.types.is_floating(types["quantity"]):
        quantities += BROKEN_QUANTITIES
    values["quantity"] = st.sampled_from((None, *quantities))
    fewest = draw(st.sampled_from((0, 2, 10)))
    rows = draw(st.lists(_row(some, values, are_text), min_size=fewest, max_size=16))
    columns = {
        name: array([row[name] for row in rows], kind, draw(st.booleans()))
        for name, kind in types.items()
    }
    if draw(st.integers(0, 9)) == 0:
        columns["source_file"] = pa.array(["theirs"] * len(rows), pa.string())
    order = draw(st.permutations(sorted(columns)))
    return pa.table({name: columns[name] for name in order})


@st.composite
def _row(
    draw,
    some: Mapping[str, st.SearchStrategy],
    values: Mapping[str, st.SearchStrategy],
    are_text,
) -> dict[str, Any]:
    row = {name: draw(good) for name, good in some.items()}
    for name, is_text in are_text.items():
        row[name] = f"T{row[name]}" if is_text else row[name]
    for name in draw(st.lists(st.sampled_from(sorted(values)), max_size=2)):
        row[name] = draw(values[name])
    return row


def array(values: list, kind: pa.DataType, hides_nothing: bool) -> pa.Array:
    """Make a column; what its type cannot hold is null, or the nearest it can hold.

    Args:
        values: of the rows.
        kind: the type.
        hides_nothing: NaN stays NaN; else it is null.
    """
    if pa.types.is_dictionary(kind):
        return pa.array(values, kind.value_type).dictionary_encode().cast(kind)
    if pa.types.is_timestamp(kind):
        return pa.array([_ticks(v, kind.unit) for v in values], pa.int64()).cast(kind)
    if pa.types.is_floating(kind):
        with np.errstate(over="ignore"):
            floats = np.array([_float(v) for v in values], kind.to_pandas_dtype())
        is_null = np.array([not _is_number(v) for v in values], bool)
        return pa.array(floats, mask=is_null | (np.isnan(floats) & (not hides_nothing)))
    if pa.types.is_integer(kind):
        bounds = np.iinfo(kind.to_pandas_dtype())
        return pa.array([_whole(v, bounds) for v in values], kind)
    if pa.types.is_date(kind) and any(isinstance(v, date) for v in values):
        return pa.array(values, kind)
    if kind in (pa.string(), pa.large_string(), pa.binary()):
        values = [None if v is None else str(v) for v in values]
    elif kind != pa.bool_():
        values = [None] * len(values)
    return pa.array(values, kind)


def _ticks(value: int | None, unit: str) -> int | None:
    if value is None or (unit == "ns" and abs(value) > 9 * 10**15):
        return None
    return (
        value * 1000 if unit == "ns" else value // {"s": 10**6, "ms": 1000}.get(unit, 1)
    )


def _is_number(value) -> bool:
    return value is not None and not isinstance(value, str)


def _float(value) -> float:
    return float(value) if _is_number(value) else np.nan


def _whole(value, bounds: np.iinfo) -> int | None:
    if not _is_number(value) or not np.isfinite(value):
        return None
    return min(max(int(value), bounds.min), bounds.max)
