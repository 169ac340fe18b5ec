"""What the data sets of a table have in common, whatever frame they show it as."""

import contextlib
import functools
import posixpath
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any

import pandas as pd
import pyarrow as pa
from kedro.io.core import (
    AbstractDataset,
    DatasetError,
    Version,
    generate_timestamp,
)

from dask_etl.compat.kedro import HTMLPreview
from dask_etl.datasets.filesystem import filesystem_of
from dask_etl.datasets.preview import table_page
from dask_etl.dictionary import DataDictionary
from dask_etl.errors import StorageError, TableMissing
from dask_etl.storage.delta import Content, storable
from dask_etl.storage.encodings import BY_TYPE, Encodings
from dask_etl.storage.folder import PlainFile, name_in, parquet_paths, read_folder
from dask_etl.storage.frames import from_pandas
from dask_etl.storage.location import Location
from dask_etl.storage.names import is_ours, stable_name
from dask_etl.storage.parts import PartReader
from dask_etl.storage.release import Release, Released, nearest_release
from dask_etl.storage.segments import Segment, check_alike, segments_of
from dask_etl.storage.session import Session, session_of
from dask_etl.storage.store import TableStore
from dask_etl.tables import Table, find_table


@dataclass(frozen=True)
class Source:
    """The files that one load reads, and how."""

    reader: PartReader
    segments: tuple[Segment, ...]


