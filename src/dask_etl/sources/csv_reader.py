"""Reads pieces of delimited text into columns of text; what are no rows is told."""

import codecs
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import fsspec
import numpy as np
import pyarrow as pa
from pyarrow import csv as arrow

from dask_etl.sources.batch import (
    Rejected,
    Rows,
)
from dask_etl.sources.files import SourceFile
from dask_etl.sources.records import Cut, Dialect, Records
from dask_etl.sources.text import MARK_ERRORS, MARKER, Text, compression_of

_WIDE = ("utf-16", "utf_16", "utf-32", "utf_32")

WHITE_SPACE = "white space"
"""Stands for columns that are set apart by any number of spaces and tabs."""


@dataclass(frozen=True)
class Format:
    """How text is delimited; see :class:`dask_etl.sources.datasets.CsvSource`."""

    separator: str = ","
    quote: str = '"'
    escape: str = ""
    encoding: str = "utf-8"
    compression: str | None = "infer"
    header: bool = True
    columns: tuple[str, ...] = ()
    skip_lines: int = 0

    @property
    def dialect(self) -> Dialect:
        """The same in bytes."""
        if self.is_spaced:
            return Dialect(b"\t", b"")
        return Dialect(
            self.separator.encode(), self.quote.encode(), self.escape.encode()
        )

    @property
    def is_spaced(self) -> bool:
        """Whether columns are set apart by any number of spaces."""
        return self.separator == WHITE_SPACE

    @property
    def codec(self) -> str:
        """The encoding of the text as it is cut: wide ones are read as UTF-8."""
        return "utf-8" if self.is_wide else self.encoding

    @property
    def is_wide(self) -> bool:
        """Whether a line break has more than one byte."""
        return codecs.lookup(self.encoding).name.startswith(_WIDE)

    def text(self, filesystem: fsspec.AbstractFileSystem, file: SourceFile) -> Text:
        """Return the text of a file."""
        packed = self.compression
        if packed == "infer":
            packed = compression_of(file.path)
        return Text(filesystem, file, packed, self.encoding if self.is_wide else None)


@dataclass(frozen=True)
class Piece:
    """Whole records of one file."""

    unit: int
    text: Text
    cut: Cut
    columns: tuple[str, ...]

    @property
    def size(self) -> int:
        """Its bytes."""
        return self.cut.stop - self.cut.start


@dataclass(frozen=True)
class CsvReader:
    """Reads pieces of files into columns of text; what are no rows is told."""

    format: Format
    needs: tuple[str, ...]
    coded: tuple[str, ...]

    def __call__(self, pieces: Sequence[Piece]) -> list[Rows]:
        """Read the pieces of one task."""
        return [self._read(piece) for piece in pieces]

    def _read(self, piece: Piece) -> Rows:
        content = piece.text.read(piece.cut.start, piece.cut.stop)
        broken = [
            Rejected(
                line,
                "unclosed_quote",
                content[start - piece.cut.start : stop - piece.cut.start]
                .decode(self.format.codec, "backslashreplace")
                .rstrip("\r\n"),
            )
            for start, stop, line in piece.cut.broken
        ]
        content, skipped = _without(content, piece.cut)
        if self.format.is_spaced:
            content = _squeezed(content)
        found = _Parsed(self.format, piece, content, skipped)
        table, rejected = found.read(self.needs, self.coded)
        return Rows(piece.unit, table, found.place, [*broken, *rejected])


def _squeezed(content: bytes) -> bytes:
    """Set columns apart by one tab, whatever number of spaces there is."""
    lines = re.sub(rb"^[ \t]+|[ \t]+(?=\r?$)", b"", content, flags=re.MULTILINE)
    return re.sub(rb"[ \t]+", b"\t", lines)


def _without(content: bytes, cut: Cut) -> tuple[bytes, list[tuple[int, int]]]:
    """Take broken lines out; return where, and how many line breaks went with them."""
    if not cut.broken:
        return content, []
    kept, place, gone = [], 0, []
    for start, stop, _ in cut.broken:
        kept.append(content[place : start - cut.start])
        place = stop - cut.start
        gone.append(
            (sum(map(len, kept)), content.count(b"\n", start - cut.start, place))
        )
    kept.append(content[place:])
    return b"".join(kept), gone


