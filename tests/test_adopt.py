"""``dask-etl adopt``: from an export to reports, with what a person need say."""

import json
import re
import shutil

import pytest
import yaml
from click.testing import CliRunner

from dask_etl.cli import cli
from examples.shop.export import export
from support.kedro_project import ROOT, Project


def adopt(*arguments: object, asked: str | None = None):
    done = CliRunner().invoke(cli, ["adopt", *map(str, arguments)], input=asked)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


def read(project, env: str, name: str):
    return yaml.safe_load((project.path / "conf" / env / name).read_text())


def test_the_shops_export_is_adopted_and_goes_through_everything(project):
    folder = project.path / "exports"
    shutil.copytree(ROOT / "data" / "examples", folder)
    done = adopt(
        folder / "shop.csv", "--timezone", "Europe/Berlin", "--currency", "EUR"
    )
    assert done.exit_code == 0, done.output
    said = done.output
    # Before and after, and all that is wrong or uncertain, in one go.
    assert "100001\t03.01.2023\t03:01\tDüsseldorf" in said
    assert (
        "100001-1\tK0053\tKopfhörer\tDüsseldorf\t59.9\t1\t0.0\t2023-01-03 02:01" in said
    )
    for words in (
        "Of 630 lines looked at, 626 would be kept (99.4%)",
        "too_few_fields\tline 9: 100003,08.01.2023",
        "unparsable_date\tline 33: timestamp: 31.02.2023 09:43",
        "unparsable_number\tline 45: amount: n/v",
        "no column names a line\tBeleg + the number of the row among its like",
        "52 lines have a negative Menge\tthey are taken for returns",
        "5.9% of the lines have no customer",
    ):
        assert words in said, said
    assert (project.path / "conf" / "mine" / ".gitignore").read_text().endswith("*\n")
    mine = Project(project.path, "mine")
    shutil.copy(
        project.path / "conf" / "test" / "dask.yml", project.path / "conf" / "mine"
    )
    mine.run("ingestion")
    mine.run("etl_dask", "etl_pandas", "analytics", "verification")
    verification = mine.table("verification").to_pandas()
    assert verification["identical"].all()
    assert len(mine.table("dask.clean_transactions")) == 626
    cube = mine.table("dask.sales_cube").to_pandas()
    assert cube["returned_lines"].sum() == 51
    assert cube["lines"].sum() == 626 - 51


def test_what_a_person_says_is_what_is_written(project, tmp_path):
    export(tmp_path / "shop.csv", receipts=30, broken=False)
    done = adopt(
        tmp_path / "shop.csv",
        "--env=theirs",
        "--map=product_category=Artikelnr",
        "--key=Beleg,Artikelnr,number",
        "--discount=fraction",
        "--returns=flag",
        "--keep=Kassierer,Zahlart",
    )
    assert done.exit_code == 0, done.output
    mapping = read(project, "theirs", "source.yml")["mapping"]
    assert mapping["columns"]["product_category"] == {"from": "Artikelnr"}
    assert mapping["columns"]["discount"] == {"from": "Rabatt %"}
    assert mapping["columns"]["transaction_id"] == {
        "compose": ["Beleg", "Artikelnr"],
        "numbered": True,
    }
    assert mapping["keep"] == ["Kassierer", "Zahlart"]
    cleaning = read(project, "theirs", "parameters.yml")["cleaning"]
    assert cleaning["returns"] == "flag"
    assert cleaning["keep"] == ["Kassierer", "Zahlart"]
    # Percents that are said to be fractions, and returns that are none, are told.
    assert "discount_out_of_range" in done.output
    assert "non_positive_quantity" in done.output
    again = adopt(tmp_path / "shop.csv", "--env=theirs")
    assert again.exit_code == 1
    assert (
        "has catalog.yml, globals.yml, source.yml, parameters.yml already"
        in again.output
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere.csv"], "nothing here that is known"),
        (["a.csv", "--timezone=Berlin"], "--timezone: there is no 'Berlin'"),
        (["a.csv", "--key=Belg"], "--key: there is no 'Belg'; did you mean 'Beleg'?"),
        (
            ["a.csv", "--map=amont=Betrag"],
            "there is no 'amont'; did you mean 'amount'?",
        ),
        (["a.csv", "--map=amount"], "write it as OURS=THEIRS"),
        (["a.csv", "b/c.csv"], "of several folders"),
    ],
)
def test_what_cannot_be_adopted_is_said_in_one_line(project, arguments, words):
    export(project.path / "a.csv", receipts=20, broken=False)
    done = adopt(*arguments)
    assert done.exit_code == 1
    assert words in done.output
    assert not (project.path / "conf" / "mine").exists()


def test_other_kinds_are_found_and_marks_are_detected(project):
    rows = [
        {
            "id": n,
            "sku": f"s{n % 3}",
            "unit_price": 1.5,
            "qty": 2,
            "date": f"2023-01-{n:02d}",
        }
        for n in range(1, 20)
    ]
    (project.path / "sales.jsonl").write_text(
        "".join(json.dumps(r) + "\n" for r in rows)
    )
    done = adopt("sales.jsonl", "--env=json", "--yes")
    assert done.exit_code == 0, done.output
    assert "19 would be kept (100.0%)" in done.output
    columns = read(project, "json", "source.yml")["mapping"]["columns"]
    assert columns["transaction_id"] == {"from": "id"}
    assert columns["amount"] == {"from": "unit_price"}
    american = "".join(f"{n};1,234.50;{n % 12 + 1}/13/2023\n" for n in range(1, 20))
    (project.path / "us.csv").write_text("Id;Price;Date\n" + american)
    done = adopt("us.csv", "--env=us")
    mapping = read(project, "us", "source.yml")["mapping"]
    assert mapping["thousands"] == ","
    assert mapping["columns"]["timestamp"]["format"] == "%m/%d/%Y"
    assert mapping["columns"]["quantity"] == {"constant": 1}
    assert re.search(r"no column of units\s+every line is one unit", done.output)
