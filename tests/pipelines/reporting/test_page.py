"""The report's page: whole, true, readable, and at home in a real browser."""

import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from importlib import resources

import numpy as np
import pandas as pd
import pytest

from dask_etl.pipelines.reporting import history
from dask_etl.pipelines.reporting.history import record_run
from dask_etl.pipelines.reporting.page import render_page, svg
from dask_etl.pipelines.reporting.page.head import tiles
from dask_etl.pipelines.reporting.page.quality import quality_of
from dask_etl.pipelines.reporting.page.runs import verification_state
from dask_etl.pipelines.reporting.page.tables import MOST, cell, shown
from dask_etl.pipelines.reporting.samples import SAMPLES, sample_rejected
from dask_etl.pipelines.reporting.style import percent
from dask_etl.retail.schema import RULES
from dask_etl.retail.tables import (
    COMPARED,
    DAILY_SALES,
    RULE_ACCURACY,
    RUN_HISTORY,
    VERIFICATION,
)
from dask_etl.tables import Table
from support.browser import browser
from support.good_rows import CALENDAR, CURRENCY

LARGEST = 1_500_000
"""Bytes of a page."""

FACTS = {
    "run_id": "2025-01-31T06.00.00.000Z",
    "started_at": datetime(2025, 1, 31, 6, tzinfo=UTC),
    "environment": "demo",
    "version": "0.1.0",
    "commit": "1eac480abcde",
    "python": "3.11.7",
    "system": "Linux",
    "cores": 2,
    "packages": {"dask": "2026.8.0"},
}
PARAMETERS = {"clock": {"as_of": None}, "features": {"price_bounds": [10, 50, 200]}}


def empty(table: Table) -> pd.DataFrame:
    return table.schema.empty_table().to_pandas()


def days(count: int = 400) -> pd.DataFrame:
    table = pd.DataFrame({"day": pd.date_range("2023-12-01", periods=count).date})
    amounts = dict.fromkeys(DAILY_SALES.schema.names[1:], 90000.0)
    return table.assign(**amounts).assign(net_revenue=np.arange(count) * 10.0)


def verified() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "table": list(COMPARED),
            "rows_dask": 1_000,
            "rows_pandas": 1_000,
            "identical": True,
            "differing_rows": 0,
            "first_difference": None,
        }
    )


def rejected(region: str = "North") -> pd.DataFrame:
    return pd.DataFrame(
        {
            "transaction_id": range(50),
            "region": region,
            "amount": [-1.5, None] * 25,
            "reasons": [["non_positive_amount"], ["missing_amount", "future_timestamp"]]
            * 25,
            "source_file": "part-00000.parquet",
            "source_row": range(50),
        }
    )


def page(case, **changes) -> str:
    tables = {**case, "days": days() if len(case["months"]) else empty(DAILY_SALES)}
    ledger = case["row_ledger"]
    given = {name: tables[name] for name in ("categories", "customers", "days")}
    record = record_run(
        row_ledger=ledger,
        run_metrics=case["run_metrics"],
        run_facts=FACTS,
        **given,
    )
    return render_page(
        **{
            **tables,
            "rejected_samples": pd.DataFrame({"rule": []}),
            "run_history": record,
            "verification": verified(),
            "run_facts": FACTS,
            "calendar": CALENDAR,
            "parameters": PARAMETERS,
            **changes,
        }
    )


class Outline(HTMLParser):
    """What a page is made of."""

    def __init__(self, text: str):
        super().__init__()
        self.elements: list[tuple[str, dict]] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def all(self, tag: str) -> list[dict]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def usual(normal) -> str:
    """The page of a fifth run that both engines took part in."""
    samples = sample_rejected(
        [rejected], normal["row_ledger"].assign(**dict.fromkeys(RULES, 100))
    )
    return page(normal, run_history=runs(normal, 5), rejected_samples=samples)


@pytest.mark.parametrize("size", ["usual", "one row", "1000 regions", "empty"])
def test_it_is_one_file_that_fetches_nothing_and_can_be_heard(size, usual, cases):
    text = usual if size == "usual" else page(cases[size]())
    assert len(text.encode()) <= LARGEST
    outline = Outline(text)
    ids = [given["id"] for _, given in outline.elements if "id" in given]
    assert len(ids) == len(set(ids))
    links = [given["href"] for given in outline.all("a")]
    assert links
    assert {link.removeprefix("#") for link in links} <= set(ids)
    inside = [
        given for tag, given in outline.elements if tag in ("img", "script", "link")
    ]
    assert [given for given in inside if "src" in given] == []
    assert re.findall(r"(?:href|src)=\"(?:https?:)?//|@import|url\((?!#)", text) == []
    pictures = outline.all("svg")
    assert all(given["role"] == "img" and given["aria-label"] for given in pictures)
    assert len(outline.all("caption")) == len(outline.all("table")) > 0
    assert ">nan<" not in text.lower()
    assert "None<" not in text


