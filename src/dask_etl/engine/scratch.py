"""Scratch files of one attempt at a computation: how partial tables meet.

They stand where the outputs stand, so every worker that can write those can read
them, and survive a killed run: the next attempt at the same computation finds what
is done (``docs/operations.md``).
"""

import contextlib
import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass

import fsspec
import pyarrow as pa
from fsspec.implementations.local import LocalFileSystem

from dask_etl.storage.files import StorageError, checksum, put, seal, unseal

ATTEMPT = "attempt.json"
"""The receipt without which nothing else in the folder counts."""

_FINGERPRINT = re.compile("[0-9a-f]{16}")
"""The name of an attempt's folder."""


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
        """Write tables of one schema into one file, a record batch each.

        Returns:
            The checksum of the file, for :meth:`is_intact`.
        """
        sink = pa.BufferOutputStream()
        schema = tables[0].schema
        with pa.ipc.new_file(sink, schema) as file:
            for table in tables:
                batches = table.combine_chunks().to_batches()
                file.write(
                    batches[0] if batches else pa.RecordBatch.from_pylist([], schema)
                )
        content = sink.getvalue()
        put(self.filesystem, self.path(name), content)
        return checksum(content)

    def read(self, name: str, number: int) -> pa.Table:
        """Read the table that was given to :meth:`write` at a position.

        Raises:
            StorageError: the file is missing or damaged.
        """
        try:
            if isinstance(self.filesystem, LocalFileSystem):
                source = pa.memory_map(self.path(name))
            else:
                source = self.filesystem.open(self.path(name), "rb")
            with source, pa.ipc.open_file(source) as file:
                return pa.Table.from_batches([file.get_batch(number)])
        except (pa.ArrowException, OSError) as error:
            raise StorageError(
                f"{self.path(name)}: a partial result is missing or damaged ({error}). "
                "Run again with --params resume=false."
            ) from error

    def is_intact(self, name: str, written: str) -> bool:
        """Tell whether a file still has the checksum that :meth:`write` returned."""
        try:
            return checksum(self.filesystem.cat_file(self.path(name))) == written
        except OSError:
            return False

    def write_receipt(self, name: str, content: dict) -> None:
        """Note that something is done, with what is needed to do without it."""
        put(self.filesystem, self.path(name), seal(content))

    def receipt(self, name: str) -> dict | None:
        """Return a receipt; None if there is none, or none that can be trusted."""
        try:
            return unseal(self.filesystem.cat_file(self.path(name)))
        except (OSError, ValueError):
            return None

    def clear(self) -> None:
        """Remove the attempts in this folder, the receipts that make them count first.

        Whatever else somebody keeps in a folder of this name stays.
        """
        self.filesystem.invalidate_cache()
        with contextlib.suppress(FileNotFoundError):
            for folder in self.filesystem.ls(self.folder, detail=False):
                if _FINGERPRINT.fullmatch(posixpath.basename(folder)):
                    with contextlib.suppress(FileNotFoundError):
                        self.filesystem.rm_file(posixpath.join(folder, ATTEMPT))
                    self.filesystem.rm(folder, recursive=True)
        with contextlib.suppress(OSError):
            self.filesystem.rmdir(self.folder)
