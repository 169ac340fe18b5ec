"""The project's ETL in dask.dataframe on a default LocalCluster, as the docs teach it.

Rows are numbered as they are read, judged by a pandas function per partition, and
shuffled by id, so that all deliveries of a line meet in one partition and the first in
raw order can be told (``drop_duplicates`` moves as many rows, but keeps any of them).
Clean rows go to Parquet, as the best practices advise, and are read back for the
summaries. Clean and rejected rows are many files, in no particular order.
"""

import dask
import dask.dataframe as dd
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
from dask.distributed import Client, LocalCluster

NULLABLE = {pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}
DATE = pd.ArrowDtype(pa.date32())
PRICE_BINS = [-np.inf, *PRICE_BOUNDS, np.inf]
DUPLICATE = 1 << RULES.index("duplicate_transaction_id")


def read_part(file, number):
    """Read a file, and note the number of the file and of each row."""
    # Without nullable types integers with nulls become floats and ids lose digits.
    part = pq.read_table(file).to_pandas(types_mapper=NULLABLE.get)
    return part.assign(source_part=number, source_row=np.arange(len(part)))


def is_missing(ids):
    """Null, or text that is empty or blank."""
    if not pd.api.types.is_string_dtype(ids):
        return ids.isna()
    return ids.fillna("").str.strip().eq("").astype(bool)


def judge(part, as_of):
    """Add the rules that each row breaks, as bits, but for duplicates."""
    amount = part["amount"].where(np.isfinite(part["amount"]))
    discount = part["discount"].where(np.isfinite(part["discount"]))
    rating = part["rating"].where(np.isfinite(part["rating"]))
    quantity = part["quantity"].astype("float64")
    broken = [
        is_missing(part["transaction_id"]),
        is_missing(part["customer_id"]),
        part["timestamp"].isna(),
        amount.isna(),
        part["quantity"].isna(),
        amount <= 0,
        (part["quantity"] <= 0).fillna(False).astype(bool),
        (discount < 0) | (discount > 1),
        (rating < 1) | (rating > 5),
        (amount.abs() > MOST_AMOUNT)
        | (quantity.abs() > MOST_QUANTITY)
        | ((amount * quantity * 100).abs() >= MOST_CENTS)
        | (part["timestamp"] < EARLIEST),
        part["timestamp"] > as_of,
    ]
    bits = sum(rule * (1 << number) for number, rule in enumerate(broken))
    return part.assign(broken=bits)


def mark_duplicates(part):
    """Mark every valid row but the first of its id; all of an id are in this part."""
    part = part.sort_values(["source_part", "source_row"])
    valid = part["broken"] == 0
    later = valid & part["transaction_id"].where(valid).duplicated(keep="first")
    return part.assign(broken=part["broken"].mask(later, DUPLICATE))


def name_reasons(part, files):
    """Turn bits into the names of the rules, and numbers into those of the files."""
    names = {
        bits: [rule for number, rule in enumerate(RULES) if bits >> number & 1]
        for bits in part["broken"].unique()
    }
    return part.assign(
        reasons=part["broken"].map(names).astype(object),
        # Dask tries this on a row from a file that is not there.
        source_file=part["source_part"].map(
            dict(enumerate(file.name for file in files))
        ),
    )[[*part.columns[:10], "reasons", "source_file", "source_row"]]


