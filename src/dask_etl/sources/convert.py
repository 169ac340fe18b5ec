"""Text to numbers, moments and flags, column by column; what cannot be is told.

Every function gets a column and returns it converted, with nulls where it could not
be, and which rows those are. Whole columns are converted at once; only what is left
over is looked at value by value.
"""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dask_etl.storage.arrays import as_array

Converted = tuple[pa.Array, np.ndarray]
"""The values, and for each row whether something was there that is no such value."""

FLAGS: Mapping[str, bool] = {
    **dict.fromkeys(("true", "t", "yes", "y", "1", "1.0", "ja", "j", "oui", "x"), True),
    **dict.fromkeys(("false", "f", "no", "n", "0", "0.0", "nein", "non"), False),
}
"""Words for true and false, in small letters."""

_PLAIN = r"^[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?$"


def as_text(values: pa.Array | pa.ChunkedArray) -> pa.Array:  # noqa: PLR0911  (one for each kind)
    """Return any column as text, numbers and moments in their usual writing."""
    values = plain(values)
    if pa.types.is_string(values.type):
        return values
    if pa.types.is_fixed_size_binary(values.type) and values.type.byte_width == 16:
        from uuid import UUID  # noqa: PLC0415  (rare)

        return pa.array(
            [None if v is None else str(UUID(bytes=v)) for v in values.to_pylist()]
        )
    if pa.types.is_floating(values.type):
        # Ids that pandas made floats of are written as what they were.
        there = pc.if_else(pc.is_nan(values), pa.scalar(None, values.type), values)
        return pc.replace_substring_regex(there.cast(pa.string()), r"\.0$", "")
    if pa.types.is_timestamp(values.type):
        # The same moment is written alike, whatever the unit.
        text = pc.replace_substring_regex(
            values.cast(pa.string()), r"(\.[0-9]*?)0+(Z?)$", r"\1\2"
        )
        return pc.replace_substring_regex(text, r"\.(Z?)$", r"\1")
    if pa.types.is_boolean(values.type):
        return pc.if_else(values, "true", "false")
    if pa.types.is_nested(values.type):
        import json  # noqa: PLC0415  (rare)

        return pa.array(
            [None if v is None else json.dumps(v) for v in values.to_pylist()],
            pa.string(),
        )
    return values.cast(pa.string())


