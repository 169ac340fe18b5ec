"""The dirty data that all engines are tested with."""

import math

import numpy as np
import pyarrow.compute as pc
import pytest

from dask_etl.retail import schema
from oracle import TABLES, oracle_tables
from oracle.raw_files import AS_OF, dirty_transactions, write_raw

NAN, INF = math.nan, math.inf


@pytest.mark.parametrize("string_ids", [False, True])
def test_dirty_data_break_every_rule_and_meet_every_boundary(judge, string_ids):
    rows = dirty_transactions(500, seed=6, string_ids=string_ids)
    tables = judge(rows, parts=3)
    ledger = tables["row_ledger"].drop_columns(["source_file", "as_of"])
    totals = {name: pc.sum(ledger[name]).as_py() for name in ledger.column_names}
    assert totals["rows_read"] == 500
    assert totals["rows_read"] == totals["rows_kept"] + totals["rows_rejected"]
    assert all(totals[rule] for rule in schema.RULES)
    reasons = tables["rejected_transactions"]["reasons"].to_pylist()
    assert any(len(broken) > 2 for broken in reasons)

    clean = tables["clean_transactions"]
    assert set(clean["price_category"].to_pylist()) == set(schema.PRICE_CATEGORIES)
    for column, values in {
        "amount": {10.0, 50.0, 200.0},
        "discount": {0.0, 1.0},
        "rating": {1.0, 5.0, None},
        "timestamp": {AS_OF},
        "region": {"Unknown"},
        "is_returned": {True, False},
    }.items():
        assert values <= set(clean[column].to_pylist()), column
    assert any(map(math.isnan, filter(None, rows["amount"].to_pylist())))
    assert any(map(math.isinf, filter(None, rows["amount"].to_pylist())))
    assert any(tables["monthly_sales"]["enough_data"].to_pylist())


def test_dirty_data_depend_on_the_seed_only():
    assert str(dirty_transactions(50, 1)) == str(dirty_transactions(50, 1))
    assert str(dirty_transactions(50, 1)) != str(dirty_transactions(50, 2))
    assert dirty_transactions(0, 1).num_rows == 0
    assert dirty_transactions(1, 1, regions=1000, customers=1).num_rows == 1


def test_tables_do_not_depend_on_the_files(tmp_path):
    rows = dirty_transactions(400, seed=2)
    whole = oracle_tables(write_raw(tmp_path / "1", rows, 1), AS_OF)
    split = oracle_tables(write_raw(tmp_path / "2", rows, 450), AS_OF)
    assert split["row_ledger"].num_rows == 450
    for name in TABLES:
        if name == "row_ledger":
            continue
        left, right = whole[name], split[name]
        if name == "rejected_transactions":
            left, right = (
                side.drop_columns(["source_file", "source_row"])
                for side in (left, right)
            )
        assert left.to_pylist() == right.to_pylist(), name


def test_summaries_add_up_to_the_clean_rows(judge):
    tables = judge(dirty_transactions(600, seed=3), parts=4)
    clean = tables["clean_transactions"]
    cents = int(np.rint(clean["revenue"].to_numpy() * 100).sum())
    for name in ("sales_cube", "customers"):
        summary = tables[name]
        assert pc.sum(summary["lines"]).as_py() == clean.num_rows
        assert pc.sum(summary["units"]).as_py() == pc.sum(clean["quantity"]).as_py()
        assert pc.sum(summary["revenue_cents"]).as_py() == cents
        assert (
            pc.sum(summary["rating_count"]).as_py() == pc.count(clean["rating"]).as_py()
        )
    for name in ("region_performance", "category_performance", "daily_sales"):
        assert pc.sum(tables[name]["revenue"]).as_py() == pytest.approx(cents / 100)
