"""Folders of Parquet files that others wrote: found, checked, and never written to.

Only files ending in ``.parquet``, ``.parq`` or ``.pq`` are tables, in the order of
their paths, subfolders (and links to folders) included; names that begin with ``_``
or ``.`` are somebody's notes. What has such a name and cannot be read as a file is
refused by name, before it is opened: a pipe would make its reader wait for ever.
"""

import errno
import os
import posixpath
import stat
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.implementations.local import LocalFileSystem

from dask_etl.errors import StorageError

SUFFIXES = (".parquet", ".parq", ".pq")

_TAIL = 1 << 16
"""Bytes at the end of a file that hold most footers."""


@dataclass(frozen=True)
class PlainFile:
    """A Parquet file that others wrote.

    Attributes:
        path: where it is.
        name: its path within the folder.
        bytes: its size.
        modified: when it was changed; with the size, what tells whether it still is
            the same file.
        footer: what it says of its rows and row groups.
        schema: its columns, without pandas' and others' notes.
    """

    path: str
    name: str
    bytes: int
    modified: str
    footer: pq.FileMetaData
    schema: pa.Schema


def parquet_paths(filesystem: fsspec.AbstractFileSystem, root: str) -> list[str]:
    """List the Parquet files of a folder; of a file, the file itself.

    Returns:
        Their paths, sorted; none where there is no such folder.

    Raises:
        StorageError: a folder is named like a file, cannot be listed, or a name is
            not UTF-8.
    """
    if isinstance(filesystem, LocalFileSystem):
        found = _local_files(root)
    else:
        filesystem.invalidate_cache()
        try:
            found = filesystem.find(root)
        except OSError as error:
            raise StorageError(
                f"{root}: cannot be listed ({error}). Correct the path, or make the "
                "bucket."
            ) from error
    paths = []
    for path in found:
        # Of what is below the root: where the folder itself stands is its owner's.
        parts = name_in(root, path).split("/")
        if any(part.startswith(("_", ".")) for part in parts):
            continue
        for depth, part in enumerate(parts[:-1], 1):
            if path != root and part.endswith(SUFFIXES):
                raise _folder_as_file(posixpath.join(root, *parts[:depth]))
        if parts[-1].endswith(SUFFIXES):
            paths.append(_utf8(path, name_in(root, path)))
    return sorted(paths)


def name_in(root: str, path: str) -> str:
    """Return the path of a file within its folder; the name of a file by itself."""
    return posixpath.basename(path) if path == root else posixpath.relpath(path, root)


def _local_files(root: str) -> Iterator[str]:
    """Walk a local folder, links to folders included; yield also what is no file."""
    if not os.path.isdir(root):
        if os.path.lexists(root):
            yield root
        return
    above: dict[str, tuple[tuple[int, int], ...]] = {root: ()}
    for folder, folders, names in os.walk(root, onerror=_unlisted, followlinks=True):
        entry = os.stat(folder)
        inode = (entry.st_dev, entry.st_ino)
        seen = above.pop(folder)
        if inode in seen:
            raise StorageError(
                f"{folder}: a link to a folder that it is in, without end. Take the "
                "link out of the folder."
            )
        folders[:] = [name for name in folders if not name.startswith(("_", "."))]
        for name in folders:
            path = posixpath.join(folder, name)
            if name.endswith(SUFFIXES):
                raise _folder_as_file(path)
            above[path] = (*seen, inode)
        yield from (posixpath.join(folder, name) for name in names)


def _unlisted(error: OSError) -> None:
    raise StorageError(
        f"{error.filename}: cannot be listed ({error.strerror}). Give this run the "
        "right to read the folder, or take it out."
    ) from error


def _folder_as_file(path: str) -> StorageError:
    return StorageError(
        f"{path}: a folder with the name of a file; expected a Parquet file. Rename "
        "it, or make it the filepath of the catalog entry."
    )


def _utf8(path: str, name: str) -> str:
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise StorageError(
            f"{ascii(os.fsencode(path))[2:-1]}: the name of the file is not UTF-8 and "
            "cannot be written into any table. Rename the file."
        ) from error
    return path


def read_folder(
    filesystem: fsspec.AbstractFileSystem,
    root: str,
    paths: Sequence[str],
    known: Iterable[PlainFile] = (),
) -> list[PlainFile]:
    """Look at the files that :func:`parquet_paths` found, several at a time.

    Args:
        filesystem: where they are.
        root: the folder, or the one file.
        paths: of the files.
        known: what was found before; a file that neither its size nor its time of
            change tells from it is not read again.

    Raises:
        StorageError: a file is not readable as Parquet, or has two columns of one
            name.
    """
    before = {file.path: file for file in known}
    with ThreadPoolExecutor(8) as threads:
        look = partial(_look_at, filesystem, root)
        return list(threads.map(look, paths, map(before.get, paths)))


