"""Which source files a run processes, and the moment that each is judged at."""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from pydantic import BaseModel

from dask_etl.datasets.earlier import Earlier
from dask_etl.engine.fingerprint import code_of
from dask_etl.engine.partitions import Description
from dask_etl.errors import ExplainedError
from dask_etl.retail.parameters import Etl
from dask_etl.retail.tables import PROCESSED_FILES
from dask_etl.storage.sources import SourceFile, SourceFiles

STEPS = ("dask_etl.pipelines.etl_dask.nodes",)
"""The modules whose code, with what they import, makes the tables."""

_IRRELEVANT = {"thresholds", "allow_nothing_kept", "label"}
"""Parameters that decide whether a run fails, or what is printed, and no row."""

_WHAT = {
    "code": "the code of the steps",
    "parameters": "parameters",
    "columns": "the columns of the raw files, or their types,",
}


class RefusedRun(ExplainedError, ValueError):
    """A run was to be incremental, or a replay, and cannot be."""


@dataclass(frozen=True, eq=False)
class Batch(Description):
    """The source files of a run.

    Attributes:
        files: all of them, in raw order: ``PROCESSED_FILES``, and ``as_of``, the moment
            that each is judged at.
        new: names of those that are processed; None for all.
        described: which files those are, and why, for people.
        earlier: what the tables held before, which the run adds to; None where it makes
            them anew.
    """

    files: pd.DataFrame
    described: str
    new: frozenset[str] | None = None
    earlier: Earlier | None = None

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do: the tables stay as they are."""
        return self.new is not None and not self.new

    @property
    def as_of(self) -> datetime | dict[str, datetime]:
        """The moment that the files of the run are judged at; by file where they differ."""
        return moments(self.files, self.new)

    @property
    def processed_files(self) -> pa.Table:
        """``PROCESSED_FILES`` after the run."""
        columns = self.files[PROCESSED_FILES.schema.names]
        return pa.Table.from_pandas(
            columns, PROCESSED_FILES.schema, preserve_index=False
        )


def moments(
    files: pd.DataFrame, names: Collection[str] | None = None
) -> datetime | dict[str, datetime]:
    """Return the moment that files are judged at; by file where they differ.

    Args:
        files: as in :class:`Batch`.
        names: of the files that count; None for all.
    """
    chosen = files if names is None else files[files["source_file"].isin([*names])]
    instants = [moment.to_pydatetime() for moment in chosen["as_of"]]
    if len({*instants}) == 1:
        return instants[0]
    return dict(zip(chosen["source_file"], instants, strict=True))


def plan(
    sources: SourceFiles | Sequence[str],
    earlier: Earlier | None,
    as_of: datetime,
    etl: Etl,
    settings: Sequence[BaseModel] = (),
) -> Batch:
    """Decide which source files a run processes, and how each is judged.

    A file once processed stays judged, at the moment that the ledger has for it, as long
    as neither it nor parameters nor code change. Else all files are judged anew.

    Args:
        sources: the raw files in raw order; their names, where no more is known.
        earlier: what the tables held before.
        as_of: the moment that new files are judged at.
        etl: what the person wants.
        settings: parameters that the tables depend on.

    Raises:
        RefusedRun: the run was to be incremental, or a replay, and cannot be.
        StorageError: a file cannot be read.
    """
    if not isinstance(sources, SourceFiles):
        return _anew(_listed(sources, as_of, {}), etl, "its input is not files")
    stamps = {
        "parameters": _digest(settings),
        "columns": _short(str(sources.schema)),
        "code": code_of(STEPS)[:16],
    }
    listed = _listed([file.name for file in sources.files], as_of, stamps)
    listed["bytes"] = [file.bytes for file in sources.files]
    listed["modified"] = [file.modified for file in sources.files]
    if earlier is None:
        listed["checksum"] = sources.checksums(sources.files)
        return _anew(listed, etl, None)
    known = earlier.load("processed_files").to_pandas()
    ledger = earlier.load("row_ledger").to_pandas()
    return _compared(sources, listed, known, ledger, earlier, etl)


def _listed(
    names: Sequence[str], as_of: datetime, stamps: Mapping[str, str]
) -> pd.DataFrame:
    moment = pd.Timestamp(as_of).tz_convert("UTC").as_unit("us")
    unknown = dict.fromkeys(("parameters", "columns", "code"), "")
    return pd.DataFrame({"source_file": pd.Series([*names], dtype=str)}).assign(
        bytes=None,
        checksum=None,
        modified=None,
        first_as_of=moment,
        **{**unknown, **stamps},
        as_of=moment,
    )


def _compared(
    sources: SourceFiles,
    listed: pd.DataFrame,
    known: pd.DataFrame,
    ledger: pd.DataFrame,
    earlier: Earlier,
    etl: Etl,
) -> Batch:
    """Plan a run after others: what is the same, what is new, what stands in the way."""
    before = known.set_index("source_file")
    before["as_of"] = ledger.set_index("source_file")["as_of"]
    is_known = listed["source_file"].isin(before.index)
    changed = _recognise(sources, listed, before, is_known)
    # A file that is still the same keeps the moment that it came first.
    same = is_known & ~listed["source_file"].isin(changed)
    names = listed.loc[same, "source_file"]
    listed.loc[same, "first_as_of"] = before.loc[names, "first_as_of"].to_numpy()
    reason = _reason(listed, before, is_known, changed, etl)
    if etl.replay is not None:
        return _replayed(listed, before, same, ledger, reason, etl)
    if reason is not None:
        return _anew(listed, etl, reason)
    listed.loc[same, "as_of"] = before.loc[names, "as_of"].to_numpy()
    new = listed.loc[~is_known, "source_file"]
    described = (
        f"{len(new)} of {len(listed)} source files are new"
        if len(new)
        else f"None of {len(listed)} source files is new: the tables stay as they are"
    )
    return Batch(listed, described, frozenset(new), earlier)


def _recognise(
    sources: SourceFiles,
    listed: pd.DataFrame,
    before: pd.DataFrame,
    is_known: pd.Series,
) -> list[str]:
    """Fill in the checksums; name the known files whose content is another one.

    A file that has neither another size nor another time of change is not read.
    """
    states = zip(before["bytes"], before["modified"], strict=True)
    state_of = dict(zip(before.index, states, strict=True))
    unread: list[SourceFile] = [
        file
        for file in sources.files
        if file.modified is None
        or state_of.get(file.name) != (file.bytes, file.modified)
    ]
    listed["checksum"] = listed["source_file"].map(before["checksum"])
    read = listed["source_file"].isin([file.name for file in unread])
    listed.loc[read, "checksum"] = sources.checksums(unread)
    entries = before.loc[listed.loc[is_known, "source_file"], ["bytes", "checksum"]]
    found = listed.loc[is_known, ["bytes", "checksum"]].to_numpy()
    differs = (entries.to_numpy() != found).any(axis=1)
    return [*entries.index[differs]]


def _reason(
    listed: pd.DataFrame,
    before: pd.DataFrame,
    is_known: pd.Series,
    changed: Sequence[str],
    etl: Etl,
) -> str | None:
    """Say why the run cannot add to what there is; None if it can."""
    if etl.mode == "full":
        return "etl.mode is full"
    stamps = listed.iloc[0] if len(listed) else before.iloc[0]
    for name, said in _WHAT.items():
        if (before[name] != stamps[name]).any():
            return f"{said} changed since the tables were made"
    if gone := [*before.index.difference(listed["source_file"], sort=False)]:
        return f"{_first(gone)} is gone"
    if changed:
        return f"{_first(changed)} is not the file that it was"
    last = np.flatnonzero(is_known).max(initial=-1)
    late = listed.loc[~is_known & (listed.index < last), "source_file"]
    if len(late):
        return f"{_first([*late])} is new and comes before files that are not"
    return None


def _replayed(
    listed: pd.DataFrame,
    before: pd.DataFrame,
    same: pd.Series,
    ledger: pd.DataFrame,
    reason: str | None,
    etl: Etl,
) -> Batch:
    """Judge files again that have quarantined rows; all others as they were."""
    if etl.mode == "incremental":
        raise RefusedRun(
            "etl.replay reads all rows, and etl.mode is incremental. Run with --params "
            f"etl.mode=auto,etl.replay={etl.replay}"
        )
    column = "rows_rejected" if etl.replay == "any" else etl.replay
    quarantined = ledger.loc[ledger[column] > 0, "source_file"]
    again = listed["source_file"].isin(quarantined)
    if not again.any() and reason is None:
        described = f"No row is quarantined by {column}: the tables stay as they are"
        return Batch(listed, described, frozenset())
    kept = same & ~again
    names = listed.loc[kept, "source_file"]
    listed.loc[kept, "as_of"] = before.loc[names, "as_of"].to_numpy()
    return Batch(
        listed,
        f"{again.sum()} of {len(listed)} source files are judged again, for the rows "
        f"quarantined by {column}",
    )


def _anew(listed: pd.DataFrame, etl: Etl, reason: str | None) -> Batch:
    if etl.mode == "incremental" and reason is not None:
        raise RefusedRun(
            f"etl.mode is incremental, and only a full run would do: {reason}. Run "
            "with --params etl.mode=auto, or mend it."
        )
    return Batch(
        listed,
        f"All {len(listed)} source files are processed: {reason or 'the first run'}",
    )


def _first(names: Sequence[str]) -> str:
    more = len(names) - 1
    return f"{names[0]} (and {more} more)" if more else names[0]


def _digest(settings: Sequence[BaseModel]) -> str:
    return _short(repr([_shown(each) for each in settings]))


def _shown(settings: BaseModel) -> list[tuple[str, Any]]:
    values = settings.model_dump(mode="json", exclude=_IRRELEVANT)
    return sorted(values.items())


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
