"""The Kedro data sets: both faces, versions, damage, other people's folders."""

import inspect
import os
import pickle
import re
import shutil
import uuid
from datetime import UTC, date, datetime
from pathlib import Path

import dask
import dask.dataframe as dd
import fsspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from kedro.io import DataCatalog, DatasetError
from kedro.io.core import Version

import dask_etl
from dask_etl.datasets import DaskParquetDataset, PandasParquetDataset
from dask_etl.datasets.publish import publish, stage
from dask_etl.errors import StorageError
from dask_etl.storage.segments import Segment, partitions
from dask_etl.tables import find_table, known_tables
from oracle.raw_files import dirty_transactions, write_raw
from support.fault_injection import without_hanging
from support.s3_server import s3_server

TABLES = [table.name for table in known_tables()]
FACES = [DaskParquetDataset, PandasParquetDataset]
ROWS = 23


@pytest.fixture(autouse=True)
def one_thread_after_another():
    with dask.config.set(scheduler="sync"):
        yield


@pytest.fixture(scope="module")
def bucket():
    with s3_server() as options:
        yield options


@pytest.fixture(params=["local", "s3"])
def home(request, tmp_path):
    """A folder, on disk or on S3: its path and the options that reach it."""
    if request.param == "local":
        return str(tmp_path), {}
    return f"s3://bucket/{uuid.uuid4().hex}", request.getfixturevalue("bucket")


def values_of(kind, random, nulls):  # noqa: PLR0911
    """Values of an Arrow type, some of them null if they may be."""
    gap = [None] if nulls else []
    if pa.types.is_dictionary(kind):
        return values_of(kind.value_type, random, nulls)
    if pa.types.is_list(kind):
        value = values_of(kind.value_type, random, False)
        return [[], value[:1], value[:3], *[value[3:5]] * 2, *gap]
    if pa.types.is_string(kind):
        return ["Übersee", "", 'O\'Brien, "East"', "10", *gap]
    if pa.types.is_boolean(kind):
        return [True, False, *gap]
    if pa.types.is_date(kind):
        return [date(1970, 1, 1), date(2024, 2, 29), *gap]
    if pa.types.is_timestamp(kind):
        return [
            datetime(2024, 2, 29, 23, 59, 59, 999999, UTC),
            datetime(1969, 12, 31, tzinfo=UTC),
            *gap,
        ]
    if pa.types.is_floating(kind):
        return [*random.normal(size=3), 0.0, *gap]
    top = 2 ** (kind.bit_width - 1)
    return [-top, top - 1, 0, 7, *gap]


def table_for(name, ids=None):
    """A table with the schema of that name."""
    ids = ids or pa.int64()
    target = find_table(name).schema_for(
        pa.schema({"transaction_id": ids, "customer_id": ids})
    )
    random = np.random.default_rng(3)
    columns = []
    for field in target:
        values = values_of(field.type, random, field.nullable)
        picked = [values[number % len(values)] for number in range(ROWS)]
        columns.append(pa.array(picked, field.type))
    return pa.table(columns, schema=target)


def plain(table):
    """The values of a table, whatever its encoding."""
    return [
        table[name].cast(kind.value_type).to_pylist()
        if pa.types.is_dictionary(kind := table.schema.field(name).type)
        else table[name].to_pylist()
        for name in table.column_names
    ]


def stored(dataset):
    source = dataset.source()
    return source.reader.read(source.segments)


def computed(dataset):
    loaded = dataset.load()
    return loaded if isinstance(loaded, pd.DataFrame) else loaded.compute()


def message(error):
    return f"{error.value} {error.value.__cause__}"


# -- round trips ---------------------------------------------------------------


