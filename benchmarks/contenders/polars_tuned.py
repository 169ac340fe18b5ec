"""The project's ETL in Polars, tuned for speed on one machine.

What made it fast:

- the streaming engine for every query over the raw or the clean rows;
- clean and rejected rows are asked for together, so that raw rows are read, joined and
  judged once for both; so are the two summaries of the clean rows;
- duplicates are looked for among keys only: a first query groups the ids of valid rows
  and keeps those few that occur twice, with the position of the first; the second joins
  that small table and sinks the clean rows straight to Parquet;
- moments lose their zone before calendar functions;
- summaries read the few columns they need of the clean rows just written;
- measures are computed before the group-by, whose aggregations are bare columns;
- where and when a customer bought is gathered as bits of an integer and turned into
  lists by look-up, not by list operations for each customer.

The order of the clean and rejected rows is not promised to be that of the raw rows.
"""

from datetime import date

import polars as pl
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

WRITE = {"compression": "snappy", "statistics": False}
BITS = 63
"""Sets of up to as many members are gathered as bits of an integer."""

LOOKED_UP_BITS = 12
"""A look-up table of lists has one row for every combination of this many members."""


def finite(name):
    """Return the column with NaN and the infinities as null."""
    return pl.when(pl.col(name).is_finite()).then(pl.col(name))


def divided(number, divisor):
    """Return the double nearest to the quotient.

    Polars multiplies by the reciprocal of a constant, which is off by one bit for
    every tenth number of cents; by a column it divides.
    """
    return number / (number * 0 + divisor)


def is_missing(raw, name):
    """Null, or text that is empty or blank."""
    missing = pl.col(name).is_null()
    if raw.collect_schema()[name] != pl.String:
        return missing
    return missing | (pl.col(name).str.strip_chars() == "")


def broken_rules(raw, as_of):
    """Return one expression per rule but the last: whether a row breaks it."""
    broken = [
        is_missing(raw, "transaction_id"),
        is_missing(raw, "customer_id"),
        pl.col("timestamp").is_null(),
        finite("amount").is_null(),
        pl.col("quantity").is_null(),
        finite("amount") <= 0,
        pl.col("quantity") <= 0,
        (finite("discount") < 0) | (finite("discount") > 1),
        (finite("rating") < 1) | (finite("rating") > 5),
        (finite("amount").abs() > MOST_AMOUNT)
        | (pl.col("quantity").abs() > MOST_QUANTITY)
        | ((finite("amount") * pl.col("quantity") * 100).abs() >= MOST_CENTS)
        | (pl.col("timestamp") < EARLIEST),
        pl.col("timestamp") > as_of,
    ]
    return [rule.fill_null(False) for rule in broken]


def valid_rows(raw, as_of):
    """Tell the rows that break no rule but, perhaps, the last, in fewer steps."""

    def in_range(name, low, high):
        optional = pl.col(name)
        return (optional.is_between(low, high) | ~optional.is_finite()).fill_null(True)

    # NaN is greater than any number here.
    return (
        ~is_missing(raw, "transaction_id")
        & ~is_missing(raw, "customer_id")
        & pl.col("timestamp").is_between(EARLIEST, as_of)
        & (pl.col("amount") > 0)
        & (pl.col("amount") <= MOST_AMOUNT)
        & (pl.col("quantity") > 0)
        & (pl.col("quantity") <= MOST_QUANTITY)
        & (pl.col("amount") * pl.col("quantity") * 100 < MOST_CENTS)
        & in_range("discount", 0, 1)
        & in_range("rating", 1, 5)
    ).fill_null(False)


def read(files):
    """Return the raw rows with their position, and where each file begins."""
    raw = pl.scan_parquet(files, row_index_name="position")
    sizes = pl.collect_all([pl.scan_parquet(file).select(pl.len()) for file in files])
    rows_read = pl.Series("rows_read", [size.item() for size in sizes], pl.Int64)
    offsets = pl.DataFrame(
        {
            "source_file": [file.name for file in files],
            "rows_read": rows_read,
            "offset": rows_read.cum_sum() - rows_read,
        }
    )
    return raw.with_columns(pl.col("position").cast(pl.Int64)), offsets


