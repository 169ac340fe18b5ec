"""Kedro datasets of versioned Parquet tables: one class for Dask, one for pandas."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any

import fsspec
import pandas as pd
import pyarrow as pa
from kedro.io.core import (
    AbstractDataset,
    DatasetError,
    Version,
    generate_timestamp,
    get_protocol_and_path,
)
from kedro_datasets._typing import TablePreview

from dask_etl.datasets.files import (
    Partition,
    PartReader,
    Segment,
    partitions,
    sensible_rows,
)
from dask_etl.datasets.versions import VersionStore, is_unfinished
from dask_etl.errors import StorageError, TableMissing
from dask_etl.retail import schema as schemas
from dask_etl.retail.conform import unify
from dask_etl.storage.folder import name_in, parquet_paths, read_folder


@dataclass(frozen=True)
class Source:
    """The files that one load reads, and how."""

    reader: PartReader
    segments: tuple[Segment, ...]


class VersionedParquetDataset(AbstractDataset):
    """A table of Parquet parts, written as atomic versions.

    A folder without versions is read as a plain folder of Parquet files that others
    wrote. Written tables have the Arrow schema of their name in
    :mod:`dask_etl.retail.schema`.

    Catalog entry::

        dask.sales_cube:
          type: dask_etl.datasets.PandasParquetDataset
          filepath: data/03_primary/dask/sales_cube
          schema: sales_cube
          keep_versions: 2

    Args:
        filepath: folder of the table, on any fsspec file system.
        schema: name of the table in the schema module; None to take the types of
            the data as they are.
        rows_per_partition: rows that one task reads, and that one part of an eager
            save holds. Beyond 256 tasks, none reads fewer than 10 000 rows.
        keep_versions: how many versions stay readable.
        load_args: keywords for the load (see the subclasses).
        credentials: of the file system.
        fs_args: other arguments of the file system.
        version: the version to load and to save, given by Kedro.
        metadata: for others, e.g. Kedro-Viz.
    """

    # Kedro hands the run's version (and --load-versions) to classes that say so.
    versioned = True
    # One instance is used by one run, in one process.
    _SINGLE_PROCESS = True

    def __init__(
        self,
        *,
        filepath: str,
        schema: str | None = None,
        rows_per_partition: int = 1_000_000,
        keep_versions: int = 2,
        credentials: dict[str, Any] | None = None,
        fs_args: dict[str, Any] | None = None,
        version: Version | None = None,
        metadata: dict[str, Any] | None = None,
    ):
        protocol, path = get_protocol_and_path(str(filepath))
        self._protocol = protocol
        self._filepath = PurePosixPath(path)
        options = {**(fs_args or {}), **(credentials or {})}
        if protocol == "file":
            options.setdefault("auto_mkdir", True)
        self._filesystem = fsspec.filesystem(protocol, **options)
        self._schema = schema
        self.rows_per_partition = rows_per_partition
        self._version = version or Version(None, None)
        self.metadata = metadata
        root = self._filesystem._strip_protocol(path)
        self.store = VersionStore(self._filesystem, root, keep_versions)
        self._published: Any = None

    def _describe(self) -> dict[str, Any]:
        return {
            "filepath": str(self._filepath),
            "protocol": self._protocol,
            "schema": self._schema,
            "version": self._version,
        }

    def _exists(self) -> bool:
        try:
            if self.store.current() is None and self._version.load is None:
                return bool(self._plain_paths())
            return self.store.manifest(self._version.load) is not None
        except StorageError:
            return False

    @property
    def save_version(self) -> str:
        """The version that a save makes: the run's, told apart if it saved before."""
        wanted = self._version.save or generate_timestamp()
        known = self.store.versions()
        saves = [
            int(v.removeprefix(f"{wanted}-")) for v in known if _is_save(v, wanted)
        ]
        if wanted in known:
            saves.append(1)
        return f"{wanted}-{max(saves) + 1}" if saves else wanted

    def written_schema(self, found: pa.Schema) -> pa.Schema:
        """Return the schema of the table when its data has the columns found."""
        if self._schema is None:
            return found
        types = {field.name: _id_type(field.type) for field in found}
        if "quantity" in types and pa.types.is_floating(found.field("quantity").type):
            types["quantity"] = pa.float64()
        return schemas.table(self._schema, types)

    def table_of(self, data: Any) -> pa.Table:
        """Convert a pandas frame (or Arrow table) to the schema of the table.

        Raises:
            DatasetError: a column is missing or does not fit.
        """
        if isinstance(data, pa.Table):
            return data.cast(self.written_schema(data.schema))
        if not isinstance(data, pd.DataFrame):
            raise DatasetError(
                f"{self._filepath}: cannot write a {type(data).__name__}; expected a "
                "pandas or Dask DataFrame, or an Arrow table"
            )
        if self._schema is None:
            table = pa.Table.from_pandas(data, preserve_index=False)
            return table.replace_schema_metadata(None)
        found = pa.Schema.from_pandas(
            data[[name for name in data if name.endswith("_id") or name == "quantity"]],
            preserve_index=False,
        )
        target = self.written_schema(found)
        try:
            return from_pandas(data, target)
        except (pa.ArrowException, KeyError, TypeError, ValueError) as error:
            raise DatasetError(
                f"{self._filepath}: the data does not fit table '{self._schema}': {error}"
            ) from error

    def count_rows(self) -> int:
        """Return the number of rows of the current version."""
        return self.store.manifest().rows

    def check_own(self) -> None:
        """Refuse to write where a table of this project should not be.

        Raises:
            StorageError: the path climbs out of the folder that it begins with; or
                others' Parquet files are there, which a version would hide.
        """
        if ".." in self._filepath.parts:
            raise StorageError(
                f"{self._filepath}: tables are not written to paths with '..'. Write "
                "the folder out."
            )
        if self.store.current() is None and (found := self._plain_paths()):
            raise StorageError(
                f"{self._filepath}: holds {len(found):,} Parquet files that this project "
                "did not write, and a new version would hide them. Leave out the "
                "pipeline that writes this table, or give it another filepath."
            )

    def expect(self, data: Any) -> None:
        """Know that this data was published already: the save of it has no work left."""
        self._published = data

    def preview(self, nrows: int = 5) -> TablePreview:
        """Return the first rows, for Kedro-Viz; at most one file is read."""
        source = self.source()
        rows = source.reader.read(source.segments[:1]).slice(0, nrows)
        frame = to_pandas(rows, rows.column_names)
        return TablePreview(
            json.loads(frame.to_json(orient="split", date_format="iso"))
        )

    def _save(self, data: Any) -> None:
        from dask_etl.datasets.publish import publish

        if self._published is not None and self._published is data:
            self._published = None
            return
        publish({self: data})

    # -- loading ---------------------------------------------------------------

    def source(self) -> Source:
        """Find the files of the version to load, or of a plain folder.

        Raises:
            StorageError: nothing to read, or a file is damaged.
        """
        is_raw = self._schema == "raw_transactions"
        if self.store.current() is None and self._version.load is None:
            segments, found = self._plain_files(is_raw)
        else:
            manifest = self.store.manifest(self._version.load)
            found = {"manifest": manifest.schema}
            segments = [
                Segment(
                    self.store.path(manifest.version, part.name),
                    part.name,
                    0,
                    part.rows,
                    part.bytes,
                    checksum=part.checksum,
                )
                for part in manifest.parts
            ]
        schema = unify(found) if is_raw else next(iter(found.values()))
        return Source(PartReader(self._filesystem, schema, is_raw), tuple(segments))

    def _plain_paths(self) -> list[str]:
        """List the Parquet files that others put into the folder, or the one file.

        Raises:
            StorageError: it cannot be told whether they are others'.
        """
        root = self.store.root
        paths = parquet_paths(self._filesystem, root)
        unfinished = [p for p in paths if is_unfinished(name_in(root, p))]
        if unfinished and len(unfinished) < len(paths):
            raise StorageError(
                f"{root}: holds Parquet files of others beside {unfinished[0]}, which "
                "looks like part of an unfinished version of a table of this project. "
                "Move the one or the other to a folder of its own."
            )
        return [] if unfinished else paths

    def _plain_files(self, is_raw: bool) -> tuple[list[Segment], dict[str, pa.Schema]]:
        root = self.store.root
        paths = self._plain_paths()
        if not paths:
            raise TableMissing(
                f"{root}: no table here, neither versions of this project's "
                "making nor *.parquet files. Run the pipeline that writes it, or "
                "correct the path."
            )
        segments: list[Segment] = []
        found: dict[str, pa.Schema] = {}
        files = read_folder(self._filesystem, root, paths)
        total = sum(file.footer.num_rows for file in files)
        wanted = sensible_rows(self.rows_per_partition, total)
        for file in files:
            rows = file.footer.num_rows
            whole = Segment(
                file.path, file.name, 0, rows, file.bytes, modified=file.modified
            )
            segments += _taken_apart(whole, file.footer, wanted)
            found[file.name] = file.schema
        first, schema = next(iter(found.items()))
        for name, other in found.items():
            # Files of raw transactions are brought to one schema; others have one.
            if not is_raw and other != schema:
                raise StorageError(
                    f"{root}: {name} has other columns or types than "
                    f"{first}: {_differences(other, schema)}"
                )
        return segments, found


