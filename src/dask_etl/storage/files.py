"""Single files: written whole or not at all, sealed with checksums."""

import contextlib
import errno
import io
import json
import os
import posixpath
import shutil
import uuid
from collections.abc import Iterator
from typing import Any

import fsspec
import pyarrow as pa
import xxhash
from filelock import FileLock, Timeout
from fsspec.implementations.local import LocalFileSystem

from dask_etl.errors import StorageError


def checksum(*pieces: bytes | memoryview | pa.Buffer) -> str:
    """Return the XXH3 (64 bit) of some bytes, hexadecimal; of several pieces, as of one."""
    digest = xxhash.xxh3_64()
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()


class Pieces(io.RawIOBase):
    """A file in memory, to be written into: the pieces, as they came.

    One buffer would be copied as it grows; Arrow's own buffers are not copied at all.
    """

    def __init__(self) -> None:
        self.pieces: list[memoryview] = []

    def writable(self) -> bool:
        """Tell that it can be written to."""
        return True

    def write(self, piece: Any) -> int:
        """Append some bytes, which must not change from now on."""
        self.pieces.append(memoryview(piece))
        return len(piece)


def seal(content: dict) -> bytes:
    """Serialise a small JSON file, with a checksum of its own."""
    digest = checksum(json.dumps(content, sort_keys=True).encode())
    return json.dumps({**content, "checksum": digest}, indent=1).encode()


def unseal(text: bytes) -> dict:
    """Read what :func:`seal` made.

    Raises:
        ValueError: it is something else, or was altered.
    """
    content = json.loads(text)
    if not isinstance(content, dict):
        raise ValueError("not a JSON object")
    digest = content.pop("checksum", None)
    if digest != checksum(json.dumps(content, sort_keys=True).encode()):
        raise ValueError("checksum mismatch: the file was altered")
    return content


def get(filesystem: fsspec.AbstractFileSystem, path: str) -> bytes:
    """Read a whole file: on object storage by one request, whatever is in caches.

    Raises:
        OSError: it is missing, empty (on object storage), or cannot be read.
    """
    # Asked for without a range, s3fs first asks for the size.
    return filesystem.cat_file(path, start=0)


def put(
    filesystem: fsspec.AbstractFileSystem, path: str, *pieces: bytes | memoryview
) -> None:
    """Write a file, piece after piece, so that readers see all of it or nothing.

    Raises:
        StorageError: there is no space or no permission for it.
    """
    if not isinstance(filesystem, LocalFileSystem):
        # Object stores show an object when its upload is complete.
        filesystem.pipe_file(path, b"".join(pieces))
        return
    temporary = f"{path}.{uuid.uuid4().hex}.tmp"
    try:
        with open(temporary, "wb") as file:
            file.writelines(pieces)
        os.replace(temporary, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.remove(temporary)
        if isinstance(error, OSError):
            raise cannot_write(path, error, sum(map(len, pieces))) from error
        raise


def put_if(
    filesystem: fsspec.AbstractFileSystem, path: str, content: bytes, tag: str | None
) -> bool:
    """Write an object if it still has the tag (None: if there still is none).

    Returns:
        Whether it was written, and not refused.

    Raises:
        StorageError: it cannot be written.
    """
    condition = {"IfNoneMatch": "*"} if tag is None else {"IfMatch": tag}
    try:
        filesystem.pipe_file(path, content, **condition)
    except OSError as error:
        if _is_refusal(error):
            return False
        raise StorageError(f"{path}: cannot be written ({error})") from error
    return True


def _is_refusal(error: BaseException | None) -> bool:
    while error is not None:
        response: Any = getattr(error, "response", None) or {}
        code = str(response.get("Error", {}).get("Code", ""))
        if code in ("PreconditionFailed", "ConditionalRequestConflict", "412", "409"):
            return True
        error = error.__cause__
    return False


def cannot_write(path: str, error: OSError, size: int | None = None) -> StorageError:
    """Say why something cannot be written, and what helps."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        need = "" if size is None else f"{size:,} bytes are needed, "
        folder = posixpath.dirname(path)
        try:
            free = f"{shutil.disk_usage(folder).free:,} are free in {folder}"
        except OSError:
            free = f"{folder} is full"
        return StorageError(
            f"{path}: no space left: {need}{free}. Make room (what was written "
            "so far is taken over by the next run) or move data_root. Earlier "
            "versions are untouched."
        )
    return StorageError(
        f"{path}: cannot be written ({error}). Check the permissions, or point "
        "data_root (conf/*/globals.yml) to a folder of your own."
    )


@contextlib.contextmanager
def locked(path: str, patience: float = 0) -> Iterator[None]:
    """Hold a lock file on a disk; the kernel frees it when its process dies.

    Args:
        path: of the file; its folder is made.
        patience: seconds to wait for another holder.

    Raises:
        filelock.Timeout: another process holds it.
        StorageError: nothing can be written, or locked, there.
    """
    lock = FileLock(path, timeout=patience, thread_local=False)
    try:
        os.makedirs(posixpath.dirname(path), exist_ok=True)
    except OSError as error:
        raise cannot_write(posixpath.dirname(path), error) from error
    try:
        lock.acquire()
    except Timeout:  # an OSError, too
        raise
    except OSError as error:
        if error.errno in (errno.EOPNOTSUPP, errno.ENOLCK, errno.EINVAL):
            raise StorageError(
                f"{path}: cannot be locked ({error}). The file system has no locks; "
                "point data_root (conf/*/globals.yml) to one that has."
            ) from error
        raise cannot_write(posixpath.dirname(path), error) from error
    try:
        yield
    finally:
        lock.release()