@pytest.mark.parametrize("ids", [pa.int64(), pa.string()], ids=str)
@pytest.mark.parametrize("name", TABLES)
def test_every_table_comes_back_as_it_was_saved(tmp_path, name, ids):
    table = table_for(name, ids)
    dataset = PandasParquetDataset(
        filepath=str(tmp_path / "t"), schema=name, rows_per_partition=10
    )
    dataset.save(table)
    assert stored(dataset).schema == table.schema
    assert plain(stored(dataset)) == plain(table)

    # Through pandas and back.
    frame = dataset.load()
    assert isinstance(frame.index, pd.RangeIndex)
    dataset.save(frame)
    assert stored(dataset).schema == table.schema
    assert plain(stored(dataset)) == plain(table)
    assert len(dataset.source().segments) == 3

    # Through Dask and back.
    lazy = DaskParquetDataset(
        filepath=str(tmp_path / "t"), schema=name, rows_per_partition=10
    )
    loaded = lazy.load()
    assert isinstance(loaded, dd.DataFrame)
    assert loaded.npartitions == 3
    assert loaded._meta.dtypes.map(str).equals(
        loaded.partitions[1].compute().dtypes.map(str)
    )
    # Dask must not take the labels of the empty frame for all there are.
    assert not any(
        loaded[label].cat.known for label in loaded.select_dtypes("category")
    )
    lazy.save(loaded)
    assert stored(lazy).schema == table.schema
    assert plain(stored(lazy)) == plain(table)


@pytest.mark.parametrize("face", FACES)
def test_round_trip_on_any_file_system(home, face):
    table = table_for("customers")
    dataset = face(
        filepath=f"{home[0]}/customers", schema="customers", credentials=home[1]
    )
    assert not dataset.exists()
    dataset.save(table)
    assert dataset.exists()
    assert dataset.count_rows() == ROWS
    assert plain(stored(dataset)) == plain(table)
    assert len(computed(dataset)) == ROWS


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("name", TABLES)
def test_table_without_rows_keeps_its_types(tmp_path, name, face):
    dataset = face(filepath=str(tmp_path / "t"), schema=name)
    dataset.save(table_for(name).slice(0, 0))
    assert len(computed(dataset)) == 0
    dataset.save(computed(dataset))
    assert stored(dataset).schema == table_for(name).schema


@pytest.mark.parametrize("face", FACES)
def test_table_without_a_schema_takes_the_types_of_the_data(home, face):
    frame = pd.DataFrame({"a": [1, 2], "b": ["x", None], "c": [True, False]})
    dataset = face(filepath=f"{home[0]}/any", credentials=home[1])
    dataset.save(frame)
    assert computed(dataset).astype(frame.dtypes).equals(frame)
    dataset.save(dd.from_pandas(frame, npartitions=2))
    assert computed(dataset).astype(frame.dtypes).equals(frame)
    assert len(dataset.source().segments) == 2


def test_pandas_face_is_only_nullable_where_there_are_nulls(tmp_path):
    dataset = PandasParquetDataset(filepath=str(tmp_path / "t"), rows_per_partition=2)
    dataset.save(pa.table({"full": [1, 2, 3], "gap": [1, None, 3]}))
    frame = dataset.load()
    assert [str(kind) for kind in frame.dtypes] == ["int64", "Int64"]


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize(
    ("data", "said"),
    [
        (pd.DataFrame({"day": [1]}), "does not fit table 'sales_cube'"),
        ([1, 2], "cannot write a list"),
    ],
)
def test_data_that_does_not_fit_is_refused_and_changes_nothing(
    tmp_path, face, data, said
):
    dataset = face(filepath=str(tmp_path / "cube"), schema="sales_cube")
    dataset.save(table_for("sales_cube"))
    with pytest.raises(DatasetError) as error:
        dataset.save(data)
    assert said in message(error)
    assert dataset.count_rows() == ROWS


def test_partition_of_a_dask_frame_that_does_not_fit_is_named(tmp_path):
    frame = pd.DataFrame({"defect": ["a", "b"], "rows": [1, None]}).convert_dtypes()
    dataset = DaskParquetDataset(
        filepath=str(tmp_path / "t"), schema="generation_truth"
    )
    with pytest.raises(DatasetError) as error:
        dataset.save(dd.from_pandas(frame, npartitions=2))
    assert "partition" in message(error)
    assert not dataset.exists()


# -- versions ------------------------------------------------------------------


def numbers(count):
    return pa.table({"number": [count]})


