"""Text in files as it is read: unpacked, from any place, scanned for records."""

import bz2
import codecs
import gzip
import io
import lzma
import posixpath
import threading
from collections import OrderedDict, deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, BinaryIO

import fsspec

from dask_etl.errors import StorageError
from dask_etl.sources.files import READ, SourceFile, threads_here
from dask_etl.sources.records import NEWLINE, Dialect, Scan, scan
from dask_etl.storage.folder import check_file, state_of

_KEPT = 8
"""Streams that a process keeps open, so that tasks go on where others stopped."""

COMPRESSIONS = {
    ".gz": "gzip",
    ".zst": "zstd",
    ".zstd": "zstd",
    ".bz2": "bz2",
    ".xz": "xz",
}

MARKER = "\ufdd0"
"""Stands for bytes that are no text; no text has it, by the rules of Unicode."""


@dataclass(frozen=True)
class Text:
    """The bytes of a file as text is read from it: unpacked, in an encoding like ASCII.

    Attributes:
        filesystem: where the file is.
        file: which.
        compression: by name; None for none.
        wide: an encoding in which a line break is more than one byte (UTF-16): such
            text is taken as UTF-8, with what is no text marked.
    """

    filesystem: fsspec.AbstractFileSystem
    file: SourceFile
    compression: str | None = None
    wide: str | None = None

    @property
    def is_plain(self) -> bool:
        """Whether any place of it can be read without reading all before it."""
        return self.compression is None and self.wide is None

    def blocks(self, size: int, start: int = 0) -> Iterator[bytes]:
        """Yield it from a place on, in blocks of one size."""
        with self._open() as opened:
            if self.is_plain:
                opened.seek(start)
            else:
                _skip(opened, start)
            while block := _full(opened, size):
                yield block

    def read(self, start: int, stop: int) -> bytes:
        """Return the bytes between two places.

        Raises:
            StorageError: the file is not as it was, or damaged.
        """
        if self.is_plain:
            if state_of(self.filesystem, self.file.path) != (
                self.file.bytes,
                self.file.modified,
            ):
                raise StorageError(
                    f"{self.file.path}: changed since the run began. Run again when "
                    "nobody writes to it."
                )
            with self.filesystem.open(self.file.path, "rb") as opened:
                opened.seek(start)
                content = opened.read(stop - start)
        else:
            content = _stream_of(self).read(start, stop)
        if len(content) != stop - start:
            raise StorageError(f"{self.file.path}: ends before it should. Run again.")
        return content

    def _open(self) -> Any:
        check_file(self.filesystem, self.file.path)
        try:
            opened = self.filesystem.open(self.file.path, "rb")
            unpacked = unpacked_by(self.compression, opened)
        except (OSError, ImportError) as error:
            raise self.damaged(error) from error
        decoded = _Utf8(unpacked, self.wide) if self.wide else unpacked
        return _Explained(decoded, opened, self)

    def damaged(self, error: Exception) -> StorageError:
        """Say that what is packed cannot be unpacked."""
        kind = self.compression or self.wide or "file"
        return StorageError(
            f"{self.file.path}: not a readable {kind} file ({error}). Write it again at "
            "the source, or name its 'compression' in the catalog."
        )


def unpacked_by(compression: str | None, opened: Any) -> Any:
    """Open what is packed.

    Raises:
        OSError: it is not packed that way.
    """
    if compression == "zstd":
        import pyarrow as pa  # noqa: PLC0415  (start-up)

        return pa.CompressedInputStream(pa.PythonFile(opened, "r"), "zstd")
    if compression == "gzip":
        return gzip.GzipFile(fileobj=opened)
    if compression == "bz2":
        return bz2.BZ2File(opened)
    if compression == "xz":
        return lzma.LZMAFile(opened)
    return opened


def compression_of(path: str) -> str | None:
    """Tell from a file's name how it is packed."""
    return COMPRESSIONS.get(posixpath.splitext(path.lower())[1])


