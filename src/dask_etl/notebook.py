"""``%load_ext dask_etl``: the project's tables at hand in a notebook.

It gives ``catalog``, ``client``, ``tables()`` and ``describe("dask.customers")``.
"""

from __future__ import annotations

import atexit
import difflib
import os
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from numbers import Integral
from pathlib import Path
from typing import Any

import pandas as pd

from dask_etl.datasets.dask_parquet import DaskParquetDataset
from dask_etl.datasets.table import of_one_release
from dask_etl.dictionary import DataDictionary
from dask_etl.errors import ExplainedError


class NoSuchTable(ExplainedError, LookupError):
    """There is no table of that name; the message says which are near."""


class Catalog:
    """Kedro's catalog, which knows what was meant by a name that it does not know.

    Args:
        catalog: of Kedro.
        names: of all datasets that it has or can make.
    """

    def __init__(self, catalog: Any, names: Iterable[str]):
        self._catalog = catalog
        self._names = sorted(names)

    def load(self, name: str, version: str | None = None) -> Any:
        """Load a table: of Dask's those of transactions lazily, all others as pandas.

        A lazy table knows its length, and the categories of its columns of few values
        where a table of the same release has them.

        Raises:
            NoSuchTable: there is none of that name.
        """
        name = self._known(name)
        dataset = self._catalog[name]
        if version is not None or not isinstance(dataset, DaskParquetDataset):
            return self._catalog.load(name, version)
        return dataset.frame(self._labels(name, dataset))

    def _known(self, name: str) -> str:
        # tables() lists a table once that has a face for either engine.
        if name not in self._catalog and (lazy := f"{name}@dask") in self._names:
            return lazy
        check_name(name, self._names)
        return name

    def _labels(self, name: str, dataset: Any) -> dict[str, Sequence[str]]:
        """Find the labels that the table says are to be found."""
        namespace = name.rpartition(".")[0]
        found: dict[str, Sequence[str]] = {}
        for column, where in dataset.table.labels.items() if dataset.table else ():
            if not isinstance(where, str):
                found[column] = where
                continue
            other = f"{namespace}.{where}" if namespace else where
            summary = self._catalog[other] if other in self._names else None
            # Of another release, it might lack some.
            if summary and of_one_release({name: dataset, other: summary}):
                found[column] = sorted(summary.load()[column].unique())
        return found

    def __getattr__(self, name: str) -> Any:
        return getattr(self._catalog, name)

    def __getitem__(self, name: str) -> Any:
        return self._catalog[self._known(name)]

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
        + (f"; did you mean {meant}? " if meant else "; ")
        + "tables() lists them"
    )


class Listing(pd.DataFrame):
    """A frame that is shown whole: all rows, text in full and to the left.

    A notebook that somebody else ran, and that nobody has said is trusted, is shown
    without style sheets: so each cell has its own style.
    """

    @property
    def _constructor(self):
        return Listing

    def _repr_html_(self) -> str:
        cells = self._cells()
        rows = [
            "".join(
                f'<{tag} style="text-align:{side};vertical-align:top{nowrap}">'
                f"{escape(column[row])}</{tag}>"
                for column, side, nowrap, tag in cells
            )
            for row in range(len(self) + 1)
        ]
        head, *body = (f"<tr>{row}</tr>" for row in rows)
        head = head.replace("<td", "<th").replace("</td", "</th")
        return f"<table><thead>{head}</thead><tbody>{''.join(body)}</tbody></table>"

    def __repr__(self) -> str:
        columns = []
        for column, side, *_ in self._cells():
            width = max(map(len, column))
            columns.append(
                [f"{text:{'>' if side == 'right' else '<'}{width}}" for text in column]
            )
        return "\n".join("  ".join(row).rstrip() for row in zip(*columns, strict=True))

    def _cells(self) -> list[tuple[list[str], str, str, str]]:
        """Return of each column its texts, its side, how it breaks and its tag."""
        found = []
        frame = pd.DataFrame(self).reset_index()
        for place, name in enumerate(frame.columns):
            values = frame[name]
            number = pd.api.types.is_numeric_dtype(values) and values.dtype != bool
            texts = [str(name), *map(_text, values)]
            short = max(map(len, texts)) <= _UNBROKEN
            found.append(
                (
                    texts,
                    "right" if number else "left",
                    ";white-space:nowrap" if short else "",
                    "td" if place else "th",
                )
            )
        return found


