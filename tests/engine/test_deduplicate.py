from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dask_etl.engine.deduplicate import (
    MOST_BUCKETS,
    ROWS_PER_BUCKET,
    bucket_of,
    buckets_for,
    later_copies,
)

INTEGERS = st.one_of(
    st.integers(-3, 3),
    st.integers(2**53, 2**53 + 3),
    st.sampled_from([2**63 - 1, -(2**63)]),
)
TEXTS = st.one_of(st.text(max_size=2), st.sampled_from(["a", "a ", "A", "ä", "ä"]))
BUCKETS = st.sampled_from([1, 2, 4, 32, 2**14])


def naive(partitions: list[list]) -> set[tuple[int, int]]:
    """(partition, row) of all copies but the first, with nothing but a set."""
    seen, copies = set(), set()
    for number, ids in enumerate(partitions):
        for row, name in enumerate(ids):
            if name in seen:
                copies.add((number, row))
            seen.add(name)
    return copies


def found(partitions: list[list], buckets: int, kind: pa.DataType) -> set:
    """The same by the engine: every partition sends each bucket its keys."""
    keys = [
        pa.table({"id": pa.array(ids, kind), "row": np.arange(len(ids))})
        for ids in partitions
    ]
    sent_to = [bucket_of(table["id"], buckets) for table in keys]
    copies = set()
    for number in np.unique(np.concatenate(sent_to)):
        bucket = [
            table.filter(pa.array(sent == number))
            for table, sent in zip(keys, sent_to, strict=True)
        ]
        copies |= {
            tuple(row.values()) for row in later_copies(bucket, ["id"]).to_pylist()
        }
    return copies


def cut(ids: list, cuts: list[int]) -> list[list]:
    """Partitions of the ids, some perhaps empty."""
    edges = sorted(min(cut, len(ids)) for cut in cuts)
    return [ids[start:stop] for start, stop in pairwise([0, *edges, len(ids)])]


@pytest.mark.parametrize(
    ("values", "kind"), [(INTEGERS, pa.int64()), (TEXTS, pa.string())]
)
def test_the_first_in_raw_order_stays_whatever_the_partitions(values, kind):
    @settings(max_examples=150)
    @given(
        ids=st.lists(values, max_size=40),
        cuts=st.lists(st.integers(0, 40), max_size=5),
        buckets=BUCKETS,
    )
    def check(ids, cuts, buckets):
        partitions = cut(ids, cuts)
        assert found(partitions, buckets, kind) == naive(partitions)

    check()


@pytest.mark.parametrize("marks", [1, 2])
def test_keys_of_one_hash_are_not_taken_for_copies(marks, monkeypatch):
    monkeypatch.setattr("dask_etl.engine.deduplicate._MARKS", marks)
    ids = [*range(40), 7, 3, *range(50, 90), 3, 60]
    partitions = cut(ids, [10, 45, 80])
    assert found(partitions, 1, pa.int64()) == naive(partitions)


@given(ids=st.lists(INTEGERS, min_size=1), buckets=BUCKETS)
def test_copies_of_an_id_share_a_bucket_of_those_there_are(ids, buckets):
    bucket = bucket_of(pa.array(ids + ids, pa.int64()), buckets)
    assert (bucket[: len(ids)] == bucket[len(ids) :]).all()
    assert bucket.max() < buckets


@pytest.mark.parametrize(
    "kind",
    [pa.int8(), pa.int32(), pa.uint64(), pa.timestamp("ms"), pa.string()],
    ids=str,
)
def test_a_key_meets_its_copies_whatever_else_is_in_their_partition(kind):
    ids = pa.array(range(100), pa.int64()).cast(kind)
    with_null = pa.concat_arrays([ids, pa.nulls(1, kind)])
    alone, beside = (bucket_of(keys, 16) for keys in (ids, with_null))
    assert len(alone) == 100
    assert (alone == beside[:100]).all()
    assert len(set(alone)) > 4


def test_numbers_of_two_widths_share_a_bucket():
    ids = pa.array(range(-50, 50), pa.int64())
    assert (bucket_of(ids, 16) == bucket_of(ids.cast(pa.int16()), 16)).all()


KEYS = st.tuples(st.integers(2**53, 2**53 + 2) | st.none(), st.sampled_from("ab"))


@given(rows=st.lists(KEYS, max_size=40), cuts=st.lists(st.integers(0, 40), max_size=5))
def test_a_key_of_several_columns_is_one_key(rows, cuts):
    kinds = pa.schema({"number": pa.int64(), "letter": pa.string()})
    partitions = cut(rows, cuts)
    keys = [
        pa.table([*zip(*part, strict=True)] or [[], []], schema=kinds).append_column(
            "row", pa.array(range(len(part)), pa.int32())
        )
        for part in partitions
    ]
    copies = later_copies(keys, ["number", "letter"]).to_pylist()
    assert {tuple(copy.values()) for copy in copies} == naive(partitions)


@pytest.mark.parametrize("step", [1, 2, 64, 1 << 20, 1 << 32])
def test_ids_that_count_up_spread_over_the_buckets(step):
    ids = np.arange(100_000, dtype=np.int64) * step
    counts = np.bincount(bucket_of(pa.array(ids), 64), minlength=64)
    assert counts.max() < 2 * counts.mean()


def test_text_ids_spread_over_the_buckets():
    ids = pa.array([f"TX-2024-{number:08d}" for number in range(20_000)])
    counts = np.bincount(bucket_of(ids, 16), minlength=16)
    assert counts.max() < 2 * counts.mean()


@pytest.mark.parametrize("rows", [0, 1, 10**6, 10**7, 10**9, 10**12])
def test_a_bucket_has_some_million_rows_and_buckets_are_bounded(rows):
    buckets = buckets_for(rows)
    assert buckets & (buckets - 1) == 0
    assert 1 <= buckets <= MOST_BUCKETS
    assert rows / buckets <= ROWS_PER_BUCKET or buckets == MOST_BUCKETS
