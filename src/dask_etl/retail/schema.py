"""The words of the domain: raw columns and their types, labels, names of the rules."""

import pyarrow as pa

TIMESTAMP = pa.timestamp("us", tz="UTC")

UTC_ZONE = "UTC"
"""Name of the time zone in which no clock is ever set."""

UNKNOWN = "Unknown"
"""Label of rows whose region or product category is missing."""

QUANTITIES = {"whole": pa.int64(), "decimal": pa.float64()}
"""Type of a clean ``quantity`` by the parameter ``cleaning.quantity``."""

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
    "value_out_of_range",
    "future_timestamp",
    "duplicate_transaction_id",
)
"""Names of the cleaning rules, in the order in which they are listed as reasons."""

ACTIONS = {
    "missing_customer_id": ("keep",),
    "non_positive_amount": ("keep",),
    "discount_out_of_range": ("blank",),
    "rating_out_of_range": ("blank",),
}
"""What else than to be rejected may become of a row that breaks a rule: the value is
taken for missing (``blank``), or the row stays as it is (``keep``)."""

LABEL_COLUMNS = ("product_category", "region")


OPTIONAL = pa.schema({"order_id": pa.int64(), "line_total": pa.float64()})
"""Columns that raw transactions may have, and the tables made of them then have, too."""


def raw(
    transaction_id: pa.DataType = pa.int64(),  # noqa: B008
    customer_id: pa.DataType = pa.int64(),  # noqa: B008
    quantity: pa.DataType = pa.int64(),  # noqa: B008
) -> pa.Schema:
    """Columns of ``raw_transactions``, one row per sale line; all may be null on arrival.

    Args:
        transaction_id: type of the business key, ``int64`` or ``string``.
        customer_id: type of the customer key, ``int64`` or ``string``.
        quantity: ``int64``, or ``float64`` where a source writes it so.
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


TAKEN = frozenset(
    {
        *raw().names,
        *OPTIONAL.names,
        *("net_amount", "revenue", "price_category"),
        *("year", "month", "quarter", "day_of_week"),
        *("reasons", "source_file", "source_row"),
    }
)
"""Names of columns that further raw columns cannot have."""
