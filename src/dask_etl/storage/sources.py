"""The files that a table is read from, and how to tell whether they are the same again."""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import fsspec
import pyarrow as pa
import xxhash

from dask_etl.errors import StorageError
from dask_etl.storage.segments import Segment

_BLOCK = 1 << 22


@dataclass(frozen=True)
class SourceFile:
    """A file that rows were read from.

    Attributes:
        path: where it is.
        name: as ledgers and rejected rows show it.
        bytes: its size.
        checksum: XXH3 of its bytes; None where nobody has recorded it.
        modified: when it was changed, where there is no checksum.
    """

    path: str
    name: str
    bytes: int
    checksum: str | None
    modified: str | None


@dataclass(frozen=True)
class SourceFiles:
    """All files of a table, in reading order.

    Attributes:
        filesystem: where they are.
        schema: what their rows are brought to.
        files: the files.
    """

    filesystem: fsspec.AbstractFileSystem
    schema: pa.Schema
    files: tuple[SourceFile, ...]

    @classmethod
    def of(
        cls,
        filesystem: fsspec.AbstractFileSystem,
        schema: pa.Schema,
        segments: Iterable[Segment],
    ) -> "SourceFiles":
        """List the files of some segments, each once."""
        found: dict[str, SourceFile] = {}
        for s in segments:
            file = SourceFile(s.path, s.name, s.bytes, s.checksum, s.modified)
            found.setdefault(s.name, file)
        return cls(filesystem, schema, tuple(found.values()))

    # It hangs on frames, which copy what hangs on them at every turn.
    def __deepcopy__(self, memo) -> "SourceFiles":
        return self

    def checksums(self, files: Sequence[SourceFile]) -> list[str]:
        """Return the checksum of some files; those that nobody recorded are read.

        Raises:
            StorageError: a file cannot be read.
        """
        with ThreadPoolExecutor(8) as threads:
            return list(threads.map(self._checksum, files))

    def _checksum(self, file: SourceFile) -> str:
        if file.checksum is not None:
            return file.checksum
        digest = xxhash.xxh3_64()
        try:
            with self.filesystem.open(file.path, "rb", block_size=_BLOCK) as opened:
                while block := opened.read(_BLOCK):
                    digest.update(block)
        except OSError as error:
            raise StorageError(f"{file.path}: cannot be read ({error})") from error
        return digest.hexdigest()
