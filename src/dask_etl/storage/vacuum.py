"""The removal of files that no kept version of a table needs, without a commit."""

from dataclasses import dataclass

from dask_etl.storage.location import Location
from dask_etl.storage.restore import writing
from dask_etl.storage.store import SCRATCH, TableStore
from dask_etl.storage.sweep import list_files, remove_folder


@dataclass(frozen=True)
class Removed:
    """How much went: the number of files, and their bytes."""

    files: int = 0
    bytes: int = 0

    def __add__(self, other: "Removed") -> "Removed":
        return Removed(self.files + other.files, self.bytes + other.bytes)


def vacuum(store: TableStore) -> Removed:
    """Remove the files of a table that no version needs; never those of others.

    With them goes the work of a run that broke off: the next one begins anew.

    Raises:
        StorageError: a run is writing the table, or its log is damaged: nothing is
            removed.
    """
    # Where nothing of ours was ever written, nothing is: not even a lock.
    if not store.is_marked():
        return Removed()
    with writing([store]):
        sizes = list_files(store.location)
        head = store.log.head()
        # Who reads the log and not the release may read what was never released.
        needed = [part.name for part in head.content.parts] if head else []
        swept = store.sweep(store.release.read(), sizes, needed)
        return Removed(len(swept), sum(sizes[name] for name in swept)) + _unfinished(
            store.location
        )


def _unfinished(location: Location) -> Removed:
    if not location.has_folder(SCRATCH):
        return Removed()
    folder = location.file(SCRATCH)
    found = location.filesystem.find(folder, detail=True)
    remove_folder(location.filesystem, folder)
    if location.has_folder(SCRATCH):  # a link, which is left alone
        return Removed()
    return Removed(len(found), sum(entry["size"] or 0 for entry in found.values()))
