"""``%load_ext dask_etl``: tables at hand, with what they mean and what was meant."""

import shutil

import pytest
from IPython.core.interactiveshell import InteractiveShell

from dask_etl import notebook
from dask_etl.notebook import Listing, NoSuchTable, open_project
from dask_etl.retail.tables import COMPARED
from support.kedro_project import ROOT


@pytest.fixture
def shell(project, monkeypatch):
    """A shell in a project with some tables, in which the extension is loaded."""
    project.run("data_generation", params={"generation": {"rows": 500}})
    project.run("etl_dask")
    (project.path / "docs").mkdir()
    shutil.copy(ROOT / "docs" / "data_dictionary.md", project.path / "docs")
    monkeypatch.setenv("KEDRO_ENV", project.env)
    made = InteractiveShell()
    made.run_line_magic("load_ext", "dask_etl")
    yield made.user_ns
    # As at the end of the process.
    notebook._close()
    assert made.user_ns["client"].status == "closed"


def test_tables_are_listed_with_what_they_mean_and_described(shell):
    listed = shell["tables"]()
    wanted = {
        f"{engine}.{table}" for engine in ("dask", "pandas") for table in COMPARED
    }
    assert wanted < set(listed.index)
    assert listed.loc["raw_transactions", "rows"] == 500
    assert (
        listed.loc["raw_transactions", "meaning"]
        == "One row per sale line, as delivered"
    )
    assert listed.loc["pandas.customers", "versions"] == 0
    assert (listed.loc[[*wanted], "meaning"] != "").all()

    described = shell["describe"]("dask.customers")
    assert described.loc["customer_id", "type"] == "int64"
    assert (described["meaning"] != "").all()

    clean = shell["catalog"].load("dask.clean_transactions")
    assert len(clean) == listed.loc["dask.clean_transactions", "rows"]
    assert shell["client"].status == "running"
    assert clean["region"].cat.known
    regions = clean.groupby("region", observed=False).size().compute()
    cube = shell["catalog"].load("dask.sales_cube").groupby("region")
    assert regions.to_dict() == cube["lines"].sum().to_dict()
    prices = clean["price_category"].cat.categories
    assert prices.tolist() == ["Low", "Medium", "High", "Premium"]
    rejected = shell["catalog"].load("dask.rejected_transactions")
    assert rejected["source_file"].cat.known
    assert rejected["source_file"].compute().notna().all()
    assert len(shell["catalog"].load("raw_transactions")) == 500


def test_summaries_of_another_release_tell_no_labels(shell, project):
    catalog = shell["catalog"]
    catalog["dask.sales_cube"].save(catalog.load("dask.sales_cube").iloc[:1])
    clean = catalog.load("dask.clean_transactions")
    assert not clean["region"].cat.known
    assert clean["region"].compute().nunique() > 1


def test_a_typo_is_told_with_what_was_meant(shell):
    for ask in (shell["catalog"].load, shell["describe"], shell["catalog"].__getitem__):
        with pytest.raises(NoSuchTable, match=r"did you mean dask\.customers"):
            ask("dask.custmers")
    with pytest.raises(NoSuchTable, match=r"did you mean dask\?"):
        shell["tables"]("dusk")
    with pytest.raises(NoSuchTable, match=r"'xyz'; tables\(\) lists them"):
        shell["describe"]("xyz")
    assert {*shell["tables"]("customers").index} == {
        "dask.customers",
        "pandas.customers",
    }
    assert "dask.customers" in shell["catalog"]
    assert shell["catalog"].exists("dask.customers")


def test_outside_of_a_project_it_says_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NoSuchTable, match="is in no project"):
        open_project()


def test_a_listing_is_whole_and_aligned_without_a_style_sheet():
    frame = Listing(
        {
            "table": ["a<b", "bb"],
            "meaning": ["word " * 20, "x"],
            "rows": [1200, None],
            "MB": [0.5, None],
            "null": [True, False],
        }
    )
    listing = frame.astype({"rows": "Int64"}).set_index("table")
    assert repr(listing).splitlines() == [
        f"table  meaning{' ' * 93}   rows    MB  null",
        f"a<b    {'word ' * 20}  1,200  0.50  True",
        f"bb     x{' ' * 99}               False",
    ]
    html = listing._repr_html_()
    assert "<style" not in html
    assert html.count("<tr>") == 3
    assert "a&lt;b</th>" in html
    cell = '<td style="text-align:right;vertical-align:top;white-space:nowrap">1,200'
    assert cell in html
    # What is chosen of it is shown the same way.
    assert repr(listing[["MB"]]).splitlines()[1] == "a<b    0.50"
