"""What a source looks like: encoding, separator, marks, and what its columns hold."""

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dask_etl.sources.convert import FLAGS, as_text, plain, to_decimal
from dask_etl.sources.mapping import NULLS, Kind
from dask_etl.sources.moments import to_moment
from dask_etl.sources.records import Dialect, Records

SEPARATORS = (",", ";", "\t", "|")
MARKS: tuple[tuple[str, str | None], ...] = (
    (".", None),
    (",", None),
    (",", "."),
    (".", ","),
    (",", " "),
    (".", " "),
    (".", "'"),
)
"""Marks before decimals and between thousands, the simplest first."""

_DAYS = (
    "%Y-%m-%d",
    "%d.%m.%Y",
    "%d/%m/%Y",
    "%m/%d/%Y",
    "%d-%m-%Y",
    "%Y/%m/%d",
    "%d.%m.%y",
    "%m/%d/%y",
    "%d %b %Y",
    "%Y%m%d",
)
_TIMES = ("", " %H:%M", " %H:%M:%S", "T%H:%M:%S", " %I:%M %p")
FORMATS = tuple(f"{day}{time}" for day in _DAYS for time in _TIMES)

_TIME_OF_DAY = r"^\d{1,2}:\d{2}(:\d{2})?$"
_ENOUGH = 0.95
"""Share of the values of a column that must be of a kind; the others are mistakes."""
_LOOKED_AT = 1000


@dataclass(frozen=True)
class Delimited:
    """How text seems to be delimited."""

    encoding: str
    separator: str
    is_sure: bool = True


@dataclass(frozen=True)
class ColumnLook:
    """What a column seems to hold.

    Attributes:
        kind: as a mapping has it, or ``time`` for a time of day without a day.
        formats: of moments, all that fit; none for ISO 8601.
        filled: share of the rows that have a value.
        distinct: share of these that are different from each other.
        least: the smallest number.
        most: the largest.
        negative: how many numbers are below 0.
        sample: the first few values.
    """

    kind: Kind | str
    formats: tuple[str, ...] = ()
    filled: float = 1.0
    distinct: float = 0.0
    least: float | None = None
    most: float | None = None
    negative: int = 0
    sample: tuple[str, ...] = ()


@dataclass(frozen=True)
class Look:
    """What a source looks like.

    Attributes:
        columns: what each holds.
        decimal: the mark before decimals.
        thousands: the mark between thousands, if any.
        rows: the rows that were looked at, as text.
    """

    columns: Mapping[str, ColumnLook]
    decimal: str = "."
    thousands: str | None = None
    rows: pa.Table = field(default_factory=lambda: pa.table({}))


def delimited(content: bytes, path: str) -> Delimited:
    """Tell how a piece of text is encoded and delimited.

    Args:
        content: the beginning of a file, unpacked.
        path: of the file; ``.tsv`` says something.
    """
    encoding, is_sure = encoding_of(content)
    text = content.decode(encoding, "replace").removeprefix("\ufeff")
    best, found = (
        0.0,
        "\t" if path.lower().removesuffix(".gz").endswith(".tsv") else ",",
    )
    for separator in SEPARATORS:
        score = _evenness(text, separator)
        if score > best:
            best, found = score, separator
    if best < 2 and len(text.split("\n", 1)[0].split()) > 1:
        widths = Counter(len(line.split()) for line in text.splitlines()[:_LOOKED_AT])
        if widths.most_common(1)[0][1] > _ENOUGH * sum(widths.values()):
            found = "white space"
    return Delimited(encoding, found, is_sure)


def encoding_of(content: bytes) -> tuple[str, bool]:
    """Tell the encoding of some text, and whether there is no doubt."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16", True
    # The last character may have been cut.
    for cut in range(4):
        try:
            content[: len(content) - cut].decode()
            return "utf-8", True
        except UnicodeDecodeError:
            continue
    # What these bytes are in cp1252 is rare in text; in others it is letters.
    high = Counter(byte for byte in content if byte >= 0x80)
    odd = sum(n for byte, n in high.items() if byte in b"\x81\x8d\x8f\x90\x9d")
    return "cp1252", odd == 0


def _evenness(text: str, separator: str) -> float:
    """Score a separator by how many fields how many records have alike."""
    sample = text[: 1 << 18].encode()
    records = Records(sample, Dialect(separator.encode()))
    fields = []
    for number in range(min(len(records.starts) - 1, _LOOKED_AT) or 1):
        row = next(
            csv.reader(
                io.StringIO(records.shown(number, "utf-8")), delimiter=separator
            ),
            [],
        )
        fields.append(len(row))
    width, times = Counter(fields).most_common(1)[0]
    return width * times / len(fields) if width > 1 else 0.0


def look_at(rows: pa.Table) -> Look:
    """Tell what the columns of some rows hold."""
    texts = {name: _text_of(rows[name]) for name in rows.column_names}
    written = {name: t for name, t in texts.items() if t is not None}
    decimal, thousands = _marks([*written.values()])
    columns = {
        name: _column(rows[name], texts[name], decimal, thousands)
        for name in rows.column_names
    }
    shown = pa.table({name: as_text(rows[name]) for name in rows.column_names})
    return Look(columns, decimal, thousands, shown)


def _text_of(values: pa.ChunkedArray) -> pa.Array | None:
    """Return a column's text, without what stands for nothing; None if it is none."""
    flat = plain(values)
    if not pa.types.is_string(flat.type):
        return None
    text = pc.utf8_trim_whitespace(flat)
    gone = pc.is_in(text, pa.array(NULLS))
    return pc.if_else(gone, pa.scalar(None, pa.string()), text)


