"""Where the time of one partition goes, on one thread: ms of CPU per million rows.

Run after ``kedro run --pipelines data_generation``::

    python benchmarks/profile_kernels.py [FOLDER OF RAW TRANSACTIONS]

Every figure is the smallest of several repeats, in warm caches: a floor for what the
same step costs in a run, where two threads share the memory bus and files are new.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import fsspec
import pyarrow as pa

from dask_etl.datasets import DaskParquetDataset
from dask_etl.engine.partitions import Partitions
from dask_etl.engine.process import reuse_freed_memory
from dask_etl.pipelines.etl_dask import kernels
from dask_etl.retail import summaries
from dask_etl.retail.parameters import Calendar, Cleaning, Currency, Features
from dask_etl.retail.rules import SCREENED_COLUMNS
from dask_etl.retail.schema import LABEL_COLUMNS
from dask_etl.retail.tables import CLEAN_TRANSACTIONS, RAW_TRANSACTIONS
from dask_etl.storage.parts import PartWriter

AS_OF = datetime(2025, 1, 1, tzinfo=UTC)
REPEATS = 7


def main(folder: str) -> None:
    """Time the steps of the second partition, in their order."""
    reuse_freed_memory()
    raw = DaskParquetDataset(
        filepath=folder, schema="raw_transactions", rows_per_partition=500_000
    ).load()
    calendar, currency = Calendar(), Currency()
    columns = [*SCREENED_COLUMNS, *LABEL_COLUMNS]
    surveyed = Partitions.of(raw, RAW_TRANSACTIONS, columns)
    partitions = Partitions.of(raw, RAW_TRANSACTIONS)
    item = partitions.items[min(1, len(partitions.items) - 1)]
    cleaning = Cleaning()
    million = sum(segment.rows for segment in item) / 1e6

    def timed(name: str, step: Callable[[], Any]) -> Any:
        seconds = []
        for _ in range(REPEATS):
            begin = time.thread_time()
            result = step()
            seconds.append(time.thread_time() - begin)
        print(f"{name:32s}{1000 * min(seconds) / million:8.1f}")
        return result

    keys = timed("survey: read", lambda: surveyed.source(item))
    survey = timed(
        "survey: rules, keys",
        lambda: kernels.survey_partition(keys, AS_OF, cleaning, currency),
    )
    domain = kernels.domain_of(survey["extent"], calendar)
    none_dropped = pa.table({"row": pa.array([], pa.int32())})
    tables = timed("read", lambda: partitions.source(item))
    screened = timed(
        "screen: rules, filter, rejects",
        lambda: kernels.screen_partition(
            tables, AS_OF, cleaning, currency, none_dropped
        ),
    )
    clean = timed(
        "enrich: gaps, money, calendar",
        lambda: kernels.enrich_partition(
            dict(screened), domain, cleaning, Features(), calendar, currency
        ),
    )["clean"]
    measured = timed("summarise: measures", lambda: summaries.measures(clean, currency))
    timed("summarise: cube", lambda: summaries.cube_partial(clean, measured, calendar))
    timed(
        "summarise: customers",
        lambda: summaries.customers_partial(clean, domain, measured, currency),
    )
    written = clean.cast(CLEAN_TRANSACTIONS.schema_for(partitions.schema))
    with tempfile.TemporaryDirectory() as target:
        writer = PartWriter(
            fsspec.filesystem("file"), target, "0" * 8, CLEAN_TRANSACTIONS.encodings
        )
        timed("write clean rows", lambda: writer.write(written, 0))


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "data/01_raw/transactions")
