"""Scratch files of one attempt at a computation: how partial tables meet.

They stand where every worker can read and write them, and survive a killed run: the
next attempt at the same computation finds what is done (``docs/operations.md``).

A file holds the tables of one task, and behind them its receipt. Where each table is,
how long it is, and its checksum, which every read compares, travels with the result of
the task: a table is read by one request.
"""

import contextlib
import os
import posixpath
import re
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import xxhash

from dask_etl.storage.files import (
    Pieces,
    StorageError,
    checksum,
    get,
    put,
    seal,
    unseal,
)
from dask_etl.storage.location import Location
from dask_etl.storage.segments import grouped

ATTEMPT = "attempt.json"
"""The receipt without which nothing else in the folder counts."""

_FINGERPRINT = re.compile("[0-9a-f]{16}")
"""The name of an attempt's folder."""

_RECORD = struct.Struct("<QQQ")
"""Of one table of a file: offset, length and XXH3 of its bytes."""

_LENGTH = struct.Struct("<Q")
"""The end of a file: how long the receipt before it is."""

IN_FLIGHT = 32 << 20
"""Bytes of tables that are asked for side by side, where that is faster."""

Index = Mapping[str, str]
"""The records of the tables of a file, hexadecimal, by the file's name."""


class DamagedScratch(StorageError):
    """A partial result is missing, or is not what was written; it can be made again."""