@pytest.mark.parametrize("face", FACES)
def test_earlier_version_can_be_loaded(home, face):
    def at(load=None, save=None):
        return face(
            filepath=f"{home[0]}/t",
            keep_versions=3,
            version=Version(load, save),
            credentials=home[1],
        )

    for number in range(5):
        at(save=f"v{number}").save(numbers(number))
    assert [version.version for version in at().versions()] == [4, 3, 2]
    assert computed(at())["number"].tolist() == [4]
    for number in (2, 3, 4):
        for wanted in (f"v{number}", str(number)):
            dataset = at(load=wanted)
            assert dataset.exists()
            assert computed(dataset)["number"].tolist() == [number]
    gone = at(load="v1")
    assert not gone.exists()
    with pytest.raises(
        DatasetError, match=r"no version 'v1'; there are 4 \(v4\), 3 \(v3\), 2"
    ):
        computed(gone)


def test_catalog_hands_on_load_versions(tmp_path):
    config = {
        "{name}": {
            "type": "dask_etl.datasets.PandasParquetDataset",
            "filepath": f"{tmp_path}/{{name}}",
        }
    }
    for number, save_version in enumerate(["one", "two"]):
        catalog = DataCatalog.from_config(config, save_version=save_version)
        catalog["a"].save(numbers(number))
        catalog["b"].save(numbers(number))
    config = {
        name: config["{name}"] | {"filepath": f"{tmp_path}/{name}"} for name in "ab"
    }
    catalog = DataCatalog.from_config(config, load_versions={"a": "one"})
    assert catalog["a"].load()["number"].tolist() == [0]
    assert catalog["b"].load()["number"].tolist() == [1]


def test_saving_again_and_again_in_one_run_makes_a_version_each(tmp_path):
    dataset = PandasParquetDataset(
        filepath=str(tmp_path / "t"), version=Version(None, "v")
    )
    for number in range(12):
        dataset.save(numbers(number))
        assert dataset.load()["number"].tolist() == [number]
    state = dataset.session.state
    assert [version.version for version in dataset.versions()] == [11, 10]
    assert {event.run_id for event in state.events.values()} == {"v"}
    # Of several of one run, the last.
    again = PandasParquetDataset(
        filepath=str(tmp_path / "t"), version=Version("v", None)
    )
    assert again.load()["number"].tolist() == [11]


def test_lazy_frame_is_not_broken_by_a_commit(tmp_path):
    dataset = DaskParquetDataset(filepath=str(tmp_path / "t"))
    dataset.save(numbers(1))
    held = dataset.load()
    dataset.save(numbers(2))
    assert held["number"].compute().tolist() == [1]
    assert dataset.load()["number"].compute().tolist() == [2]
    # With keep_versions: 2, the second commit takes it away; that is said.
    dataset.save(numbers(3))
    with pytest.raises(
        StorageError, match=r"part-00000-\w+-\w+\.parquet: cannot be read"
    ):
        held["number"].compute()


@pytest.mark.parametrize("version", ["../v", "..", "a/b", "/etc/v"])
def test_version_names_cannot_lead_out_of_the_folder(tmp_path, version):
    """They are names of runs: notes in the history, never paths."""
    folder = tmp_path / "deep" / "table"
    before = PandasParquetDataset(filepath=str(folder))
    before.save(numbers(1))
    loaded = PandasParquetDataset(filepath=str(folder), version=Version(version, None))
    with pytest.raises(DatasetError, match="no version"):
        loaded.load()
    saved = PandasParquetDataset(filepath=str(folder), version=Version(None, version))
    saved.save(numbers(2))
    assert {path.name for path in tmp_path.iterdir()} == {"deep"}
    assert {path.name for path in folder.parent.iterdir()} == {
        "table",
        "release.json",
        "release.lock",
    }
    assert before.load()["number"].tolist() == [2]
    assert loaded.load()["number"].tolist() == [2]


def test_tables_are_not_written_to_paths_that_climb(tmp_path):
    (tmp_path / "data").mkdir()
    dataset = PandasParquetDataset(filepath=f"{tmp_path}/data/../elsewhere")
    with pytest.raises(DatasetError, match=r"not written to paths with '\.\.'"):
        dataset.save(numbers(1))
    assert not (tmp_path / "elsewhere").exists()