class TableDataset(AbstractDataset):
    """A Delta Lake table, put in force together with others by one release.

    A Delta Lake table of others is read as it is now, and a folder without a commit
    log as a plain folder of Parquet files; neither is ever written to.

    Catalog entry::

        dask.sales_cube:
          type: dask_etl.datasets.PandasParquetDataset
          filepath: data/03_primary/dask/sales_cube
          schema: sales_cube
          release: data
          keep_versions: 2

    Args:
        filepath: folder of the table, on a disk or on S3.
        release: the folder above it whose ``release.json`` says which version is in
            force; tables of one release can change together. By default the nearest
            above the table that has one, or else the folder that the table is in.
        schema: what the table is: a :class:`dask_etl.tables.Table`, the dotted path
            of one, or the name of one of ours; None to take the types of the data as
            they are.
        rows_per_partition: rows that one task reads, and that one part of an eager
            save holds. Beyond 256 tasks, none reads fewer than 10 000 rows.
        keep_versions: how many versions stay readable.
        optional: for pandas, a table that was never written is an empty one.
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
        release: str | None = None,
        schema: Table | str | None = None,
        rows_per_partition: int = 1_000_000,
        keep_versions: int = 2,
        optional: bool = False,
        credentials: dict[str, Any] | None = None,
        fs_args: dict[str, Any] | None = None,
        version: Version | None = None,
        metadata: dict[str, Any] | None = None,
    ):
        self._filesystem, self._protocol, path = filesystem_of(
            filepath, credentials, fs_args
        )
        self._filepath = PurePosixPath(path)
        self.table = find_table(schema) if isinstance(schema, str) else schema
        self.rows_per_partition = rows_per_partition
        self._version = version or Version(None, None)
        self.metadata = metadata
        # Whoever shows tables to people says what they mean.
        self.dictionary = DataDictionary()
        root = self._filesystem._strip_protocol(path)
        self._location = Location(self._filesystem, root)
        self._release_root = release
        self._keep_versions = keep_versions
        self.optional = optional
        self._published: Any = None
        self._looked_at: list[PlainFile] = []

    def _release(self) -> None:
        self._looked_at = []
        super()._release()

    def _describe(self) -> dict[str, Any]:
        return {
            "filepath": str(self._filepath),
            "protocol": self._protocol,
            "schema": self.table and self.table.name,
            "version": self._version,
        }

    def _exists(self) -> bool:
        try:
            if self._version.load is not None:
                return bool(
                    self.session.state.find(self.store.name, self._version.load)
                )
            return (
                self.session.has(self.store)
                or self.store.foreign_content() is not None
                or bool(self._plain_paths())
            )
        except StorageError:
            return False

    @functools.cached_property
    def store(self) -> TableStore:
        """The table and its place in a release, which is looked for when first used."""
        home = _release_folder(self._location, self._release_root)
        return TableStore(self._location, Release(home), self._keep_versions)

    @functools.cached_property
    def _session(self) -> Session:
        # The data sets of a catalog have one save version, and see one release.
        return session_of(self.store.release, self._version.save)

    @property
    def session(self) -> Session:
        """What the tables of the release are for whoever uses this data set.

        Those of a catalog share a view of one moment, and what they wrote since; one
        without a catalog looks anew each time.
        """
        if self._version.save is None:
            return Session(self.store.release)
        return self._session

    @property
    def run_id(self) -> str:
        """The name of the run, as the history of the table has it."""
        return self._version.save or generate_timestamp()

    def written_schema(self, found: pa.Schema) -> pa.Schema:
        """Return the schema of the table when its data has the columns found."""
        return storable(found) if self.table is None else self.table.schema_for(found)

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
        if self.table is None:
            table = pa.Table.from_pandas(data, preserve_index=False)
            return table.cast(self.written_schema(table.schema))
        varying = data[self.table.varying(data)]
        found = pa.Schema.from_pandas(varying, preserve_index=False)
        target = self.table.schema_for(found)
        try:
            return from_pandas(data, target)
        except (pa.ArrowException, KeyError, TypeError, ValueError) as error:
            raise DatasetError(
                f"{self._filepath}: the data does not fit table '{self.table.name}': {error}"
            ) from error

    @property
    def encodings(self) -> Encodings:
        """What the writer of the parts should know of the columns."""
        return BY_TYPE if self.table is None else self.table.encodings

    def content(self) -> Content:
        """Return the columns and parts of the version that a load would get.

        Raises:
            TableMissing: there is no such table, or it is a plain folder.
        """
        content = self.session.content(self.store, self._version.load)
        if content is None:
            raise TableMissing(
                f"{self.store.location.path}: nothing has been written here yet"
            )
        return content

    def current(self) -> Released | None:
        """Return the version in force, as this session sees it; None before the first."""
        return self.session.current(self.store)

    def versions(self) -> tuple[Released, ...]:
        """Return the versions that are kept, newest first."""
        return self.session.state.tables.get(self.store.name, ())

    def count_rows(self) -> int:
        """Return the number of rows of the version that a load would get."""
        content = self.session.content(self.store, self._version.load)
        if content is None:
            return sum(segment.rows for segment in self.source().segments)
        return content.rows

    def check_own(self) -> None:
        """Refuse to write where a table of this project should not be.

        Raises:
            StorageError: the path climbs out of the folder that it begins with; or
                others' Parquet files are there, which a table would hide.
        """
        if ".." in self._filepath.parts:
            raise StorageError(
                f"{self._filepath}: tables are not written to paths with '..'. Write "
                "the folder out."
            )
        if self.session.has(self.store):
            return
        self.store.look()
        if not self.store.is_new and (found := self._plain_paths()):
            raise StorageError(
                f"{self._filepath}: holds {len(found):,} Parquet files that this project "
                "did not write, and a table would hide them. Leave out the "
                "pipeline that writes this table, or give it another filepath."
            )

    def expect(self, data: Any) -> None:
        """Know that this data was published already: the save of it has no work left."""
        self._published = data

    def is_expected(self, data: Any) -> bool:
        """Tell whether this data was published already, and expect it no more."""
        expected, self._published = self._published, None
        return expected is not None and expected is data

    def preview(self, nrows: int = 5) -> HTMLPreview:
        """Return what the table is and its first rows, for Kedro-Viz.

        At most one part is read.
        """
        rows = None
        with contextlib.suppress(TableMissing):
            source = self.source()
            first = source.reader.read(source.segments[:1])
            rows = first.slice(0, nrows).to_pylist()
        name = self.table.name if self.table else ""
        meaning, columns = self.dictionary.meaning(name), self.dictionary.columns(name)
        return HTMLPreview(table_page(meaning, rows, columns))

    # -- loading ---------------------------------------------------------------

    def source(self) -> Source:
        """Find the files of the version to load, or of a plain folder.

        Raises:
            StorageError: nothing to read, or a file is damaged.
        """
        unify = self.table and self.table.unify
        content = self.session.content(self.store, self._version.load)
        if content is None:
            segments, found = self._plain_files(unify is not None)
        else:
            found = {"log": content.schema}
            segments = [
                Segment(
                    self.store.location.file(part.name),
                    stable_name(part.name),
                    0,
                    part.rows,
                    part.bytes,
                    checksum=part.checksum,
                )
                for part in content.parts
            ]
        schema = unify(found) if unify else next(iter(found.values()))
        conform = self.table.conform if self.table else None
        return Source(PartReader(self._filesystem, schema, conform), tuple(segments))

    def _plain_paths(self) -> list[str]:
        """List the Parquet files that others put into the folder, or the one file.

        Raises:
            StorageError: it cannot be told whether they are others'.
        """
        root = self.store.location.path
        paths = parquet_paths(self._filesystem, root)
        # In a folder of ours they are parts that were never released; anywhere else
        # they are somebody's copies.
        unreleased = [path for path in paths if is_ours(name_in(root, path))]
        if not unreleased or not self.store.is_marked():
            return paths
        if len(unreleased) < len(paths):
            raise StorageError(
                f"{root}: holds Parquet files of others beside {unreleased[0]}, which "
                "is part of a table of this project. Move the one or the other to a "
                "folder of its own."
            )
        return []

    def _plain_files(self, may_differ: bool) -> tuple[list[Segment], dict]:
        root = self.store.location.path
        paths = self._plain_paths()
        if not paths:
            raise TableMissing(
                f"{root}: no table here, neither one of this project's "
                "making nor *.parquet files. Run the pipeline that writes it, or "
                "correct the path."
            )
        # The nodes of a run load the same table several times.
        files = read_folder(self._filesystem, root, paths, self._looked_at)
        self._looked_at = files
        # Files of some tables are brought to one schema; those of others have it.
        if not may_differ:
            check_alike(root, files)
        return (
            list(segments_of(files, self.rows_per_partition)),
            {file.name: file.schema for file in files},
        )


def of_one_release(datasets: Mapping[str, TableDataset]) -> dict[str, Released]:
    """Return the versions in force of some tables, by name.

    None at all unless every table has one, and one release brought them all.
    """
    found = {name: dataset.current() for name, dataset in datasets.items()}
    versions = {name: each for name, each in found.items() if each is not None}
    releases = {each.release for each in versions.values()}
    return versions if len(versions) == len(found) and len(releases) == 1 else {}


def _release_folder(table: Location, given: str | None) -> Location:
    """Return the folder of the release file of a table."""
    if given is None:
        return nearest_release(table)
    path = given.rstrip("/")
    home = replace(table, path=table.filesystem._strip_protocol(path))
    if not table.is_local or posixpath.isabs(path) or "://" in path:
        return home
    # Kedro makes the table's path absolute, in the project's folder, and not this one.
    above = PurePosixPath(table.path).parents
    if PurePosixPath(home.path) in above:
        return home
    steps = PurePosixPath(path).parts
    fitting = (str(p) for p in above if p.parts[-len(steps) :] == steps)
    return replace(table, path=next(fitting, home.path))