@dataclass(frozen=True)
class Scratch:
    """A folder of files with Arrow tables and receipts."""

    location: Location

    def write(
        self, name: str, tables: Iterable[pa.Table], note: Mapping[str, Any] = {}
    ) -> str:
        """Write tables into one file, with a receipt of the work that they came of.

        Args:
            name: of the file.
            tables: in an order that finds them again.
            note: what is needed to do without the work, for :meth:`done`.

        Returns:
            The records of the tables, see ``Index``.
        """
        return self._write(name, map(_serialised, tables), note)

    def _write(
        self, name: str, contents: Iterable[Sequence[memoryview]], note: Mapping
    ) -> str:
        records: list[bytes] = []
        pieces: list[memoryview] = []
        offset = 0
        for content in contents:
            length = sum(map(len, content))
            records.append(_RECORD.pack(offset, length, int(checksum(*content), 16)))
            pieces += content
            offset += length
        found = b"".join(records).hex()
        receipt = seal({**note, "records": found})
        end = _LENGTH.pack(len(receipt))
        put(self.location.filesystem, self.location.file(name), *pieces, receipt, end)
        return found

    def join(self, name: str, names: Sequence[str]) -> str:
        """Bring the tables of several files together in one, position by position.

        What :meth:`read` finds at a position are the tables that stand there in all of
        the files, in their order.

        Raises:
            DamagedScratch: a file is missing or was altered.
        """
        paths = [self.location.file(each) for each in names]
        contents = self.location.filesystem.cat_ranges(
            paths, [0] * len(paths), [None] * len(paths), on_error="return"
        )
        parsed = map(self._tables_of, names, contents)
        return self._write(name, zip(*parsed, strict=True), {})

    def _tables_of(self, name: str, content: bytes | Exception) -> list[memoryview]:
        try:
            return _parsed(self._whole(name, content))[0]
        except ValueError as error:
            raise self._damaged(name, str(error)) from error

    def read(
        self, wanted: Iterable[tuple[str, int]], index: Index
    ) -> Iterator[pa.Table]:
        """Read tables of files, in their order; of distant files many at a time.

        Args:
            wanted: names of files, and positions of tables in them.
            index: the records of these files.

        Raises:
            DamagedScratch: a file is missing, or these bytes of it were altered.
        """
        filesystem = self.location.filesystem
        found = ((name, *_record(index[name], number)) for name, number in wanted)
        if self.location.is_local:
            for name, offset, length, digest in found:
                content: bytes | Exception
                try:
                    # Not by fsspec, which takes five times as long for a few kilobytes.
                    with open(self.location.file(name), "rb") as file:
                        file.seek(offset)
                        content = file.read(length)
                except OSError as error:
                    content = error
                yield from self._opened(name, digest, content)
            return
        for group in grouped(found, lambda each: each[2], IN_FLIGHT):
            names, offsets, lengths, digests = zip(*group, strict=True)
            ends = [
                start + length for start, length in zip(offsets, lengths, strict=True)
            ]
            contents = filesystem.cat_ranges(
                [*map(self.location.file, names)], [*offsets], ends, on_error="return"
            )
            for name, digest, content in zip(names, digests, contents, strict=True):
                yield from self._opened(name, digest, content)

    def _opened(
        self, name: str, digest: int, content: bytes | Exception
    ) -> Iterator[pa.Table]:
        whole = self._whole(name, content)
        if xxhash.xxh3_64_intdigest(whole) != digest:
            raise self._damaged(name, "checksum mismatch")
        source = pa.BufferReader(whole)
        while source.tell() < len(whole):
            yield pa.ipc.open_stream(source).read_all()

    def _whole(self, name: str, content: bytes | Exception) -> bytes:
        if isinstance(content, OSError):
            raise self._damaged(name, str(content)) from content
        if isinstance(content, Exception):
            raise content
        return content

    def _damaged(self, name: str, how: str) -> DamagedScratch:
        return DamagedScratch(
            f"{self.location.file(name)}: a partial result is missing or damaged "
            f"({how}). Run again: what is damaged is made anew. If it happens again, "
            "check the disk."
        )

    def done(self, name: str) -> dict[str, Any] | None:
        """Return what was noted in a file, and the ``records`` of its tables.

        None if there is no such file, or if anything in it was altered.
        """
        content = self._get(name)
        try:
            return _parsed(content)[1] if content else None
        except ValueError:
            return None

    def write_receipt(self, name: str, content: dict) -> None:
        """Note that something is done, with what is needed to do without it."""
        put(self.location.filesystem, self.location.file(name), seal(content))

    def receipt(self, name: str) -> dict | None:
        """Return a receipt; None if there is none, or none that can be trusted."""
        content = self._get(name)
        try:
            return unseal(content) if content else None
        except ValueError:
            return None

    def _get(self, name: str) -> bytes | None:
        # Who put a link in the place of an attempt cannot have its work taken over.
        if self._is_link(self.location.path):
            return None
        try:
            return get(self.location.filesystem, self.location.file(name))
        except OSError:
            return None

    def names(self) -> frozenset[str]:
        """List the files that are there."""
        filesystem = self.location.filesystem
        filesystem.invalidate_cache()
        try:
            found = filesystem.ls(self.location.path, detail=False)
        except FileNotFoundError:
            return frozenset()
        return frozenset(map(posixpath.basename, found))

    def clear(self) -> None:
        """Remove the attempts in this folder, the receipts that make them count first.

        Whatever else somebody keeps in a folder of this name stays. Links are not
        followed: one in the place of an attempt is removed, not what it leads to.

        Raises:
            StorageError: the folder itself is a link.
        """
        filesystem, home = self.location.filesystem, self.location.path
        filesystem.invalidate_cache()
        if self._is_link(home):
            raise StorageError(
                f"{home}: is a symbolic link; what it leads to is not ours to "
                "write or to remove. Remove the link."
            )
        with contextlib.suppress(FileNotFoundError):
            for folder in filesystem.ls(home, detail=False):
                if not _FINGERPRINT.fullmatch(posixpath.basename(folder)):
                    continue
                if self._is_link(folder):
                    os.unlink(folder)
                    continue
                with contextlib.suppress(FileNotFoundError):
                    filesystem.rm_file(posixpath.join(folder, ATTEMPT))
                filesystem.rm(folder, recursive=True)
        # Elsewhere a folder is gone with what was in it.
        if self.location.is_local:
            with contextlib.suppress(OSError):
                filesystem.rmdir(home)

    def _is_link(self, path: str) -> bool:
        return self.location.is_local and os.path.islink(path)


def _record(records: str, number: int) -> tuple[int, int, int]:
    """Return offset, length and XXH3 of a table."""
    start = 2 * _RECORD.size * number
    return _RECORD.unpack(bytes.fromhex(records[start : start + 2 * _RECORD.size]))


def _parsed(content: bytes) -> tuple[list[memoryview], dict[str, Any]]:
    """Take a file apart: the bytes of its tables, and its receipt.

    Raises:
        ValueError: something is missing or was altered.
    """
    view = memoryview(content)
    if len(view) < _LENGTH.size:
        raise ValueError("the file is cut off")
    [length] = _LENGTH.unpack(view[-_LENGTH.size :])
    receipt = unseal(bytes(view[-_LENGTH.size - length : -_LENGTH.size]))
    tables = []
    for offset, size, digest in _RECORD.iter_unpack(bytes.fromhex(receipt["records"])):
        table = view[offset : offset + size]
        if xxhash.xxh3_64_intdigest(table) != digest:
            raise ValueError("checksum mismatch")
        tables.append(table)
    return tables, receipt


def _serialised(table: pa.Table) -> list[memoryview]:
    written = Pieces()
    with pa.ipc.new_stream(written, table.schema) as stream:
        stream.write_table(table.combine_chunks())
    return written.pieces
