"""The project's ETL in DuckDB, tuned for speed on one machine.

What made it fast:

- duplicates are looked for among keys only: a first scan groups the ids of valid rows
  and keeps those few that occur twice, with the position of the first; the second scan
  joins that small table and writes the clean rows straight to Parquet;
- rows that break no rule are told by comparisons that need no CASE (nulls compare as
  null, which is not true);
- moments are turned into timestamps without zone before calendar functions, which are
  several times slower with one;
- Parquet version 2 with dictionaries for columns of few values only, no bloom filters;
- summaries read the few columns they need of the clean rows just written;
- where and when a customer bought is gathered as bits of an integer, not as lists.

The order of the clean and rejected rows is not that of the raw rows: keeping it costs
time and memory, and the set of rows is the same.
"""

import os
import tempfile

import duckdb
from _cli import (
    EARLIEST,
    MOST_AMOUNT,
    MOST_CENTS,
    MOST_QUANTITY,
    PRICE_BOUNDS,
    PRICE_CATEGORIES,
    RULES,
    TABLES,
    UNKNOWN,
    WHITE_SPACE,
    parser,
    raw_files,
    table_file,
)

WRITE = """(
    FORMAT parquet, PARQUET_VERSION v2, COMPRESSION snappy,
    DICTIONARY_SIZE_LIMIT 1000, WRITE_BLOOM_FILTER false
)"""

MACROS = """
CREATE MACRO finite(x) AS CASE WHEN isfinite(x) THEN x END;
CREATE MACRO is_missing
    (id BIGINT) AS id IS NULL,
    (id VARCHAR) AS id IS NULL OR trim(id, getvariable('white_space')) = '';
CREATE MACRO utc(moment) AS make_timestamp(epoch_us(moment));
"""

BROKEN = {
    "missing_transaction_id": "is_missing(transaction_id)",
    "missing_customer_id": "is_missing(customer_id)",
    "missing_timestamp": '"timestamp" IS NULL',
    "missing_amount": "finite(amount) IS NULL",
    "missing_quantity": "quantity IS NULL",
    "non_positive_amount": "finite(amount) <= 0",
    "non_positive_quantity": "quantity <= 0",
    "discount_out_of_range": "finite(discount) < 0 OR finite(discount) > 1",
    "rating_out_of_range": "finite(rating) < 1 OR finite(rating) > 5",
    "value_out_of_range": f"""
        abs(finite(amount)) > {MOST_AMOUNT} OR abs(quantity) > {MOST_QUANTITY}
        OR abs(finite(amount) * quantity * 100) >= {MOST_CENTS}
        OR "timestamp" < TIMESTAMPTZ '{EARLIEST.isoformat()}'
    """,
    "future_timestamp": "\"timestamp\" > getvariable('as_of')",
}
VALID = f"""
    NOT is_missing(transaction_id) AND NOT is_missing(customer_id)
    AND "timestamp" BETWEEN TIMESTAMPTZ '{EARLIEST.isoformat()}' AND getvariable('as_of')
    AND amount > 0 AND amount <= {MOST_AMOUNT}
    AND quantity > 0 AND quantity <= {MOST_QUANTITY}
    AND amount * quantity * 100 < {MOST_CENTS}
    AND (discount BETWEEN 0 AND 1 OR discount IS NULL OR NOT isfinite(discount))
    AND (rating BETWEEN 1 AND 5 OR rating IS NULL OR NOT isfinite(rating))
"""

RAW = "read_parquet(getvariable('files'), file_row_number = true)"
POSITION = "(file_index::BIGINT << 40 | file_row_number)"

REPEATED = f"""
CREATE TEMP TABLE repeated AS
SELECT transaction_id, min({POSITION}) AS first_position
FROM {RAW} WHERE {VALID}
GROUP BY transaction_id HAVING count(*) > 1
"""

