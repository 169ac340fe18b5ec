"""Digests of tables too large to compare row by row in memory.

Rows are streamed. Each row is hashed by its key into a bucket, and each column adds
up, per bucket, a hash of (key, value) over its rows: the order of the rows does not
matter, a value in the wrong row does, and a difference is narrowed down to a column
and a bucket. Values are brought to a common form first, so that integers of another
width or dictionary-encoded text are the same.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import xxhash

BUCKETS = 1 << 10
BATCH_ROWS = 1 << 18

_NULL = np.uint64(0x9E3779B97F4A7C15)
_SEPARATOR = "\x1f"


@dataclass(frozen=True, eq=False)
class Digest:
    """What is compared of a large table.

    Attributes:
        counts: rows by bucket.
        columns: sums of hashes by bucket, by column.
        kinds: common type by column.
    """

    counts: np.ndarray
    columns: Mapping[str, np.ndarray]
    kinds: Mapping[str, pa.DataType]

    @property
    def rows(self) -> int:
        """How many rows the table has."""
        return int(self.counts.sum())


def digest(files: Sequence[Path], key: Sequence[str]) -> Digest:
    """Digest a table in Parquet files.

    Args:
        files: its parts; there is one at least.
        key: columns that identify a row.
    """
    schema = pq.read_schema(files[0])
    counts = np.zeros(BUCKETS, np.int64)
    columns = {name: np.zeros(BUCKETS, np.uint64) for name in schema.names}
    for rows in _batches(files):
        keys = _key_hashes(rows, key)
        bucket = _bucket(keys)
        counts += np.bincount(bucket, minlength=BUCKETS)
        for name, sums in columns.items():
            np.add.at(sums, bucket, _mixed(keys + _hashes(common(rows[name]))))
    kinds = {field.name: common_type(field.type) for field in schema}
    return Digest(counts, columns, kinds)


def rows_of_bucket(files: Sequence[Path], key: Sequence[str], bucket: int) -> pa.Table:
    """Read the rows of a table that are in one bucket, in the common form."""
    found = []
    for rows in _batches(files):
        chosen = pa.array(_bucket(_key_hashes(rows, key)) == bucket)
        found.append(in_common_form(rows.filter(chosen)))
    return pa.concat_tables(found)


def in_common_form(table: pa.Table) -> pa.Table:
    """Bring every column to the form in which contenders are compared."""
    return pa.table({name: common(table[name]) for name in table.column_names})


def common(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Bring a column to its common type, NaN as null and −0 as 0."""
    kind = common_type(column.type)
    if pa.types.is_list(kind) and not pa.types.is_list(column.type):
        column = column.cast(pa.list_(column.type.value_type))
    column = column.cast(kind)
    if not pa.types.is_floating(kind):
        return column
    values = np.concatenate([np.array([]), *map(_floats, column.chunks)])
    return pa.chunked_array([pa.array(values + 0.0, from_pandas=True)])


def _floats(chunk: pa.Array) -> np.ndarray:
    return chunk.to_numpy(zero_copy_only=False)


def common_type(kind: pa.DataType) -> pa.DataType:
    """Return the type that stands for all that may be used for the same values."""
    types = pa.types
    if types.is_dictionary(kind):
        return common_type(kind.value_type)
    if types.is_list(kind) or types.is_large_list(kind):
        return pa.list_(common_type(kind.value_type))
    alike = {
        pa.int64(): types.is_integer,
        pa.float64(): types.is_floating,
        pa.timestamp("us", tz="UTC"): types.is_timestamp,
        pa.string(): lambda t: types.is_large_string(t) or types.is_string_view(t),
    }
    return next((stands for stands, is_one in alike.items() if is_one(kind)), kind)


def _batches(files: Sequence[Path]) -> Iterator[pa.Table]:
    for file in files:
        for batch in pq.ParquetFile(file).iter_batches(BATCH_ROWS, use_threads=False):
            yield pa.Table.from_batches([batch])


def _key_hashes(rows: pa.Table, key: Sequence[str]) -> np.ndarray:
    hashes = np.zeros(len(rows), np.uint64)
    for name in key:
        hashes = _mixed(hashes + _hashes(common(rows[name])))
    return hashes


def _bucket(hashes: np.ndarray) -> np.ndarray:
    return (hashes >> np.uint64(64 - (BUCKETS.bit_length() - 1))).astype(np.int64)


def _hashes(column: pa.ChunkedArray) -> np.ndarray:
    """Hash the values of a column in common form; a null has a hash of its own."""
    values = column.combine_chunks()
    kind = values.type
    missing = values.is_null().to_numpy(zero_copy_only=False)
    if pa.types.is_list(kind):
        values = pc.binary_join(values.cast(pa.list_(pa.string())), _SEPARATOR)
        kind = values.type
    if pa.types.is_string(kind):
        hashes = _text_hashes(values)
    else:
        if pa.types.is_boolean(kind):
            values = values.cast(pa.int8()).cast(pa.int64())
        elif pa.types.is_date(kind):
            values = values.cast(pa.int32()).cast(pa.int64())
        elif pa.types.is_timestamp(kind):
            values = values.cast(pa.int64())
        values = values.fill_null(0).to_numpy(zero_copy_only=False)
        hashes = _mixed(np.ascontiguousarray(values).view(np.uint64))
    return np.where(missing, _NULL, hashes) if missing.any() else hashes


def _text_hashes(values: pa.Array) -> np.ndarray:
    encoded = values.dictionary_encode()
    words = encoded.dictionary.to_pylist()
    known = np.array(
        [xxhash.xxh64_intdigest(word.encode()) for word in words], np.uint64
    )
    codes = pd.array(encoded.indices).fillna(0).to_numpy(np.int64)
    return known[codes] if len(known) else np.zeros(len(values), np.uint64)


def _mixed(numbers: np.ndarray) -> np.ndarray:
    """Scramble 64-bit numbers one to one (the finalizer of SplitMix64)."""
    numbers = numbers + np.uint64(0x9E3779B97F4A7C15)
    numbers = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    numbers = (numbers ^ (numbers >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return numbers ^ (numbers >> np.uint64(31))
