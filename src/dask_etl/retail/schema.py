"""Every table of the project: columns, Arrow types and order. The only place for both.

Money is held as whole **cents** (int64) wherever it is added up, and becomes
currency units (float64) only in the tables people read. Ids keep the type of
the raw data: int64 or string.
"""

from collections.abc import Mapping

import pyarrow as pa

LABEL = pa.dictionary(pa.int32(), pa.string())
TIMESTAMP = pa.timestamp("us", tz="UTC")

UNKNOWN = "Unknown"
"""Label of rows whose region or product category is missing."""

ALL_CATEGORIES = "(all)"
"""Label of the rows of ``monthly_sales`` that hold the sum of all categories."""

PRICE_CATEGORIES = ("Low", "Medium", "High", "Premium")

RULES = (
    "missing_transaction_id",
    "missing_customer_id",
    "missing_timestamp",
    "missing_amount",
    "missing_quantity",
    "non_positive_amount",
    "non_positive_quantity",
    "discount_out_of_range",
    "rating_out_of_range",
    "future_timestamp",
    "duplicate_transaction_id",
)
"""Names of the cleaning rules, in the order in which they are listed as reasons."""


def _required(name: str, kind: pa.DataType) -> pa.Field:
    return pa.field(name, kind, nullable=False)


def raw(
    transaction_id: pa.DataType = pa.int64(),  # noqa: B008
    customer_id: pa.DataType = pa.int64(),  # noqa: B008
    quantity: pa.DataType = pa.int64(),  # noqa: B008
) -> pa.Schema:
    """Columns of ``raw_transactions``, one row per sale line; all may be null on arrival.

    Args:
        transaction_id: type of the business key, ``int64`` or ``string``.
        customer_id: type of the customer key, ``int64`` or ``string``.
        quantity: ``int64``, or ``float64`` where the source holds NaN or ±inf.
    """
    return pa.schema(
        {
            "transaction_id": transaction_id,
            "customer_id": customer_id,
            "product_category": pa.string(),
            "region": pa.string(),
            "amount": pa.float64(),
            "quantity": quantity,
            "discount": pa.float64(),
            "timestamp": TIMESTAMP,
            "rating": pa.float64(),
            "is_returned": pa.bool_(),
        }
    )


def with_encoded_labels(raw_schema: pa.Schema) -> pa.Schema:
    """Return the schema with its label columns dictionary-encoded."""
    return pa.schema(
        [
            field.with_type(LABEL) if field.name in LABEL_COLUMNS else field
            for field in raw_schema
        ]
    )


def clean(raw_schema: pa.Schema) -> pa.Schema:
    """Columns of ``clean_transactions``: the raw ones, filled in, and the features."""
    types = {"quantity": pa.int64(), **dict.fromkeys(LABEL_COLUMNS, LABEL)}
    fields = [
        pa.field(
            field.name,
            types.get(field.name, field.type),
            nullable=field.name == "rating",
        )
        for field in raw_schema
    ]
    return pa.schema(
        [
            *fields,
            _required("net_amount", pa.float64()),
            _required("revenue", pa.float64()),
            _required("price_category", pa.dictionary(pa.int8(), pa.string())),
            _required("year", pa.int16()),
            _required("month", pa.int8()),
            _required("quarter", pa.int8()),
            _required("day_of_week", pa.int8()),
        ]
    )


LABEL_COLUMNS = ("product_category", "region")


def rejected(raw_schema: pa.Schema) -> pa.Schema:
    """Columns of ``rejected_transactions``: raw values, reasons and where they stood."""
    return pa.schema(
        [
            *raw_schema,
            _required("reasons", pa.list_(pa.string())),
            _required("source_file", LABEL),
            _required("source_row", pa.int64()),
        ]
    )


ROW_LEDGER = pa.schema(
    [
        _required("source_file", pa.string()),
        _required("rows_read", pa.int64()),
        _required("rows_kept", pa.int64()),
        _required("rows_rejected", pa.int64()),
        *(_required(rule, pa.int64()) for rule in RULES),
        _required("as_of", TIMESTAMP),
    ]
)
"""One row per source file, in raw order; a rejected row counts once under every rule
that it broke, so the rule columns may add up to more than ``rows_rejected``."""

