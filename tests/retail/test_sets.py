"""Sets per customer, as bits or as lists: always those that Python would make."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dask_etl.retail.sets import named, sets_of, union

SIZES = [1, 7, 8, 9, 32, 33, 63, 64, 65, 1_000, 10**6]


def pairs(size: int):
    """(group, value) of a few groups; the extremes of the values among them."""
    values = st.one_of(st.integers(0, size - 1), st.sampled_from([0, size - 1]))
    return st.lists(st.tuples(st.integers(0, 4), values), max_size=30)


def made(found: list[tuple[int, int]], size: int) -> pa.Array:
    groups = np.array([group for group, _ in found], np.int32)
    values = np.array([value for _, value in found], np.int32)
    return sets_of(groups, values, 5, size)


def expected(found: list[tuple[int, int]]) -> list[list[int]]:
    return [sorted({v for g, v in found if g == group}) for group in range(5)]


@pytest.mark.parametrize("size", SIZES)
def test_members_of_one_place_and_of_several(size):
    names = pa.array(np.arange(size))

    @settings(max_examples=40)
    @given(one=pairs(size), other=pairs(size))
    def check(one, other):
        first, second = made(one, size), made(other, size)
        assert named(first, names).to_pylist() == expected(one)
        everyone, some = np.arange(5), np.array([4, 0, 2])
        joined = union([(everyone, first), (some, second.take(pa.array(some)))], 5)
        assert joined.type == first.type
        known = [(g, v) for g, v in other if g in some]
        assert named(joined, names).to_pylist() == expected(one + known)

    check()


def test_few_members_are_one_word_and_many_cost_what_there_is():
    groups, values = np.arange(1000), np.zeros(1000, np.int64)
    sizes = [sets_of(groups, values, 1000, size).nbytes for size in SIZES]
    assert sizes[: SIZES.index(64) + 1] == sorted(sizes[: SIZES.index(64) + 1])
    assert max(sizes) <= 8_100
