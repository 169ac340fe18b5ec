"""The project's ETL in plain pandas: one readable script, whole tables in memory.

Written as a good pandas user would: whole columns at a time, labels as categories, no
Python function per row or group. Clean and rejected rows keep their raw order.
"""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from _cli import (
    EARLIEST,
    MOST_AMOUNT,
    MOST_CENTS,
    MOST_QUANTITY,
    PRICE_BOUNDS,
    PRICE_CATEGORIES,
    RULES,
    UNKNOWN,
    parser,
    raw_files,
    table_file,
)

NULLABLE = {pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}
LABELS = ["product_category", "region"]
PRICE_BINS = [-np.inf, *PRICE_BOUNDS, np.inf]
DATE = pd.ArrowDtype(pa.date32())


def read(files):
    """Read all files into one frame, with the source file and row of each row."""
    names = [file.name for file in files]
    frames = []
    for number, file in enumerate(files):
        # Without nullable types integers with nulls become floats and ids lose digits.
        frame = pq.read_table(file).to_pandas(types_mapper=NULLABLE.get)
        source = np.full(len(frame), number)
        frame["source_file"] = pd.Categorical.from_codes(source, categories=names)
        frame["source_row"] = np.arange(len(frame))
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def is_missing(ids):
    """Null, or text that is empty or blank."""
    if not pd.api.types.is_string_dtype(ids):
        return ids.isna()
    return ids.fillna("").str.strip().eq("").astype(bool)


def is_out_of_range(raw, amount):
    """Tell the rows beyond the limits; quantities are whole numbers here."""
    quantity = raw["quantity"].astype("float64")
    return (
        (amount.abs() > MOST_AMOUNT)
        | (quantity.abs() > MOST_QUANTITY)
        | ((amount * quantity * 100).abs() >= MOST_CENTS)
        | (raw["timestamp"] < EARLIEST)
    )


def judge(raw, as_of):
    """Tell for every row and rule whether the row breaks the rule."""
    amount = raw["amount"].where(np.isfinite(raw["amount"]))
    discount = raw["discount"].where(np.isfinite(raw["discount"]))
    rating = raw["rating"].where(np.isfinite(raw["rating"]))
    broken = pd.DataFrame(
        {
            "missing_transaction_id": is_missing(raw["transaction_id"]),
            "missing_customer_id": is_missing(raw["customer_id"]),
            "missing_timestamp": raw["timestamp"].isna(),
            "missing_amount": amount.isna(),
            "missing_quantity": raw["quantity"].isna(),
            "non_positive_amount": amount <= 0,
            "non_positive_quantity": (raw["quantity"] <= 0).fillna(False).astype(bool),
            "discount_out_of_range": (discount < 0) | (discount > 1),
            "rating_out_of_range": (rating < 1) | (rating > 5),
            "value_out_of_range": is_out_of_range(raw, amount),
            "future_timestamp": raw["timestamp"] > as_of,
            "duplicate_transaction_id": False,
        }
    )
    valid = ~broken.any(axis=1)
    broken.loc[valid, "duplicate_transaction_id"] = raw.loc[
        valid, "transaction_id"
    ].duplicated(keep="first")
    return broken


def reject(raw, broken, rejected):
    """Return the rejected rows with their reasons and where they stood."""
    # Few combinations of rules occur: name each once.
    combination = broken[rejected].dot(1 << np.arange(len(RULES)))
    names = {
        bits: [rule for number, rule in enumerate(RULES) if bits >> number & 1]
        for bits in combination.unique()
    }
    reasons = pa.array(combination.map(names).astype(object), pa.list_(pa.string()))
    table = raw[rejected].copy()
    position = table.columns.get_loc("source_file")
    table.insert(position, "reasons", pd.arrays.ArrowExtensionArray(reasons))
    return table


def ledger(raw, broken, rejected, as_of):
    """Count rows read, kept and rejected, and rejected by each rule, per file."""
    rows_read = raw["source_file"].value_counts(sort=False)
    by_rule = broken[rejected].assign(rows_rejected=True)
    by_rule = by_rule.groupby(raw["source_file"], observed=False).sum()
    table = by_rule.assign(
        rows_read=rows_read, rows_kept=rows_read - by_rule["rows_rejected"]
    )
    table = table.assign(rows_blanked=0, rows_excused=0)[
        [
            "rows_read",
            "rows_kept",
            "rows_rejected",
            "rows_blanked",
            "rows_excused",
            *RULES,
        ]
    ].astype("int64")
    return table.assign(as_of=as_of).reset_index().astype({"source_file": "str"})


