"""Sets of small numbers, one per customer: bits where there are few, else lists.

Up to 64 possible members, a set is the bits of one unsigned word. Beyond that it is a
list of the members that it has, ascending, so that memory follows the rows and not
the number of customers × all that there is.
"""

from collections.abc import Iterable

import numpy as np
import pyarrow as pa

_WORDS = (8, 16, 32, 64)
_DENSE = 16
"""Cells per value up to which flags for all cells are faster than sorting the values."""


def sets_of(groups: np.ndarray, values: np.ndarray, count: int, size: int) -> pa.Array:
    """Collect the values of each group.

    Args:
        groups: number of each value's group, below ``count``.
        values: whole numbers, 0 … ``size`` − 1.
        count: how many groups.
        size: how many different values there may be.

    Returns:
        A set per group: unsigned words, or lists of int32.
    """
    bits = next((word for word in _WORDS if size <= word), None)
    if bits is None:
        return lists_of(groups, values, count, size)
    flags = np.zeros(count * bits, bool)
    flags[groups * np.int64(bits) + values] = True
    return pa.array(np.packbits(flags, bitorder="little").view(f"<u{bits // 8}"))


def lists_of(
    groups: np.ndarray, values: np.ndarray, count: int, size: int
) -> pa.ListArray:
    """Collect the values of each group as lists of int32, as :func:`sets_of` does."""
    cells = groups * np.int64(size) + values
    if count * size <= _DENSE * len(cells):
        flags = np.zeros(count * size, bool)
        flags[cells] = True
        distinct = flags.nonzero()[0]
    else:
        # Sorting is ten times as fast as numpy's unique, which hashes.
        cells.sort()
        is_first = np.ones(len(cells), bool)
        np.not_equal(cells[1:], cells[:-1], out=is_first[1:])
        distinct = cells[is_first]
    group = distinct // size
    members = (distinct - group * size).astype(np.int32)
    return pa.ListArray.from_arrays(_offsets(group, count), pa.array(members))


def _offsets(groups: np.ndarray, count: int) -> pa.Array:
    """Tell where the list of each group begins, and where the last one ends."""
    offsets = np.zeros(count + 1, np.int32)
    np.cumsum(np.bincount(groups, minlength=count), out=offsets[1:])
    return pa.array(offsets)


def union(sets: Iterable[tuple[np.ndarray, pa.Array]], count: int) -> pa.Array:
    """Join sets of the same groups from several places.

    Args:
        sets: pairs of group numbers, none twice in a pair, and a set for each.
        count: how many groups.
    """
    sets = list(sets)
    kind = sets[0][1].type
    if not pa.types.is_list(kind):
        words = np.zeros(count, kind.to_pandas_dtype())
        for groups, found in sets:
            words[groups] |= found.to_numpy()
        return pa.array(words)
    groups = np.concatenate(
        [np.repeat(group, found.value_lengths().to_numpy()) for group, found in sets]
    )
    values = np.concatenate([found.flatten().to_numpy() for _, found in sets])
    return lists_of(groups, values, count, int(values.max(initial=0)) + 1)


def named(sets: pa.Array, members: pa.Array) -> pa.ListArray:
    """Turn every set into the list of its members' names, in their order.

    Args:
        sets: as :func:`sets_of` makes them.
        members: the name of each number.
    """
    if pa.types.is_list(sets.type):
        offsets, numbers = sets.offsets, sets.values
    else:
        words = sets.to_numpy()
        octets = words.astype(words.dtype.newbyteorder("<"), copy=False).view(np.uint8)
        bits = np.unpackbits(octets, bitorder="little").nonzero()[0]
        groups, numbers = np.divmod(bits, 8 * words.itemsize)
        offsets, numbers = _offsets(groups, len(words)), pa.array(numbers)
    return pa.ListArray.from_arrays(offsets, members.take(numbers))
