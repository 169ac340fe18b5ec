"""How datasets come to a file system: from the arguments of a catalog entry."""

from collections.abc import Mapping
from typing import Any

import fsspec
from kedro.io.core import get_protocol_and_path


def filesystem_of(
    filepath: str,
    credentials: Mapping[str, Any] | None,
    fs_args: Mapping[str, Any] | None,
) -> tuple[Any, str, str]:
    """Return the file system that a path is on, its protocol, and the path there.

    Folders of a disk are made when something is written into them.

    Args:
        filepath: with or without a protocol, e.g. ``s3://``.
        credentials: of the file system.
        fs_args: other arguments of the file system.
    """
    protocol, path = get_protocol_and_path(str(filepath))
    options = {**(fs_args or {}), **(credentials or {})}
    if protocol == "file":
        options.setdefault("auto_mkdir", True)
    return fsspec.filesystem(protocol, **options), protocol, path