def clean(raw, rejected):
    """Return the kept rows, filled in, with the features."""
    table = raw[~rejected].drop(columns=["source_file", "source_row"])
    for number in table.select_dtypes("Int64"):
        table[number] = table[number].astype("int64")
    table["discount"] = table["discount"].where(np.isfinite(table["discount"]), 0.0)
    table["rating"] = table["rating"].where(np.isfinite(table["rating"]))
    table["is_returned"] = table["is_returned"].fillna(False).astype(bool)
    for label in LABELS:
        table[label] = table[label].fillna(UNKNOWN).astype("category")

    table["net_amount"] = table["amount"] * (1 - table["discount"])
    cents = np.rint(table["net_amount"] * table["quantity"] * 100)
    table["revenue"] = cents / 100
    table["price_category"] = pd.cut(
        table["amount"], PRICE_BINS, labels=PRICE_CATEGORIES
    )
    timestamp = table["timestamp"].dt
    table["year"] = timestamp.year.astype("int16")
    table["month"] = timestamp.month.astype("int8")
    table["quarter"] = timestamp.quarter.astype("int8")
    table["day_of_week"] = timestamp.day_of_week.astype("int8")
    return table


def measures(table):
    """Return keys and whole numbers to add up: money in cents, ratings in millionths."""
    cents = (table["revenue"] * 100).round().astype("int64")
    millionths = (table["rating"] * 1_000_000).round().fillna(0).astype("int64")
    day = table["timestamp"].dt.tz_localize(None).dt.floor("D")
    return table[["customer_id", *LABELS, "quantity", "timestamp", "rating"]].assign(
        day=day,
        cents=cents,
        is_returned=table["is_returned"],
        returned_quantity=table["quantity"].where(table["is_returned"], 0),
        returned_cents=cents.where(table["is_returned"], 0),
        millionths=millionths,
    )


SUMS = {
    "lines": ("cents", "size"),
    "units": ("quantity", "sum"),
    "revenue_cents": ("cents", "sum"),
    "returned_lines": ("is_returned", "sum"),
    "returned_units": ("returned_quantity", "sum"),
    "returned_revenue_cents": ("returned_cents", "sum"),
    "rating_sum": ("millionths", "sum"),
    "rating_count": ("rating", "count"),
}


def sales_cube(lines):
    """Add up the lines by day, region and product category."""
    keys = ["day", "region", "product_category"]
    cube = lines.groupby(keys, observed=True).agg(**SUMS).reset_index()
    cube["rating_sum"] /= 1_000_000
    return cube.astype({"day": DATE, "region": "str", "product_category": "str"})


def customers(table, lines):
    """Add up the lines by customer, and list where, what and when each bought."""
    result = lines.groupby("customer_id").agg(
        **SUMS,
        first_purchase=("timestamp", "min"),
        last_purchase=("timestamp", "max"),
    )
    result["rating_sum"] /= 1_000_000
    month = lines["day"] - pd.to_timedelta(lines["day"].dt.day - 1, unit="D")
    bought = {
        "regions": table["region"],
        "product_categories": table["product_category"],
        "months": month,
    }
    for name, values in bought.items():
        pairs = pd.DataFrame({"customer_id": table["customer_id"], name: values})
        result[name] = lists(pairs.drop_duplicates().sort_values(["customer_id", name]))
    return result.reset_index()


def lists(pairs):
    """Gather the second column of sorted pairs into one list for each key."""
    key, name = pairs.columns
    sizes = pairs.groupby(key).size()
    # groupby().agg(list) makes a Python list for each group, many times as slow.
    values = pairs[name].astype(DATE if name == "months" else "str")
    column = pa.ListArray.from_arrays(
        np.append(0, sizes.cumsum()).astype("int32"), pa.array(values, from_pandas=True)
    )
    return pd.Series(pd.arrays.ArrowExtensionArray(column), index=sizes.index)


def main():
    """Run the job."""
    arguments = parser(__doc__).parse_args()
    raw = read(raw_files(arguments.raw_dir))
    broken = judge(raw, arguments.as_of)
    rejected = broken.any(axis=1)
    row_ledger = ledger(raw, broken, rejected, arguments.as_of)
    rejected_transactions = reject(raw, broken, rejected)
    clean_transactions = clean(raw, rejected)
    del raw, broken, rejected
    lines = measures(clean_transactions)
    for name, table in {
        "clean_transactions": clean_transactions,
        "rejected_transactions": rejected_transactions,
        "row_ledger": row_ledger,
        "sales_cube": sales_cube(lines),
        "customers": customers(clean_transactions, lines),
    }.items():
        # to_parquet would note types of lists that read_parquet does not understand.
        written = pa.Table.from_pandas(table, preserve_index=False)
        written = written.replace_schema_metadata()
        pq.write_table(written, table_file(arguments.out_dir, name))


if __name__ == "__main__":
    main()
