"""Which raw rows are sales: the cleaning rules in plain pandas."""

from collections.abc import Mapping
from datetime import datetime

import numpy as np
import pandas as pd

from dask_etl.retail.conform import IDS, check_columns, check_exact_ids
from dask_etl.retail.parameters import Cleaning, Currency
from dask_etl.retail.rules import check_balance, check_thresholds
from dask_etl.retail.schema import OPTIONAL, RULES, raw
from dask_etl.retail.totals import EXACT, MILLIONTHS

RAW_COLUMNS = raw().names
ORIGIN = ["source_file", "source_row"]
"""Where a row stood: its file (all files are categories), its number in it from 0."""

NUMBERS = ["amount", "discount", "rating"]
LABELS = ["product_category", "region"]
BLANKED = {"discount_out_of_range": "discount", "rating_out_of_range": "rating"}
"""What a rule takes away whose action is ``blank``."""

AsOf = datetime | Mapping[str, datetime]
"""The moment that rows are judged at; by source file where they differ."""


def screen(
    raw_transactions: pd.DataFrame,
    as_of: AsOf,
    cleaning: Cleaning,
    currency: Currency,
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Part the sales from the rows that break a rule, and keep the books.

    Args:
        raw_transactions: raw columns in raw order, with ``source_file`` and
            ``source_row``; rows that do not have these count as one file.
        as_of: later timestamps are in the future.
        cleaning: the limits of values, what becomes of rows that break a rule, and how
            many rejected ones to bear.
        currency: how many cents are in a unit.

    Returns:
        kept: rows that no rule rejects, as they came, but what is to be blanked.
        rejected: ``REJECTED_TRANSACTIONS``, raw values and ``reasons``, in raw order.
        row_ledger: ``ROW_LEDGER``, one row per source file.

    Raises:
        ThresholdExceeded: more rows break a rule than ``cleaning`` allows.
        SchemaError: ``cleaning`` asks for a column that is not there.
    """
    check_columns(raw_transactions.columns, cleaning)
    lines = conform(raw_transactions, cleaning)
    broken = broken_rules(lines, as_of, cleaning, currency)
    rejecting = reject(lines, broken, cleaning)
    is_rejected = rejecting.any(axis=1)

    rejected = lines[is_rejected].assign(reasons=list_reasons(rejecting[is_rejected]))
    further = lines.columns.difference([*RAW_COLUMNS, *ORIGIN], sort=False)
    rejected = rejected[[*RAW_COLUMNS, "reasons", *ORIGIN, *further]]
    kept = blank(lines[~is_rejected], broken, cleaning)
    row_ledger = count_rows(lines["source_file"], broken, is_rejected, as_of, cleaning)
    check_balance(row_ledger)
    check_thresholds(row_ledger, cleaning)
    return kept, rejected.reset_index(drop=True), row_ledger


def conform(raw_transactions: pd.DataFrame, cleaning: Cleaning) -> pd.DataFrame:
    """Return raw columns and origin, numbered from 0, in the types the rules expect.

    Only columns that arrive as something else are converted, such as one that is
    all null and therefore of no type. Timestamps without a zone are UTC. Of further
    columns those that are to be kept stay.
    """
    lines = raw_transactions.reset_index(drop=True)
    # What is known of the files has been looked at, and is no part of any table.
    lines.attrs = {}
    if not set(ORIGIN) <= set(lines):
        lines = lines.assign(
            source_file=pd.Categorical(["raw_transactions"]).repeat(len(lines)),
            source_row=lines.index,
        )
    optional = [name for name in OPTIONAL.names if name in lines]
    lines = lines[[*RAW_COLUMNS, *ORIGIN, *optional, *cleaning.keep]]
    lines = lines.astype({"source_file": "category"})
    for name in lines[lines.columns.intersection([*IDS])].select_dtypes("float"):
        check_exact_ids(lines[name].abs().max(), name, "raw_transactions")
        lines[name] = lines[name].astype("Int64")
    timestamp = pd.to_datetime(lines["timestamp"], utc=True).dt.as_unit("us")
    return lines.assign(timestamp=timestamp).astype(
        {
            **dict.fromkeys(NUMBERS, "float64"),
            **dict.fromkeys(LABELS, "str"),
            "is_returned": "boolean",
            **dict.fromkeys(lines.columns.intersection(["line_total"]), "float64"),
        }
    )


def broken_rules(
    lines: pd.DataFrame, as_of: AsOf, cleaning: Cleaning, currency: Currency
) -> pd.DataFrame:
    """Return one boolean column per rule of ``schema.RULES``: does the row break it?

    NaN and ±inf count as missing, and what is missing breaks no rule on its range.
    Duplicates are judged among the rows that no other rule rejects; the first stays.
    """
    amount, quantity = finite(lines["amount"]), finite(lines["quantity"])
    discount, rating = finite(lines["discount"]), finite(lines["rating"])
    broken = pd.DataFrame(
        {
            "missing_transaction_id": is_blank(lines["transaction_id"]),
            "missing_customer_id": is_blank(lines["customer_id"]),
            "missing_timestamp": lines["timestamp"].isna(),
            "missing_amount": amount.isna(),
            "missing_quantity": quantity.isna(),
            "non_positive_amount": amount <= 0,
            "non_positive_quantity": quantity == 0
            if cleaning.returns == "negative_lines"
            else quantity <= 0,
            "discount_out_of_range": (discount < 0) | (discount > 1),
            "rating_out_of_range": (rating < 1) | (rating > 5),
            "value_out_of_range": is_out_of_range(
                amount, quantity, lines["timestamp"], cleaning, currency
            ),
            "future_timestamp": lines["timestamp"] > moment_of(lines, as_of),
        }
    )
    if cleaning.revenue == "total":
        total = finite(lines["line_total"])
        broken["value_out_of_range"] |= (total * quantity < 0) | (
            (total * currency.cents).abs() >= EXACT
        )
    is_rejected = reject(lines, broken, cleaning).any(axis=1)
    valid_ids = lines.loc[~is_rejected, "transaction_id"]
    repeated = valid_ids.duplicated(keep="first")
    broken["duplicate_transaction_id"] = repeated.reindex(lines.index, fill_value=False)
    return broken[list(RULES)]


def reject(
    lines: pd.DataFrame, broken: pd.DataFrame, cleaning: Cleaning
) -> pd.DataFrame:
    """Tell which broken rules reject the row, by their action."""
    excused = [rule for rule in broken if cleaning.action(rule) != "reject"]
    rejecting = broken.assign(**dict.fromkeys(excused, False))
    if "non_positive_amount" in excused:
        # What is free may stay; what costs less than nothing is a mistake.
        is_less = broken["non_positive_amount"] & (finite(lines["amount"]) != 0)
        rejecting["non_positive_amount"] = is_less
    return rejecting


def blank(kept: pd.DataFrame, broken: pd.DataFrame, cleaning: Cleaning) -> pd.DataFrame:
    """Make values null that broke a rule whose action is that."""
    for rule, column in BLANKED.items():
        if cleaning.action(rule) == "blank":
            is_gone = broken.loc[kept.index, rule]
            kept = kept.assign(**{column: kept[column].mask(is_gone)})
    return kept


def moment_of(lines: pd.DataFrame, as_of: AsOf) -> datetime | pd.Series:
    """Return the moment that each line is judged at; the one where they share it."""
    if not isinstance(as_of, Mapping):
        return as_of
    moments = lines["source_file"].astype("str").map(as_of)
    return pd.to_datetime(moments, utc=True).dt.as_unit("us")


def is_blank(ids: pd.Series) -> pd.Series:
    """Tell the ids that are null or, being text, empty or only white space."""
    missing = ids.isna()
    if not pd.api.types.is_string_dtype(ids):
        return missing
    return missing | (ids == "").fillna(False) | ids.str.isspace().fillna(False)


def is_out_of_range(
    amount: pd.Series,
    quantity: pd.Series,
    timestamp: pd.Series,
    cleaning: Cleaning,
    currency: Currency,
) -> pd.Series:
    """Tell the rows that no limit, or no sum in whole cents, has room for.

    A quantity is out of range, too, if it is not a whole number, or has more than six
    decimals where ``cleaning.quantity`` is ``decimal``.
    """
    limits = cleaning.limits
    decimals = 1 if cleaning.quantity == "whole" else MILLIONTHS
    too_fine = (quantity * decimals).round() / decimals != quantity
    return (
        (amount.abs() > limits.amount)
        | (quantity.abs() > limits.quantity)
        | (too_fine & quantity.notna())
        | ((amount * quantity * currency.cents).abs() >= EXACT)
        | (timestamp < limits.timestamp)
    )


def finite(numbers: pd.Series) -> pd.Series:
    """Return the numbers as float64, with NaN for whatever is not finite."""
    numbers = numbers.astype("float64")
    return numbers.where(np.isfinite(numbers))


def list_reasons(broken: pd.DataFrame) -> pd.Series:
    """Return the list of broken rules per row, in the order of the columns."""
    # Rows share few combinations: number them in binary, and spell each out once.
    combination = broken.to_numpy() @ (1 << np.arange(broken.shape[1]))
    spelled = {
        number: [rule for bit, rule in enumerate(broken) if number >> bit & 1]
        for number in np.unique(combination)
    }
    return pd.Series(
        [spelled[number] for number in combination], broken.index, dtype=object
    )


def count_rows(
    source_file: pd.Series,
    broken: pd.DataFrame,
    is_rejected: pd.Series,
    as_of: AsOf,
    cleaning: Cleaning,
) -> pd.DataFrame:
    """Return how many rows of each file were read, kept, and rejected by each rule.

    Args:
        source_file: of every row; its categories are all files, in raw order.
        broken: the rules broken by each row.
        is_rejected: whether one of them rejects it.
        as_of: recorded with every file; that of its own where they differ.
        cleaning: what the other rules do.

    Returns:
        ``ROW_LEDGER``, in raw order, files without rows included.
    """
    rules = {
        action: [rule for rule in broken if cleaning.action(rule) == action]
        for action in ("blank", "keep")
    }
    # Few rows break a rule, and the others need not be looked at one by one.
    did = broken.any(axis=1)
    few, stays = broken[did], ~is_rejected[did]
    told = pd.DataFrame(
        {
            "rows_rejected": ~stays,
            "rows_blanked": stays & few[rules["blank"]].any(axis=1),
            "rows_excused": stays & few[rules["keep"]].any(axis=1),
            **few,
        },
        index=few.index,
    )
    counts = told.groupby(source_file[did], observed=False).sum()
    rows_read = source_file.value_counts(sort=False)
    counts.insert(0, "rows_read", rows_read)
    counts.insert(1, "rows_kept", rows_read - counts["rows_rejected"])
    ledger = (
        counts.astype("int64")
        .rename_axis("source_file")
        .reset_index()
        .astype({"source_file": "str"})
    )
    moments = pd.Series(moment_of(ledger, as_of), ledger.index)
    return ledger.assign(as_of=pd.to_datetime(moments, utc=True).dt.as_unit("us"))
