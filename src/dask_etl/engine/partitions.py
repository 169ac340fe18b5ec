"""A computation over partitions, described before it is run.

Steps are plain functions from tables to tables. All steps of a partition run in one
Dask task, so it is read once, and its rows never leave the task except into files::

    rows = Partitions.of(frame, READINGS).map(screen, ...).map(enrich, ...)
    clean = rows.parts("clean", schema)  # a file per partition
    hourly = rows.reduction("hourly", add_up, schema=...)  # one table of them all

Nothing is computed until :func:`dask_etl.engine.execution.execute` gets the outputs,
all together.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from dask_etl.engine.frames import files_of, graph_of, schema_of, to_arrow
from dask_etl.storage.parts import Conform, PartReader
from dask_etl.storage.release import Released
from dask_etl.storage.segments import Partition
from dask_etl.tables import Table

Tables = dict[str, Any]
"""What a step gets and returns: Arrow tables (and other values) by name."""


class Description:
    """What is only described does not change: Kedro's in-memory copies share it."""

    def __deepcopy__(self, memo):
        return self


@dataclass(frozen=True, eq=False)
class Partitions(Description):
    """Partitions of rows and the steps that each goes through.

    Attributes:
        items: what each partition is made from.
        source: makes the first tables of a partition from its item.
        steps: functions ``step(tables, **arguments) -> tables`` and their arguments.
            An argument that is :class:`Reduction` is computed first; see there.
        schema: types of the rows as they are stored, where they are known.
        graph: Dask tasks that items of :class:`ComputedFrame` refer to.
        name: of the tasks, in a word that tells them on Dask's dashboard.
        rows: how many there are in all, where that is known otherwise than from files.
    """

    items: Sequence[Any]
    source: Callable[[Any], Tables]
    steps: tuple[tuple[Callable[..., Tables], Mapping[str, Any]], ...] = ()
    schema: pa.Schema | None = None
    graph: Mapping = field(default_factory=dict, repr=False)
    name: str = "pass"
    rows: int = 0

    @classmethod
    def of(
        cls,
        frame,
        table: Table,
        columns: Sequence[str] | None = None,
        name: str = "pass",
    ) -> "Partitions":
        """Take the partitions of a Dask DataFrame.

        Frames loaded by :class:`dask_etl.datasets.DaskParquetDataset` are read
        straight from their files as Arrow; any other Dask DataFrame is computed
        partition by partition, its rows numbered within their partition.

        Args:
            frame: the Dask DataFrame.
            table: what its rows are. Text of few distinct values comes as codes.
            columns: the columns to read; None for all.
            name: of the tasks, as people see them.
        """
        found = files_of(frame)
        if found is None:
            schema = schema_of(frame, table)
            chosen = _chosen(table, schema, columns)
            graph, keys = graph_of(frame, chosen.names)
            computed = [
                ComputedFrame(key, f"partition-{number:05d}")
                for number, key in enumerate(keys)
            ]
            source = ReadFrame(chosen, table.conform)
            return cls(computed, source, (), schema, graph, name)
        reader, items = found
        chosen = _chosen(table, reader.schema, columns)
        read = ReadFiles(replace(reader, schema=chosen))
        return cls(items, read, (), reader.schema, name=name)

    def count_rows(self) -> int:
        """Return the number of rows where the files tell it; else 0."""
        return sum(self._rows_in_files())

    def rows_each(self) -> list[int]:
        """Return the number of rows of every partition; none where it is not known."""
        if isinstance(self.source, ReadFiles):
            return self._rows_in_files()
        if not self.rows:
            return []
        # Of those that are yet to be made, the last is what is left.
        each = -(-self.rows // len(self.items))
        return [min(each, self.rows - i * each) for i in range(len(self.items))]

    def _rows_in_files(self) -> list[int]:
        if not isinstance(self.source, ReadFiles):
            return []
        return [sum(segment.rows for segment in item) for item in self.items]

    def only(self, names: Collection[str]) -> "Partitions":
        """Leave out the rows of all files but those with these names."""
        kept = [
            tuple(segment for segment in item if segment.name in names)
            for item in self.items
        ]
        return replace(self, items=[item for item in kept if item])

    def map(self, step: Callable[..., Tables], **arguments: Any) -> "Partitions":
        """Append a step."""
        return replace(self, steps=(*self.steps, (step, arguments)))

    def parts(
        self, name: str, written: pa.Schema, onto: Released | None = None
    ) -> "Parts":
        """Name a table of every partition to be written as one part each."""
        return Parts(self, name, written, onto)

    def reduction(
        self,
        name: str,
        combine: Callable[[Sequence[pa.Table]], pa.Table],
        **options: Any,
    ) -> "Reduction":
        """Name a table of every partition to be merged; see :class:`Reduction`."""
        return Reduction(self, name, combine, **options)


def first_few(files: Iterable[str]) -> str:
    """List the names of files, each once; of many, the first."""
    names = list(dict.fromkeys(files))
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" * (len(names) > 3))


@dataclass(frozen=True)
class Origin:
    """Where the rows of a partition stood: (file name, first row, rows) in order."""

    segments: tuple[tuple[str, int, int], ...]

    def __str__(self) -> str:
        """Name the files, the first few of many."""
        return first_few(name for name, _, _ in self.segments)

    def locate(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return, for row numbers of the partition, segment numbers and file rows."""
        starts = np.cumsum([0, *(segment[2] for segment in self.segments)])
        segment = np.searchsorted(starts, rows, side="right") - 1
        first_rows = np.array([segment[1] for segment in self.segments], np.int64)
        return segment, rows - starts[segment] + first_rows[segment]


@dataclass(frozen=True)
class ReadFiles:
    """Source of partitions that are files."""

    reader: PartReader

    def __call__(self, partition: Partition) -> Tables:
        """Read ``rows`` and tell their ``origin``."""
        origin = Origin(tuple((s.name, s.first_row, s.rows) for s in partition))
        return {"rows": self.reader.read(partition), "origin": origin}


@dataclass(frozen=True)
class ComputedFrame:
    """A partition that another Dask task computes: its key, and a name for it."""

    key: Any
    name: str


@dataclass(frozen=True)
class ReadFrame:
    """Source of partitions of any Dask DataFrame."""

    schema: pa.Schema
    conform: Conform | None = None

    def __call__(self, item: tuple[pd.DataFrame, str]) -> Tables:
        """Convert a computed partition to ``rows``, numbered from 0."""
        frame, name = item
        rows = to_arrow(frame, self.schema, name, self.conform)
        return {"rows": rows, "origin": Origin(((name, 0, len(rows)),))}


def _chosen(
    table: Table, schema: pa.Schema, columns: Sequence[str] | None
) -> pa.Schema:
    encoded = table.with_labels(schema)
    return pa.schema([encoded.field(name) for name in columns or encoded.names])


@dataclass(frozen=True, eq=False)
class Parts(Description):
    """A lazy table of one part per partition, in their order.

    Attributes:
        partitions: where the parts come from.
        name: of the parts among the tables of the last step.
        schema: of the parts.
        onto: the version of the table that the parts are added to, and no other; None
            where they are all that it will hold.
    """

    partitions: Partitions
    name: str
    schema: pa.Schema
    onto: Released | None = None


@dataclass(frozen=True, eq=False)
class Reduction(Description):
    """A lazy table merged from a table of every partition, bucket by bucket.

    The partial tables pass through scratch files, so memory is bounded by a bucket.

    Attributes:
        partitions: where the partial tables come from.
        name: their name among the tables of the last step.
        combine: merges partial tables, given in the order of the partitions.
        schema: of the finished table, where it is to be written.
        split_by: the column whose equal values share a bucket.
        split_out: how many buckets.
        associative: ``combine`` may be applied to its own results, a few partials at
            a time; else it gets all partials of a bucket at once.
        aggregate: makes of a bucket's merged table what is wanted in the end.
        arguments: keywords of ``aggregate``; other :class:`Reduction` are computed first.
        scatter: as the argument of a step, each partition gets the rows whose
            ``partition`` column names it (of all buckets); else every partition gets
            the finished value itself.
        earlier: other partitions, whose partial tables come before the others; they
            are no target of ``scatter``.
        onto: the version of the table that went into this one, which takes the place
            of that version and of no other.
    """

    partitions: Partitions
    name: str
    combine: Callable[[Sequence[pa.Table]], pa.Table]
    schema: pa.Schema | None = None
    split_by: str | None = None
    split_out: int = 1
    associative: bool = True
    aggregate: Callable[..., Any] | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    scatter: bool = False
    earlier: tuple[Partitions, ...] = ()
    onto: Released | None = None

    @property
    def sources(self) -> tuple[Partitions, ...]:
        """All partitions that partial tables come from, in their order."""
        return (*self.earlier, self.partitions)


Lazy = Parts | Reduction


class Unchanged(Description):
    """In the place of a lazy table: the table stays as it is."""


UNCHANGED = Unchanged()


def reductions_in(arguments: Mapping[str, Any]) -> dict[str, Reduction]:
    """Return those arguments of a step or of an aggregation that are computed first."""
    return {
        name: value for name, value in arguments.items() if isinstance(value, Reduction)
    }