PRICES = " ".join(
    f"WHEN amount <= {bound} THEN '{name}'"
    for bound, name in zip(PRICE_BOUNDS, PRICE_CATEGORIES[:-1], strict=True)
)
CLEAN = f"""
SELECT
    transaction_id,
    customer_id,
    coalesce(product_category, '{UNKNOWN}') AS product_category,
    coalesce(region, '{UNKNOWN}') AS region,
    amount,
    quantity,
    coalesce(finite(raw.discount), 0) AS discount,
    "timestamp",
    finite(raw.rating) AS rating,
    coalesce(is_returned, false) AS is_returned,
    amount * (1 - coalesce(finite(raw.discount), 0)) AS net_amount,
    (net_amount * quantity * 100)::BIGINT / 100 AS revenue, -- rounds half to even
    CASE {PRICES} ELSE '{PRICE_CATEGORIES[-1]}' END AS price_category,
    year(utc("timestamp"))::SMALLINT AS "year",
    month(utc("timestamp"))::TINYINT AS "month",
    quarter(utc("timestamp"))::TINYINT AS "quarter",
    (isodow(utc("timestamp")) - 1)::TINYINT AS day_of_week
FROM {RAW} AS raw LEFT JOIN repeated USING (transaction_id)
WHERE {VALID} AND (first_position IS NULL OR first_position = {POSITION})
"""

REASONS = ", ".join(
    f"CASE WHEN {BROKEN[rule]} THEN '{rule}' END" for rule in RULES[:-1]
)
REJECTED = f"""
SELECT
    raw.* EXCLUDE (file_row_number),
    CASE
        WHEN {VALID} THEN ['{RULES[-1]}']
        ELSE list_filter([{REASONS}], lambda rule: rule IS NOT NULL)
    END AS reasons,
    parse_filename(filename) AS source_file,
    file_row_number AS source_row
FROM {RAW} AS raw LEFT JOIN repeated USING (transaction_id)
WHERE ({VALID}) IS NOT TRUE OR first_position < {POSITION}
"""

COUNTS = ", ".join(
    f"count(*) FILTER (list_contains(reasons, '{rule}')) AS {rule}" for rule in RULES
)
LEDGER = f"""
WITH files AS (
    SELECT parse_filename(file_name) AS source_file, num_rows::BIGINT AS rows_read
    FROM parquet_file_metadata(getvariable('files'))
),
rejected AS (
    SELECT source_file, count(*) AS rows_rejected, {COUNTS}
    FROM read_parquet(getvariable('rejected')) GROUP BY source_file
)
SELECT
    source_file,
    rows_read,
    rows_read - coalesce(rows_rejected, 0) AS rows_kept,
    coalesce(rows_rejected, 0) AS rows_rejected,
    0 AS rows_blanked,
    0 AS rows_excused,
    {", ".join(f"coalesce({rule}, 0) AS {rule}" for rule in RULES)},
    getvariable('as_of') AS as_of
FROM files LEFT JOIN rejected USING (source_file)
ORDER BY list_position(getvariable('names'), source_file)
"""

SUMS = """
    count(*) AS lines,
    sum(quantity)::BIGINT AS units,
    sum((revenue * 100)::BIGINT)::BIGINT AS revenue_cents,
    count(*) FILTER (is_returned) AS returned_lines,
    coalesce(sum(quantity) FILTER (is_returned), 0)::BIGINT AS returned_units,
    coalesce(sum((revenue * 100)::BIGINT) FILTER (is_returned), 0)::BIGINT
        AS returned_revenue_cents,
    coalesce(sum((rating * 1e6)::BIGINT), 0)::BIGINT / 1e6 AS rating_sum,
    count(rating) AS rating_count
"""

SALES_CUBE = f"""
SELECT utc("timestamp")::DATE AS day, region, product_category, {SUMS}
FROM read_parquet(getvariable('clean'))
GROUP BY ALL ORDER BY ALL
"""

SETS = {
    "regions": "region",
    "product_categories": "product_category",
    "months": 'make_date("year", "month", 1)',
}

