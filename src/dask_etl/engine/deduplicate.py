"""Exact deduplication by keys only: rows never move, and raw order decides.

Every partition sends its keys, with their row numbers, to hash buckets. Copies of a
key share a bucket, and a bucket sees its keys in raw order, so the later copies are
those that the bucket has seen before.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from dask_etl.storage.arrays import as_array

ROWS_PER_BUCKET = 1 << 21
MOST_BUCKETS = 1 << 8
"""Each pair of partition and bucket costs 48 bytes of index, and a request elsewhere."""

_MARKS = 20
"""Bits of the hash by which values are marked: a megabyte, near the processor."""

FIBONACCI = np.uint64(0x9E3779B97F4A7C15)


def buckets_for(rows: int) -> int:
    """Return how many buckets (a power of two) keep each at about two million rows at most.

    Beyond some 500 million rows there are no more of them, but larger ones: 5 billion
    rows are 20 million in each, whose merge takes some 700 MB.
    """
    return min(1 << max(rows // ROWS_PER_BUCKET, 0).bit_length(), MOST_BUCKETS)


def bucket_of(keys: pa.ChunkedArray | pa.Array, buckets: int) -> np.ndarray:
    """Number the bucket of each key by Fibonacci hashing (Knuth, TAOCP 3, 6.4)."""
    if buckets == 1:
        return np.zeros(len(keys), np.uint16)
    bits = buckets.bit_length() - 1
    if pa.types.is_integer(keys.type) or pa.types.is_timestamp(keys.type):
        # Whatever their width, and whether there are nulls among them.
        whole = pc.fill_null(keys.cast(pa.int64(), safe=False), 0)
        return hashed(whole.to_numpy(), bits).astype(np.uint16)
    texts = pd.util.hash_array(
        keys.to_numpy(zero_copy_only=False).astype(object), categorize=False
    )
    return (texts >> np.uint64(64 - bits)).astype(np.uint16)


def hashed(values: np.ndarray, bits: int, factor: np.uint64 = FIBONACCI) -> np.ndarray:
    """Hash whole numbers to so many bits, the first ones of their products by a factor."""
    whole = values.astype(np.int64, copy=False).view(np.uint64)
    return (whole * factor) >> np.uint64(64 - bits)


def later_copies(keys: Sequence[pa.Table], key: Sequence[str]) -> pa.Table:
    """Find the rows whose key stands in an earlier partition or row.

    Args:
        keys: of one bucket, by partition in raw order: the key and ``row`` (its
            number in the partition, ascending).
        key: the columns of the key; a bucket may hold rows by one of them.

    Returns:
        ``partition`` and ``row`` of every copy but the first, int32.
    """
    table = pa.concat_tables(keys)
    repeated = _repeated(table.select(key))
    starts = np.cumsum([0, *map(len, keys)])
    rows = as_array(table["row"]).to_numpy()
    partition = np.searchsorted(starts, repeated, side="right") - 1
    return pa.table(
        {"partition": partition.astype(np.int32), "row": rows[repeated]},
    )


def _repeated(keys: pa.Table) -> np.ndarray:
    """Number the rows whose key stands in an earlier row."""
    if keys.num_columns == 1 and pa.types.is_integer(keys.schema.types[0]):
        values = as_array(keys[0])
        if not values.null_count:
            return _repeated_numbers(values.to_numpy())
    # As floats, whole numbers beside nulls would not be exact.
    frame = keys.to_pandas(integer_object_nulls=True)
    return frame.duplicated().to_numpy().nonzero()[0]


def _repeated_numbers(values: np.ndarray) -> np.ndarray:
    """Number the values that come again; as a rule these are few.

    Sorted, they are found three times as fast as by a hash table of all.
    """
    ordered = np.sort(values)
    again = ordered[1:][ordered[1:] == ordered[:-1]]
    is_marked = np.zeros(1 << _MARKS, bool)
    is_marked[hashed(again, _MARKS)] = True
    suspects = is_marked[hashed(values, _MARKS)].nonzero()[0]
    return suspects[pd.Series(values[suspects]).duplicated().to_numpy()]
