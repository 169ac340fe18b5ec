"""JSON lines as a source: an object a line; what is in objects is named with dots."""

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import json as arrow

from dask_etl.sources.batch import (
    Batch,
    Rejected,
    Rows,
    SourceError,
    Unit,
    missing_columns,
    together,
)
from dask_etl.sources.files import SourceFile, find_files, new_files
from dask_etl.sources.records import Cut, Dialect, Records, cuts_of
from dask_etl.sources.text import Text, compression_of, scans_of
from dask_etl.storage.arrays import as_array

SUFFIXES = tuple(
    f"{kind}{packed}"
    for kind in (".jsonl", ".ndjson", ".json")
    for packed in ("", ".gz", ".zst", ".zstd", ".bz2", ".xz")
)
_LINES = Dialect(quote=b"")
"""A line break in JSON text is written as an escape: every one ends a record."""
_LOOKED_AT = 100
"""Records whose names tell which columns there are."""


@dataclass(frozen=True)
class JsonPiece:
    """Whole lines of one file."""

    unit: int
    text: Text
    cut: Cut

    @property
    def size(self) -> int:
        """Its bytes."""
        return self.cut.stop - self.cut.start


@dataclass(frozen=True)
class JsonFiles:
    """JSON lines in one file or many."""

    filesystem: fsspec.AbstractFileSystem
    path: str
    compression: str | None
    explode: str | None
    blocksize: int

    def identity(self) -> Mapping[str, Any]:
        """Return what says how it is read."""
        return {"kind": "json", "explode": self.explode}

    def columns(self) -> list[str]:
        """Return the names in the first records of the first file that has any."""
        for file in find_files(self.filesystem, self.path, SUFFIXES):
            if names := self._names(self.text(file)):
                return names
        return []

    def text(self, file: SourceFile) -> Text:
        """Return the text of a file."""
        packed = self.compression
        if packed == "infer":
            packed = compression_of(file.path)
        return Text(self.filesystem, file, packed)

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
        pieces: list[JsonPiece] = []
        names: dict[str, None] = {}
        for number, file in enumerate(unread):
            text = self.text(file)
            names |= dict.fromkeys(self._names(text))
            pieces += json_pieces(number, text, self.blocksize)
        # A name may be left out of a record; one that none has is a mistake.
        if names and (lacking := missing_columns(needs, [*names], self.path)):
            raise SourceError(lacking)
        reader = JsonReader(tuple(needs), self.explode)
        return Batch(fresh, together(pieces, self.blocksize), reader, reason)

    def _names(self, text: Text) -> list[str]:
        head = next(text.blocks(1 << 20), b"")
        names: dict[str, None] = {}
        for line in head.splitlines()[:_LOOKED_AT]:
            try:
                found = exploded([json.loads(line)], self.explode)
            except ValueError:
                continue
            for one in found:
                names |= dict.fromkeys(paths_in(one))
        if not names and head.lstrip().startswith(b"["):
            raise SourceError(
                f"{text.file.path}: is one JSON list; expected an object a line. Write "
                "it so, e.g. with jq -c '.[]'."
            )
        return [*names]


def json_pieces(unit: int, text: Text, blocksize: int) -> list[JsonPiece]:
    """Cut a text of JSON lines into pieces."""
    cuts = cuts_of(scans_of(text, blocksize, _LINES), 0, 1) or []
    return [JsonPiece(unit, text, cut) for cut in cuts]


