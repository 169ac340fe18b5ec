"""However the rows are cut and whoever computes them, the tables are the same."""

from datetime import UTC, datetime

import dask.dataframe as dd
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from dask_etl.datasets import PandasParquetDataset
from dask_etl.retail.conform import SchemaError
from dask_etl.retail.parameters import Calendar, Cleaning, Currency
from dask_etl.retail.schema import ACTIONS
from oracle import assert_matches, oracle_tables
from oracle.raw_files import AS_OF, dirty_transactions, write_raw
from support.engine_runs import (
    TABLES,
    cluster,
    nullable,
    plain,
    raw_dataset,
    run_analyses,
    run_dask,
    run_pandas,
)
from support.good_rows import raw_table

ROWS = 4_000
SHARED = ("clean_transactions", "sales_cube", "customers")
"""Tables that do not name the files that their rows came from."""


@pytest.fixture(scope="module", params=["int ids", "text ids"])
def raw(request) -> pa.Table:
    text = request.param == "text ids"
    # More regions and categories than one word has bits.
    return dirty_transactions(ROWS, 11, string_ids=text, regions=70, categories=5)


@pytest.fixture(scope="module")
def reference(raw, tmp_path_factory) -> dict[str, pa.Table]:
    """One file, one partition, one thread; proven equal to the oracle below."""
    folder = tmp_path_factory.mktemp("reference")
    write_raw(folder / "raw", raw, 1)
    return run_dask(raw_dataset(folder / "raw").load(), folder / "out")


def comparable(tables: dict[str, pa.Table]) -> dict[str, pa.Table]:
    """What may not depend on files and partitions: rows, in order, and totals."""
    rejected = plain(tables["rejected_transactions"])
    ledger = tables["row_ledger"].drop_columns(["source_file", "as_of"])
    totals = {name: [pc.sum(ledger[name]).as_py()] for name in ledger.column_names}
    return {
        **{name: plain(tables[name]) for name in SHARED[:2]},
        "customers": plain(tables["customers"], "customer_id"),
        "orders": plain(tables["orders"], "order_id", "customer_id"),
        "rejected_transactions": rejected.drop_columns(["source_file", "source_row"]),
        "row_ledger": pa.table(totals),
    }


def assert_same(actual: dict[str, pa.Table], expected: dict[str, pa.Table]) -> None:
    """Bit for bit."""
    actual, expected = comparable(actual), comparable(expected)
    for name in TABLES:
        assert actual[name].equals(expected[name]), name


def test_both_engines_compute_what_the_oracle_does(raw, reference, tmp_path):
    files = write_raw(tmp_path, raw, 1)
    expected = oracle_tables(files, AS_OF)
    pandas = run_pandas(tmp_path)
    for name in TABLES:
        assert_matches(reference[name], expected[name], name)
        assert_matches(pandas[name], expected[name], name)
    assert expected["row_ledger"]["duplicate_transaction_id"][0].as_py() > 100


def test_wide_data_are_computed_as_the_oracle_does(tmp_path):
    """Hundreds of labels of either kind, and a first line 120 years before the rest."""
    rows = dirty_transactions(1_500, 5, regions=400, categories=150)
    old = pa.array([datetime(1900, 1, 2, tzinfo=UTC)], pa.timestamp("us", "UTC"))
    times = pa.concat_arrays([rows["timestamp"].combine_chunks()[:-1], old])
    position = rows.schema.get_field_index("timestamp")
    files = write_raw(
        tmp_path / "raw", rows.set_column(position, "timestamp", times), 5
    )
    expected = oracle_tables(files, AS_OF)
    dask = run_dask(raw_dataset(tmp_path / "raw", 400).load(), tmp_path / "out")
    pandas = run_pandas(tmp_path / "raw")
    for name in TABLES:
        assert_matches(dask[name], expected[name], name)
        assert_matches(pandas[name], expected[name], name)
    assert dask["sales_cube"]["day"][0].as_py().year == 1900


