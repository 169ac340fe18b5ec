"""Which of the keys that are written already come again: read, and not shuffled.

New rows note which keys they have, as bits of a filter (numbers) or as a set (text).
Of the parts that are written, those whose least and greatest key lie beyond are not
opened; of the others only the column of the key is read, and of it only what the filter
lets through goes on to the hash buckets, where keys are compared exactly.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dask_etl.engine.deduplicate import FIBONACCI, hashed
from dask_etl.engine.partitions import Partitions, Tables
from dask_etl.storage.arrays import as_array
from dask_etl.storage.parts import PartReader
from dask_etl.storage.segments import Partition

BITS_PER_KEY = 16
"""Of the filter, two of them set: one old key in seventy is compared in vain."""
MOST_BITS = 1 << 26
"""Of the filter, 8 MiB; with more keys than that it lets more through."""
MOST_TEXTS = 1 << 21
"""Keys that are text are looked for by a set of so many; beyond, all are compared."""

_BLOCK = 1 << 15
"""Keys that are looked at together: what is computed of them stays in the cache."""
_FACTORS = (FIBONACCI, np.uint64(0xC2B2AE3D27D4EB4F))
"""Of two multiplicative hashes."""

Limits = Mapping[str, tuple[Any, Any]]
"""The least and the greatest key of parts, by the names of their segments."""


@dataclass(frozen=True, eq=False)
class Sought:
    """The keys that are looked for; what is none of them may pass, never the reverse.

    Attributes:
        least: of the keys; None where none is looked for.
        greatest: of the keys.
        bits: of a filter of numbers, by the first bits of their hash.
        texts: the keys, where they are text; None where there are too many.
    """

    least: Any
    greatest: Any
    bits: np.ndarray | None = None
    texts: pa.Array | None = None

    def is_beyond(self, least: Any, greatest: Any) -> bool:
        """Tell whether no key from one to the other is looked for (None: any)."""
        if self.least is None:
            return True
        return least is not None and (least > self.greatest or greatest < self.least)

    def select(self, keys: pa.Array) -> pa.Array:
        """Take the keys that may be looked for."""
        if self.bits is not None:
            return keys.take(pa.array(_passing(self.bits, keys.to_numpy())))
        if self.texts is not None:
            return keys.filter(pc.is_in(keys, value_set=self.texts))
        return keys


def _passing(bits: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Number the keys that a filter lets through."""
    size = 8 * len(bits)
    found = [np.empty(0, np.intp)]
    for first in range(0, len(values), _BLOCK):
        block = values[first : first + _BLOCK]
        passing = _has(bits, _places(block, size, 0)).nonzero()[0]
        # Few are left to be looked at twice.
        second = _has(bits, _places(block[passing], size, 1))
        found.append(passing[second] + first)
    return np.concatenate(found)


def _has(bits: np.ndarray, places: np.ndarray) -> np.ndarray:
    shift = (places & np.uint32(7)).astype(np.uint8)
    return ((bits[places >> np.uint32(3)] >> shift) & 1).view(bool)


def filter_size(rows: int) -> int:
    """Return how many bits the filter of so many keys gets, a power of two."""
    return min(max(1 << (BITS_PER_KEY * rows - 1).bit_length(), 1 << 10), MOST_BITS)


def note_keys(tables: Tables, keys: str, key: str, size: int) -> Tables:
    """Step of new rows: add ``sought``, one row, of a table of keys.

    Args:
        tables: of the partition.
        keys: the name of the table.
        key: its column.
        size: :func:`filter_size` of all rows.
    """
    values = as_array(tables[keys][key])
    if pa.types.is_integer(values.type):
        numbers = values.to_numpy()
        both = [_places(numbers, size, which) for which in range(len(_FACTORS))]
        noted = pa.array(np.concatenate(both)).unique()
    else:
        noted = _few(values.unique())
    extremes = pc.min_max(values)
    row = {
        "least": pa.array([extremes["min"].as_py()], values.type),
        "greatest": pa.array([extremes["max"].as_py()], values.type),
        "noted": _as_list(noted),
    }
    return {**tables, "sought": pa.table(row)}


def merge_noted(partials: Sequence[pa.Table]) -> pa.Table:
    """Join what several partitions note."""
    rows = pa.concat_tables(partials)
    noted = as_array(rows["noted"])
    joined = None if noted.null_count else noted.flatten().unique()
    if joined is not None and pa.types.is_string(joined.type):
        joined = _few(joined)
    kind = rows["least"].type
    return pa.table(
        {
            "least": pa.array([pc.min(rows["least"]).as_py()], kind),
            "greatest": pa.array([pc.max(rows["greatest"]).as_py()], kind),
            "noted": _as_list(joined, noted.type),
        }
    )


def sought(merged: pa.Table, size: int) -> Sought:
    """Make of what all partitions note what is looked for."""
    least, greatest = merged["least"][0].as_py(), merged["greatest"][0].as_py()
    noted = as_array(merged["noted"])
    if not pa.types.is_integer(merged["least"].type):
        return Sought(
            least, greatest, texts=None if noted.null_count else noted.flatten()
        )
    bits = np.zeros(size, bool)
    bits[noted.flatten().to_numpy()] = True
    return Sought(least, greatest, np.packbits(bits, bitorder="little"))


def _few(texts: pa.Array) -> pa.Array | None:
    return texts if len(texts) <= MOST_TEXTS else None


def _as_list(values: pa.Array | None, kind: pa.DataType | None = None) -> pa.Array:
    if values is None:
        return pa.array([None], kind or pa.list_(pa.string()))
    return pa.ListArray.from_arrays(pa.array([0, len(values)], pa.int32()), values)


def _places(keys: np.ndarray, size: int, which: int) -> np.ndarray:
    """Number one of the two bits of each key: the first bits of a hash of it."""
    return hashed(keys, size.bit_length() - 1, _FACTORS[which]).astype(np.uint32)


def probe(reader: PartReader, items: Sequence[Partition]) -> Partitions:
    """Take written parts as partitions of which nothing is read yet."""
    return Partitions(items, _segments, schema=reader.schema)


def _segments(partition: Partition) -> Tables:
    return {"segments": partition}


def select_keys(
    tables: Tables, reader: PartReader, limits: Limits, keys: str, sought: Sought
) -> Tables:
    """Step of written parts: read the keys that may be looked for.

    Args:
        tables: the ``segments``.
        reader: of the column of the key alone.
        limits: what is known of each part.
        keys: the name of the table to make: the key, and ``row``, which is of no use.
        sought: what is looked for.
    """
    [key] = reader.schema.names
    found = []
    for segment in tables["segments"]:
        if sought.is_beyond(*limits.get(segment.name, (None, None))):
            continue
        found.append(sought.select(reader.read_alone(segment)))
    values = pa.chunked_array(found, reader.schema.field(key).type)
    return {keys: pa.table({key: values, "row": np.zeros(len(values), np.int32)})}
