"""The tables that every ingestion leaves beside its rows."""

import pyarrow as pa

from dask_etl.tables import LABEL, Table

LINE_RULES = (
    "too_few_fields",
    "too_many_fields",
    "unclosed_quote",
    "undecodable_bytes",
    "unreadable_record",
    "unparsable_number",
    "unparsable_date",
    "unparsable_flag",
    "unknown_value",
)
"""Why a line of a source is no row, in the order of the ledger's columns."""

COUNTS = ("lines_read", "rows_written", "lines_rejected", *LINE_RULES)

REJECTED_LINES = Table(
    "rejected_lines",
    pa.schema(
        [
            pa.field("source_file", LABEL, nullable=False),
            pa.field("line", pa.int64(), nullable=False),
            pa.field("rule", LABEL, nullable=False),
            pa.field("column", LABEL),
            pa.field("value", pa.string()),
            pa.field("text", pa.string()),
        ]
    ),
    key=("source_file", "line", "rule", "column"),
)
"""Lines of sources that are no rows: one row for each thing that is wrong."""

INGESTION_LEDGER = Table(
    "ingestion_ledger",
    pa.schema(
        [
            pa.field("source_file", pa.string(), nullable=False),
            *(pa.field(name, pa.int64(), nullable=False) for name in COUNTS),
            pa.field("checksum", pa.string()),
            pa.field("bytes", pa.int64()),
            pa.field("modified", pa.string()),
            pa.field("cursor", pa.string()),
            pa.field("reading", pa.string(), nullable=False),
        ]
    ),
    key=("source_file",),
)
"""One row per unit of the source, in the order it was taken in; a line counts once
under every rule. ``reading`` names source, mapping and code that it was read by."""
