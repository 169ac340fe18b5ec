from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text

from dask_etl.pipelines.reporting import figures, findings, performance
from dask_etl.pipelines.reporting.findings import LARGEST, largest
from dask_etl.pipelines.reporting.style import percent, short
from dask_etl.wording import number
from support.good_rows import CURRENCY

pytestmark = pytest.mark.filterwarnings("ignore:The set_bad function")  # seaborn

SIX = ("regions", "categories", "months", "weekdays", "segments", "cohorts")
DRAWN = {
    "regional_analysis": "regions",
    "category_revenue": "categories",
    "monthly_sales": "months",
    "seasonality": "months",
    "weekday_pattern": "weekdays",
    "customer_segments": "segments",
    "cohort_retention": "cohorts",
}


def draw(name, case):
    if name == "business_insights":
        tables = {table: case[table] for table in (*SIX, "currency")}
        return figures.business_insights(**tables)
    if name == "performance_comparison":
        return performance.performance_comparison(case["run_metrics"], VERIFIED)
    table = case[DRAWN[name]]
    if name in ("seasonality", "cohort_retention"):
        return getattr(figures, name)(table)
    return getattr(figures, name)(table, case["currency"])


def drawn_texts(figure, monkeypatch) -> list[Text]:
    """The texts that really end up in the picture."""
    figure.draw_without_rendering()
    seen = []
    draw_text = Text.draw

    def record(self, renderer, *args, **kwargs):
        if self.get_visible() and self.get_text().strip():
            seen.append(self)
        return draw_text(self, renderer, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(Text, "draw", record)
        figure.draw_without_rendering()
    return list(dict.fromkeys(seen))


VERIFIED = pd.DataFrame({"identical": [True] * 16})
FIGURES = [*DRAWN, "business_insights", "performance_comparison"]


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_can_be_read(name, case, monkeypatch):
    figure = draw(name, case)
    texts = drawn_texts(figure, monkeypatch)
    assert figure.get_suptitle() in [text.get_text() for text in texts]
    boxes = [(text.get_text(), text.get_window_extent()) for text in texts]
    for text, box in boxes:
        inside = box.x0 >= -1 and box.y0 >= -1
        inside &= box.x1 <= figure.bbox.x1 + 1 and box.y1 <= figure.bbox.y1 + 1
        assert inside, f"{text!r} is clipped"
    for (one, a), (other, b) in combinations(boxes, 2):
        wide = min(a.x1, b.x1) - max(a.x0, b.x0)
        high = min(a.y1, b.y1) - max(a.y0, b.y0)
        assert not (wide > 2 and high > 3), f"{one!r} and {other!r} overlap"


@pytest.mark.parametrize("name", FIGURES)
def test_titles_are_findings(name, normal):
    title = draw(name, normal).get_suptitle()
    assert any(character.isdigit() for character in title), title


def test_nothing_global_is_left_behind(normal):
    import matplotlib as mpl
    from matplotlib import pyplot as plt

    before = {key: mpl.rcParams[key] for key in mpl.rcParams if key != "backend"}
    for name in FIGURES:
        draw(name, normal)
    assert before.items() <= dict(mpl.rcParams).items()
    assert plt.get_fignums() == []


def test_labels_are_never_read_as_mathematics(normal, tmp_path):
    regions = normal["regions"].assign(region=lambda t: "$x_{" + t["region"] + "$|_")
    figures.regional_analysis(regions, CURRENCY).savefig(tmp_path / "figure.png")


def test_the_rest_adds_up():
    table = pd.DataFrame(
        {
            "region": [f"R{i:03d}" for i in range(50)],
            "lines": 10,
            "revenue": [200.0 + i for i in range(50)],
            "returned_revenue": 50.0,
            "net_revenue": [150.0 + i for i in range(50)],
            "net_revenue_share": 0.02,
        }
    )
    top = largest(table, "region")
    assert len(top) == LARGEST + 1
    assert list(top["label"].iloc[:2]) == ["R049", "R048"]
    rest = top.iloc[-1]
    assert rest["label"] == "38 others"
    assert rest["net_revenue"] == sum(150.0 + i for i in range(38))
    assert rest["average_line_revenue"] == rest["net_revenue"] / 380
    assert top["net_revenue"].sum() == table["net_revenue"].sum()
    assert len(largest(table.iloc[:13], "region")) == 13


def test_findings_of_the_plain_case(normal):
    december = findings.season_finding(normal["months"].assign(enough_data=True))
    assert december.startswith("A day in December sells 37 % more than an average day")
    assert findings.weekday_finding(normal["weekdays"]) == (
        "Saturday is 17 % above the average day, Tuesday 10 % below it"
    )
    assert "the last 12 complete months are" in findings.month_finding(
        normal["months"], CURRENCY
    )
    assert "a year after their first" in findings.cohort_finding(normal["cohorts"])


def test_returns_that_do_not_differ_are_not_ranked(normal):
    alike = normal["regions"].assign(returned_revenue=lambda t: t["revenue"] * 0.1)
    assert findings.region_finding(alike).endswith(
        "returns are much the same everywhere (10 % of value)"
    )


def test_returns_of_regions_without_name_are_not_passed_over(normal):
    regions = normal["regions"]
    unknown = regions["region"] == "Unknown"
    rate = np.where(unknown, 0.2, 0.1)
    alike = regions.assign(returned_revenue=regions["revenue"] * rate)
    assert findings.region_finding(alike).endswith(
        "; returns are much the same in all named regions (10 % of value), but 20 % "
        "where the region is not known"
    )


def test_february_is_not_weak_for_its_length():
    """The same every day, so that there are no seasons."""
    starts = pd.date_range("2023-01-01", periods=24, freq="MS")
    rows = pd.DataFrame({"month": starts, "net_revenue": 100.0 * starts.days_in_month})
    rows = rows.assign(is_complete=True, enough_data=True, is_total=False)
    months = pd.concat(
        [
            rows.assign(product_category="Toys"),
            rows.assign(product_category=None, is_total=True),
        ],
        ignore_index=True,
    )
    index = findings.season_index(months)
    assert list(index.index) == ["All categories", "Toys"]
    assert np.allclose(index, 1)
    assert "no more than an average day" in findings.season_finding(months)


def test_customers_of_the_first_month_are_not_new(normal):
    """Most of them were customers before the data begin."""
    cohorts = normal["cohorts"].copy()
    first = cohorts["cohort"] == cohorts["cohort"].min()
    cohorts.loc[first & (cohorts["months_since"] > 0), "active_customers"] = (
        cohorts.loc[first, "cohort_size"].iloc[0]
    )
    assert findings.cohort_finding(cohorts) == findings.cohort_finding(
        normal["cohorts"]
    )
    assert len(findings.known_cohorts(cohorts[first])) == first.sum()


@pytest.mark.parametrize(
    ("share", "said"),
    [
        (0.17, "a sixth of"),
        (0.5, "half of"),
        (0.42, "42 % of"),
        (0.004, "0.4 % of"),
        (1.0, "as much as"),
        (3.21, "3.2 times"),
        (14.4, "14 times"),
    ],
)
def test_how_many_times_as_much(share, said):
    assert performance.times(share) == said


def test_nodes_that_only_describe_are_not_shown_as_fast(make_metrics):
    run = make_metrics(["etl_dask"]).copy()
    run.loc[run["node"] == "dask.check_ledger", "wall_seconds"] = 0.006
    assert performance.slowest_nodes(run)["node"].tolist() == [
        "dask.read_and_clean",
        "1 other node",
    ]


def test_seasonality_says_what_is_missing(normal):
    months = normal["months"].assign(enough_data=False)
    title = figures.seasonality(months).get_suptitle()
    assert title == "Seasonality needs 24 complete months; the data cover 24"


def test_net_revenue_of_zero_has_no_shares(normal, tmp_path):
    zero = ["revenue", "returned_revenue", "net_revenue"]
    regions = normal["regions"].assign(
        **dict.fromkeys(zero, 0.0), net_revenue_share=float("nan")
    )
    assert findings.region_finding(regions) == "No net revenue in any of 7 regions"
    figures.regional_analysis(regions, CURRENCY).savefig(tmp_path / "figure.png")


def test_refunds_beyond_sales_are_drawn(normal, tmp_path):
    regions = normal["regions"].assign(net_revenue=lambda t: -t["net_revenue"])
    figures.regional_analysis(regions, CURRENCY).savefig(tmp_path / "figure.png")
    months = normal["months"].assign(net_revenue=lambda t: -t["net_revenue"])
    figures.monthly_sales(months, CURRENCY).savefig(tmp_path / "months.png")


@pytest.mark.parametrize(
    ("engines", "title"),
    [
        (["etl_dask"], "Only Dask has been measured; run etl_pandas to compare"),
        (["etl_pandas"], "Only pandas has been measured; run etl_dask to compare"),
        ([], "No run has been measured yet"),
        (
            ["etl_dask", "etl_pandas"],
            "Dask is 4.1 times as fast as pandas, with a quarter of its memory",
        ),
    ],
)
def test_performance_of_what_was_measured(engines, title, make_metrics, tmp_path):
    figure = performance.performance_comparison(make_metrics(engines), VERIFIED)
    assert figure.get_suptitle() == title
    figure.savefig(tmp_path / "figure.png")


def test_speed_is_shown_with_the_verdict_on_the_results(make_metrics):
    figure = performance.performance_comparison(make_metrics(), VERIFIED)
    assert "All 16 tables of both engines are identical." in _caption(figure)
    differing = VERIFIED.assign(identical=[False] * 2 + [True] * 14)
    figure = performance.performance_comparison(make_metrics(), differing)
    assert "2 of 16 tables differ between the engines!" in _caption(figure)


def _caption(figure):
    return figure.get_supxlabel().replace("\n", " ")


def test_runs_on_different_data_are_not_compared(make_metrics):
    finding = performance.performance_finding(make_metrics(rows=1_000_000))
    assert "not comparable: Dask had 1 million rows, pandas 10 million" in finding


def test_only_the_latest_run_of_each_engine_counts(make_metrics):
    old = make_metrics(["etl_dask"]).assign(
        run_id="old", wall_seconds=99.0, started_at=pd.Timestamp("2020-01-01", tz="UTC")
    )
    history = pd.concat([make_metrics(), old], ignore_index=True)
    runs = performance.latest_runs(history)
    assert set(runs["Dask"]["run_id"]) == {"run-etl_dask"}


def test_many_nodes_are_summed_up(make_metrics):
    run = make_metrics(["etl_pandas"])
    nodes = pd.concat(
        [run[run["node"] != "(all)"].assign(node=str(i)) for i in range(5)]
    )
    nodes = nodes.reset_index(drop=True)
    shown = performance.slowest_nodes(nodes)
    assert len(shown) == 9
    assert shown["node"].iloc[-1] == "12 other nodes"
    assert shown["wall_seconds"].sum() == pytest.approx(nodes["wall_seconds"].sum())


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (7, "7"),
        (33.8312, "33.83"),
        (1234.5, "1,234"),
        (1_234_567, "1.23 million"),
        (45_600_000, "45.6 million"),
        (2.5e9, "2.5 billion"),
        (999_999_999, "1 billion"),
        (-1_234_567, "-1.23 million"),
    ],
)
def test_numbers(value, text):
    assert number(value) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0, "0 %"),
        (0.00047, "0.05 %"),
        (1e-6, "< 0.01 %"),
        (0.083, "8.3 %"),
        (0.24, "24 %"),
        (1, "100 %"),
        (None, "n/a"),
    ],
)
def test_percentages(share, text):
    assert percent(share) == text


def test_long_labels_are_cut():
    assert short("x" * 50) == "x" * 23 + "…"
    assert short("North") == "North"
