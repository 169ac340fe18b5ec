"""The project's ETL in DataFusion, tuned for speed on one machine.

What made it fast:

- duplicates are looked for among keys only: a first scan groups the ids of valid rows
  and keeps those few that occur twice, with the position of the first; the second scan
  joins that small table and writes the clean rows straight to Parquet;
- that table is always the build side, whole in every partition: rows are never
  repartitioned by id;
- the rejected rows are those that a filter lets through and those that the join finds,
  not what is left of a join of all rows;
- Parquet in snappy, with dictionaries for columns of few values and byte streams for
  other numbers, without statistics;
- summaries read the few columns they need of the clean rows just written;
- where and when a customer bought is gathered as bits of an integer, not as lists.

The order of the clean and rejected rows is not that of the raw rows.
"""

import os
import tempfile

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
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
from datafusion import RuntimeEnvBuilder, SessionConfig, SessionContext, udf

CORES = os.cpu_count() or 1
BITS = 63
"""Sets of up to as many members are gathered as bits of an integer."""

ENCODINGS = (
    (
        *("dictionary_enabled", "true"),
        (
            *("product_category", "region", "price_category", "quantity", "discount"),
            *("rating", "year", "month", "quarter", "day_of_week"),
        ),
    ),
    (
        *("encoding", "byte_stream_split"),
        ("timestamp", "amount", "net_amount", "revenue"),
    ),
)
"""Options of Parquet columns, their values, and the columns they suit."""

SETTINGS = {
    "execution.time_zone": "UTC",
    "execution.target_partitions": CORES,
    # Nothing can be pruned, and NaN is not in the statistics.
    "execution.collect_statistics": "false",
    "execution.parquet.pruning": "false",
    "execution.parquet.compression": "snappy",
    "execution.parquet.dictionary_enabled": "false",
    "execution.parquet.statistics_enabled": "none",
    # Others need not know of string views.
    "execution.parquet.skip_arrow_metadata": "true",
    "optimizer.hash_join_single_partition_threshold": 1 << 40,
    "optimizer.hash_join_single_partition_threshold_rows": 1 << 40,
}


def microseconds(moment):
    """Return the microseconds since 1970."""
    return round(moment.timestamp() * 1_000_000)


def missing_ids(schema):
    """Return the SQL of each id that tells whether it is null or blank."""
    missing = {}
    for name in ("transaction_id", "customer_id"):
        missing[name] = f"{name} IS NULL"
        if not pa.types.is_integer(schema.field(name).type):
            missing[name] += f" OR btrim({name}, '{WHITE_SPACE}') = ''"
    return missing


BROKEN = {
    "missing_transaction_id": "{missing[transaction_id]}",
    "missing_customer_id": "{missing[customer_id]}",
    "missing_timestamp": '"timestamp" IS NULL',
    "missing_amount": "amount IS NULL OR NOT {finite[amount]}",
    "missing_quantity": "quantity IS NULL",
    "non_positive_amount": "{finite[amount]} AND amount <= 0",
    "non_positive_quantity": "quantity <= 0",
    "discount_out_of_range": "{finite[discount]} AND (discount < 0 OR discount > 1)",
    "rating_out_of_range": "{finite[rating]} AND (rating < 1 OR rating > 5)",
    "value_out_of_range": f"""
        {{finite[amount]}} AND (
            abs(amount) > {MOST_AMOUNT} OR abs(amount * quantity * 100) >= {MOST_CENTS}
        )
        OR abs(quantity) > {MOST_QUANTITY}
        OR "timestamp" < to_timestamp_micros({microseconds(EARLIEST)})
    """,
    "future_timestamp": '"timestamp" > to_timestamp_micros({as_of})',
}
VALID = f"""
    NOT ({{missing[transaction_id]}}) AND NOT ({{missing[customer_id]}})
    AND "timestamp" >= to_timestamp_micros({microseconds(EARLIEST)})
    AND "timestamp" <= to_timestamp_micros({{as_of}})
    AND amount > 0 AND amount <= {MOST_AMOUNT}
    AND quantity > 0 AND quantity <= {MOST_QUANTITY}
    AND amount * quantity * 100 < {MOST_CENTS}
    AND (discount BETWEEN 0 AND 1 OR discount IS NULL OR NOT {{finite[discount]}})
    AND (rating BETWEEN 1 AND 5 OR rating IS NULL OR NOT {{finite[rating]}})
"""
"""Says in fewer steps that no rule is broken; NaN is greater than any number."""

FINITE = {
    name: f"abs({name}) < CAST('inf' AS DOUBLE)"
    for name in ("amount", "discount", "rating")
}

