"""Keys that come again are all found, whatever is left unread."""

from pathlib import Path

import fsspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dask_etl.datasets import PandasParquetDataset
from dask_etl.engine import probe
from dask_etl.errors import StorageError
from dask_etl.retail.tables import CLEAN_TRANSACTIONS
from dask_etl.storage.encodings import Encodings
from dask_etl.storage.parts import PartReader, PartWriter
from dask_etl.storage.segments import Segment

NUMBERS = st.integers(-(2**63), 2**63 - 1)


def noted(keys: pa.Array, size: int, pieces: int = 2) -> probe.Sought:
    """What is looked for, of keys that stand in several partitions."""
    step = max(len(keys) // pieces, 1)
    partials = [
        probe.note_keys(
            {"keys": pa.table({"id": keys.slice(first, step)})}, "keys", "id", size
        )["sought"]
        for first in range(0, max(len(keys), 1), step)
    ]
    return probe.sought(probe.merge_noted(partials), size)


@given(
    old=st.lists(NUMBERS, max_size=60),
    new=st.lists(NUMBERS, max_size=60),
    both=st.lists(NUMBERS, max_size=10),
    size=st.sampled_from((1 << 3, 1 << 10)),
)
def test_no_number_that_is_looked_for_is_left_out(old, new, both, size):
    sought = noted(pa.array(new + both, pa.int64()), size)
    keys = pa.array(old + both, pa.int64())
    if sought.is_beyond(min(old + both, default=None), max(old + both, default=None)):
        assert not both
    elif new + both:
        assert set(both) <= set(sought.select(keys).to_pylist())


@given(old=st.lists(st.text(max_size=3)), new=st.lists(st.text(max_size=3)))
def test_texts_that_are_looked_for_are_found_and_no_others(old, new):
    sought = noted(pa.array(new, pa.string()), 1024)
    assert sought.is_beyond(None, None) == (not new)
    if old and new:
        found = sought.select(pa.array(old, pa.string())).to_pylist()
        assert set(found) == set(old) & set(new)
        if set(found):
            assert not sought.is_beyond(min(old), max(old))


def test_too_many_texts_are_all_compared(monkeypatch):
    monkeypatch.setattr(probe, "MOST_TEXTS", 3)
    sought = noted(pa.array(list("abcd")), 1024)
    assert sought.texts is None
    assert sought.select(pa.array(["x", "a"])).to_pylist() == ["x", "a"]


def test_few_of_many_keys_are_compared_in_vain():
    random = np.random.default_rng(1)
    new, old = (pa.array(random.integers(-(2**62), 2**62, 100_000)) for _ in "no")
    sought = noted(new, probe.filter_size(len(new)))
    assert len(sought.select(old)) < 0.03 * len(old)


@pytest.fixture(params=["numbers", "texts"])
def part(request, tmp_path):
    """A part, how it is read, and the keys in it."""
    keys = pa.array(np.random.default_rng(2).permutation(2**40 + np.arange(5_000)))
    if request.param == "texts":
        keys = keys.cast(pa.string())
    table = pa.table({"id": keys, "value": np.random.default_rng(1).random(5_000)})
    filesystem = fsspec.filesystem("file")
    encodings = Encodings(distinct=frozenset({"id"}), alone=frozenset({"id"}))
    written = PartWriter(filesystem, str(tmp_path), "0" * 8, encodings).write(table, 0)
    segment = Segment(
        *(str(tmp_path / written.name), written.name, 0, len(table), written.bytes),
        checksum=written.checksum,
    )
    reader = PartReader(filesystem, pa.schema([table.schema.field("id")]))
    return reader, segment, keys


def test_a_column_is_read_alone(part):
    reader, segment, keys = part
    assert reader.read_alone(segment).equals(keys)


def test_every_flip_in_a_column_that_is_read_alone_is_noticed(part):
    reader, segment, keys = part
    path = Path(segment.path)
    content = path.read_bytes()
    unnoticed = 0
    for place in range(4, len(content), 499):
        flipped = bytearray(content)
        flipped[place] ^= 4
        path.write_bytes(flipped)
        try:
            assert reader.read_alone(segment).equals(keys)
            unnoticed += 1
        except StorageError:
            pass
    # What was flipped in the other column is no concern of who does not read it.
    assert 0 < unnoticed < len(content) // 499


def test_a_part_without_a_checksum_of_the_column_is_compared_whole(tmp_path, part):
    dataset = PandasParquetDataset(filepath=str(tmp_path / "table"))
    dataset.save(pa.table({"id": [1, 2], "value": [1.0, 2.0]}).to_pandas())
    source = dataset.source()
    reader = PartReader(part[0].filesystem, pa.schema([("id", pa.int64())]))
    [segment] = source.segments
    assert reader.read_alone(segment).to_pylist() == [1, 2]
    assert CLEAN_TRANSACTIONS.encodings.alone == {"transaction_id"}
