"""What one Dask task does: a partition from source to files, or a bucket's merge."""

import bisect
import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dask_etl.engine.deduplicate import bucket_of
from dask_etl.engine.partitions import Reduction, reductions_in
from dask_etl.engine.scratch import Scratch
from dask_etl.storage.arrays import as_array, take
from dask_etl.storage.files import checksum, get
from dask_etl.storage.parts import PartFile, PartWriter

FOLD_BYTES = 128 << 20
"""Size of the partial tables that are merged at a time."""


@dataclass(frozen=True, eq=False)
class Stage:
    """What the task of every partition has in common.

    Attributes:
        name: of the stage, in keys and scratch files.
        source: makes the first tables of a partition.
        steps: functions and their arguments, as in :class:`Partitions`.
        parts: writers of the tables that are outputs, by name.
        reductions: the tables that go to scratch.
        inputs: merged arguments of the steps, in the order of the values that the
            task gets, with the names of their scratch files, and the blocks that
            those are for (:mod:`dask_etl.engine.blocks`), if any.
        scratch: where partial tables and receipts are.
        known: the scratch files that were there before; None where each task looks.
        in_blocks: whether partial tables are joined before they are merged.
    """

    name: str
    source: Any
    steps: tuple
    parts: Mapping[str, tuple[PartWriter, pa.Schema]]
    reductions: Sequence[Reduction]
    inputs: Mapping[Reduction, tuple[str, Sequence[int]]]
    scratch: Scratch
    known: Collection[str] | None = None
    in_blocks: bool = False

    def run(self, number: int, item: Any, *values: Any) -> dict[str, dict]:
        """Read, transform and write one partition; or find it done.

        Returns:
            ``parts``, the :class:`PartFile` of every output, as dicts, by name; and
            ``index``, what was written to scratch.
        """
        name = file_name(self.name, number)
        if self.known is None or name in self.known:
            receipt = self.scratch.done(name)
            if receipt is not None and self._has_parts(receipt["parts"]):
                return self._report(name, receipt["parts"], receipt["records"])
        tables = self.source(item)
        for step, arguments in self.steps:
            tables = step(tables, **self._resolved(arguments, number, values))
        parts = {
            part: asdict(writer.write(_as(tables.pop(part), schema), number))
            for part, (writer, schema) in self.parts.items()
        }
        records = self.scratch.write(name, self._partials(tables), {"parts": parts})
        return self._report(name, parts, records)

    def _report(self, name: str, parts: dict, records: str) -> dict[str, dict]:
        # Blocks find what they need in the file itself.
        return {"parts": parts, "index": {} if self.in_blocks else {name: records}}

    def _partials(self, tables: dict[str, pa.Table]) -> Iterator[pa.Table]:
        for reduction in self.reductions:
            yield from _by_bucket(tables.pop(reduction.name), reduction)

    def _has_parts(self, parts: dict[str, dict]) -> bool:
        for name, (writer, _) in self.parts.items():
            part = PartFile(**parts[name])
            try:
                content = get(writer.filesystem, f"{writer.folder}/{part.name}")
            except OSError:
                return False
            if len(content) != part.bytes or checksum(content) != part.checksum:
                return False
        return True

    def _resolved(self, arguments: Mapping, number: int, values: Sequence) -> dict:
        return {
            name: self._value(argument, number, values)
            if isinstance(argument, Reduction)
            else argument
            for name, argument in arguments.items()
        }

    def _value(self, reduction: Reduction, number: int, values: Sequence) -> Any:
        value = values[list(self.inputs).index(reduction)]
        if not reduction.scatter:
            return value
        index = value["index"]
        merged, blocks = self.inputs[reduction]
        if blocks:
            [name] = index
            first = blocks[bisect.bisect_right(blocks, number) - 1]
            wanted = [(name, number - first)]
        else:
            wanted = [
                (file_name(merged, bucket), number)
                for bucket in range(reduction.split_out)
            ]
        found = pa.concat_tables(self.scratch.read(wanted, index))
        return found.drop_columns("partition")


