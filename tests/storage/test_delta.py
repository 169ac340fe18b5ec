"""One table's commit log: what the library would let pass, and does not here."""

import datetime
import json
import multiprocessing
import os
import re

import deltalake
import polars as pl
import pyarrow as pa
import pytest

from dask_etl.errors import StorageError
from dask_etl.storage.commit import commit
from dask_etl.storage.delta import Conflict, Content, Log, storable
from dask_etl.storage.sweep import sweep_log
from support.delta_tables import (
    SCHEMA,
    every_flip,
    files,
    location,
    needed,
    parts_of,
    read,
    save,
    stage,
    table_store,
    write_part,
)


def outsider(store, version=None):
    """What everybody else reads."""
    return deltalake.DeltaTable(store.location.path, version=version)


def numbers_of(store, **options):
    return sorted(outsider(store, **options).to_pandas()["number"])


def test_overwrite_append_and_replace_are_what_everybody_reads(tmp_path):
    store = table_store(tmp_path, keep=9)
    save(store, [1, 2], "first")
    attempt = store.begin("second")
    commit([attempt.append(parts_of(attempt, [3], attempt.next_number))])
    attempt = store.begin("third")
    gone = [part.name for part in attempt.head.content.parts[:2]]
    commit([attempt.replace(gone, parts_of(attempt, [4], attempt.next_number))])
    assert read(store) == [3, 4]
    assert numbers_of(store) == [3, 4]
    assert numbers_of(store, version=1) == [1, 2, 3] == read(store, "second")
    history = outsider(store).history()
    assert [commit["run_id"] for commit in history] == ["third", "second", "first"]
    assert files(store) == needed(store)


def test_appended_parts_come_last(tmp_path):
    store = table_store(tmp_path)
    save(store, range(12))
    for number in (12, 13):
        attempt = store.begin("more")
        commit([attempt.append(parts_of(attempt, [number], attempt.next_number))])
    assert read(store) == list(range(14))


def test_part_that_is_not_there_cannot_be_replaced(tmp_path):
    store = table_store(tmp_path)
    with pytest.raises(StorageError, match="nothing to add to"):
        store.begin("run").append([])
    save(store, [1])
    with pytest.raises(StorageError, match=r"has no part nowhere\.parquet"):
        store.begin("run").replace(["nowhere.parquet"], [])


@pytest.mark.parametrize("second", ["overwrite", "append", "replace", "other columns"])
@pytest.mark.parametrize("first", ["overwrite", "append"])
def test_stale_commit_is_refused(tmp_path, first, second):
    """The library's default would take both, and have the table hold the union."""
    store = table_store(tmp_path)
    save(store, [1])

    def staged(store, kind, number):
        attempt = store.begin(kind)
        parts = parts_of(attempt, [number], attempt.next_number)
        if kind == "overwrite":
            return attempt.overwrite(Content(SCHEMA, tuple(parts)))
        if kind == "other columns":
            other = pa.table({"number": [number], "more": [1]})
            return attempt.overwrite(
                Content(other.schema, (write_part(attempt, other, 0),))
            )
        old = [p.name for p in attempt.head.content.parts] if kind == "replace" else []
        return attempt.replace(old, parts)

    late = staged(table_store(tmp_path), second, 3)
    commit([staged(store, first, 2)])
    after = read(store)
    # Where columns change the log takes it, and the release does not.
    for act in (lambda: commit([late]), late.log)[: 1 + (second != "other columns")]:
        with pytest.raises(Conflict, match="another run committed this table"):
            act()
    assert read(store) == after == numbers_of(store)


def test_of_two_that_make_a_table_one_is_refused(tmp_path):
    late = stage(table_store(tmp_path), [2])
    save(table_store(tmp_path), [1])
    for act in (late.log, lambda: commit([late])):
        with pytest.raises(Conflict):
            act()
    assert read(table_store(tmp_path)) == [1]


@pytest.mark.parametrize("how", ["gone", "cut"])
def test_part_that_is_damaged_before_its_commit_is_not_committed(tmp_path, how):
    store = table_store(tmp_path)
    save(store, [1])
    staged = stage(store, [2, 3])
    path = tmp_path / "table" / staged.added[1].name
    if how == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(StorageError, match=f"{path}: written by this run, and gone"):
        commit([staged])
    assert read(store) == numbers_of(store) == [1]


