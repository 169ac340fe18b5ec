"""Write the outputs of one node together: stage all, then commit all."""

import logging
import posixpath
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd
import pyarrow as pa

from dask_etl.datasets.parquet import VersionedParquetDataset
from dask_etl.engine.execution import execute
from dask_etl.engine.fingerprint import fingerprint
from dask_etl.engine.frames import write_frame
from dask_etl.engine.partitions import Lazy
from dask_etl.engine.scratch import ATTEMPT, Scratch
from dask_etl.errors import StorageError
from dask_etl.storage.parts import PartFile, PartWriter
from dask_etl.storage.versions import commit

logger = logging.getLogger(__name__)

Written = tuple[pa.Schema, list[PartFile]]
Outputs = Mapping[VersionedParquetDataset, Any]


def publish(outputs: Outputs, resume: bool = True) -> None:
    """Write data to datasets, so that readers see all of it or none.

    Lazy tables are computed in one Dask graph. Whatever fails leaves every dataset
    as it was. What an interrupted attempt at the same lazy tables had finished is
    taken over.

    Args:
        outputs: by dataset: a lazy table, a Dask or pandas DataFrame or Arrow table.
        resume: take over the work of an interrupted attempt.

    Raises:
        StorageError: something stands in the way of writing; nothing was changed.
    """
    _check(outputs)
    locked = []
    try:
        # In one order everywhere: of two runs, one gets all the tables.
        for dataset in sorted(outputs, key=lambda dataset: dataset.store.root):
            dataset.store.acquire()
            locked.append(dataset.store)
        versions = {dataset: dataset.save_version for dataset in outputs}
        lazies = {d: data for d, data in outputs.items() if isinstance(data, Lazy)}
        scratch = _scratch(lazies, resume)
        for dataset in outputs:
            # Work that an interrupted run left for another computation.
            home = _scratch_home(dataset)
            if scratch is None or home.folder != posixpath.dirname(scratch.folder):
                home.clear()
        earlier = _earlier_attempt(scratch, versions)
        for dataset, version in versions.items():
            dataset.store.begin(version, earlier.get(dataset.store.root, []))
        writers = {
            dataset: PartWriter(
                dataset.store.filesystem,
                dataset.store.path(version),
                dataset.encodings,
            )
            for dataset, version in versions.items()
        }
        written = _write_lazy(lazies, writers, scratch)
        for dataset in outputs.keys() - lazies.keys():
            written[dataset] = _write(dataset, outputs[dataset], writers[dataset])
        for dataset, version in versions.items():
            dataset.store.stage(version, *written[dataset])
        commit([(dataset.store, version) for dataset, version in versions.items()])
        if scratch is not None:
            _scratch_home(next(iter(lazies))).clear()
    finally:
        for store in locked:
            store.release()


def _check(outputs: Outputs) -> None:
    first = next(iter(outputs)).store
    for dataset in outputs:
        dataset.check_own()
        if dataset.store.filesystem != first.filesystem:
            raise StorageError(
                f"{first.root} and {dataset.store.root} are outputs of one node, but "
                "on different file systems (or with different options): they could "
                "not be committed together. Give both one data_root."
            )


def _scratch(lazies: Outputs, resume: bool) -> Scratch | None:
    """Open the scratch folder of these lazy tables, beside the first of them."""
    if not lazies:
        return None
    home = _scratch_home(next(iter(lazies)))
    scratch = Scratch(home.filesystem, home.path(fingerprint(lazies.values())))
    if not (resume and scratch.receipt(ATTEMPT)):
        home.clear()
        home.filesystem.makedirs(scratch.folder, exist_ok=True)
    return scratch


def _scratch_home(dataset: VersionedParquetDataset) -> Scratch:
    store = dataset.store
    return Scratch(store.filesystem, posixpath.join(store.root, "scratch"))


def _earlier_attempt(
    scratch: Scratch | None, versions: Mapping[VersionedParquetDataset, str]
) -> dict[str, list[str]]:
    """Return, by table, the versions that interrupted attempts were writing.

    This attempt is added to the list first, so that the next one finds its work too.
    """
    if scratch is None:
        return {}
    earlier = scratch.receipt(ATTEMPT) or {}
    if earlier:
        logger.info("Resuming an interrupted run: finished partitions are kept")
    scratch.write_receipt(
        ATTEMPT,
        {
            dataset.store.root: [*earlier.get(dataset.store.root, []), version]
            for dataset, version in versions.items()
        },
    )
    return earlier


def _write_lazy(
    lazies: Outputs, writers: Mapping[VersionedParquetDataset, PartWriter], scratch
) -> dict[VersionedParquetDataset, Written]:
    if not lazies:
        return {}
    parts = execute({lazy: writers[d] for d, lazy in lazies.items()}, scratch)
    return {dataset: (lazy.schema, parts[lazy]) for dataset, lazy in lazies.items()}


def _write(dataset: VersionedParquetDataset, data: Any, writer: PartWriter) -> Written:
    if not isinstance(data, (pd.DataFrame, pa.Table)) and hasattr(data, "to_delayed"):
        schema = dataset.table_of(data._meta).schema
        return schema, write_frame(data, schema, writer)
    parts, schema = [], None
    for number, rows in enumerate(_slices(data, dataset.rows_per_partition)):
        table = dataset.table_of(rows)
        schema = table.schema
        parts.append(writer.write(table, number))
    return schema, parts


def _slices(data: Any, rows: int) -> Iterator[Any]:
    if not isinstance(data, pd.DataFrame):
        yield data
        return
    for start in range(0, max(len(data), 1), rows):
        yield data.iloc[start : start + rows]
