"""Every table of the project, declared once: columns, types, key, order, encodings.

Money is held as whole **cents** (int64) wherever it is added up, and becomes
currency units (float64) only in the tables people read. Ids keep the type of
the raw data: int64 or string.
"""

from dataclasses import replace

import pyarrow as pa

from dask_etl.retail.conform import conform, unify
from dask_etl.retail.parameters import Cleaning
from dask_etl.retail.schema import OPTIONAL, PRICE_CATEGORIES, RULES, TIMESTAMP, raw
from dask_etl.storage.encodings import Encodings
from dask_etl.tables import LABEL, Table


def kept_columns(raw_schema: pa.Schema, cleaning: Cleaning) -> pa.Schema:
    """Return the columns of raw transactions that the tables made of them have, too.

    Args:
        raw_schema: the columns and types found in the raw data.
        cleaning: which further columns are kept.
    """
    wanted = [*raw().names, *OPTIONAL.names, *cleaning.keep]
    return pa.schema([raw_schema.field(n) for n in wanted if n in raw_schema.names])


def with_quantity(raw_schema: pa.Schema, quantity: pa.DataType) -> pa.Schema:
    """Return raw types with the type that clean quantities have.

    Args:
        raw_schema: the types found in the raw data.
        quantity: one of :data:`dask_etl.retail.schema.QUANTITIES`.
    """
    position = raw_schema.get_field_index("quantity")
    return raw_schema.set(position, pa.field("quantity", quantity))


def summed(clean: pa.Schema) -> pa.Schema:
    """Return the types of clean rows with those of what is added up of them."""
    quantity = clean.field("quantity").type
    for name in _UNITS:
        clean = clean.append(pa.field(name, quantity))
    if "order_id" in clean.names:
        clean = clean.append(_required("orders", pa.int64()))
    return clean


def _required(name: str, kind: pa.DataType) -> pa.Field:
    return pa.field(name, kind, nullable=False)


_IDS = {
    "transaction_id": pa.string(),
    "customer_id": pa.string(),
    "order_id": pa.string(),
}
_CUSTOMER_ID = {"customer_id": pa.string()}
_QUANTITY = {"quantity": pa.float64()}
_UNITS = {"units": pa.float64(), "returned_units": pa.float64()}
"""Quantities that have decimals, and the sums of such."""

_LINES = Encodings(
    repeated=frozenset({"discount", "rating"}),
    distinct=frozenset(_IDS),
    filtered=frozenset({*_IDS, "timestamp"}),
)
"""Of the tables that have a row per sale line."""
_CLEAN_LINES = replace(_LINES, alone=frozenset({"transaction_id"}))
"""The ids of kept lines are all that runs read which add to them."""
_BY_CUSTOMER = Encodings(
    distinct=frozenset(_CUSTOMER_ID), filtered=frozenset(_CUSTOMER_ID)
)
_BY_DAY = Encodings(filtered=frozenset({"day"}))

RAW_TRANSACTIONS = Table(
    "raw_transactions",
    raw(),
    variants={**_IDS, **_QUANTITY},
    key=("transaction_id",),
    optional=OPTIONAL,
    takes_any=True,
    encodings=_LINES,
    unify=unify,
    conform=conform,
)
"""One row per sale line; all columns may be null on arrival. Quantities are float64
where a source writes them so. Of further columns, those that are to be kept are used."""

_CLEAN_TYPES = {"product_category": LABEL, "region": LABEL}

CLEAN_TRANSACTIONS = Table(
    "clean_transactions",
    pa.schema(
        [
            *(
                pa.field(
                    field.name,
                    _CLEAN_TYPES.get(field.name, field.type),
                    nullable=field.name in ("customer_id", "rating"),
                )
                for field in raw()
            ),
            _required("net_amount", pa.float64()),
            _required("revenue", pa.float64()),
            _required("price_category", pa.dictionary(pa.int8(), pa.string())),
            _required("year", pa.int16()),
            _required("month", pa.int8()),
            _required("quarter", pa.int8()),
            _required("day_of_week", pa.int8()),
        ]
    ),
    variants={**_IDS, **_QUANTITY},
    key=("transaction_id",),
    optional=OPTIONAL,
    takes_any=True,
    encodings=_CLEAN_LINES,
    labels={
        "region": "sales_cube",
        "product_category": "sales_cube",
        "price_category": PRICE_CATEGORIES,
    },
)
"""The raw columns, filled in, and the features; in raw order. Customers are null where
such rows are kept."""

