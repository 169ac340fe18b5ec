"""The cleaning rules: which raw rows are not sales, and why.

A row's flags are one bit per rule of :data:`schema.RULES` in a uint32, so that a
million rows cost a few milliseconds and a row can name every rule that it broke. The
lower half are the rules that reject the row, the upper half those whose action, in
``cleaning.rules``, lets it stay.
"""

import logging
from datetime import datetime

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from dask_etl.errors import ExplainedError
from dask_etl.retail.parameters import Cleaning, Currency
from dask_etl.retail.schema import RULES
from dask_etl.retail.totals import EXACT, MILLIONTHS
from dask_etl.storage.arrays import as_array, bits_of

BIT = {rule: np.uint32(1 << position) for position, rule in enumerate(RULES)}
_EXCUSED = np.uint32(16)
"""How far the bit of a rule is shifted where the row stays."""
_REASONS = np.uint32((1 << _EXCUSED) - 1)

SCREENED_COLUMNS = [
    "transaction_id",
    "customer_id",
    "amount",
    "quantity",
    "discount",
    "timestamp",
    "rating",
]
"""The columns that decide whether a row is kept; see :func:`screened_columns`."""

logger = logging.getLogger(__name__)


class ThresholdExceeded(ExplainedError, ValueError):
    """More rows broke a rule than ``cleaning.thresholds`` allows."""


def screened_columns(cleaning: Cleaning) -> list[str]:
    """Return the columns that decide whether a row is kept."""
    totals = ["line_total"] if cleaning.revenue == "total" else []
    return [*SCREENED_COLUMNS, *totals]


def broken_rules(
    table: pa.Table, as_of: datetime, cleaning: Cleaning, currency: Currency
) -> np.ndarray:
    """Validate every row by all rules but ``duplicate_transaction_id``.

    Args:
        table: rows with the :func:`screened_columns`, one chunk per column.
        as_of: rows later than this are ``future_timestamp``.
        cleaning: the limits of ``value_out_of_range``, what a quantity is, and what
            becomes of rows that break a rule.
        currency: how many cents are in a unit.

    Returns:
        The flags of every row, uint32: see :func:`is_rejected`, :func:`broke`.
    """
    # Most rows are in order, which costs little to see; the rules are for the others.
    flags = np.zeros(len(table), np.uint32)
    if not len(table):
        return flags
    suspects = _suspects(table, as_of, cleaning, currency).nonzero()[0]
    if len(suspects):
        rows = table.select(screened_columns(cleaning)).take(pa.array(suspects))
        flags[suspects] = _flags_of(rows, as_of, cleaning, currency)
    return flags


def is_rejected(flags: np.ndarray) -> np.ndarray:
    """Tell the rows that a rule rejects."""
    return (flags & _REASONS) != 0


def broke(flags: np.ndarray, rule: str) -> np.ndarray:
    """Tell the rows that broke a rule, whatever became of them."""
    return (flags & (BIT[rule] | BIT[rule] << _EXCUSED)) != 0


def stayed(flags: np.ndarray, action: str, cleaning: Cleaning) -> np.ndarray:
    """Tell the rows that stay though they broke a rule of this action."""
    bits = sum(int(BIT[rule]) for rule in RULES if cleaning.action(rule) == action)
    return ((flags >> _EXCUSED & np.uint32(bits)) != 0) & ~is_rejected(flags)


def _suspects(
    table: pa.Table, as_of: datetime, cleaning: Cleaning, currency: Currency
) -> np.ndarray:
    """Tell the rows that may break a rule; all others certainly break none."""
    limits = cleaning.limits
    amount, has_amount = stored(table, "amount")
    quantity, has_quantity = stored(table, "quantity")
    good = has_amount & (amount > 0) & (amount <= limits.amount)
    good &= has_quantity & (quantity > 0) & (quantity <= limits.quantity)
    if quantity.dtype.kind == "f":
        good &= ~_is_too_fine(quantity, cleaning)
    most = EXACT / (2 * currency.cents)
    if limits.amount * limits.quantity >= most:
        with np.errstate(over="ignore", invalid="ignore"):
            good &= amount * quantity < most
    if cleaning.revenue == "total":
        total, has_total = stored(table, "line_total")
        good &= ~has_total | ((total >= 0) & (total < most))
    ticks, has_ticks = stored(table, "timestamp")
    instants = table.schema.field("timestamp").type
    earliest, latest = (
        pa.scalar(moment, instants).value for moment in (limits.timestamp, as_of)
    )
    good &= has_ticks & (ticks >= earliest) & (ticks <= latest)
    for column, least, most in (("discount", 0, 1), ("rating", 1, 5)):
        values, has_values = stored(table, column)
        good &= ~(has_values & ((values < least) | (values > most)))
    for column in ("transaction_id", "customer_id"):
        good &= _has_id(table, column)
    return ~good