KNOWN_LABELS = """
SELECT list(member ORDER BY member)
FROM (SELECT DISTINCT {member} AS member FROM read_parquet(getvariable('clean')))
"""
KNOWN_MONTHS = """
SELECT list(unnest::DATE) FROM unnest(generate_series(
    (SELECT make_date(min("year"), 1, 1) FROM read_parquet(getvariable('clean'))),
    (SELECT make_date(max("year"), 12, 1) FROM read_parquet(getvariable('clean'))),
    INTERVAL 1 MONTH
))
"""
PAIRS = """
JOIN (
    SELECT customer_id, list(member ORDER BY member) AS {name}
    FROM (
        SELECT DISTINCT customer_id, {member} AS member
        FROM read_parquet(getvariable('clean'))
    )
    GROUP BY customer_id
) USING (customer_id)
"""


def customers(database):
    """Return the query for the customers, which depends on how many labels there are.

    Members of sets of up to 63 are bits of an integer; larger sets are gathered from
    the distinct pairs of customer and member.
    """
    bits, lists, joins = [], [], []
    for name, member in SETS.items():
        known = KNOWN_MONTHS if name == "months" else KNOWN_LABELS.format(member=member)
        database.execute(f"SET VARIABLE {name} = ({known})")
        size = len(database.execute(f"SELECT getvariable('{name}')").fetchone()[0])
        if size > 63:
            lists.append(name)
            joins.append(PAIRS.format(name=name, member=member))
            continue
        if name == "months":
            bit = f"""("year" - year(getvariable('{name}')[1])) * 12 + "month" - 1"""
        else:
            database.execute(
                f"CREATE TYPE one_of_{name} AS ENUM (SELECT unnest(getvariable('{name}')))"
            )
            bit = f"enum_code({member}::one_of_{name})"
        bits.append(f"bit_or(1::BIGINT << ({bit})) AS {name}")
        lists.append(
            f"list_filter(getvariable('{name}'), "
            f"lambda _, position: {name} >> (position - 1) & 1 = 1) AS {name}"
        )
    return f"""
    SELECT
        customer_id, lines, units, revenue_cents, returned_lines, returned_units,
        returned_revenue_cents, rating_sum, rating_count,
        first_purchase, last_purchase, {", ".join(lists)}
    FROM (
        SELECT
            customer_id, {SUMS},
            min("timestamp") AS first_purchase,
            max("timestamp") AS last_purchase,
            {", ".join(bits)}
        FROM read_parquet(getvariable('clean'))
        GROUP BY customer_id
    )
    {" ".join(joins)}
    """


def main():
    """Run the job."""
    command = parser(__doc__)
    command.add_argument("--memory-limit", help="for DuckDB, such as 2GB")
    arguments = command.parse_args()
    files = raw_files(arguments.raw_dir)
    output = {table: str(table_file(arguments.out_dir, table)) for table in TABLES}
    with (
        tempfile.TemporaryDirectory(dir=arguments.out_dir) as spill,
        duckdb.connect() as database,
    ):
        database.execute(f"SET threads = {os.cpu_count()}")
        database.execute("SET preserve_insertion_order = false")
        database.execute("SET timezone = 'UTC'")
        database.execute("SET temp_directory = $spill", {"spill": spill})
        if arguments.memory_limit:
            database.execute(
                "SET memory_limit = $size", {"size": arguments.memory_limit}
            )
        for name, value in {
            "files": [str(file) for file in files],
            "names": [file.name for file in files],
            "as_of": arguments.as_of,
            "white_space": WHITE_SPACE,
            "clean": output["clean_transactions"],
            "rejected": output["rejected_transactions"],
        }.items():
            database.execute(f"SET VARIABLE {name} = $value", {"value": value})
        database.execute(MACROS)
        database.execute(REPEATED)
        for table, query in {
            "clean_transactions": CLEAN,
            "rejected_transactions": REJECTED,
            "row_ledger": LEDGER,
            "sales_cube": SALES_CUBE,
        }.items():
            database.execute(f"COPY ({query}) TO '{output[table]}' {WRITE}")
        database.execute(
            f"COPY ({customers(database)}) TO '{output['customers']}' {WRITE}"
        )


if __name__ == "__main__":
    main()
