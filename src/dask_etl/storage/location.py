"""A folder, as fsspec and as Delta Lake know it."""

import posixpath
import re
from dataclasses import dataclass

import fsspec
from fsspec.implementations.local import LocalFileSystem

from dask_etl.errors import StorageError

_UNREADABLE = re.compile(r"%[0-9A-Fa-f]{2}|\\")
"""What the Delta library takes for an escape or for a folder in a local path."""


@dataclass(frozen=True)
class Location:
    """A folder on a disk or in a bucket.

    Attributes:
        filesystem: where it is.
        path: its path there, without a protocol.
    """

    filesystem: fsspec.AbstractFileSystem
    path: str

    @property
    def is_local(self) -> bool:
        """Whether it is on a disk, with locks and atomic renames."""
        return isinstance(self.filesystem, LocalFileSystem)

    def file(self, name: str) -> str:
        """Return the path of a file in the folder."""
        return posixpath.join(self.path, name)

    def has_folder(self, name: str) -> bool:
        """Tell whether there is a folder of that name in this one."""
        self.filesystem.invalidate_cache()
        return self.filesystem.isdir(self.file(name))

    @property
    def uri(self) -> str:
        """The folder's address, for Delta Lake and for the tools of others.

        Raises:
            StorageError: Delta Lake cannot read there.
        """
        if not self.is_local:
            return f"{_protocol(self.filesystem)}://{self.path}"
        if _UNREADABLE.search(self.path):
            raise StorageError(
                f"{self.path}: Delta Lake cannot read paths with a backslash or with "
                "'%' before two digits. Rename the folder."
            )
        return self.path

    @property
    def storage_options(self) -> dict[str, str]:
        """The file system's options, in the names that Delta Lake has for them."""
        if self.is_local or _protocol(self.filesystem) != "s3":
            return {}
        client = self.filesystem.client_kwargs or {}
        endpoint = self.filesystem.endpoint_url or client.get("endpoint_url")
        # boto's keywords and Delta's differ in the ending: …_name, and none.
        named = {f"aws_{k.removesuffix('_name')}": str(v) for k, v in client.items()}
        options = {
            **named,
            "aws_access_key_id": self.filesystem.key,
            "aws_secret_access_key": self.filesystem.secret,
            "aws_session_token": self.filesystem.token,
            "aws_endpoint_url": endpoint,
            "aws_allow_http": "true" if str(endpoint).startswith("http:") else None,
            "aws_skip_signature": "true" if self.filesystem.anon else None,
        }
        return {name: value for name, value in options.items() if value}

    def name_of(self, table: "Location") -> str:
        """Return the path of a table within this folder.

        Raises:
            StorageError: it is not in this folder.
        """
        name = posixpath.relpath(table.path, self.path)
        if self.filesystem != table.filesystem or name.split("/")[0] in ("..", "."):
            raise StorageError(
                f"{table.path} is not in {self.path} (or reached with other options), "
                "so the two could not be committed together. Correct 'release' or "
                "'filepath' of the catalog entry; both usually begin with data_root."
            )
        return name


def _protocol(filesystem: fsspec.AbstractFileSystem) -> str:
    protocol = filesystem.protocol
    first = protocol if isinstance(protocol, str) else protocol[0]
    return "s3" if first in ("s3", "s3a") else first
