"""Facts of sale lines: what is asked for, and how it is measured."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd

from .samples import Sample


class Fact(NamedTuple):
    """Something true of real shops, the bounds asked for, and how it is measured."""

    name: str
    low: float
    high: float
    measure: Callable[[Sample], float]
    needs: tuple[str, ...] = ()
    """Columns of the lines without which it cannot be measured."""
    of_shops: bool = False
    """Says nothing of customers who began together and leave."""

    def of(self, sample: Sample) -> float | None:
        """Measure it; None for a sample that cannot tell."""
        if not {*self.needs} <= {*sample.lines.columns}:
            return None
        if self.of_shops and not sample.is_steady:
            return None
        value = self.measure(sample)
        return None if np.isnan(value) else value


def distance_from_log_normal(sample: Sample) -> float:
    """Largest Kolmogorov–Smirnov distance of a kind's purchases from a log-normal.

    Mean and spread of the log-normal are those of the purchases of the kind.
    """
    bought = sample.purchases[sample.purchases["value"] > 0]
    # The cumulative normal distribution, without scipy: by a fine sum of its density.
    at = np.linspace(-8, 8, 16_001)
    below = np.cumsum(np.exp(-(at**2) / 2))
    below /= below[-1]
    worst = 0.0
    for _, values in bought.groupby("kind", observed=True)["value"]:
        logs = np.sort(np.log(values.to_numpy()))
        expected = np.interp((logs - logs.mean()) / logs.std(), at, below)
        steps = np.arange(len(logs) + 1) / len(logs)
        # Prices repeat: the distribution jumps once for all equal ones.
        first = np.searchsorted(logs, logs, side="left")
        end = np.searchsorted(logs, logs, side="right")
        distance = np.maximum(expected - steps[first], steps[end] - expected)
        worst = max(worst, float(distance.max()))
    return worst


def spread(sample: Sample) -> float:
    """Standard deviation of the log of what purchases are worth."""
    value = sample.purchases["value"]
    return float(np.log(value[value > 0]).std())


def ending_in_9(sample: Sample) -> float:
    """Share of the lines whose price ends in 9."""
    return float((np.rint(sample.lines["amount"].dropna() * 100) % 10 == 9).mean())


def busiest(column: str, share: float | None = None) -> Callable[[Sample], float]:
    """Share of the lines that the first values of a column have.

    Args:
        column: of the lines.
        share: of the values, those with most lines; None for one value alone.
    """

    def measure(sample: Sample) -> float:
        lines = sample.lines[column].value_counts().to_numpy()
        lines = lines[lines > 0]
        first = 1 if share is None else round(len(lines) * share)
        return float(lines[:first].sum() / lines.sum())

    return measure


def spent(sample: Sample) -> np.ndarray:
    """What each customer spends, from the least."""
    return np.sort(sample.lines.groupby("customer_id")["value"].sum().to_numpy())


def gini(sample: Sample) -> float:
    """Gini coefficient of what customers spend."""
    values = spent(sample)
    rank = 2 * np.arange(1, len(values) + 1) - len(values) - 1
    return float((rank * values).sum() / (len(values) * values.sum()))


def top_fifth(sample: Sample) -> float:
    """Share of the value that the best fifth of the customers buys."""
    values = spent(sample)
    return float(values[-(-len(values) * 4 // 5) :].sum() / values.sum())


def purchase_shape(sample: Sample) -> float:
    """Shape r of the negative binomial with the moments of purchases per customer.

    Customers who bought nothing are unknown to the data and left out.
    """
    count = sample.purchases.groupby("customer_id").size()
    return float(count.mean() ** 2 / (count.var() - count.mean()))


def retention(sample: Sample) -> pd.Series:
    """Share of the customers who buy again, by months since their first purchase.

    Of those who may have begun before the period, and of the last year's beginners,
    nothing is told; months with fewer than 50 beginners are left out.
    """
    month = sample.lines["day"].dt.year * 12 + sample.lines["day"].dt.month
    active = pd.DataFrame({"customer": sample.lines["customer_id"], "month": month})
    active = active.drop_duplicates()
    first = active.groupby("customer")["month"].transform("min")
    start, end = int(month.min()), int(month.max())
    # Whoever bought in the first month of a shop's data need not have begun then.
    begun = first > start if sample.is_steady else first >= start
    counts = active[begun].groupby([first, active["month"] - first]).size().unstack()
    counts = counts[(counts.index + 12 <= end) & (counts[0] >= 50)]
    return (counts.sum() / counts[0].sum()).reindex(range(13)).fillna(0.0)


def kept_after_a_year(sample: Sample) -> float:
    """Customers who buy a year later ÷ those who buy one month later."""
    share = retention(sample)
    return float(share[12] / share[1]) if share[1] else float("nan")


def convexity(sample: Sample) -> float:
    """Customers who buy half a year later ÷ the middle between one month and a year.

    Below 1 where many leave at first, and few of those who stayed.
    """
    share = retention(sample)
    middle = (share[1] + share[12]) / 2
    return float((share[6] + share[7]) / 2 / middle) if middle else float("nan")


def daily(lines: pd.DataFrame) -> pd.Series:
    """Lines of each day, 0 where none was sold."""
    return lines.groupby("day").size().asfreq("D", fill_value=0)


def by_weekday(sample: Sample) -> pd.Series:
    """Lines per day of the week, Monday first, ÷ those of the mean of these."""
    lines = daily(sample.lines)
    mean = lines.groupby(lines.index.day_of_week).mean()
    return mean / mean.mean()


def weekdays(sample: Sample) -> float:
    """Lines of the busiest day of the week ÷ those of the quietest, per calendar day."""
    mean = by_weekday(sample)
    return float(mean.max() / mean.min())


def autocorrelation(days: int) -> Callable[[Sample], float]:
    """Correlation of the lines of a day with those some days before."""

    def measure(sample: Sample) -> float:
        return float(daily(sample.lines).astype(float).autocorr(days))

    return measure


def by_month(lines: pd.DataFrame) -> pd.Series:
    """Lines per day of each month of the year ÷ those of the mean day."""
    sold = daily(lines)
    return sold.groupby(sold.index.month).mean() / sold.mean()


def month_of(month: int, *categories: str) -> Callable[[Sample], float]:
    """Lines per day of a month ÷ those of the mean day, of some categories or all."""

    def measure(sample: Sample) -> float:
        lines = sample.lines
        if categories:
            lines = lines[lines["product_category"].isin(categories)]
        return float(by_month(lines).get(month, np.nan)) if len(lines) else np.nan

    return measure


def on_day(month: int, day: int) -> Callable[[Sample], float]:
    """Lines of a day of the year ÷ those of the mean day of its month."""
    return _on(month, lambda days: days.day == day)


def thanksgiving(shift: int = 0) -> Callable[[Sample], float]:
    """Lines of the fourth Thursday of November, or days after, ÷ the month's mean."""

    def chosen(days: pd.DatetimeIndex) -> np.ndarray:
        before = days - pd.Timedelta(days=shift)
        return (before.day_of_week == 3) & (before.day >= 22) & (before.day <= 28)

    return _on(11, chosen)


