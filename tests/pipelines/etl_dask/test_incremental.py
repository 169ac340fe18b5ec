"""Whatever comes in how many deliveries: the tables are those of one full run."""

import logging
import os
import random
import shutil
import tempfile
import time
from datetime import timedelta
from pathlib import Path

import dask
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dask_etl.datasets import publish as publishing
from dask_etl.pipelines.batch import RefusedRun
from dask_etl.pipelines.etl_dask import kernels
from dask_etl.retail.parameters import Calendar, Cleaning, Etl, Limits
from dask_etl.retail.rules import ThresholdExceeded
from dask_etl.retail.schema import RULES
from dask_etl.retail.tables import COMPARED
from dask_etl.storage.delta import Conflict
from dask_etl.storage.parts import PartReader
from oracle import assert_matches, oracle_tables
from oracle.raw_files import AS_OF, dirty_transactions
from support.engine_runs import (
    TABLES,
    TOLERANT,
    describe,
    plain,
    raw_dataset,
    run_analyses,
    run_dask,
)
from support.fault_injection import contents, slowed, start, strays
from support.good_rows import CALENDAR
from support.incremental_runs import (
    add,
    datasets_in,
    earlier_in,
    pandas_beside,
    slowed_add,
    tables_in,
)

ROWS = dirty_transactions(1_500, 17, regions=70, categories=5)
"""More regions than one word has bits; every slice brings new labels and months."""
ASKED = {
    "cleaning": TOLERANT.model_copy(
        update={
            "returns": "negative_lines",
            "rules": {"missing_customer_id": "keep", "rating_out_of_range": "blank"},
        }
    ),
    "calendar": Calendar(timezone="Pacific/Auckland"),
}
"""What changes most of what the rows mean: returns as lines, guests, local days."""
TEXT = dirty_transactions(300, 17, string_ids=True)
DAY = timedelta(days=1)


def with_orders(rows: pa.Table) -> pa.Table:
    """Rows that name their orders, of several lines and deliveries; some are returns."""
    random = np.random.default_rng(5)
    orders = random.integers(0, 200, len(rows))
    signs = np.where(random.random(len(rows)) < 0.2, -1, 1)
    place = rows.schema.get_field_index("quantity")
    quantity = pc.multiply(rows["quantity"], pa.array(signs))
    return rows.set_column(place, "quantity", quantity).append_column(
        "order_id", pa.array(orders, mask=random.random(len(rows)) < 0.1)
    )


ORDERED = with_orders(ROWS)


def deliver(raw: Path, number: int, rows: pa.Table) -> Path:
    """A file that comes after all with smaller numbers."""
    raw.mkdir(parents=True, exist_ok=True)
    path = raw / f"day-{number:03d}.parquet"
    pq.write_table(rows, path)
    return path


def same(actual: dict[str, pa.Table], expected: dict[str, pa.Table]) -> None:
    """Value by value."""
    for name in TABLES:
        table = COMPARED[name]
        key = () if table.ordered else table.key
        assert plain(actual[name], *key).equals(plain(expected[name], *key)), name


def moments_in(out: Path) -> list:
    return tables_in(out)["row_ledger"]["as_of"].to_pylist()


def check(raw: Path, out: Path, as_of=AS_OF, **settings) -> None:
    """Equal to the pandas engine and to the oracle, both of which see all files at once."""
    found = tables_in(out)
    settings = {"cleaning": TOLERANT, "calendar": CALENDAR, **settings}
    same(found, pandas_beside(raw, out, as_of, **settings))
    tables = {**found, **run_analyses(found)}
    del tables["processed_files"]
    files = sorted(raw.iterdir())
    expected = oracle_tables(files, moments_in(out), names=[*tables], **settings)
    for name, table in tables.items():
        assert_matches(table, expected[name], name)


# ------------------------------------------------------------------------ the law

slices = st.tuples(st.integers(0, 1_400), st.sampled_from((0, 1, 30, 90)))
"""Where the rows of a file begin among all, and how many they are; slices that overlap
deliver rows again."""
batches = st.lists(
    st.tuples(
        st.lists(slices, max_size=3),
        st.sampled_from((0, 0, 1, 400)),  # days until the run
        st.sampled_from(("run", "run", "dies", "full")),
    ),
    min_size=2,
    max_size=5,
)


