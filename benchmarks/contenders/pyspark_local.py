"""The project's ETL in PySpark on all cores of one machine, without a cluster.

What made it fast:

- only expressions of Spark SQL, compiled by Spark; no row passes through Python;
- duplicates are looked for among keys only: a first query groups the ids of valid rows
  and keeps those few that occur twice, with the place of the first; the second
  broadcasts that small table and writes the clean rows straight to Parquet;
- aggregations keep their state in mutable fields (numbers, no texts, lists or
  structs), so that they hash instead of sorting: where and when a customer bought is
  gathered as bits of an integer;
- as many shuffle partitions as a few cores can use, adaptive execution, the parallel
  collector.

Spark runs in a Java process, which may take a quarter of the machine's memory (at most
4 GB) if no limit is given. The order of the clean and rejected rows is not that of the
raw rows.
"""

import os
import shutil
import tempfile

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
    WHITE_SPACE,
    memory,
    parser,
    raw_files,
    table_file,
)
from pyspark.sql import SparkSession

BITS = 63
"""Sets of up to as many members are gathered as bits of an integer."""

SETTINGS = {
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.extraJavaOptions": "-XX:+UseParallelGC",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.shuffle.partitions": 4 * (os.cpu_count() or 1),
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    "spark.sql.parquet.compression.codec": "snappy",
    # Nothing can be pruned, and NaN is not in the statistics.
    "spark.sql.parquet.filterPushdown": "false",
    "spark.sql.catalogImplementation": "in-memory",
    "spark.hadoop.mapreduce.fileoutputcommitter.marksuccessfuljobs": "false",
}

FINITE = {
    name: f"abs({name}) < double('infinity')"
    for name in ("amount", "discount", "rating")
}


def missing(name):
    """Return the SQL that tells whether an id is null or a blank text."""
    is_blank = f"trim(BOTH '{WHITE_SPACE}' FROM string({name})) = ''"
    # Folded away where ids are numbers.
    return f"({name} IS NULL OR typeof({name}) = 'string' AND {is_blank})"


BROKEN = {
    "missing_transaction_id": missing("transaction_id"),
    "missing_customer_id": missing("customer_id"),
    "missing_timestamp": "timestamp IS NULL",
    "missing_amount": f"amount IS NULL OR NOT {FINITE['amount']}",
    "missing_quantity": "quantity IS NULL",
    "non_positive_amount": f"{FINITE['amount']} AND amount <= 0",
    "non_positive_quantity": "quantity <= 0",
    "discount_out_of_range": f"{FINITE['discount']} AND (discount < 0 OR discount > 1)",
    "rating_out_of_range": f"{FINITE['rating']} AND (rating < 1 OR rating > 5)",
    "value_out_of_range": f"""
        {FINITE["amount"]} AND (
            abs(amount) > {MOST_AMOUNT} OR abs(amount * quantity * 100) >= {MOST_CENTS}
        )
        OR abs(quantity) > {MOST_QUANTITY} OR timestamp < '{EARLIEST.isoformat()}'
    """,
    "future_timestamp": "timestamp > timestamp_micros({as_of})",
}
# Says in fewer steps that no rule is broken; NaN is greater than any number.
VALID = f"""coalesce(
    NOT ({missing("transaction_id")}) AND NOT ({missing("customer_id")})
    AND timestamp BETWEEN '{EARLIEST.isoformat()}' AND timestamp_micros({{as_of}})
    AND amount > 0 AND amount <= {MOST_AMOUNT}
    AND quantity > 0 AND quantity <= {MOST_QUANTITY}
    AND amount * quantity * 100 < {MOST_CENTS}
    AND (discount BETWEEN 0 AND 1 OR discount IS NULL OR NOT {FINITE["discount"]})
    AND (rating BETWEEN 1 AND 5 OR rating IS NULL OR NOT {FINITE["rating"]}),
    false
)"""

REPEATED = f"""
WITH repeated AS (
    SELECT /*+ BROADCAST(files) */
        transaction_id AS repeated_id,
        min(shiftleft(number, 40) + source_row) AS position
    FROM raw JOIN files USING (source_file)
    WHERE {VALID}
    GROUP BY transaction_id HAVING count(*) > 1
)
SELECT
    repeated_id, source_file AS first_file,
    position & {(1 << 40) - 1} AS first_row
FROM repeated JOIN files ON shiftright(position, 40) = number
"""
FIRST = "(source_file = first_file AND source_row = first_row)"