def _on(
    month: int, chosen: Callable[[pd.DatetimeIndex], np.ndarray]
) -> Callable[[Sample], float]:
    def measure(sample: Sample) -> float:
        lines = daily(sample.lines)
        lines = lines[lines.index.month == month]
        return float(lines[chosen(lines.index)].mean() / lines.mean())

    return measure


def undiscounted(sample: Sample) -> float:
    """Share of the lines without a discount, where it is known."""
    return float((sample.lines["discount"].dropna() == 0).mean())


def depth(sample: Sample) -> float:
    """Median of the discounts that there are."""
    given = sample.lines["discount"]
    return float(given[given > 0].median())


def returned(sample: Sample) -> float:
    """Share of the value that comes back."""
    back = sample.lines["is_returned"].fillna(False).astype(bool)
    return float(sample.lines["value"][back].sum() / sample.lines["value"].sum())


def returns_by_category(sample: Sample) -> float:
    """Returned lines: share of the category with most ÷ share of that with least."""
    known = sample.lines.dropna(subset=["is_returned"])
    back = known["is_returned"].astype(float)
    share = back.groupby(known["product_category"], observed=True).mean()
    return float(share.max() / share.min())


def returns_without_region(sample: Sample) -> float:
    """Returned lines: share of those without a region ÷ share of the others."""
    known = sample.lines.dropna(subset=["is_returned"])
    back = known["is_returned"].astype(float)
    missing = known["region"].isna()
    return float(back[missing].mean() / back[~missing].mean())