def stored(table: pa.Table, column: str) -> tuple[np.ndarray, np.ndarray | np.bool_]:
    """Return numbers or instants as they lie in memory, and which of them are there.

    Nothing is copied; what stands for a null may be anything.
    """
    values = as_array(table[column])
    content = bits_of(values)
    if pa.types.is_floating(values.type):
        content = content.view(values.type.to_pandas_dtype())
    return content, _is_there(values)


def _is_there(values: pa.Array) -> np.ndarray | np.bool_:
    """Unpack which values are not null; one true for all where none is."""
    if not values.null_count:
        return np.True_
    bits = np.frombuffer(values.buffers()[0], np.uint8)
    first, last = values.offset, values.offset + len(values)
    return np.unpackbits(bits, count=last, bitorder="little")[first:].view(bool)


def _flags_of(
    table: pa.Table, as_of: datetime, cleaning: Cleaning, currency: Currency
) -> np.ndarray:
    amount, quantity = numbers(table, "amount"), numbers(table, "quantity")
    discount, rating = numbers(table, "discount"), numbers(table, "rating")
    flags = np.zeros(len(table), np.uint32)
    # Less than nothing comes back, where lines tell of returns.
    has_returns = cleaning.returns == "negative_lines"
    too_few = quantity == 0 if has_returns else quantity <= 0
    # A comparison with NaN is false, so what is missing breaks no other rule; only
    # infinities need to be told apart from values out of range.
    for rule, broken in (
        ("missing_transaction_id", ~_has_id(table, "transaction_id")),
        ("missing_customer_id", ~_has_id(table, "customer_id")),
        ("missing_timestamp", _bools(pc.is_null(table["timestamp"]))),
        ("missing_amount", ~np.isfinite(amount)),
        ("missing_quantity", ~np.isfinite(quantity)),
        ("non_positive_amount", (amount <= 0) & (amount != -np.inf)),
        ("non_positive_quantity", too_few & (quantity != -np.inf)),
        (
            "discount_out_of_range",
            ((discount < 0) | (discount > 1)) & np.isfinite(discount),
        ),
        ("rating_out_of_range", ((rating < 1) | (rating > 5)) & np.isfinite(rating)),
        (
            "value_out_of_range",
            _out_of_range(table, amount, quantity, cleaning, currency),
        ),
        ("future_timestamp", _compared(pc.greater, table["timestamp"], as_of)),
    ):
        if cleaning.action(rule) == "reject":
            flags |= broken * BIT[rule]
        elif rule == "non_positive_amount":
            # What is free may stay; what costs less than nothing is a mistake.
            flags |= (broken & (amount < 0)) * BIT[rule]
            flags |= (amount == 0) * (BIT[rule] << _EXCUSED)
        else:
            flags |= broken * (BIT[rule] << _EXCUSED)
    return flags


def _out_of_range(
    table: pa.Table,
    amount: np.ndarray,
    quantity: np.ndarray,
    cleaning: Cleaning,
    currency: Currency,
) -> np.ndarray:
    """Beyond a limit, a quantity with too many decimals, or not exact in cents.

    Where lines come with a total, that must be exact and have the sign of the quantity.
    """
    limits = cleaning.limits
    broken = _compared(pc.less, table["timestamp"], limits.timestamp)
    for values, limit in ((amount, limits.amount), (quantity, limits.quantity)):
        broken |= ((values > limit) | (values < -limit)) & np.isfinite(values)
    if quantity.dtype.kind == "f":
        broken |= _is_too_fine(quantity, cleaning) & np.isfinite(quantity)
    if limits.amount * limits.quantity * currency.cents >= EXACT:
        # What is infinite in here is either missing or beyond its limit already.
        with np.errstate(over="ignore", invalid="ignore"):
            cents = amount * quantity * currency.cents
        broken |= (np.abs(cents) >= EXACT) & np.isfinite(cents)
    if cleaning.revenue == "total":
        total = numbers(table, "line_total")
        with np.errstate(over="ignore", invalid="ignore"):
            is_opposed = ((total < 0) & (quantity > 0)) | ((total > 0) & (quantity < 0))
            is_inexact = np.abs(total * currency.cents) >= EXACT
        broken |= (is_opposed | is_inexact) & np.isfinite(total)
    return broken


