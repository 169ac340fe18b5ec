"""Folders that others filled: what is read, in which order, and what is refused."""

import os
import socket

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dask_etl.errors import StorageError
from dask_etl.storage import folder
from dask_etl.storage.folder import footer, parquet_paths, read_folder
from support.fault_injection import without_hanging

LOCAL = fsspec.filesystem("file")
TABLE = pa.table({"a": [1, 2, 3]})


def put(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(TABLE, path)


def listed(folder, filesystem=LOCAL):
    root = str(folder)
    files = read_folder(filesystem, root, parquet_paths(filesystem, root))
    return [file.name for file in files]


def test_files_are_found_by_name_at_every_depth(tmp_path):
    wanted = [
        "2024/versions/c.parquet",
        "a.parq",
        "b.pq",
        "current/d.parquet",
        "versions/1/part-00000.parquet",
        "versions/x.parquet",
    ]
    others = ["_tmp/x.parquet", ".git/x.parquet", "_x.parquet", ".x.parquet", "x.csv"]
    for name in [*wanted, *others]:
        put(tmp_path / name)
    assert listed(tmp_path) == sorted(wanted)


def test_a_folder_in_a_hidden_place_is_read(tmp_path):
    put(tmp_path / ".cache" / "_data.parquet" / "a.parquet")
    assert listed(tmp_path / ".cache" / "_data.parquet") == ["a.parquet"]


def test_one_file_stands_for_a_folder(tmp_path):
    put(tmp_path / "a.parquet")
    assert listed(tmp_path / "a.parquet") == ["a.parquet"]
    assert listed(tmp_path / "none") == []


def test_links_are_followed(tmp_path):
    put(tmp_path / "elsewhere" / "2023" / "a.parquet")
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "2023").symlink_to(tmp_path / "elsewhere" / "2023")
    (tmp_path / "raw" / "b.parquet").symlink_to(
        tmp_path / "elsewhere" / "2023" / "a.parquet"
    )
    assert listed(tmp_path / "raw") == ["2023/a.parquet", "b.parquet"]


def test_a_link_in_a_circle_is_refused(tmp_path):
    put(tmp_path / "deep" / "a.parquet")
    (tmp_path / "deep" / "again").symlink_to(tmp_path)
    with pytest.raises(StorageError, match=r"deep/again: a link .* without end"):
        listed(tmp_path)


def test_a_link_to_nothing_is_named(tmp_path):
    (tmp_path / "gone.parquet").symlink_to(tmp_path / "nowhere")
    with pytest.raises(StorageError, match=r"gone\.parquet: cannot be read"):
        listed(tmp_path)


def pipe(path):
    os.mkfifo(path)


def device(path):
    path.symlink_to("/dev/zero")


def port(path):
    # The paths of sockets are short.
    here = os.getcwd()
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path.name)
    finally:
        os.chdir(here)


NO_FILES = {"a named pipe": pipe, "a device": device, "a socket": port}


@pytest.mark.parametrize("kind", NO_FILES)
@pytest.mark.parametrize("alone", [False, True])
def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path, kind, alone):
    put(tmp_path / "a.parquet")
    odd = tmp_path / "odd.parquet"
    NO_FILES[kind](odd)
    error = without_hanging(listed, odd if alone else tmp_path)
    assert isinstance(error, StorageError)
    assert str(error).startswith(f"{odd}: {kind} where a file is expected. Take it out")


@pytest.mark.parametrize("inside", [[], ["part-0.parquet"]])
@pytest.mark.parametrize("protocol", ["file", "memory"])
def test_a_folder_named_like_a_file_is_refused(tmp_path, inside, protocol):
    filesystem = fsspec.filesystem(protocol)
    root = f"{tmp_path}/raw"
    filesystem.makedirs(f"{root}/sales.parquet")
    for name in inside:
        with filesystem.open(f"{root}/sales.parquet/{name}", "wb") as file:
            pq.write_table(TABLE, file)
    if protocol == "memory" and not inside:
        return  # a bucket has no empty folders
    with pytest.raises(StorageError, match=r"sales\.parquet: a folder .*Rename it"):
        listed(root, filesystem)


def test_a_name_that_is_not_utf8_is_refused(tmp_path):
    put(tmp_path / "a.parquet")
    odd = os.fsencode(tmp_path) + b"/caf\xe9.parquet"
    os.rename(tmp_path / "a.parquet", odd)
    with pytest.raises(StorageError, match=r"caf\\xe9\.parquet: .*not UTF-8"):
        listed(tmp_path)


def test_columns_of_one_name_are_named(tmp_path):
    table = pa.table([[1], [2], [3], [4]], names=["a", "b", "b", "a"])
    pq.write_table(table, tmp_path / "x.parquet")
    with pytest.raises(StorageError, match=r"x\.parquet: .*column named 'a', 'b'\."):
        listed(tmp_path)


def test_a_file_is_looked_at_again_only_when_it_changed(tmp_path, monkeypatch):
    for number in range(3):
        pq.write_table(pa.table({"a": [number]}), tmp_path / f"{number}.parquet")
    paths = parquet_paths(LOCAL, str(tmp_path))
    first = read_folder(LOCAL, str(tmp_path), paths)
    read = []
    monkeypatch.setattr(
        folder, "footer", lambda fs, path: read.append(path) or footer(fs, path)
    )
    assert read_folder(LOCAL, str(tmp_path), paths, first) == first
    assert not read
    pq.write_table(pa.table({"b": [7, 8]}), tmp_path / "1.parquet")
    again = read_folder(LOCAL, str(tmp_path), paths, first)
    assert read == [paths[1]]
    assert again[1].schema.names == ["b"]
    assert [again[0], again[2]] == [first[0], first[2]]
