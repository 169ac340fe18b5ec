"""What one Dask task does: a partition from source to files, or a bucket's merge."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dask_etl.engine.deduplicate import bucket_of
from dask_etl.engine.partitions import Reduction, reductions_in
from dask_etl.engine.scratch import Index, Scratch
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
            task gets, with the names of their scratch files.
        scratch: where partial tables and receipts are.
    """

    name: str
    source: Any
    steps: tuple
    parts: Mapping[str, tuple[PartWriter, pa.Schema]]
    reductions: Sequence[Reduction]
    inputs: Mapping[Reduction, str]
    scratch: Scratch

    def run(self, number: int, item: Any, *values: Any) -> dict[str, dict]:
        """Read, transform and write one partition; or find it done.

        Returns:
            ``parts``, the :class:`PartFile` of every output, as dicts, by name; and
            ``index``, what was written to scratch.
        """
        receipt_name = f"{self.name}-{number:05d}.json"
        receipt = self.scratch.receipt(receipt_name)
        if receipt is not None and self._is_intact(receipt):
            return {"parts": receipt["parts"], "index": receipt["partials"]}
        tables = self.source(item)
        for step, arguments in self.steps:
            tables = step(tables, **self._resolved(arguments, number, values))
        partials = {}
        for reduction in self.reductions:
            name = _partial(self.name, reduction, number)
            partials[name] = self.scratch.write(
                name, _by_bucket(tables.pop(reduction.name), reduction)
            )
        parts = {
            name: asdict(writer.write(_as(tables.pop(name), schema), number))
            for name, (writer, schema) in self.parts.items()
        }
        receipt = {"parts": parts, "partials": partials}
        self.scratch.write_receipt(receipt_name, receipt)
        return {"parts": parts, "index": partials}

    def _is_intact(self, receipt: dict[str, dict]) -> bool:
        for name, written in receipt["partials"].items():
            if not self.scratch.is_intact(name, written):
                return False
        for name, (writer, _) in self.parts.items():
            part = PartFile(**receipt["parts"][name])
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
        name = self.inputs[reduction]
        wanted = ((_result(name, b), number) for b in range(reduction.split_out))
        return pa.concat_tables(self.scratch.read(wanted, value["index"]))


@dataclass(frozen=True, eq=False)
class Merge:
    """What the task of every bucket of a reduction has in common.

    Attributes:
        name: in keys and scratch files.
        stages: the stages that partial tables come from, in their order, and how many
            partitions each has; rows are scattered to those of the last.
        reduction: the table.
        writer: of its parts, where it is an output.
        scratch: where partial tables are.
    """

    name: str
    stages: Sequence[tuple[str, int]]
    reduction: Reduction
    writer: PartWriter | None
    scratch: Scratch

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
        if reduction.scatter and (done := self._done(bucket)):
            return {"index": done}
        partials = self.scratch.read(self._partials(bucket), barrier["index"])
        merged = _fold(reduction, partials)
        if reduction.scatter:
            result = _result(self.name, bucket)
            counts = [count for _, count in self.stages]
            scattered = _scattered(merged, sum(counts[:-1]), counts[-1])
            index = {result: self.scratch.write(result, scattered)}
            self.scratch.write_receipt(f"{result}.json", index)
            return {"index": index}
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

    def _done(self, bucket: int) -> Index | None:
        """Return what an earlier attempt wrote of a bucket, if it is intact."""
        result = _result(self.name, bucket)
        index = self.scratch.receipt(f"{result}.json") or {}
        if result in index and self.scratch.is_intact(result, index[result]):
            return index
        return None

    def _partials(self, bucket: int) -> Iterator[tuple[str, int]]:
        for stage, count in self.stages:
            for number in range(count):
                yield _partial(stage, self.reduction, number), bucket


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
    return _cut(table.take(order), bucket[order], reduction.split_out)


def _scattered(merged: pa.Table, first: int, count: int) -> list[pa.Table]:
    """Give ``count`` partitions, from number ``first`` on, the rows that name them."""
    merged = merged.sort_by("partition")
    numbers = merged["partition"].to_numpy() - first
    return _cut(merged.drop_columns("partition"), numbers, count)


def _cut(table: pa.Table, numbers: np.ndarray, count: int) -> list[pa.Table]:
    """Cut a table into ``count`` slices by the ascending number of each row."""
    starts = np.searchsorted(numbers, np.arange(count + 1))
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


def _partial(stage: str, reduction: Reduction, number: int) -> str:
    return f"{stage}-{reduction.name}-{number:05d}.arrow"


def _result(name: str, bucket: int) -> str:
    return f"{name}-merged-{bucket:05d}.arrow"