_MEASURES = [
    _required("lines", pa.int64()),
    _required("units", pa.int64()),
    _required("revenue_cents", pa.int64()),
    _required("returned_lines", pa.int64()),
    _required("returned_revenue_cents", pa.int64()),
    _required("rating_sum", pa.float64()),
    _required("rating_count", pa.int64()),
]

SALES_CUBE = pa.schema(
    [
        _required("day", pa.date32()),
        _required("region", pa.string()),
        _required("product_category", pa.string()),
        *_MEASURES,
    ]
)
"""One row per day × region × product category that has at least one kept line,
sorted by the three."""


def customers(customer_id: pa.DataType) -> pa.Schema:
    """Columns of ``customers``, one row per customer with at least one kept line.

    ``regions``, ``product_categories`` and ``months`` (first day of the month) list,
    sorted and without repetition, where and when the customer bought. The order of
    the rows is not part of the contract.
    """
    return pa.schema(
        [
            _required("customer_id", customer_id),
            *_MEASURES,
            _required("first_purchase", TIMESTAMP),
            _required("last_purchase", TIMESTAMP),
            _required("regions", pa.list_(pa.string())),
            _required("product_categories", pa.list_(pa.string())),
            _required("months", pa.list_(pa.date32())),
        ]
    )


_MONEY = [
    _required("revenue", pa.float64()),
    _required("returned_revenue", pa.float64()),
    _required("net_revenue", pa.float64()),
]
_SALES = [_required("lines", pa.int64()), _required("units", pa.int64()), *_MONEY]

_PERFORMANCE = [
    *_SALES,
    pa.field("net_revenue_share", pa.float64()),
    _required("average_line_revenue", pa.float64()),
    _required("unique_customers", pa.int64()),
    _required("return_rate_lines", pa.float64()),
    pa.field("return_rate_value", pa.float64()),
    pa.field("average_rating", pa.float64()),
]

REGION_PERFORMANCE = pa.schema([_required("region", pa.string()), *_PERFORMANCE])
"""Sorted by region. ``average_line_revenue`` = net revenue ÷ lines; a rate or share
whose divisor is 0 is null."""

CATEGORY_PERFORMANCE = pa.schema(
    [
        _required("product_category", pa.string()),
        *_PERFORMANCE,
        _required("rank", pa.int64()),
        pa.field("cumulative_share", pa.float64()),
    ]
)
"""Sorted by rank, then label. ``rank`` is by net revenue, largest first, equal values
sharing the smallest rank; ``cumulative_share`` adds net revenue in that order."""

MONTHLY_SALES = pa.schema(
    [
        _required("month", pa.date32()),
        _required("product_category", pa.string()),
        *_SALES,
        _required("is_complete", pa.bool_()),
        pa.field("month_on_month", pa.float64()),
        pa.field("year_on_year", pa.float64()),
        pa.field("seasonality_index", pa.float64()),
        _required("enough_data", pa.bool_()),
    ]
)
"""Every calendar month from the first to the last × every category and
``ALL_CATEGORIES`` (0 where nothing was sold), sorted by month, then label. Changes
(later ÷ earlier − 1) and the index are of net revenue."""

DAILY_SALES = pa.schema(
    [
        _required("day", pa.date32()),
        *_SALES,
        pa.field("moving_average_7", pa.float64()),
        pa.field("moving_average_28", pa.float64()),
    ]
)
"""Every calendar day from the first to the last; trailing averages of net revenue."""

WEEKDAY_PATTERN = pa.schema(
    [
        _required("day_of_week", pa.int8()),
        _required("calendar_days", pa.int64()),
        _required("lines", pa.int64()),
        _required("net_revenue", pa.float64()),
        pa.field("mean_revenue_per_day", pa.float64()),
        pa.field("index_to_mean", pa.float64()),
    ]
)
"""Seven rows, Monday = 0 (none for no data): net revenue per calendar day of the
period, and its ratio to the mean over all calendar days."""


def customer_segments(customer_id: pa.DataType) -> pa.Schema:
    """Columns of ``customer_segments``: RFM measures, scores 1–5 and the segment.

    Sorted by customer. ``recency_days`` = whole days from the last purchase to
    ``as_of``, ``frequency`` = lines kept, ``monetary`` = net revenue.
    """
    return pa.schema(
        [
            _required("customer_id", customer_id),
            _required("recency_days", pa.int64()),
            _required("frequency", pa.int64()),
            _required("monetary", pa.float64()),
            _required("recency_score", pa.int8()),
            _required("frequency_score", pa.int8()),
            _required("monetary_score", pa.int8()),
            _required("segment", pa.string()),
        ]
    )


