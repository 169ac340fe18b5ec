"""The project's ETL in Daft, tuned for speed on one machine.

What made it fast:

- the native, streaming runner for every query;
- duplicates are looked for among keys only: a first query groups the ids of valid rows
  and keeps those few that occur twice, with the position of the first; the second joins
  that small table and writes the clean rows straight to Parquet;
- measures are computed before the group-by, whose aggregations are bare columns;
- where and when a customer bought is gathered as plain lists, sorted and made distinct
  afterwards: that is faster than aggregating distinct values.

The order of the clean and rejected rows is not promised to be that of the raw rows.
"""

import daft
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
from daft import DataType, col, lit
from daft.functions import (
    date_sub,
    list_distinct,
    list_sort,
    monotonically_increasing_id,
    to_list,
    when,
)

WHOLE = float(1 << 52)
"""From here on doubles have no fractions: adding it rounds half to even.

Daft's own function rounds halves away from zero.
"""


def finite(name):
    """Tell whether a number is neither null nor NaN nor infinite."""
    return (col(name).abs() < float("inf")).fill_null(False)


def missing(name, schema):
    """Tell whether an id is null or a blank text."""
    if schema[name].dtype != DataType.string():
        return col(name).is_null()
    return (col(name).strip() == "").fill_null(True)


def broken_rules(schema, as_of):
    """Return one expression per rule but the last: whether a row breaks it."""
    broken = [
        missing("transaction_id", schema),
        missing("customer_id", schema),
        col("timestamp").is_null(),
        ~finite("amount"),
        col("quantity").is_null(),
        finite("amount") & (col("amount") <= 0),
        col("quantity") <= 0,
        finite("discount") & ((col("discount") < 0) | (col("discount") > 1)),
        finite("rating") & ((col("rating") < 1) | (col("rating") > 5)),
        finite("amount")
        & (
            (col("amount").abs() > MOST_AMOUNT)
            | ((col("amount") * col("quantity") * 100).abs() >= MOST_CENTS)
        ).fill_null(False)
        | (col("quantity").abs() > MOST_QUANTITY).fill_null(False)
        | (col("timestamp") < lit(EARLIEST)).fill_null(False),
        col("timestamp") > as_of,
    ]
    return [rule.fill_null(False) for rule in broken]


def read(files):
    """Return the raw rows with the name of their file, their number in it, and a place.

    The places of rows are in raw order. Rows are numbered file by file, because several
    files of one scan are read at the same time.
    """
    frames = [
        daft.read_parquet(str(file)).with_columns(
            {
                "source_file": lit(file.name),
                "source_row": monotonically_increasing_id().cast(DataType.int64()),
                "start": lit(number << 40),
            }
        )
        for number, file in enumerate(files)
    ]
    rows = frames[0]
    for frame in frames[1:]:
        rows = rows.concat(frame)
    return rows.with_column("place", col("start") + col("source_row")).exclude("start")


def numbered_first(condition):
    """Return the condition so that no scan applies it before it numbers the rows."""
    return when(col("place") >= 0, condition).otherwise(lit(False))


def any_of(conditions):
    """Tell whether one of the conditions is true."""
    result = conditions[0]
    for condition in conditions[1:]:
        result = result | condition
    return result


def clean(kept):
    """Fill in kept rows and append the features."""
    price_category = when(col("amount") <= PRICE_BOUNDS[0], lit(PRICE_CATEGORIES[0]))
    for bound, name in zip(PRICE_BOUNDS[1:], PRICE_CATEGORIES[1:-1], strict=True):
        price_category = price_category.when(col("amount") <= bound, lit(name))
    cents = col("cents")
    return (
        kept.with_columns(
            {
                "product_category": col("product_category").fill_null(UNKNOWN),
                "region": col("region").fill_null(UNKNOWN),
                "discount": when(finite("discount"), col("discount")).otherwise(
                    lit(0.0)
                ),
                "rating": when(finite("rating"), col("rating")),
                "is_returned": col("is_returned").fill_null(False),
                "day": col("timestamp").date(),
            }
        )
        .with_column("net_amount", col("amount") * (1 - col("discount")))
        .with_column("cents", col("net_amount") * col("quantity") * 100)
        .with_columns(
            {
                "revenue": when(cents < WHOLE, (cents + WHOLE) - WHOLE).otherwise(cents)
                / 100,
                "price_category": price_category.otherwise(lit(PRICE_CATEGORIES[-1])),
                "year": col("day").year().cast(DataType.int16()),
                "month": col("day").month().cast(DataType.int8()),
                "quarter": col("day").quarter().cast(DataType.int8()),
                "day_of_week": col("day").day_of_week().cast(DataType.int8()),
            }
        )
        .exclude("day", "cents", "place", "first_place", "source_file", "source_row")
    )


def rejected(rows, broken, raw_columns):
    """Name the reasons of rejected rows, and where they stood."""
    # A row that breaks no other rule is here because it is a later copy.
    rules = [*broken, ~any_of(broken)]
    names = [when(rule, lit(name)) for rule, name in zip(rules, RULES, strict=True)]
    # Nulls are left out of what is distinct.
    reasons = list_distinct(to_list(*names)).alias("reasons")
    return rows.select(*raw_columns, reasons, "source_file", "source_row")