@settings(
    # Each takes seconds.
    max_examples=6 if settings().derandomize else settings().max_examples // 10,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(
    batches=batches,
    rows_per_partition=st.sampled_from((7, 40, 1_000)),
    is_asked=st.booleans(),
)
def test_any_sequence_of_batches(batches, rows_per_partition, is_asked):
    rows, settings = (ORDERED, ASKED) if is_asked else (ROWS, {})
    with tempfile.TemporaryDirectory() as folder, dask.config.set(scheduler="sync"):
        raw, out = Path(folder) / "raw", Path(folder) / "out"
        number, as_of, last = 0, AS_OF - 800 * DAY, None
        for files, days, how in batches:
            as_of += days * DAY
            for first, count in files or ([(0, 50)] if not number else []):
                deliver(raw, number, rows.slice(first, count))
                number += 1
            options = {"rows_per_partition": rows_per_partition, **settings}
            if how == "dies":
                with pytest.MonkeyPatch.context() as patch:
                    patch.setattr(publishing, "commit", dies)
                    with pytest.raises(OSError, match="on purpose"):
                        add(raw, out, as_of, **options)
                if last is not None:
                    same(tables_in(out), last)
            add(
                raw,
                out,
                as_of,
                Etl(mode="full" if how == "full" else "auto"),
                **options,
            )
            last = tables_in(out)
        check(raw, out, as_of, **settings)


def dies(*_, **__):
    raise OSError("killed on purpose")


def test_ids_that_are_text(tmp_path):
    raw, out = tmp_path / "raw", tmp_path / "out"
    for number in range(4):
        deliver(raw, number, TEXT.slice(70 * number, 90))
        add(raw, out, AS_OF + number * DAY)
    check(raw, out)


def test_quantities_with_decimals(tmp_path):
    cleaning = TOLERANT.model_copy(update={"quantity": "decimal"})
    rows = ROWS.slice(0, 300)
    place = rows.schema.get_field_index("quantity")
    broken = pc.divide(rows["quantity"].cast(pa.float64(), safe=False), 3.0)
    rows = rows.set_column(place, "quantity", pc.round(broken, 6))
    raw, out = tmp_path / "raw", tmp_path / "out"
    for number in range(3):
        deliver(raw, number, rows.slice(100 * number, 100))
        add(raw, out, cleaning=cleaning)
    frame = raw_dataset(raw).load()
    same(tables_in(out), run_dask(frame, tmp_path / "at once", cleaning=cleaning))


# ------------------------------------------------------- what a run does, and what not


@pytest.fixture
def places(tmp_path):
    """Two files, processed; returns the raw folder and that of the tables."""
    raw, out = tmp_path / "raw", tmp_path / "out"
    for number in range(2):
        deliver(raw, number, ROWS.slice(100 * number, 100))
    add(raw, out)
    return raw, out


@pytest.fixture
def read(monkeypatch):
    """The raw files that are read."""
    names = []
    read_rows = PartReader.read

    def noted(self, partition):
        if self.conform is not None:
            names.extend(segment.name for segment in partition)
        return read_rows(self, partition)

    monkeypatch.setattr(PartReader, "read", noted)
    return names


def test_only_new_files_are_read(places, read):
    raw, out = places
    deliver(raw, 2, ROWS.slice(200, 100))
    del read[:]
    with dask.config.set(scheduler="sync"):
        add(raw, out, AS_OF + DAY)
    assert {*read} == {"day-002.parquet"}
    assert moments_in(out) == [AS_OF, AS_OF, AS_OF + DAY]


def test_nothing_new_changes_nothing(places, caplog):
    raw, out = places
    before = versions(out)
    with caplog.at_level(logging.INFO):
        add(raw, out, AS_OF + DAY)
    assert "None of 2 source files is new" in caplog.text
    assert versions(out) == before


def versions(out):
    return {name: d.versions()[0].version for name, d in datasets_in(out).items()}


def test_the_same_content_once_more_is_nothing_new(places, caplog):
    """Copied again, with another time of change: the checksum tells."""
    raw, out = places
    before = versions(out)
    os.utime(raw / "day-001.parquet", (1, 1))
    with caplog.at_level(logging.INFO):
        add(raw, out, AS_OF + DAY)
    assert "None of 2 source files is new" in caplog.text
    assert versions(out) == before