def test_it_holds_what_it_is_for(usual):
    for said in (
        "01 December 2023 – 03 January 2025",
        "20 source files",
        "run 2025-01-31T06.00.00.000Z",
        "dask-etl 0.1.0 (1eac480abcde)",
        "412,345",
        "Saturday is 17 % above the average day",
        "10,000,000 rows read = 9,852,000 kept + 148,000 rejected (1.5 %)",
        "✓ Every rule rejects about as many",
        "non_positive_amount (20 rows)",
        "Of 150,000 planted defects the rules missed 10,000",
        "<td>80.00 %</td>",
        "The last 5 runs",
        "All 16 tables of both engines are identical",
        "Dask is 4.1 times as fast as pandas",
        "features.price_bounds",
        "10, 50, 200",
    ):
        assert said in usual, said


def test_what_data_say_is_never_taken_for_markup(normal):
    bad = "<script>alert(1)</script>&\"'"
    samples = sample_rejected(
        [lambda: rejected(bad)],
        normal["row_ledger"].assign(**dict.fromkeys(RULES, 1)),
    )
    regions = normal["regions"].assign(region=bad)
    text = page(
        normal,
        rule_accuracy=empty(RULE_ACCURACY),
        regions=regions,
        rejected_samples=samples,
        # And without the other engine.
        verification=empty(VERIFICATION),
        run_metrics=normal["run_metrics"].query("pipeline == 'etl_dask'"),
    )
    assert "<script>alert" not in text
    assert text.count("&lt;script&gt;alert") > 2
    assert text.count("<script>") == 1
    assert "Not compared: the pandas engine did not run." in text
    assert 'id="verification-table"' not in text
    assert 'id="accuracy-table"' not in text
    assert 'id="cost-table"' in text


def test_a_verification_of_other_tables_is_none(make_metrics):
    table = make_metrics(["etl_dask"])
    before = table.assign(
        pipeline="verification",
        started_at=table["started_at"] - pd.Timedelta(hours=1),
    )
    after = before.assign(started_at=table["started_at"] + pd.Timedelta(hours=1))
    stale = verification_state(verified(), pd.concat([table, before]))
    assert stale == (
        False,
        "Not compared since: the verification is that of an earlier run",
    )
    assert verification_state(verified(), pd.concat([table, after]))[0]
    assert verification_state(verified(), table)[0]


# ------------------------------------------------------------------- history


def runs(normal, count: int, **changes) -> pd.DataFrame:
    record = record_run(
        row_ledger=normal["row_ledger"],
        categories=normal["categories"],
        days=days(),
        customers=normal["customers"],
        run_metrics=normal["run_metrics"],
        run_facts=FACTS,
    )
    assert list(record) == RUN_HISTORY.schema.names
    before = [
        record.assign(
            run_id=f"run-{i}", net_revenue=record["net_revenue"] * (1 + i / 100)
        )
        for i in range(count - 1)
    ]
    return pd.concat([*before, record.assign(**changes)], ignore_index=True)


def test_a_run_is_compared_with_the_one_before(normal):
    several = runs(normal, 3)
    share = several["net_revenue"].iloc[-1] / several["net_revenue"].iloc[-2] - 1
    changes = {tile["name"]: tile["change"] for tile in tiles(several)}
    assert changes["Net revenue"] == f"−{percent(abs(share))} since the run before"
    assert changes["Customers"] == "as in the run before"
    assert {tile["change"] for tile in tiles(several.tail(1))} == {"first run"}


