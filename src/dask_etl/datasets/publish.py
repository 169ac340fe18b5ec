"""Write tables that change together: stage all, then commit all."""

import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any

import pandas as pd
import pyarrow as pa

from dask_etl.datasets.table import TableDataset
from dask_etl.engine.execution import execute
from dask_etl.engine.fingerprint import fingerprint
from dask_etl.engine.frames import meta_of, write_frame
from dask_etl.engine.partitions import Lazy, Parts, Unchanged
from dask_etl.engine.scratch import ATTEMPT, Scratch
from dask_etl.errors import StorageError
from dask_etl.storage.delta import Conflict, Content
from dask_etl.storage.files import checksum
from dask_etl.storage.names import new_attempt
from dask_etl.storage.parts import PartFile, PartWriter
from dask_etl.storage.session import Session, refuse_other_release
from dask_etl.storage.store import SCRATCH, Attempt, Staged

logger = logging.getLogger(__name__)

Outputs = Mapping[TableDataset, Any]


@dataclass(frozen=True)
class Work:
    """Tables that are written, and that nobody but their session sees yet.

    Attributes:
        session: whose work it is.
        staged: the tables.
        scratch: what a run that broke off now could go on from.
    """

    session: Session
    staged: tuple[Staged, ...]
    scratch: Scratch | None

    def tidy(self) -> None:
        """Remove what the next run cannot use any more; the commit stands anyway."""
        if self.scratch is None:
            return
        try:
            self.scratch.clear()
        except OSError as error:
            logger.warning(
                "%s: cannot be removed (%s)", self.scratch.location.path, error
            )

    def abandon(self) -> None:
        """Leave the tables as they were before; others may write them."""
        self.session.forget(self.staged)
        _free(each.store for each in self.staged)


def save(dataset: TableDataset, data: Any) -> None:
    """Publish one table, unless this very data was published with others already."""
    if not dataset.is_expected(data):
        publish({dataset: data})


def publish(outputs: Outputs, resume: bool = True) -> None:
    """Write data to datasets, so that readers see all of it or none.

    Lazy tables are computed in one Dask graph. Whatever fails leaves every dataset
    as it was. What an interrupted attempt at the same lazy tables had finished is
    taken over.

    Args:
        outputs: by dataset: a lazy table, a Dask or pandas DataFrame or Arrow table;
            or that the table stays as it is.
        resume: take over the work of an interrupted attempt.

    Raises:
        StorageError: something stands in the way of writing; nothing was changed.
    """
    commit([stage(outputs, resume)])


def stage(
    outputs: Outputs, resume: bool = True, scratch_root: str | None = None
) -> Work:
    """Write data that is committed later; until then the tables' session alone sees it.

    The tables are kept from other writers until the work is committed or abandoned.
    Arguments and errors are those of :func:`publish`.

    Args:
        outputs: as of :func:`publish`.
        resume: the same.
        scratch_root: folder for scratch files, which all workers reach; None for the
            first table's own.
    """
    session = next(iter(outputs)).session
    outputs = {
        d: data for d, data in outputs.items() if not isinstance(data, Unchanged)
    }
    if not outputs:
        return Work(session, (), None)
    for dataset in outputs:
        dataset.check_own()
    stores = [dataset.store for dataset in outputs]
    refuse_other_release(stores)
    try:
        # In one order everywhere: of two runs, one gets all the tables.
        for store in sorted(stores, key=lambda store: store.location.path):
            store.acquire()
        return _stage(outputs, resume, scratch_root)
    except BaseException:
        _free(stores)
        raise


def commit(work: Sequence[Work]) -> None:
    """Put all tables of some pieces of work in force, or none.

    Raises:
        StorageError: something stands in the way; nothing was changed.
    """
    staged = [each for piece in work for each in piece.staged]
    if not staged:
        return
    try:
        refuse_other_release([each.store for each in staged])
        work[0].session.commit(staged)
        for piece in work:
            piece.tidy()
    finally:
        for piece in work:
            piece.abandon()


def _free(stores) -> None:
    for store in stores:
        store.free()


def _stage(outputs: Outputs, resume: bool, scratch_root: str | None) -> Work:
    lazies = {d: data for d, data in outputs.items() if isinstance(data, Lazy)}
    first = next(iter(outputs))
    run_id = first.run_id
    state = first.store.release.read()
    attempts = {
        dataset: dataset.store.begin(run_id, state=state) for dataset in outputs
    }
    for dataset, lazy in lazies.items():
        _check_base(attempts[dataset], lazy)
    homes = {dataset: _scratch_home(dataset, scratch_root) for dataset in outputs}
    scratch = _scratch(lazies, homes, resume, attempts.values())
    for dataset in outputs:
        home = homes[dataset]
        # Where looking costs requests, only where scratch files can be.
        if not home.location.is_local and (
            dataset not in lazies or dataset.store.is_new
        ):
            continue
        # Work that an interrupted run left for another computation.
        if scratch is None or home.location != scratch.location.parent:
            home.clear()
    name = _attempt_name(scratch, attempts.values())
    attempts = {d: replace(attempt, name=name) for d, attempt in attempts.items()}
    writers = {
        dataset: PartWriter(
            dataset.store.location.filesystem,
            dataset.store.location.path,
            name,
            dataset.encodings,
            attempts[dataset].next_number if _is_added(data) else 0,
        )
        for dataset, data in outputs.items()
    }
    written = _write_lazy(lazies, writers, scratch)
    for dataset in outputs.keys() - lazies.keys():
        written[dataset] = _write(dataset, outputs[dataset], writers[dataset])
    staged = tuple(
        attempt.append(written[dataset].parts)
        if _is_added(outputs[dataset])
        else attempt.overwrite(written[dataset])
        for dataset, attempt in attempts.items()
    )
    left = homes[next(iter(lazies))] if lazies else None
    first.session.stage(staged)
    return Work(first.session, staged, left)


