"""Records of delimited text: found the same at any block size, whatever quotes do."""

import csv
import io

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dask_etl.sources.records import (
    LONGEST_QUOTED,
    NEWLINE,
    Dialect,
    Records,
    cuts_of,
    scan,
    walk,
)

PLAIN = Dialect()
cells = st.text(alphabet='ab,"\n\r é', max_size=6)
tables = st.lists(
    st.lists(cells, min_size=2, max_size=3).filter(any), min_size=1, max_size=12
)


def blocks(text: bytes, size: int) -> list[bytes]:
    return [text[start : start + size] for start in range(0, len(text), size)]


def scanned(text: bytes, size: int):
    before = NEWLINE
    for block in blocks(text, size):
        yield scan(block, before, PLAIN)
        before = block[-1]


def written(rows) -> bytes:
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerows(rows)
    return out.getvalue().encode()


@given(tables, st.integers(1, 40))
@example([["a", 'x"\n"y'], ["b", "\n\n"]], 1)
def test_cuts_hold_whole_records_at_any_block_size(rows, size):
    text = written(rows)
    cuts = cuts_of(scanned(text, size), 0, 1)
    assert cuts is not None
    walked = walk(blocks(text, size), 0, 1, PLAIN, size)
    for found in (cuts, walked):
        assert b"".join(text[cut.start : cut.stop] for cut in found) == text
        assert all(text.count(b"\n", 0, c.start) + 1 == c.first_line for c in found)
        assert not any(cut.broken for cut in found)
        read = [
            row
            for cut in found
            for row in csv.reader(
                io.StringIO(text[cut.start : cut.stop].decode(), newline="")
            )
        ]
        assert read == rows


@given(tables)
def test_records_are_those_of_the_csv_module(rows):
    text = written(rows)
    records = Records(text, PLAIN)
    read = [
        next(csv.reader(io.StringIO(text[start:stop].decode(), newline="")))
        for start, stop in zip(records.starts, records.stops, strict=True)
    ]
    assert read == rows
    for start, line in zip(records.starts, records.lines, strict=True):
        assert text.count(b"\n", 0, start) == line


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
def test_a_quote_inside_a_field_is_a_character_like_others(size):
    text = b'a,5" pipe\nb,"x\ny"\nc,6" pipe\n'
    assert cuts_of(scanned(text, size), 0, 1) is None
    cuts = walk(blocks(text, size), 0, 1, PLAIN, size)
    assert b"".join(text[cut.start : cut.stop] for cut in cuts) == text
    starts = {0, 10, 18}
    assert {cut.start for cut in cuts} <= starts
    assert list(Records(text, PLAIN).starts) == sorted(starts)
    if size == 1:
        assert [(cut.start, cut.first_line) for cut in cuts] == [
            (0, 1),
            (10, 2),
            (18, 4),
        ]


@pytest.mark.parametrize("size", [5, 1 << 20])
def test_a_quote_that_is_never_closed_costs_its_own_line_alone(size):
    text = b'a,1\nb,"2\n' + b"c,3\n" * (LONGEST_QUOTED // 2)
    assert cuts_of(scanned(text, size), 0, 1) is None
    cuts = walk(blocks(text, max(size, 4096)), 0, 1, PLAIN, 1 << 20)
    assert [each for cut in cuts for each in cut.broken] == [(4, 9, 2)]


def test_an_escape_takes_the_meaning_of_a_quote():
    text = b'a,"x\\"\ny"\nb,2\n'
    records = Records(text, Dialect(escape=b"\\"))
    assert list(records.starts) == [0, 10]


def test_old_line_breaks_and_empty_lines():
    assert list(Records(b"a,1\rb,2\r\r\nc,3", PLAIN).starts) == [0, 4, 10]
    assert list(Records(b"\n\na,1\n\n", PLAIN).starts) == [2]
    assert len(Records(b"", PLAIN).starts) == 0
