"""The words of the domain: raw columns and their types, labels, names of the rules."""

import pyarrow as pa

TIMESTAMP = pa.timestamp("us", tz="UTC")

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


LABEL_COLUMNS = ("product_category", "region")


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
