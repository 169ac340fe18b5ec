"""A Kedro dataset for what an earlier run noted of tables: nothing, if they have changed."""

import logging
import posixpath
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
from kedro.io.core import AbstractDataset, DatasetError, Version

from dask_etl.datasets.pandas_parquet import PandasParquetDataset
from dask_etl.datasets.table import of_one_release
from dask_etl.engine.partitions import Description
from dask_etl.storage.release import Released

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Noted(Description):
    """What is noted of tables, and the versions of them that it is noted of.

    Attributes:
        rows: the small table that tells it; empty where nothing is known.
        versions: by the names that the catalog entry gives to the tables; none where
            nothing is known.
    """

    rows: pd.DataFrame
    versions: Mapping[str, Released]


class StateDataset(AbstractDataset):
    """A small table that tells how others came about, released together with them.

    ``load()`` returns :class:`Noted`. It is empty where one of the tables is not there
    yet, and where one was written since by something else: what is noted is of the past
    then.

    Catalog entry::

        ingested:
          type: dask_etl.datasets.StateDataset
          filepath: data/01_raw
          release: data
          notes: ingestion_ledger
          tables: {ingestion_ledger: ingestion_ledger, rows: transactions}

    Attributes:
        datasets: of the tables, by name; ``notes`` names the one that tells.

    Args:
        filepath: the folder that the tables' folders are in.
        tables: the names of these folders, by name.
        notes: which of them tells of the others; its name is that of its schema.
        release: as for the tables themselves; so are the others.
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
        tables: Mapping[str, str],
        notes: str,
        release: str | None = None,
        credentials: dict[str, Any] | None = None,
        fs_args: dict[str, Any] | None = None,
        version: Version | None = None,
        metadata: dict[str, Any] | None = None,
    ):
        self.notes = notes
        self.datasets = {
            name: PandasParquetDataset(
                filepath=posixpath.join(str(filepath), folder),
                release=release,
                schema=notes if name == notes else None,
                credentials=credentials,
                fs_args=fs_args,
                version=version,
            )
            for name, folder in tables.items()
        }
        self.metadata = metadata

    def _describe(self) -> dict[str, Any]:
        return {"notes": self.notes, "tables": [*self.datasets]}

    def _exists(self) -> bool:
        return bool(self.load().versions)

    def load(self) -> Noted:
        """Read what is noted, if it is of what is in force; see the class."""
        noted = self.datasets[self.notes]
        if versions := of_one_release(self.datasets):
            return Noted(noted.load(), versions)
        if noted.current() is not None:
            logger.warning(
                "%s: the tables that it tells of were written since by something else",
                self.notes,
            )
        if noted.table is None:
            raise DatasetError(f"{self.notes}: the name of no table")
        return Noted(noted.table.schema.empty_table().to_pandas(), {})

    def save(self, data: Any) -> None:
        """Refuse: the tables are written by their own data sets."""
        raise DatasetError(f"{self.notes}: is only read under this name")