def ledger(rejected_rows, files, as_of):
    """Count rows read, kept and rejected, and rejected by each rule, per file."""
    counts = ["rows_rejected", *RULES]
    broken = (
        rejected_rows.select(
            "source_file",
            lit(1).alias("rows_rejected"),
            *(
                col("reasons")
                .list_contains(lit(rule))
                .cast(DataType.int64())
                .alias(rule)
                for rule in RULES
            ),
        )
        .groupby("source_file")
        .agg(*(col(name).sum() for name in counts))
    )
    read = daft.from_pydict(
        {
            "number": list(range(len(files))),
            "source_file": [file.name for file in files],
            "rows_read": [pq.read_metadata(file).num_rows for file in files],
        }
    )
    return (
        read.join(broken, on="source_file", how="left")
        .with_columns({name: col(name).fill_null(0) for name in counts})
        .sort("number")
        .select(
            "source_file",
            "rows_read",
            (col("rows_read") - col("rows_rejected")).alias("rows_kept"),
            "rows_rejected",
            lit(0).cast(DataType.int64()).alias("rows_blanked"),
            lit(0).cast(DataType.int64()).alias("rows_excused"),
            *RULES,
            lit(as_of).cast(DataType.timestamp("us", "UTC")).alias("as_of"),
        )
    )


def measured(lines):
    """Return keys and whole numbers to add up: money in cents, ratings in millionths."""
    rating = col("rating") * 1_000_000
    integer = DataType.int64()
    return lines.with_columns(
        {
            "day": col("timestamp").date(),
            "revenue_cents": (col("revenue") * 100).round().cast(integer),
            "returned_lines": col("is_returned").cast(integer),
            "millionths": ((rating + WHOLE) - WHOLE).cast(integer),
        }
    ).with_columns(
        {
            "month_start": date_sub(col("day"), col("day").day() - 1),
            "returned_units": col("quantity") * col("returned_lines"),
            "returned_revenue_cents": col("revenue_cents") * col("returned_lines"),
        }
    )


SUMS = [
    col("revenue_cents").count().cast(DataType.int64()).alias("lines"),
    col("quantity").sum().alias("units"),
    col("revenue_cents").sum(),
    col("returned_lines").sum(),
    col("returned_units").sum(),
    col("returned_revenue_cents").sum(),
    col("millionths").sum().alias("rating_sum"),
    col("millionths").count().cast(DataType.int64()).alias("rating_count"),
]
RATING_SUM = col("rating_sum").fill_null(0) / 1_000_000


def sales_cube(lines):
    """Add up the lines by day, region and product category."""
    keys = ["day", "region", "product_category"]
    cube = measured(lines).groupby(*keys).agg(*SUMS).sort(keys)
    return cube.with_column("rating_sum", RATING_SUM)


def customers(lines):
    """Add up the lines by customer, and list where, what and when each bought."""
    sets = {
        "regions": "region",
        "product_categories": "product_category",
        "months": "month_start",
    }
    return (
        measured(lines)
        .groupby("customer_id")
        .agg(
            *SUMS,
            col("timestamp").min().alias("first_purchase"),
            col("timestamp").max().alias("last_purchase"),
            *(col(member).list_agg().alias(name) for name, member in sets.items()),
        )
        .with_columns(
            {
                "rating_sum": RATING_SUM,
                **{name: list_sort(list_distinct(col(name))) for name in sets},
            }
        )
    )


def main():
    """Run the job."""
    arguments = parser(__doc__).parse_args()
    daft.set_runner_native()
    daft.set_execution_config(maintain_order=False)
    files = raw_files(arguments.raw_dir)
    rows = read(files)
    broken = broken_rules(rows.schema(), lit(arguments.as_of))
    is_broken = any_of(broken)
    repeated = (
        rows.where(numbered_first(~is_broken))
        .groupby("transaction_id")
        .agg(col("place").min().alias("first_place"), col("place").count().alias("n"))
        .where(col("n") > 1)
        .select("transaction_id", "first_place")
        .collect()
    )

    def write(name, table):
        directory = table_file(arguments.out_dir, name).parent
        table.write_parquet(str(directory), compression="snappy")
        return daft.read_parquet(f"{directory}/*.parquet")

    joined = rows.join(repeated, on="transaction_id", how="left")
    later = (col("first_place") < col("place")).fill_null(False)
    is_rejected = is_broken | later
    lines = write(
        "clean_transactions", clean(joined.where(numbered_first(~is_rejected)))
    )
    raw_columns = pq.read_schema(files[0]).names
    rejected_rows = write(
        "rejected_transactions",
        rejected(joined.where(numbered_first(is_rejected)), broken, raw_columns),
    )
    write("row_ledger", ledger(rejected_rows, files, arguments.as_of))
    write("sales_cube", sales_cube(lines))
    write("customers", customers(lines))


if __name__ == "__main__":
    main()
