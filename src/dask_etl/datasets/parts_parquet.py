"""A table part by part."""

import functools
from collections.abc import Callable
from typing import Any

import pandas as pd
from kedro.io.core import DatasetError

from dask_etl.datasets.table import TableDataset
from dask_etl.storage.frames import to_pandas
from dask_etl.storage.parts import PartReader
from dask_etl.storage.segments import Segment


class PartsParquetDataset(TableDataset):
    """A table of any size, for those who want some rows of it.

    ``load()`` returns a list of functions, one per part in the order of the rows; each
    reads its part as a pandas DataFrame. Nothing is ever written.
    """

    def load(self) -> list[Callable[[], pd.DataFrame]]:
        """List the parts; see the class."""
        source = self.source()
        return [functools.partial(_part, source.reader, s) for s in source.segments]

    def save(self, data: Any) -> None:
        """Refuse.

        Raises:
            DatasetError: always.
        """
        raise DatasetError(f"{self._filepath}: is only read through this data set")


def _part(reader: PartReader, segment: Segment) -> pd.DataFrame:
    rows = reader.read((segment,))
    masked = [name for name in rows.column_names if rows[name].null_count]
    return to_pandas(rows, masked)
