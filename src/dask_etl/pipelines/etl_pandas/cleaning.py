"""Which raw rows are sales: the cleaning rules in plain pandas."""

from collections.abc import Sequence
from datetime import datetime

import numpy as np
import pandas as pd

from dask_etl.retail.conform import IDS, check_exact_ids
from dask_etl.retail.features import EXACT, InvalidValue
from dask_etl.retail.parameters import Cleaning
from dask_etl.retail.rules import check_balance, check_thresholds
from dask_etl.retail.schema import RULES, raw

RAW_COLUMNS = raw().names
NUMBERS = ["amount", "discount", "rating"]
LABELS = ["product_category", "region"]

SourceFiles = Sequence[tuple[str, int]]
"""Name and number of rows of each file of the raw table, in raw order."""


def screen(
    raw_transactions: pd.DataFrame, as_of: datetime, cleaning: Cleaning
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Part the sales from the rows that break a rule, and keep the books.

    Args:
        raw_transactions: raw columns in raw order; ``attrs["source_files"]`` says
            how many of the rows came from which file.
        as_of: later timestamps are in the future.
        cleaning: how many rejected rows to bear.

    Returns:
        kept: rows that break no rule, as they came, indexed by their raw position.
        rejected: ``REJECTED_TRANSACTIONS``, raw values and ``reasons``, in raw order.
        row_ledger: ``ROW_LEDGER``, one row per source file.

    Raises:
        ThresholdExceeded: more rows break a rule than ``cleaning`` allows.
        InvalidValue: a kept row has a value that no feature can be computed from.
    """
    files = source_files(raw_transactions)
    lines = conform(raw_transactions)
    broken = broken_rules(lines, as_of)
    is_rejected = broken.any(axis=1)

    kept = lines[~is_rejected]
    kept.attrs["source_files"] = files
    check_values(kept)
    rejected = describe_rejected(lines[is_rejected], broken[is_rejected], files)
    row_ledger = count_rows(kept, broken[is_rejected], files, as_of)
    check_balance(row_ledger)
    check_thresholds(row_ledger, cleaning)
    return kept, rejected, row_ledger


def source_files(raw_transactions: pd.DataFrame) -> SourceFiles:
    """Return the files that the rows came from; one for a table that names none."""
    rows = len(raw_transactions)
    files = raw_transactions.attrs.get("source_files", [("raw_transactions", rows)])
    if (said := sum(rows for _, rows in files)) != rows:
        raise ValueError(
            f"raw_transactions has {rows:,} rows, but its files hold {said:,}: "
            "pass the table on as it was loaded, all rows in their order"
        )
    return files


def conform(raw_transactions: pd.DataFrame) -> pd.DataFrame:
    """Return the raw columns, numbered from 0, in the types that the rules expect.

    Only columns that arrive as something else are converted, such as one that is
    all null and therefore of no type. Timestamps without a zone are UTC.
    """
    lines = raw_transactions[RAW_COLUMNS].reset_index(drop=True)
    for name in lines[list(IDS)].select_dtypes("float"):
        check_exact_ids(lines[name].abs().max(), name, "raw_transactions")
        lines[name] = lines[name].astype("Int64")
    timestamp = pd.to_datetime(lines["timestamp"], utc=True).dt.as_unit("us")
    return lines.assign(timestamp=timestamp).astype(
        {
            **dict.fromkeys(NUMBERS, "float64"),
            **dict.fromkeys(LABELS, "str"),
            "is_returned": "boolean",
        }
    )


def broken_rules(lines: pd.DataFrame, as_of: datetime) -> pd.DataFrame:
    """Return one boolean column per rule of ``schema.RULES``: does the row break it?

    NaN and ±inf count as missing, and what is missing breaks no rule on its range.
    Duplicates are judged among the rows that break no other rule; the first stays.
    """
    amount, quantity = finite(lines["amount"]), finite(lines["quantity"])
    discount, rating = finite(lines["discount"]), finite(lines["rating"])
    broken = pd.DataFrame(
        {
            "missing_transaction_id": lines["transaction_id"].isna(),
            "missing_customer_id": lines["customer_id"].isna(),
            "missing_timestamp": lines["timestamp"].isna(),
            "missing_amount": amount.isna(),
            "missing_quantity": quantity.isna(),
            "non_positive_amount": amount <= 0,
            "non_positive_quantity": quantity <= 0,
            "discount_out_of_range": (discount < 0) | (discount > 1),
            "rating_out_of_range": (rating < 1) | (rating > 5),
            "future_timestamp": lines["timestamp"] > as_of,
        }
    )
    valid_ids = lines.loc[~broken.any(axis=1), "transaction_id"]
    repeated = valid_ids.duplicated(keep="first")
    broken["duplicate_transaction_id"] = repeated.reindex(lines.index, fill_value=False)
    return broken[list(RULES)]


def finite(numbers: pd.Series) -> pd.Series:
    """Return the numbers as float64, with NaN for whatever is not finite."""
    numbers = numbers.astype("float64")
    return numbers.where(np.isfinite(numbers))


def check_values(kept: pd.DataFrame) -> None:
    """Refuse quantities that are no whole numbers, and revenues too large to be exact.

    Raises:
        InvalidValue: names the first such line, by file and row.
    """
    amount, quantity = kept["amount"], finite(kept["quantity"])
    not_whole = quantity.index[(quantity % 1 != 0) | (quantity >= EXACT)]
    if not not_whole.empty:
        position = not_whole[0]
        raise InvalidValue(
            f"{name_row(position, kept)}: quantity {quantity[position]:g} is not a "
            "whole number below 2**53; correct it at the source"
        )
    # Only where the largest values together might do it is it worked out by row.
    if amount.max() * quantity.max() * 100 < EXACT:
        return
    net_amount = amount * (1 - finite(kept["discount"]).fillna(0))
    cents = net_amount * quantity * 100
    too_large = cents.index[cents >= EXACT]
    if not too_large.empty:
        position = too_large[0]
        raise InvalidValue(
            f"{name_row(position, kept)}: amount {amount[position]:g} × quantity "
            f"{quantity[position]:g} is beyond 2**53 cents and cannot be added up "
            "exactly; correct or remove the row"
        )


def name_row(position: int, kept: pd.DataFrame) -> str:
    """Name the file and the row that a raw position stands for."""
    files = kept.attrs.get("source_files", [("raw_transactions", position + 1)])
    number = locate(position, files)
    row = position - sum(rows for _, rows in files[:number])
    return f"{files[number][0]}, row {row}"


def describe_rejected(
    lines: pd.DataFrame, broken: pd.DataFrame, files: SourceFiles
) -> pd.DataFrame:
    """Add to rejected rows the rules they broke, and where they stood in which file.

    Args:
        lines: rejected rows, indexed by raw position.
        broken: the rules that each of them broke.
        files: name and rows of each source file.

    Returns:
        ``REJECTED_TRANSACTIONS``; ``source_row`` counts from 0 within its file.
    """
    names = pd.Series([name for name, _ in files], dtype="str")
    starts = _ends(files) - np.array([rows for _, rows in files], np.int64)
    file_number = locate(lines.index, files)
    rejected = lines.assign(
        reasons=list_reasons(broken),
        source_file=names.take(file_number).to_numpy(),
        source_row=lines.index - starts[file_number],
    ).reset_index(drop=True)
    rejected.attrs = {}
    return rejected


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
    kept: pd.DataFrame, broken: pd.DataFrame, files: SourceFiles, as_of: datetime
) -> pd.DataFrame:
    """Return how many rows of each file were read, kept, and rejected by each rule.

    Args:
        kept: kept rows, indexed by raw position.
        broken: the rules broken by rejected rows, indexed by raw position.
        files: name and rows of each source file.
        as_of: recorded with every file.

    Returns:
        ``ROW_LEDGER``, in raw order, files without rows included.
    """
    file_numbers = range(len(files))
    rejected_from = locate(broken.index, files)
    rules = broken.groupby(rejected_from).sum().reindex(file_numbers, fill_value=0)
    ledger = pd.DataFrame(
        {
            "source_file": pd.Series([name for name, _ in files], dtype="str"),
            "rows_read": pd.Series([rows for _, rows in files], dtype="int64"),
            "rows_kept": np.bincount(locate(kept.index, files), minlength=len(files)),
            "rows_rejected": np.bincount(rejected_from, minlength=len(files)),
        }
    )
    return ledger.join(rules.astype("int64")).assign(
        as_of=pd.Timestamp(as_of).tz_convert("UTC").as_unit("us")
    )


def locate(positions: pd.Index, files: SourceFiles) -> np.ndarray:
    """Return the number of the file that holds each raw position."""
    return np.searchsorted(_ends(files), positions, side="right")


def _ends(files: SourceFiles) -> np.ndarray:
    return np.cumsum([rows for _, rows in files], dtype=np.int64)
