"""Delimited text as a source: what is in it comes out, at any block size, or is told."""

import bz2
import csv
import gzip
import lzma
from pathlib import Path

import fsspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kedro.io import DatasetError

from dask_etl.errors import StorageError
from dask_etl.sources import CsvSource
from dask_etl.sources.batch import SourceError

PACKED = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": lambda content: pa.compress(content, "zstd", asbytes=True),
}


def everything(path: Path, needs, known=(), **options):
    """All rows of a source in order, what was rejected, and the units."""
    batch = (
        CsvSource(filepath=str(path), **options).load().plan(needs, [], known, "auto")
    )
    pieces = [piece for item in batch.items for piece in batch.read(item)]
    rows = [tuple(row.values()) for piece in pieces for row in piece.table.to_pylist()]
    rejected = [
        (batch.units[piece.unit].name, one.line, one.rule, one.text)
        for piece in pieces
        for one in piece.rejected
    ]
    lines = [
        line for piece in pieces for line in piece.place(np.arange(len(piece.table)))[0]
    ]
    return rows, rejected, lines, batch


cells = st.text(alphabet='ab ,;"\n\réü', max_size=6)


@given(
    rows=st.lists(st.tuples(st.just("x"), cells, cells), max_size=10),
    blocksize=st.sampled_from([1, 7, 64, 10_000]),
    packed=st.sampled_from(["", ".gz", ".zst"]),
    encoding=st.sampled_from(["utf-8", "cp1252", "utf-16"]),
    separator=st.sampled_from([",", ";"]),
)
def test_every_value_comes_out_as_it_went_in(
    tmp_path_factory, rows, blocksize, packed, encoding, separator
):
    path = tmp_path_factory.mktemp("csv") / f"a.csv{packed}"
    text = path.with_suffix(".text")
    with open(text, "w", encoding=encoding, newline="") as file:
        writer = csv.writer(file, delimiter=separator)
        writer.writerows([("k", "é", "c"), *rows])
    path.write_bytes(PACKED.get(packed, bytes)(text.read_bytes()))
    found, rejected, _, _ = everything(
        path,
        ["k", "é", "c"],
        blocksize=blocksize,
        encoding=encoding,
        separator=separator,
    )
    assert found == rows
    assert rejected == []


BROKEN = (
    b"a;b\r\n"
    b"1;x\r\n"
    b"2\r\n"
    b'3;"y\r\nz"\r\n'
    b"\r\n"
    b"4;x;x\r\n"
    b"5;caf\x81\r\n"
    b'6;5" pipe\r\n'
    b'7;"open\r\n'
    b"8;last"
)


@pytest.mark.parametrize("blocksize", [1, 5, 16, 1000])
def test_what_is_no_row_is_told_with_its_line(tmp_path, blocksize):
    path = tmp_path / "a.csv"
    path.write_bytes(BROKEN)
    rows, rejected, lines, _ = everything(
        path, ["a", "b"], blocksize=blocksize, encoding="cp1252", separator=";"
    )
    assert rows == [("1", "x"), ("3", "y\r\nz"), ("6", '5" pipe'), ("8", "last")]
    assert lines == [2, 4, 9, 11]
    assert sorted(rejected, key=lambda one: one[1]) == [
        ("a.csv", 3, "too_few_fields", "2"),
        ("a.csv", 7, "too_many_fields", "4;x;x"),
        ("a.csv", 8, "undecodable_bytes", r"5;caf\x81"),
        ("a.csv", 10, "unclosed_quote", '7;"open'),
    ]


def test_bytes_that_are_no_text_in_utf8_and_utf16(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"a,b\n1,caf\xe9\n2,\xc3\xa9\n")
    rows, rejected, _, _ = everything(tmp_path / "a.csv", ["a", "b"])
    assert rows == [("2", "é")]
    assert rejected == [("a.csv", 2, "undecodable_bytes", r"1,caf\xe9")]
    wide = "a,b\n1,x\n2,y\n".encode("utf-16-le")
    wide = wide.replace("x".encode("utf-16-le"), b"\x00\xdc")
    (tmp_path / "b.csv").write_bytes(b"\xff\xfe" + wide)
    rows, rejected, _, _ = everything(tmp_path / "b.csv", ["a", "b"], encoding="utf-16")
    assert rows == [("2", "y")]
    assert [one[1:3] for one in rejected] == [(2, "undecodable_bytes")]


def test_empty_files_files_of_a_header_and_of_one_row(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"")
    (tmp_path / "b.csv").write_bytes(b"\xef\xbb\xbfa,b\r\n")
    (tmp_path / "c.csv").write_bytes(b"\xef\xbb\xbfb,a\r\n2,1")
    (tmp_path / "_d.csv").write_bytes(b"notes")
    rows, rejected, _, batch = everything(tmp_path, ["a", "b"])
    assert rows == [("1", "2")]
    assert rejected == []
    assert [unit.name for unit in batch.units] == ["a.csv", "b.csv", "c.csv"]