PRICES = " ".join(
    f"WHEN amount <= {bound} THEN '{name}'"
    for bound, name in zip(PRICE_BOUNDS, PRICE_CATEGORIES[:-1], strict=True)
)
CLEAN = f"""
WITH kept AS (
    SELECT /*+ BROADCAST(repeated) */
        *, CASE WHEN {FINITE["discount"]} THEN discount ELSE 0D END AS known_discount
    FROM raw LEFT JOIN repeated ON transaction_id = repeated_id
    WHERE {VALID} AND (first_file IS NULL OR {FIRST})
),
valued AS (
    SELECT
        *, date(timestamp) AS day, amount * (1 - known_discount) AS net_amount
    FROM kept
)
SELECT
    transaction_id,
    customer_id,
    coalesce(product_category, '{UNKNOWN}') AS product_category,
    coalesce(region, '{UNKNOWN}') AS region,
    amount,
    quantity,
    known_discount AS discount,
    timestamp,
    CASE WHEN {FINITE["rating"]} THEN rating END AS rating,
    coalesce(is_returned, false) AS is_returned,
    net_amount,
    rint(net_amount * quantity * 100) / 100 AS revenue, -- rounds half to even
    CASE {PRICES} ELSE '{PRICE_CATEGORIES[-1]}' END AS price_category,
    smallint(year(day)) AS year,
    tinyint(month(day)) AS month,
    tinyint(quarter(day)) AS quarter,
    tinyint(weekday(day)) AS day_of_week
FROM valued
"""

REASONS = ", ".join(
    f"CASE WHEN {sql} THEN '{rule}' END" for rule, sql in BROKEN.items()
)
REJECTED = f"""
SELECT /*+ BROADCAST(repeated) */
    raw.* EXCEPT (source_file, source_row),
    CASE
        WHEN {VALID} THEN array('{RULES[-1]}') ELSE array_compact(array({REASONS}))
    END AS reasons,
    source_file,
    source_row
FROM raw LEFT JOIN repeated ON transaction_id = repeated_id
WHERE NOT ({VALID}) OR NOT {FIRST}
"""

LEDGER = f"""
WITH broken AS (
    SELECT source_file AS broken_file, count(*) AS rows_rejected, {
    ", ".join(
        f"count_if(array_contains(reasons, '{rule}')) AS {rule}" for rule in RULES
    )
}
    FROM rejected GROUP BY source_file
)
SELECT
    source_file,
    rows_read,
    rows_read - coalesce(rows_rejected, 0) AS rows_kept,
    coalesce(rows_rejected, 0) AS rows_rejected,
    0 AS rows_blanked,
    0 AS rows_excused,
    {", ".join(f"coalesce({rule}, 0) AS {rule}" for rule in RULES)},
    timestamp_micros({{as_of}}) AS as_of
FROM files LEFT JOIN broken ON source_file = broken_file
ORDER BY number
"""

MEASURED = """
SELECT
    *, date(timestamp) AS day, bigint(round(revenue * 100)) AS cents,
    bigint(rint(rating * 1000000)) AS millionths
FROM clean
"""
SUMS = """
    count(*) AS lines,
    sum(quantity) AS units,
    sum(cents) AS revenue_cents,
    count_if(is_returned) AS returned_lines,
    sum(if(is_returned, quantity, 0)) AS returned_units,
    sum(if(is_returned, cents, 0)) AS returned_revenue_cents,
    coalesce(sum(millionths), 0) / 1000000D AS rating_sum,
    count(millionths) AS rating_count
"""

SALES_CUBE = f"""
SELECT day, region, product_category, {SUMS}
FROM measured GROUP BY ALL ORDER BY ALL
"""

SETS = {
    "regions": "region",
    "product_categories": "product_category",
    "months": "date(date_trunc('month', day))",
}