def test_rules_that_reject_more_than_usual_have_drifted(normal):
    read = int(normal["row_ledger"]["rows_read"].sum())
    drifted = runs(normal, 5, missing_amount=read // 100)
    said = "1.0 % of the rows, usually 0 %"
    assert history.drift(drifted) == {"missing_amount": said}
    quality = quality_of(normal["row_ledger"], pd.DataFrame({"rule": []}), drifted)
    assert quality["notes"] == [
        {"kind": "bad", "text": f"▲ missing_amount has drifted: {said}."}
    ]
    [row] = [row for row in quality["rules"]["rows"] if row[0] == "missing_amount"]
    assert row[-1] == said
    assert history.drift(runs(normal, 5)) == {}
    # Of too few runs nothing is usual.
    assert history.drift(drifted.tail(3)) == {}


def test_samples_are_the_first_rows_of_each_rule_and_no_more_parts_are_read(normal):
    ledger = normal["row_ledger"].iloc[:1].assign(**dict.fromkeys(RULES, 0))
    ledger = ledger.assign(
        non_positive_amount=75, missing_amount=3, future_timestamp=75
    )
    read = []

    def part(number):
        read.append(number)
        return rejected().assign(source_file=f"part-{number}")

    found = sample_rejected([lambda n=n: part(n) for n in range(3)], ledger)
    assert read == [0]
    assert found["rule"].value_counts().to_dict() == {
        "non_positive_amount": SAMPLES,
        "missing_amount": 3,
        "future_timestamp": SAMPLES,
    }
    both = found[found["rule"] == "future_timestamp"]
    assert set(both["reasons"]) == {"missing_amount, future_timestamp"}
    assert both["source_row"].tolist() == list(range(1, 41, 2))
    nothing = ledger.assign(**dict.fromkeys(RULES, 0))
    assert sample_rejected([part], nothing).empty


# -------------------------------------------------------------------- tables


@pytest.mark.parametrize(
    ("value", "column", "text"),
    [
        (1_234_567, "rows", "1,234,567"),
        (0.2413, "net_revenue_share", "24.13 %"),
        (1234.5, "net_revenue", "1,234.50"),
        (-3, "rows", "−3"),
        (None, "rows", ""),
        (pd.NaT, "started", ""),
        (float("nan"), "rating", ""),
        (True, "is_complete", "yes"),
        (np.bool_(False), "is_complete", "no"),
        (["a", "b"], "reasons", "a, b"),
        (pd.Timestamp("2024-05-01 10:30"), "started", "2024-05-01 10:30"),
        (pd.Timestamp("2024-05-01").date(), "day", "2024-05-01"),
    ],
)
def test_values_are_written_by_what_they_are(value, column, text):
    assert cell(value, column) == text


def test_of_large_tables_the_first_rows_are_shown_and_it_is_said():
    table = shown(pd.DataFrame({"region": ["a"] * 1_000, "lines": 1}), "t", "Regions")
    assert len(table["rows"]) == MOST
    assert table["caption"] == f"Regions: the first {MOST} of 1,000 rows"
    assert [head["number"] for head in table["heads"]] == [False, True]


def test_a_line_of_values_marks_the_last():
    assert svg.sparkline([1.0], "one") == ""
    drawn = svg.sparkline([1.0, float("nan"), 3.0], "<two>")
    assert 'points="2.0,22.0 98.0,4.0"' in drawn
    assert 'aria-label="&lt;two&gt;"' in drawn


# ------------------------------------------------------------------- colours


def schemes() -> list[dict[str, str]]:
    css = (
        resources.files("dask_etl.pipelines.reporting.page")
        .joinpath("templates", "report.css")
        .read_text()
    )
    blocks = re.findall(r":root[^{]*\{([^}]*--paper[^}]*)\}", css)
    assert len(blocks) == 4
    return [dict(re.findall(r"--(\w+): (#\w{6})", block)) for block in blocks]


def contrast(one: str, other: str) -> float:
    def luminance(color: str) -> float:
        channels = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [
            c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
            for c in channels
        ]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_text_stands_out_in_every_scheme():
    for scheme in schemes():
        for text in ("ink", "muted", "link", "good", "bad"):
            for ground in ("paper", "panel"):
                found = contrast(scheme[text], scheme[ground])
                assert found >= 4.5, (text, ground, scheme)
        assert contrast(scheme["mark"], scheme["panel"]) >= 3


def test_numbers_in_maps_stand_out_and_lines_are_not_told_by_colour_alone(normal):
    from matplotlib.colors import to_hex

    from dask_etl.pipelines.reporting import figures

    for figure in (
        figures.seasonality(normal["months"]),
        figures.cohort_retention(normal["cohorts"]),
    ):
        figure.draw_without_rendering()
        axes = figure.axes[0]
        rows = int(axes.get_ylim()[0])
        colors = axes.collections[0].get_facecolor().reshape(rows, -1, 4)
        assert axes.texts
        for text in axes.texts:
            column, row = map(int, text.get_position())
            found = contrast(to_hex(text.get_color()), to_hex(colors[row, column]))
            assert found >= 4.5
    lines = figures.monthly_sales(normal["months"], CURRENCY).axes[1].get_lines()
    marked = {(line.get_color(), line.get_marker()) for line in lines}
    drawn = {both for both in marked if both[1] != "None"}
    assert len(drawn) == len({color for color, _ in drawn}) > 3
    assert len(drawn) == len({marker for _, marker in drawn})


# ------------------------------------------------------------------- browser


@pytest.fixture(scope="module")
def window():
    with browser() as opened:
        yield opened


@pytest.fixture
def shown_page(window, usual, tmp_path):
    path = tmp_path / "report.html"
    path.write_text(usual, "utf-8")
    window.resize(1280, 900)
    window.open(path)
    return window


def test_a_browser_has_nothing_to_complain_of(shown_page):
    assert shown_page.complaints() == []
    assert shown_page.run("return performance.getEntriesByType('resource').length") == 0
    assert shown_page.run("return document.title") == "Sales report"
    tall = (
        "return [...document.querySelectorAll('figure > svg')].map(s => s.clientHeight)"
    )
    heights = shown_page.run(tall)
    # The last is folded away, with the engines.
    assert len(heights) == 9
    assert min(heights[:-1]) > 60


COLUMN = """
const table = document.getElementById(args[0]);
return [...table.tBodies[0].rows].filter(row => !row.hidden)
  .map(row => row.cells[args[1]].textContent);
"""
CLICK = """
document.getElementById(args[0]).tHead.rows[0].cells[args[1]]
  .querySelector('button').click();
return document.getElementById(args[0]).tHead.rows[0].cells[args[1]]
  .getAttribute('aria-sort');
"""


def test_tables_are_sorted_by_numbers_and_by_words(shown_page, normal):
    def column(number):
        return shown_page.run(COLUMN, "regions-table", number)

    def click(number):
        return shown_page.run(CLICK, "regions-table", number)

    lines = sorted(normal["regions"]["lines"])
    assert click(1) == "ascending"
    assert column(1) == [f"{number:,}" for number in lines]
    assert click(1) == "descending"
    assert column(1) == [f"{number:,}" for number in reversed(lines)]
    assert click(0) == "ascending"
    assert column(0) == sorted(normal["regions"]["region"])


def test_tables_are_filtered_and_saved_as_they_are_shown(shown_page):
    save = """
    const table = document.getElementById('rules-table');
    const tools = table.parentElement.previousElementSibling;
    const field = tools.querySelector('input');
    field.value = 'missing';
    field.dispatchEvent(new Event('input'));
    let blob;
    const make = URL.createObjectURL;
    URL.createObjectURL = (given) => { blob = given; return make.call(URL, given); };
    document.addEventListener('click', (e) => {
      if (e.target.tagName === 'A') e.preventDefault();
    }, { once: true, capture: true });
    [...tools.querySelectorAll('button')].at(-1).click();
    return [await blob.text(), tools.querySelector('[role=status]').textContent];
    """
    text, said = shown_page.run(save)
    rows = [line.split(",") for line in text.split("\r\n")]
    missing = [rule for rule in RULES if rule.startswith("missing")]
    assert rows[0][:3] == ["rule", "rows", "share of rows"]
    assert [row[0] for row in rows[1:-1]] == missing
    assert said == f"{len(missing)} rows"


def test_formulas_do_not_leave_a_table(shown_page):
    save = """
    const table = document.getElementById('regions-table');
    table.tBodies[0].rows[0].cells[0].textContent = '=HYPERLINK(1)';
    let blob;
    URL.createObjectURL = (given) => { blob = given; return 'data:,'; };
    table.parentElement.previousElementSibling.querySelector('button').click();
    return blob.text();
    """
    assert "\r\n'=HYPERLINK(1)," in shown_page.run(save)


def test_light_and_dark_and_narrow(shown_page):
    ground = "return getComputedStyle(document.body).backgroundColor"
    before = shown_page.run(ground)
    shown_page.run("document.getElementById('theme').click()")
    after = shown_page.run(ground)
    assert {before, after} == {"rgb(255, 255, 254)", "rgb(20, 25, 31)"}
    text = "return getComputedStyle(document.querySelector('figure text')).fill"
    assert shown_page.run(text) != after
    wide = "return document.documentElement.scrollWidth - innerWidth"
    assert shown_page.run(wide) <= 0
    shown_page.resize(500, 900)
    assert shown_page.run(wide) <= 0


def test_it_is_printed_on_a_few_sheets(shown_page):
    sheets = shown_page.pdf()
    assert sheets.startswith(b"%PDF")
    assert 3 <= len(re.findall(rb"/Type\s*/Page[^s]", sheets)) <= 9