def test_the_same_rows_under_another_name_are_all_duplicates(places):
    raw, out = places
    before = tables_in(out)
    shutil.copy(raw / "day-001.parquet", raw / "day-002.parquet")
    add(raw, out)
    after = tables_in(out)
    for name in ("clean_transactions", "sales_cube"):
        assert plain(after[name]).equals(plain(before[name]))
    key = "customer_id"
    assert plain(after["customers"], key).equals(plain(before["customers"], key))
    [*_, last] = after["row_ledger"].to_pylist()
    assert last["rows_kept"] == 0
    check(raw, out)


def test_a_repeated_delivery_is_no_fault_by_itself(places):
    """A batch may be nothing but duplicates; but not of rows that are wrong."""
    raw, out = places
    rejected = tables_in(out)["rejected_transactions"].to_pylist()
    bad = {r["source_row"] for r in rejected if r["source_file"] == "day-000.parquet"}
    sound = ROWS.take([row for row in range(100) if row not in bad])
    deliver(raw, 2, sound)
    add(raw, out, cleaning=Cleaning())
    assert tables_in(out)["row_ledger"]["rows_kept"].to_pylist()[-1] == 0
    place = sound.schema.get_field_index("amount")
    wrong = sound.set_column(place, "amount", pa.nulls(len(sound), pa.float64()))
    deliver(raw, 3, wrong)
    before = versions(out)
    with pytest.raises(ThresholdExceeded, match="none of the"):
        add(raw, out, cleaning=Cleaning())
    assert versions(out) == before


def gone(raw):
    (raw / "day-000.parquet").unlink()


def changed(raw):
    deliver(raw, 1, ROWS.slice(700, 100))


def late(raw):
    shutil.copy(raw / "day-001.parquet", raw / "day-000-later.parquet")


def other_types(raw):
    rows = ROWS.slice(200, 50)
    place = rows.schema.get_field_index("quantity")
    floats = rows["quantity"].cast(pa.float64(), safe=False)
    deliver(raw, 2, rows.set_column(place, "quantity", floats))


REASONS = {
    gone: "day-000.parquet is gone",
    changed: "day-001.parquet is not the file that it was",
    late: "day-000-later.parquet is new and comes before files that are not",
    other_types: "the columns of the raw files, or their types, changed",
}


@pytest.mark.parametrize("change", REASONS, ids=lambda change: change.__name__)
def test_what_cannot_be_added_is_a_full_run_or_refused(places, caplog, change):
    raw, out = places
    change(raw)
    before = versions(out)
    with pytest.raises(
        RefusedRun, match=f"only a full run would do: {REASONS[change]}"
    ):
        add(raw, out, AS_OF + DAY, Etl(mode="incremental"))
    assert versions(out) == before
    with caplog.at_level(logging.INFO):
        add(raw, out, AS_OF + DAY)
    assert f"source files are processed: {REASONS[change]}" in caplog.text
    assert {*moments_in(out)} == {AS_OF + DAY}
    check(raw, out)
    add(raw, out, AS_OF + 2 * DAY, Etl(mode="incremental"))
    assert {*moments_in(out)} == {AS_OF + DAY}


def test_other_parameters_or_code_are_a_full_run(places, monkeypatch):
    raw, out = places
    incremental = Etl(mode="incremental")
    other = TOLERANT.model_copy(update={"limits": Limits(amount=50)})
    with pytest.raises(RefusedRun, match="parameters changed"):
        add(raw, out, etl=incremental, cleaning=other)
    # What only decides whether a run fails does not count.
    add(raw, out, etl=incremental, cleaning=Cleaning(allow_nothing_kept=True))
    monkeypatch.setattr("dask_etl.pipelines.batch.code_of", lambda _: "another")
    with pytest.raises(RefusedRun, match="the code of the steps changed"):
        add(raw, out, etl=incremental)


def test_tables_of_different_releases_are_made_anew(places, caplog):
    raw, out = places
    cube = datasets_in(out)["sales_cube"]
    cube.save(cube.load())
    assert earlier_in(out) is None
    with caplog.at_level(logging.INFO):
        add(raw, out)
    assert "All 2 source files are processed" in caplog.text
    assert earlier_in(out) is not None


def test_a_run_in_between_is_a_conflict(places):
    raw, out = places
    deliver(raw, 2, ROWS.slice(200, 100))
    made = describe(
        raw_dataset(raw, 40).load(), earlier=earlier_in(out), with_state=True
    )
    add(raw, out)
    datasets = datasets_in(out)
    with pytest.raises(Conflict, match="in the meantime"):
        publishing.publish({datasets[name]: made[name] for name in made})


