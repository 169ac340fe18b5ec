import os

import numpy as np
import pandas as pd
import pytest

from benchmarks.realism import __main__ as realism
from benchmarks.realism import samples
from benchmarks.realism.delivery import DELIVERY_FACTS
from benchmarks.realism.facts import FACTS, distance_from_log_normal, retention
from benchmarks.realism.figures import PICTURES
from benchmarks.realism.samples import REAL, Sample, generated
from dask_etl.retail.parameters import Generation

ALL = (*FACTS, *DELIVERY_FACTS)
BY_NAME = {fact.name: fact for fact in FACTS}


@pytest.fixture(scope="module")
def made() -> Sample:
    return generated(
        Generation(rows=400_000, customers=20_000, rows_per_partition=150_000)
    )


@pytest.fixture(scope="module")
def real() -> dict[str, Sample]:
    found, missing = samples.real()
    if missing and not os.environ.get("CI"):
        pytest.skip("; ".join(missing))
    assert len(found) == len(REAL)
    return {sample.name: sample for sample in found}


@pytest.mark.parametrize(
    "fact",
    [fact for fact in ALL if fact.needs != ("product",)],
    ids=lambda fact: fact.name,
)
def test_generated_data_meet_each_fact(made, fact):
    value = fact.of(made)
    assert value is not None
    assert fact.low <= value <= fact.high


def test_uniform_values_are_far_from_log_normal():
    values = np.random.default_rng(1).uniform(0.01, 100, 20_000)
    uniform = pd.DataFrame({"value": values, "kind": "any"})
    assert distance_from_log_normal(Sample("Generated", uniform, uniform)) > 0.06


def test_retention_counts_those_who_come_again():
    """Three begin in February; two of them buy in March, one a year later."""
    bought = {1: ["02-01", "03-05"], 2: ["02-03", "03-30"], 3: ["02-07"]}
    lines = [(c, f"2023-{day}") for c, days in bought.items() for day in days]
    lines += [(2, "2024-02-11"), (4, "2023-01-15"), (4, "2023-03-15")]
    frame = pd.DataFrame(lines * 50, columns=["customer_id", "day"])
    # Fifty of each.
    frame["customer_id"] += 10 * np.repeat(np.arange(50), len(lines))
    frame["day"] = pd.to_datetime(frame["day"])
    share = retention(Sample("any", frame, frame))
    assert share[[0, 1, 2, 12]].tolist() == pytest.approx([1, 2 / 3, 0, 1 / 3])


# What others have published of these data sets.
PUBLISHED = {
    ("Complete Journey", "purchases: spread of the log"): (1.0, 1.3),
    ("Complete Journey", "purchases: largest distance from log-normal"): (0.0, 0.06),
    ("Complete Journey", "prices that end in 9"): (0.43, 0.47),
    ("Complete Journey", "lines of the top fifth of products"): (0.8, 0.9),
    ("Complete Journey", "customers' spend: Gini"): (0.5, 0.6),
    ("Complete Journey", "purchases per customer: negative binomial r"): (0.75, 0.9),
    ("Complete Journey", "busiest ÷ quietest weekday"): (1.2, 1.5),
    ("Complete Journey", "daily lines: correlation with a week before"): (0.4, 0.6),
    ("Complete Journey", "lines without discount"): (0.45, 0.55),
    ("Complete Journey", "median discount"): (0.2, 0.3),
    ("CDNOW", "customers' spend: Gini"): (0.6, 0.68),
    ("CDNOW", "customers' spend: top fifth"): (0.64, 0.7),
    ("CDNOW", "purchases per customer: negative binomial r"): (0.2, 1.0),
}


@pytest.mark.parametrize(("name", "fact"), PUBLISHED)
def test_real_data_have_the_values_that_are_known_of_them(real, name, fact):
    low, high = PUBLISHED[name, fact]
    value = BY_NAME[fact].of(real[name])
    assert value is not None
    assert low <= value <= high


def test_customers_of_cdnow_leave_as_is_known(real):
    share = retention(real["CDNOW"])
    assert share[1] == pytest.approx(0.13, abs=0.03)
    assert share[12] == pytest.approx(0.07, abs=0.03)


def test_page_and_pictures_are_made_of_what_is_there(
    real, tmp_path, monkeypatch, capsys
):
    page = tmp_path / "data.md"
    (tmp_path / "images").mkdir()
    page.write_text("Before.\n\n<!-- facts -->\nold\n<!-- end of facts -->\n\nAfter.\n")
    monkeypatch.setattr(realism, "DOCS", tmp_path)

    def not_there():
        raise ModuleNotFoundError("great_tables is not installed", name="great_tables")

    monkeypatch.setitem(REAL, "completejourney", lambda: real["Complete Journey"])
    monkeypatch.setitem(REAL, "pizzaplace", not_there)
    realism.main(["60000", "--write"])
    said = capsys.readouterr()
    assert "pizzaplace: great_tables is not installed" in said.err
    text = page.read_text()
    assert text.startswith(
        "Before.\n\n<!-- facts -->\n| fact | asked for | Generated |"
    )
    assert text.endswith("|\n<!-- end of facts -->\n\nAfter.\n")
    assert "Complete Journey | CDNOW | met |" in text
    assert "Pizzaplace" not in text
    assert text.count("\n| ") == len(ALL) + 1
    for name in PICTURES:
        picture = (tmp_path / "images" / f"{name}.png").read_bytes()
        assert picture.startswith(b"\x89PNG")
        assert 5_000 < len(picture) <= 60_000, name