def test_outputs_of_one_node_are_on_one_file_system(tmp_path):
    name = f"memory:///{uuid.uuid4().hex}"
    tables = {
        PandasParquetDataset(filepath=str(tmp_path / "t")): numbers(1),
        PandasParquetDataset(filepath=name): numbers(1),
    }
    with pytest.raises(StorageError, match="under different releases"):
        publish(tables)
    assert not any(dataset.exists() for dataset in tables)


# -- damage --------------------------------------------------------------------


def flip(content):
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 4]) + content[middle + 1 :]


DAMAGES = {
    "flipped": flip,
    "cut": lambda content: content[:-5],
    "empty": lambda content: b"",
    "other": lambda content: b"PK" + bytes(len(content) - 2),
}


def damage(path, how):
    if how == "gone":
        path.unlink()
    else:
        path.write_bytes(DAMAGES[how](path.read_bytes()))


@pytest.mark.parametrize("how", [*DAMAGES, "gone"])
@pytest.mark.parametrize("face", FACES)
def test_damaged_part_is_named(tmp_path, face, how):
    dataset = face(
        filepath=str(tmp_path / "t"), schema="raw_transactions", rows_per_partition=10
    )
    dataset.save(dirty_transactions(50, 1).to_pandas())
    [part] = (tmp_path / "t").glob("part-00003-*.parquet")
    damage(part, how)
    with pytest.raises((StorageError, DatasetError), match=re.escape(str(part))):
        computed(dataset)
    # What the log says does not cost a look at every part.
    assert dataset.exists()


@pytest.mark.parametrize("how", [*DAMAGES, "gone"])
@pytest.mark.parametrize("face", FACES)
def test_damaged_log_is_named(tmp_path, face, how):
    face(filepath=str(tmp_path / "t")).save(numbers(1))
    dataset = face(filepath=str(tmp_path / "t"))
    [log] = (tmp_path / "t" / "_delta_log").glob("*.json")
    if how == "flipped":
        # Elsewhere it may be in what nobody reads, e.g. the time of the commit.
        log.write_bytes(log.read_bytes().replace(b"part-00000", b"part-00001", 1))
    else:
        damage(log, how)
    with pytest.raises(DatasetError, match=f"{tmp_path}/t: the log of the table"):
        dataset.load()


@pytest.mark.parametrize("how", [*DAMAGES])
def test_damaged_release_is_named_and_nothing_is_swept(tmp_path, how):
    dataset = PandasParquetDataset(filepath=str(tmp_path / "t"))
    dataset.save(numbers(1))
    damage(tmp_path / "release.json", how)
    assert not dataset.exists()
    for act in (dataset.load, lambda: dataset.save(numbers(2))):
        with pytest.raises(DatasetError, match=r"release\.json: unreadable"):
            act()
    assert len(list((tmp_path / "t").glob("part-*.parquet"))) == 1


# -- other people's files ------------------------------------------------------


@pytest.mark.parametrize("face", FACES)
def test_plain_folder_is_read_and_strays_are_ignored(tmp_path, face):
    table = dirty_transactions(60, 1)
    write_raw(tmp_path, table, 3)
    for stray in ("_SUCCESS", ".crc", "notes.txt", "data.csv", "_temporary/x.parquet"):
        (tmp_path / stray).parent.mkdir(exist_ok=True)
        (tmp_path / stray).write_bytes(b"no Parquet")
    (tmp_path / "deep").mkdir()
    pq.write_table(table.slice(0, 5), tmp_path / "deep" / "more.parquet")
    dataset = face(filepath=str(tmp_path), schema="raw_transactions")
    assert dataset.exists()
    assert len(computed(dataset)) == 65
    assert [segment.name for segment in dataset.source().segments] == [
        "deep/more.parquet",
        "part-00000.parquet",
        "part-00001.parquet",
        "part-00002.parquet",
    ]


@pytest.mark.parametrize("face", FACES)
def test_others_may_have_a_folder_named_versions(tmp_path, face):
    table = dirty_transactions(60, 1)
    write_raw(tmp_path / "versions", table.slice(0, 40), 2)
    write_raw(tmp_path / "versions" / "old", table.slice(40), 2)
    dataset = face(filepath=str(tmp_path), schema="raw_transactions")
    assert len(computed(dataset)) == 60
    with pytest.raises(DatasetError, match=r"4 Parquet files .* did not write"):
        dataset.save(table)


