"""Facts of the rows as they are delivered: gaps, replays, defects."""

from collections.abc import Callable

import pandas as pd

from .facts import Fact
from .samples import Sample

_REPLAYED = "duplicate_transaction_id"


def delivered(sample: Sample) -> pd.DataFrame:
    """Return the rows as they came, which only generated data have."""
    assert sample.delivered is not None
    return sample.delivered


def gap(column: str) -> Callable[[Sample], float]:
    """Share of the rows without a value."""
    return lambda sample: float(delivered(sample)[column].isna().mean())


def gaps_by_category(rows: pd.DataFrame, column: str) -> pd.Series:
    """Share of the rows without a value, by product category."""
    return rows[column].isna().groupby(rows["product_category"], observed=True).mean()


def uneven_gap(column: str) -> Callable[[Sample], float]:
    """Share of the category with most gaps ÷ share of that with least."""

    def measure(sample: Sample) -> float:
        share = gaps_by_category(delivered(sample), column)
        return float(share.max() / share.min())

    return measure


def share_of(rule: str) -> Callable[[Sample], float]:
    """Share of the rows that were spoiled for a rule."""
    return lambda sample: float((delivered(sample)["rule"] == rule).mean())


def delays(rows: pd.DataFrame) -> pd.DataFrame:
    """How long after its first delivery each replay came.

    Returns:
        ``hours``, on the clock of the good rows that came before, and ``parts`` between.
    """
    clock = rows["timestamp"].where(rows["rule"].isna()).cummax().ffill()
    frame = pd.DataFrame(
        {"id": rows["transaction_id"], "at": clock, "part": rows["part"]}
    )
    frame = frame[rows["rule"].isna() | (rows["rule"] == _REPLAYED)]
    first = frame.drop_duplicates("id").set_index("id")
    again = frame.loc[rows.index[rows["rule"] == _REPLAYED]]
    before = first.reindex(again["id"])
    return pd.DataFrame(
        {
            "hours": (again["at"].to_numpy() - before["at"].to_numpy())
            / pd.Timedelta(hours=1),
            "parts": again["part"].to_numpy() - before["part"].to_numpy(),
        }
    )


def median_delay(sample: Sample) -> float:
    """Median of the hours between a line and its replay."""
    return float(delays(delivered(sample))["hours"].median())


def within_a_day(sample: Sample) -> float:
    """Share of the replays that come within a day."""
    return float((delays(delivered(sample))["hours"] <= 24).mean())


def across_parts(sample: Sample) -> float:
    """Share of the replays that come in another file than the line."""
    return float((delays(delivered(sample))["parts"] > 0).mean())


def near_duplicates(sample: Sample) -> float:
    """Share of the good lines that repeat another one under an id of their own."""
    lines = sample.lines.dropna(subset=["customer_id"])
    same = ["customer_id", "timestamp", "product_category", "amount", "quantity"]
    return float(lines.duplicated(same).mean())


def largest_defect(sample: Sample) -> float:
    """Share of the rows with the most frequent of the defects named nowhere else."""
    rules = delivered(sample)["rule"]
    others = rules[~rules.isin([_REPLAYED, "missing_customer_id"])]
    return float(others.value_counts().max() / len(rules))


_RAW = ("transaction_id",)
"""What lines of public data lack, as they lack the rows that were no good."""

DELIVERY_FACTS = (
    Fact("rows without a customer", 0.005, 0.02, gap("customer_id"), _RAW),
    Fact("… category with most ÷ least", 1.3, 4.0, uneven_gap("customer_id"), _RAW),
    Fact("rows without a region", 0.005, 0.02, gap("region"), _RAW),
    Fact("… category with most ÷ least", 1.5, 5.0, uneven_gap("region"), _RAW),
    Fact("rows delivered again", 0.005, 0.02, share_of(_REPLAYED), _RAW),
    Fact("… median hours later", 0.1, 12.0, median_delay, _RAW),
    Fact("… within a day", 0.8, 1.0, within_a_day, _RAW),
    Fact("… in another file", 0.02, 0.5, across_parts, _RAW),
    Fact("lines repeated under another id", 0.0005, 0.005, near_duplicates, _RAW),
    Fact("most frequent other defect", 0.0, 0.01, largest_defect, _RAW),
)
"""Public data have been cleaned of all this; the bounds follow what shops report."""
