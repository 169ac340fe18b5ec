from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dask_etl.pipelines.data_generation import profiles as shop
from dask_etl.pipelines.data_generation.generator import (
    generate_partition,
    partition_count,
    raw_columns,
)
from dask_etl.pipelines.data_generation.lines import transaction_ids
from dask_etl.retail import schema
from dask_etl.retail.parameters import Defects, Generation, Missing
from dask_etl.retail.tables import GENERATED_DEFECTS, GENERATION_TRUTH

CLEAN = Defects(**dict.fromkeys(Defects.model_fields, 0))
DIRTY = Defects(**dict.fromkeys(Defects.model_fields, 0.06))
COMPLETE = Missing(**dict.fromkeys(Missing.model_fields, 0))
BOUGHT = [
    name for name in schema.raw().names if name not in ("transaction_id", "timestamp")
]


def partitions(generation):
    return [
        generate_partition(generation, index)
        for index in range(partition_count(generation))
    ]


def raw_table(generation):
    tables = [part["raw_transactions"] for part in partitions(generation)]
    return pa.concat_tables(tables).cast(raw_columns(generation))


def frame(generation):
    return raw_table(generation).to_pandas()


def truth(generation):
    counts = [part["truth"].to_pandas() for part in partitions(generation)]
    return pd.concat(counts).groupby("defect")["rows"].sum().to_dict()


def broken_rules(rows: pd.DataFrame, as_of="2030-01-01") -> pd.DataFrame:
    """The cleaning rules as design.md states them, one boolean column for each."""
    numbers = rows[["amount", "quantity", "discount", "rating"]].astype(float)
    numbers = numbers.where(np.isfinite(numbers))
    broken = pd.DataFrame(
        {
            "missing_transaction_id": rows["transaction_id"].isna(),
            "missing_customer_id": rows["customer_id"].isna(),
            "missing_timestamp": rows["timestamp"].isna(),
            "missing_amount": numbers["amount"].isna(),
            "missing_quantity": numbers["quantity"].isna(),
            "non_positive_amount": numbers["amount"] <= 0,
            "non_positive_quantity": numbers["quantity"] <= 0,
            "discount_out_of_range": (numbers["discount"] < 0)
            | (numbers["discount"] > 1),
            "rating_out_of_range": (numbers["rating"] < 1) | (numbers["rating"] > 5),
            "value_out_of_range": (numbers["amount"].abs() > 1e9)
            | (numbers["quantity"].abs() > 1e6)
            | (rows["timestamp"] < pd.Timestamp("1900-01-01", tz="UTC")),
            "future_timestamp": rows["timestamp"] > pd.Timestamp(as_of, tz="UTC"),
        }
    )
    fine = rows.loc[~broken.any(axis=1), "transaction_id"]
    repeated = fine.duplicated(keep="first").reindex(rows.index, fill_value=False)
    return broken.assign(duplicate_transaction_id=repeated)


def caught(generation, **options):
    broken = broken_rules(frame(generation), **options)
    assert broken.sum(axis=1).le(1).all(), "a row may carry one defect at most"
    return broken.sum().to_dict()


def gini(values):
    values = np.sort(values)
    count = len(values)
    ranks = 2 * np.arange(1, count + 1) - count - 1
    return (ranks * values).sum() / (count * values.sum())


@pytest.fixture(scope="module")
def good_rows():
    """Two years of flawless lines, with revenue."""
    rows = frame(
        Generation(
            rows=400_000,
            customers=20_000,
            rows_per_partition=150_000,
            defects=CLEAN,
            missing=COMPLETE,
        )
    )
    revenue = rows["amount"] * rows["quantity"] * (1 - rows["discount"])
    return rows.assign(revenue=revenue)