def test_headers_of_every_kind(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('Report "of" May\n\n a ,"b\nb",a,\n1,2,3,4\n')
    assert CsvSource(filepath=str(path), skip_lines=2).load().columns() == [
        "a",
        "b\nb",
        "a_2",
        "column_4",
    ]
    rows, _, lines, _ = everything(path, ["a_2"], skip_lines=2)
    assert (rows, lines) == ([("3",)], [5])
    path.write_text("1,2\n3,4\n")
    assert everything(path, ["column_2"], header=False)[0] == [("2",), ("4",)]
    rows = everything(path, ["y"], header=False, columns=["x", "y"])[0]
    assert rows == [("2",), ("4",)]
    path.write_text(" name    units\n a b      1 \n\n c  2\n d 3\n")
    found = everything(path, ["units"], separator="white space")
    assert found[0] == [("2",), ("3",)]
    assert [one[1:3] for one in found[1]] == [(2, "too_many_fields")]


def test_only_what_is_new_is_read(tmp_path):
    (tmp_path / "b.csv").write_text("a\n1\n")
    _, _, _, first = everything(tmp_path, ["a"])
    assert first.reason == "nothing has been taken in before"
    (tmp_path / "a.csv").write_text("a\n2\n")
    (tmp_path / "c.csv").write_text("a\n1\n")  # b again, under another name
    rows, _, _, second = everything(tmp_path, ["a"], first.units)
    assert (rows, second.reason) == ([("2",)], None)
    known = [*first.units, *second.units]
    # Touched, and moved: what counts is the content.
    (tmp_path / "b.csv").touch()
    (tmp_path / "a.csv").rename(tmp_path / "d.csv")
    rows, _, _, third = everything(tmp_path, ["a"], known)
    assert (rows, third.reason) == ([], None)
    (tmp_path / "b.csv").write_text("a\n9\n")
    _, _, _, fourth = everything(tmp_path, ["a"], known)
    assert fourth.reason == "b.csv is not as it was when it was taken in"
    assert fourth.units[0].name == "b.csv"
    (tmp_path / "b.csv").unlink()
    (tmp_path / "c.csv").unlink()
    assert everything(tmp_path, ["a"], known)[3].reason == (
        "b.csv, taken in before, is gone"
    )


def test_what_cannot_be_read_is_named(tmp_path):
    def refused(kind=SourceError, needs=("a",), **options) -> str:
        with pytest.raises(kind) as failure:
            everything(tmp_path, needs, **options)
        return str(failure.value)

    assert "no file here" in refused(StorageError)
    (tmp_path / "a.csv").write_text("Amount ,b\n1,2\n")
    (tmp_path / "b.csv").write_text("b\n1\n")
    said = refused(needs=("amount", "b"))
    assert "a.csv: there is no column 'amount' (did you mean 'Amount'?)" in said
    assert "b.csv: there is no column 'amount'; there are b" in said
    said = refused(DatasetError, separator="ab", encoding="latin9x", blocksize=0)
    assert [
        word for word in ("separator", "latin9x", "blocksize") if word not in said
    ] == []
    (tmp_path / "b.csv.gz").write_bytes(b"not packed")
    assert "b.csv.gz: not a readable gzip file" in refused(StorageError, ("b",))


def test_a_file_that_changes_meanwhile_is_noticed(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("a\n1\n")
    batch = CsvSource(filepath=str(path)).load().plan(["a"], [], (), "auto")
    path.write_text("a\n1\n2\n")
    with pytest.raises(StorageError, match="changed since the run began"):
        batch.read(batch.items[0])


def test_packed_text_is_read_in_any_order(tmp_path):
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(b"a\n" + b"".join(b"%d\n" % n for n in range(400))))
    batch = (
        CsvSource(filepath=str(path), blocksize=50).load().plan(["a"], [], (), "auto")
    )
    assert len(batch.items) > 20
    order = np.random.default_rng(1).permutation(len(batch.items))
    read = {i: batch.read(batch.items[i])[0].table["a"].to_pylist() for i in order}
    values = [value for i in sorted(read) for value in read[i]]
    assert values == [str(number) for number in range(400)]


def test_sources_in_memory_are_read_like_others():
    memory = fsspec.filesystem("memory")
    memory.pipe_file("/exports/a.csv", b"a\n1\n2\n")
    batch = (
        CsvSource(filepath="memory:///exports/*.csv", blocksize=2)
        .load()
        .plan(["a"], [], (), "auto")
    )
    rows = [
        r for item in batch.items for p in batch.read(item) for r in p.table.to_pylist()
    ]
    assert rows == [{"a": "1"}, {"a": "2"}]
