"""Twelve raw rows, and by hand what becomes of them."""

from pathlib import Path

import pytest

from oracle import TABLES, assert_matches, oracle_tables
from oracle.example import EXPECTED, expected_days, table
from oracle.raw_files import AS_OF, write_raw
from support.good_rows import raw_table as raw


def test_the_example_covers_every_table(example):
    assert {*EXPECTED, "daily_sales"} == set(TABLES) == set(example)


@pytest.mark.parametrize("name", EXPECTED)
def test_example(example, name):
    expected = table(*EXPECTED[name])
    assert example[name].schema == expected.schema
    assert_matches(example[name], expected, name)


def test_example_days(example):
    days = example["daily_sales"]
    assert_matches(days, expected_days(), "daily_sales")
    assert days["moving_average_7"].to_pylist()[5:8] == [
        None,
        pytest.approx(20.13 / 7, rel=1e-12),
        pytest.approx(20.01 / 7, rel=1e-12),
    ]
    assert days["moving_average_28"].null_count == 27
    assert days["moving_average_28"][-1].as_py() == pytest.approx(150 / 28, rel=1e-12)


def test_the_example_runs_from_any_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_raw(Path("raw"), raw(amount=[1.0]), 1)
    tables = oracle_tables([Path("raw/part-00000.parquet")], AS_OF)
    assert tables["clean_transactions"].num_rows == 1
