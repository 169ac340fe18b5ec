from datetime import UTC, date, datetime

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.commands import TABLES
from benchmarks.digests import digest
from benchmarks.equality import OutputsDiffer, Reference

ROWS = 3_000
NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)


def tables() -> dict[str, pa.Table]:
    """Five tables with columns of every kind that the real ones have."""
    number = np.arange(ROWS)
    return {
        "row_ledger": pa.table({"source_file": ["a", "b"], "rows_read": [2, 1]}),
        "sales_cube": pa.table(
            {
                "day": [date(2024, 1, 1), date(2024, 1, 2)],
                "region": ["North", "North"],
                "product_category": ["Toys", "Toys"],
                "rating_sum": [1.5, 2.5],
            }
        ),
        "customers": pa.table(
            {
                "customer_id": [1, 2, 3],
                "regions": [["North"], ["East", "West"], ["West"]],
                "months": [[date(2024, 1, 1)]] * 3,
                "first_purchase": pa.array([NOON] * 3, pa.timestamp("us", "UTC")),
            }
        ),
        "clean_transactions": pa.table(
            {
                "transaction_id": number,
                "region": pa.array(number % 7).cast(pa.string()).dictionary_encode(),
                "rating": pa.array(np.where(number % 3, number % 5, np.nan)),
                "is_returned": number % 2 == 0,
                "timestamp": pa.array(number, pa.timestamp("us", "UTC")),
            }
        ),
        "rejected_transactions": pa.table(
            {
                "source_file": ["a", "a", "b"],
                "source_row": [0, 5, 0],
                "amount": [None, -1.0, 3.0],
                "reasons": [["missing_amount"], ["non_positive_amount", "x"], ["x"]],
            }
        ),
    }


def store(made, folder, parts=1):
    """Write tables; return their files."""
    files = {}
    for name, table in made.items():
        (folder / name).mkdir(parents=True)
        size = max(-(-len(table) // parts), 1)
        files[name] = []
        for number in range(parts):
            path = folder / name / f"part-{number}.parquet"
            pq.write_table(table[number * size : (number + 1) * size], path)
            files[name].append(path)
    return files


@pytest.fixture
def reference(tmp_path):
    files = store(tables(), tmp_path / "first", parts=2)
    return Reference.of("etl_pandas", files, tmp_path / "reference")


def check(reference, made, folder, **options):
    reference.check("polars_tuned", store(made, folder, parts=3), **options)


def replaced(made, table, column, values):
    """The tables with other values in a column."""
    position = made[table].column_names.index(column)
    return {**made, table: made[table].set_column(position, column, values)}


def altered(table, column, row, value):
    """The tables with another value in one place."""
    made = tables()
    values = made[table][column].to_pylist()
    values[row] = value
    kind = made[table][column].type
    kind = pa.string() if pa.types.is_dictionary(kind) else kind
    return replaced(made, table, column, pa.array(values, kind))


def test_order_parts_and_width_do_not_matter(reference, tmp_path):
    made = {
        name: table.take(np.random.default_rng(1).permutation(len(table)))
        for name, table in tables().items()
    }
    clean, lines = made["clean_transactions"], made["rejected_transactions"]
    customers = made["customers"]
    for table, column, values in (
        ("clean_transactions", "region", clean["region"].cast(pa.large_string())),
        ("clean_transactions", "timestamp", clean["timestamp"].cast(pa.timestamp("ns", "UTC"))),
        ("clean_transactions", "rating", pa.array(clean["rating"].to_numpy(), from_pandas=True)),
        ("rejected_transactions", "source_row", lines["source_row"].cast(pa.int16())),
        ("customers", "regions", customers["regions"].cast(pa.large_list(pa.large_string()))),
    ):  # fmt: skip
        made = replaced(made, table, column, values)
    made["clean_transactions"] = made["clean_transactions"].select(
        [*reversed(clean.column_names)]
    )
    check(reference, made, tmp_path / "second")


@pytest.mark.parametrize(
    ("table", "column", "row", "value", "said"),
    [
        ("row_ledger", "rows_read", 1, 2, "source_file=b: column rows_read is 2, expected 1"),
        ("sales_cube", "rating_sum", 0, 1.5000000000000002, "day=2024-01-01, region=North"),
        ("customers", "regions", 1, ["West", "East"], "customer_id=2: column regions"),
        ("customers", "customer_id", 2, 4, "customer_id=4, expected customer_id=3"),
        ("clean_transactions", "rating", 2000, None, "transaction_id=2000: column rating is None"),
        ("clean_transactions", "region", 7, None, "transaction_id=7: column region is None"),
        ("clean_transactions", "is_returned", 0, False, "transaction_id=0: column is_returned"),
        ("clean_transactions", "transaction_id", 9, 8, "column transaction_id"),
        ("rejected_transactions", "amount", 0, 0.0, "source_row=0: column amount is 0.0"),
        ("rejected_transactions", "reasons", 1, ["x", "non_positive_amount"], "column reasons"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_refused_by_name(
    reference, tmp_path, table, column, row, value, said
):
    with pytest.raises(OutputsDiffer) as caught:
        check(reference, altered(table, column, row, value), tmp_path / "second")
    for part in ("polars_tuned", "etl_pandas", table, column, said):
        assert part in str(caught.value)


def test_values_swapped_between_rows_are_found(reference, tmp_path):
    made = tables()
    values = made["clean_transactions"]["rating"].to_pylist()
    values[1], values[2] = values[2], values[1]
    made = replaced(made, "clean_transactions", "rating", pa.array(values))
    with pytest.raises(OutputsDiffer, match="column rating"):
        check(reference, made, tmp_path / "second")


@pytest.mark.parametrize("table", TABLES)
def test_a_missing_row_is_refused(reference, tmp_path, table):
    made = tables()
    made[table] = made[table][:-1]
    with pytest.raises(OutputsDiffer, match=f"{table}: .*"):
        check(reference, made, tmp_path / "second")
    with pytest.raises(OutputsDiffer, match=f"{table}: .*"):
        check(reference, made, tmp_path / "third", thorough=False)


@pytest.mark.parametrize("table", TABLES)
def test_columns_are_compared_by_name_and_kind(reference, tmp_path, table):
    made = tables()
    last = made[table].column_names[-1]
    fewer = {**made, table: made[table].drop_columns([last])}
    with pytest.raises(OutputsDiffer, match=f"column {last} is missing"):
        check(reference, fewer, tmp_path / "fewer")
    more = {**made, table: made[table].append_column("till", made[table][last])}
    with pytest.raises(OutputsDiffer, match="column till is not expected"):
        check(reference, more, tmp_path / "more")
    other = replaced(made, table, last, pa.array([date(1, 1, 1)] * len(made[table])))
    with pytest.raises(OutputsDiffer, match=f"column {last} is date32"):
        check(reference, other, tmp_path / "other")


def test_a_table_that_is_not_there_is_refused(reference, tmp_path):
    files = store(tables(), tmp_path / "second")
    with pytest.raises(OutputsDiffer, match="wrote no customers"):
        reference.check("polars_tuned", {**files, "customers": []})


def test_a_repeated_row_changes_the_digest(tmp_path):
    clean = tables()["clean_transactions"]
    once = store({"a": clean}, tmp_path)["a"]
    twice = store({"b": pa.concat_tables([clean, clean[:1]])}, tmp_path)["b"]
    assert digest(once, ["transaction_id"]).rows == ROWS
    assert digest(twice, ["transaction_id"]).rows == ROWS + 1
