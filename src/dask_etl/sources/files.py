"""Files of others as sources: which there are, whether they are known, what is in them."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

import fsspec
import xxhash

from dask_etl.errors import StorageError
from dask_etl.sources.batch import Unit, new_units
from dask_etl.storage.folder import check_file, name_in, state_of

READ = 8 << 20
"""Bytes that are read at a time."""


@dataclass(frozen=True)
class SourceFile:
    """A file that is read.

    Attributes:
        path: where it is.
        name: its path within the folder that was given, as ledgers have it.
        bytes: its size.
        modified: when it was changed.
    """

    path: str
    name: str
    bytes: int
    modified: str


def find_files(
    filesystem: fsspec.AbstractFileSystem, path: str, suffixes: tuple[str, ...]
) -> list[SourceFile]:
    """List the files of a folder or of a pattern, by name; of a file, the file itself.

    Names that begin with ``_`` or ``.`` are somebody's notes.

    Raises:
        StorageError: there are none, or one cannot be read.
    """
    filesystem.invalidate_cache()
    if any(sign in path for sign in "*?["):
        paths = [found for found in filesystem.glob(path) if filesystem.isfile(found)]
        root = path[: min(path.index(s) for s in "*?[" if s in path)].rpartition("/")[0]
    elif filesystem.isdir(path):
        root = path
        paths = [p for p in filesystem.find(path) if p.lower().endswith(suffixes)]
    else:
        root, paths = path, [path] if filesystem.exists(path) else []
    names = {found: name_in(root, found) for found in sorted(paths)}
    kept = {
        found: name
        for found, name in names.items()
        if not any(part.startswith(("_", ".")) for part in name.split("/"))
    }
    if not kept:
        raise StorageError(
            f"{path}: no file here to read. Correct 'filepath' of the source in the "
            "catalog: a file, a folder, or a pattern such as exports/*.csv."
        )
    with ThreadPoolExecutor(8) as threads:
        states = list(threads.map(lambda found: state_of(filesystem, found), kept))
    return [
        SourceFile(found, name, size, modified)
        for (found, name), (size, modified) in zip(kept.items(), states, strict=True)
    ]


def checksum_of(filesystem: fsspec.AbstractFileSystem, file: SourceFile) -> str:
    """Return the XXH3 (128 bit) of a file's bytes.

    Raises:
        StorageError: it cannot be read, or changes meanwhile.
    """
    digest, read = xxhash.xxh3_128(), 0
    check_file(filesystem, file.path)
    try:
        with filesystem.open(file.path, "rb") as opened:
            while block := opened.read(READ):
                digest.update(block)
                read += len(block)
    except OSError as error:
        raise StorageError(f"{file.path}: cannot be read ({error})") from error
    if read != file.bytes:
        raise StorageError(
            f"{file.path}: changed since the run began. Run again when nobody writes "
            "to the folder."
        )
    return digest.hexdigest()


def units_of(
    filesystem, files: Sequence[SourceFile], known: Sequence[Unit]
) -> list[Unit]:
    """Describe files by their content.

    One that has the name, the size and the time of change of a known one is taken for
    it; of all others the content is read.
    """
    before = {(unit.name, unit.bytes, unit.modified): unit for unit in known}

    def unit_of(file: SourceFile) -> Unit:
        same = before.get((file.name, file.bytes, file.modified))
        checksum = same.checksum if same else checksum_of(filesystem, file)
        return Unit(file.name, checksum, file.bytes, file.modified)

    with ThreadPoolExecutor(threads_here()) as threads:
        return list(threads.map(unit_of, files))


def new_files(
    filesystem: fsspec.AbstractFileSystem,
    files: Sequence[SourceFile],
    known: Sequence[Unit],
    mode: Literal["auto", "full"],
) -> tuple[list[Unit], list[SourceFile], str | None]:
    """Tell which files are new, in the order to read them.

    Returns:
        The files as units, the files, and the reason why all are read; see
        :func:`dask_etl.sources.batch.new_units`.
    """
    by_name = {file.name: file for file in files}
    fresh, reason = new_units(units_of(filesystem, files, known), known, mode)
    return fresh, [by_name[unit.name] for unit in fresh], reason


def threads_here() -> int:
    """Return how many files are looked at at a time."""
    return min(os.cpu_count() or 1, 8)
