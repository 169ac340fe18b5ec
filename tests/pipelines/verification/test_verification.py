import logging
from datetime import date
from itertools import pairwise

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dask_etl.pipelines.verification.comparison import as_text, is_same, rows_that_match
from dask_etl.pipelines.verification.nodes import (
    EnginesDisagree,
    compare,
    require_identical,
    verify_engines,
)
from dask_etl.retail.tables import COMPARED

DAY = pd.Timestamp("2024-05-01", tz="UTC")


def every_table(rows=6):
    """Both engines' tables, small, with every type of column that occurs."""
    at = pd.date_range("2024-05-01", periods=rows, tz="UTC", unit="us")
    raw = pd.DataFrame(
        {
            "transaction_id": np.arange(rows) * 7,
            "customer_id": [f"C{i}" for i in range(rows)],
            "region": pd.Categorical(["North", "South"] * (rows // 2)),
            "amount": np.linspace(1, 2, rows),
            "rating": [np.nan, 4.0] * (rows // 2),
            "is_returned": [True, False] * (rows // 2),
            "timestamp": at,
            "month": np.full(rows, 5, "int8"),
        }
    )
    rejected = raw.assign(
        source_file="part-0.parquet",
        source_row=np.arange(rows) * 3,
        quantity=pd.array([1, None] * (rows // 2), "Int64"),
        reasons=[np.array(["future_timestamp"], dtype=object)] * rows,
    )
    ledger = pd.DataFrame(
        {
            "source_file": [f"part-{i}" for i in range(rows)],
            "rows_read": 9,
            "as_of": DAY,
        }
    )
    customers = pd.DataFrame(
        {
            "customer_id": np.arange(rows),
            "revenue_cents": np.arange(rows) * 100,
            "regions": [
                np.array(["North"] * (i % 3), dtype=object) for i in range(rows)
            ],
            "months": [
                np.array([date(2024, 1 + i, 1)], dtype=object) for i in range(rows)
            ],
        }
    )
    keyed = {
        name: pd.DataFrame(
            {**{column: np.arange(rows) for column in table.key}, "net_revenue": 1.5},
            index=range(rows),
        )
        for name, table in COMPARED.items()
    }
    special = {
        "clean_transactions": raw,
        "rejected_transactions": rejected,
        "row_ledger": ledger,
        "customers": customers,
    }
    return {**keyed, **special}


def both(dask, pandas):
    sides = (("dask", dask), ("pandas", pandas))
    return {f"{engine}_{name}": t for engine, side in sides for name, t in side.items()}


def partitioned(table, count):
    bounds = np.linspace(0, len(table), count + 1).astype(int)
    parts = [table.iloc[a:b] for a, b in pairwise(bounds)]
    with dask.config.set({"dataframe.convert-string": False}):  # lists stay lists
        return dd.from_map(lambda part: part, parts, meta=table.iloc[:0])


def lazily(tables, partitions=3):
    lazy = {
        name: partitioned(tables[name], partitions)
        for name in ("clean_transactions", "rejected_transactions")
    }
    return {**tables, **lazy}


def changed(value):
    """Another value of the same type."""
    match value:
        case np.ndarray():
            other = np.append(value, value[-1:] if len(value) else ["North"])
        case bool() | np.bool_():
            other = not value
        case pd.Timestamp():
            other = value + pd.Timedelta(microseconds=1)
        case str():
            other = "South" if value == "North" else "North"
        case float() if not np.isnan(value):
            other = float(np.nextafter(value, np.inf))
        case _:
            other = 1 if pd.isna(value) else value + 1
    return other


def test_identical_tables_in_the_promised_order():
    found = verify_engines(**both(lazily(every_table()), every_table()))
    assert list(found["table"]) == list(COMPARED)
    assert found["identical"].all()
    assert (found["differing_rows"] == 0).all()
    assert found["first_difference"].isna().all()
    assert (found["rows_dask"] == 6).all()
    assert (found["rows_pandas"] == 6).all()
    require_identical(
        found, every_table()["row_ledger"], every_table()["row_ledger"], ""
    )


@settings(deadline=None, max_examples=60)
@given(st.data(), st.sampled_from(sorted(COMPARED)), st.integers(0, 5))
def test_one_altered_value_anywhere_is_found_and_named(data, name, row):
    good, bad = every_table(), every_table()
    column = data.draw(st.sampled_from(list(bad[name].columns)))
    value = bad[name][column].iloc[row]
    if not isinstance(value, np.ndarray):
        bad[name][column] = bad[name][column].copy()
        bad[name].loc[row, column] = changed(value)
    else:
        cells = list(bad[name][column])
        cells[row] = changed(value)
        bad[name][column] = pd.Series(cells, index=bad[name].index)
    found = verify_engines(**both(lazily(good, 1 + row), bad)).set_index("table")
    assert not found.loc[name, "identical"]
    assert found.loc[name, "differing_rows"] >= 1
    assert found.drop(index=name)["identical"].all()
    text = found.loc[name, "first_difference"]
    if column not in COMPARED[name].key:
        assert found.loc[name, "differing_rows"] == 1
        assert f"{column} is {as_text(value)} (dask), " in text
        assert as_text(bad[name][column].iloc[row]) in text
        for key in COMPARED[name].key:
            assert f"{key}={as_text(bad[name][key].iloc[row])}" in text
    with pytest.raises(EnginesDisagree, match=name):
        require_identical(
            found.reset_index(), good["row_ledger"], good["row_ledger"], ""
        )


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.floats(allow_nan=True, width=64), min_size=1, max_size=12),
    st.integers(1, 5),
    st.data(),
)
def test_floats_are_compared_bit_by_bit_whatever_the_partitions(values, parts, data):
    table = pd.DataFrame({"transaction_id": range(len(values)), "net": values})
    lazy = partitioned(table, parts)
    assert compare("clean_transactions", lazy, table)["identical"]
    row = data.draw(st.integers(0, len(values) - 1))
    assume(np.isnan(values[row]) or values[row] > np.finfo(float).min)
    other = table.copy()
    other.loc[row, "net"] = (
        0.5 if np.isnan(values[row]) else np.nextafter(values[row], -np.inf)
    )
    found = compare("clean_transactions", lazy, other)
    assert found["differing_rows"] == 1
    assert f"transaction_id={row}: net is" in found["first_difference"]


@pytest.mark.parametrize("engine", ["dask", "pandas"])
def test_rows_that_only_one_engine_has(engine):
    long = every_table()["clean_transactions"]
    tables = {"dask": long, "pandas": long}
    tables[engine], other = long, "pandas" if engine == "dask" else "dask"
    tables[other] = long.iloc[:4]
    lazy = partitioned(tables["dask"], 2)
    found = compare("clean_transactions", lazy, tables["pandas"])
    assert found["rows_dask"] == len(tables["dask"])
    assert found["rows_pandas"] == len(tables["pandas"])
    assert found["differing_rows"] == 2
    assert found["first_difference"] == f"transaction_id=28 is only in {engine}"


def test_a_column_that_only_one_engine_has():
    table = every_table()["daily_sales"]
    found = compare("daily_sales", table, table.drop(columns="net_revenue"))
    assert not found["identical"]
    assert found["first_difference"] == "column net_revenue is only in dask"


def test_empty_tables_are_identical():
    tables = {name: table.iloc[:0] for name, table in every_table().items()}
    assert verify_engines(**both(lazily(tables, 1), tables))["identical"].all()


def test_an_empty_partition_in_between():
    table = every_table()["clean_transactions"]
    parts = [table.iloc[:2], table.iloc[2:2], table.iloc[2:]]
    lazy = dd.from_map(lambda part: part, parts, meta=table.iloc[:0])
    assert compare("clean_transactions", lazy, table)["identical"]


def test_order_of_customers_does_not_matter_but_that_of_other_tables_does():
    tables = every_table()
    shuffled = tables["customers"].sample(frac=1, random_state=3)
    assert compare("customers", tables["customers"], shuffled)["identical"]
    daily = tables["daily_sales"]
    assert not compare("daily_sales", daily, daily.iloc[::-1])["identical"]


def test_different_moments_are_reported_with_a_remedy():
    good, late = every_table(), every_table()
    late["row_ledger"]["as_of"] = DAY + pd.Timedelta(hours=1)
    found = verify_engines(**both(good, late))
    with pytest.raises(EnginesDisagree, match=r"clock\.as_of") as error:
        require_identical(found, good["row_ledger"], late["row_ledger"], "")
    assert "2024-05-01T00:00:00+00:00 (dask)" in str(error.value)
    assert "2024-05-01T01:00:00+00:00 (pandas)" in str(error.value)


def test_every_table_has_its_key_in_the_schema():
    for name, table in COMPARED.items():
        assert set(table.key) <= set(table.schema.names), name


LISTS = [
    [np.array(["a", "b"], dtype=object), np.array([], dtype=object), None, ["c"]],
    [["a", "b"], [], None, ("c",)],
]


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (pd.Categorical(["a", None, "b"]), ["a", None, "b"]),
        (
            pd.Categorical(["a", None, "b"], ["z", "b", "a"]),
            pd.Categorical(["a", None, "b"]),
        ),
        (
            pd.Categorical(["a"] * 3, [str(i) for i in range(200)] + ["a"]),
            pd.Categorical(["a"] * 3),
        ),
        ([1.0, None, np.nan], pd.array([1, None, None], "Int64")),
        (np.array([1, 2], "int8"), np.array([1, 2], "int64")),
        (pd.array([True, None], "boolean"), np.array([True, None], object)),
        (LISTS[0], LISTS[1]),
        ([np.array(["2024-01-01"], "M8[ms]")], [np.array(["2024-01-01"], "M8[ns]")]),
        ([None, None], pd.array([None, None], "Int64")),
        (["ä", "€"], pd.array(["ä", "€"], "string[python]")),
        (
            pd.to_datetime(["2024-01-01"], utc=True).as_unit("us"),
            pd.to_datetime(["2024-01-01"], utc=True).as_unit("ns"),
        ),
    ],
)
def test_same_values_in_different_clothes(left, right):
    left, right = pd.Series(left), pd.Series(right)
    assert rows_that_match(left, right).all()
    assert rows_that_match(right, left).all()


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ([0.0], [-0.0]),
        ([0.1 + 0.2], [0.3]),
        ([2**53 + 1], [float(2**53)]),
        ([1], ["1"]),
        ([True], [1]),
        ([""], [None]),
        ([0.0], [None]),
        (pd.Categorical(["a"]), pd.Categorical(["b"])),
        ([[]], [None]),
        ([["a", "b"]], [["b", "a"]]),
        ([["a"]], [["a", "a"]]),
        ([["a", None]], [["a", "b"]]),
        (pd.to_datetime(["2024-01-01"], utc=True), pd.to_datetime(["2024-01-01"])),
    ],
)
def test_different_values_however_similar(left, right):
    left, right = pd.Series(left), pd.Series(right)
    assert not rows_that_match(left, right).any()
    assert not rows_that_match(right, left).any()