def _is_too_fine(quantity: np.ndarray, cleaning: Cleaning) -> np.ndarray:
    """Not a whole number; where decimals are allowed: more than six of them."""
    if cleaning.quantity == "whole":
        return quantity != np.rint(quantity)
    with np.errstate(over="ignore", invalid="ignore"):
        return np.rint(quantity * MILLIONTHS) / MILLIONTHS != quantity


def _compared(compare, instants: pa.ChunkedArray, moment: datetime) -> np.ndarray:
    """Compare instants with a moment; a null compares false."""
    return _bools(
        pc.fill_null(compare(instants, pa.scalar(moment, instants.type)), False)
    )


def reasons(flags: np.ndarray) -> pa.ListArray:
    """List the names of the rules that reject each row, in the order of the rules."""
    broken = (flags[:, None] >> np.arange(len(RULES), dtype=np.uint32)) & 1
    offsets = np.concatenate([[0], broken.sum(axis=1).cumsum()]).astype(np.int32)
    return pa.ListArray.from_arrays(
        offsets, pa.array(RULES).take(pa.array(np.nonzero(broken)[1]))
    )


def numbers(table: pa.Table, column: str) -> np.ndarray:
    """Return a numeric column as numpy; integers with nulls and floats have NaN."""
    return as_array(table[column]).to_numpy(zero_copy_only=False)


def check_thresholds(
    row_ledger: pd.DataFrame, cleaning: Cleaning, is_addition: bool = False
) -> None:
    """Warn of, or refuse, a share of rejected rows above its threshold.

    Args:
        row_ledger: the ledger of one run (``ROW_LEDGER``).
        cleaning: thresholds by rule, ``any`` stands for all rejected rows; and
            whether a run may keep none of its rows.
        is_addition: the rows are added to others. What was delivered before may be
            delivered again: duplicates are then no fault of theirs, and count under
            their own rule only.

    Raises:
        ThresholdExceeded: a rule is past its ``fail_above``, or no row is kept.
    """
    rows_read = int(row_ledger["rows_read"].sum())
    known = int(row_ledger["duplicate_transaction_id"].sum()) if is_addition else 0
    kept = row_ledger["rows_kept"].any()
    if rows_read > known and not kept and not cleaning.allow_nothing_kept:
        raise ThresholdExceeded(_nothing_kept(row_ledger, rows_read, cleaning))
    refused = []
    for rule, threshold in cleaning.thresholds.items():
        column = "rows_rejected" if rule == "any" else rule
        rows = int(row_ledger[column].sum()) - (known if rule == "any" else 0)
        share = rows / rows_read if rows_read else 0.0
        said = f"rule '{rule}': {rows:,} of {rows_read:,} rows ({share:.2%})"
        what = "are rejected" if cleaning.action(rule) == "reject" else "broke it"
        if threshold.fail_above is not None and share > threshold.fail_above:
            refused.append(
                f"{said} {what}, more than fail_above = {threshold.fail_above:.2%}. "
                f"Nothing was changed. Mend the data, or raise "
                f"cleaning.thresholds.{rule}.fail_above."
            )
        elif threshold.warn_above is not None and share > threshold.warn_above:
            logger.warning(
                "%s %s, more than warn_above = %.2f%%",
                said,
                what,
                100 * threshold.warn_above,
            )
    if refused:
        raise ThresholdExceeded("\n".join(refused))


def _nothing_kept(row_ledger: pd.DataFrame, rows_read: int, cleaning: Cleaning) -> str:
    rejecting = [rule for rule in RULES if cleaning.action(rule) == "reject"]
    taken = row_ledger[rejecting].sum().sort_values(ascending=False, kind="stable")
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


def _has_id(table: pa.Table, column: str) -> np.ndarray | np.bool_:
    return is_id(as_array(table[column]))


def is_id(ids: pa.Array) -> np.ndarray | np.bool_:
    """Tell which ids are neither null nor, being text, empty or blank."""
    if not pa.types.is_string(ids.type):
        return _is_there(ids)
    has_text = pc.and_not(pc.greater(pc.binary_length(ids), 0), pc.utf8_is_space(ids))
    return has_text.fill_null(False).to_numpy(zero_copy_only=False)


def _bools(values: pa.ChunkedArray) -> np.ndarray:
    return as_array(values).to_numpy(zero_copy_only=False)
