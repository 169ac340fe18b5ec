"""Scratch files of one attempt at a computation: how partial tables meet.

They stand where the outputs stand, so every worker that can write those can read
them, and survive a killed run: the next attempt at the same computation finds what
is done (``docs/operations.md``).

A file holds the tables of all buckets. Where each is, how long it is, and its checksum,
which every read compares, stands in the receipt of the task that wrote it and travels
with its result: a table is read by one request.
"""

import contextlib
import os
import posixpath
import re
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypedDict

import fsspec
import pyarrow as pa
import xxhash
from fsspec.implementations.local import LocalFileSystem

from dask_etl.storage.files import StorageError, checksum, get, put, seal, unseal
from dask_etl.storage.segments import grouped

ATTEMPT = "attempt.json"
"""The receipt without which nothing else in the folder counts."""

_FINGERPRINT = re.compile("[0-9a-f]{16}")
"""The name of an attempt's folder."""

_RECORD = struct.Struct("<QQQ")
"""Of one table of a file: offset, length and XXH3 of its bytes."""

IN_FLIGHT = 32 << 20
"""Bytes of tables that are asked for side by side, where that is faster."""


class Written(TypedDict):
    """What must be known of a file to read its tables; as plain as receipts are.

    Attributes:
        checksum: of the file.
        records: of its tables, in their order; hexadecimal.
    """

    checksum: str
    records: str


Index = Mapping[str, Written]
"""What was written, by the names of the files."""


class DamagedScratch(StorageError):
    """A partial result is missing, or is not what was written; it can be made again."""


@dataclass(frozen=True)
class Scratch:
    """A folder of Arrow files and receipts.

    Attributes:
        filesystem: where the folder is.
        folder: its path.
    """

    filesystem: fsspec.AbstractFileSystem
    folder: str

    def path(self, name: str) -> str:
        """Return the path of a file in the folder."""
        return posixpath.join(self.folder, name)

    def write(self, name: str, tables: Sequence[pa.Table]) -> Written:
        """Write several tables into one file.

        Returns:
            What finds them again, and tells whether the file :meth:`is_intact`.
        """
        records, contents = [], []
        offset = 0
        for table in tables:
            content = _serialised(table)
            digest = xxhash.xxh3_64_intdigest(content)
            records.append(_RECORD.pack(offset, content.size, digest))
            contents.append(content)
            offset += content.size
        whole = b"".join(contents)
        put(self.filesystem, self.path(name), whole)
        return {"checksum": checksum(whole), "records": b"".join(records).hex()}

    def read(
        self, wanted: Iterable[tuple[str, int]], index: Index
    ) -> Iterator[pa.Table]:
        """Read tables of files, in their order; of distant files many at a time.

        Args:
            wanted: names of files, and positions of tables as given to :meth:`write`.
            index: what :meth:`write` returned, by the names of the files.

        Raises:
            DamagedScratch: a file is missing, or these bytes of it were altered.
        """
        found = ((name, *_record(index[name], number)) for name, number in wanted)
        if isinstance(self.filesystem, LocalFileSystem):
            for name, offset, length, digest in found:
                try:
                    content = self.filesystem.cat_file(
                        self.path(name), start=offset, end=offset + length
                    )
                except OSError as error:
                    content = error
                yield self._table(name, digest, content)
            return
        for group in grouped(found, lambda each: each[2], IN_FLIGHT):
            names, offsets, lengths, digests = zip(*group, strict=True)
            ends = [
                start + length for start, length in zip(offsets, lengths, strict=True)
            ]
            contents = self.filesystem.cat_ranges(
                [*map(self.path, names)], [*offsets], ends, on_error="return"
            )
            yield from map(self._table, names, digests, contents)

    def _table(self, name: str, digest: int, content: bytes | Exception) -> pa.Table:
        if isinstance(content, OSError):
            raise self._damaged(name, str(content)) from content
        if isinstance(content, Exception):
            raise content
        if xxhash.xxh3_64_intdigest(content) != digest:
            raise self._damaged(name, "checksum mismatch")
        return pa.ipc.open_stream(pa.py_buffer(content)).read_all()

    def _damaged(self, name: str, how: str) -> DamagedScratch:
        return DamagedScratch(
            f"{self.path(name)}: a partial result is missing or damaged ({how}). Run "
            "again: what is damaged is made anew. If it happens again, check the disk."
        )

    def is_intact(self, name: str, written: Written) -> bool:
        """Tell whether a file is still as :meth:`write` left it."""
        try:
            return (
                checksum(get(self.filesystem, self.path(name))) == written["checksum"]
            )
        except OSError:
            return False

    def write_receipt(self, name: str, content: dict) -> None:
        """Note that something is done, with what is needed to do without it."""
        put(self.filesystem, self.path(name), seal(content))

    def receipt(self, name: str) -> dict | None:
        """Return a receipt; None if there is none, or none that can be trusted."""
        # Who put a link in the place of an attempt cannot have its work taken over.
        if self._is_link(self.folder):
            return None
        try:
            return unseal(get(self.filesystem, self.path(name)))
        except (OSError, ValueError):
            return None

    def clear(self) -> None:
        """Remove the attempts in this folder, the receipts that make them count first.

        Whatever else somebody keeps in a folder of this name stays. Links are not
        followed: one in the place of an attempt is removed, not what it leads to.

        Raises:
            StorageError: the folder itself is a link.
        """
        self.filesystem.invalidate_cache()
        if self._is_link(self.folder):
            raise StorageError(
                f"{self.folder}: is a symbolic link; what it leads to is not ours to "
                "write or to remove. Remove the link."
            )
        with contextlib.suppress(FileNotFoundError):
            for folder in self.filesystem.ls(self.folder, detail=False):
                if not _FINGERPRINT.fullmatch(posixpath.basename(folder)):
                    continue
                if self._is_link(folder):
                    os.unlink(folder)
                    continue
                with contextlib.suppress(FileNotFoundError):
                    self.filesystem.rm_file(posixpath.join(folder, ATTEMPT))
                self.filesystem.rm(folder, recursive=True)
        # Elsewhere a folder is gone with what was in it.
        if isinstance(self.filesystem, LocalFileSystem):
            with contextlib.suppress(OSError):
                self.filesystem.rmdir(self.folder)

    def _is_link(self, path: str) -> bool:
        return isinstance(self.filesystem, LocalFileSystem) and os.path.islink(path)


def _record(written: Written, number: int) -> tuple[int, int, int]:
    """Return offset, length and XXH3 of a table."""
    start = 2 * _RECORD.size * number
    text = written["records"][start : start + 2 * _RECORD.size]
    return _RECORD.unpack(bytes.fromhex(text))


def _serialised(table: pa.Table) -> pa.Buffer:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table.combine_chunks())
    return sink.getvalue()