# -- statistics ----------------------------------------------------------------

DAY = datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)
WIDE = pa.schema(
    [
        pa.field("number", pa.int64()),
        pa.field("item_id", pa.string()),
        pa.field("moment", pa.timestamp("us", "UTC")),
        pa.field("day", pa.date32()),
        pa.field("value", pa.float64()),
        pa.field("label", pa.dictionary(pa.int32(), pa.string()), nullable=False),
        pa.field("flag", pa.bool_()),
        pa.field("list", pa.list_(pa.date32())),
        pa.field("small", pa.int8()),
    ]
)
WITH_STATISTICS = ("number", "item_id", "moment", "day")


def wide_part(place):
    """Three rows; the second part has nulls only where it may, the third has no rows."""
    moments = [
        DAY + datetime.timedelta(days=place, microseconds=7 * i) for i in range(3)
    ]
    rows = [
        {
            "number": place * 10 + i,
            "item_id": f"x{place}{i}",
            "moment": moments[i],
            "day": moments[i].date(),
            "value": None if i == 1 else place + i / 2,
            "label": ["North", "Süd", "Ost"][i],
            "flag": i > 0,
            "list": [moments[i].date()],
            "small": place - i,
        }
        for i in range(3)
    ]
    if place == 1:
        rows = [{"label": row["label"]} for row in rows]
    return pa.Table.from_pylist([] if place == 2 else rows, WIDE)


COMPARISONS = {
    "=": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    ">=": lambda a, b: a >= b,
    "<": lambda a, b: a < b,
}


@pytest.mark.parametrize("commits", [1, 23], ids=["log", "checkpoint"])
@pytest.mark.parametrize("columns", [WITH_STATISTICS, ()], ids=["some", "none"])
def test_filter_on_any_column_finds_its_rows(tmp_path, columns, commits):
    store = table_store(tmp_path)
    for _ in range(commits):
        attempt = store.begin("run")
        tables = [wide_part(place) for place in range(4)]
        parts = [write_part(attempt, t, n, columns) for n, t in enumerate(tables)]
        commit([attempt.overwrite(Content(WIDE, tuple(parts)))])
    log = tmp_path / "table" / "_delta_log"
    assert bool(list(log.glob("*.checkpoint.parquet"))) == (commits > 1)

    rows = pa.concat_tables(tables).to_pylist()
    lazy = pl.scan_delta(store.location.path)
    for name in WIDE.names:
        if name == "list":
            continue
        value = rows[0][name]
        for sign, compare in COMPARISONS.items():
            wanted = [
                r for r in rows if r[name] is not None and compare(r[name], value)
            ]
            found = outsider(store).to_pandas(filters=[(name, sign, value)])
            assert len(found) == len(wanted), (name, sign)
            polars = lazy.filter(compare(pl.col(name), value)).collect()
            assert len(polars) == len(wanted), (name, sign)
        nulls = lazy.filter(pl.col(name).is_null()).collect()
        assert len(nulls) == sum(row[name] is None for row in rows)


def test_columns_change_with_their_statistics(tmp_path):
    store = table_store(tmp_path)
    save(store, [1, 2])
    for number in range(3):
        attempt = store.begin("wide")
        part = write_part(attempt, wide_part(number % 2), 0, WITH_STATISTICS[number:])
        commit([attempt.overwrite(Content(WIDE, (part,)))])
        assert len(outsider(store).to_pandas(filters=[("flag", "=", True)])) == (
            0 if number == 1 else 2
        )
        settings = outsider(store).metadata().configuration
        assert settings == {
            "delta.dataSkippingStatsColumns": ",".join(WITH_STATISTICS[number:])
        }
    save(store, [7])
    assert read(store) == numbers_of(store) == [7]


def test_columns_come_back_as_they_were(tmp_path):
    store = table_store(tmp_path)
    attempt = store.begin("run")
    parts = (write_part(attempt, wide_part(0), 0),)
    commit([attempt.overwrite(Content(WIDE, parts))])
    assert Log(store.location).open().content.schema == WIDE
    seen = pa.schema(outsider(store).schema().to_arrow())
    assert not seen.field("label").nullable
    assert seen.field("label").type == pa.string()
    assert (
        pl.scan_delta(store.location.path).collect().to_dicts()
        == wide_part(0).to_pylist()
    )