@pytest.mark.parametrize("of", [float, "float32", "int16", "M8[ms]", bool])
def test_what_is_the_same_is_told_without_looking_at_rows(of):
    values = pd.Series(np.array([0, 1, 2, 1])).astype(of)
    assert is_same(values, values.copy())
    assert not is_same(values, values[:3])
    assert not is_same(values, values[::-1])


def test_what_is_the_same_is_the_same_bit_by_bit():
    zero, nothing = pd.Series([0.0, np.nan]), pd.Series([-0.0, np.nan])
    assert is_same(zero, zero.copy())
    assert not is_same(zero, nothing)
    at = pd.Series([DAY, pd.NaT, DAY])
    assert is_same(at, at.copy())
    assert not is_same(at, at.dt.tz_convert("Asia/Tokyo"))
    assert not is_same(at, at.shift(1))


def test_labels_are_the_same_if_codes_and_their_meanings_are():
    labels = pd.Series(["a", None, "b"], dtype="category")
    assert is_same(labels, labels.copy())
    renamed = labels.cat.rename_categories({"a": "b", "b": "a"})
    assert not is_same(labels, renamed)
    assert not rows_that_match(labels, renamed)[[0, 2]].any()


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.lists(st.sampled_from([0.0, -0.0, 0.5]), max_size=2), min_size=1),
    st.data(),
)
def test_floats_in_lists_are_compared_bit_by_bit_too(lists, data):
    row = data.draw(st.integers(0, len(lists) - 1))
    other = [*lists[:row], [-number for number in lists[row]], *lists[row + 1 :]]
    left, right = (
        pd.Series([np.array(items) for items in side], dtype=object)
        for side in (lists, other)
    )
    assert rows_that_match(left, left.copy()).all()
    expected = np.ones(len(lists), bool)
    expected[row] = not lists[row]
    assert rows_that_match(left, right).tolist() == expected.tolist()


def test_the_outcome_is_logged(caplog):
    good, bad = every_table(), every_table()
    bad["daily_sales"]["net_revenue"] = 2.5
    with caplog.at_level(logging.INFO, "dask_etl"):
        verify_engines(**both(good, good))
        verify_engines(**both(good, bad))
    assert [(r.levelname, r.getMessage()) for r in caplog.records] == [
        ("INFO", "All 16 tables of both engines are identical"),
        ("WARNING", "Dask and pandas differ in 1 of 16 tables: daily_sales"),
    ]