REJECTED_TRANSACTIONS = Table(
    "rejected_transactions",
    pa.schema(
        [
            *raw(),
            _required("reasons", pa.list_(pa.string())),
            _required("source_file", LABEL),
            _required("source_row", pa.int64()),
        ]
    ),
    variants=RAW_TRANSACTIONS.variants,
    key=("source_file", "source_row"),
    optional=OPTIONAL,
    takes_any=True,
    encodings=_LINES,
    labels={"source_file": "row_ledger"},
)
"""Raw values, reasons and where the rows stood; in raw order."""

ROW_LEDGER = Table(
    "row_ledger",
    pa.schema(
        [
            _required("source_file", pa.string()),
            _required("rows_read", pa.int64()),
            _required("rows_kept", pa.int64()),
            _required("rows_rejected", pa.int64()),
            _required("rows_blanked", pa.int64()),
            _required("rows_excused", pa.int64()),
            *(_required(rule, pa.int64()) for rule in RULES),
            _required("as_of", TIMESTAMP),
        ]
    ),
    key=("source_file",),
)
"""One row per source file, in raw order; a row counts once under every rule that it
broke, kept or not, so the rule columns may add up to more than ``rows_rejected``. Of the
rows kept, ``rows_blanked`` lost a value, and ``rows_excused`` broke a rule that lets them
stay."""

PROCESSED_FILES = Table(
    "processed_files",
    pa.schema(
        [
            _required("source_file", pa.string()),
            pa.field("bytes", pa.int64()),
            pa.field("checksum", pa.string()),
            pa.field("modified", pa.string()),
            _required("first_as_of", TIMESTAMP),
            _required("parameters", pa.string()),
            _required("columns", pa.string()),
            _required("code", pa.string()),
        ]
    ),
    key=("source_file",),
)
"""What the next run tells by whether files, parameters and code are still those that
the tables were made from: one row per source file, in raw order."""

_MEASURES = [
    _required("lines", pa.int64()),
    _required("units", pa.int64()),
    _required("revenue_cents", pa.int64()),
    _required("returned_lines", pa.int64()),
    _required("returned_units", pa.int64()),
    _required("returned_revenue_cents", pa.int64()),
    _required("rating_sum", pa.float64()),
    _required("rating_count", pa.int64()),
]

SALES_CUBE = Table(
    "sales_cube",
    pa.schema(
        [
            _required("day", pa.date32()),
            _required("region", pa.string()),
            _required("product_category", pa.string()),
            *_MEASURES,
        ]
    ),
    variants=_UNITS,
    key=("day", "region", "product_category"),
    encodings=_BY_DAY,
)
"""One row per day × region × product category that has at least one kept line,
sorted by the three."""

CUSTOMERS = Table(
    "customers",
    pa.schema(
        [
            _required("customer_id", pa.int64()),
            *_MEASURES,
            pa.field("first_purchase", TIMESTAMP),
            pa.field("last_purchase", TIMESTAMP),
            _required("regions", pa.list_(pa.string())),
            _required("product_categories", pa.list_(pa.string())),
            _required("months", pa.list_(pa.date32())),
        ]
    ),
    variants={**_CUSTOMER_ID, **_UNITS},
    key=("customer_id",),
    ordered=False,
    optional=pa.schema([_required("orders", pa.int64())]),
    encodings=_BY_CUSTOMER,
)
"""One row per customer with at least one kept line. ``regions``,
``product_categories`` and ``months`` (first day of the month) list, sorted and
without repetition, where and when the customer bought. Who only returned something has
bought nothing, nowhere and never. ``orders``: how many, where lines tell."""

ORDERS = Table(
    "orders",
    pa.schema(
        [
            _required("order_id", pa.int64()),
            pa.field("customer_id", pa.int64()),
            *(field for field in _MEASURES if not field.name.startswith("rating")),
        ]
    ),
    variants={**_IDS, **_UNITS},
    key=("order_id", "customer_id"),
    ordered=False,
    encodings=Encodings(distinct=frozenset(_IDS), filtered=frozenset({"order_id"})),
)
"""One row per order, which is an ``order_id`` of one customer (or of nobody known);
none where lines do not tell their orders."""

_MONEY = [
    _required("revenue", pa.float64()),
    _required("returned_revenue", pa.float64()),
    _required("net_revenue", pa.float64()),
]
_SALES = [
    _required("lines", pa.int64()),
    _required("units", pa.int64()),
    _required("returned_units", pa.int64()),
    *_MONEY,
]

_PERFORMANCE = [
    *_SALES,
    pa.field("net_revenue_share", pa.float64()),
    pa.field("average_line_revenue", pa.float64()),
    _required("unique_customers", pa.int64()),
    pa.field("return_rate_lines", pa.float64()),
    pa.field("return_rate_value", pa.float64()),
    pa.field("average_rating", pa.float64()),
]

