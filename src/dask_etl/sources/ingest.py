"""An ingestion described: every item of a batch is read, mapped and counted by one task."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from dask_etl.engine.deduplicate import buckets_for
from dask_etl.engine.partitions import Partitions, Parts, Reduction, Tables
from dask_etl.sources.batch import Batch, Rejected, Rows, Unit
from dask_etl.sources.mapped import Plan, Problem, apply, composed
from dask_etl.sources.tables import (
    COUNTS,
    INGESTION_LEDGER,
    LINE_RULES,
    REJECTED_LINES,
)
from dask_etl.storage.arrays import as_array
from dask_etl.storage.release import Released

logger = logging.getLogger(__name__)

_BYTES_PER_ROW = 50
"""A guess, to tell how many buckets rows need that must be numbered together."""


@dataclass(frozen=True)
class ReadItem:
    """Source of partitions that are items of a batch."""

    read: Callable[[Any], Sequence[Rows]]

    def __call__(self, item: Any) -> Tables:
        """Read ``pieces``: rows as the source has them."""
        return {"pieces": self.read(item)}


def describe(
    batch: Batch,
    plan: Plan,
    fields: Mapping[str, pa.DataType],
    before: pd.DataFrame,
    onto: Mapping[str, Released],
    reading: str,
    check: Callable[[pd.DataFrame], None],
) -> tuple[Parts, Parts, Reduction]:
    """Name the tables of an ingestion; they are computed together, in one pass.

    Args:
        batch: what is read.
        plan: how it is mapped.
        fields: the columns of the table that is written, in order. Those that are not
            mapped are null.
        before: the ledger of what was taken in before, to which this is added.
        onto: the versions that are added to, by table: ``rows``, ``rejected_lines``,
            ``ingestion_ledger``; none where all is written anew.
        reading: names source, mapping and code, for the ledger.
        check: refuses a ledger (of this batch) that it does not like.

    Returns:
        The lazy table itself, ``rejected_lines`` and ``ingestion_ledger``.
    """
    rows = Partitions([*batch.items] or [()], ReadItem(batch.read))
    offsets = None
    if plan.numbered:
        size = sum(unit.bytes or 0 for unit in batch.units)
        offsets = rows.map(count_keys, plan=plan).reduction(
            "keys",
            running_counts,
            split_by="key",
            split_out=buckets_for(size // _BYTES_PER_ROW),
            associative=False,
            scatter=True,
        )
    names = tuple(unit.name for unit in batch.units)
    mapped = rows.map(
        map_rows, plan=plan, fields=dict(fields), names=names, offsets=offsets
    )
    return (
        mapped.parts("rows", pa.schema(dict(fields)), onto.get("rows")),
        mapped.parts("rejected", REJECTED_LINES.schema, onto.get(REJECTED_LINES.name)),
        mapped.reduction(
            "counts",
            add_counts,
            schema=INGESTION_LEDGER.schema,
            aggregate=finish_ledger,
            onto=onto.get(INGESTION_LEDGER.name),
            arguments={
                "units": tuple(batch.units),
                "before": pa.Table.from_pandas(
                    before, INGESTION_LEDGER.schema, preserve_index=False
                ),
                "reading": reading,
                "check": check,
            },
        ),
    )


def map_rows(
    tables: Tables,
    plan: Plan,
    fields: Mapping[str, pa.DataType],
    names: Sequence[str],
    offsets: pa.Table | None,
) -> Tables:
    """Map the pieces of an item, leave out what is no row, and count both.

    Returns:
        ``rows`` (the table that is written), ``rejected`` (``REJECTED_LINES``) and
        ``counts`` by unit.
    """
    pieces: Sequence[Rows] = tables["pieces"]
    numbers = _numbers(pieces, plan, offsets)
    made, refused, counts = [], [], []
    for piece, numbered in zip(pieces, numbers, strict=True):
        mapped, problems = apply(piece.table, plan, numbered)
        rejected, is_bad = _rejected(piece, problems)
        kept = mapped.filter(pa.array(~is_bad)) if is_bad.any() else mapped
        made.append(_as_written(kept, fields))
        refused.append(_as_table(rejected, names[piece.unit]))
        counts.append(_counts(piece, rejected, len(kept)))
    return {
        "rows": pa.concat_tables(
            [pa.schema(dict(fields)).empty_table(), *made]
        ).combine_chunks(),
        "rejected": pa.concat_tables([_as_table([], ""), *refused])
        .unify_dictionaries()
        .combine_chunks(),
        "counts": pa.Table.from_pylist(counts, _COUNTS),
    }


_COUNTS = pa.schema([("unit", pa.int64()), *((name, pa.int64()) for name in COUNTS)])


def _rejected(
    piece: Rows, problems: Sequence[Problem]
) -> tuple[list[Rejected], np.ndarray]:
    """List what is wrong with the lines of a piece, and tell its rows that go."""
    is_bad = np.zeros(len(piece.table), bool)
    for problem in problems:
        is_bad[problem.rows] = True
    bad = np.flatnonzero(is_bad)
    if not len(bad):
        return [*piece.rejected], is_bad
    lines, texts = piece.place(bad)
    of_row = dict(zip(bad.tolist(), zip(lines, texts, strict=True), strict=True))
    found = [
        Rejected(of_row[row][0], each.rule, of_row[row][1], each.column, value)
        for each in problems
        for row, value in zip(each.rows.tolist(), each.values, strict=True)
    ]
    return sorted([*piece.rejected, *found], key=lambda one: one.line), is_bad


def _as_table(rejected: Sequence[Rejected], name: str) -> pa.Table:
    columns = {
        "source_file": [name] * len(rejected),
        "line": [one.line for one in rejected],
        "rule": [one.rule for one in rejected],
        "column": [one.column for one in rejected],
        "value": [one.value for one in rejected],
        "text": [one.text for one in rejected],
    }
    schema = REJECTED_LINES.schema
    return pa.table(
        [
            pa.array(
                columns[field.name],
                field.type.value_type
                if pa.types.is_dictionary(field.type)
                else field.type,
            ).cast(field.type)
            for field in schema
        ],
        schema=schema,
    )


def _counts(piece: Rows, rejected: Sequence[Rejected], written: int) -> dict[str, int]:
    lines = {one.line for one in rejected}
    by_rule = {
        rule: len({one.line for one in rejected if one.rule == rule})
        for rule in LINE_RULES
    }
    return {
        "unit": piece.unit,
        "lines_read": len(piece.table) + len(piece.rejected),
        "rows_written": written,
        "lines_rejected": len(lines),
        **by_rule,
    }


def _as_written(mapped: pa.Table, fields: Mapping[str, pa.DataType]) -> pa.Table:
    return pa.table(
        [
            mapped[name].cast(kind)
            if name in mapped.column_names
            else pa.nulls(len(mapped), kind)
            for name, kind in fields.items()
        ],
        schema=pa.schema(dict(fields)),
    )


def add_counts(partials: Sequence[pa.Table]) -> pa.Table:
    """Add up the counts of several items, by unit."""
    counts = pa.concat_tables(partials).group_by("unit", use_threads=False)
    summed = counts.aggregate([(name, "sum") for name in COUNTS])
    return summed.rename_columns(["unit", *COUNTS]).cast(_COUNTS)


def finish_ledger(
    merged: pa.Table,
    units: Sequence[Unit],
    before: pa.Table,
    reading: str,
    check: Callable[[pd.DataFrame], None],
) -> pa.Table:
    """Complete the ledger; refuse one out of balance or past a threshold."""
    found = {row["unit"]: row for row in merged.to_pylist()}
    nothing = dict.fromkeys(COUNTS, 0)
    rows = [
        {
            **{name: (found.get(number) or nothing)[name] for name in COUNTS},
            "source_file": unit.name,
            "checksum": unit.checksum,
            "bytes": unit.bytes,
            "modified": unit.modified,
            "cursor": unit.cursor,
            "reading": reading,
        }
        for number, unit in enumerate(units)
    ]
    ledger = pa.Table.from_pylist(rows, INGESTION_LEDGER.schema)
    frame = ledger.to_pandas()
    lost = frame["lines_read"] - frame["rows_written"] - frame["lines_rejected"]
    if (lost != 0).any():
        files = frame.loc[lost != 0, "source_file"].tolist()
        raise RuntimeError(
            f"the ledger of the ingestion does not balance for {files[:5]}: "
            f"{int(lost.abs().sum()):,} lines unaccounted for"
        )
    check(frame)
    return pa.concat_tables([before, ledger]).combine_chunks()


# -- numbers of rows among their like --------------------------------------------


def count_keys(tables: Tables, plan: Plan) -> Tables:
    """Count the rows of an item by the text that they are numbered within."""
    found = []
    for column in plan.numbered:
        keys = _keys(tables["pieces"], plan, column)
        if len(keys):
            counted = pa.table({"key": keys}).group_by("key", use_threads=False)
            found.append(
                counted.aggregate([([], "count_all")]).select(["key", "count_all"])
            )
    return {
        "keys": pa.concat_tables([_KEYS.empty_table(), *(t.cast(_KEYS) for t in found)])
    }


_KEYS = pa.schema([("key", pa.string()), ("count_all", pa.int64())])


def running_counts(counts: Sequence[pa.Table]) -> pa.Table:
    """Tell, for each partition and key of a bucket, how many rows came before."""
    frame = pa.concat_tables(counts).to_pandas()
    starts = np.cumsum([0, *map(len, counts)])
    frame["partition"] = np.searchsorted(starts, np.arange(len(frame)), "right") - 1
    summed = frame.groupby("key", sort=False)["count_all"].cumsum()
    frame["before"] = summed - frame["count_all"]
    kept = frame[frame["before"] > 0]
    return pa.table(
        {
            "partition": pa.array(kept["partition"].to_numpy().astype(np.int32)),
            "key": pa.array(kept["key"].to_numpy(), pa.string()),
            "before": pa.array(kept["before"].to_numpy().astype(np.int64)),
        }
    )


def _keys(pieces: Sequence[Rows], plan: Plan, column: str) -> pa.Array:
    """Name what the rows of some pieces are numbered within: column, unit, text."""
    one = plan.columns[column]
    made = [
        pc.binary_join_element_wise(
            f"{column}\x1f{piece.unit}",
            pc.fill_null(composed(piece.table, one, plan.writing), "\x1e"),
            "\x1f",
        )
        for piece in pieces
    ]
    return pa.concat_arrays([pa.array([], pa.string()), *map(as_array, made)])


def _numbers(
    pieces: Sequence[Rows], plan: Plan, offsets: pa.Table | None
) -> list[dict[str, np.ndarray]]:
    """Number the rows of each piece among their like of the whole file, from 1."""
    found: list[dict[str, np.ndarray]] = [{} for _ in pieces]
    ends = np.cumsum([len(piece.table) for piece in pieces])
    for column in plan.numbered:
        coded = _keys(pieces, plan, column).dictionary_encode()
        codes = coded.indices.to_numpy()
        numbers = pd.Series(codes).groupby(codes).cumcount().to_numpy() + 1
        if offsets is not None and len(offsets) and len(coded):
            places = pc.index_in(coded.dictionary, as_array(offsets["key"]))
            before = pc.fill_null(as_array(offsets["before"]).take(places), 0)
            numbers = numbers + before.to_numpy()[codes]
        for each, part in zip(found, np.split(numbers, ends[:-1]), strict=True):
            each[column] = part
    return found
