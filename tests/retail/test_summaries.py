"""Partial summaries merge to the same table in whatever order and grouping."""

import tracemalloc
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dask_etl.retail import schema
from dask_etl.retail.calendar import calendar, day_numbers
from dask_etl.retail.features import add_features, fill_missing
from dask_etl.retail.parameters import Cleaning, Features
from dask_etl.retail.rules import broken_rules
from dask_etl.retail.summaries import (
    SUMS,
    Domain,
    cube_partial,
    customers_partial,
    encode,
    finish_cube,
    finish_customers,
    measures,
    merge_cubes,
    merge_customers,
)
from dask_etl.retail.tables import CUSTOMERS, RAW_TRANSACTIONS, SALES_CUBE
from oracle.raw_files import AS_OF, dirty_transactions
from support.good_rows import CALENDAR, CURRENCY

ROWS = 400


def clean_rows(seed: int, **options) -> pa.Table:
    raw = dirty_transactions(ROWS, seed, **options)
    raw = raw.cast(RAW_TRANSACTIONS.with_labels(raw.schema)).combine_chunks()
    kept = (broken_rules(raw, AS_OF, Cleaning(), CURRENCY) == 0).nonzero()[0]
    filled = fill_missing(raw, LABELS[seed], kept, Cleaning())
    return add_features(filled, Cleaning(), Features(), CALENDAR, CURRENCY)


def labels_of(seed: int, **options) -> dict[str, pa.Array]:
    raw = dirty_transactions(ROWS, seed, **options)
    return {
        name: pa.array(sorted({"Unknown", *filter(None, raw[name].to_pylist())}))
        for name in schema.LABEL_COLUMNS
    }


# Few labels, and more than a word of 64 bits holds; integer ids and text.
OPTIONS = {
    1: {"regions": 3, "categories": 2, "customers": 30},
    2: {"regions": 150, "categories": 70, "customers": 40, "string_ids": True},
}
LABELS = {seed: labels_of(seed, **options) for seed, options in OPTIONS.items()}
CLEAN = {seed: clean_rows(seed, **options) for seed, options in OPTIONS.items()}


def domain_of(seed: int) -> Domain:
    months = day_numbers(CLEAN[seed]).astype("datetime64[D]").astype("datetime64[M]")
    first, last = months.min().astype(int), months.max().astype(int)
    return Domain(LABELS[seed], int(first), int(last - first) + 1)


DOMAIN = {seed: domain_of(seed) for seed in OPTIONS}


def cube(seed: int, rows: pa.Table) -> pa.Table:
    return cube_partial(rows, measures(rows, CURRENCY), CALENDAR)


def customers(seed: int, rows: pa.Table) -> pa.Table:
    return customers_partial(rows, DOMAIN[seed], measures(rows, CURRENCY), CURRENCY)


def merged_cubes(*partials: pa.Table) -> pa.Table:
    return merge_cubes(partials).combine_chunks()


def merged_customers(*partials: pa.Table) -> pa.Table:
    merged = merge_customers(partials)
    # The order of the customers carries no meaning.
    return merged.sort_by("customer_id").combine_chunks()


SUMMARIES = {"cube": (cube, merged_cubes), "customers": (customers, merged_customers)}

parametrized = pytest.mark.parametrize(
    ("summary", "seed"), [(name, seed) for name in SUMMARIES for seed in OPTIONS]
)


@parametrized
def test_any_cut_and_any_order_of_merging_give_the_same(summary, seed):
    partial, merge = SUMMARIES[summary]
    rows = CLEAN[seed]
    whole = merge(partial(seed, rows))

    @settings(max_examples=40)
    @given(st.data())
    def check(data):
        cuts = data.draw(st.lists(st.integers(0, len(rows)), max_size=6))
        edges = [0, *sorted(cuts), len(rows)]
        partials = [
            partial(seed, rows.slice(start, stop - start).combine_chunks())
            for start, stop in pairwise(edges)
        ]
        # A tree of merges of any shape, over the partials in any order.
        partials = data.draw(st.permutations(partials))
        while len(partials) > 1:
            place = data.draw(st.integers(0, len(partials) - 2))
            partials[place : place + 2] = [merge(*partials[place : place + 2])]
        assert merge(*partials).equals(whole)

    check()


@parametrized
def test_two_partials_merge_alike_in_both_orders_and_nothing_is_the_identity(
    summary, seed
):
    partial, merge = SUMMARIES[summary]
    rows = CLEAN[seed]
    one, other = partial(seed, rows[:100]), partial(seed, rows[100:])
    nothing = partial(seed, rows[:0])
    assert len(nothing) == 0
    assert merge(one, other).equals(merge(other, one))
    assert merge(one, nothing).equals(merge(one))
    assert merge(nothing, one).equals(merge(one))
    assert len(merge(nothing)) == 0


@pytest.mark.parametrize("seed", OPTIONS)
def test_no_lines_finish_as_tables_of_the_right_types(seed):
    domain = Domain(LABELS[seed], 0, 0)
    rows = CLEAN[seed][:0]
    found = finish_cube(
        merge_cubes([cube_partial(rows, measures(rows, CURRENCY), CALENDAR)]), domain
    )
    assert found.equals(SALES_CUBE.schema.empty_table())
    found = finish_customers(
        merge_customers(
            [customers_partial(rows, domain, measures(rows, CURRENCY), CURRENCY)]
        ),
        domain,
    )
    assert found.equals(CUSTOMERS.schema_for(rows.schema).empty_table())