REGION_PERFORMANCE = Table(
    "region_performance",
    pa.schema([_required("region", pa.string()), *_PERFORMANCE]),
    variants=_UNITS,
    key=("region",),
)
"""Sorted by region. ``average_line_revenue`` = net revenue ÷ lines; a rate or share
whose divisor is 0 is null."""

CATEGORY_PERFORMANCE = Table(
    "category_performance",
    pa.schema(
        [
            _required("product_category", pa.string()),
            *_PERFORMANCE,
            _required("rank", pa.int64()),
            pa.field("cumulative_share", pa.float64()),
        ]
    ),
    variants=_UNITS,
    key=("product_category",),
)
"""Sorted by rank, then label. ``rank`` is by net revenue, largest first, equal values
sharing the smallest rank; ``cumulative_share`` adds net revenue in that order."""

MONTHLY_SALES = Table(
    "monthly_sales",
    pa.schema(
        [
            _required("month", pa.date32()),
            pa.field("product_category", pa.string()),
            _required("is_total", pa.bool_()),
            *_SALES,
            _required("is_complete", pa.bool_()),
            pa.field("month_on_month", pa.float64()),
            pa.field("year_on_year", pa.float64()),
            pa.field("seasonality_index", pa.float64()),
            _required("enough_data", pa.bool_()),
        ]
    ),
    variants=_UNITS,
    key=("month", "is_total", "product_category"),
)
"""Every calendar month from the first to the last × all categories together (null,
``is_total``) and every single one (0 where nothing was sold), sorted by month, the
total first, then label. Changes (later ÷ earlier − 1) and the index are of net
revenue."""

DAILY_SALES = Table(
    "daily_sales",
    pa.schema(
        [
            _required("day", pa.date32()),
            *_SALES,
            pa.field("moving_average_7", pa.float64()),
            pa.field("moving_average_28", pa.float64()),
        ]
    ),
    variants=_UNITS,
    key=("day",),
    encodings=_BY_DAY,
)
"""Every calendar day from the first to the last; trailing averages of net revenue."""

WEEKDAY_PATTERN = Table(
    "weekday_pattern",
    pa.schema(
        [
            _required("day_of_week", pa.int8()),
            _required("calendar_days", pa.int64()),
            _required("lines", pa.int64()),
            _required("net_revenue", pa.float64()),
            pa.field("mean_revenue_per_day", pa.float64()),
            pa.field("index_to_mean", pa.float64()),
        ]
    ),
    key=("day_of_week",),
)
"""Seven rows, Monday = 0 (none for no data): net revenue per calendar day of the
period, and its ratio to the mean over all calendar days."""

CUSTOMER_SEGMENTS = Table(
    "customer_segments",
    pa.schema(
        [
            _required("customer_id", pa.int64()),
            _required("recency_days", pa.int64()),
            _required("frequency", pa.int64()),
            _required("monetary", pa.float64()),
            _required("recency_score", pa.int8()),
            _required("frequency_score", pa.int8()),
            _required("monetary_score", pa.int8()),
            _required("segment", pa.string()),
        ]
    ),
    variants=_CUSTOMER_ID,
    key=("customer_id",),
    encodings=_BY_CUSTOMER,
)
"""RFM measures, scores 1–5 and the segment, sorted by customer. ``recency_days`` =
whole days from the last purchase to ``as_of``, ``frequency`` = orders where lines tell
them, else lines, ``monetary`` = net revenue."""

SEGMENT_SUMMARY = Table(
    "segment_summary",
    pa.schema(
        [
            _required("segment", pa.string()),
            _required("customers", pa.int64()),
            _required("customer_share", pa.float64()),
            _required("net_revenue", pa.float64()),
            pa.field("net_revenue_share", pa.float64()),
            _required("average_recency_days", pa.float64()),
            _required("average_frequency", pa.float64()),
            _required("average_monetary", pa.float64()),
        ]
    ),
    key=("segment",),
)
"""One row per segment that has customers, sorted by segment."""

COHORT_RETENTION = Table(
    "cohort_retention",
    pa.schema(
        [
            _required("cohort", pa.date32()),
            _required("months_since", pa.int64()),
            _required("is_complete", pa.bool_()),
            _required("cohort_size", pa.int64()),
            pa.field("active_customers", pa.int64()),
            pa.field("retention", pa.float64()),
        ]
    ),
    key=("cohort", "months_since"),
)
"""Every cohort (month of first kept line) × 0 … months between the first and the last
month of the data; null, not 0, for months after the end of the data. ``is_complete``:
the data cover the month ``months_since`` the cohort from its first to its last day."""

