"""What the tables say, each in one sentence: the titles of figures and report."""

import pandas as pd

from dask_etl.retail.parameters import Currency
from dask_etl.retail.schema import UNKNOWN

from .style import amount, percent

NO_DATA = "No data"
LARGEST = 12
"""How many regions or categories figures show by name; the rest is "other"."""

MONTHS_NEEDED = 24
"""Complete months that a seasonality index needs."""

ALIKE = 0.15
"""Rates closer together than this share of the overall rate are "much the same"."""

WEEKDAYS = (
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
)


def largest(
    performance: pd.DataFrame, label: str, count: int = LARGEST
) -> pd.DataFrame:
    """The ``count`` labels with the most net revenue, and one row for all others.

    Args:
        performance: region or category performance.
        label: its label column, renamed to ``label`` in the result.
        count: how many labels to keep; one more stays rather than be "other" alone.

    Returns:
        label, lines, revenue, returned_revenue, net_revenue and net_revenue_share,
        return_rate_value and average_line_revenue, largest first; ``members`` is
        how many labels a row stands for, ``is_rest`` marks what is no place or
        product of its own.
    """
    table = performance.rename(columns={label: "label"}).assign(
        label=lambda t: t["label"].astype(str),
        is_rest=lambda t: t["label"] == UNKNOWN,
        members=1,
    )
    table = table.sort_values(["net_revenue", "label"], ascending=[False, True])
    if len(table) > count + 1:
        top, rest = table.iloc[:count], table.iloc[count:]
        measures = ["lines", "revenue", "returned_revenue", "net_revenue"]
        shares = rest["net_revenue_share"].sum(min_count=1)
        other = {
            **rest[measures].sum(),
            "label": f"{len(rest):,} others",
            "net_revenue_share": shares,
            "is_rest": True,
            "members": len(rest),
        }
        table = pd.concat([top, pd.DataFrame([other])], ignore_index=True)
    gross = table["revenue"].where(table["revenue"] != 0)
    lines = table["lines"].where(table["lines"] != 0)
    return table.assign(
        return_rate_value=table["returned_revenue"] / gross,
        average_line_revenue=table["net_revenue"] / lines,
    )


def region_finding(regions: pd.DataFrame) -> str:
    """Who brings the most, and where most comes back."""
    if regions.empty:
        return NO_DATA
    top = largest(regions, "region")
    first = top.iloc[0]
    if len(regions) == 1:
        rate = percent(first["return_rate_value"])
        return f"{first['label']} is the only region; {rate} of its sales come back"
    if pd.isna(first["net_revenue_share"]):
        return f"No net revenue in any of {len(regions):,} regions"
    text = (
        f"{first['label']} brings {percent(first['net_revenue_share'])} of net revenue"
    )
    if len(regions) > LARGEST + 1:
        text += f", the most of {len(regions):,} regions"
    rates = top[~top["is_rest"]].set_index("label")["return_rate_value"].dropna()
    if rates.empty or rates.max() == 0:
        return text
    overall = regions["returned_revenue"].sum() / regions["revenue"].sum()
    if rates.max() - rates.min() < ALIKE * overall:
        return f"{text}; returns are much the same everywhere ({percent(overall)} of value)"
    among = " among the largest" if len(regions) > LARGEST + 1 else ""
    return (
        f"{text}; returns are highest{among} in {rates.idxmax()} "
        f"({percent(rates.max())} of value)"
    )


def category_finding(categories: pd.DataFrame) -> str:
    """How few categories carry the business."""
    if categories.empty:
        return NO_DATA
    top = categories.sort_values("rank", kind="stable").reset_index(drop=True)
    names, shares = top["product_category"].astype(str), top["cumulative_share"]
    if len(top) == 1:
        return f"{names[0]} is the only category"
    if shares.isna().all():
        return f"No net revenue in any of {len(top):,} categories"
    half = shares >= 0.5
    needed = int(half.argmax()) + 1 if half.any() else len(top)
    share = percent(shares[needed - 1])
    if needed == 1:
        return f"{names[0]} alone brings {share} of net revenue"
    if needed <= 3:
        who = f"{', '.join(names[: needed - 1])} and {names[needed - 1]}"
        return f"{who} bring {share} of net revenue"
    return f"{needed:,} of {len(top):,} categories bring {share} of net revenue"


def all_categories(months: pd.DataFrame) -> pd.DataFrame:
    """The monthly totals, with ``month`` as timestamps."""
    total = months[months["is_total"].astype(bool)]
    return total.assign(month=pd.to_datetime(total["month"]))


