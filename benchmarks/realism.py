"""How much the generated transactions look like those of real shops.

    python -m benchmarks.realism [ROWS]

Generates rows of the default shop in this process, keeps those that break no rule, and
prints a Markdown table: each fact, what is asked for, and what the data have.
"""

import sys
from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa

from dask_etl.pipelines.data_generation.generator import (
    generate_partition,
    partition_count,
)
from dask_etl.retail.parameters import Cleaning, Currency, Generation
from dask_etl.retail.rules import broken_rules, is_rejected

ROWS = 1_000_000
LINES_PER_CUSTOMER = 20
"""As in the default parameters; what a customer spends depends on it."""


class Fact(NamedTuple):
    """Something true of real shops, the bounds asked for, and how it is measured."""

    name: str
    low: float
    high: float
    measure: Callable[[pd.DataFrame], float]
    """Of good rows, as :func:`good_rows` returns them."""


def good_rows(generation: Generation) -> pd.DataFrame:
    """Return rows without defects, with their net ``value`` and ``day``.

    Replays and near-duplicates under ids of their own are as rare as the parameters say;
    of replays the first stays.
    """
    parts = [
        generate_partition(generation, index)["raw_transactions"]
        for index in range(partition_count(generation))
    ]
    generated = pa.concat_tables(parts).combine_chunks()
    last = datetime.combine(generation.end, time(), UTC) + timedelta(days=1)
    good = ~is_rejected(broken_rules(generated, last, Cleaning(), Currency()))
    rows = (
        generated.filter(pa.array(good)).to_pandas().drop_duplicates("transaction_id")
    )
    return rows.assign(
        value=rows["amount"] * (1 - rows["discount"].fillna(0)) * rows["quantity"],
        day=rows["timestamp"].dt.floor("D"),
    )


def distance_from_log_normal(rows: pd.DataFrame) -> float:
    """Largest Kolmogorov–Smirnov distance of a category's line values from a log-normal.

    Mean and spread of the log-normal are those of the category's lines.
    """
    rows = rows[rows["value"] > 0]
    # The cumulative normal distribution, without scipy: by a fine sum of its density.
    at = np.linspace(-8, 8, 16_001)
    below = np.cumsum(np.exp(-(at**2) / 2))
    below /= below[-1]
    worst = 0.0
    for _, values in rows.groupby("product_category", observed=True)["value"]:
        logs = np.sort(np.log(values.to_numpy()))
        expected = np.interp((logs - logs.mean()) / logs.std(), at, below)
        steps = np.arange(len(logs) + 1) / len(logs)
        # Prices repeat: the distribution jumps once for all equal ones.
        first = np.searchsorted(logs, logs, side="left")
        end = np.searchsorted(logs, logs, side="right")
        distance = np.maximum(expected - steps[first], steps[end] - expected)
        worst = max(worst, float(distance.max()))
    return worst


def spread(rows: pd.DataFrame) -> float:
    """Standard deviation of the log of the line values."""
    return float(np.log(rows["value"][rows["value"] > 0]).std())


def ending_in_9(rows: pd.DataFrame) -> float:
    """Share of the lines whose price ends in 9."""
    return float((np.rint(rows["amount"] * 100) % 10 == 9).mean())


def gini(rows: pd.DataFrame) -> float:
    """Gini coefficient of what customers spend."""
    spent = np.sort(_spent(rows))
    rank = 2 * np.arange(1, len(spent) + 1) - len(spent) - 1
    return float((rank * spent).sum() / (len(spent) * spent.sum()))


def purchase_shape(rows: pd.DataFrame) -> float:
    """Shape r of the negative binomial with the moments of lines per customer.

    Customers who bought nothing are unknown to the rows and left out.
    """
    lines = rows.groupby("customer_id").size()
    return float(lines.mean() ** 2 / (lines.var() - lines.mean()))