# ------------------------------------------------------------------------- replay


def test_replay_judges_files_with_quarantined_rows_again(tmp_path):
    raw, out = tmp_path / "raw", tmp_path / "out"
    early = AS_OF - 700 * DAY
    for number in range(3):
        deliver(raw, number, ROWS.slice(60 * number, 60))
        add(raw, out, early)
    before = tables_in(out)
    assert pc.sum(before["row_ledger"]["future_timestamp"]).as_py() > 10
    add(raw, out, AS_OF, Etl(replay="future_timestamp"))
    after = tables_in(out)
    ledger = after["row_ledger"]
    assert pc.all(
        pc.equal(
            ledger["rows_read"], pc.add(ledger["rows_kept"], ledger["rows_rejected"])
        )
    ).as_py()
    assert len(after["clean_transactions"]) > len(before["clean_transactions"])
    assert {*moments_in(out)} == {AS_OF}
    assert {*after["processed_files"]["first_as_of"].to_pylist()} == {early}
    check(raw, out)
    # The next delivery is added as ever.
    deliver(raw, 3, ROWS.slice(180, 60))
    add(raw, out, AS_OF, Etl(mode="incremental"))
    check(raw, out)


def test_replay_leaves_files_alone_that_have_no_such_rows(tmp_path, caplog):
    raw, out = tmp_path / "raw", tmp_path / "out"
    deliver(raw, 0, ROWS.slice(0, 60))
    add(raw, out, AS_OF - 700 * DAY)
    past = pc.less(ROWS["timestamp"], pa.scalar(AS_OF - 800 * DAY))
    deliver(raw, 1, ROWS.filter(past).slice(0, 40))
    add(raw, out, AS_OF - 699 * DAY)
    add(raw, out, AS_OF, Etl(replay="future_timestamp"))
    assert moments_in(out) == [AS_OF, AS_OF - 699 * DAY]
    check(raw, out)
    before = versions(out)
    ledger = tables_in(out)["row_ledger"]
    unbroken = next(rule for rule in RULES if not pc.sum(ledger[rule]).as_py())
    with caplog.at_level(logging.INFO):
        add(raw, out, AS_OF + DAY, Etl(replay=unbroken))
    assert f"No row is quarantined by {unbroken}" in caplog.text
    assert versions(out) == before
    with pytest.raises(RefusedRun, match=r"etl\.mode is incremental"):
        add(raw, out, etl=Etl(mode="incremental", replay="any"))


# --------------------------------------------------------------------------- kills


def test_killed_at_any_moment_it_is_old_or_new_and_the_same_bytes(tmp_path):
    raw, out, other = (tmp_path / name for name in ("raw", "out", "other"))
    for number in range(2):
        deliver(raw, number, ROWS.slice(200 * number, 200))
    for folder in (out, other):
        add(raw, folder, rows_per_partition=20)
    old = contents(datasets_in(out))
    for number in range(2, 4):
        deliver(raw, number, ROWS.slice(200 * number - 50, 200))
    begun = time.monotonic()
    child = start(slowed_add, raw, other, 0.01)
    assert child.end() == 0
    spent = time.monotonic() - begun
    new = contents(datasets_in(other))
    random.seed(3)
    kept = tmp_path / "kept"
    shutil.copytree(out, kept)
    for _ in range(4):
        shutil.rmtree(out)
        shutil.copytree(kept, out)
        child = start(slowed_add, raw, out, 0.01)
        time.sleep(random.uniform(0, spent))
        child.kill()
        assert contents(datasets_in(out)) in (old, new)
        add(raw, out)
        assert contents(datasets_in(out)) == new
        assert strays(datasets_in(out)) == []
    check(raw, out)


def test_what_a_killed_run_had_finished_is_taken_over(places, tmp_path, monkeypatch):
    raw, out = places
    deliver(raw, 2, ROWS.slice(200, 200))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(publishing, "commit", dies)
        with pytest.raises(OSError, match="on purpose"):
            add(raw, out)
    log = tmp_path / "log"
    log.mkdir()
    survey = slowed(kernels.survey_partition, 0, log)
    monkeypatch.setattr(kernels, "survey_partition", survey)
    add(raw, out)
    assert not [*log.iterdir()]
    check(raw, out)