def month_finding(months: pd.DataFrame, currency: Currency) -> str:
    """The best month, and growth over a year where there is one to compare with."""
    total = all_categories(months)
    complete = total[total["is_complete"].astype(bool)]
    if total.empty:
        return NO_DATA
    if complete.empty:
        return "No month is complete yet"
    best = complete.loc[complete["net_revenue"].idxmax()]
    peak = (
        f"{best['month']:%B %Y} brings the most net revenue "
        f"({amount(best['net_revenue'], currency)})"
    )
    compared = complete.dropna(subset=["year_on_year"]).tail(12)
    compared = compared[compared["year_on_year"] > -1]
    if compared.empty:
        return peak
    before = (compared["net_revenue"] / (1 + compared["year_on_year"])).sum()
    growth = compared["net_revenue"].sum() / before - 1
    count = len(compared)
    period = "month is" if count == 1 else f"{count} complete months are"
    return f"{peak}; the last {period} {_change(growth)} the year before"


def _change(growth: float) -> str:
    if abs(growth) < 0.005:
        return "level with"
    return f"{percent(abs(growth))} {'above' if growth > 0 else 'below'}"


def enough_seasons(months: pd.DataFrame) -> bool:
    """Whether the data cover the months that a seasonality index needs."""
    return not months.empty and bool(months["enough_data"].astype(bool).all())


def season_finding(months: pd.DataFrame) -> str:
    """The strongest and the weakest month of the year."""
    if months.empty:
        return NO_DATA
    if not enough_seasons(months):
        complete = int(all_categories(months)["is_complete"].sum())
        return (
            f"Seasonality needs {MONTHS_NEEDED} complete months; "
            f"the data cover {complete}"
        )
    total = all_categories(months).dropna(subset=["seasonality_index"])
    if total.empty:
        return "No net revenue, so no seasons"
    high = total.loc[total["seasonality_index"].idxmax()]
    low = total.loc[total["seasonality_index"].idxmin()]
    return (
        f"{high['month']:%B} is {_change(high['seasonality_index'] - 1)} the average "
        f"month, {low['month']:%B} {_change(low['seasonality_index'] - 1)} it"
    )


def weekday_finding(weekdays: pd.DataFrame) -> str:
    """The strongest and the weakest day of the week."""
    known = weekdays.dropna(subset=["index_to_mean"])
    if known.empty:
        return NO_DATA
    index = known.set_index("day_of_week")["index_to_mean"].astype(float)
    high, low = index.idxmax(), index.idxmin()
    if len(index) == 1 or index[high] - index[low] < 0.005:
        return "Every day of the week sells the same"
    return (
        f"{WEEKDAYS[high]} is {_change(index[high] - 1)} the average day, "
        f"{WEEKDAYS[low]} {_change(index[low] - 1)} it"
    )


def segment_finding(segments: pd.DataFrame) -> str:
    """The segment that brings the most, and how few or many customers that is."""
    if segments.empty:
        return NO_DATA
    ranked = segments.sort_values("net_revenue", ascending=False, kind="stable")
    first = ranked.iloc[0]
    if pd.isna(first["net_revenue_share"]):
        return "No net revenue from any segment"
    return (
        f"The segment “{first['segment']}” is {percent(first['customer_share'])} of the "
        f"customers and brings {percent(first['net_revenue_share'])} of net revenue"
    )


def retention_by_age(cohorts: pd.DataFrame) -> pd.Series:
    """Share of customers active each number of months later, over all cohorts.

    Only months that the data cover whole: the last one would look like a loss.
    """
    known = cohorts[cohorts["is_complete"].astype(bool)]
    sums = known.groupby("months_since")[["active_customers", "cohort_size"]].sum()
    return (sums["active_customers"] / sums["cohort_size"]).astype(float)


def cohort_finding(cohorts: pd.DataFrame) -> str:
    """How many customers come back: a month later, and a year later if known."""
    retention = retention_by_age(cohorts)
    if cohorts.empty:
        return NO_DATA
    if 1 not in retention:
        return "Retention needs a complete second month of data"
    later = 12 if 12 in retention else retention.index.max()
    text = f"{percent(retention[1])} of new customers buy again in the next month"
    if later <= 1:
        return text
    when = "a year" if later == 12 else f"{later} months"
    return f"{text}, {percent(retention[later])} {when} after their first"
