"""A table as a lazy Dask DataFrame."""

from collections.abc import Mapping, Sequence
from typing import Any

from dask_etl.datasets.publish import save
from dask_etl.datasets.table import TableDataset
from dask_etl.engine.frames import from_files
from dask_etl.storage.segments import partitions


class DaskParquetDataset(TableDataset):
    """A versioned Parquet table as a lazy Dask DataFrame, a partition per task.

    ``save()`` takes a lazy table of the Dask engine, a Dask DataFrame (written part
    by part), a pandas DataFrame or an Arrow table.
    """

    def load(self):
        """Describe the table as a Dask DataFrame; see the class."""
        return self.frame({})

    def frame(self, labels: Mapping[str, Sequence[str]]):
        """Describe the table, with the labels that some of its columns may hold.

        Args:
            labels: become the categories of these columns, which are then known to
                Dask; it is an error to be told of too few.
        """
        source = self.source()
        grouped = partitions(source.segments, self.rows_per_partition)
        return from_files(source.reader, grouped, self._filepath.name, labels)

    def save(self, data: Any) -> None:
        """Publish what is given as the new version; see the class."""
        save(self, data)
