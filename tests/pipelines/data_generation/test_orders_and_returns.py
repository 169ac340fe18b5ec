"""Orders, guests and return lines, made up, through both engines and the oracle."""

from datetime import UTC, datetime

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dask_etl.pipelines.data_generation.generator import (
    generate_partition,
    raw_columns,
)
from dask_etl.retail.parameters import Cleaning, Currency, Generation
from dask_etl.retail.schema import RULES
from oracle.comparison import assert_matches
from oracle.runner import oracle_tables
from support.engine_runs import (
    TABLES,
    plain,
    raw_dataset,
    run_analyses,
    run_dask,
    run_pandas,
)

GENERATION = Generation(
    rows=6_000,
    rows_per_partition=2_500,
    customers=400,
    returns="negative_lines",
    order_lines=2.0,
    guests=0.15,
)
OPTIONS = {
    "as_of": datetime(2025, 1, 1, tzinfo=UTC),
    "cleaning": Cleaning(
        returns="negative_lines", rules={"missing_customer_id": "keep"}
    ),
}


def test_all_agree_on_orders_guests_and_return_lines(tmp_path):
    truths, files = [], []
    for index in range(3):
        made = generate_partition(GENERATION, index)
        truths.append(made["truth"])
        files.append(tmp_path / "raw" / f"part-{index:05d}.parquet")
        files[-1].parent.mkdir(exist_ok=True)
        pq.write_table(
            made["raw_transactions"].cast(raw_columns(GENERATION)), files[-1]
        )

    in_dask = run_dask(
        raw_dataset(tmp_path / "raw", 1_000).load(), tmp_path / "out", **OPTIONS
    )
    in_pandas = run_pandas(tmp_path / "raw", **OPTIONS)
    for table in TABLES:
        assert plain(in_dask[table]).equals(plain(in_pandas[table])), table
    tables = {**in_pandas, **run_analyses(in_pandas, Currency())}
    reference = oracle_tables(files, **OPTIONS, names=[*tables])
    for table, content in tables.items():
        assert_matches(content, reference[table], table)

    truth = pa.concat_tables(truths).to_pandas().groupby("defect")["rows"].sum()
    broken = reference["row_ledger"].select(RULES).to_pandas().sum()
    pd.testing.assert_series_equal(
        broken.sort_index(), truth.sort_index(), check_names=False, check_dtype=False
    )
    orders = reference["orders"]
    assert orders.num_rows > 2_000
    assert pc.sum(orders["returned_lines"]).as_py() > 200
    guests = orders["customer_id"].null_count / orders.num_rows
    assert 0.1 < guests < 0.2