LAYOUTS = {
    # Files, rows of their row groups, rows per partition: partitions that this makes.
    "3 files": (3, None, 1_000_000, 1),
    "17 files, each a partition": (17, None, 120, 17),
    "17 files, two by two": (17, None, 600, 9),
    "200 files, many together": (200, None, 1_000, 4),
    "1 file, taken apart at its row groups": (1, 150, 400, 9),
    "3 files, taken apart at their row groups": (3, 97, 200, 15),
    "1 file, one row group cut into slices": (1, ROWS, 333, 13),
    "3 files, large row groups cut and small ones not": (3, 1_000, 300, 15),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_files_and_partitions_make_no_difference(raw, reference, tmp_path, layout):
    count, row_group, rows_per_partition, partitions = LAYOUTS[layout]
    files = write_raw(tmp_path / "raw", raw, count)
    for file in files if row_group else []:
        pq.write_table(pq.read_table(file), file, row_group_size=row_group)
    frame = raw_dataset(tmp_path / "raw", rows_per_partition).load()
    assert frame.npartitions == partitions
    tables = run_dask(frame, tmp_path / "out")
    assert_same(tables, reference)
    expected = oracle_tables(files, AS_OF)
    # These two name files and rows, and they name the right ones.
    for name in ("rejected_transactions", "row_ledger"):
        assert_matches(tables[name], expected[name], name)


CLUSTERS = {
    "1 worker": {"n_workers": 1, "threads_per_worker": 1},
    "4 workers of 3 threads": {"n_workers": 4, "threads_per_worker": 3},
}
"""In this process; processes of their own are in the test after the next."""


@pytest.mark.parametrize("workers", CLUSTERS)
def test_workers_make_no_difference(raw, reference, tmp_path, workers):
    write_raw(tmp_path / "raw", raw, 17)
    with cluster(**CLUSTERS[workers]) as started:
        info = started.client.scheduler_info(n_workers=-1)["workers"]
        assert len(info) == CLUSTERS[workers]["n_workers"]
        frame = raw_dataset(tmp_path / "raw", 200).load()
        assert_same(run_dask(frame, tmp_path / "out"), reference)


def test_buckets_and_merges_in_steps_make_no_difference(
    raw, reference, tmp_path, monkeypatch
):
    """As with many millions of rows, where the limits are what they are set to."""
    monkeypatch.setattr("dask_etl.engine.deduplicate.ROWS_PER_BUCKET", 300)
    monkeypatch.setattr("dask_etl.engine.tasks.FOLD_BYTES", 4_000)
    write_raw(tmp_path / "raw", raw, 17)
    frame = raw_dataset(tmp_path / "raw", 200).load()
    tables = run_dask(frame, tmp_path / "out")
    assert_same(tables, reference)
    parts = list((tmp_path / "out" / "customers").rglob("part-*.parquet"))
    assert len(parts) == 16


def with_more(raw: pa.Table) -> pa.Table:
    """The rows with returns as lines, guests, orders, totals and a column to keep."""
    random = np.random.default_rng(3)
    rows = len(raw)
    sign = pa.array(np.where(random.random(rows) < 0.1, -1, 1))
    quantity = pc.if_else(
        pc.less(pc.abs(raw["quantity"]), 100),
        pc.multiply(raw["quantity"], sign),
        raw["quantity"],
    )
    orders = pa.array(
        random.integers(0, rows // 3, rows), mask=random.random(rows) < 0.1
    )
    if pa.types.is_string(raw["customer_id"].type):
        orders = pc.binary_join_element_wise("R", orders.cast(pa.string()), "-")
    total = pc.round(
        pc.multiply(raw["amount"], quantity.cast(pa.float64(), safe=False)), 2
    )
    position = raw.schema.get_field_index("quantity")
    return (
        raw.set_column(position, "quantity", quantity)
        .append_column("order_id", orders)
        .append_column("line_total", total)
        .append_column("channel", pa.array(random.choice(["web", "shop"], rows)))
    )


@pytest.mark.usefixtures("forked_workers")
def test_nor_do_partitions_buckets_and_processes_to_what_parameters_ask_for(
    raw, tmp_path, monkeypatch
):
    monkeypatch.setattr("dask_etl.engine.deduplicate.ROWS_PER_BUCKET", 300)
    monkeypatch.setattr("dask_etl.engine.tasks.FOLD_BYTES", 4_000)
    files = write_raw(tmp_path / "raw", with_more(raw), 17)
    options = {
        "cleaning": Cleaning(
            returns="negative_lines",
            revenue="total",
            keep=["channel"],
            rules={rule: actions[0] for rule, actions in ACTIONS.items()},
            thresholds={},
        ),
        "calendar": Calendar(timezone="America/New_York"),
        "currency": Currency(digits=3),
    }
    with cluster(n_workers=2, threads_per_worker=1, processes=True):
        frame = raw_dataset(tmp_path / "raw", 200).load()
        dask = run_dask(frame, tmp_path / "out", as_of=AS_OF, **options)
    pandas = run_pandas(tmp_path / "raw", as_of=AS_OF, **options)
    analyses = run_analyses(pandas, options["currency"])
    expected = oracle_tables(files, AS_OF, **options)
    for name, table in {**pandas, **analyses}.items():
        assert_matches(table, expected[name], name)
    for name in TABLES:
        assert_matches(dask[name], expected[name], name)
    assert len(expected["orders"]) > 500
    assert expected["orders"]["customer_id"].null_count > 5
    assert pc.sum(expected["customers"]["returned_lines"]).as_py() > 100
    assert expected["customers"]["first_purchase"].null_count
    ledger = expected["row_ledger"]
    assert all(
        pc.sum(ledger[name]).as_py() for name in ("rows_blanked", "rows_excused")
    )


# --------------------------------------------------------- any Dask DataFrame


@pytest.mark.parametrize("partitions", [1, 7])
def test_a_dask_dataframe_from_anywhere_will_do(raw, reference, tmp_path, partitions):
    frame = dd.from_pandas(nullable(raw), npartitions=partitions, sort=False)
    tables = run_dask(frame, tmp_path)
    assert_same(tables, reference)
    names = [f"partition-{number:05d}" for number in range(frame.npartitions)]
    assert tables["row_ledger"]["source_file"].to_pylist() == names


def test_a_stock_dask_dataframe_of_parquet_will_do(raw, reference, tmp_path):
    write_raw(tmp_path / "raw", raw, 4)
    frame = dd.read_parquet(tmp_path / "raw", dtype_backend="numpy_nullable")
    assert_same(run_dask(frame, tmp_path / "out"), reference)


def test_a_dask_dataframe_that_was_worked_on_is_computed(raw, reference, tmp_path):
    """Not read past its steps, although it began as files of ours."""
    write_raw(tmp_path / "raw", raw, 3)
    frame = raw_dataset(tmp_path / "raw", 100).load()
    half = frame[frame["quantity"] % 2 == 0]
    tables = run_dask(half, tmp_path / "out")
    read = pc.sum(tables["row_ledger"]["rows_read"]).as_py()
    even = [q for q in raw["quantity"].to_pylist() if q is not None and q % 2 == 0]
    assert 0 < read == len(even) < ROWS
    assert set(tables["clean_transactions"]["quantity"].to_pylist()) <= set(even)


def test_ids_that_dask_read_as_floats_are_refused_if_that_merged_some(tmp_path):
    write_raw(tmp_path / "raw", dirty_transactions(300, 11), 3)
    frame = dd.read_parquet(tmp_path / "raw")
    with pytest.raises(SchemaError, match=r"transaction_id.*floats.*numpy_nullable"):
        run_dask(frame, tmp_path / "out")


def test_small_ids_that_dask_read_as_floats_are_still_exact(tmp_path):
    ids = [1, None, 3, 2**53 - 1]
    rows = dirty_transactions(40, 2).slice(0, 4)
    rows = rows.set_column(0, "transaction_id", pa.array(ids, pa.int64()))
    write_raw(tmp_path / "raw", rows, 2)
    frame = dd.read_parquet(tmp_path / "raw", engine="pyarrow")
    tables = run_dask(frame, tmp_path / "out")
    found = [
        name
        for table in ("clean_transactions", "rejected_transactions")
        for name in tables[table]["transaction_id"].to_pylist()
    ]
    assert sorted(map(str, found)) == sorted(map(str, ids))


# --------------------------------------------------- the order of deliveries


def raw_rows(ids, **columns) -> pa.Table:
    """Good rows with these ids, each with an amount that tells it from the others."""
    amounts = [float(number + 1) for number in range(len(ids))]
    return raw_table(**{"transaction_id": pa.array(ids), "amount": amounts, **columns})


@pytest.mark.parametrize("files", [1, 2, 6])
def test_of_several_deliveries_the_first_valid_one_stays(tmp_path, files):
    ids, amounts = [7, 7, 8, 7, 8, 7], [-1.0, 2.0, 3.0, 4.0, 3.0, None]
    write_raw(tmp_path / "raw", raw_rows(ids, amount=amounts), files)
    tables = run_dask(raw_dataset(tmp_path / "raw", 1).load(), tmp_path / "out")
    clean = tables["clean_transactions"]
    assert clean["transaction_id"].to_pylist() == [7, 8]
    assert clean["amount"].to_pylist() == [2.0, 3.0]
    assert tables["rejected_transactions"]["reasons"].to_pylist() == [
        ["non_positive_amount"],
        ["duplicate_transaction_id"],
        ["duplicate_transaction_id"],
        ["missing_amount"],
    ]


def test_raw_order_is_that_of_the_file_names(tmp_path):
    """Not that of creation, nor of the sizes."""
    folder = tmp_path / "raw"
    folder.mkdir()
    for name, amount in (("b", 1.0), ("a10", 2.0), ("a2", 3.0), ("a/z", 4.0)):
        (folder / name).parent.mkdir(exist_ok=True)
        pq.write_table(raw_rows([5], amount=[amount]), folder / f"{name}.parquet")
    tables = run_dask(raw_dataset(folder, 1).load(), tmp_path / "out")
    assert tables["row_ledger"]["source_file"].to_pylist() == [
        "a/z.parquet", "a10.parquet", "a2.parquet", "b.parquet",
    ]  # fmt: skip
    assert tables["clean_transactions"]["amount"].to_pylist() == [4.0]


def test_running_again_gives_the_same_bytes(raw, tmp_path):
    write_raw(tmp_path / "raw", raw, 3)
    frame = raw_dataset(tmp_path / "raw", 200).load()
    run_dask(frame, tmp_path / "out")
    with cluster(n_workers=2, threads_per_worker=2):
        run_dask(frame, tmp_path / "out")
    for name in TABLES:
        dataset = PandasParquetDataset(filepath=str(tmp_path / "out" / name))
        one, other = (
            [(part.rows, part.bytes, part.checksum) for part in parts]
            for parts in (dataset.store.content(v).parts for v in dataset.versions())
        )
        assert one == other, name
