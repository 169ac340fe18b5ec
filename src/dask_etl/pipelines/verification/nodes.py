"""Do both engines say exactly the same? Every table, every row, every column.

Columns are compared as wholes first; rows and values only where that finds a difference
or cannot tell.
"""

import logging
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pandas as pd

from dask_etl.retail.tables import COMPARED

from .comparison import as_text, is_same, rows_that_match

_READ_AHEAD = 2

logger = logging.getLogger(__name__)


class EnginesDisagree(Exception):
    """The two engines made different tables of the same transactions."""


def verify_engines(**tables) -> pd.DataFrame:
    """Compare every table of the Dask engine with its pandas twin.

    Args:
        **tables: ``dask_<table>`` and ``pandas_<table>`` for each of ``COMPARED``. Those
            of Dask may be lazy; their partitions are then read one after the other.

    Returns:
        One row per table: rows_dask, rows_pandas, identical, differing_rows, and
        first_difference (null if there is none) with key, column and both values.
    """
    found = pd.DataFrame(
        [
            compare(name, tables[f"dask_{name}"], tables[f"pandas_{name}"])
            for name in COMPARED
        ]
    )
    differing = found.loc[~found["identical"], "table"]
    if differing.empty:
        logger.info("All %d tables of both engines are identical", len(found))
    else:
        logger.warning(
            "Dask and pandas differ in %d of %d tables: %s",
            *(len(differing), len(found), ", ".join(differing)),
        )
    return found


def require_identical(
    verification: pd.DataFrame,
    ledger_dask: pd.DataFrame,
    ledger_pandas: pd.DataFrame,
    *reports: str,
) -> None:
    """Fail the run if the engines differ.

    Args:
        verification: what ``verify_engines`` found.
        ledger_dask: row ledger of the Dask engine, for the moment it judged at.
        ledger_pandas: the same of the pandas engine.
        reports: not read; they make this the last node, so that the reports of a run
            that fails here are on disk and say so.

    Raises:
        EnginesDisagree: naming each table that differs, its first difference, and
            the remedy if the engines judged at different moments.
    """
    differing = verification[~verification["identical"]]
    if differing.empty:
        return
    moments = [
        [as_text(moment) for moment in ledger["as_of"].unique()]
        for ledger in (ledger_dask, ledger_pandas)
    ]
    if moments[0] != moments[1] and all(moments):
        raise EnginesDisagree(
            f"The engines judged the data at different moments: as_of is "
            f"{', '.join(moments[0])} (dask) and {', '.join(moments[1])} (pandas), so "
            "their tables cannot be equal. Run both engines again in one run, or fix "
            "`clock.as_of` in the parameters."
        )
    lines = [
        f"  {row.table}: {row.differing_rows:,} rows differ; {row.first_difference}"
        for row in differing.itertuples()
    ]
    raise EnginesDisagree(
        f"Dask and pandas differ in {len(differing)} of {len(verification)} tables:\n"
        + "\n".join(lines)
    )


def compare(name: str, dask, pandas: pd.DataFrame) -> dict:
    """Compare one table of both engines; a row of the verification table.

    Args:
        name: one of ``COMPARED``; rows without an order are matched by their key.
        dask: the Dask engine's table, a pandas or a lazy Dask DataFrame.
        pandas: the pandas engine's table.
    """
    key = [*COMPARED[name].key]
    if not COMPARED[name].ordered:
        dask, pandas = (t.sort_values(key, kind="stable") for t in (dask, pandas))
    found = _Findings(
        key=key, columns=[c for c in pandas.columns if c in set(dask.columns)]
    )
    rows = 0
    for part in _parts(dask):
        found.add(part, pandas.iloc[rows : rows + len(part)])
        rows += len(part)
    found.add(pandas.iloc[:0], pandas.iloc[rows:])
    columns = _columns_in_one_only(dask, pandas)
    return {
        "table": name,
        "rows_dask": rows,
        "rows_pandas": len(pandas),
        "identical": not (columns or found.differing_rows),
        "differing_rows": found.differing_rows,
        "first_difference": columns or found.first,
    }


def _parts(table) -> Iterator[pd.DataFrame]:
    """A table's rows in order, in pieces that fit in memory.

    Partitions are read in this process, a few ahead of the one being compared: sent
    over from workers they would be read all the same, and copied twice.
    """
    if isinstance(table, pd.DataFrame):
        yield table
        return
    reading: deque[Future] = deque()
    with ThreadPoolExecutor(_READ_AHEAD) as pool:
        for partition in table.to_delayed():
            reading.append(pool.submit(partition.compute, scheduler="synchronous"))
            if len(reading) > _READ_AHEAD:
                yield reading.popleft().result()
        while reading:
            yield reading.popleft().result()


@dataclass
class _Findings:
    """Differences of one table, gathered piece by piece."""

    key: list[str]
    columns: list[str]
    rows: int = 0
    differing_rows: int = 0
    first: str | None = None

    def add(self, dask: pd.DataFrame, pandas: pd.DataFrame):
        """Compare the next rows; those that only the longer one has differ, too."""
        common = min(len(dask), len(pandas))
        self._compare(dask.iloc[:common], pandas.iloc[:common])
        for engine, rest in (("dask", dask[common:]), ("pandas", pandas[common:])):
            if len(rest):
                self.differing_rows += len(rest)
                self.first = self.first or f"{self._name(rest, 0)} is only in {engine}"

    def _compare(self, dask: pd.DataFrame, pandas: pd.DataFrame):
        differs = np.zeros(len(dask), bool)
        culprits = {}
        for column in self.columns:
            if is_same(dask[column], pandas[column]):
                continue
            matches = rows_that_match(dask[column], pandas[column])
            if not matches.all():
                culprits[column] = int(np.argmin(matches))
                differs |= ~matches
        if culprits and self.first is None:
            column = min(culprits, key=culprits.__getitem__)
            row = culprits[column]
            self.first = (
                f"{self._name(pandas, row, but=column)}: {column} is "
                f"{as_text(dask[column].iloc[row])} (dask), "
                f"{as_text(pandas[column].iloc[row])} (pandas)"
            )
        self.rows += len(dask)
        self.differing_rows += int(differs.sum())

    def _name(self, table: pd.DataFrame, row: int, but: str | None = None) -> str:
        """Which row it is: the values of its key, or where it stands."""
        key = [column for column in self.key if column != but and column in table]
        if not key:
            return f"row {self.rows + row}"
        return ", ".join(
            f"{column}={as_text(table[column].iloc[row])}" for column in key
        )


def _columns_in_one_only(dask, pandas: pd.DataFrame) -> str | None:
    texts = [
        f"column {column} is only in {engine}"
        for engine, table, other in (("dask", dask, pandas), ("pandas", pandas, dask))
        for column in table.columns
        if column not in set(other.columns)
    ]
    return "; ".join(texts) or None
