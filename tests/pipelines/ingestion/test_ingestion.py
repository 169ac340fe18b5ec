"""The pipeline from a source to raw transactions: real runs, real files."""

import pytest
from click import ClickException

from examples.shop.export import export
from support.source_environment import SHOP_SOURCE, shop_mapping, with_source


@pytest.fixture
def shop(project, tmp_path):
    """A project whose source is a folder with one export in it."""
    folder = tmp_path / "exports"
    export(folder / "2023-01.csv", receipts=40, seed=1)
    (folder / "articles.csv").rename(tmp_path / "articles.csv")
    source = {**SHOP_SOURCE, "filepath": str(folder), "blocksize": 1500}
    return with_source(project, source, shop_mapping(tmp_path)), folder


def ledger(project):
    return project.table("ingestion_ledger").to_pandas().set_index("source_file")


def raw_bytes(project):
    snapshot = project.snapshot().items()
    return {name: content for name, content in snapshot if name.startswith("01_raw")}


def test_an_export_becomes_raw_transactions_and_every_line_is_accounted_for(shop):
    project, folder = shop
    project.run("ingestion")
    lines = (folder / "2023-01.csv").read_bytes().count(b"\r\n") - 1
    rows = project.table("transactions")
    rejected = project.table("rejected_lines").to_pandas()
    found = ledger(project).loc["2023-01.csv"]
    assert found["lines_read"] == lines
    assert found["rows_written"] == len(rows) == lines - 4
    assert found["lines_rejected"] == len(rejected) == 4
    assert len(set(rows["transaction_id"].to_pylist())) == len(rows)


def test_block_sizes_make_no_difference(shop, tmp_path):
    project, folder = shop
    project.run("ingestion")
    rows, rejected = project.table("transactions"), project.table("rejected_lines")
    source = {**SHOP_SOURCE, "filepath": str(folder)}
    whole = with_source(project, source, shop_mapping(tmp_path), env="whole")
    whole.run("ingestion")
    assert whole.table("transactions").equals(rows)
    assert whole.table("rejected_lines").to_pylist() == rejected.to_pylist()
    parts = [*whole.folder("transactions").glob("*.parquet")]
    assert len(parts) == 1
    assert len([*project.folder("transactions").glob("*.parquet")]) > 3


def test_only_new_files_are_taken_in_and_nothing_twice(shop, tmp_path):
    project, folder = shop
    project.run("ingestion")
    before = project.table("transactions")
    parts = {path.name for path in project.folder("transactions").glob("*.parquet")}
    content = raw_bytes(project)
    project.run("ingestion")
    assert raw_bytes(project) == content
    export(folder / "2022-12.csv", receipts=30, seed=2)
    (folder / "articles.csv").unlink()
    # The same again under another name is no news.
    (folder / "copy.csv").write_bytes((folder / "2023-01.csv").read_bytes())
    project.run("ingestion")
    after = project.table("transactions")
    assert parts < {
        path.name for path in project.folder("transactions").glob("*.parquet")
    }
    assert after.slice(0, len(before)).equals(before)
    assert [*ledger(project).index] == ["2023-01.csv", "2022-12.csv"]
    assert ledger(project)["rows_written"].sum() == len(after) > len(before)
    # All of it anew, in the order it came in: the same.
    project.run("ingestion", params={"ingestion": {"mode": "full"}})
    assert project.table("transactions").equals(after)
    assert [*ledger(project).index] == ["2023-01.csv", "2022-12.csv"]


@pytest.mark.parametrize("change", ["file", "mapping", "table"])
def test_what_has_changed_is_read_anew(shop, tmp_path, change):
    project, folder = shop
    project.run("ingestion")
    if change == "file":
        export(folder / "2023-01.csv", receipts=30, seed=3)
        (folder / "articles.csv").unlink()
        mapping = shop_mapping(tmp_path)
    elif change == "mapping":
        mapping = {**shop_mapping(tmp_path), "keep": ["Kassierer"]}
    else:
        mapping = shop_mapping(tmp_path)
        project.run("data_generation", params={"generation": {"rows": 100}})
    source = {**SHOP_SOURCE, "filepath": str(folder)}
    with_source(project, source, mapping).run("ingestion")
    lines = (folder / "2023-01.csv").read_bytes().count(b"\r\n") - 1
    rows = project.table("transactions")
    assert len(rows) == lines - 4
    assert ("Kassierer" in rows.column_names) == (change == "mapping")
    assert ledger(project)["lines_read"].tolist() == [lines]


def test_too_many_bad_lines_change_nothing_and_files_are_named(shop, tmp_path):
    project, folder = shop
    project.run("ingestion")
    content = project.snapshot()
    bad = b"Beleg;Datum\r\n" + b"1\r\n" * 9
    (folder / "2023-02.csv").write_bytes(bad)
    with pytest.raises(ClickException) as failure:
        project.run("ingestion")
    said = failure.value.format_message()
    assert "2023-02.csv: there is no column 'Kundennr'" in said
    head = (folder / "2023-01.csv").read_bytes().split(b"\r\n")[:2]
    (folder / "2023-02.csv").write_bytes(b"\r\n".join([*head, *[b"1"] * 3]))
    with pytest.raises(ClickException) as failure:
        project.run("ingestion")
    said = failure.value.format_message()
    assert "rule 'any': 3 of 4 lines (75.00%) are no rows" in said
    assert "2023-02.csv" in said
    assert content.items() <= project.snapshot().items()


def test_a_wrong_mapping_is_refused_before_anything_runs(project):
    wrong = {"columns": {"amont": {"from": "a"}, "amount": {"form": "b"}}}
    mine = with_source(project, {**SHOP_SOURCE, "filepath": "x"}, wrong)
    with pytest.raises(ClickException) as failure:
        mine.run("etl_dask")
    said = failure.value.format_message()
    assert "mapping.columns.amont: there is no 'amont'; did you mean 'amount'?" in said
    assert "mapping.columns.amount.form: there is no 'form'" in said