@pytest.mark.parametrize(
    ("kind", "stored"),
    [
        (pa.uint32(), pa.int64()),
        (pa.timestamp("ns"), pa.timestamp("us")),
        (pa.timestamp("ms", "Europe/Berlin"), pa.timestamp("us", "UTC")),
        (
            pa.dictionary(pa.int8(), pa.large_string()),
            pa.dictionary(pa.int8(), pa.string()),
        ),
        (pa.list_(pa.large_string()), pa.list_(pa.string())),
        (pa.null(), pa.string()),
        (pa.decimal128(12, 2), pa.decimal128(12, 2)),
    ],
    ids=str,
)
def test_types_that_delta_lacks_are_widened(kind, stored):
    assert storable(pa.schema({"a": kind})).field("a").type == stored


@pytest.mark.parametrize(
    "kind", [pa.uint64(), pa.time64("us"), pa.duration("s")], ids=str
)
def test_types_that_cannot_be_held_are_refused(kind):
    with pytest.raises(StorageError, match=r"column 'a' is of type .* cannot hold"):
        storable(pa.schema({"a": kind}))


def test_naive_timestamps_are_everybodys_too(tmp_path):
    store = table_store(tmp_path)
    save(store, [1])
    naive = pa.table({"at": pa.array([0, 1], pa.timestamp("us"))})
    for _ in range(2):
        attempt = store.begin("run")
        commit(
            [attempt.overwrite(Content(naive.schema, (write_part(attempt, naive, 0),)))]
        )
    assert (
        outsider(store).to_pyarrow_table()["at"].to_pylist() == naive["at"].to_pylist()
    )
    save(store, [2])
    assert read(store) == numbers_of(store) == [2]


# -- checkpoints, and what a dead commit leaves --------------------------------


def test_checkpoint_that_fails_does_not_fail_the_commit(tmp_path, monkeypatch, caplog):
    store = table_store(tmp_path)

    def fails(self, version):
        raise StorageError("no room for a checkpoint")

    monkeypatch.setattr(Log, "checkpoint", fails)
    for number in range(11):
        save(store, [number])
    assert read(store) == numbers_of(store) == [10]
    assert "committed, not tidied up: no room for a checkpoint" in caplog.text


def test_log_does_not_grow_for_ever_and_kept_versions_stay(tmp_path):
    store = table_store(tmp_path, keep=3)
    log = tmp_path / "table" / "_delta_log"
    for number in range(45):
        save(store, [number])
    assert len(list(log.iterdir())) < 30
    assert [read(store, version) for version in (44, 43, 42)] == [[44], [43], [42]]
    assert numbers_of(store, version=42) == [42]


def test_what_a_killed_commit_left_in_the_log_is_swept(tmp_path):
    store = table_store(tmp_path)
    for number in range(3):
        save(store, [number])
    log = tmp_path / "table" / "_delta_log"
    for name in (f"{1:020}.json#1", "notes.txt", f"{99:020}.json#1"):
        (log / name).write_text("x")
    assert sweep_log(store.location, 1, 2) == [f"{1:020}.json#1"]
    assert {"notes.txt", f"{99:020}.json#1"} < {path.name for path in log.iterdir()}
    assert numbers_of(store) == [2]


# -- damage --------------------------------------------------------------------


def noticed(store, path, step):
    """Flip bits of a file of the log: none gives other rows than there were."""
    content = path.read_bytes()
    wanted = read(store)
    refused = 0
    for flipped in every_flip(content, step):
        path.write_bytes(flipped)
        try:
            found = read(table_store(path.parents[2]))
        except StorageError:
            refused += 1
        else:
            assert found == wanted
    path.write_bytes(content)
    return refused


def test_flipped_bit_of_a_commit_is_noticed(tmp_path):
    store = table_store(tmp_path)
    save(store, [1, 2, 3])
    attempt = store.begin("more")
    commit([attempt.append(parts_of(attempt, [4], attempt.next_number))])
    log = tmp_path / "table" / "_delta_log"
    assert noticed(store, log / f"{0:020}.json", 7) > 50
    assert noticed(store, log / f"{1:020}.json", 3) > 50


def test_flipped_bit_of_a_checkpoint_is_noticed(tmp_path):
    store = table_store(tmp_path)
    for number in range(11):
        save(store, [number, number + 1])
    [checkpoint] = (tmp_path / "table" / "_delta_log").glob("*.checkpoint.parquet")
    commit_file = checkpoint.with_name(f"{10:020}.json")
    assert commit_file.exists()
    assert noticed(store, checkpoint, 61) > 10


