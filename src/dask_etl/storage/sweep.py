"""What may be removed from a table's folder, and how.

Only regular files and folders with names of this project's making; never what a link
leads to, and never the files of others.
"""

import contextlib
import functools
import logging
import os
import posixpath
import re
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor

import fsspec
from fsspec.implementations.local import LocalFileSystem

from dask_etl.storage.location import Location
from dask_etl.storage.names import is_ours

logger = logging.getLogger(__name__)

_TEMPORARY = re.compile(r".+\.[0-9a-f]{32}\.tmp")
"""Name of a file of ours that was being written."""

_LOG_FILE = re.compile(r"(\d{20})(\.checkpoint)?\.(json|parquet)(#\d+)?")
"""Name of a commit, of a checkpoint, or of what a commit that died left."""


def list_files(location: Location, folder: str = "") -> Mapping[str, int]:
    """List the regular files in a table's folder, not in those below: name → size."""
    path = location.file(folder) if folder else location.path
    if location.is_local:
        try:
            with os.scandir(path) as entries:
                return {
                    entry.name: entry.stat(follow_symlinks=False).st_size
                    for entry in entries
                    if entry.is_file(follow_symlinks=False)
                }
        except (FileNotFoundError, NotADirectoryError):
            return {}
    location.filesystem.invalidate_cache()
    try:
        found = location.filesystem.ls(path, detail=True)
    except FileNotFoundError:
        return {}
    return {
        posixpath.basename(entry["name"]): entry["size"]
        for entry in found
        if entry["type"] == "file"
    }


def sweep_parts(
    location: Location, candidates: Iterable[str], needed: Iterable[str]
) -> list[str]:
    """Remove those of some files that are ours and that no version needs.

    Returns:
        The names of those removed.
    """
    swept = [
        name
        for name in sorted(set(candidates) - set(needed))
        if is_ours(name) or _TEMPORARY.fullmatch(name)
    ]
    # Large files take long on disks, many take long elsewhere.
    with ThreadPoolExecutor(8) as threads:
        remove = functools.partial(remove_file, location.filesystem)
        list(threads.map(remove, map(location.file, swept)))
    return swept


def sweep_log(location: Location, oldest: int, head: int) -> list[str]:
    """Remove the commits that are older than a checkpoint before ``oldest``.

    They belong to versions whose parts are gone. What a commit that was killed left
    beside the log goes, too.

    Args:
        location: the table's folder.
        oldest: the oldest version that must stay readable.
        head: the newest version.

    Returns:
        The names of those removed.
    """
    names = list_files(location, "_delta_log")
    found = {name: _LOG_FILE.fullmatch(name) for name in names}
    ours = {name: match for name, match in found.items() if match}
    checkpoints = [int(m[1]) for m in ours.values() if m[2] and int(m[1]) <= oldest]
    first = max(checkpoints, default=0)
    swept = [
        name
        for name, match in sorted(ours.items())
        if int(match[1]) < first or (match[4] and int(match[1]) <= head)
    ]
    for name in swept:
        remove_file(location.filesystem, location.file(f"_delta_log/{name}"))
    return swept


def remove_file(filesystem: fsspec.AbstractFileSystem, path: str) -> None:
    """Remove a file, if it is there and no link."""
    if isinstance(filesystem, LocalFileSystem) and os.path.islink(path):
        logger.warning("%s is a link: left alone", path)
        return
    with contextlib.suppress(FileNotFoundError):
        filesystem.rm_file(path)


def remove_folder(filesystem: fsspec.AbstractFileSystem, path: str) -> None:
    """Remove a folder and the files in it; of a link, neither it nor what it leads to.

    Links inside are removed themselves.
    """
    if isinstance(filesystem, LocalFileSystem) and os.path.islink(path):
        logger.warning("%s is a link: left alone", path)
        return
    with contextlib.suppress(FileNotFoundError):
        filesystem.rm(path, recursive=True)