@given(rows=st.integers(0, 300), per_partition=st.integers(1, 400))
@settings(max_examples=25, deadline=None)
def test_every_row_is_in_one_partition(rows, per_partition):
    per_partition = max(per_partition, rows // 30 + 1)
    generation = Generation(rows=rows, rows_per_partition=per_partition)
    counts = [part["raw_transactions"].num_rows for part in partitions(generation)]
    assert sum(counts) == rows
    assert all(count == per_partition for count in counts[:-1])
    assert all(counts)


@pytest.mark.parametrize("index", [-1, 2])
def test_refuses_a_partition_that_does_not_exist(index):
    with pytest.raises(IndexError, match=f"partition {index} of 2"):
        generate_partition(Generation(rows=20, rows_per_partition=10), index)


def test_partitions_do_not_depend_on_order_or_threads():
    generation = Generation(rows=20_000, rows_per_partition=5_000)
    forward = partitions(generation)
    with ThreadPoolExecutor(3) as pool:
        backward = list(
            pool.map(lambda i: generate_partition(generation, i), [3, 2, 1, 0])
        )
    for one, other in zip(forward, reversed(backward), strict=True):
        for name, table in one.items():
            assert _bytes(table) == _bytes(other[name])


def _bytes(table: pa.Table) -> bytes:
    """Equality of tables would call two NaN different."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def test_another_seed_gives_other_rows():
    one, other = (frame(Generation(rows=500, seed=seed)) for seed in (1, 2))
    assert (one["amount"] != other["amount"]).mean() > 0.9
    assert (one["customer_id"] != other["customer_id"]).mean() > 0.9


def test_blocks_and_partitions_do_not_repeat_each_other():
    amount = frame(Generation(rows=120_000, rows_per_partition=80_000, defects=CLEAN))[
        "amount"
    ].to_numpy()
    head = amount[:200]
    # the first rows of the later blocks of 32 768 lines and of the second partition
    for start in (32_768, 65_536, 75_904, 80_000, 112_768, 115_904):
        assert (amount[start : start + 200] == head).mean() < 0.1


def test_tables_have_their_schemas():
    parts = generate_partition(Generation(rows=1_000), 0)
    assert parts["raw_transactions"].schema.names == schema.raw().names
    assert parts["raw_transactions"].cast(schema.raw()).schema == schema.raw()
    assert parts["truth"].schema == GENERATION_TRUTH.schema
    assert parts["defects"].schema == GENERATED_DEFECTS.schema
    defects = parts["truth"]["defect"].to_pylist()
    assert defects == list(Defects.model_fields)


@given(
    rows=st.integers(1, 400),
    per_partition=st.integers(1, 100),
    customers=st.integers(1, 1_000),
    seed=st.integers(0, 2**63 - 1),
    defects=st.sampled_from(
        [
            DIRTY,
            Defects(),
            CLEAN.model_copy(update={"duplicate_transaction_id": 0.6}),
            CLEAN.model_copy(update={"duplicate_transaction_id": 1.0}),
            CLEAN.model_copy(update={"missing_amount": 1.0}),
        ]
    ),
)
@settings(max_examples=40, deadline=None)
def test_truth_is_what_the_rules_catch_in_small_data(
    rows, per_partition, customers, seed, defects
):
    generation = Generation(
        rows=rows,
        rows_per_partition=max(per_partition, rows // 40 + 1),
        customers=customers,
        seed=seed,
        defects=defects,
    )
    assert caught(generation) == truth(generation)


@pytest.mark.parametrize("rows_per_partition", [7_001, 50_000, 100_000])
def test_truth_is_what_the_rules_catch(rows_per_partition):
    generation = Generation(
        rows=100_000, rows_per_partition=rows_per_partition, defects=DIRTY
    )
    assert caught(generation) == truth(generation)


def test_every_spoiled_row_is_named_with_its_rule():
    generation = Generation(rows=30_000, rows_per_partition=9_000, defects=DIRTY)
    named = pd.concat(
        [part["defects"].to_pandas().astype(object) for part in partitions(generation)]
    )
    number = named["source_file"].str.extract(r"^part-(\d{5})\.parquet$")[0].astype(int)
    rows = number * generation.rows_per_partition + named["source_row"]
    broken = broken_rules(frame(generation)).stack()
    expected = set(broken[broken].index)
    assert len(named) == len(expected) > 10_000
    assert set(zip(rows, named["rule"], strict=True)) == expected


def test_defects_have_their_shares():
    rows = 300_000
    counts = truth(Generation(rows=rows, rows_per_partition=100_000))
    for name, share in Defects().model_dump().items():
        expected = rows * share
        assert abs(counts[name] - expected) < 5 * np.sqrt(expected), name


def test_optional_columns_have_their_shares_of_nulls():
    rows = frame(Generation(rows=200_000, defects=CLEAN))
    for name, share in Missing().model_dump().items():
        assert rows[name].isna().mean() == pytest.approx(share, rel=0.15), name


@pytest.mark.parametrize("share", [0, 1])
def test_optional_columns_may_be_complete_or_empty(share):
    missing = Missing(**dict.fromkeys(Missing.model_fields, share))
    rows = frame(Generation(rows=5_000, defects=CLEAN, missing=missing))
    assert (rows[list(Missing.model_fields)].isna().mean() == share).all()


def test_missing_amounts_are_nulls_nans_and_infinities():
    defects = CLEAN.model_copy(update={"missing_amount": 1.0})
    amount = raw_table(Generation(rows=200, defects=defects))["amount"]
    values = amount.drop_null().to_numpy()
    assert 0 < amount.null_count < 200
    assert np.isnan(values).any()
    assert set(values[~np.isnan(values)]) == {np.inf, -np.inf}


def test_ids_of_good_rows_are_unique_and_tell_no_order():
    ids = frame(Generation(rows=100_000, rows_per_partition=30_000, defects=CLEAN))[
        "transaction_id"
    ]
    assert ids.is_unique
    assert (ids >= 0).all()
    assert abs(ids.corr(ids.index.to_series())) < 0.05


def test_every_line_of_the_largest_data_has_an_id_of_its_own():
    numbers = np.concatenate([np.arange(1_500_000), 10**9 - np.arange(1, 500_001)])
    ids = transaction_ids(numbers)
    assert len(np.unique(ids)) == len(numbers)
    assert ids.min() >= 0
    assert ids.max() < 2**40


def test_replays_repeat_lines_of_this_and_the_previous_partition():
    per_partition = 5_000
    defects = CLEAN.model_copy(update={"duplicate_transaction_id": 0.05})
    rows = frame(
        Generation(rows=20_000, rows_per_partition=per_partition, defects=defects)
    )
    replays = rows[rows["transaction_id"].duplicated(keep="first")]
    firsts = rows.drop_duplicates("transaction_id").reset_index(names="row")
    pairs = replays.reset_index(names="row").merge(
        firsts, on="transaction_id", suffixes=("", "_first"), validate="m:1"
    )
    distance = pairs["row"] // per_partition - pairs["row_first"] // per_partition
    assert set(distance) == {0, 1}
    assert (pairs["timestamp"] >= pairs["timestamp_first"]).all()
    changed = pairs["timestamp"] > pairs["timestamp_first"]
    assert 0.3 < changed.mean() < 0.5
    flipped = (pairs["is_returned"] != pairs["is_returned_first"]) & (
        pairs["is_returned"].notna()
    )
    assert flipped.any()
    assert changed[flipped].mean() > 0.9


def test_replays_come_minutes_to_hours_later_but_for_late_batches():
    defects = CLEAN.model_copy(update={"duplicate_transaction_id": 0.05})
    rows = frame(Generation(rows=200_000, rows_per_partition=100_000, defects=defects))
    arrives = rows["timestamp"].cummax()
    row = pd.Series(rows.index)
    first = row.groupby(rows["transaction_id"]).transform("min")
    delay = (arrives - arrives.take(first).array)[row > first]
    hours = delay / pd.Timedelta(hours=1)
    assert len(hours) > 9_000
    assert 0.5 < hours.median() < 6
    assert (hours < 24).mean() > 0.9
    # The start of a partition repeats the end of the one before.
    assert ((hours < 24) & (row > first) & (first < 100_000) & (row >= 100_000)).any()


def test_customers_are_missing_where_regions_are_not():
    """Customers in stores, regions online; returns are more online, too."""
    defects = CLEAN.model_copy(update={"missing_customer_id": 0.05})
    missing = COMPLETE.model_copy(update={"region": 0.05})
    rows = frame(Generation(rows=300_000, defects=defects, missing=missing))
    gaps = rows[["customer_id", "region"]].isna()
    assert gaps.mean().to_numpy() == pytest.approx([0.05, 0.05], rel=0.05)
    by_category = gaps.groupby(rows["product_category"]).mean()
    assert by_category["customer_id"].idxmax() == "Groceries"
    assert by_category["region"].idxmax() == "Books"
    assert (by_category.max() > 1.3 * by_category.min()).all()
    both = gaps.all(axis=1).mean()
    assert both < 0.6 * 0.05 * 0.05


def test_near_duplicates_differ_in_the_id_alone_and_break_no_rule():
    rows = frame(Generation(rows=50_000, customers=50_000, defects=CLEAN))
    near = rows.duplicated([*BOUGHT, "timestamp"], keep="first")
    assert 0.001 < near.mean() < 0.003
    assert rows["transaction_id"].is_unique
    assert not broken_rules(rows).any(axis=None)


def test_lines_arrive_almost_in_order_of_time(good_rows):
    time = good_rows["timestamp"]
    assert 0.005 < (time.diff() < pd.Timedelta(0)).mean() < 0.05
    assert time.min() >= pd.Timestamp("2023-01-01", tz="UTC")
    assert time.max() < pd.Timestamp("2025-01-01", tz="UTC")
    assert time.dt.normalize().nunique() == 731


def test_prices_discounts_and_baskets_look_real(good_rows):
    cents = np.rint(good_rows["amount"] * 100)
    assert np.allclose(cents / 100, good_rows["amount"], rtol=0, atol=1e-12)
    assert 0.35 < (cents % 10 == 9).mean() < 0.55
    discount = good_rows["discount"]
    assert 0.45 < (discount == 0).mean() < 0.55
    assert discount[discount > 0].median() == pytest.approx(0.25)
    assert 1.0 < np.log(good_rows["revenue"]).std() < 1.25
    assert set(good_rows["rating"]) == {1, 2, 3, 4, 5}
    assert (good_rows["rating"] >= 3).mean() > 0.8


def test_customers_look_real(good_rows):
    spend = good_rows.groupby("customer_id")["revenue"].sum()
    assert 0.45 < gini(spend.to_numpy()) < 0.75
    assert spend.max() / spend.sum() < 0.01
    assert spend.index.min() >= 1
    assert spend.index.max() <= 20_000
    assert len(spend) > 0.7 * 20_000
    lines = good_rows.groupby(["customer_id", "region"]).size()
    per_customer = lines.groupby("customer_id")
    assert 0.9 < per_customer.max().sum() / lines.sum() < 0.99


def test_customers_come_and_drop_out_convexly(good_rows):
    month = good_rows["timestamp"].dt.year * 12 + good_rows["timestamp"].dt.month
    first = month.groupby(good_rows["customer_id"]).transform("min")
    active = (
        good_rows["customer_id"].groupby([first - first.min(), month - first]).nunique()
    )
    assert active.index.get_level_values(0).nunique() == 24
    cohort = active.loc[0] / active.loc[0, 0]
    assert cohort[1] - cohort[6] > cohort[6] - cohort[11] > 0
    assert 0.1 < cohort[12] < 0.5


def test_sales_follow_the_calendar(good_rows):
    daily = good_rows.groupby(good_rows["timestamp"].dt.normalize()).size()
    weekday = daily.groupby(daily.index.day_of_week).mean()
    assert 1.1 < weekday.max() / weekday.min() < 1.8
    month = good_rows["timestamp"].dt.month
    factor = good_rows.groupby(month)["revenue"].sum().pipe(lambda s: s / s.mean())
    assert factor[12] > 1
    assert factor[2] < 1
    clothing = good_rows[good_rows["product_category"] == "Clothing"]
    by_month = clothing.groupby(month)["revenue"].sum()
    assert by_month[12] / by_month.mean() > factor[12]
    assert daily["2024-12-25"] < 0.5 * daily.mean()
    assert daily["2024-03-30"] > 1.5 * daily["2024-03-31"]  # Easter


def test_categories_regions_and_returns_are_uneven(good_rows):
    for column, count in (("product_category", 12), ("region", 10)):
        shares = good_rows[column].value_counts(normalize=True)
        assert len(shares) == count
        assert shares.max() > 4 * shares.min()
    returns = good_rows.groupby("product_category")["is_returned"].mean()
    assert returns["Clothing"] > 3 * returns["Groceries"]


@pytest.mark.parametrize(
    "changes",
    [
        {"customers": 1},
        {"customers": 100_000_000, "rows": 1_000_000_000, "rows_per_partition": 2_000},
        {"start": "2024-02-29", "end": "2024-02-29"},
        {"start": "1950-01-01", "end": "2020-01-01"},
    ],
)
def test_extreme_parameters(changes):
    generation = Generation(**{"rows": 2_000, "defects": CLEAN, **changes})
    last = partition_count(generation) - 1
    rows = generate_partition(generation, last)["raw_transactions"].to_pandas()
    day = rows["timestamp"].dt.date
    assert not broken_rules(rows).any(axis=None)
    assert rows["customer_id"].between(1, generation.customers).all()
    assert day.between(generation.start, generation.end).all()


@pytest.mark.parametrize("as_of", ["2024-12-31 23:59:59.999999", "now", "2099-12-30"])
def test_truth_holds_whenever_the_data_are_judged(as_of):
    """From the end of the period on: the project judges at the present by default."""
    generation = Generation(rows=3_000, rows_per_partition=1_000, defects=DIRTY)
    moment = pd.Timestamp(as_of)
    assert caught(generation, as_of=moment.replace(tzinfo=None)) == truth(generation)


def test_future_is_after_any_sensible_as_of():
    defects = CLEAN.model_copy(update={"future_timestamp": 1.0})
    for end in ("1990-12-31", "2024-12-31", "2090-12-31"):
        time = frame(
            Generation(rows=100, start="1990-01-01", end=end, defects=defects)
        )["timestamp"]
        assert (time.dt.year >= max(2099, int(end[:4]) + 30)).all()


def test_wide_data_have_all_the_regions_and_categories_asked_for():
    """Each of them is sold, in all years, and the rest of the shop stays as it is."""
    wide = Generation(
        rows=60_000,
        customers=5_000,
        start="2015-01-01",
        end="2024-12-31",
        rows_per_partition=30_000,
        regions=1_000,
        categories=200,
        defects=CLEAN,
        missing=COMPLETE,
    )
    rows = frame(wide)
    # Some stores are the home of next to nobody among so few customers.
    assert 980 <= rows["region"].nunique() <= 1_000
    assert rows["product_category"].nunique() == 200
    assert set(rows["timestamp"].dt.year) == set(range(2015, 2025))
    named = frame(wide.model_copy(update={"regions": None, "categories": None}))
    kinds = rows["product_category"].str.rsplit(" ", n=1).str[0]
    assert set(kinds) == set(named["product_category"])
    for column in ("amount", "quantity", "discount", "rating"):
        assert rows[column].mean() == pytest.approx(named[column].mean(), rel=0.1)


@pytest.mark.parametrize("limits", [{"regions": 2_000, "categories": 500}])
def test_the_most_labels_that_may_be_asked_for_are_all_sold(limits):
    chosen = shop.profiles(42, **limits)
    assert set(chosen.region) == set(range(2_000))
    months = chosen.category.reshape(12, -1)
    assert set(chosen.category) == set(range(500))
    assert min(len(set(month)) for month in months) > 490


def test_orders_are_of_one_customer_region_and_moment():
    generation = Generation(
        rows=30_000, rows_per_partition=20_000, defects=CLEAN, order_lines=2.5
    )
    rows = frame(generation)
    # A near-duplicate is of the order of the line that it repeats.
    rows = rows[~rows.duplicated([*BOUGHT, "timestamp"])]
    orders = rows.groupby("order_id")
    assert len(rows) / orders.ngroups == pytest.approx(2.5, rel=0.05)
    assert orders[["customer_id", "timestamp"]].nunique().le(1).all(axis=None)
    assert orders["region"].nunique(dropna=False).eq(1).all()
    assert orders["product_category"].nunique().max() > 2


def test_return_lines_are_of_sales_before_them():
    generation = Generation(
        rows=100_000, customers=5_000, returns="negative_lines", defects=CLEAN
    )
    rows = frame(generation)
    rows = rows[~rows.duplicated([*BOUGHT, "timestamp"])]
    rows = rows.assign(row=range(len(rows)))
    back = rows[rows["quantity"] < 0]
    assert 0.04 < len(back) / len(rows) < 0.12
    assert rows["quantity"].ne(0).all()
    assert not rows["is_returned"].fillna(False).any()
    same = [n for n in BOUGHT if n not in ("quantity", "is_returned")]
    sold = rows[rows["quantity"] > 0].assign(quantity=lambda sold: -sold["quantity"])
    pairs = back.merge(sold, on=[*same, "quantity"], suffixes=("", "_sold"))
    pairs = pairs[pairs["timestamp_sold"] < pairs["timestamp"]]
    assert pairs["transaction_id"].nunique() == len(back)
    rates = (
        back.groupby("product_category").size()
        / rows.groupby("product_category").size()
    )
    assert rates["Clothing"] > 3 * rates["Groceries"]


@pytest.mark.parametrize("order_lines", [None, 3.0])
def test_truth_holds_with_orders_guests_and_return_lines(order_lines):
    generation = Generation(
        rows=40_000,
        rows_per_partition=15_000,
        defects=DIRTY,
        returns="negative_lines",
        order_lines=order_lines,
        guests=0.1,
    )
    rows = frame(generation)
    broken = broken_rules(rows)
    # Judged where negative lines are returns.
    zero = rows["quantity"] == 0
    broken["non_positive_quantity"] = zero
    fine = rows.loc[
        ~broken.drop(columns="duplicate_transaction_id").any(axis=1), "transaction_id"
    ]
    broken["duplicate_transaction_id"] = fine.duplicated().reindex(
        rows.index, fill_value=False
    )
    assert broken.sum(axis=1).le(1).all()
    assert broken.sum().to_dict() == truth(generation)
    spared = 1 - sum(DIRTY.model_dump().values())
    expected = 40_000 * (0.06 + 0.1 * spared)
    assert truth(generation)["missing_customer_id"] == pytest.approx(expected, rel=0.05)
