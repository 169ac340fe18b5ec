"""The small files in which values are looked up."""

from collections.abc import Mapping
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv, parquet

from dask_etl.errors import ExplainedError
from dask_etl.sources.convert import as_text
from dask_etl.sources.mapping import Column


class MappingError(ExplainedError, ValueError):
    """The mapping names what the source, or a file beside it, does not have."""


def read_lookups(columns: Mapping[str, Column]) -> dict[str, pa.Table]:
    """Read the files in which values are looked up.

    Raises:
        MappingError: what is wrong with them, all of it.
    """
    found, problems = {}, []
    for name, one in columns.items():
        if one.lookup is None:
            continue
        try:
            found[name] = _read_lookup(one.lookup)
        except (OSError, ValueError, LookupError, pa.ArrowException) as error:
            problems.append(f"columns.{name}.lookup: {one.lookup.file}: {error}")
    if problems:
        raise MappingError("\n  ".join(["mapping:", *problems]))
    return found


def _read_lookup(lookup) -> pa.Table:
    with fsspec.open(lookup.file, "rb") as file:
        if lookup.file.endswith((".parquet", ".pq")):
            table = parquet.read_table(file)
        else:
            text = file.read().decode(lookup.encoding).removeprefix("\ufeff").encode()
            table = csv.read_csv(
                pa.BufferReader(text),
                parse_options=csv.ParseOptions(delimiter=lookup.separator),
                convert_options=csv.ConvertOptions(
                    column_types={lookup.key: pa.string(), lookup.value: pa.string()}
                ),
            )
    for column in (lookup.key, lookup.value):
        if column not in table.column_names:
            raise ValueError(
                f"there is no column '{column}'; there are "
                f"{', '.join(table.column_names)}"
            )
    pairs = pa.table(
        {"key": as_text(table[lookup.key]), "value": as_text(table[lookup.value])}
    )
    pairs = pairs.group_by(["key", "value"]).aggregate([]).sort_by("key")
    twice = _twice(pairs["key"])
    if twice is not None:
        raise ValueError(f"the key {twice!r} has more than one value; keep one of them")
    return pairs


def _twice(keys: pa.ChunkedArray) -> Any:
    counted = pa.table({"key": keys}).group_by("key").aggregate([([], "count_all")])
    more = counted.filter(pc.greater(counted["count_all"], 1))
    return more["key"][0].as_py() if len(more) else None