class _Explained:
    """A stream whose errors name the file."""

    def __init__(self, stream: Any, file: Any, text: Text):
        self._stream, self._file, self._text = stream, file, text

    def __enter__(self) -> "_Explained":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def read(self, size: int) -> bytes:
        try:
            return bytes(self._stream.read(size))
        except (OSError, EOFError, lzma.LZMAError, ValueError) as error:
            raise self._text.damaged(error) from error
        except Exception as error:
            if type(error).__module__ in ("zlib", "pyarrow.lib"):
                raise self._text.damaged(error) from error
            raise

    def seek(self, place: int) -> None:
        self._stream.seek(place)

    def close(self) -> None:
        self._stream.close()
        self._file.close()


class _Utf8:
    """A stream in another encoding, as UTF-8."""

    def __init__(self, stream: BinaryIO, encoding: str):
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder(encoding)(MARK_ERRORS)
        self._held = b""

    def read(self, size: int) -> bytes:
        while len(self._held) < size:
            block = self._stream.read(READ)
            self._held += self._decoder.decode(block, not block).encode(
                errors="replace"
            )
            if not block:
                break
        given, self._held = self._held[:size], self._held[size:]
        return given

    def close(self) -> None:
        self._stream.close()


def _marked(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return MARKER, error.end


MARK_ERRORS = "dask_etl.marked"
"""What to do with bytes that are no text, for decoders: they become the marker."""


codecs.register_error(MARK_ERRORS, _marked)


class _Stream:
    """A text that can only be read from its beginning, and what was passed by lately."""

    def __init__(self, text: Text):
        self.text = text
        self.lock = threading.Lock()
        self._opened: Any = None
        self._place = 0
        self._passed: deque[tuple[int, bytes]] = deque(maxlen=4)

    def read(self, start: int, stop: int) -> bytes:
        with self.lock:
            for place, block in self._passed:
                if place <= start and stop <= place + len(block):
                    return block[start - place : stop - place]
            if self._opened is None or self._place > start:
                self.close()
                self._opened, self._place = self.text._open(), 0  # noqa: SLF001
            while self._place < start:
                # Another task wants this, which comes a moment later.
                size = min(stop - start, start - self._place)
                self._take(size)
            return self._take(stop - start)

    def _take(self, size: int) -> bytes:
        block = _full(self._opened, size)
        self._passed.append((self._place, block))
        self._place += len(block)
        if len(block) < size:
            raise StorageError(
                f"{self.text.file.path}: ends before it should. Run again."
            )
        return block

    def close(self) -> None:
        if self._opened is not None:
            self._opened.close()
            self._opened = None
        self._passed.clear()


_streams: OrderedDict[Text, _Stream] = OrderedDict()


_streams_lock = threading.Lock()


def _stream_of(text: Text) -> _Stream:
    with _streams_lock:
        stream = _streams.setdefault(text, _Stream(text))
        _streams.move_to_end(text)
        while len(_streams) > _KEPT:
            _, old = _streams.popitem(last=False)
            if old.lock.acquire(blocking=False):
                old.close()
                old.lock.release()
    return stream


def _full(opened: Any, size: int) -> bytes:
    """Read so many bytes, unless the end comes first."""
    pieces = io.BytesIO()
    while size > 0 and (block := opened.read(size)):
        pieces.write(block)
        size -= len(block)
    return pieces.getvalue()


def _skip(opened: Any, size: int) -> None:
    while size > 0 and (block := opened.read(min(size, READ))):
        size -= len(block)


def scans_of(text: Text, size: int, dialect: Dialect) -> Iterator[Scan]:
    """Scan a text block by block; where any place can be read, several at a time."""
    if not text.is_plain:
        before = NEWLINE
        for block in text.blocks(size):
            yield scan(block, before, dialect)
            before = block[-1]
        return

    def scan_at(start: int):
        stop = min(start + size, text.file.bytes)
        block = text.read(max(start - 1, 0), stop)
        if not start:
            return scan(block, NEWLINE, dialect)
        return scan(block[1:], block[0], dialect)

    starts = range(0, text.file.bytes, size)
    if len(starts) < 4:
        yield from map(scan_at, starts)
        return
    with ThreadPoolExecutor(threads_here()) as threads:
        yield from threads.map(scan_at, starts)
