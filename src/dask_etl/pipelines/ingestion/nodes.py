"""Describe the ingestion of a source; Dask reads and maps its pieces in parallel."""

import functools
import hashlib
import json
import logging
from typing import Any

import pandas as pd

from dask_etl.datasets.state import Noted
from dask_etl.engine.partitions import UNCHANGED, Parts, Reduction, Unchanged
from dask_etl.retail.mapping import Ingestion, Mapping
from dask_etl.sources.batch import Source, Unit
from dask_etl.sources.ingest import describe
from dask_etl.sources.mapped import Plan

logger = logging.getLogger(__name__)

FORMAT = 1
"""Raised when the same source and mapping are to be read another way than before."""


def ingest(
    source: Source, ingested: Noted, mapping: Mapping, ingestion: Ingestion
) -> tuple[Parts | Unchanged, Parts | Unchanged, Reduction | Unchanged]:
    """Take in what is new in a source, or all of it.

    All is read where nothing was taken in before, where a file that was is gone or has
    changed, and where source or mapping are read another way than before.

    Args:
        source: what the catalog says of the source.
        ingested: the ledger of what was taken in before.
        mapping: where each column comes from.
        ingestion: what is read again, and how many bad lines are borne.

    Returns:
        Lazy ``raw_transactions``, ``rejected_lines`` and ``ingestion_ledger``; all
        unchanged where there is nothing new.
    """
    plan = mapping.plan()
    reading = _reading(source, mapping, plan)
    ledger = ingested.rows
    mode = ingestion.mode
    if len(ledger) and (ledger["reading"] != reading).any():
        mode = "full"
    batch = source.plan(plan.needs, plan.labels, _units(ledger), mode)
    if batch.reason is None and not batch.units:
        logger.info("Nothing is new")
        return UNCHANGED, UNCHANGED, UNCHANGED
    if batch.reason is not None:
        changed = mode != ingestion.mode
        logger.info(
            "All is read: %s",
            "source, mapping or lookups have changed" if changed else batch.reason,
        )
        ledger = ledger.iloc[:0]
    logger.info(
        "Taking in %s %s in %s tasks",
        f"{len(batch.units):,}",
        "unit" if len(batch.units) == 1 else "units",
        f"{len(batch.items):,}",
    )
    return describe(
        batch,
        plan,
        mapping.fields(),
        ledger,
        ingested.versions if batch.reason is None else {},
        reading,
        functools.partial(_check, ingestion),
    )


def _check(ingestion: Ingestion, ledger: pd.DataFrame) -> None:
    ingestion.check(ledger)


def _reading(source: Source, mapping: Mapping, plan: Plan) -> str:
    """Name how a source is read, the same wherever and whenever that is the same."""
    said: dict[str, Any] = {
        "format": FORMAT,
        "source": dict(source.identity()),
        "mapping": mapping.model_dump(mode="json"),
        "lookups": {name: table.to_pylist() for name, table in plan.lookups.items()},
    }
    text = json.dumps(said, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _units(ledger: pd.DataFrame) -> list[Unit]:
    """Return what was taken in before, in order."""
    rows = ledger[["source_file", "checksum", "bytes", "modified", "cursor"]]
    known = rows.astype(object).where(rows.notna(), None)
    return [Unit(*row) for row in known.itertuples(index=False, name=None)]