def _marks(columns: Sequence[pa.Array]) -> tuple[str, str | None]:
    """Tell the marks with which most values are numbers; the simplest of equals."""

    def numbers(marks: tuple[str, str | None]) -> int:
        read = (to_decimal(column, *marks) for column in columns)
        return sum(
            len(values) - values.null_count
            for values, bad in read
            if _mostly(values, bad)
        )

    counts = [numbers(marks) for marks in MARKS]
    return MARKS[int(np.argmax(counts))]


def _mostly(values: pa.Array, bad: np.ndarray) -> bool:
    there = len(values) - values.null_count + int(bad.sum())
    return there > 0 and bad.sum() <= (1 - _ENOUGH) * there


def _column(
    values: pa.ChunkedArray, text: pa.Array | None, decimal: str, thousands: str | None
) -> ColumnLook:
    whole = text if text is not None else plain(values)
    there = whole.drop_null()
    filled = len(there) / len(whole) if len(whole) else 0.0
    if not len(there):
        return ColumnLook("text", filled=0.0)
    distinct = (
        1.0 if pa.types.is_nested(there.type) else len(there.unique()) / len(there)
    )
    sample = tuple(as_text(there.slice(0, 3)).to_pylist())
    kind, formats = _kind(there, decimal, thousands)
    if kind not in ("integer", "decimal"):
        return ColumnLook(kind, formats, filled, distinct, sample=sample)
    numbers, _ = to_decimal(there, decimal, thousands)
    least, most = pc.min_max(numbers).as_py().values()
    negative = pc.sum(pc.less(numbers, 0.0)).as_py() or 0
    return ColumnLook(kind, (), filled, distinct, least, most, negative, sample)


def _kind(  # noqa: PLR0911  (one for each kind)
    there: pa.Array, decimal: str, thousands: str | None
) -> tuple[str, tuple[str, ...]]:
    kind = there.type
    if pa.types.is_boolean(kind):
        return "flag", ()
    if pa.types.is_temporal(kind):
        return "moment", ()
    if pa.types.is_integer(kind):
        return "integer", ()
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        numbers = there.cast(pa.float64()).to_numpy(zero_copy_only=False)
        finite = numbers[np.isfinite(numbers)]
        return ("integer" if (finite == np.rint(finite)).all() else "decimal"), ()
    if not pa.types.is_string(kind):
        return "text", ()
    words = {word.casefold() for word in there.unique().to_pylist()[:20]}
    if words <= FLAGS.keys() and not words <= {"0", "1", "0.0", "1.0", "x"}:
        return "flag", ()
    matched = pc.sum(pc.match_substring_regex(there, _TIME_OF_DAY)).as_py()
    if matched >= _ENOUGH * len(there):
        return "time", ()
    few = there.slice(0, 20)
    if (formats := _formats(there, few)) is not None:
        return "moment", formats
    numbers, bad = to_decimal(there, decimal, thousands)
    if _mostly(numbers, bad):
        found = numbers.drop_null().to_numpy()
        leading = pc.any(pc.match_substring_regex(there, r"^0\d")).as_py()
        if leading:
            return "text", ()
        return ("integer" if (found == np.rint(found)).all() else "decimal"), ()
    return "text", ()


def _formats(there: pa.Array, few: pa.Array) -> tuple[str, ...] | None:
    """List the formats that moments are written in; None if they are none."""
    if not pc.all(pc.match_substring_regex(few, r"\d.*\d")).as_py():
        return None
    # Years of four digits stand at the beginning, where nothing is between them.
    eight = pc.match_substring_regex(there, r"^(19|20)\d{6}$")
    if not pc.any(pc.match_substring_regex(few, r"[-./: ]")).as_py():
        return ("%Y%m%d",) if _fits(there, "%Y%m%d") and pc.all(eight).as_py() else None
    iso, bad = to_moment(there)
    if _mostly(iso, bad):
        return ()
    fitting = [one for one in FORMATS if _half_fits(few, one) and _fits(there, one)]
    # A format of two digits for the year also fits those of four, and no better.
    return tuple(fitting) or None


def _half_fits(few: pa.Array, format: str) -> bool:
    _, bad = to_moment(few, [format])
    return bool(bad.sum() * 2 <= len(few))


def _fits(there: pa.Array, format: str) -> bool:
    return _mostly(*to_moment(there, [format]))