@pytest.mark.parametrize("face", FACES)
def test_unreleased_parts_of_ours_are_nobodys_folder(tmp_path, face):
    at = {"filepath": str(tmp_path / "t"), "schema": "raw_transactions"}
    work = stage({face(**at): dirty_transactions(60, 1)})
    work.abandon()
    [part] = (tmp_path / "t").glob("part-*.parquet")
    assert not face(**at).exists()
    with pytest.raises(DatasetError, match="no table here"):
        face(**at).load()
    # Beside files of others it might be theirs: neither is left out without a word.
    write_raw(tmp_path / "t", dirty_transactions(20, 2), 1)
    with pytest.raises(DatasetError, match=f"{part.name}, which is part of a table"):
        face(**at).load()
    (tmp_path / "t" / "part-00000.parquet").unlink()
    face(**at).save(dirty_transactions(20, 2))
    assert face(**at).count_rows() == 20
    assert not part.exists()


@pytest.mark.parametrize("face", FACES)
def test_copies_of_our_parts_are_files_like_any(tmp_path, face):
    PandasParquetDataset(filepath=str(tmp_path / "t")).save(dirty_transactions(60, 1))
    (tmp_path / "copy").mkdir()
    [part] = (tmp_path / "t").glob("part-*.parquet")
    shutil.copy(part, tmp_path / "copy")
    dataset = face(filepath=str(tmp_path / "copy"), schema="raw_transactions")
    assert len(computed(dataset)) == 60


@pytest.mark.parametrize("name", ["release.json", "log", "part"])
def test_no_read_of_a_table_waits_for_a_pipe(tmp_path, name):
    at = {"filepath": str(tmp_path / "t")}
    PandasParquetDataset(**at).save(dirty_transactions(20, 2))
    [part] = (tmp_path / "t").glob("part-*.parquet")
    [log] = (tmp_path / "t" / "_delta_log").glob("*.json")
    pipe = {"part": part, "log": log}.get(name, tmp_path / name)
    pipe.unlink()
    os.mkfifo(pipe)
    error = without_hanging(PandasParquetDataset(**at).load)
    assert re.search(f"{re.escape(str(pipe))}.* a named pipe", str(error))


@pytest.mark.parametrize("face", FACES)
def test_plain_folder_on_any_file_system(home, face):
    filesystem, path = fsspec.core.url_to_fs(f"{home[0]}/raw", **home[1])
    filesystem.makedirs(path)
    with filesystem.open(f"{path}/a.parquet", "wb") as file:
        pq.write_table(dirty_transactions(30, 1), file)
    dataset = face(
        filepath=f"{home[0]}/raw", schema="raw_transactions", credentials=home[1]
    )
    assert dataset.exists()
    assert len(computed(dataset)) == 30
    assert [segment.name for segment in dataset.source().segments] == ["a.parquet"]


def test_single_file_is_read(tmp_path):
    path = tmp_path / "lines.parquet"
    pq.write_table(dirty_transactions(30, 1), path)
    dataset = PandasParquetDataset(filepath=str(path), schema="raw_transactions")
    assert dataset.exists()
    frame = dataset.load()
    assert frame["source_file"].cat.categories.tolist() == ["lines.parquet"]
    assert frame["source_row"].tolist() == list(range(30))
    with pytest.raises(DatasetError, match="did not write"):
        dataset.save(dirty_transactions(3, 1))


def test_folder_of_others_is_not_written_to(tmp_path):
    write_raw(tmp_path, dirty_transactions(60, 1), 3)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    dataset = PandasParquetDataset(filepath=str(tmp_path), schema="raw_transactions")
    with pytest.raises(DatasetError, match=r"holds 3 Parquet files .* did not write"):
        dataset.save(dirty_transactions(3, 1))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("face", FACES)
def test_plain_folder_has_no_versions_to_load(tmp_path, face):
    write_raw(tmp_path, dirty_transactions(60, 1), 3)
    dataset = face(
        filepath=str(tmp_path), schema="raw_transactions", version=Version("v", None)
    )
    assert not dataset.exists()
    with pytest.raises(DatasetError, match="nothing has been written here"):
        dataset.load()


