"""Sums are exact, or refused: in both engines, however the rows are cut."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dask_etl.retail import schema
from dask_etl.retail.parameters import Cleaning, Limits
from dask_etl.retail.totals import EXACT, InexactTotal, check_total
from oracle import Inexact, assert_matches, oracle_tables
from oracle.raw_files import AS_OF, write_raw
from support.engine_runs import plain, raw_dataset, run_analyses, run_dask, run_pandas


@settings(max_examples=300)
@given(
    st.lists(st.integers(0, EXACT - 1), max_size=6),
    st.integers(0, 40),
    st.integers(-2, 2),
)
def test_a_total_is_refused_just_from_2_to_53_on(values, ones, near):
    """Also where one more would make the difference, or the sum would wrap around."""
    values = [*values, *[1] * ones]
    if sum(values) < EXACT:
        values.append(EXACT + near - sum(values))
    values = [value for value in values if value < EXACT]
    for kind in (np.int64, np.float64):
        parts = np.array(values, kind)
        if sum(values) >= EXACT:
            with pytest.raises(InexactTotal, match="'quantity' reaches"):
                check_total("units", parts)
        else:
            check_total("units", parts)


def test_many_large_parts_do_not_wrap_around():
    with pytest.raises(InexactTotal, match=r"'revenue' reaches 9\.223e\+18 cents"):
        check_total("revenue_cents", np.full(1024, 2**53 - 1, np.int64))


def raw(amount: float, quantity: list[float]) -> pa.Table:
    """Lines of two customers and one day."""
    rows = len(quantity)
    is_whole = all(float(q).is_integer() for q in quantity)
    return pa.table(
        {
            "transaction_id": list(range(rows)),
            "customer_id": [n % 2 for n in range(rows)],
            "product_category": ["Toys"] * rows,
            "region": ["North"] * rows,
            "amount": [amount] * rows,
            "quantity": pa.array(quantity, pa.int64() if is_whole else pa.float64()),
            "discount": [0.0] * rows,
            "timestamp": pa.array([AS_OF] * rows, schema.TIMESTAMP),
            "rating": [5.0] * rows,
            "is_returned": [False] * rows,
        }
    )


WIDE = Limits(amount=9e13, quantity=9e9)
TOTALS = {
    "one cent less": (raw(1.0, [1, 1]), Limits(), "whole", None),
    # 4,503,599,627,370,496 cents, twice: 2**53.
    "cents": (raw(45035996.27370496, [10**6] * 2), Limits(), "whole", "'revenue'"),
    "cents, just not": (raw(45035996.2737, [10**6] * 2), Limits(), "whole", None),
    "units": (raw(1e-9, [9 * 10**9] * 10), WIDE, "whole", None),
    "millionths": (
        raw(1e-9, [8_999_999_999.5, 1.5, 1.5]), WIDE, "decimal", "'quantity'"
    ),
    "millionths of a cell": (
        raw(1e-9, [2_000_000_000.5] * 2), WIDE, "decimal", "row of a summary"
    ),
}  # fmt: skip


@pytest.mark.parametrize("files", [1, 2])
@pytest.mark.parametrize("case", TOTALS)
def test_a_total_is_exact_or_refused(tmp_path, case, files):
    table, limits, quantity, refused = TOTALS[case]
    cleaning = Cleaning(limits=limits, quantity=quantity)
    paths = write_raw(tmp_path / "raw", table, files)
    frame = raw_dataset(tmp_path / "raw", 1).load()
    if refused:
        for run in (
            lambda: run_dask(frame, tmp_path / "out", cleaning=cleaning),
            lambda: run_pandas(tmp_path / "raw", cleaning=cleaning),
        ):
            with pytest.raises(InexactTotal, match=refused):
                run()
        assert not list((tmp_path / "out").rglob("current.json"))
        with pytest.raises(Inexact):
            oracle_tables(paths, AS_OF, cleaning=cleaning)
        return
    in_dask = run_dask(frame, tmp_path / "out", cleaning=cleaning)
    in_pandas = run_pandas(tmp_path / "raw", cleaning=cleaning)
    expected = oracle_tables(paths, AS_OF, cleaning=cleaning)
    assert len(expected["clean_transactions"]) == len(table)
    for name, made in in_dask.items():
        assert plain(made).equals(plain(in_pandas[name])), name
    for name, made in {**in_pandas, **run_analyses(in_pandas)}.items():
        assert_matches(made, expected[name], name)
