"""Scratch files of one attempt at a computation: how partial tables meet.

They stand where the outputs stand, so every worker that can write those can read
them, and survive a killed run: the next attempt at the same computation finds what
is done (``docs/operations.md``).
"""

import json
import posixpath
from collections.abc import Sequence
from dataclasses import dataclass

import fsspec
import pyarrow as pa
from fsspec.implementations.local import LocalFileSystem

from dask_etl.datasets.versions import put


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

    def write(self, name: str, tables: Sequence[pa.Table]) -> None:
        """Write tables of one schema into one file, a record batch each."""
        sink = pa.BufferOutputStream()
        schema = tables[0].schema
        with pa.ipc.new_file(sink, schema) as file:
            for table in tables:
                batches = table.combine_chunks().to_batches()
                file.write(
                    batches[0] if batches else pa.RecordBatch.from_pylist([], schema)
                )
        put(self.filesystem, self.path(name), sink.getvalue())

    def read(self, name: str, number: int) -> pa.Table:
        """Read the table that was given to :meth:`write` at a position."""
        if isinstance(self.filesystem, LocalFileSystem):
            source = pa.memory_map(self.path(name))
        else:
            source = self.filesystem.open(self.path(name), "rb")
        with source, pa.ipc.open_file(source) as file:
            return pa.Table.from_batches([file.get_batch(number)])

    def write_receipt(self, name: str, content: dict) -> None:
        """Note that something is done, with what is needed to do without it."""
        put(self.filesystem, self.path(name), json.dumps(content).encode())

    def receipt(self, name: str) -> dict | None:
        """Return a receipt; None if there is none."""
        try:
            return json.loads(self.filesystem.cat_file(self.path(name)))
        except FileNotFoundError:
            return None

    def exists(self, name: str) -> bool:
        """Tell whether a file has been written."""
        return self.filesystem.exists(self.path(name))

    def remove(self) -> None:
        """Remove the folder."""
        if self.filesystem.exists(self.folder):
            self.filesystem.rm(self.folder, recursive=True)