_UNBROKEN = 34
"""Characters of the longest texts that stay in one line."""


def _text(value: Any) -> str:
    if pd.isna(value):
        return ""
    if isinstance(value, float):
        return f"{value:,.2f}"
    whole = isinstance(value, Integral) and type(value) is not bool
    return f"{value:,}" if whole else str(value)


class Tables:
    """Lists the tables of a project, and describes them by the data dictionary.

    Args:
        datasets: of the tables, by name.
        dictionary: what they mean.
    """

    def __init__(self, datasets: Mapping[str, Any], dictionary: DataDictionary):
        self._datasets = datasets
        self._dictionary = dictionary

    def tables(self, part: str = "") -> pd.DataFrame:
        """All tables: what they are, rows, size in MB, versions, when they were written.

        Args:
            part: of the names; only tables that have it are listed.

        Raises:
            NoSuchTable: no name has it.
        """
        rows = []
        wanted = [name for name in self._datasets if part in name]
        if not wanted:
            namespaces = {name.partition(".")[0] for name in self._datasets}
            check_name(part, [*namespaces, *self._datasets])
        for name in wanted:
            dataset = self._datasets[name]
            versions = dataset.versions()
            newest = versions[0] if versions else None
            table = dataset.table.name if dataset.table else ""
            event = newest and dataset.session.state.events[newest.release]
            rows.append(
                {
                    "table": name,
                    "meaning": self._dictionary.meaning(table),
                    "rows": newest and newest.rows,
                    "MB": newest and round(newest.bytes / 1e6, 2),
                    "versions": len(versions),
                    "written": event and event.released_at[:19].replace("T", " "),
                }
            )
        frame = Listing(rows).astype({"rows": "Int64"})
        return frame.set_index("table")

    def describe(self, name: str) -> pd.DataFrame:
        """The columns of a table: type, whether they may be null, meaning.

        Raises:
            NoSuchTable: there is none of that name.
        """
        check_name(name, self._datasets)
        dataset = self._datasets[name]
        schema = dataset.table.schema if dataset.table else dataset.content().schema
        said = self._dictionary.columns(dataset.table.name) if dataset.table else {}
        return Listing(
            [
                {
                    "column": field.name,
                    "type": str(field.type),
                    "null": field.nullable,
                    "meaning": said.get(field.name, ""),
                }
                for field in schema
            ]
        ).set_index("column")


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
    from kedro.utils import find_kedro_project  # noqa: PLC0415  (start-up)

    here = folder or Path.cwd()
    root = find_kedro_project(here)
    if root is None:
        from dask_etl.run_command import no_project  # noqa: PLC0415  (start-up)

        raise NoSuchTable(no_project(here))
    # Kedro looks for it where the notebook is, when it is imported.
    logs = root / "conf" / "logging.yml"
    if logs.is_file():
        os.environ.setdefault("KEDRO_LOGGING_CONFIG", str(logs))

    from kedro.framework.project import pipelines  # noqa: PLC0415  (start-up)
    from kedro.framework.session import KedroSession  # noqa: PLC0415  (start-up)
    from kedro.framework.startup import bootstrap_project  # noqa: PLC0415  (start-up)

    from dask_etl.cli import find_tables  # noqa: PLC0415  (start-up)
    from dask_etl.engine.cluster import Cluster  # noqa: PLC0415  (start-up)
    from dask_etl.engine.cluster_settings import DaskSettings  # noqa: PLC0415  (start-up)

    bootstrap_project(root)
    context = KedroSession.create(project_path=root, env=env).load_context()
    _close()
    cluster = Cluster(DaskSettings.model_validate(context.config_loader["dask"]))
    _opened.append(cluster)
    datasets = find_tables(context.catalog)
    names = {*context.catalog.keys(), *datasets}
    for pipeline in pipelines.values():
        names |= pipeline.datasets()
    found = Tables(datasets, DataDictionary.of_project(root))
    return {
        "catalog": Catalog(context.catalog, names),
        "client": cluster.client,
        "tables": found.tables,
        "describe": found.describe,
    }
