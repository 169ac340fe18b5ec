"""A small table that grows, a row a run."""

import logging
from typing import Any

import pyarrow as pa

from dask_etl.datasets.pandas_parquet import PandasParquetDataset
from dask_etl.errors import StorageError, TableMissing

logger = logging.getLogger(__name__)


class HistoryParquetDataset(PandasParquetDataset):
    """A small table to which every save adds rows.

    Rows of the same key take the place of those there were; of the others the latest
    stay. ``load()`` returns all of them, the latest last. A column that is new is null
    in earlier rows, or 0 where it cannot be.
    """

    rows_kept = 100
    """The rows that stay."""

    def table_of(self, data: Any) -> pa.Table:
        """Return what is to be written: earlier rows, and the new ones."""
        added = super().table_of(data)
        try:
            source = self.source()
            earlier = source.reader.read(source.segments)
        except TableMissing:
            return added
        except StorageError as error:
            logger.warning("%s is begun anew: %s", self._filepath.name, error)
            return added
        [key] = self.table.key if self.table else [added.column_names[0]]
        new = set(added[key].to_pylist())
        stays = pa.array([value not in new for value in earlier[key].to_pylist()])
        kept = earlier.filter(stays.cast(pa.bool_()))
        columns = [_column(kept, field) for field in added.schema]
        whole = pa.concat_tables([pa.table(columns, schema=added.schema), added])
        return whole.slice(max(0, len(whole) - self.rows_kept))


def _column(table: pa.Table, field: pa.Field) -> pa.ChunkedArray | pa.Array:
    if field.name in table.column_names:
        return table[field.name].cast(field.type)
    if field.nullable:
        return pa.nulls(len(table), field.type)
    return pa.array([0] * len(table)).cast(field.type)