PLACED = """(
    SELECT *, raw_position(input_file_name(), file_row_index()) AS position
    FROM raw WHERE {test}
)"""
VALID_ROWS = PLACED.format(test="{valid}")
INVALID_ROWS = PLACED.format(test="({valid}) IS NOT TRUE")

REPEATED = f"""
SELECT transaction_id AS repeated_id, min(position) AS first_position
FROM {VALID_ROWS} GROUP BY transaction_id HAVING count(*) > 1
"""

PRICES = " ".join(
    f"WHEN amount <= {bound} THEN '{name}'"
    for bound, name in zip(PRICE_BOUNDS, PRICE_CATEGORIES[:-1], strict=True)
)


WHOLE = f"{1 << 52}.0"
"""From here on doubles have no fractions: adding it rounds half to even.

DataFusion's own function rounds halves away from zero.
"""

CLEAN = f"""
WITH kept AS (
    SELECT
        *, CASE WHEN {FINITE["discount"]} THEN discount ELSE 0.0 END AS known_discount
    FROM {VALID_ROWS} LEFT JOIN repeated ON transaction_id = repeated_id
    WHERE first_position IS NULL OR first_position = position
),
valued AS (
    SELECT
        *, CAST("timestamp" AS DATE) AS day,
        amount * (1 - known_discount) AS net_amount,
        amount * (1 - known_discount) * quantity * 100 AS cents
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
    "timestamp",
    CASE WHEN {FINITE["rating"]} THEN rating END AS rating,
    coalesce(is_returned, false) AS is_returned,
    net_amount,
    CASE WHEN cents < {WHOLE} THEN (cents + {WHOLE}) - {WHOLE} ELSE cents END / 100
        AS revenue,
    CASE {PRICES} ELSE '{PRICE_CATEGORIES[-1]}' END AS price_category,
    CAST(date_part('year', day) AS SMALLINT) AS "year",
    CAST(date_part('month', day) AS TINYINT) AS "month",
    CAST(date_part('quarter', day) AS TINYINT) AS "quarter",
    CAST(date_part('isodow', day) - 1 AS TINYINT) AS day_of_week
FROM valued
"""

REJECTED = f"""
SELECT
    {{columns}},
    array_compact([{{reasons}}]) AS reasons,
    name_of(position) AS source_file,
    position & {(1 << 40) - 1} AS source_row
FROM {INVALID_ROWS}
UNION ALL
SELECT
    {{columns}},
    ['{RULES[-1]}'] AS reasons,
    name_of(position) AS source_file,
    position & {(1 << 40) - 1} AS source_row
FROM {VALID_ROWS} JOIN repeated ON transaction_id = repeated_id
WHERE first_position < position
"""

LEDGER = f"""
WITH broken AS (
    SELECT source_file AS broken_file, count(*) AS rows_rejected, {
    ", ".join(
        f"count(*) FILTER (WHERE array_has(reasons, '{rule}')) AS {rule}"
        for rule in RULES
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
    arrow_cast({{as_of}}, 'Timestamp(Microsecond, Some("UTC"))') AS as_of
FROM files LEFT JOIN broken ON source_file = broken_file
ORDER BY number
"""

MEASURED = f"""(
    SELECT
        *, CAST("timestamp" AS DATE) AS day,
        CAST(round(revenue * 100) AS BIGINT) AS cents,
        CAST((rating * 1000000 + {WHOLE}) - {WHOLE} AS BIGINT) AS millionths,
        CAST(is_returned AS BIGINT) AS returned
    FROM clean
)"""
SUMS = """
    count(*) AS lines,
    sum(quantity) AS units,
    sum(cents) AS revenue_cents,
    sum(returned) AS returned_lines,
    sum(quantity * returned) AS returned_units,
    sum(cents * returned) AS returned_revenue_cents,
    CAST(coalesce(sum(millionths), 0) AS DOUBLE) / 1000000 AS rating_sum,
    count(millionths) AS rating_count
"""

SALES_CUBE = f"""
SELECT day, region, product_category, {SUMS}
FROM {MEASURED} GROUP BY day, region, product_category
ORDER BY day, region, product_category
"""

SETS = {
    "regions": "region",
    "product_categories": "product_category",
    "months": "CAST(date_trunc('month', day) AS DATE)",
}