@pytest.mark.parametrize("face", FACES)
def test_empty_folder_says_what_to_do(tmp_path, face):
    with pytest.raises(DatasetError, match="no table here"):
        face(filepath=str(tmp_path), schema="raw_transactions").load()
    with pytest.raises(DatasetError, match="no table here"):
        face(filepath=str(tmp_path / "none"), schema="raw_transactions").load()


@pytest.mark.parametrize("how", ["cut", "empty", "other"])
@pytest.mark.parametrize("face", FACES)
def test_damaged_plain_file_is_named(tmp_path, face, how):
    files = write_raw(tmp_path, dirty_transactions(60, 1), 3)
    damage(files[1], how)
    dataset = face(filepath=str(tmp_path), schema="raw_transactions")
    with pytest.raises(DatasetError, match=re.escape(str(files[1]))):
        dataset.load()


def test_flipped_bit_of_a_plain_file_with_page_checksums_is_named(tmp_path):
    path = tmp_path / "a.parquet"
    table = dirty_transactions(500, 1)
    pq.write_table(table, path, write_page_checksum=True, compression="none")
    position = pq.read_metadata(path).row_group(0).column(4).data_page_offset + 200
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)
    dataset = PandasParquetDataset(filepath=str(tmp_path), schema="raw_transactions")
    with pytest.raises(DatasetError, match=re.escape(str(path))):
        dataset.load()


@pytest.mark.parametrize("how", ["gone", "replaced"])
def test_plain_file_that_changes_during_a_run_is_named(tmp_path, how):
    files = write_raw(tmp_path, dirty_transactions(60, 1), 3)
    frame = DaskParquetDataset(filepath=str(tmp_path), schema="raw_transactions").load()
    if how == "gone":
        files[2].unlink()
    else:
        pq.write_table(dirty_transactions(20, 2), files[2])
    with pytest.raises(StorageError, match=re.escape(str(files[2]))):
        frame.compute()


def test_plain_files_of_another_table_have_one_schema(tmp_path):
    pq.write_table(pa.table({"a": [1], "b": [2]}), tmp_path / "1.parquet")
    pq.write_table(pa.table({"a": [1]}), tmp_path / "2.parquet")
    with pytest.raises(DatasetError, match=r"2\.parquet has other columns.*b int64"):
        PandasParquetDataset(filepath=str(tmp_path)).load()


def test_small_files_are_grouped_and_large_ones_are_not_taken_apart_here():
    segments = [Segment(str(n), str(n), 0, rows, 0) for n, rows in enumerate([3] * 7)]
    sizes = [len(group) for group in partitions(segments, 9)]
    assert sizes == [3, 3, 1]
    assert [len(group) for group in partitions(segments, 1)] == [1] * 7
    assert partitions([], 9) == []
    assert len(partitions([segments[0]] * 50_000, 10**9)) == 1


# -- security ------------------------------------------------------------------


def test_reading_data_never_unpickles(tmp_path, monkeypatch):
    def refuse(*arguments, **options):
        raise AssertionError("unpickled something")

    raw = tmp_path / "raw"
    write_raw(raw, dirty_transactions(60, 1), 3)
    (raw / "x.pkl").write_bytes(pickle.dumps({"a": 1}))
    ours = PandasParquetDataset(filepath=str(tmp_path / "t"), schema="customers")
    ours.save(table_for("customers"))
    for name in ("load", "loads", "Unpickler"):
        monkeypatch.setattr(pickle, name, refuse)
    ours.load()
    PandasParquetDataset(filepath=str(raw), schema="raw_transactions").load()


def test_no_module_of_the_project_reads_pickles():
    package = Path(inspect.getfile(dask_etl)).parent
    reads = re.compile(r"pickle\.(load|Unpickler)|read_pickle|allow_pickle=True")
    # What a scheduler sends is pickled by Dask itself; here it is the same messages.
    messages = {"engine/sealed.py", "engine/remote_code.py"}
    for path in package.rglob("*.py"):
        if path.relative_to(package).as_posix() not in messages:
            assert not reads.search(path.read_text()), path
