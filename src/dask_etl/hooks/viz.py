"""What Kedro-Viz shows of the tables: rows, sizes, what they mean, what became of runs."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.framework.project import pipelines
from kedro.io import DataCatalog, DatasetError
from kedro.io.core import CatalogProtocol

from dask_etl.compat.kedro import bytes_of, unwrapped
from dask_etl.compat.kedro_viz import is_opening, show_here
from dask_etl.configuration import ProjectContext
from dask_etl.datasets.earlier import EarlierTables
from dask_etl.datasets.state import StateDataset
from dask_etl.datasets.table import TableDataset
from dask_etl.dictionary import DataDictionary
from dask_etl.errors import ExplainedError, TableMissing, explanation

logger = logging.getLogger(__name__)

_FOLDER = ".viz"
"""Where Kedro-Viz keeps its records."""
_STAMP = "environment"
"""The file beside them that says whose they are."""
_STATISTICS = "stats.json"
_RECORDS = (_STATISTICS, "kedro_pipeline_events.json")


class VizContext(ProjectContext):
    """The context of the project, also of Kedro-Viz when that opens it.

    Kedro-Viz runs no hooks then. It reads what the last run noted of the frames of pandas
    that it held, and takes the folder of a table for a file of 4 kB; so sizes and rows of
    all tables are noted just before, from what is in force. It also keeps one record of
    what became of the nodes, whatever the environment: here, each has its own.
    """

    def _get_catalog(self, *args: Any, **kwargs: Any) -> CatalogProtocol:
        catalog = super()._get_catalog(*args, **kwargs)
        if is_opening(self):
            show_here()
            folder = self.project_path / _FOLDER
            records = Records(folder, str(self.env or "local"))
            records.exchange()
            names = {*catalog.keys()}.union(*(p.datasets() for p in pipelines.values()))
            dictionary = DataDictionary.of_project(self.project_path)
            records.note(statistics(catalog, names, dictionary))
        return catalog


class VizHooks:
    """Keeps apart what became of the runs of each environment."""

    def __init__(self) -> None:
        self._records = Records(Path(), "")

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Bring back the records of this environment."""
        folder = Path(context.project_path) / _FOLDER
        self._records = Records(folder, str(context.env or "local"))
        self._records.exchange()

    @hook_impl
    def after_pipeline_run(self) -> None:
        """Note of which environment the run was."""
        self._records.stamp()

    @hook_impl
    def on_pipeline_error(self) -> None:
        """Note of which environment the failure is."""
        self._records.stamp()


class Records:
    """The files that Kedro-Viz keeps in a project, an environment's at a time.

    Args:
        folder: the files are in; it is there where Kedro-Viz is installed.
        env: whose they are to be.
    """

    def __init__(self, folder: Path, env: str):
        self._folder = folder
        self._env = env
        self._told = False

    def exchange(self) -> None:
        """Put the records of another environment aside, and bring those of this back."""
        stamp = self._folder / _STAMP
        with self._warned(stamp):
            if not stamp.is_file() or (before := stamp.read_text()) == self._env:
                return
            for name in _RECORDS:
                file = self._folder / name
                if file.is_file():
                    file.replace(self._folder / f"{before}.{name}")
                if (kept := self._folder / f"{self._env}.{name}").is_file():
                    kept.replace(file)
            stamp.write_text(self._env)

    def stamp(self) -> None:
        """Note that the records are of this environment."""
        stamp = self._folder / _STAMP
        with self._warned(stamp):
            if self._folder.is_dir():
                stamp.write_text(self._env)

    def note(self, found: dict[str, dict[str, int]]) -> None:
        """Write what is to be shown of datasets, in place of what there is."""
        file = self._folder / _STATISTICS
        with self._warned(file):
            self._folder.mkdir(exist_ok=True)
            file.write_text(json.dumps(found, indent=1))
        self.stamp()

    @contextlib.contextmanager
    def _warned(self, file: Path) -> Any:
        """Say once that records cannot be kept: nothing else depends on them."""
        try:
            yield
        except OSError as error:
            if not self._told:
                logger.warning(
                    "%s cannot be written (%s): Kedro-Viz may show the states of "
                    "another environment's run",
                    file,
                    error.strerror or error,
                )
            self._told = True


def statistics(
    catalog: DataCatalog | CatalogProtocol,
    names: Iterable[str],
    dictionary: DataDictionary,
) -> dict[str, dict[str, int]]:
    """Measure datasets as they are now, and let the tables know what they mean.

    Returns:
        ``rows`` and ``columns`` of tables and ``file_size`` in bytes, by the names that
        Kedro-Viz has for them; nothing of what is not there, is held in memory or is no
        file.
    """
    found = {}
    for name in sorted(names):
        try:
            dataset: Any = unwrapped(catalog.get(name))
            if isinstance(dataset, TableDataset):
                dataset.dictionary = dictionary
            measured = _measured(dataset)
        except TableMissing:
            continue
        except (ExplainedError, DatasetError, OSError) as error:
            logger.warning("%s: of unknown size: %s", name, explanation(error) or error)
            continue
        if measured:
            found[name.partition("@")[0]] = measured
    return found


def _measured(dataset: Any) -> dict[str, int]:
    if isinstance(dataset, TableDataset):
        return _table(dataset)
    if isinstance(dataset, StateDataset):
        return _table(dataset.datasets[dataset.notes])
    if isinstance(dataset, EarlierTables):
        versions = [each.current() for each in dataset.datasets.values()]
        return _size(sum(version.bytes for version in versions if version))
    return _size(bytes_of(dataset))


def _size(found: int | None) -> dict[str, int]:
    return {"file_size": found} if found else {}


def _table(dataset: TableDataset) -> dict[str, int]:
    if versions := dataset.versions():
        rows, size = versions[0].rows, versions[0].bytes
        schema = dataset.content().schema
    else:
        source = dataset.source()
        schema = source.reader.schema
        rows = sum(segment.rows for segment in source.segments)
        # A large file is several segments.
        size = sum({each.path: each.bytes for each in source.segments}.values())
    return {"rows": rows, "columns": len(schema), "file_size": size}
