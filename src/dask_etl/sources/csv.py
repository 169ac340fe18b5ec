"""Delimited text as a source: any separator, encoding and packing, in bounded memory."""

import csv
import io
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import fsspec

from dask_etl.sources.batch import (
    Batch,
    Rows,
    SourceError,
    Unit,
    missing_columns,
    refuse_misfits,
    together,
)
from dask_etl.sources.csv_reader import CsvReader, Format, Piece
from dask_etl.sources.files import find_files, new_files
from dask_etl.sources.records import Cut, Records, cuts_of, walk
from dask_etl.sources.text import MARK_ERRORS, MARKER, Text, scans_of

logger = logging.getLogger(__name__)

SUFFIXES = tuple(
    f"{kind}{packed}"
    for kind in (".csv", ".tsv", ".txt", ".psv")
    for packed in ("", ".gz", ".zst", ".zstd", ".bz2", ".xz")
)
_HEAD = 1 << 20
"""Bytes in which a header must end."""

_SAMPLED = 4 << 20
"""Bytes of a file that are looked at as a sample."""

_BOM = "\ufeff"


@dataclass(frozen=True)
class CsvFiles:
    """Delimited text in one file or many."""

    filesystem: fsspec.AbstractFileSystem
    path: str
    format: Format
    blocksize: int

    def identity(self) -> Mapping[str, Any]:
        """Return what says how it is read."""
        return {"kind": "csv", **asdict(self.format)}

    def columns(self) -> list[str]:
        """Return the columns of the first file that has any."""
        for file in find_files(self.filesystem, self.path, SUFFIXES):
            head = _head(self.format, self.format.text(self.filesystem, file))
            if head is not None:
                return list(head.columns)
        return []

    def sample(self, needs: Sequence[str]) -> list[Rows]:
        """Read the first rows of the first file that has any."""
        for file in find_files(self.filesystem, self.path, SUFFIXES):
            text = self.format.text(self.filesystem, file)
            head = _head(self.format, text)
            if head is None:
                continue
            start = next(text.blocks(_SAMPLED, head.end), b"")
            # A part of a line is none.
            whole = start if len(start) < _SAMPLED else start[: start.rfind(b"\n") + 1]
            dialect = self.format.dialect
            cuts = walk([whole], head.end, head.line, dialect, max(len(whole), 1))
            reader = CsvReader(self.format, tuple(needs), ())
            return reader([Piece(0, text, cut, head.columns) for cut in cuts])
        return []

    def plan(
        self,
        needs: Sequence[str],
        coded: Sequence[str],
        known: Sequence[Unit],
        mode: Literal["auto", "full"],
    ) -> Batch:
        """See :class:`dask_etl.sources.batch.Source`."""
        files = find_files(self.filesystem, self.path, SUFFIXES)
        fresh, unread, reason = new_files(self.filesystem, files, known, mode)
        pieces: list[Piece] = []
        problems = []
        for number, file in enumerate(unread):
            text = self.format.text(self.filesystem, file)
            head = _head(self.format, text)
            if head is None:
                continue
            lacking = missing_columns(needs, head.columns, file.name)
            if lacking:
                problems.append(lacking)
                continue
            cuts = self._cuts(text, head)
            pieces += (Piece(number, text, cut, head.columns) for cut in cuts)
        refuse_misfits(problems)
        reader = CsvReader(self.format, tuple(needs), tuple(coded))
        return Batch(fresh, together(pieces, self.blocksize), reader, reason)

    def _cuts(self, text: Text, head: "_Head") -> list[Cut]:
        dialect = self.format.dialect
        cuts = None
        if not dialect.escape:
            cuts = cuts_of(scans_of(text, self.blocksize, dialect), head.end, head.line)
        if cuts is None:
            blocks = text.blocks(self.blocksize, head.end)
            cuts = walk(blocks, head.end, head.line, dialect, self.blocksize)
        return cuts


@dataclass(frozen=True)
class _Head:
    """What comes before the rows: their columns, where they begin, on which line."""

    columns: tuple[str, ...]
    end: int
    line: int


def _head(format: Format, text: Text) -> _Head | None:
    """Read a header; None for a file that has nothing in it.

    Raises:
        SourceError: it cannot be read.
    """
    start = next(text.blocks(_HEAD), b"")
    place = len(_BOM.encode()) if start.startswith(_BOM.encode()) else 0
    skipped = 0
    while skipped < format.skip_lines and (end := start.find(b"\n", place) + 1):
        place, skipped = end, skipped + 1
    rest = start[place:]
    line = start.count(b"\n", 0, place) + 1
    if not rest.strip() and len(start) < _HEAD:
        return None
    if not format.header and format.columns:
        return _Head(format.columns, place, line)
    records = Records(rest, format.dialect)
    first = records.shown(0, format.codec)
    if format.is_spaced:
        first = "\t".join(first.split())
    given = next(csv.reader(io.StringIO(first), **_reading(format)), [])
    if not format.header:
        return _Head(
            tuple(f"column_{n}" for n in range(1, len(given) + 1)), place, line
        )
    end = int(records.stops[0])
    if end == len(rest) and len(start) == _HEAD:
        raise SourceError(
            f"{text.file.path}: no header ends within the first {_HEAD:,} bytes. Correct "
            "separator and quote in the catalog, or give header: false and columns."
        )
    if MARKER in start[: place + end].decode(format.codec, MARK_ERRORS):
        raise SourceError(
            f"{text.file.path}: the header is not {format.encoding} text. Correct "
            "'encoding' in the catalog."
        )
    names = list(format.columns) or _distinct([name.strip() for name in given])
    return _Head(tuple(names), place + end, line + rest.count(b"\n", 0, end))


def _reading(format: Format) -> dict[str, Any]:
    return {
        "delimiter": format.dialect.separator.decode(),
        "quotechar": format.quote or None,
        "quoting": csv.QUOTE_MINIMAL if format.dialect.quote else csv.QUOTE_NONE,
        "escapechar": format.escape or None,
    }


def _distinct(names: Sequence[str]) -> list[str]:
    """Give columns that have no name, or that of another, one of their own."""
    found: list[str] = []
    for number, name in enumerate(names, 1):
        wanted = name or f"column_{number}"
        times = 1
        while wanted in found:
            times += 1
            wanted = f"{name or 'column'}_{times}"
        found.append(wanted)
    return found