@dataclass(frozen=True)
class JsonReader:
    """Reads lines of JSON into columns; what is no object is told."""

    needs: tuple[str, ...]
    explode: str | None = None

    def __call__(self, pieces: Sequence[JsonPiece]) -> list[Rows]:
        """Read the pieces of one task."""
        return [self._read(piece) for piece in pieces]

    def _read(self, piece: JsonPiece) -> Rows:
        content = piece.text.read(piece.cut.start, piece.cut.stop)
        content = content.removeprefix("\ufeff".encode())
        lines = _Lines(content, piece.cut.first_line)
        if self.explode is None:
            try:
                table = self._all_at_once(content)
                if len(table) != len(lines.records.starts):
                    raise ValueError("lines that hold no object, or several")
            except (pa.ArrowException, ValueError):
                pass
            else:
                return Rows(piece.unit, table, lines.place)
        return self._one_by_one(piece.unit, content, lines)

    def _all_at_once(self, content: bytes) -> pa.Table:
        if not content.strip():
            return pa.table({name: pa.nulls(0, pa.string()) for name in self.needs})
        # Text that looks like a moment stays text: the mapping says what it is.
        first = json.loads(content.lstrip().split(b"\n", 1)[0])
        texts = [
            (name, pa.string())
            for name in {name.split(".")[0] for name in self.needs}
            if isinstance(first, dict) and isinstance(first.get(name), str | None)
        ]
        found = arrow.read_json(
            io.BytesIO(content),
            arrow.ReadOptions(use_threads=False, block_size=len(content) + 1),
            arrow.ParseOptions(explicit_schema=pa.schema(texts)),
        )
        return pa.table({name: _at(found, name) for name in self.needs})

    def _one_by_one(self, unit: int, content: bytes, lines: "_Lines") -> Rows:
        rejected, records, numbers = [], [], []
        for number in range(len(lines.records.starts)):
            text = lines.records.shown(number, "utf-8")
            try:
                given = json.loads(text)
                if not isinstance(given, dict):
                    raise ValueError("no object")
                made = exploded([given], self.explode)
            except ValueError:
                line = lines.line(number)
                rejected.append(Rejected(line, "unreadable_record", text))
                continue
            records += made
            numbers += [number] * len(made)
        table = table_of(records, self.needs)
        lines.of_row = np.array(numbers, np.int64)
        return Rows(unit, table, lines.place, rejected)


def table_of(records: Sequence[Mapping], needs: Sequence[str]) -> pa.Table:
    """Make columns of records: of one type where their values have one, else text."""
    columns = {}
    for name in needs:
        values = [value_at(record, name) for record in records]
        kinds = {type(value) for value in values if value is not None}
        try:
            if len(kinds) > 1 and not kinds <= {int, float}:
                raise pa.ArrowInvalid("of several types")
            column = pa.array(values)
        except (pa.ArrowException, OverflowError):
            column = pa.array(
                [
                    v if v is None or isinstance(v, str) else json.dumps(v)
                    for v in values
                ]
            )
        columns[name] = column
    return pa.table(columns)


def _at(table: pa.Table, path: str) -> pa.ChunkedArray | pa.Array:
    """Return a column, or what is in objects of one, by its path."""
    name, *inner = path.split(".")
    if name not in table.column_names:
        return pa.nulls(len(table), pa.string())
    column = as_array(table[name])
    for part in inner:
        kind = column.type
        if not pa.types.is_struct(kind) or kind.get_field_index(part) < 0:
            return pa.nulls(len(table), pa.string())
        column = pc.struct_field(column, part)
    return column


def value_at(record: Any, path: str) -> Any:
    """Return what stands at a path in objects; None where nothing does."""
    if isinstance(record, Mapping) and path in record:
        return record[path]
    for part in path.split("."):
        if not isinstance(record, Mapping):
            return None
        record = record.get(part)
    return record


def exploded(records: Sequence[Any], path: str | None) -> list[Any]:
    """Make a record of each object in the list that is at a path."""
    if path is None:
        return [*records]
    made = []
    for record in records:
        inner = value_at(record, path)
        if not isinstance(inner, list):
            raise ValueError(f"{path} is no list")
        made += [{**record, path: one} for one in inner]
    return made


def paths_in(record: Any, prefix: str = "") -> list[str]:
    """List the names in an object, those of objects in it with dots."""
    if not isinstance(record, Mapping):
        return []
    names = []
    for name, value in record.items():
        names.append(f"{prefix}{name}")
        names += paths_in(value, f"{prefix}{name}.")
    return names


@dataclass
class _Lines:
    """The lines of a piece, looked for when somebody asks."""

    content: bytes
    first_line: int
    of_row: np.ndarray | None = None
    _records: Records | None = None

    @property
    def records(self) -> Records:
        if self._records is None:
            self._records = Records(self.content, _LINES)
        return self._records

    def line(self, number: int) -> int:
        return self.first_line + int(self.records.lines[number])

    def place(self, rows: np.ndarray) -> tuple[list[int], list[str | None]]:
        numbers = rows if self.of_row is None else self.of_row[rows]
        return (
            [self.line(number) for number in numbers],
            [self.records.shown(number, "utf-8") for number in numbers],
        )