def customers(spark):
    """Return the query for the customers, which depends on how many labels there are.

    Members of sets of up to 63 are bits of an integer; larger sets are gathered as
    lists.
    """
    gathered, lists = [], []
    for name, member in SETS.items():
        rows = spark.sql(f"SELECT DISTINCT {member} FROM measured").collect()
        known = [literal(value) for value in sorted(value for (value,) in rows)]
        if len(known) > BITS:
            gathered.append(f"array_sort(collect_set({member})) AS {name}")
            lists.append(name)
            continue
        bits = " ".join(
            f"WHEN {value} THEN {1 << bit}L" for bit, value in enumerate(known)
        )
        gathered.append(f"bit_or(CASE {member} {bits} END) AS {name}")
        members = ", ".join(
            f"CASE WHEN {name} & {1 << bit}L <> 0 THEN {value} END"
            for bit, value in enumerate(known)
        )
        lists.append(f"array_compact(array({members})) AS {name}")
    return f"""
    SELECT
        customer_id, lines, units, revenue_cents, returned_lines, returned_units,
        returned_revenue_cents, rating_sum, rating_count,
        first_purchase, last_purchase, {", ".join(lists)}
    FROM (
        SELECT
            customer_id, {SUMS},
            min(timestamp) AS first_purchase,
            max(timestamp) AS last_purchase,
            {", ".join(gathered)}
        FROM measured GROUP BY customer_id
    )
    """


def literal(value):
    """Return a text or a date as SQL."""
    if isinstance(value, str):
        return "'{}'".format(value.replace("\\", "\\\\").replace("'", "\\'"))
    return f"DATE '{value}'"


def session(spill, heap):
    """Start Spark in a Java process that keeps to so many bytes of heap."""
    if not (os.environ.get("JAVA_HOME") or shutil.which("java")):
        raise SystemExit("pyspark_local needs Java 17 or later, and there is none")
    builder = SparkSession.builder.master("local[*]").appName("pyspark_local")
    settings = {
        **SETTINGS,
        "spark.driver.memory": f"{heap >> 20}m",
        "spark.local.dir": spill,
        "spark.sql.warehouse.dir": spill,
    }
    for name, value in settings.items():
        builder = builder.config(name, value)
    spark = builder.getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    return spark


def stop(spark):
    """End Spark, and wait for its Java process: it is part of the job."""
    gateway = spark.sparkContext._gateway
    spark.stop()
    gateway.shutdown()
    gateway.proc.stdin.close()
    gateway.proc.wait()


def run(spark, arguments):
    """Write all tables."""
    files = raw_files(arguments.raw_dir)
    as_of = round(arguments.as_of.timestamp() * 1_000_000)
    spark.read.parquet(*map(str, files)).selectExpr(
        "*", "_metadata.file_name AS source_file", "_metadata.row_index AS source_row"
    ).createOrReplaceTempView("raw")
    rows = ", ".join(
        f"({number}L, {literal(file.name)}, {pq.read_metadata(file).num_rows}L)"
        for number, file in enumerate(files)
    )
    spark.sql(
        f"SELECT * FROM VALUES {rows} AS files(number, source_file, rows_read)"
    ).createOrReplaceTempView("files")
    spark.sql(REPEATED.format(as_of=as_of)).cache().createOrReplaceTempView("repeated")

    def write(table, query, name=None, one=True):
        directory = str(table_file(arguments.out_dir, table).parent)
        rows = spark.sql(query.format(as_of=as_of))
        rows = rows.coalesce(1) if one else rows
        rows.write.mode("overwrite").parquet(directory)
        if name:
            spark.read.parquet(directory).createOrReplaceTempView(name)

    write("clean_transactions", CLEAN, "clean", one=False)
    spark.sql(MEASURED).createOrReplaceTempView("measured")
    write("rejected_transactions", REJECTED, "rejected", one=False)
    write("row_ledger", LEDGER)
    write("sales_cube", SALES_CUBE)
    write("customers", customers(spark), one=False)


def main():
    """Run the job."""
    command = parser(__doc__)
    command.add_argument("--memory-limit", type=memory, help="such as 2GB")
    arguments = command.parse_args()
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    heap = arguments.memory_limit or min(machine // 4, 4 << 30)
    with tempfile.TemporaryDirectory(dir=arguments.out_dir) as spill:
        spark = session(spill, heap)
        try:
            run(spark, arguments)
        finally:
            stop(spark)


if __name__ == "__main__":
    main()