def customers(context):
    """Return the query for the customers, which depends on how many labels there are.

    Members of sets of up to 63 are bits of an integer; larger sets are gathered as
    lists.
    """
    gathered, lists = [], []
    for name, member in SETS.items():
        known = context.sql(
            f"SELECT DISTINCT {member} AS member FROM {MEASURED} ORDER BY member"
        ).to_pydict()["member"]
        if len(known) > BITS:
            gathered.append(f"array_agg(DISTINCT {member} ORDER BY {member}) AS {name}")
            lists.append(name)
            continue
        bits = " ".join(
            f"WHEN {literal(value)} THEN {1 << bit}" for bit, value in enumerate(known)
        )
        gathered.append(f"bit_or(CASE {member} {bits} END) AS {name}")
        context.register_udf(members_function(name, known))
        lists.append(f"{name}_of({name}) AS {name}")
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
            {", ".join(gathered)}
        FROM {MEASURED} GROUP BY customer_id
    )
    """


def members_function(name, known):
    """Return the SQL function that turns bits into lists of the known members.

    It is several times as fast as an array of CASEs without its nulls.
    """
    members = pa.array(known)
    kind = pa.list_(members.type)

    def lists(bits):
        octets = bits.to_numpy().view(np.uint8).reshape(-1, 8)
        there = np.unpackbits(octets, axis=1, bitorder="little", count=len(members))
        ends = np.append(0, there.sum(axis=1).cumsum()).astype(np.int32)
        found = members.take(pa.array(there.nonzero()[1]))
        return pa.ListArray.from_arrays(ends, found, kind)

    return udf(lists, [pa.int64()], kind, "immutable", f"{name}_of")


def literal(value):
    """Return a text or a date as SQL."""
    if isinstance(value, str):
        return "'{}'".format(value.replace("'", "''"))
    return f"DATE '{value}'"


def add_files(context, files):
    """Make the raw rows known, and what numbers and names their files."""
    context.register_parquet("raw", str(files[0].parent))
    context.from_pydict(
        {
            "number": list(range(len(files))),
            "source_file": [file.name for file in files],
            "rows_read": [pq.read_metadata(file).num_rows for file in files],
        },
        name="files",
    )
    names = pa.array(file.name for file in files)
    starts = {file.name: number << 40 for number, file in enumerate(files)}

    def raw_position(paths, rows):
        # A batch is of one file, or of few.
        paths = paths.dictionary_encode()
        known = [
            starts[path.rpartition("/")[2]] for path in paths.dictionary.to_pylist()
        ]
        return pc.add(pa.array(known, pa.int64()).take(paths.indices), rows)

    def name_of(positions):
        return names.take(pc.shift_right(positions, 40))

    number, text = pa.int64(), pa.string()
    context.register_udf(
        udf(raw_position, [text, number], number, "stable", "raw_position")
    )
    context.register_udf(udf(name_of, [number], text, "stable", "name_of"))


def main():
    """Run the job."""
    command = parser(__doc__)
    command.add_argument("--memory-limit", type=memory, help="such as 2GB")
    arguments = command.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.out_dir) as spill:
        runtime = RuntimeEnvBuilder().with_temp_file_path(spill)
        if arguments.memory_limit:
            runtime = runtime.with_fair_spill_pool(arguments.memory_limit)
        config = SessionConfig(
            {f"datafusion.{name}": str(value) for name, value in SETTINGS.items()}
        )
        run(SessionContext(config, runtime), arguments)


def run(context, arguments):
    """Write all tables."""
    add_files(context, raw_files(arguments.raw_dir))
    as_of = microseconds(arguments.as_of)
    raw = context.table("raw").schema()
    words = {"finite": FINITE, "missing": missing_ids(raw), "as_of": as_of}
    broken = {rule: sql.format(**words) for rule, sql in BROKEN.items()}
    valid = VALID.format(**words)
    context.register_table(
        "repeated", context.sql(REPEATED.format(valid=valid)).cache()
    )

    def write(table, query, name=None):
        file = table_file(arguments.out_dir, table)
        columns = context.sql(query).schema().names
        encoded = ", ".join(
            f"'format.{option}::{column}' '{value}'"
            for option, value, which in ENCODINGS
            for column in which
            if column in columns
        )
        encoded = f"OPTIONS ({encoded})" if encoded else ""
        context.sql(f"COPY ({query}) TO '{file}' STORED AS PARQUET {encoded}").collect()
        if name:
            context.register_parquet(name, str(file))

    write("clean_transactions", CLEAN.format(valid=valid), "clean")
    reasons = ", ".join(
        f"CASE WHEN {sql} THEN '{rule}' END" for rule, sql in broken.items()
    )
    columns = ", ".join(f'"{name}"' for name in raw.names)
    write(
        "rejected_transactions",
        REJECTED.format(columns=columns, reasons=reasons, valid=valid),
        "rejected",
    )
    write("row_ledger", LEDGER.format(as_of=as_of))
    write("sales_cube", SALES_CUBE)
    write("customers", customers(context))


if __name__ == "__main__":
    main()
