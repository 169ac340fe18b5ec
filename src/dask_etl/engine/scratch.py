"""Scratch files of one attempt at a computation: how partial tables meet.

They stand where the outputs stand, so every worker that can write those can read
them, and survive a killed run: the next attempt at the same computation finds what
is done (``docs/operations.md``).

A file holds the tables of all buckets, and begins with a record for each: where it
is, how long it is, and its checksum, which every read compares.
"""

import contextlib
import os
import posixpath
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass

import fsspec
import pyarrow as pa
import xxhash
from fsspec.implementations.local import LocalFileSystem

from dask_etl.storage.files import StorageError, checksum, get, put, seal, unseal

ATTEMPT = "attempt.json"
"""The receipt without which nothing else in the folder counts."""

_FINGERPRINT = re.compile("[0-9a-f]{16}")
"""The name of an attempt's folder."""

_RECORD = struct.Struct("<QQQ")
"""Of one table of a file: offset, length and XXH3 of its bytes."""
_SEAL = struct.Struct("<Q")
"""XXH3 of a record, behind it: a damaged length is no length to read by."""
_HEADER = _RECORD.size + _SEAL.size


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

    def write(self, name: str, tables: Sequence[pa.Table]) -> str:
        """Write several tables into one file.

        Returns:
            The checksum of the file, for :meth:`is_intact`.
        """
        records, contents = [], []
        offset = len(tables) * _HEADER
        for table in tables:
            content = _serialised(table)
            digest = xxhash.xxh3_64_intdigest(content)
            record = _RECORD.pack(offset, content.size, digest)
            records += [record, _SEAL.pack(xxhash.xxh3_64_intdigest(record))]
            contents.append(content)
            offset += content.size
        whole = b"".join([*records, *contents])
        put(self.filesystem, self.path(name), whole)
        return checksum(whole)

    def read(self, name: str, number: int) -> pa.Table:
        """Read the table that was given to :meth:`write` at a position.

        Raises:
            DamagedScratch: the file is missing, or these bytes of it were altered.
        """
        try:
            header = self._range(name, number * _HEADER, _HEADER)
            record, seal = header[: _RECORD.size], header[_RECORD.size :]
            if seal != _SEAL.pack(xxhash.xxh3_64_intdigest(record)):
                raise self._damaged(name, "checksum mismatch")
            offset, length, digest = _RECORD.unpack(record)
            content = self._range(name, offset, length)
        except OSError as error:
            raise self._damaged(name, str(error)) from error
        if xxhash.xxh3_64_intdigest(content) != digest:
            raise self._damaged(name, "checksum mismatch")
        return pa.ipc.open_stream(pa.py_buffer(content)).read_all()

    def _range(self, name: str, start: int, length: int) -> bytes:
        path = self.path(name)
        return self.filesystem.cat_file(path, start=start, end=start + length)

    def _damaged(self, name: str, how: str) -> DamagedScratch:
        return DamagedScratch(
            f"{self.path(name)}: a partial result is missing or damaged ({how}). Run "
            "again: what is damaged is made anew. If it happens again, check the disk."
        )

    def is_intact(self, name: str, written: str) -> bool:
        """Tell whether a file still has the checksum that :meth:`write` returned."""
        try:
            return checksum(get(self.filesystem, self.path(name))) == written
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


def _serialised(table: pa.Table) -> pa.Buffer:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table.combine_chunks())
    return sink.getvalue()