CUSTOMER_SUMMARY = Table(
    "customer_summary",
    pa.schema(
        [
            _required("customers", pa.int64()),
            _required("counted", pa.string()),
            pa.field("repeat_purchase_rate", pa.float64()),
            pa.field("average_revenue_per_customer", pa.float64()),
            pa.field("gini", pa.float64()),
            pa.field("top_20_percent_share", pa.float64()),
        ]
    ),
    key=(),
)
"""One row. Repeat = customers with two or more orders ÷ customers; ``counted``: whether
an order is one, or a line."""

ORDER_SUMMARY = Table(
    "order_summary",
    pa.schema(
        [
            _required("counted", pa.string()),
            _required("orders", pa.int64()),
            *_SALES,
            pa.field("lines_per_order", pa.float64()),
            pa.field("units_per_order", pa.float64()),
            pa.field("net_revenue_per_order", pa.float64()),
        ]
    ),
    variants=_UNITS,
    key=(),
)
"""One row: how large orders are. Where lines do not tell their order, each is one
(``counted``: ``lines``)."""

GENERATION_TRUTH = Table(
    "generation_truth",
    pa.schema([_required("defect", pa.string()), _required("rows", pa.int64())]),
    key=("defect",),
)
"""What the generator injected: one row per rule that it breaks on purpose."""

GENERATED_DEFECTS = Table(
    "generated_defects",
    pa.schema(
        [
            _required("source_file", LABEL),
            _required("source_row", pa.int64()),
            _required("rule", LABEL),
        ]
    ),
    key=("source_file", "source_row", "rule"),
    labels={"rule": RULES},
)
"""Which rows they are, and the rule that each breaks; in raw order. Of duplicates it is
the later copy."""

VERIFICATION = Table(
    "verification",
    pa.schema(
        [
            _required("table", pa.string()),
            _required("rows_dask", pa.int64()),
            _required("rows_pandas", pa.int64()),
            _required("identical", pa.bool_()),
            _required("differing_rows", pa.int64()),
            pa.field("first_difference", pa.string()),
        ]
    ),
    key=("table",),
)
"""One row per table of both engines: are they the same, value by value?"""

RULE_ACCURACY = Table(
    "rule_accuracy",
    pa.schema(
        [
            _required("rule", pa.string()),
            _required("planted", pa.int64()),
            _required("found", pa.int64()),
            _required("both", pa.int64()),
            pa.field("precision", pa.float64()),
            pa.field("recall", pa.float64()),
        ]
    ),
    key=("rule",),
)
"""One row per rule that rejects rows, of generated data: ``precision`` = both ÷ found,
``recall`` = both ÷ planted; what is divided by 0 is null. No rows for other data."""

RUN_HISTORY = Table(
    "run_history",
    pa.schema(
        [
            _required("run_id", pa.string()),
            _required("started_at", TIMESTAMP),
            pa.field("first_day", pa.date32()),
            pa.field("last_day", pa.date32()),
            _required("rows_read", pa.int64()),
            _required("rows_kept", pa.int64()),
            _required("rows_rejected", pa.int64()),
            *(_required(rule, pa.int64()) for rule in RULES),
            _required("revenue", pa.float64()),
            _required("returned_revenue", pa.float64()),
            _required("net_revenue", pa.float64()),
            _required("lines", pa.int64()),
            _required("customers", pa.int64()),
            pa.field("seconds", pa.float64()),
            pa.field("peak_memory_mb", pa.float64()),
        ]
    ),
    key=("run_id",),
)
"""One row per run that was reported on, the latest last: what came of it, and what the
Dask engine took."""

ETL_TABLES = (
    CLEAN_TRANSACTIONS,
    REJECTED_TRANSACTIONS,
    ROW_LEDGER,
    SALES_CUBE,
    CUSTOMERS,
    ORDERS,
)
"""What both engines make of the raw transactions, in the order of their outputs."""

STATE = (*ETL_TABLES, PROCESSED_FILES)
"""What a run of the Dask engine leaves, and the next one adds to."""

ANALYSES = (
    REGION_PERFORMANCE,
    CATEGORY_PERFORMANCE,
    MONTHLY_SALES,
    DAILY_SALES,
    WEEKDAY_PATTERN,
    CUSTOMER_SEGMENTS,
    SEGMENT_SUMMARY,
    COHORT_RETENTION,
    CUSTOMER_SUMMARY,
    ORDER_SUMMARY,
)
"""What is rolled up from the summaries of either engine."""

COMPARED = {table.name: table for table in (*ETL_TABLES, *ANALYSES)}
"""The tables of both engines, which must be identical, by name."""