def _is_save(version: str, wanted: str) -> bool:
    return version.startswith(f"{wanted}-") and version[len(wanted) + 1 :].isdecimal()


def _differences(one: pa.Schema, other: pa.Schema) -> str:
    fields = {(field.name, str(field.type)) for field in one}
    others = {(field.name, str(field.type)) for field in other}
    return ", ".join(" ".join(field) for field in sorted(fields ^ others)) or "order"


def _taken_apart(file: Segment, meta, rows_per_partition: int) -> Iterable[Segment]:
    """Take a large file apart, into segments of about a partition.

    That is at its row groups; a row group of several partitions is cut into slices.
    """
    largest = 2 * rows_per_partition
    if file.rows <= largest:
        yield file
        return
    first_row, rows, groups = 0, 0, []
    for group in range(meta.num_row_groups):
        held = meta.row_group(group).num_rows
        # What has come together goes by itself before a row group that is cut, too.
        if rows and (rows >= rows_per_partition or held > largest):
            yield replace(
                file, first_row=first_row, rows=rows, row_groups=tuple(groups)
            )
            first_row, rows, groups = first_row + rows, 0, []
        if held <= largest:
            rows += held
            groups.append(group)
            continue
        for skip in range(0, held, rows_per_partition):
            yield replace(
                file,
                first_row=first_row + skip,
                rows=min(rows_per_partition, held - skip),
                row_groups=(group,),
                skip=skip,
            )
        first_row += held
    if rows:
        yield replace(file, first_row=first_row, rows=rows, row_groups=tuple(groups))