_CUSTOMERS, _CATEGORIES = ("customer_id",), ("product_category",)
_RETURNS = ("is_returned",)

FACTS = (
    Fact(
        "purchases: largest distance from log-normal", 0, 0.06, distance_from_log_normal
    ),
    Fact("purchases: spread of the log", 1.0, 1.25, spread),
    Fact("prices that end in 9", 0.35, 0.55, ending_in_9, ("amount",)),
    Fact(
        "lines of the busiest category", 0.15, 0.75, busiest(*_CATEGORIES), _CATEGORIES
    ),
    Fact(
        "lines of the top fifth of products",
        0,
        1,
        busiest("product", 0.2),
        ("product",),
    ),
    Fact("customers' spend: Gini", 0.5, 0.7, gini, _CUSTOMERS),
    Fact("customers' spend: top fifth", 0.55, 0.68, top_fifth, _CUSTOMERS),
    Fact(
        "purchases per customer: negative binomial r",
        0.24,
        1.2,
        purchase_shape,
        _CUSTOMERS,
    ),
    Fact(
        "retention: 12 months later ÷ 1 month later",
        0.35,
        0.75,
        kept_after_a_year,
        _CUSTOMERS,
    ),
    Fact(
        "retention: 6 or 7 months later ÷ the middle of both",
        0.6,
        0.97,
        convexity,
        _CUSTOMERS,
    ),
    Fact("busiest ÷ quietest weekday", 1.15, 1.6, weekdays),
    Fact(
        "daily lines: correlation with a week before",
        0.4,
        0.8,
        autocorrelation(7),
        of_shops=True,
    ),
    Fact("December, all", 1.0, 1.25, month_of(12), of_shops=True),
    Fact(
        "December, Electronics",
        1.2,
        1.55,
        month_of(12, "Electronics"),
        _CATEGORIES,
        True,
    ),
    Fact("December, Clothing", 1.35, 1.75, month_of(12, "Clothing"), _CATEGORIES, True),
    Fact("February, all", 0.88, 1.0, month_of(2), of_shops=True),
    Fact("February, Clothing", 0.75, 0.95, month_of(2, "Clothing"), _CATEGORIES, True),
    Fact("day before Thanksgiving", 1.2, 2.0, thanksgiving(-1), of_shops=True),
    Fact("Thanksgiving", 0.15, 0.6, thanksgiving(), of_shops=True),
    Fact("23 December", 1.3, 2.0, on_day(12, 23), of_shops=True),
    Fact("25 December", 0.15, 0.6, on_day(12, 25), of_shops=True),
    Fact("lines without discount", 0.45, 0.55, undiscounted, ("discount",)),
    Fact("median discount", 0.2, 0.3, depth, ("discount",)),
    Fact("value returned", 0.08, 0.2, returned, _RETURNS),
    Fact("returns: category with most ÷ least", 3, 40, returns_by_category, _RETURNS),
    Fact(
        "returns: lines without ÷ with a region",
        1.1,
        1.8,
        returns_without_region,
        _RETURNS,
    ),
)
"""The bounds are around what public panels of shops show."""