def top_fifth(rows: pd.DataFrame) -> float:
    """Share of the value that the best fifth of the customers buys."""
    spent = np.sort(_spent(rows))
    return float(spent[-(-len(spent) * 4 // 5) :].sum() / spent.sum())


def weekdays(rows: pd.DataFrame) -> float:
    """Lines of the busiest day of the week ÷ those of the quietest, per calendar day."""
    daily = _daily(rows)
    mean = daily.groupby(daily.index.day_of_week).mean()
    return float(mean.max() / mean.min())


def december(*categories: str) -> Callable[[pd.DataFrame], float]:
    """Lines per day of December ÷ those of the mean day, of some categories or all."""

    def measure(rows: pd.DataFrame) -> float:
        if categories:
            rows = rows[rows["product_category"].isin(categories)]
        daily = _daily(rows)
        return float(daily[daily.index.month == 12].mean() / daily.mean())

    return measure


def on_day(month: int, day: int) -> Callable[[pd.DataFrame], float]:
    """Lines of a day of the year ÷ those of the mean day of its month."""

    def measure(rows: pd.DataFrame) -> float:
        daily = _daily(rows)
        daily = daily[daily.index.month == month]
        return float(daily[daily.index.day == day].mean() / daily.mean())

    return measure


def undiscounted(rows: pd.DataFrame) -> float:
    """Share of the lines without a discount, where it is known."""
    return float((rows["discount"].dropna() == 0).mean())


def depth(rows: pd.DataFrame) -> float:
    """Median of the discounts that there are."""
    given = rows["discount"]
    return float(given[given > 0].median())


def returned(rows: pd.DataFrame) -> float:
    """Share of the value that comes back."""
    back = rows["is_returned"].fillna(False).astype(bool)
    return float(rows["value"][back].sum() / rows["value"].sum())


def _spent(rows: pd.DataFrame) -> np.ndarray:
    return rows.groupby("customer_id")["value"].sum().to_numpy()


def _daily(rows: pd.DataFrame) -> pd.Series:
    return rows.groupby("day").size().asfreq("D", fill_value=0)


FACTS = (
    Fact(
        "line values: largest distance from log-normal",
        0,
        0.06,
        distance_from_log_normal,
    ),
    Fact("line values: spread of the log", 1.0, 1.25, spread),
    Fact("prices that end in 9", 0.35, 0.55, ending_in_9),
    Fact("customers' spend: Gini", 0.5, 0.7, gini),
    Fact("customers' spend: top fifth", 0.55, 0.68, top_fifth),
    Fact("lines per customer: negative binomial r", 0.24, 1.2, purchase_shape),
    Fact("busiest ÷ quietest weekday", 1.15, 1.6, weekdays),
    Fact("December, all", 1.0, 1.25, december()),
    Fact("December, Electronics", 1.2, 1.55, december("Electronics")),
    Fact("December, Clothing", 1.35, 1.75, december("Clothing")),
    Fact("23 December", 1.3, 2.0, on_day(12, 23)),
    Fact("25 December", 0.15, 0.6, on_day(12, 25)),
    Fact("lines without discount", 0.45, 0.55, undiscounted),
    Fact("median discount", 0.2, 0.3, depth),
    Fact("value returned", 0.08, 0.2, returned),
)
"""The bounds are around what public panels of shops show."""


def table(rows: pd.DataFrame) -> list[str]:
    """Return lines of a Markdown table of all facts."""
    lines = ["| fact | asked for | generated | |", "|---|---|---|---|"]
    for fact in FACTS:
        value = fact.measure(rows)
        met = "yes" if fact.low <= value <= fact.high else "**no**"
        asked = f"{fact.low:.2f} to {fact.high:.2f}"
        lines.append(f"| {fact.name} | {asked} | {value:.3f} | {met} |")
    return lines


def main(arguments: list[str]) -> None:
    """Generate, measure, print."""
    count = int(arguments[0]) if arguments else ROWS
    generation = Generation(rows=count, customers=max(1, count // LINES_PER_CUSTOMER))
    print("\n".join(table(good_rows(generation))))


if __name__ == "__main__":
    main(sys.argv[1:])
