"""A folder, as fsspec and as Delta Lake know it."""

import posixpath
import re
from dataclasses import dataclass, replace

import fsspec
from fsspec.implementations.local import LocalFileSystem

from dask_etl.errors import StorageError
from dask_etl.storage.files import cannot_write

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

    @property
    def has_conditional_writes(self) -> bool:
        """Whether a file can be written on condition that nobody else has: on S3."""
        return _protocol(self.filesystem) == "s3"

    @property
    def is_empty(self) -> bool:
        """Whether nothing is there; found by one request, where it takes some."""
        if self.is_local:
            return not self.filesystem.exists(self.path)
        self.filesystem.invalidate_cache()
        if not self.has_conditional_writes:
            return not self.filesystem.find(self.path)
        # Asked for a folder that is not there, s3fs looks for a file of its name, too.
        name = posixpath.basename(self.path)
        try:
            return not self.filesystem.find(self.parent.path, prefix=f"{name}/")
        except OSError:
            return False  # whoever looks closer is told why

    def file(self, name: str) -> str:
        """Return the path of a file in the folder."""
        return posixpath.join(self.path, name)

    def folder(self, name: str) -> "Location":
        """Return a folder in this one."""
        return replace(self, path=self.file(name))

    @property
    def parent(self) -> "Location":
        """The folder that this one is in."""
        return replace(self, path=posixpath.dirname(self.path))

    def elsewhere(self, address: str) -> "Location":
        """Return the folder at an address: with this one's options, if it is in the same
        kind of storage.
        """
        protocol = fsspec.core.split_protocol(address)[0] or "file"
        is_same = protocol == _protocol(self.filesystem)
        options = self.filesystem.storage_options if is_same else {}
        if protocol == "file":
            options = {"auto_mkdir": True, **options}
        return Location(*fsspec.core.url_to_fs(address, **options))

    def make(self) -> None:
        """Make the folder, where there are such: in a bucket, names have slashes.

        Raises:
            StorageError: it cannot be made.
        """
        if not self.is_local:
            return
        try:
            self.filesystem.makedirs(self.path, exist_ok=True)
        except OSError as error:
            raise cannot_write(self.path, error) from error

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