@pytest.mark.parametrize("seed", OPTIONS)
def test_sums_are_those_of_plain_python(seed):
    rows = CLEAN[seed].to_pylist()
    cells: dict[tuple, list] = {}
    people: dict[object, list] = {}
    for row in rows:
        key = (row["timestamp"].date(), row["region"], row["product_category"])
        cells.setdefault(key, []).append(row)
        people.setdefault(row["customer_id"], []).append(row)
    partial = merge_cubes([cube(seed, CLEAN[seed])])
    found = finish_cube(partial, DOMAIN[seed]).to_pylist()
    assert [tuple(row.values())[:3] for row in found] == sorted(cells)
    for row in found:
        assert_sums(row, cells[tuple(row.values())[:3]])
    partial = merge_customers([customers(seed, CLEAN[seed])])
    found = finish_customers(partial, DOMAIN[seed]).to_pylist()
    assert [row["customer_id"] for row in found] == sorted(people)
    for row in found:
        lines = people[row["customer_id"]]
        assert_sums(row, lines)
        moments = [line["timestamp"] for line in lines]
        assert (row["first_purchase"], row["last_purchase"]) == (
            min(moments),
            max(moments),
        )
        assert row["months"] == sorted({m.date().replace(day=1) for m in moments})
        for name, column in (
            ("regions", "region"),
            ("product_categories", "product_category"),
        ):
            assert row[name] == sorted({line[column] for line in lines})


def assert_sums(row: dict, lines: list[dict]) -> None:
    cents = [round(line["revenue"] * 100) for line in lines]
    returned = [line["is_returned"] for line in lines]
    ratings = [line["rating"] for line in lines if line["rating"] is not None]
    millionths = sum(round(rating * 1_000_000) for rating in ratings)
    assert row["lines"] == len(lines)
    assert row["units"] == sum(line["quantity"] for line in lines)
    assert row["revenue_cents"] == sum(cents)
    assert row["returned_lines"] == sum(returned)
    assert row["returned_revenue_cents"] == sum(np.compress(returned, cents))
    assert row["rating_sum"] == millionths / 1_000_000
    assert row["rating_count"] == len(ratings)


def test_memory_follows_the_rows_not_what_there_could_be():
    """100,000 labels of either kind and 125 years, in 800 rows of 400 customers."""
    rows, labels = 800, 100_000
    random = np.random.default_rng(1)
    names = pa.array([f"label {number:05d}" for number in range(labels)])
    clean = CLEAN[1].take(pa.array(random.integers(0, len(CLEAN[1]), rows)))
    days = random.integers(-25_567, 20_000, rows)
    columns = {
        "timestamp": pa.array(days * 86_400_000_000, schema.TIMESTAMP),
        "customer_id": pa.array(random.integers(1, 400, rows)),
        **{
            name: pa.DictionaryArray.from_arrays(
                random.integers(0, labels, rows).astype(np.int32), names
            )
            for name in schema.LABEL_COLUMNS
        },
        **{
            name: pa.array(values)
            for name, values in calendar(days).items()
            if name in ("year", "month")
        },
    }
    for name, values in columns.items():
        position = clean.schema.get_field_index(name)
        clean = clean.set_column(position, name, pa.chunked_array([values]))
    clean = clean.combine_chunks()
    first = int(np.datetime64("1900-01", "M").astype(int))
    domain = Domain(dict.fromkeys(schema.LABEL_COLUMNS, names), first, 1_600)
    tracemalloc.start()
    try:
        measured = measures(clean, CURRENCY)
        partials = (
            cube_partial(clean, measured, CALENDAR),
            customers_partial(clean, domain, measured, CURRENCY),
        )
        merged = merge_cubes([partials[0]] * 2), merge_customers([partials[1]] * 2)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1000 * rows
    assert sum(table.nbytes for table in (*partials, *merged)) < 1000 * rows
    assert len(merged[0]) == rows
    tables = [finish_customers(table, domain) for table in (partials[1], merged[1])]
    names = ["customer_id", "regions", "product_categories", "months"]
    assert tables[0].select(names).equals(tables[1].select(names))
    assert sum(map(len, tables[0]["regions"].to_pylist())) > 790


def test_cells_beyond_64_bits_are_told_apart():
    """Where the number of cells of the cube has no room in int64."""
    large = 2**31 - 1
    partial = pa.table(
        {
            "day": pa.array([large, 0, large, 0], pa.int32()),
            "region": pa.array([0, large, 0, large], pa.int32()),
            "product_category": pa.array([large, 0, large, 1], pa.int32()),
            **{name: np.ones(4, np.int64) for name in SUMS},
        }
    )
    merged = merge_cubes([partial]).to_pylist()
    assert [tuple(row.values())[:4] for row in merged] == [
        (0, large, 0, 1),
        (0, large, 1, 1),
        (large, 0, large, 2),
    ]


IDS = st.one_of(
    st.lists(st.integers(-(2**63), 2**63 - 1), max_size=20).map(
        lambda ids: pa.array(ids, pa.int64())
    ),
    st.lists(st.integers(-20, 20), max_size=20).map(
        lambda ids: pa.array(ids, pa.int64())
    ),
    st.lists(st.text(max_size=2), max_size=20).map(
        lambda ids: pa.array(ids, pa.string())
    ),
)


@settings(max_examples=200)
@given(ids=IDS)
def test_ids_are_numbered_without_gaps_and_without_mistakes(ids):
    numbers, distinct = encode(ids)
    assert distinct.take(pa.array(numbers)).to_pylist() == ids.to_pylist()
    assert len(distinct) == len(set(ids.to_pylist()))
