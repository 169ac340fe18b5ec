"""The cleaning rules: which raw rows are not sales, and why.

A row's verdict is one bit per rule of :data:`schema.RULES` in a uint16, so that a
million rows cost a few milliseconds and a row can name every rule that it broke.
"""

import logging
from datetime import datetime

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from dask_etl.errors import ExplainedError
from dask_etl.retail.parameters import Cleaning
from dask_etl.retail.schema import RULES

BIT = {rule: np.uint16(1 << position) for position, rule in enumerate(RULES)}

SCREENED_COLUMNS = [
    "transaction_id",
    "customer_id",
    "amount",
    "quantity",
    "discount",
    "timestamp",
    "rating",
]
"""The columns that decide whether a row is kept."""

logger = logging.getLogger(__name__)


class ThresholdExceeded(ExplainedError, ValueError):
    """More rows broke a rule than ``cleaning.thresholds`` allows."""


def broken_rules(table: pa.Table, as_of: datetime) -> np.ndarray:
    """Judge every row by all rules but ``duplicate_transaction_id``.

    Args:
        table: rows with the :data:`SCREENED_COLUMNS`, one chunk per column.
        as_of: rows later than this are ``future_timestamp``.

    Returns:
        uint16 per row: the sum of :data:`BIT` of the rules that it broke; 0 = none.
    """
    amount, quantity = numbers(table, "amount"), numbers(table, "quantity")
    discount, rating = numbers(table, "discount"), numbers(table, "rating")
    instants = pa.scalar(as_of, table.schema.field("timestamp").type)
    verdict = np.zeros(len(table), np.uint16)
    # A comparison with NaN is false, so what is missing breaks no other rule; only
    # infinities need to be told apart from values out of range.
    for rule, broken in (
        ("missing_transaction_id", _null(table, "transaction_id")),
        ("missing_customer_id", _null(table, "customer_id")),
        ("missing_timestamp", _null(table, "timestamp")),
        ("missing_amount", ~np.isfinite(amount)),
        ("missing_quantity", ~np.isfinite(quantity)),
        ("non_positive_amount", (amount <= 0) & (amount != -np.inf)),
        ("non_positive_quantity", (quantity <= 0) & (quantity != -np.inf)),
        (
            "discount_out_of_range",
            ((discount < 0) | (discount > 1)) & np.isfinite(discount),
        ),
        ("rating_out_of_range", ((rating < 1) | (rating > 5)) & np.isfinite(rating)),
        (
            "future_timestamp",
            _bools(pc.fill_null(pc.greater(table["timestamp"], instants), False)),
        ),
    ):
        if broken is not None and broken.any():
            verdict |= broken * BIT[rule]
    return verdict


def reasons(verdict: np.ndarray) -> pa.ListArray:
    """List the names of the rules that each row broke, in the order of the rules."""
    broken = (verdict[:, None] >> np.arange(len(RULES), dtype=np.uint16)) & 1
    offsets = np.concatenate([[0], broken.sum(axis=1).cumsum()]).astype(np.int32)
    return pa.ListArray.from_arrays(
        offsets, pa.array(RULES).take(pa.array(np.nonzero(broken)[1]))
    )


def numbers(table: pa.Table, column: str) -> np.ndarray:
    """Return a numeric column as numpy; integers with nulls and floats have NaN."""
    return table[column].combine_chunks().to_numpy(zero_copy_only=False)


def check_thresholds(row_ledger: pd.DataFrame, cleaning: Cleaning) -> None:
    """Warn of, or refuse, a share of rejected rows above its threshold.

    Args:
        row_ledger: the ledger of one run (``ROW_LEDGER``).
        cleaning: thresholds by rule, ``any`` stands for all rejected rows; and
            whether a run may keep none of its rows.

    Raises:
        ThresholdExceeded: a rule is past its ``fail_above``, or no row is kept.
    """
    rows_read = int(row_ledger["rows_read"].sum())
    kept = row_ledger["rows_kept"].any()
    if rows_read and not kept and not cleaning.allow_nothing_kept:
        raise ThresholdExceeded(_nothing_kept(row_ledger, rows_read))
    refused = []
    for rule, threshold in cleaning.thresholds.items():
        column = "rows_rejected" if rule == "any" else rule
        rows = int(row_ledger[column].sum())
        share = rows / rows_read if rows_read else 0.0
        said = f"rule '{rule}': {rows:,} of {rows_read:,} rows ({share:.2%})"
        if threshold.fail_above is not None and share > threshold.fail_above:
            refused.append(
                f"{said} are rejected, more than fail_above = {threshold.fail_above:.2%}. "
                f"Nothing was changed. Mend the data, or raise "
                f"cleaning.thresholds.{rule}.fail_above."
            )
        elif threshold.warn_above is not None and share > threshold.warn_above:
            logger.warning(
                "%s are rejected, more than warn_above = %.2f%%",
                said,
                100 * threshold.warn_above,
            )
    if refused:
        raise ThresholdExceeded("\n".join(refused))


def _nothing_kept(row_ledger: pd.DataFrame, rows_read: int) -> str:
    taken = row_ledger[list(RULES)].sum().sort_values(ascending=False, kind="stable")
    most = ", ".join(f"{rule} {rows:,}" for rule, rows in taken[:3].items() if rows)
    return (
        f"none of the {rows_read:,} rows is kept, judged at "
        f"{row_ledger['as_of'].max().isoformat()}. Most of them were taken by {most}. "
        "Nothing was changed. Mend the data or the parameters; or set "
        "cleaning.allow_nothing_kept: true and "
        "cleaning.thresholds.any.fail_above: 1."
    )


def check_balance(row_ledger: pd.DataFrame) -> None:
    """Check that no row was lost: rows read = rows kept + rows rejected, per file.

    Raises:
        RuntimeError: a file does not balance; that is a defect of this software.
    """
    lost = (
        row_ledger["rows_read"] - row_ledger["rows_kept"] - row_ledger["rows_rejected"]
    )
    if (lost != 0).any():
        files = row_ledger.loc[lost != 0, "source_file"].tolist()
        raise RuntimeError(
            f"the row ledger does not balance for {files[:5]}: "
            f"{int(lost.abs().sum()):,} rows unaccounted for"
        )


def _null(table: pa.Table, column: str) -> np.ndarray | None:
    return _bools(pc.is_null(table[column])) if table[column].null_count else None


def _bools(values: pa.ChunkedArray) -> np.ndarray:
    return values.combine_chunks().to_numpy(zero_copy_only=False)