@dataclass(frozen=True, eq=False)
class Merge:
    """What the task of every bucket of a reduction has in common.

    Attributes:
        name: in keys and scratch files.
        partials: where partial tables are, in their order: names of the files before
            their numbers, how many of them, and the position of the first bucket.
        reduction: the table.
        writer: of its parts, where it is an output.
        scratch: where partial tables are.
        pieces: of a scattered table, the numbers of the partitions that its tables
            begin with, and of the one after the last.
        known: the scratch files that were there before; None where each task looks.
    """

    name: str
    partials: Sequence[tuple[str, int, int]]
    reduction: Reduction
    writer: PartWriter | None
    scratch: Scratch
    pieces: Sequence[int] = ()
    known: Collection[str] | None = None

    def run(self, bucket: int, barrier: Mapping, *values: Any) -> Any:
        """Merge the bucket's partial tables and finish the result.

        Args:
            bucket: its number.
            barrier: ``index``, what the stages wrote to scratch.
            *values: the merged arguments of ``aggregate``.

        Returns:
            The finished value; the written :class:`PartFile` as a dict for an output;
            of a scattered table, which goes to scratch, its ``index``.
        """
        reduction = self.reduction
        name = file_name(self.name, bucket)
        if reduction.scatter and (self.known is None or name in self.known):
            receipt = self.scratch.done(name)
            if receipt is not None:
                return {"index": {name: receipt["records"]}}
        wanted = (
            (file_name(stage, number), first + bucket)
            for stage, count, first in self.partials
            for number in range(count)
        )
        merged = _fold(reduction, self.scratch.read(wanted, barrier["index"]))
        if reduction.scatter:
            records = self.scratch.write(name, scattered(merged, self.pieces))
            return {"index": {name: records}}
        if reduction.aggregate is not None:
            needed = reductions_in(reduction.arguments)
            arguments = {
                **reduction.arguments,
                **dict(zip(needed, values, strict=True)),
            }
            merged = reduction.aggregate(merged, **arguments)
        if self.writer is None:
            return merged
        return asdict(self.writer.write(merged, bucket))


def _fold(reduction: Reduction, partials: Iterator[pa.Table]) -> pa.Table:
    if not reduction.associative:
        return reduction.combine(list(partials))
    group: list[pa.Table] = []
    fresh = 0
    for partial in partials:
        group.append(partial)
        fresh += partial.nbytes
        if fresh > FOLD_BYTES:
            group, fresh = [reduction.combine(group)], 0
    return reduction.combine(group)


def _by_bucket(table: pa.Table, reduction: Reduction) -> list[pa.Table]:
    if reduction.split_out == 1:
        return [table]
    bucket = bucket_of(table[reduction.split_by], reduction.split_out)
    # numpy sorts 16-bit numbers by radix: linear, and equal ones keep their order.
    order = np.argsort(bucket, kind="stable")
    ordered = pa.table(
        [take(as_array(column), order) for column in table.columns], schema=table.schema
    )
    return _cut(ordered, bucket[order], range(reduction.split_out + 1))


def scattered(merged: pa.Table, pieces: Sequence[int]) -> list[pa.Table]:
    """Cut a table by its column ``partition``: where each piece begins, and the end."""
    merged = merged.sort_by("partition")
    return _cut(merged, merged["partition"].to_numpy(), pieces)


def _cut(table: pa.Table, numbers: np.ndarray, bounds: Sequence[int]) -> list[pa.Table]:
    """Cut a table by the ascending number of each row: where slices begin, and the end."""
    starts = np.searchsorted(numbers, bounds)
    return [
        table.slice(start, stop - start) for start, stop in itertools.pairwise(starts)
    ]


def _as(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Bring a step's table to the schema of the output, column by column."""
    return pa.table(
        [
            table[field.name]
            if table.schema.field(field.name).type == field.type
            else pc.cast(table[field.name], field.type)
            for field in schema
        ],
        schema=schema,
    )


def file_name(of: str, number: int) -> str:
    """Name a scratch file: of a stage's partition, a merge's bucket, or a block."""
    return f"{of}-{number:05d}.arrow"
