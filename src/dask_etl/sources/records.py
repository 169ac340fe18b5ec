"""Where records of delimited text begin and end, line breaks in quotes respected.

A quote opens a field only at its beginning; any other is a character like others. Where
that can be seen of all quotes at once, they are counted; else the text is walked
through. Either way the answer does not depend on how the text is cut into blocks.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

NEWLINE, RETURN = 10, 13
LONGEST_QUOTED = 1 << 16
"""Bytes between two quotes; a quote that is not closed within them opens nothing."""


_LOOKED_AT = 4096
"""Line breaks of a block among which one is looked for that ends a record."""


@dataclass(frozen=True)
class Dialect:
    """How fields are told apart; each a single byte, ``b""`` for none."""

    separator: bytes = b","
    quote: bytes = b'"'
    escape: bytes = b""


@dataclass(frozen=True)
class Cut:
    """A part of a text that holds whole records.

    Attributes:
        start: its first byte.
        stop: the byte after its last.
        first_line: number of the line that it begins with; the first of a file is 1.
        broken: lines in it, as (start, stop, line), that open a quote and never close it.
    """

    start: int
    stop: int
    first_line: int
    broken: tuple[tuple[int, int, int], ...] = ()


@dataclass(frozen=True)
class Scan:
    """What one block tells, before it is known whether it begins within quotes.

    ``first_break`` and ``has_stray`` are by whether it does: the place of the first
    line break outside quotes (-1 for none) with the number of line breaks up to it, and
    whether a quote is where none can open.
    """

    size: int
    breaks: int
    quotes: int
    first_break: tuple[tuple[int, int], tuple[int, int]]
    has_stray: tuple[bool, bool]


def scan(block: bytes, before: int, dialect: Dialect) -> Scan:
    """Look at a block.

    Args:
        block: bytes of the text.
        before: the byte before it; a line break at the beginning of the text.
        dialect: how fields are told apart.
    """
    content = np.frombuffer(block, np.uint8)
    places = np.flatnonzero(content == NEWLINE)
    breaks = len(places)
    first = block.find(b"\n")
    if not dialect.quote or dialect.quote not in block:
        found = (first, 1) if breaks else (-1, 0)
        # Within quotes all of it is.
        return Scan(len(block), breaks, 0, (found, (-1, 0)), (False, False))
    quotes = np.flatnonzero(content == dialect.quote[0])
    previous = np.where(quotes > 0, content[np.maximum(quotes - 1, 0)], before)
    may_open = np.zeros(256, bool)
    may_open[[NEWLINE, RETURN, dialect.separator[0], dialect.quote[0]]] = True
    opens = may_open[previous]
    # A quote right behind a quote goes on with the field only if that one closed it.
    stray = bool((~opens[0::2]).any()), bool((~opens[1::2]).any())
    # A cut may be left out: where none is near, there is none.
    near = places[:_LOOKED_AT]
    inside = np.searchsorted(quotes, near) % 2

    def first_outside(within: int) -> tuple[int, int]:
        outside = np.flatnonzero(inside == within)
        return (int(near[outside[0]]), int(outside[0]) + 1) if len(outside) else (-1, 0)

    ends = first_outside(0), first_outside(1)
    return Scan(len(block), breaks, len(quotes), ends, stray)


def cuts_of(scans: Iterable[Scan], begin: int, first_line: int) -> list[Cut] | None:
    """Cut a text after the first record that ends in each block but the first.

    Args:
        scans: of its blocks, in order.
        begin: the first byte behind the header.
        first_line: the number of the line that begins there.

    Returns:
        The cuts; None where quotes are not what they seem.
    """
    starts: list[tuple[int, int]] = []
    size = breaks = within = 0
    for one in scans:
        if one.has_stray[within]:
            return None
        place, nth = one.first_break[within]
        # What the first block begins with needs no cut before it.
        if size and place >= 0 and size + place + 1 > begin:
            starts.append((size + place + 1, breaks + nth + 1))
        size, breaks = size + one.size, breaks + one.breaks
        within = (within + one.quotes) % 2
    if within:
        return None
    return _between([(begin, first_line), *starts], size, ())


def walk(
    blocks: Iterable[bytes], begin: int, first_line: int, dialect: Dialect, step: int
) -> list[Cut]:
    """Cut a text by going through its records; the slow way that is always right.

    Args:
        blocks: the text behind its header.
        begin: the place in the text where the first block begins.
        first_line: the number of the line that begins there.
        dialect: how fields are told apart.
        step: about how many bytes a cut has.
    """
    starts = [(begin, first_line)]
    broken: list[tuple[int, int, int]] = []
    field_ = _field(dialect)
    source = iter(blocks)
    text, base, line = b"", begin, first_line
    wanted = begin + step
    at_end = False
    while not (at_end and not text):
        if not at_end:
            block = next(source, None)
            at_end = block is None
            text += block or b""
        place = 0
        while place < len(text):
            quote = text.find(dialect.quote, place) if dialect.quote else -1
            # Records without a quote end where their lines do.
            limit = len(text) if quote < 0 else text.rfind(b"\n", place, quote) + 1
            if limit > place:
                if quote < 0 and not at_end:
                    limit = text.rfind(b"\n", place) + 1
                    if not limit:
                        break
                while wanted < base + limit:
                    end = text.find(b"\n", max(wanted - base - 1, place), limit) + 1
                    if not end or (base + end >= base + len(text) and at_end):
                        break
                    starts.append((base + end, line + text.count(b"\n", place, end)))
                    wanted = base + end + step
                line += text.count(b"\n", place, limit)
                place = limit
                continue
            end = _record_end(text, place, field_)
            if end < 0:
                if not at_end and len(text) - place < 2 * LONGEST_QUOTED:
                    break
                end = text.find(b"\n", place) + 1 or len(text)
                broken.append((base + place, base + end, line))
            elif end == len(text) and not at_end:
                break
            line += text.count(b"\n", place, end)
            place = end
            if base + place >= wanted and not (at_end and place == len(text)):
                starts.append((base + place, line))
                wanted = base + place + step
        text, base = text[place:], base + place
    return _between(starts, base, broken)


def _field(dialect: Dialect) -> re.Pattern[bytes]:
    separator, quote = re.escape(dialect.separator), re.escape(dialect.quote)
    plain = rb"[^" + separator + rb"\r\n]*"
    escape = re.escape(dialect.escape)
    run = rb"[^%b%b]{0,%d}+" % (quote, escape, LONGEST_QUOTED)
    pairs = quote * 2 + (rb"|" + escape + rb"." if escape else b"")
    quoted = rb"%b%b(?:(?:%b)%b)*+%b" % (quote, run, pairs, run, quote)
    begins = rb"(?!" + quote + rb")" + plain
    end = rb"(" + separator + rb"|\r?\n|\r|\Z)"
    return re.compile(
        rb"(?:" + quoted + plain + rb"|" + begins + rb")" + end, re.DOTALL
    )


def _record_end(text: bytes, place: int, field_: re.Pattern[bytes]) -> int:
    """Return where the record ends that begins at a place; -1 if a quote stays open."""
    while True:
        found = field_.match(text, place)
        if found is None:
            return -1
        place = found.end()
        if found[1] in (b"\n", b"\r\n", b"\r", b""):
            return place


def _between(starts: list[tuple[int, int]], end: int, broken) -> list[Cut]:
    stops = [start for start, _ in starts[1:]] + [end]
    return [
        Cut(
            start,
            stop,
            line,
            tuple(each for each in broken if start <= each[0] < stop),
        )
        for (start, line), stop in zip(starts, stops, strict=True)
        if start < stop
    ]


@dataclass
class Records:
    """The records of a text that is cut at records, and the lines they begin on.

    Empty lines are no records.
    """

    text: bytes
    dialect: Dialect
    starts: np.ndarray = field(init=False)
    stops: np.ndarray = field(init=False)
    lines: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        """Find them all."""
        ends = np.array(self._ends(), np.int64)
        if self.text and (not len(ends) or ends[-1] != len(self.text)):
            ends = np.append(ends, len(self.text))
        starts = np.concatenate([[0], ends])[: len(ends)].astype(np.int64)
        content = np.frombuffer(self.text, np.uint8)
        breaks = np.flatnonzero(content == NEWLINE)
        is_empty = np.zeros(len(starts), bool)
        if len(starts):
            is_empty = np.isin(content[starts], [NEWLINE, RETURN])
        self.starts, self.stops = starts[~is_empty], ends[~is_empty]
        self.lines = np.searchsorted(breaks, self.starts)

    def _ends(self) -> np.ndarray | list[int]:
        content = np.frombuffer(self.text, np.uint8)
        places = np.flatnonzero(content == NEWLINE)
        lone = np.flatnonzero(content == RETURN)
        if len(lone):
            after = np.append(content, NEWLINE)[lone + 1]
            places = np.union1d(places, lone[after != NEWLINE])
        quote = self.dialect.quote
        if not quote or quote not in self.text:
            return places + 1
        one = scan(self.text, NEWLINE, self.dialect)
        if not (self.dialect.escape or one.has_stray[0] or one.quotes % 2):
            quotes = np.flatnonzero(content == quote[0])
            return places[np.searchsorted(quotes, places) % 2 == 0] + 1
        return [*self._walked()]

    def _walked(self) -> Iterator[int]:
        field_, place = _field(self.dialect), 0
        while place < len(self.text):
            end = _record_end(self.text, place, field_)
            place = end if end > 0 else len(self.text)
            yield place

    def shown(self, number: int, encoding: str) -> str:
        """Return the text of a record; bytes that are none are escaped."""
        content = self.text[self.starts[number] : self.stops[number]]
        return content.decode(encoding, "backslashreplace").rstrip("\r\n")
