"""A source on trial: what it is, a sample of it, and what the rules would say of that."""

import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from dask_etl.errors import ExplainedError
from dask_etl.retail.mapping import Mapping as RawMapping
from dask_etl.retail.parameters import Cleaning, Currency
from dask_etl.retail.rules import broke, broken_rules, is_rejected
from dask_etl.retail.schema import RULES
from dask_etl.sources import (
    CsvSource,
    DeltaSource,
    ExcelSource,
    JsonLinesSource,
    ParquetSource,
)
from dask_etl.sources.batch import Rows
from dask_etl.sources.csv import CsvFiles
from dask_etl.sources.detect import delimited
from dask_etl.sources.files import find_files
from dask_etl.sources.ingest import map_rows
from dask_etl.sources.text import Text, compression_of

SAMPLE_ROWS = 20_000
"""Rows that are looked at and judged."""

_LOOKED_AT = 64 << 20
"""Bytes in which an encoding shows itself."""

_KINDS: Mapping[str, tuple[type, tuple[str, ...]]] = {
    "JsonLinesSource": (JsonLinesSource, (".jsonl", ".ndjson", ".json")),
    "ExcelSource": (ExcelSource, (".xlsx", ".xlsm")),
    "ParquetSource": (ParquetSource, (".parquet", ".parq", ".pq")),
    "CsvSource": (CsvSource, (".csv", ".tsv", ".txt", ".psv")),
}


class NotAdopted(ExplainedError, ValueError):
    """A path holds no data that could be adopted."""


@dataclass(frozen=True)
class Found:
    """A source that was found at a path.

    Attributes:
        entry: what the catalog says of it.
        source: its description.
        is_sure: whether there is no doubt about its encoding.
    """

    entry: dict[str, Any]
    source: Any
    is_sure: bool = True


def find_source(paths: Sequence[str]) -> Found:
    """Tell what the data at some paths are.

    Raises:
        NotAdopted: nothing that is known.
    """
    path = _one_path(paths)
    folder = DeltaSource(filepath=path)
    if folder._filesystem.isdir(posixpath.join(folder._path, "_delta_log")):
        return Found(
            {"type": "dask_etl.sources.DeltaSource", "filepath": path}, folder.load()
        )
    for name, (kind, suffixes) in _KINDS.items():
        packed = (
            *suffixes,
            *(f"{s}{p}" for s in suffixes for p in (".gz", ".zst", ".bz2", ".xz")),
        )
        try:
            files = find_files(folder._filesystem, folder._path, packed)
        except ExplainedError:
            continue
        if not any(file.path.lower().endswith(packed) for file in files):
            continue
        entry: dict[str, Any] = {"type": f"dask_etl.sources.{name}", "filepath": path}
        is_sure = True
        if kind is CsvSource:
            text = Text(folder._filesystem, files[0], compression_of(files[0].path))
            content = next(text.blocks(_LOOKED_AT), b"")
            seen = delimited(content, files[0].path)
            entry |= {"separator": seen.separator, "encoding": seen.encoding}
            is_sure = seen.is_sure
        return Found(
            entry,
            kind(**{k: v for k, v in entry.items() if k != "type"}).load(),
            is_sure,
        )
    raise NotAdopted(
        f"{path}: nothing here that is known: CSV, JSON lines, Excel, Parquet or a Delta "
        "Lake table. For a database or an API write the environment by hand "
        "(docs/your-own-data.md)."
    )


def _one_path(paths: Sequence[str]) -> str:
    """Bring several paths to one, a pattern; refuse those that none fits."""
    if len(paths) == 1:
        return paths[0].rstrip("/")
    folders = {posixpath.dirname(path) for path in paths}
    endings = {posixpath.splitext(path)[1] for path in paths}
    if len(folders) > 1 or len(endings) > 1:
        raise NotAdopted(
            "the paths are of several folders or kinds; put the files of one source into "
            "a folder of their own, and give that"
        )
    return posixpath.join(folders.pop(), f"*{endings.pop()}")


def sample_of(source: Any) -> list[Rows]:
    """Read the first rows of a source, as it has them, with all columns."""
    columns = source.columns()
    if isinstance(source, CsvFiles):
        return source.sample(columns)
    batch = source.plan(columns, [], (), "full")
    pieces: list[Rows] = []
    for item in batch.items:
        pieces += batch.read(item)
        if sum(len(piece.table) for piece in pieces) >= SAMPLE_ROWS:
            break
    return pieces


def joined(pieces: Sequence[Rows]) -> pa.Table:
    """Join the rows of several pieces, the first of them."""
    tables = [piece.table for piece in pieces if len(piece.table)]
    if not tables:
        raise NotAdopted("the data have no rows that could be looked at")
    table = pa.concat_tables(tables, promote_options="permissive")
    return table.slice(0, SAMPLE_ROWS)


@dataclass(frozen=True)
class Outcome:
    """What would become of a sample.

    Attributes:
        rows: the rows as they would be written.
        lines: how many were read.
        kept: how many would be sales, or returns.
        problems: by rule: how many lines, and an example of one.
    """

    rows: pa.Table
    lines: int
    kept: int
    problems: Mapping[str, tuple[int, str]]


def try_out(
    pieces: Sequence[Rows], mapping: RawMapping, cleaning: Cleaning, currency: Currency
) -> Outcome:
    """Map a sample and apply the cleaning rules to it, as a run would now."""
    mapped = map_rows(
        {"pieces": pieces}, mapping.plan(), mapping.fields(), ["sample"] * 1000, None
    )
    rows: pa.Table = mapped["rows"]
    problems: dict[str, tuple[int, str]] = {}
    for one in mapped["rejected"].to_pylist():
        count, example = problems.get(one["rule"], (0, ""))
        shown = f"{one['column']}: {one['value']}" if one["column"] else one["text"]
        problems[one["rule"]] = (count + 1, example or f"line {one['line']}: {shown}")
    flags = broken_rules(rows, datetime.now(UTC), cleaning, currency)
    rejected = is_rejected(flags)
    for rule in RULES:
        broken = np.flatnonzero(broke(flags, rule) & rejected)
        if len(broken):
            problems[rule] = (len(broken), _shown(rows, int(broken[0])))
    ids = pd.Series(rows["transaction_id"].to_pandas())[~rejected]
    copies = ids.index[ids.duplicated()]
    if len(copies):
        problems[RULES[-1]] = (len(copies), _shown(rows, int(copies[0])))
    lines = sum(len(piece.table) + len(piece.rejected) for piece in pieces)
    kept = len(rows) - int(rejected.sum()) - len(copies)
    return Outcome(rows, lines, kept, problems)


def _shown(rows: pa.Table, row: int) -> str:
    values = rows.slice(row, 1).to_pylist()[0]
    some = ("transaction_id", "amount", "quantity", "discount", "timestamp")
    return ", ".join(
        f"{name} {values[name]}" for name in some if values.get(name) is not None
    )