SEGMENT_SUMMARY = pa.schema(
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
)
"""One row per segment that has customers, sorted by segment."""

COHORT_RETENTION = pa.schema(
    [
        _required("cohort", pa.date32()),
        _required("months_since", pa.int64()),
        _required("cohort_size", pa.int64()),
        pa.field("active_customers", pa.int64()),
        pa.field("retention", pa.float64()),
    ]
)
"""Every cohort (month of first kept line) × 0 … months between the first and the last
month of the data; null, not 0, for months after the end of the data."""

CUSTOMER_SUMMARY = pa.schema(
    [
        _required("customers", pa.int64()),
        pa.field("repeat_purchase_rate", pa.float64()),
        pa.field("average_revenue_per_customer", pa.float64()),
        pa.field("gini", pa.float64()),
        pa.field("top_20_percent_share", pa.float64()),
    ]
)
"""One row. Repeat = customers with two or more kept lines ÷ customers."""

GENERATION_TRUTH = pa.schema(
    [_required("defect", pa.string()), _required("rows", pa.int64())]
)
"""What the generator injected: one row per rule that it breaks on purpose."""

VERIFICATION = pa.schema(
    [
        _required("table", pa.string()),
        _required("rows_dask", pa.int64()),
        _required("rows_pandas", pa.int64()),
        _required("identical", pa.bool_()),
        _required("differing_rows", pa.int64()),
        pa.field("first_difference", pa.string()),
    ]
)
"""One row per table of both engines: are they the same, value by value?"""

RUN_METRICS = pa.schema(
    [
        pa.field("run_id", pa.string(), nullable=False),
        pa.field("pipeline", pa.string(), nullable=False),
        pa.field("node", pa.string(), nullable=False),
        pa.field("started_at", pa.timestamp("us", tz="UTC"), nullable=False),
        pa.field("wall_seconds", pa.float64(), nullable=False),
        pa.field("cpu_seconds", pa.float64(), nullable=False),
        pa.field("cpu_use", pa.float64(), nullable=False),
        pa.field("cores", pa.int64(), nullable=False),
        pa.field("memory_at_start_mb", pa.float64(), nullable=False),
        pa.field("peak_memory_mb", pa.float64(), nullable=False),
        pa.field("rows", pa.int64()),
    ]
)
"""One row per node that ran, and one per pipeline with ``node`` = "(all)"."""


def table(name: str, columns: Mapping[str, pa.DataType] | None = None) -> pa.Schema:
    """Return the schema of a catalog table, whichever engine it belongs to.

    Args:
        name: the table's name without its engine, e.g. ``clean_transactions``.
        columns: types found in the data, of which those of the ids (and of the raw
            quantity) are taken over; int64 where not given.

    Raises:
        KeyError: no table has that name.
    """
    columns = columns or {}
    customer_id = columns.get("customer_id", pa.int64())
    raw_schema = raw(
        columns.get("transaction_id", pa.int64()),
        customer_id,
        columns.get("quantity", pa.int64()),
    )
    match name:
        case "raw_transactions":
            return raw_schema
        case "clean_transactions":
            return clean(raw_schema)
        case "rejected_transactions":
            return rejected(raw_schema)
        case "customers":
            return customers(customer_id)
        case "customer_segments":
            return customer_segments(customer_id)
        case _:
            return FIXED[name]


FIXED = {
    "row_ledger": ROW_LEDGER,
    "sales_cube": SALES_CUBE,
    "region_performance": REGION_PERFORMANCE,
    "category_performance": CATEGORY_PERFORMANCE,
    "monthly_sales": MONTHLY_SALES,
    "daily_sales": DAILY_SALES,
    "weekday_pattern": WEEKDAY_PATTERN,
    "segment_summary": SEGMENT_SUMMARY,
    "cohort_retention": COHORT_RETENTION,
    "customer_summary": CUSTOMER_SUMMARY,
    "generation_truth": GENERATION_TRUTH,
    "verification": VERIFICATION,
    "run_metrics": RUN_METRICS,
}
"""Tables whose types do not depend on those of the ids."""

TABLE_NAMES = (
    "raw_transactions",
    "clean_transactions",
    "rejected_transactions",
    "customers",
    "customer_segments",
    *FIXED,
)
