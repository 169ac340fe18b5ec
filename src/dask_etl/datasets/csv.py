"""A Kedro dataset that writes CSV for others: one file, or a folder of parts."""

import posixpath
import re
import uuid
from pathlib import PurePosixPath
from typing import Any

import pandas as pd
import pyarrow as pa
from fsspec.implementations.local import LocalFileSystem
from kedro.io.core import AbstractDataset, DatasetError

from dask_etl.datasets.filesystem import filesystem_of
from dask_etl.engine.frames import files_of, schema_of
from dask_etl.errors import StorageError
from dask_etl.storage.export import replace_folder, whole_file, write_csv
from dask_etl.storage.frames import from_pandas
from dask_etl.storage.parts import PartReader
from dask_etl.storage.segments import Partition
from dask_etl.storage.sweep import remove_file, remove_folder
from dask_etl.tables import find_table

_PART = re.compile(r"part-\d{5,}\.csv")


class CsvDataset(AbstractDataset):
    """A table as CSV: text in quotes, null as nothing, lists joined by ``;``.

    A pandas DataFrame becomes one file. A Dask DataFrame becomes a folder of
    ``part-00000.csv`` …, each written by a task of its own, a part of the table at a
    time. What was there before is replaced when all is written (on object storage,
    file by file).

    Catalog entry::

        report_csv:
          type: dask_etl.datasets.CsvDataset
          filepath: data/08_reporting/csv/report.csv
          schema: report

    Args:
        filepath: the file, or the folder.
        schema: what the table is, as for the dataset that it is read from.
        credentials: of the file system.
        fs_args: other arguments of the file system.
        metadata: for others, e.g. Kedro-Viz.
    """

    def __init__(
        self,
        *,
        filepath: str,
        schema: str,
        credentials: dict[str, Any] | None = None,
        fs_args: dict[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
    ):
        self._filesystem, _, path = filesystem_of(filepath, credentials, fs_args)
        self._filepath = PurePosixPath(path)
        self._path = self._filesystem._strip_protocol(path)
        self.table = find_table(schema)
        self.metadata = metadata

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath), "schema": self.table.name}

    def _exists(self) -> bool:
        return self._filesystem.exists(self._path)

    def _load(self) -> Any:
        raise DatasetError(
            f"{self._filepath}: is written for others, and its types are lost. Load the "
            f"table itself ({self.table.name})."
        )

    def _save(self, data: Any) -> None:
        if isinstance(data, pd.DataFrame):
            found = pa.Schema.from_pandas(data, preserve_index=False)
            schema = self.table.schema_for(found)
            with whole_file(self._filesystem, self._path) as file:
                write_csv([from_pandas(data, schema)], schema, file)
        elif hasattr(data, "to_delayed"):
            self._save_parts(data)
        else:
            raise DatasetError(
                f"{self._filepath}: cannot write a {type(data).__name__}; expected a "
                "pandas or Dask DataFrame"
            )

    def _save_parts(self, frame: Any) -> None:
        before = self._own_parts()
        if not isinstance(self._filesystem, LocalFileSystem):
            written = self._write_parts(frame, self._path)
            for name in before - written:
                remove_file(self._filesystem, posixpath.join(self._path, name))
            return
        folder = f"{self._path}.{uuid.uuid4().hex}.tmp"
        try:
            self._write_parts(frame, folder)
            replace_folder(self._filesystem, self._path, folder)
        finally:
            remove_folder(self._filesystem, folder)

    def _own_parts(self) -> set[str]:
        """List what an earlier export left; refuse a folder that holds anything else."""
        self._filesystem.invalidate_cache()
        if not self._filesystem.exists(self._path):
            return set()
        found = self._filesystem.ls(self._path, detail=False)
        names = {posixpath.basename(path.rstrip("/")) for path in found}
        others = sorted(name for name in names if not _PART.fullmatch(name))
        if others:
            raise StorageError(
                f"{self._path}: holds {others[0]}, which no export wrote. Move it, or "
                "give another filepath."
            )
        return names

    def _write_parts(self, frame: Any, folder: str) -> set[str]:
        import dask

        names = [f"part-{number:05d}.csv" for number in range(frame.npartitions)]
        paths = [posixpath.join(folder, name) for name in names]
        files = files_of(frame)
        if files is not None:
            reader, partitions = files
            write = dask.delayed(_write_files, pure=False)
            tasks = [
                write(
                    self._filesystem,
                    reader,
                    dask.delayed(partition, traverse=False),
                    path,
                )
                for partition, path in zip(partitions, paths, strict=True)
            ]
        else:
            schema = schema_of(frame, self.table)
            write = dask.delayed(_write_frame, pure=False)
            tasks = [
                write(self._filesystem, part, schema, path)
                for part, path in zip(frame.to_delayed(), paths, strict=True)
            ]
        dask.compute(*tasks)
        return set(names)


def _write_files(
    filesystem, reader: PartReader, partition: Partition, path: str
) -> None:
    """Write a partition that is in files, without pandas and one file at a time."""
    with whole_file(filesystem, path) as file:
        tables = (reader.read((segment,)) for segment in partition)
        write_csv(tables, reader.schema, file)


def _write_frame(filesystem, part, schema: pa.Schema, path: str) -> None:
    with whole_file(filesystem, path) as file:
        write_csv([from_pandas(part, schema)], schema, file)