def _is_added(data: Any) -> bool:
    """Tell whether parts are added to what a table holds."""
    return isinstance(data, Parts) and data.onto is not None


def _check_base(attempt: Attempt, lazy: Lazy) -> None:
    """Refuse to add to another version of a table than was looked at.

    Raises:
        Conflict: another run committed the table in the meantime.
        StorageError: the table has other columns than what is added.
    """
    if lazy.onto is None:
        return
    path = attempt.store.location.path
    if attempt.base != lazy.onto:
        raise Conflict(
            f"{path}: another run committed this table in the meantime, or it is not "
            "the one that the catalog entry of the earlier tables names; nothing of "
            "this run was. Run again."
        )
    if _is_added(lazy) and not attempt.held.schema.equals(lazy.schema):
        raise StorageError(
            f"{path}: what is to be added has other columns or types than the table. "
            "Write the table anew."
        )


def _scratch(
    lazies: Outputs,
    homes: Mapping[TableDataset, Scratch],
    resume: bool,
    attempts: Collection[Attempt],
) -> Scratch | None:
    """Open the scratch folder of these lazy tables, in the home of the first of them."""
    if not lazies:
        return None
    first = next(iter(lazies))
    home = homes[first]
    scratch = Scratch(home.location.folder(fingerprint(lazies.values())))
    if first.store.is_new and home.location.parent == first.store.location:
        return scratch
    receipt = scratch.receipt(ATTEMPT)
    if not (resume and receipt) or _is_committed(receipt["attempt"], attempts):
        home.clear()
        scratch.location.make()
    return scratch


def _scratch_home(dataset: TableDataset, root: str | None) -> Scratch:
    table = dataset.store.location
    if root is None:
        return Scratch(table.folder(SCRATCH))
    # A folder of the table's own there, which also tells people whose it is.
    name = f"{PurePosixPath(table.path).name}-{checksum(table.uri.encode())}"
    return Scratch(table.elsewhere(root).folder(name))


def _is_committed(name: str, attempts: Collection[Attempt]) -> bool:
    """Tell whether an attempt came to its end, but for the removal of its scratch."""
    return any(
        attempt.is_in_force(name) for attempt in attempts if attempt.base is not None
    )


def _attempt_name(scratch: Scratch | None, attempts: Collection[Attempt]) -> str:
    """Name this attempt; like the interrupted one whose parts it takes over in place."""
    receipt = scratch and scratch.receipt(ATTEMPT)
    if receipt:
        logger.info("Resuming an interrupted run: finished partitions are kept")
        return receipt["attempt"]
    for attempt in attempts:
        # Room is made first of all; but not for parts of which others may be alive.
        if attempt.store.location.is_local:
            attempt.sweep()
    name = new_attempt()
    if scratch is not None:
        scratch.write_receipt(ATTEMPT, {"attempt": name})
    return name


def _write_lazy(
    lazies: Outputs, writers: Mapping[TableDataset, PartWriter], scratch
) -> dict[TableDataset, Content]:
    if not lazies:
        return {}
    parts = execute({lazy: writers[d] for d, lazy in lazies.items()}, scratch)
    return {
        dataset: Content(lazy.schema, tuple(parts[lazy]))
        for dataset, lazy in lazies.items()
    }


def _write(dataset: TableDataset, data: Any, writer: PartWriter) -> Content:
    if not isinstance(data, (pd.DataFrame, pa.Table)) and hasattr(data, "to_delayed"):
        schema = dataset.table_of(meta_of(data)).schema
        return Content(schema, tuple(write_frame(data, schema, writer)))
    parts: list[PartFile] = []
    schema = None
    for number, rows in enumerate(_slices(data, dataset.rows_per_partition)):
        table = dataset.table_of(rows)
        schema = table.schema
        parts.append(writer.write(table, number))
    return Content(schema, tuple(parts))


def _slices(data: Any, rows: int) -> Iterator[Any]:
    if not isinstance(data, pd.DataFrame):
        yield data
        return
    for start in range(0, max(len(data), 1), rows):
        yield data.iloc[start : start + rows]
