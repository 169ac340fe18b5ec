"""A table as a pandas DataFrame."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from dask_etl.datasets.publish import save
from dask_etl.datasets.table import TableDataset
from dask_etl.errors import TableMissing
from dask_etl.storage.frames import to_pandas
from dask_etl.storage.segments import Segment
from dask_etl.storage.sources import SourceFiles

SOURCES = "source_files"
"""Where frames of other people's files keep what is known of the files: ``attrs``."""


class PandasParquetDataset(TableDataset):
    """A versioned Parquet table as a pandas DataFrame.

    ``load()`` returns rows in the order of the parts with a RangeIndex; integer and
    boolean columns are nullable types only where there are nulls. Raw transactions
    come with ``source_file`` (its categories are all files, in that order),
    ``source_row``, and in ``attrs`` the files themselves. ``save()`` takes a pandas
    DataFrame, an Arrow table or a lazy table of the Dask engine.
    """

    def load(self) -> pd.DataFrame:
        """Read the whole table; see the class."""
        try:
            source = self.source()
        except TableMissing:
            if not (self.optional and self.table):
                raise
            return to_pandas(self.table.schema.empty_table(), ())
        table = replace(source.reader, threads=True).read(source.segments)
        # What nobody declared stays just as it is.
        further = self.table.further(table.column_names) if self.table else []
        as_it_is = {
            name: pd.Series(pd.arrays.ArrowExtensionArray(table[name]))
            for name in further
        }
        table = table.drop_columns(further)
        masked = [name for name in table.column_names if table[name].null_count]
        frame = to_pandas(table, masked).assign(**as_it_is)
        if source.reader.conform is not None:
            frame = frame.assign(**_origin(source.segments))
            frame.attrs[SOURCES] = SourceFiles.of(
                self._filesystem, source.reader.schema, source.segments
            )
        return frame

    def save(self, data: Any) -> None:
        """Publish what is given as the new version; see the class."""
        save(self, data)


def _origin(segments: Iterable[Segment]) -> dict[str, Any]:
    """Name the file of every row, and its number in the file."""
    files: dict[str, int] = {}
    for segment in segments:
        files[segment.name] = files.get(segment.name, 0) + segment.rows
    counts = list(files.values())
    codes = np.repeat(np.arange(len(files), dtype=np.int32), counts)
    rows = [np.arange(count) for count in counts]
    return {
        "source_file": pd.Categorical.from_codes(codes, categories=[*files]),
        "source_row": np.concatenate(rows) if rows else np.zeros(0, np.int64),
    }
