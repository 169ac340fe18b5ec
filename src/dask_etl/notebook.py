"""``%load_ext dask_etl``: the project's tables at hand in a notebook.

It gives ``catalog``, ``client``, ``tables()`` and ``describe("dask.customers")``.
"""

from __future__ import annotations

import atexit
import difflib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from dask_etl.errors import ExplainedError

_SECTION = re.compile(r"^### (\w+)\n\n(.*?)(?=^##)", re.MULTILINE | re.DOTALL)
_ROW = re.compile(r"^\| `(\w+)` \| ([^|]*) \| ([^|]*) \| (.*) \|$", re.MULTILINE)


class NoSuchTable(ExplainedError, LookupError):
    """There is no table of that name; the message says which are near."""


class Catalog:
    """Kedro's catalog, which knows what was meant by a name that it does not know."""

    def __init__(self, catalog: Any, names: Iterable[str]):
        self._catalog = catalog
        self._names = sorted(names)

    def load(self, name: str, version: str | None = None) -> Any:
        """Load a table: of Dask's those of transactions lazily, all others as pandas.

        Raises:
            NoSuchTable: there is none of that name.
        """
        check_name(name, self._names)
        return self._catalog.load(name, version)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._catalog, name)

    def __getitem__(self, name: str) -> Any:
        check_name(name, self._names)
        return self._catalog[name]

    def __contains__(self, name: object) -> bool:
        return name in self._catalog

    def __repr__(self) -> str:
        return f"<{len(self._names)} datasets: catalog.load(name); tables() lists them>"


def check_name(name: str, names: Iterable[str]) -> None:
    """Refuse a name that there is not.

    Raises:
        NoSuchTable: with those that are near.
    """
    known = [*names]
    if name in known:
        return
    ends = {other.rpartition(".")[2]: other for other in reversed(known)}
    near = difflib.get_close_matches(name, [*known, *ends], 3)
    meant = " or ".join(dict.fromkeys(ends.get(found, found) for found in near))
    raise NoSuchTable(
        f"no dataset is called {name!r}"
        + (f"; did you mean {meant}?" if meant else "")
        + " tables() lists them"
    )


class Tables:
    """Lists the tables of a project, and describes them by the data dictionary.

    Args:
        datasets: of the tables, by name.
        dictionary: text of ``docs/data_dictionary.md``; empty where there is none.
    """

    def __init__(self, datasets: Mapping[str, Any], dictionary: str = ""):
        self._datasets = datasets
        self._sections = dict(_SECTION.findall(dictionary))

    def tables(self) -> pd.DataFrame:
        """All tables: what they are, rows, size in MB, versions, when they were written."""
        rows = []
        for name, dataset in self._datasets.items():
            versions = dataset.versions()
            newest = versions[0] if versions else None
            event = newest and dataset.session.state.events[newest.release]
            rows.append(
                {
                    "table": name,
                    "meaning": self._meaning(dataset),
                    "rows": newest and newest.rows,
                    "MB": newest and round(newest.bytes / 1e6, 2),
                    "versions": len(versions),
                    "written": event and event.released_at[:19],
                }
            )
        frame = pd.DataFrame(rows).astype({"rows": "Int64"})
        return frame.set_index("table")

    def describe(self, name: str) -> pd.DataFrame:
        """The columns of a table: type, whether they may be null, meaning.

        Raises:
            NoSuchTable: there is none of that name.
        """
        check_name(name, self._datasets)
        dataset = self._datasets[name]
        schema = dataset.table.schema if dataset.table else dataset.content().schema
        said = {row[0]: row[3] for row in _ROW.findall(self._section(dataset))}
        return pd.DataFrame(
            [
                {
                    "column": field.name,
                    "type": str(field.type),
                    "null": field.nullable,
                    "meaning": said.get(field.name, "").replace("`", ""),
                }
                for field in schema
            ]
        ).set_index("column")

    def _section(self, dataset: Any) -> str:
        return self._sections.get(dataset.table.name, "") if dataset.table else ""

    def _meaning(self, dataset: Any) -> str:
        first = self._section(dataset).partition("\n")[0].partition(". ")[0]
        return first.replace("`", "").rstrip(".")


_opened: list[Any] = []
"""The cluster that is there; loaded anew, the extension begins with another."""


@atexit.register
def _close() -> None:
    while _opened:
        _opened.pop().close()


def open_project(folder: Path | None = None, env: str | None = None) -> dict[str, Any]:
    """Open the project around a folder, and start its cluster.

    Args:
        folder: this one by default.
        env: the environment; ``KEDRO_ENV`` by default.

    Returns:
        ``catalog``, ``client``, ``tables`` and ``describe``, for a notebook.

    Raises:
        NoSuchTable: the folder is in no project.
    """
    from kedro.framework.project import pipelines  # noqa: PLC0415  (start-up)
    from kedro.framework.session import KedroSession  # noqa: PLC0415  (start-up)
    from kedro.framework.startup import bootstrap_project  # noqa: PLC0415  (start-up)
    from kedro.utils import find_kedro_project  # noqa: PLC0415  (start-up)

    from dask_etl.cli import find_tables  # noqa: PLC0415  (start-up)
    from dask_etl.engine.cluster import Cluster  # noqa: PLC0415  (start-up)
    from dask_etl.engine.cluster_settings import DaskSettings  # noqa: PLC0415  (start-up)
    from dask_etl.run_command import no_project  # noqa: PLC0415  (start-up)

    here = folder or Path.cwd()
    root = find_kedro_project(here)
    if root is None:
        raise NoSuchTable(no_project(here))
    bootstrap_project(root)
    context = KedroSession.create(project_path=root, env=env).load_context()
    _close()
    cluster = Cluster(DaskSettings.model_validate(context.config_loader["dask"]))
    _opened.append(cluster)
    datasets = find_tables(context.catalog)
    names = {*context.catalog.keys(), *datasets}
    for pipeline in pipelines.values():
        names |= pipeline.datasets()
    dictionary = root / "docs" / "data_dictionary.md"
    found = Tables(datasets, dictionary.read_text() if dictionary.is_file() else "")
    return {
        "catalog": Catalog(context.catalog, names),
        "client": cluster.client,
        "tables": found.tables,
        "describe": found.describe,
    }