def _id_type(found: pa.DataType) -> pa.DataType:
    text = found in (pa.string(), pa.large_string(), pa.string_view())
    return pa.string() if text else pa.int64()


_MASKED = {
    pa.int8(): pd.Int8Dtype(),
    pa.int16(): pd.Int16Dtype(),
    pa.int64(): pd.Int64Dtype(),
    pa.bool_(): pd.BooleanDtype(),
}


def to_pandas(table: pa.Table, masked: Iterable[str]) -> pd.DataFrame:
    """Convert to pandas: dates as datetime64, ``masked`` columns as nullable types."""
    masked = [name for name in masked if table.schema.field(name).type in _MASKED]
    order = table.column_names
    nullable = {
        name: _MASKED[table.schema.field(name).type].__from_arrow__(table[name])
        for name in masked
    }
    frame = table.drop_columns(masked).to_pandas(
        date_as_object=False, split_blocks=True, self_destruct=True, use_threads=False
    )
    if not nullable:
        return frame
    return frame.assign(**nullable)[order]


def from_pandas(frame: pd.DataFrame, target: pa.Schema) -> pa.Table:
    """Convert from pandas, also what :func:`to_pandas` made."""
    try:
        table = pa.Table.from_pandas(frame, target, preserve_index=False, nthreads=1)
    except TypeError:
        # pandas has lists of timestamps where Arrow has lists of dates.
        dates = [pa.list_(pa.date32()), pa.list_(pa.date64())]
        instants = pa.list_(pa.timestamp("ms"))
        widened = pa.schema(
            [f.with_type(instants) if f.type in dates else f for f in target]
        )
        table = pa.Table.from_pandas(frame, widened, preserve_index=False, nthreads=1)
        table = table.cast(target)
    return table.replace_schema_metadata(None)


class PandasParquetDataset(VersionedParquetDataset):
    """A versioned Parquet table as a pandas DataFrame.

    ``load()`` returns rows in the order of the parts with a RangeIndex; integer and
    boolean columns are nullable types only where there are nulls.
    ``frame.attrs["source_files"]`` lists (file name, rows) in that order. ``save()``
    takes a pandas DataFrame, an Arrow table or a lazy table of the Dask engine.
    """

    def _load(self) -> pd.DataFrame:
        source = self.source()
        reader = PartReader(
            self._filesystem, source.reader.schema, source.reader.is_raw, threads=True
        )
        table = reader.read(source.segments)
        masked = [name for name in table.column_names if table[name].null_count]
        frame = to_pandas(table, masked)
        files: dict[str, int] = {}
        for segment in source.segments:
            files[segment.name] = files.get(segment.name, 0) + segment.rows
        frame.attrs["source_files"] = list(files.items())
        return frame


@dataclass(frozen=True)
class ReadPandas:
    """Reads one partition for a Dask DataFrame; Dask may ask for fewer columns."""

    reader: PartReader

    def __call__(
        self, partition: Partition, columns: list[str] | None = None
    ) -> pd.DataFrame:
        """Read a partition; nullable columns of nullable types, always."""
        reader = self.reader
        if columns is not None:
            chosen = pa.schema([reader.schema.field(name) for name in columns])
            reader = replace(reader, schema=chosen)
        table = reader.read(partition)
        return to_pandas(
            table, [field.name for field in table.schema if field.nullable]
        )


class DaskParquetDataset(VersionedParquetDataset):
    """A versioned Parquet table as a lazy Dask DataFrame, a partition per task.

    ``save()`` takes a lazy table of the Dask engine, a Dask DataFrame (written part
    by part), a pandas DataFrame or an Arrow table.
    """

    def _load(self):
        import dask
        import dask.dataframe as dd
        from dask.dataframe.utils import clear_known_categories

        source = self.source()
        grouped = partitions(source.segments, self.rows_per_partition) or [()]
        read = ReadPandas(source.reader)
        # Text is Arrow-backed already; Dask would make text of lists, too.
        with dask.config.set({"dataframe.convert-string": False}):
            # The labels of a partition are known when it is read, not before.
            meta = clear_known_categories(read(()))
            return dd.from_map(read, grouped, meta=meta, label=self._filepath.name)
