"""The two walks of docs/your-own-data.md, as they are written there."""

import re
import shutil
import sqlite3
from pathlib import Path

import pytest

from dask_etl.datasets import PandasParquetDataset
from support.kedro_project import ROOT, Project

PAGE = (ROOT / "docs" / "your-own-data.md").read_text()
FILES = re.findall(r"^```yaml\n# (conf/(\w+)/\w+\.yml)\n(.*?)^```$", PAGE, re.M | re.S)


def environment(project: Project, env: str) -> Project:
    """Write the files of an environment that the page shows."""
    shutil.copytree(ROOT / "data" / "examples", project.path / "data" / "examples")
    shown = [(path, text) for path, name, text in FILES if name == env]
    assert shown
    for path, text in shown:
        (project.path / path).parent.mkdir(exist_ok=True)
        (project.path / path).write_text(text)
    shutil.copy(project.path / "conf/test/dask.yml", project.path / "conf" / env)
    return Project(project.path, env)


def load(project: Project, name: str):
    return PandasParquetDataset(filepath=str(project.folder(name))).load()


def test_the_shops_export(project):
    from click.testing import CliRunner

    from dask_etl.cli import cli

    [command] = re.findall(r"^dask-etl (adopt .*)$", PAGE, re.M)
    (project.path / "data").mkdir()
    shutil.copytree(ROOT / "data" / "examples", project.path / "data" / "examples")
    done = CliRunner().invoke(cli, command.split())
    assert done.exit_code == 0, done.output
    [shown] = re.findall(r"^Of 630 lines.*:$", PAGE, re.M)
    assert shown in done.output
    shutil.rmtree(project.path / "data" / "examples")
    shop = environment(project, "shop")
    shop.run("ingestion")
    shop.run("etl_dask")
    shop.run("analytics", namespaces=["dask"])
    performance = load(shop, "dask.category_performance")
    groups = {"Lebensmittel", "Getränke", "Elektronik", "Kleidung"}
    assert set(performance["product_category"]) == groups
    clean = load(shop, "dask.clean_transactions")
    assert set(clean["cashier"]) == {"Müller", "Öztürk", "Strauß", "Schmidt"}


def test_a_database(project):
    till = environment(project, "till")
    with sqlite3.connect(project.path / "till.db") as connection:
        connection.execute(
            "CREATE TABLE sales (id INTEGER, customer INTEGER, shop TEXT, category TEXT, "
            "total_cents INTEGER, units INTEGER, sold_at INTEGER, status TEXT)"
        )
        rows = [
            (
                n,
                n % 7,
                " köln ",
                "Toys",
                250 * (n % 3 + 1),
                n % 3 + 1,
                1_700_000_000 + n,
                "sold",
            )
            for n in range(1, 101)
        ]
        connection.executemany("INSERT INTO sales VALUES (?,?,?,?,?,?,?,?)", rows)
    connection.close()
    till.run("ingestion")
    first = load(till, "transactions")
    assert first["transaction_id"].tolist() == list(range(1, 101))
    assert set(first["amount"]) == {2.5}
    assert set(first["region"]) == {"Köln"}
    assert not first["is_returned"].any()
    with sqlite3.connect(project.path / "till.db") as connection:
        late = (101, 1, "bonn", "Toys", 99, 1, 1_700_001_000, "returned")
        connection.execute("INSERT INTO sales VALUES (?,?,?,?,?,?,?,?)", late)
    connection.close()
    till.run("ingestion")
    both = load(till, "transactions")
    assert both["transaction_id"].tolist() == list(range(1, 102))
    assert both.iloc[-1][["amount", "region", "is_returned"]].tolist() == [
        0.99,
        "Bonn",
        True,
    ]
    ledger = load(till, "ingestion_ledger")
    assert ledger["source_file"].tolist() == [
        "sales up to id 100",
        "sales up to id 101",
    ]


def test_the_examples_are_those_that_their_script_writes(tmp_path: Path):
    from examples.shop.export import export

    export(tmp_path / "shop.csv")
    for name in ("shop.csv", "articles.csv"):
        written = (tmp_path / name).read_bytes()
        assert written == (ROOT / "data" / "examples" / name).read_bytes()


@pytest.mark.parametrize("path", sorted({path for path, _, _ in FILES}))
def test_every_file_is_shown_once(path):
    assert [each for each, _, _ in FILES].count(path) == 1
