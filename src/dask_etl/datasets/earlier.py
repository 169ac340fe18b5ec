"""What the tables of a pipeline hold before it writes them anew, or adds to them."""

import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
from kedro.io.core import AbstractDataset, Version

from dask_etl.datasets.dask_parquet import DaskParquetDataset
from dask_etl.datasets.table import of_one_release
from dask_etl.engine.partitions import Description, Partitions
from dask_etl.engine.probe import Limits, probe
from dask_etl.storage.names import stable_name
from dask_etl.storage.parts import PartReader
from dask_etl.storage.release import Released
from dask_etl.storage.segments import partitions
from dask_etl.tables import find_table


@dataclass(frozen=True, eq=False)
class Earlier(Description):
    """Tables of one release, as they were when the run began.

    Attributes:
        datasets: the tables, by name.
        versions: which version of each it is.
    """

    datasets: Mapping[str, DaskParquetDataset]
    versions: Mapping[str, Released]

    def rows(self, name: str) -> int:
        """Return the number of rows of a table."""
        return self.versions[name].rows

    def load(self, name: str) -> pa.Table:
        """Read a small table, whole."""
        source = self.datasets[name].source()
        return source.reader.read(source.segments)

    def partitions(
        self, name: str, columns: Sequence[str] | None = None
    ) -> "Partitions":
        """Describe the rows of a table."""
        dataset = self.datasets[name]
        return Partitions.of(dataset.load(), find_table(name), columns)

    def keys(self, name: str, column: str) -> tuple[Partitions, PartReader, Limits]:
        """Describe the parts of a table for a search among its keys.

        Returns:
            The parts of each task, of which nothing is read; what reads the column;
            and its limits by part.
        """
        dataset = self.datasets[name]
        source = dataset.source()
        schema = pa.schema([source.reader.schema.field(column)])
        grouped = partitions(source.segments, dataset.rows_per_partition)
        known = dataset.store.log.limits(self.versions[name].version, column)
        limits = {stable_name(part): ends for part, ends in known.items()}
        reader = replace(source.reader, schema=schema)
        return probe(reader, grouped), reader, limits


class EarlierTables(AbstractDataset):
    """The tables of a folder as one release has them, for a run that adds to them.

    Catalog entry::

        earlier:
          type: dask_etl.datasets.EarlierTables
          filepath: data/03_primary/dask
          release: data
          tables: [hourly, devices]

    Attributes:
        datasets: of the tables, by name.

    Args:
        filepath: the folder that the tables' folders are in.
        tables: their names, which are those of their folders and of what they are.
        release: as for the tables themselves; so are the others.
        rows_per_partition: rows that one task reads, by table; 1 000 000 by default.
        credentials: of the file system.
        fs_args: other arguments of the file system.
        version: given by Kedro; the tables are seen as by the others of the catalog.
        metadata: for others, e.g. Kedro-Viz.
    """

    versioned = True
    _SINGLE_PROCESS = True

    def __init__(
        self,
        *,
        filepath: str,
        tables: Sequence[str],
        release: str | None = None,
        rows_per_partition: Mapping[str, int] | None = None,
        credentials: dict[str, Any] | None = None,
        fs_args: dict[str, Any] | None = None,
        version: Version | None = None,
        metadata: dict[str, Any] | None = None,
    ):
        self._filepath = str(filepath)
        rows = rows_per_partition or {}
        self.datasets = {
            name: DaskParquetDataset(
                filepath=posixpath.join(self._filepath, name),
                release=release,
                schema=name,
                rows_per_partition=rows.get(name, 1_000_000),
                credentials=credentials,
                fs_args=fs_args,
                version=version,
            )
            for name in tables
        }
        self.metadata = metadata

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._filepath, "tables": [*self.datasets]}

    def _exists(self) -> bool:
        return self.load() is not None

    def load(self) -> Earlier | None:
        """Return what the tables hold; None unless one release brought them all.

        Nor is there anything to add to where somebody removed the folder of a table.
        """
        versions = of_one_release(self.datasets)
        logs = [each.store.location for each in self.datasets.values()]
        if not versions or any(
            log.is_local and not log.has_folder("_delta_log") for log in logs
        ):
            return None
        return Earlier(self.datasets, versions)

    def save(self, data: Any) -> None:
        """Refuse: the tables are written by their own data sets."""
        raise NotImplementedError(f"{self._filepath}: is only read")