@pytest.mark.parametrize("content", ["", "{", "[]"])
def test_emptied_commit_is_noticed(tmp_path, content):
    store = table_store(tmp_path)
    save(store, [1])
    save(store, [2])
    path = tmp_path / "table" / "_delta_log" / f"{1:020}.json"
    path.write_text(content)
    with pytest.raises(StorageError, match=re.escape(str(tmp_path / "table"))):
        read(table_store(tmp_path))


def test_log_cannot_name_files_elsewhere(tmp_path):
    store = table_store(tmp_path)
    save(store, [1])
    path = tmp_path / "table" / "_delta_log" / f"{0:020}.json"
    original = path.read_text()
    name = re.search(r"part-0[^\"]*parquet", original)[0]
    for elsewhere in ("../x.parquet", "/etc/x.parquet", "s3://b/x.parquet"):
        path.write_text(original.replace(name, elsewhere))
        with pytest.raises(StorageError, match=r"names a file elsewhere"):
            Log(store.location).open()


def test_messages_are_plain_and_short(tmp_path):
    store = table_store(tmp_path)
    save(store, [1])
    (tmp_path / "table" / "_delta_log" / f"{0:020}.json").write_text('{"add": 1')
    with pytest.raises(StorageError) as error:
        Log(store.location).open()
    said = str(error.value)
    assert "\x1b" not in said
    assert "\n" not in said
    assert len(said) < 500


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_folder_that_cannot_be_written_is_named_so(tmp_path):
    (tmp_path / "table").mkdir(mode=0o500)
    with pytest.raises(StorageError, match=r"cannot be written .*Permission denied"):
        save(table_store(tmp_path), [1])


@pytest.mark.parametrize("name", ["a%20b", "back\\slash"])
def test_path_that_delta_cannot_read_is_refused(tmp_path, name):
    with pytest.raises(StorageError, match="Rename the folder"):
        save(table_store(tmp_path, name), [1])


@pytest.mark.parametrize("name", ["a b", "c#d", "ü", "q?x", "{x}", "star*", "100%"])
def test_path_with_other_signs_is_fine(tmp_path, name):
    store = table_store(tmp_path, name)
    save(store, [1])
    save(store, [2])
    assert read(store) == numbers_of(store) == [2]


def open_in_fork(path, pipe):
    try:
        Log(location(path)).open()
    except StorageError as error:
        pipe.send(str(error))


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_forked_process_is_told_why_it_cannot_read(tmp_path):
    save(table_store(tmp_path), [1])
    context = multiprocessing.get_context("fork")
    mine, theirs = context.Pipe()
    process = context.Process(target=open_in_fork, args=(tmp_path / "table", theirs))
    process.start()
    assert mine.poll(30)
    assert "Forked process detected" in mine.recv()
    process.join()


# -- tables of others ----------------------------------------------------------


def test_table_of_others_is_read_as_it_is_now(tmp_path):
    path = str(tmp_path / "theirs")
    for number in range(3):
        deltalake.write_deltalake(path, pa.table({"number": [number]}), mode="append")
    store = table_store(tmp_path, "theirs")
    assert store.foreign_content().rows == 3
    with pytest.raises(StorageError, match="did not write"):
        store.begin("run")
    assert deltalake.DeltaTable(path).version() == 2


def test_rows_are_counted_where_their_writer_did_not(tmp_path):
    path = tmp_path / "theirs"
    deltalake.write_deltalake(str(path), pa.table({"number": [1, 2]}))
    log = path / "_delta_log" / f"{0:020}.json"
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    for line in lines:
        line.get("add", {}).pop("stats", None)
    log.write_text("\n".join(map(json.dumps, lines)))
    assert table_store(tmp_path, "theirs").foreign_content().rows == 2


def test_partitioned_table_of_others_is_refused(tmp_path):
    path = str(tmp_path / "theirs")
    data = pa.table({"number": [1, 2], "month": [1, 2]})
    deltalake.write_deltalake(path, data, partition_by=["month"])
    with pytest.raises(StorageError, match=r"partition columns.* does not read"):
        table_store(tmp_path, "theirs").foreign_content()
