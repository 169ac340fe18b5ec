"""A mapping applied to rows of a source: columns of ours, and what is wrong with them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dask_etl.sources.convert import (
    FLAGS,
    Converted,
    as_text,
    plain,
    to_decimal,
    to_flag,
    to_integer,
    to_text,
)
from dask_etl.sources.lookups import MappingError
from dask_etl.sources.mapping import NULLS, Column, Kind, Value, Writing, in_order
from dask_etl.sources.moments import MOMENT, to_moment
from dask_etl.storage.arrays import as_array

TYPES: Mapping[str, pa.DataType] = {
    "text": pa.string(),
    "integer": pa.int64(),
    "decimal": pa.float64(),
    "flag": pa.bool_(),
    "moment": MOMENT,
}

UNPARSABLE: Mapping[str, str] = {
    "integer": "unparsable_number",
    "decimal": "unparsable_number",
    "flag": "unparsable_flag",
    "moment": "unparsable_date",
}
UNKNOWN_VALUE = "unknown_value"

_CONVERT: Mapping[str, Callable[[pa.Array], Converted]] = {
    "text": to_text,
    "integer": to_integer,
    "decimal": to_decimal,
    "flag": to_flag,
    "moment": to_moment,
}


@dataclass(frozen=True)
class Problem:
    """Rows that a column could not be made for.

    Attributes:
        column: of ours.
        rule: the name of what is wrong.
        rows: numbers of the rows, ascending.
        values: what is written there.
    """

    column: str
    rule: str
    rows: np.ndarray
    values: Sequence[str | None]


@dataclass(frozen=True)
class Plan:
    """A mapping made ready: kinds told, columns in order, files for lookups read.

    Attributes:
        columns: by name, in the order in which the table has them.
        kinds: what each is.
        writing: what holds where a column does not say otherwise.
        lookups: keys and values of the lookup of a column, by its name.
    """

    columns: Mapping[str, Column]
    kinds: Mapping[str, Kind]
    writing: Writing
    lookups: Mapping[str, pa.Table] = field(default_factory=dict)

    @property
    def needs(self) -> list[str]:
        """The columns of the source that take part, each once."""
        needed = (name for one in self.columns.values() for name in one.needs())
        return list(dict.fromkeys(needed))

    @property
    def labels(self) -> list[str]:
        """The columns of the source that are best read as codes: few values, looked up."""
        coded = {
            name
            for one in self.columns.values()
            if one.values or one.fold or one.lookup or one.type == "flag"
            for name in one.needs()
        }
        flags = {
            name
            for column, one in self.columns.items()
            if self.kinds[column] == "flag"
            for name in one.needs()
        }
        return sorted(coded | flags)

    @property
    def numbered(self) -> list[str]:
        """The columns of ours that get the number of the row among its like."""
        return [name for name, one in self.columns.items() if one.numbered]


def apply(
    rows: pa.Table, plan: Plan, numbers: Mapping[str, np.ndarray]
) -> tuple[pa.Table, list[Problem]]:
    """Map rows of a source.

    Args:
        rows: with the columns that the plan needs.
        plan: the mapping.
        numbers: for each numbered column the rows' numbers among their like.

    Returns:
        All rows, mapped, with nulls where a value could not be made; and the problems,
        whose rows are to be left out.
    """
    made: dict[str, pa.Array] = {}
    problems: list[Problem] = []
    for name in in_order(plan.columns):
        one, kind = plan.columns[name], plan.kinds[name]
        mapper = _Mapper(rows, plan, name, kind, made, problems)
        made[name] = mapper.column(one, numbers.get(name))
    fields = [pa.field(name, TYPES[plan.kinds[name]]) for name in plan.columns]
    return pa.table([made[f.name] for f in fields], schema=pa.schema(fields)), problems


def composed(rows: pa.Table, one: Column, writing: Writing) -> pa.Array:
    """Join the columns of a composed key as text; null where one of them is null."""
    nulls = one.nulls if one.nulls is not None else writing.nulls
    pieces = [_with_nulls(as_text(rows[name]), nulls, one.trim) for name in one.compose]
    if len(pieces) == 1:
        return pieces[0]
    return pc.binary_join_element_wise(*pieces, one.separator)


@dataclass
class _Mapper:
    """Makes one column."""

    rows: pa.Table
    plan: Plan
    name: str
    kind: Kind
    made: Mapping[str, pa.Array]
    problems: list[Problem]

    def column(self, one: Column, numbers: np.ndarray | None) -> pa.Array:
        if one.compose:
            text = composed(self.rows, one, self.plan.writing)
            if one.numbered and numbers is not None:
                numbered = pa.array(numbers).cast(pa.string())
                text = pc.binary_join_element_wise(text, numbered, one.separator)
            return self._finished(one, text)
        if parts := one.parts():
            return self._joined(one, [self.value(part) for part in parts])
        return self.value(one)

    def value(self, one: Value) -> pa.Array:
        if one.constant is not None:
            return _constant(one.constant, self.kind, len(self.rows))
        return self._finished(one, self.rows[one.source])

    def _joined(self, one: Column, parts: list[pa.Array]) -> pa.Array:
        none = np.logical_and.reduce([~_there(part) for part in parts])
        numbers = [pc.fill_null(p.cast(pa.float64()), 0.0).to_numpy() for p in parts]
        if one.added:
            result = np.add.reduce(numbers)
        else:
            # 1 − (1 − a)(1 − b), written so that one alone is what it is to the last bit.
            result = numbers[0]
            for number in numbers[1:]:
                result = result + number - result * number
        return pa.array(result, mask=none)

    def _finished(self, one: Value, given: pa.Array | pa.ChunkedArray) -> pa.Array:
        values = self._meant(one, given)
        converted, bad = self._converted(one, values)
        if bad.any() and one.unparsable == "reject":
            self._note(UNPARSABLE.get(self.kind, UNKNOWN_VALUE), bad, given)
        converted = _scaled(one, converted, self.made)
        if one.default is not None and converted.null_count:
            filler = _constant(one.default, self.kind, 1)[0]
            # What could not be read is not what is missing.
            empty = ~_there(converted) & ~bad
            converted = pc.if_else(pa.array(empty), filler, converted)
        return converted

    def _meant(self, one: Value, given: pa.Array | pa.ChunkedArray) -> pa.Array:
        """Put in the place of what is written what is meant: by codes, not by rows."""
        nulls = one.nulls if one.nulls is not None else self.plan.writing.nulls
        lookup = self.plan.lookups.get(self.name) if one.lookup else None
        worded = bool(one.values or one.fold or lookup is not None)
        kind = given.type
        if not (worded or pa.types.is_string(kind) or pa.types.is_dictionary(kind)):
            return plain(given)
        if not (worded or pa.types.is_dictionary(kind)):
            return _with_nulls(plain(given), nulls, one.trim and self.kind == "text")
        coded = _coded(given)
        text = _with_nulls(as_text(coded.dictionary), nulls, one.trim or worded)
        unknown = np.zeros(len(text), bool)
        if one.fold:
            text = _folded(text, one.fold)
        if one.values:
            text, unknown = _valued(one, text)
        if lookup is not None:
            places = pc.index_in(text, as_array(lookup["key"]))
            if one.lookup and one.lookup.missing == "reject":
                unknown |= _there(text) & ~_there(places)
            text = as_array(lookup["value"]).take(places)
        if unknown.any():
            rows = pc.fill_null(pa.array(unknown).take(coded.indices), False)
            self._note(UNKNOWN_VALUE, rows.to_numpy(zero_copy_only=False), given)
        return text.take(coded.indices)

    def _converted(self, one: Value, values: pa.Array) -> Converted:
        writing = self.plan.writing
        if self.kind in ("decimal", "integer"):
            convert = to_decimal if self.kind == "decimal" else to_integer
            return convert(
                values,
                one.decimal or writing.decimal or ".",
                one.thousands or writing.thousands,
                (one.strip if one.strip is not None else writing.strip) or "",
            )
        if self.kind == "moment":
            formats = one.format if one.format is not None else writing.format
            zone = one.timezone or writing.timezone or "UTC"
            return to_moment(values, formats or (), zone)
        if self.kind == "flag":
            return to_flag(values, FLAGS)
        return to_text(values)

    def _note(self, rule: str, bad: np.ndarray, given) -> None:
        rows = np.flatnonzero(bad)
        shown = as_text(given.take(pa.array(rows))).to_pylist()
        self.problems.append(Problem(self.name, rule, rows, shown))


def _coded(given: pa.Array | pa.ChunkedArray) -> pa.DictionaryArray:
    if isinstance(given, pa.ChunkedArray):
        given = (
            given.unify_dictionaries().combine_chunks()
            if pa.types.is_dictionary(given.type)
            else plain(given)
        )
    if pa.types.is_dictionary(given.type):
        return given
    return as_text(given).dictionary_encode()


def _with_nulls(text: pa.Array, nulls: Sequence[str] | None, trimmed: bool) -> pa.Array:
    if trimmed:
        text = pc.utf8_trim_whitespace(text)
    words = pa.array(NULLS if nulls is None else nulls, pa.string())
    # One comparison of codes instead of one for each word.
    gone = pc.is_in(text, words)
    if not pc.any(gone).as_py():
        return text
    return pc.if_else(gone, pa.scalar(None, pa.string()), text)


def _folded(text: pa.Array, fold: str) -> pa.Array:
    text = pc.replace_substring_regex(text, r"\s+", " ")
    change = {"lower": pc.utf8_lower, "upper": pc.utf8_upper, "title": pc.utf8_title}
    return change[fold](text)


def _valued(one: Value, text: pa.Array) -> tuple[pa.Array, np.ndarray]:
    """Translate words; what there is no translation for stays, goes, or is refused."""
    keys = pa.array([*one.values], pa.string())
    meant = pa.array([_written(value) for value in one.values.values()], pa.string())
    places = pc.index_in(text, keys)
    known = _there(places)
    translated = meant.take(places)
    if one.otherwise == "keep":
        translated = pc.if_else(pa.array(known), translated, text)
    unknown = _there(text) & ~known & (one.otherwise == "reject")
    return translated, unknown


def _written(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _constant(value: Any, kind: Kind, rows: int) -> pa.Array:
    converted, bad = _CONVERT[kind](pa.array([_written(value)]))
    if bad.any():
        raise MappingError(f"mapping: the constant or default {value!r} is no {kind}")
    return pa.repeat(converted[0], rows)


def _scaled(one: Value, values: pa.Array, made: Mapping[str, pa.Array]) -> pa.Array:
    """Bring a number to its unit and sign; divide it by other columns."""
    if one.unit in ("percent", "cents"):
        values = pc.divide(values.cast(pa.float64()), 100.0)
    if one.sign == "positive":
        values = pc.abs(values)
    elif one.sign == "reversed":
        values = pc.negate(values)
    for name in one.divide_by:
        by = made[name].cast(pa.float64())
        by = pc.if_else(pc.equal(by, 0.0), pa.scalar(None, pa.float64()), by)
        values = pc.divide(values.cast(pa.float64()), by)
    return values


def _there(values: pa.Array) -> np.ndarray:
    return values.is_valid().to_numpy(zero_copy_only=False)