def plain(values: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Return one chunk without a dictionary, and text as ordinary text."""
    values = as_array(values)
    if isinstance(values, pa.ChunkedArray):
        values = pa.concat_arrays(values.chunks)
    if isinstance(values, pa.ExtensionArray):
        values = values.storage
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if values.type in (pa.large_string(), pa.string_view()):
        values = values.cast(pa.string())
    if pa.types.is_null(values.type):
        values = values.cast(pa.string())
    return values


def to_text(values: pa.Array) -> Converted:
    """Take a column as text."""
    text = as_text(values)
    return text, np.zeros(len(text), bool)


def to_decimal(
    values: pa.Array, decimal: str = ".", thousands: str | None = None, strip: str = ""
) -> Converted:
    """Take a column as float64.

    Args:
        values: text or numbers.
        decimal: the mark before decimals.
        thousands: the mark between thousands; it must have three digits behind it
            (or two, as in India, but for the last).
        strip: characters around a number that are no part of it, e.g. ``"€"``.
    """
    values = plain(values)
    if not pa.types.is_string(values.type):
        return _number_to(values, pa.float64())
    text, is_grouped = _canonical(values, decimal, thousands, strip)
    return _cast_text(text, pa.float64(), values, ~is_grouped)


def to_integer(
    values: pa.Array, decimal: str = ".", thousands: str | None = None, strip: str = ""
) -> Converted:
    """Take a column as int64; arguments as for :func:`to_decimal`."""
    values = plain(values)
    if not pa.types.is_string(values.type):
        return _number_to(values, pa.int64())
    text, is_grouped = _canonical(values, decimal, thousands, strip)
    if is_grouped.all():
        try:
            return text.cast(pa.int64()), np.zeros(len(text), bool)
        except pa.ArrowInvalid:
            pass
    is_whole = there_in(pc.match_substring_regex(text, r"^[+-]?[0-9]{1,18}$"))
    fine = (
        text.cast(pa.int64()) if is_whole.all() else _only(text, is_whole, pa.int64())
    )
    # 12.0, 1e3 and the largest numbers take the long way.
    left = np.flatnonzero(~is_whole & there_in(text.is_valid()) & is_grouped)
    bad = ~is_grouped & there_in(values.is_valid())
    if len(left):
        numbers = [_whole(one) for one in text.take(pa.array(left)).to_pylist()]
        late = pa.array(numbers, pa.int64())
        fine = pc.replace_with_mask(
            fine, pa.array(np.isin(np.arange(len(text)), left)), late
        )
        bad[left] = [number is None for number in numbers]
    return fine, bad


def _whole(text: str) -> int | None:
    if re.fullmatch(r"[+-]?[0-9]+", text):
        number = int(text)
    elif (
        re.match(_PLAIN, text) and float(text).is_integer() and abs(float(text)) < 2**53
    ):
        number = int(float(text))
    else:
        return None
    return number if -(2**63) <= number < 2**63 else None


def _canonical(
    values: pa.Array, decimal: str, thousands: str | None, strip: str
) -> tuple[pa.Array, np.ndarray]:
    """Write numbers as Arrow reads them; tell which have their thousands in order."""
    text = pc.utf8_trim(values, characters=f" \t\u00a0\u202f{strip}")
    is_grouped = np.ones(len(text), bool)
    if thousands:
        has_mark = there_in(pc.match_substring(text, thousands))
        rows = np.flatnonzero(has_mark)
        if len(rows):
            mark, point = re.escape(thousands), re.escape(decimal)
            grouped = (
                rf"^\(?[+-]?[0-9]{{1,3}}(?:{mark}[0-9]{{2,3}})*{mark}[0-9]{{3}}"
                rf"(?:{point}[0-9]*)?-?\)?$"
            )
            some = text if len(rows) == len(text) else text.take(pa.array(rows))
            is_grouped[rows] = there_in(pc.match_substring_regex(some, grouped))
            text = pc.replace_substring(text, thousands, "")
    if decimal != ".":
        # A point that is neither mark is no number; it must not become one.
        if thousands != ".":
            is_grouped &= ~there_in(pc.match_substring(text, "."))
        text = pc.replace_substring(text, decimal, ".")
    return text, is_grouped


def _cast_text(
    text: pa.Array, kind: pa.DataType, given: pa.Array, refused: np.ndarray
) -> Converted:
    if not refused.any():
        try:
            return text.cast(kind), refused
        except pa.ArrowInvalid:
            pass
    fits = there_in(pc.match_substring_regex(text, _PLAIN))
    odd = np.flatnonzero(~fits & there_in(text.is_valid()))
    if len(odd):
        # -12.50 as books have it: 12.50- or (12.50).
        some = pc.replace_substring_regex(
            text.take(pa.array(odd)), r"^(?:([0-9.]+)-|\(([0-9.]+)\))$", r"-\1\2"
        )
        mask = np.zeros(len(text), bool)
        mask[odd] = True
        text = pc.replace_with_mask(text, pa.array(mask), some)
        fits[odd] = there_in(pc.match_substring_regex(some, _PLAIN))
    fits &= ~refused
    return _only(text, fits, kind), ~fits & there_in(given.is_valid())


def _only(text: pa.Array, fits: np.ndarray, kind: pa.DataType) -> pa.Array:
    return pc.if_else(pa.array(fits), text, pa.scalar(None, pa.string())).cast(kind)


def _number_to(values: pa.Array, kind: pa.DataType) -> Converted:
    if pa.types.is_boolean(values.type):
        values = values.cast(pa.int8())
    if pa.types.is_temporal(values.type) or pa.types.is_nested(values.type):
        return pa.nulls(len(values), kind), there_in(values.is_valid())
    if pa.types.is_floating(values.type):
        # NaN is how pandas says null.
        numbers = values.cast(pa.float64())
        values = pc.if_else(pc.is_nan(numbers), pa.scalar(None, pa.float64()), numbers)
    try:
        return values.cast(kind), np.zeros(len(values), bool)
    except pa.ArrowInvalid:
        pass
    numbers = pc.fill_null(values.cast(pa.float64(), safe=False), 0).to_numpy()
    fits = np.isfinite(numbers) & (np.abs(numbers) < 2**63)
    if pa.types.is_integer(kind):
        fits &= numbers == np.rint(numbers)
    kept = pc.if_else(pa.array(fits), values, pa.scalar(None, values.type))
    return kept.cast(kind, safe=False), ~fits & there_in(values.is_valid())


def to_flag(values: pa.Array, words: Mapping[str, bool] = FLAGS) -> Converted:
    """Take a column as true and false; capitals make no difference."""
    values = plain(values)
    if pa.types.is_boolean(values.type):
        return values, np.zeros(len(values), bool)
    coded = as_text(values).dictionary_encode()
    meant = [
        words.get(word.strip().casefold()) for word in coded.dictionary.to_pylist()
    ]
    flags = pa.array(meant, pa.bool_()).take(coded.indices)
    return flags, there_in(values.is_valid()) & ~there_in(flags.is_valid())


def there_in(flags: Any) -> np.ndarray:
    """Return Arrow flags as numpy's; null is false."""
    if flags.null_count:
        flags = pc.fill_null(flags, False)
    return flags.to_numpy(zero_copy_only=False).copy()
