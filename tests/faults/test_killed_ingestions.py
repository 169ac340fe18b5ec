"""Ingestions in any batches, and killed anywhere: the same as one that had all files."""

import json
import shutil

from hypothesis import given, settings
from hypothesis import strategies as st

from support.engine_runs import stored
from support.fault_injection import (
    contents,
    count_file_operations,
    die_at_file_operation,
    start,
    strays,
)
from support.ingestions import HEAD, tables_in, take_in

GOOD = st.sampled_from(
    [
        "1,a,2.50,01.02.2023,x",
        "1,b,3,02.02.2023,",
        '2,a,1,03.02.2023,"x\ny"',
        "3,,4,04.02.2023,é",
    ]
)
BAD = st.sampled_from(
    ["1,a", "1,a,x,01.02.2023,", "1,a,1,31.02.2023,", "1,a,1,01.02.2023,x,y"]
)
FILES = st.lists(st.lists(GOOD | BAD, max_size=6), min_size=1, max_size=3)


def values(folder):
    return {
        name: stored(table).to_pylist() for name, table in tables_in(folder).items()
    }


def write(path, lines):
    # A good line at the end, so that no run is refused for having no rows at all.
    path.write_text(
        "\n".join([HEAD, *lines, "9,z,1,01.01.2023,"])
        + f"\n{path.stem},s,1,01.01.2023,\n"
    )


@settings(max_examples=6)
@given(FILES, st.data())
def test_batches_come_to_the_same_as_all_at_once(tmp_path_factory, files, data):
    root = tmp_path_factory.mktemp("batches")
    (root / "in").mkdir()
    order = data.draw(st.permutations(range(len(files))))
    for number in order:
        write(root / "in" / f"{number}.csv", files[number])
        take_in(root / "in", root / "out")
        if data.draw(st.booleans()):
            # The same again, as it is and under another name.
            copy = root / "in" / f"copy-{number}.csv"
            shutil.copy(root / "in" / f"{number}.csv", copy)
            before = contents(tables_in(root / "out"))
            take_in(root / "in", root / "out")
            assert contents(tables_in(root / "out")) == before
            copy.unlink()
    found = values(root / "out")
    take_in(root / "in", root / "out", mode="full", blocksize=1 << 20)
    # Modified times aside, which copies do not change.
    assert values(root / "out") == found
    for row in found["ingestion_ledger"]:
        assert row["lines_read"] == row["rows_written"] + row["lines_rejected"]
    lines = sum(len(file) + 2 for file in files)
    assert sum(row["lines_read"] for row in found["ingestion_ledger"]) == lines


def test_an_ingestion_that_dies_anywhere_leaves_old_or_new(tmp_path):
    source, folder = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    write(source / "0.csv", ["1,a,2.50,01.02.2023,x"] * 9)
    take_in(source, folder)
    write(source / "1.csv", ["2,b,1,01.02.2023,"] * 5 + ["1,a"])
    shutil.copytree(folder, tmp_path / "counted")
    report = tmp_path / "report"
    assert (
        start(
            count_file_operations, report, take_in, source, tmp_path / "counted"
        ).end()
        == 0
    )
    total = json.loads(report.read_text())
    expected = contents(tables_in(tmp_path / "counted"))
    old = contents(tables_in(folder))
    outcomes = set()
    # Some of the moments: what dies in a commit has tests of its own.
    for number in range(len(total) - 1, -1, -(len(total) // 5)):
        shutil.rmtree(tmp_path / "tried", ignore_errors=True)
        shutil.copytree(folder, tmp_path / "tried")
        child = start(
            die_at_file_operation, number, take_in, source, tmp_path / "tried"
        )
        assert child.end() == -9, total[number]
        found = contents(tables_in(tmp_path / "tried"))
        assert found in (old, expected), total[number]
        outcomes.add(found == expected)
        take_in(source, tmp_path / "tried")
        assert contents(tables_in(tmp_path / "tried")) == expected, total[number]
        if found == old:
            assert strays(tables_in(tmp_path / "tried")) == []
    assert outcomes == {False, True}
