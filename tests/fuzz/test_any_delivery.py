"""Whatever raw files hold: three equal answers, or the same clear error twice."""

import tempfile
from pathlib import Path

import dask
import pytest
from hypothesis import HealthCheck, event, given, settings

pytest.importorskip("duckdb", reason="the oracle needs the extra 'bench'")

from dask_etl.errors import ExplainedError
from dask_etl.retail.totals import InexactTotal
from oracle import Inexact, assert_matches, oracle_tables
from oracle.raw_files import AS_OF
from support.engine_runs import (
    TABLES,
    plain,
    raw_dataset,
    run_analyses,
    run_dask,
    run_pandas,
)
from support.raw_deliveries import Delivery, deliveries


def outcome(run) -> dict | ExplainedError:
    """The tables that come out, or the explained error; any other error is a failure."""
    try:
        return run()
    except Exception as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, ExplainedError):
            cause = cause.__cause__ or cause.__context__
        if cause is None:
            raise
        return cause


def check(delivery: Delivery, folder: Path) -> None:
    """Run all three on one delivery."""
    files = delivery.write(folder / "raw")
    frame = outcome(raw_dataset(folder / "raw", delivery.rows_per_partition).load)
    options = {
        "as_of": AS_OF,
        "cleaning": delivery.cleaning,
        "calendar": delivery.calendar,
        "currency": delivery.currency,
    }
    in_dask = frame
    if not isinstance(frame, ExplainedError):
        with dask.config.set(scheduler="sync"):
            in_dask = outcome(lambda: run_dask(frame, folder / "out", **options))
    in_pandas = outcome(lambda: run_pandas(folder / "raw", **options))
    if isinstance(in_pandas, ExplainedError) or isinstance(in_dask, ExplainedError):
        assert type(in_dask) is type(in_pandas), f"{in_dask!r} / {in_pandas!r}"
        event(f"refused: {type(in_dask).__name__}")
        if isinstance(in_dask, InexactTotal):
            with pytest.raises(Inexact):
                oracle_tables(files, **options)
        else:
            names = (*delivery.files, *delivery.cleaning.keep, "line_total")
            assert any(name in str(in_dask) for name in names), in_dask
        return
    for name in TABLES:
        assert plain(in_dask[name]).equals(plain(in_pandas[name])), name
    found = {**in_pandas}
    if delivery.is_analysed:
        found |= run_analyses(in_pandas, delivery.currency)
    expected = oracle_tables(files, **options, names=[*found])
    event(f"kept some: {len(expected['clean_transactions']) > 0}")
    for name, table in found.items():
        assert_matches(table, expected[name], name)


SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]
EXAMPLES = 30 if settings().derandomize else settings().max_examples
"""Each takes most of a second: few, unless more are what is wanted."""


@settings(max_examples=EXAMPLES, suppress_health_check=SLOW)
@given(delivery=deliveries())
def test_any_delivery(delivery):
    with tempfile.TemporaryDirectory() as folder:
        check(delivery, Path(folder))