@dataclass
class _Parsed:
    """One piece, parsed; its records are looked for when somebody asks."""

    format: Format
    piece: Piece
    content: bytes
    skipped: list[tuple[int, int]]

    def __post_init__(self) -> None:
        """Begin with nothing left out."""
        self.left_out: np.ndarray = np.zeros(0, np.int64)
        self._records: Records | None = None

    @property
    def records(self) -> Records:
        if self._records is None:
            self._records = Records(self.content, self.format.dialect)
        return self._records

    def read(
        self, needs: Sequence[str], coded: Sequence[str]
    ) -> tuple[pa.Table, list[Rejected]]:
        text, is_marked = _as_utf8(self.content, self.format)
        invalid: list[Any] = []

        def note(row) -> Literal["skip"]:
            invalid.append((row.number, row.expected_columns, row.actual_columns))
            return "skip"

        columns = self.piece.columns
        kinds = {
            name: pa.dictionary(pa.int32(), pa.string())
            if name in coded
            else pa.string()
            for name in needs
        }
        if not text:
            empty = pa.schema([(n, kinds[n]) for n in needs]).empty_table()
            return empty, []
        table = arrow.read_csv(
            pa.BufferReader(text),
            arrow.ReadOptions(
                use_threads=False, block_size=len(text) + 1, column_names=columns
            ),
            arrow.ParseOptions(
                delimiter=self.format.dialect.separator.decode(),
                quote_char=self.format.dialect.quote.decode() or False,
                double_quote=True,
                escape_char=self.format.escape or False,
                newlines_in_values=True,
                invalid_row_handler=note,
            ),
            arrow.ConvertOptions(
                check_utf8=False,
                column_types=kinds,
                include_columns=list(needs),
                strings_can_be_null=False,
            ),
        )
        if not (invalid or is_marked):
            return table, []
        return self._without_invalid(table, text, invalid, is_marked)

    def _without_invalid(
        self, table: pa.Table, text: bytes, invalid: list, is_marked: bool
    ) -> tuple[pa.Table, list[Rejected]]:
        count = len(self.records.starts)
        if count != len(table) + len(invalid):
            raise RuntimeError(
                f"{self.piece.text.file.path}: {count} records, of which "
                f"{len(table)} + {len(invalid)} were read"
            )
        rules = {
            number - 1: "too_many_fields" if actual > expected else "too_few_fields"
            for number, expected, actual in invalid
        }
        wrong = np.array(sorted(rules), np.int64)
        if is_marked:
            marked = Records(text, self.format.dialect)
            bad = [
                number
                for number in range(count)
                if MARKER.encode() in text[marked.starts[number] : marked.stops[number]]
            ]
            parsed = np.delete(np.arange(count), wrong)
            kept = ~np.isin(parsed, bad)
            table = table.filter(pa.array(kept))
            rules |= dict.fromkeys(bad, "undecodable_bytes")
        self.left_out = np.array(sorted(rules), np.int64)
        rejected = [
            Rejected(self.line(number), rules[number], self.shown(number))
            for number in self.left_out.tolist()
        ]
        return table, rejected

    def line(self, number: int) -> int:
        """Return the line of a record in its file."""
        line = self.piece.cut.first_line + int(self.records.lines[number])
        start = self.records.starts[number]
        return line + sum(breaks for place, breaks in self.skipped if place <= start)

    def shown(self, number: int) -> str:
        text = self.records.shown(number, self.format.codec)
        return text.replace(MARKER, "\ufffd")

    def place(self, rows: np.ndarray) -> tuple[list[int], list[str | None]]:
        """Tell the lines of some rows of the table, and their texts."""
        numbers = np.delete(np.arange(len(self.records.starts)), self.left_out)[rows]
        return (
            [self.line(number) for number in numbers],
            [self.shown(number) for number in numbers],
        )


def _as_utf8(content: bytes, format: Format) -> tuple[bytes, bool]:
    """Return text as UTF-8, and whether some of it is none and was marked."""
    if content.isascii():
        return content, False
    try:
        if format.is_wide:
            return content, MARKER.encode() in content
        text = content.decode(format.codec)
    except UnicodeDecodeError:
        return content.decode(format.codec, MARK_ERRORS).encode(), True
    if codecs.lookup(format.codec).name == "utf-8":
        return content, False
    return text.encode(), False
