"""What is swept: our own files that no version needs. And what never is."""

import pytest

from dask_etl.storage.commit import commit
from dask_etl.storage.delta import Content
from dask_etl.storage.sweep import remove_file, remove_folder, sweep_parts
from support.delta_tables import (
    SCHEMA,
    files,
    location,
    needed,
    parts_of,
    read,
    save,
    stage,
    table_store,
)

OTHERS = (
    "part-00000.parquet",
    "part-00000-a1b2c3d4-0123456789abcdeg.parquet",
    "data.parquet",
    "notes.txt",
    "part-00000-c000.snappy.parquet",
    "deep/part-00000-a1b2c3d4-0123456789abcdef.parquet",
)
OURS = "part-00000-a1b2c3d4-0123456789abcdef.parquet"


def test_next_commit_sweeps_what_a_dead_writer_left(tmp_path):
    store = table_store(tmp_path)
    save(store, [1])
    stage(store, [2, 3, 4])
    (tmp_path / "table" / f"{OURS}.{'0' * 32}.tmp").write_bytes(b"half")
    save(store, [5])
    assert files(store) == needed(store)
    assert read(store) == [5]


def test_files_of_others_stay(tmp_path):
    store = table_store(tmp_path)
    save(store, [1])
    for name in OTHERS:
        path = tmp_path / "table" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("mine")
    for number in range(3):
        save(store, [number])
    for name in OTHERS:
        assert (tmp_path / "table" / name).read_text() == "mine"
    assert files(store) - set(OTHERS) == needed(store)


def test_links_stay_and_what_they_lead_to(tmp_path):
    store = table_store(tmp_path)
    save(store, [1])
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / OURS).write_text("precious")
    (tmp_path / "table" / OURS).symlink_to(elsewhere / OURS)
    for number in range(3):
        save(store, [number])
    assert (tmp_path / "table" / OURS).is_symlink()
    here = location(tmp_path / "table")
    assert sweep_parts(here, [OURS], []) == [OURS]
    (tmp_path / "table" / "folder").symlink_to(elsewhere)
    remove_folder(here.filesystem, str(tmp_path / "table" / "folder"))
    remove_file(here.filesystem, str(tmp_path / "table" / "folder"))
    assert (tmp_path / "table" / "folder").is_symlink()
    assert (elsewhere / OURS).read_text() == "precious"


def test_folder_is_removed_without_following_the_links_in_it(tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "file").write_text("precious")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    (scratch / "folder").symlink_to(elsewhere)
    (scratch / "file").symlink_to(elsewhere / "file")
    remove_folder(location(tmp_path).filesystem, str(scratch))
    assert not scratch.exists()
    assert (elsewhere / "file").read_text() == "precious"


def test_nothing_is_swept_where_a_kept_version_cannot_be_read(tmp_path, caplog):
    store = table_store(tmp_path, keep=3)
    for number in range(3):
        save(store, [number])
    (tmp_path / "table" / "_delta_log" / f"{1:020}.json").write_text("{}")
    before = files(store)
    fresh = table_store(tmp_path, keep=3)
    attempt = fresh.begin("run")
    commit([attempt.overwrite(Content(SCHEMA, tuple(parts_of(attempt, [3]))))])
    assert before < files(fresh)
    assert "committed, not tidied up" in caplog.text


@pytest.mark.parametrize("kind", ["replace", "append"])
def test_parts_that_versions_share_stay_as_long_as_one_needs_them(tmp_path, kind):
    store = table_store(tmp_path)
    save(store, [0, 1, 2])
    for number in range(3, 8):
        attempt = store.begin("run")
        parts = parts_of(attempt, [number], attempt.next_number)
        old = [attempt.head.content.parts[0].name] if kind == "replace" else []
        commit([attempt.replace(old, parts)])
        assert files(store) == needed(store)
    assert read(store) == ([5, 6, 7] if kind == "replace" else list(range(8)))
