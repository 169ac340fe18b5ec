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

ROWS_PER_BUCKET = 1 << 20
MOST_BUCKETS = 1 << 8
"""Each pair of partition and bucket costs 48 bytes of index, and a request elsewhere."""

_FIBONACCI = np.uint64(0x9E3779B97F4A7C15)


def buckets_for(rows: int) -> int:
    """Return how many buckets (a power of two) keep each at about a million rows.

    Beyond some 250 million rows there are no more of them, but larger ones: 5 billion
    rows are 20 million in each, whose merge takes some 700 MB.
    """
    return min(1 << max(rows // ROWS_PER_BUCKET, 0).bit_length(), MOST_BUCKETS)


def bucket_of(keys: pa.ChunkedArray | pa.Array, buckets: int) -> np.ndarray:
    """Number the bucket of each key by Fibonacci hashing (Knuth, TAOCP 3, 6.4)."""
    if buckets == 1:
        return np.zeros(len(keys), np.uint16)
    if pa.types.is_integer(keys.type) or pa.types.is_timestamp(keys.type):
        # Whatever their width, and whether there are nulls among them.
        whole = pc.fill_null(keys.cast(pa.int64(), safe=False), 0)
        hashed = whole.to_numpy().view(np.uint64) * _FIBONACCI
    else:
        hashed = pd.util.hash_array(
            keys.to_numpy(zero_copy_only=False).astype(object), categorize=False
        )
    shift = np.uint64(64 - (buckets.bit_length() - 1))
    return (hashed >> shift).astype(np.uint16)


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
    # As floats, whole numbers beside nulls would not be exact.
    values = table.select(key).to_pandas(integer_object_nulls=True)
    repeated = values.duplicated().to_numpy().nonzero()[0]
    starts = np.cumsum([0, *map(len, keys)])
    rows = as_array(table["row"]).to_numpy()
    partition = np.searchsorted(starts, repeated, side="right") - 1
    return pa.table(
        {"partition": partition.astype(np.int32), "row": rows[repeated]},
    )