def clean(kept):
    """Fill in kept rows and append the features."""
    price_category = pl.coalesce(
        *(
            pl.when(pl.col("amount") <= bound).then(pl.lit(name))
            for bound, name in zip(PRICE_BOUNDS, PRICE_CATEGORIES[:-1], strict=True)
        ),
        pl.lit(PRICE_CATEGORIES[-1]),
    )
    cents = (pl.col("net_amount") * pl.col("quantity") * 100).round()  # half to even
    day = pl.col("timestamp").dt.replace_time_zone(None).dt.date().dt
    return (
        kept.drop("position", "first_position")
        .with_columns(
            pl.col("product_category", "region").fill_null(UNKNOWN),
            finite("discount").fill_null(0.0).alias("discount"),
            finite("rating").alias("rating"),
            pl.col("is_returned").fill_null(False),
        )
        .with_columns(
            (pl.col("amount") * (1 - pl.col("discount"))).alias("net_amount"),
        )
        .with_columns(
            divided(cents, 100).alias("revenue"),
            price_category.alias("price_category"),
            day.year().cast(pl.Int16).alias("year"),
            day.month().cast(pl.Int8).alias("month"),
            day.quarter().cast(pl.Int8).alias("quarter"),
            (day.weekday() - 1).cast(pl.Int8).alias("day_of_week"),
        )
    )


def rejected(rows, broken):
    """Name the reasons of rejected rows."""
    # A row that breaks no other rule is here because it is a later copy.
    rules = [*broken, ~pl.any_horizontal(broken)]
    reasons = pl.sum_horizontal(
        pl.when(rule).then(1 << number).otherwise(0).cast(pl.Int64)
        for number, rule in enumerate(rules)
    )
    return rows.with_columns(reasons.alias("reasons")).with_columns(
        lists("reasons", pl.Series(RULES))
    )


def located(rows, offsets):
    """Name the file of each row, and its number in it."""
    return (
        rows.sort("position")
        .join_asof(offsets, left_on="position", right_on="offset")
        .with_columns(source_row=pl.col("position") - pl.col("offset"))
        .drop("position", "first_position", "offset", "rows_read")
    )


def ledger(rejected_transactions, offsets, as_of):
    """Count rows read, kept and rejected, and rejected by each rule, per file."""
    broken = rejected_transactions.group_by("source_file").agg(
        pl.len().cast(pl.Int64).alias("rows_rejected"),
        *(
            pl.col("reasons").list.contains(rule).sum().cast(pl.Int64).alias(rule)
            for rule in RULES
        ),
    )
    counts = ["rows_rejected", *RULES]
    return (
        offsets.join(broken, on="source_file", how="left", maintain_order="left")
        .with_columns(pl.col(counts).fill_null(0))
        .select(
            "source_file",
            "rows_read",
            (pl.col("rows_read") - pl.col("rows_rejected")).alias("rows_kept"),
            "rows_rejected",
            pl.lit(0, pl.Int64).alias("rows_blanked"),
            pl.lit(0, pl.Int64).alias("rows_excused"),
            *RULES,
            pl.lit(as_of).dt.cast_time_unit("us").alias("as_of"),
        )
    )


def measured(lines):
    """Return keys and whole numbers to add up: money in cents, ratings in millionths."""
    cents = (pl.col("revenue") * 100).round().cast(pl.Int64)
    return lines.select(
        "customer_id",
        "region",
        "product_category",
        "timestamp",
        "is_returned",
        "quantity",
        "year",
        "month",
        day=pl.col("timestamp").dt.replace_time_zone(None).dt.date(),
        cents=cents,
        returned_quantity=pl.col("quantity") * pl.col("is_returned"),
        returned_cents=cents * pl.col("is_returned"),
        millionths=(pl.col("rating") * 1_000_000).round().cast(pl.Int64),
    )


SUMS = [
    pl.len().cast(pl.Int64).alias("lines"),
    pl.col("quantity").sum().alias("units"),
    pl.col("cents").sum().alias("revenue_cents"),
    pl.col("is_returned").sum().cast(pl.Int64).alias("returned_lines"),
    pl.col("returned_quantity").sum().alias("returned_units"),
    pl.col("returned_cents").sum().alias("returned_revenue_cents"),
    pl.col("millionths").sum().alias("rating_sum"),
    pl.col("millionths").count().cast(pl.Int64).alias("rating_count"),
]
RATING_SUM = divided(pl.col("rating_sum"), 1_000_000)