def _look_at(filesystem, root: str, path: str, before: PlainFile | None) -> PlainFile:
    size, modified = state_of(filesystem, path)
    if before is not None and (before.bytes, before.modified) == (size, modified):
        return before
    found = footer(filesystem, path)
    schema = found.schema.to_arrow_schema().remove_metadata()
    twice = [column for column, times in Counter(schema.names).items() if times > 1]
    if twice:
        raise StorageError(
            f"{path}: has more than one column named {', '.join(map(repr, twice))}. "
            "Write it again with a name of its own for every column."
        )
    return PlainFile(path, name_in(root, path), size, modified, found, schema)


def state_of(filesystem: fsspec.AbstractFileSystem, path: str) -> tuple[int, str]:
    """Return the size of a file and when it was changed.

    Raises:
        StorageError: it cannot be read, or is no file.
    """
    check_file(filesystem, path)
    try:
        if isinstance(filesystem, LocalFileSystem):
            return filesystem.size(path), str(filesystem.modified(path))
        return _state(filesystem, path, filesystem.info(path))
    except OSError as error:
        raise StorageError(f"{path}: cannot be read ({error})") from error


def _state(filesystem, path: str, found: Mapping[str, Any]) -> tuple[int, str]:
    # On S3, what tells one content from another can be asked for again with each request;
    # those that name the time otherwise are asked for it.
    modified = (
        found.get("ETag") or found.get("LastModified") or filesystem.modified(path)
    )
    return found["size"], str(modified)


def check_file(filesystem: fsspec.AbstractFileSystem, path: str) -> None:
    """Refuse what only looks like a file: to open a pipe is to wait for its writer.

    Raises:
        StorageError: it is missing, or a pipe, device, socket or folder.
    """
    if not isinstance(filesystem, LocalFileSystem):
        return
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        raise StorageError(f"{path}: cannot be read ({error})") from error
    if not stat.S_ISREG(mode):
        kind = next((said for is_, said in _KINDS if is_(mode)), "no file")
        raise StorageError(
            f"{path}: {kind} where a file is expected. Take it out of the folder, or "
            "rename it."
        )


_KINDS = (
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def open_at(filesystem: fsspec.AbstractFileSystem, path: str, whole: bool = False):
    """Open a file whose reader knows which bytes it wants.

    fsspec would fetch some megabytes beyond them each time, and again for the next.

    Args:
        filesystem: where it is.
        path: of the file.
        whole: fetch a small file at once, by one request.
    """
    if isinstance(filesystem, LocalFileSystem):
        return filesystem.open(path, "rb")
    return filesystem.open(path, "rb", cache_type="all" if whole else "none")


def open_unchanged(
    filesystem: fsspec.AbstractFileSystem,
    path: str,
    state: tuple[int, str],
    whole: bool = False,
):
    """Open a file as :func:`open_at` does, if it still is in a state.

    On S3 it is not looked at first: each request is for bytes of that state.

    Raises:
        StorageError: it has changed, here or when it is read (:func:`unreadable`).
    """
    check_file(filesystem, path)
    size, modified = state
    if modified.startswith('"'):
        file = filesystem.open(path, "rb", cache_type="none", size=size)
        file.details = {"name": path, "size": size, "ETag": modified}
        file.read_kw = {**file.read_kw, "IfMatch": modified}
        return pa.BufferReader(file.read()) if whole else file
    if state_of(filesystem, path) != state:
        raise _changed(path)
    return open_at(filesystem, path, whole)


def _changed(path: str) -> StorageError:
    return StorageError(
        f"{path}: changed since the run began. Run again when nobody writes to the "
        "folder."
    )


def footer(filesystem: fsspec.AbstractFileSystem, path: str) -> pq.FileMetaData:
    """Read a Parquet file's footer.

    Raises:
        StorageError: the file is not Parquet or cannot be read.
    """
    try:
        if not isinstance(filesystem, LocalFileSystem):
            return _distant_footer(filesystem, path)
        with open_at(filesystem, path) as file:
            return pq.read_metadata(file)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise unreadable(path, error) from error


def _distant_footer(filesystem, path: str) -> pq.FileMetaData:
    """Read a footer by one request, if it is not a large one."""
    size = filesystem.size(path)
    tail = filesystem.cat_file(path, start=max(size - _TAIL, 0), end=size)
    if len(tail) >= 8 and int.from_bytes(tail[-8:-4], "little") + 8 <= len(tail):
        return pq.read_metadata(pa.BufferReader(tail))
    with open_at(filesystem, path) as file:
        return pq.read_metadata(file)


def unreadable(path: str, error: Exception) -> StorageError:
    """Say that a file is no Parquet, or damaged, or another one by now."""
    if getattr(error, "errno", None) == errno.EBUSY:
        return _changed(path)
    return StorageError(
        f"{path}: not a readable Parquet file ({error}). Write it again at the source, "
        "or take it out of the folder."
    )
