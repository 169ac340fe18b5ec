"""A table part by part."""

import functools
import posixpath
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd
import pyarrow as pa
from kedro.io.core import DatasetError

from dask_etl.datasets.table import TableDataset, of_one_release
from dask_etl.storage.frames import to_pandas
from dask_etl.storage.parts import PartReader
from dask_etl.storage.segments import Segment


class PartsParquetDataset(TableDataset):
    """A table of any size, for those who want some rows of it.

    ``load()`` returns a list of functions, one per part in the order of the rows; each
    reads its part as a pandas DataFrame. Nothing is ever written.

    Args:
        columns: the columns to read; all by default.
        made_with: the folder, beside this one's, of a table that this one tells of.
            There are no parts then unless one release brought both.
        **arguments: those of every table.
    """

    def __init__(
        self,
        *,
        columns: Sequence[str] | None = None,
        made_with: str | None = None,
        **arguments: Any,
    ):
        super().__init__(**arguments)
        self._columns = columns
        self._other = None
        if made_with is not None:
            folder = posixpath.dirname(str(arguments["filepath"]).rstrip("/"))
            path = posixpath.join(folder, made_with)
            self._other = PartsParquetDataset(
                **{**arguments, "filepath": path, "schema": None}
            )

    def load(self) -> list[Callable[[], pd.DataFrame]]:
        """List the parts; see the class."""
        if self._other and not of_one_release({"own": self, "other": self._other}):
            return []
        source = self.source()
        reader = source.reader
        if self._columns is not None:
            chosen = pa.schema([reader.schema.field(name) for name in self._columns])
            reader = replace(reader, schema=chosen)
        return [functools.partial(_part, reader, s) for s in source.segments]

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