def sales_cube(lines):
    """Add up the lines by day, region and product category."""
    keys = ["day", "region", "product_category"]
    cube = measured(lines).group_by(keys).agg(SUMS).sort(keys)
    return cube.with_columns(RATING_SUM)


def customers(lines):
    """Add up the lines by customer, and list where, what and when each bought."""
    region, category, years = pl.collect_all(
        [
            lines.select(pl.col("region").unique().sort()),
            lines.select(pl.col("product_category").unique().sort()),
            lines.select(first=pl.col("year").min(), last=pl.col("year").max()),
        ],
        engine="streaming",
    )
    first, last = years.row(0)
    known = {
        "regions": region["region"],
        "product_categories": category["product_category"],
        "months": pl.date_range(
            date(first, 1, 1), date(last, 12, 1), "1mo", eager=True
        ),
    }
    numbers = {
        "regions": _number("region", known["regions"]),
        "product_categories": _number("product_category", known["product_categories"]),
        "months": (pl.col("year").cast(pl.Int64) - first) * 12 + pl.col("month") - 1,
    }
    return (
        measured(lines)
        .with_columns(
            _bit(number, len(known[name])).alias(name)
            for name, number in numbers.items()
        )
        .group_by("customer_id")
        .agg(
            *SUMS,
            pl.col("timestamp").min().alias("first_purchase"),
            pl.col("timestamp").max().alias("last_purchase"),
            *(_gathered(name, len(members)) for name, members in known.items()),
        )
        .with_columns(
            RATING_SUM, *(lists(name, members) for name, members in known.items())
        )
    )


def _number(name, labels):
    """Return the number of a row's label among the known ones."""
    return pl.col(name).cast(pl.Enum(labels)).to_physical()


def _bit(number, size):
    """Return the bit of a number, or the number if there are more than bits."""
    if size > BITS:
        return number
    return pl.lit(pl.Series([1 << bit for bit in range(size)], dtype=pl.Int64)).gather(
        number
    )


def _gathered(name, size):
    """Return all numbers of a group, as one whole number of bits or as a list."""
    return pl.col(name).unique().sort() if size > BITS else pl.col(name).bitwise_or()


def lists(name, members):
    """Turn what was gathered into lists of the members."""
    if len(members) > BITS:
        return pl.col(name).list.eval(pl.lit(members).gather(pl.element()))
    result = None
    for start in range(0, len(members), LOOKED_UP_BITS):
        some = members[start : start + LOOKED_UP_BITS].to_list()
        combinations = pl.Series(
            [
                [member for bit, member in enumerate(some) if bits >> bit & 1]
                for bits in range(1 << len(some))
            ],
            dtype=pl.List(members.dtype),
        )
        bits = pl.col(name) // (1 << start) % (1 << len(some))
        found = pl.lit(combinations).gather(bits)
        result = found if result is None else result.list.concat(found)
    return result.alias(name)


def main():
    """Run the job."""
    arguments = parser(__doc__).parse_args()
    raw, offsets = read(raw_files(arguments.raw_dir))
    broken = broken_rules(raw, arguments.as_of)
    valid = valid_rows(raw, arguments.as_of)
    repeated = (
        raw.filter(valid)
        .group_by("transaction_id")
        .agg(pl.len(), pl.col("position").min().alias("first_position"))
        .filter(pl.col("len") > 1)
        .drop("len")
        .collect(engine="streaming")
    )
    rows = raw.join(repeated.lazy(), on="transaction_id", how="left")
    later = (pl.col("first_position") < pl.col("position")).fill_null(False)

    def sink(name, table):
        file = table_file(arguments.out_dir, name)
        return table.lazy().sink_parquet(file, **WRITE, lazy=True)

    _, judged = pl.collect_all(
        [
            sink("clean_transactions", clean(rows.filter(valid & ~later))),
            rejected(rows.filter(~valid | later), broken),
        ],
        engine="streaming",
    )
    lines = pl.scan_parquet(table_file(arguments.out_dir, "clean_transactions"))
    rejected_rows = located(judged, offsets)
    pl.collect_all(
        [
            sink("rejected_transactions", rejected_rows),
            sink("row_ledger", ledger(rejected_rows, offsets, arguments.as_of)),
            sink("sales_cube", sales_cube(lines)),
            sink("customers", customers(lines)),
        ],
        engine="streaming",
    )


if __name__ == "__main__":
    main()
