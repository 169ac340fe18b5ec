"""Columns become arrays, and rows are taken, as Arrow does it, without its copies."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dask_etl.storage.arrays import as_array, take

COLUMNS = {
    "numbers": pa.array([3, -1, 2**62, 0], pa.int64()),
    "small": pa.array([1, 2, 3, 250], pa.uint8()),
    "floats": pa.array([1.5, float("nan"), -0.0, float("inf")]),
    "halves": pa.array(np.array([1, 2, 3, 4], np.float16)),
    "instants": pa.array([0, 1, 2, 3], pa.timestamp("us", tz="UTC")),
    "days": pa.array([7, 8, 9, 10], pa.date32()),
    "flags": pa.array([True, False, True, True]),
    "text": pa.array(["a", "", "é", "a"]),
    "labels": pa.array(["a", "b", "a", "c"]).dictionary_encode(),
    "lists": pa.array([[1], [], [2, 3], [4]]),
    "nulls": pa.array([1, None, 3, None], pa.int64()),
    "nothing": pa.array([], pa.int64()),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_rows_are_taken_as_arrow_takes_them(name):
    values = COLUMNS[name]

    @given(st.data())
    def check(data):
        first = data.draw(st.integers(0, len(values)))
        part = values.slice(first)
        numbers = st.integers(0, max(len(part) - 1, 0))
        several = st.lists(numbers, max_size=6 if len(part) else 0)
        rows = np.array(data.draw(several), np.int64)
        found, wanted = take(part, rows), part.take(pa.array(rows))
        assert found.type == wanted.type
        # As text, a NaN equals a NaN, and -0.0 does not equal 0.0.
        assert str(found.to_pylist()) == str(wanted.to_pylist())

    check()


def test_a_number_outside_of_the_column_is_refused():
    with pytest.raises(IndexError):
        take(COLUMNS["numbers"], np.array([4]))


def test_one_chunk_is_not_copied_and_several_become_one():
    values = COLUMNS["numbers"]
    [_, content] = as_array(pa.chunked_array([values])).buffers()
    assert content.address == values.buffers()[1].address
    assert as_array(values) is values
    assert as_array(pa.chunked_array([values, values])).to_pylist() == 2 * (
        values.to_pylist()
    )
    assert len(as_array(pa.chunked_array([], pa.int64()))) == 0