def clean(kept):
    """Fill in kept rows and append the features."""
    table = kept.drop(columns=["broken", "source_part", "source_row"])
    table = table.astype(dict.fromkeys(table.select_dtypes("Int64"), "int64"))
    table = table.assign(
        product_category=table["product_category"].fillna(UNKNOWN),
        region=table["region"].fillna(UNKNOWN),
        discount=table["discount"].where(np.isfinite(table["discount"]), 0.0),
        rating=table["rating"].where(np.isfinite(table["rating"])),
        is_returned=table["is_returned"].fillna(False).astype(bool),
    )
    table["net_amount"] = table["amount"] * (1 - table["discount"])
    table["revenue"] = np.rint(table["net_amount"] * table["quantity"] * 100) / 100
    table["price_category"] = table["amount"].map_partitions(
        pd.cut, PRICE_BINS, labels=PRICE_CATEGORIES
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
    day = table["timestamp"].dt.tz_localize(None).dt.floor("D")
    return table[["customer_id", "region", "product_category", "timestamp"]].assign(
        day=day,
        lines=1,
        units=table["quantity"],
        revenue_cents=cents,
        returned_lines=table["is_returned"].astype("int64"),
        returned_units=table["quantity"].where(table["is_returned"], 0),
        returned_revenue_cents=cents.where(table["is_returned"], 0),
        rating_sum=(table["rating"] * 1_000_000).round().fillna(0).astype("int64"),
        rating_count=table["rating"].notnull().astype("int64"),
    )


SUMS = [
    "lines",
    "units",
    "revenue_cents",
    "returned_lines",
    "returned_units",
    "returned_revenue_cents",
    "rating_sum",
    "rating_count",
]
CUBE_KEYS = ["day", "region", "product_category"]


def customers(part):
    """Add up the lines by customer, and list where, what and when each bought."""
    result = part.groupby("customer_id")[SUMS].sum()
    result["rating_sum"] = result["rating_sum"] / 1_000_000
    timestamps = part.groupby("customer_id")["timestamp"]
    result["first_purchase"] = timestamps.min()
    result["last_purchase"] = timestamps.max()
    part = part.assign(
        month=part["day"] - pd.to_timedelta(part["day"].dt.day - 1, unit="D")
    )
    for name, member in {
        "regions": "region",
        "product_categories": "product_category",
        "months": "month",
    }.items():
        pairs = part[["customer_id", member]].drop_duplicates()
        result[name] = lists(pairs.sort_values(["customer_id", member]))
    return result.reset_index()


def lists(pairs):
    """Gather the second column of sorted pairs into one list for each key."""
    key, name = pairs.columns
    sizes = pairs.groupby(key).size()
    # groupby().agg(list) makes a Python list for each group, several times as slow.
    values = pairs[name].astype(DATE if name == "month" else "str")
    column = pa.ListArray.from_arrays(
        np.append(0, sizes.cumsum()).astype("int32"), pa.array(values, from_pandas=True)
    )
    return pd.Series(column.to_pandas().array, index=sizes.index)


def ledger(files, rejected, as_of):
    """Count rows read, kept and rejected, and rejected by each rule, per file."""
    names = [file.name for file in files]
    read = pd.Series([pq.read_metadata(file).num_rows for file in files], index=names)
    lost = rejected["source_file"].value_counts().reindex(names, fill_value=0)
    reasons = rejected.explode("reasons")
    by_rule = pd.crosstab(reasons["source_file"], reasons["reasons"])
    table = pd.DataFrame(
        {
            "rows_read": read,
            "rows_kept": read - lost,
            "rows_rejected": lost,
            "rows_blanked": 0,
            "rows_excused": 0,
        }
    )
    by_rule = by_rule.reindex(index=names, columns=RULES, fill_value=0)
    table = pd.concat([table, by_rule], axis=1).astype("int64").assign(as_of=as_of)
    return table.rename_axis("source_file").reset_index()


def rejected_schema(raw_schema):
    """Return the types of rejected rows, as Dask cannot find out those of lists."""
    return pa.schema(
        [
            *raw_schema.remove_metadata(),
            pa.field("reasons", pa.list_(pa.string())),
            pa.field("source_file", pa.string()),
            pa.field("source_row", pa.int64()),
        ]
    )


def customers_schema(raw_schema):
    """Return the types of customers, as Dask cannot find out those of lists."""
    return pa.schema(
        {
            "customer_id": raw_schema.field("customer_id").type,
            **{
                name: pa.float64() if name == "rating_sum" else pa.int64()
                for name in SUMS
            },
            "first_purchase": pa.timestamp("us", tz="UTC"),
            "last_purchase": pa.timestamp("us", tz="UTC"),
            "regions": pa.list_(pa.string()),
            "product_categories": pa.list_(pa.string()),
            "months": pa.list_(pa.date32()),
        }
    )


def main():
    """Run the job on a cluster of this machine."""
    arguments = parser(__doc__).parse_args()
    with (
        LocalCluster(dashboard_address="127.0.0.1:0") as cluster,
        Client(cluster),
    ):
        run(raw_files(arguments.raw_dir), arguments.out_dir, arguments.as_of)


def run(files, out_dir, as_of):
    """Write all tables."""
    raw_schema = pq.read_schema(files[0])
    raw = dd.from_map(read_part, files, range(len(files)))
    judged = raw.map_partitions(judge, as_of)
    judged = judged.shuffle("transaction_id").map_partitions(mark_duplicates)
    valid = judged["broken"] == 0
    rejected = judged[~valid].map_partitions(name_reasons, files)
    dask.compute(
        clean(judged[valid]).to_parquet(
            out_dir / "clean_transactions", write_index=False, compute=False
        ),
        rejected.to_parquet(
            out_dir / "rejected_transactions",
            write_index=False,
            schema=rejected_schema(raw_schema),
            compute=False,
        ),
    )

    lines = measures(dd.read_parquet(out_dir / "clean_transactions"))
    cube, _ = dask.compute(
        lines.groupby(CUBE_KEYS)[SUMS].sum(),
        lines.shuffle("customer_id")
        .map_partitions(customers)
        .to_parquet(
            out_dir / "customers",
            write_index=False,
            schema=customers_schema(raw_schema),
            compute=False,
        ),
    )
    cube = cube.sort_index().reset_index().astype({"day": DATE})
    cube["rating_sum"] /= 1_000_000
    cube.to_parquet(table_file(out_dir, "sales_cube"), index=False)

    rejected = pd.read_parquet(
        out_dir / "rejected_transactions", columns=["source_file", "reasons"]
    )
    row_ledger = ledger(files, rejected, as_of)
    row_ledger.to_parquet(table_file(out_dir, "row_ledger"), index=False)


if __name__ == "__main__":
    main()
