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
        return f"{text}; {_returns_alike(regions, overall)}"
    among = " among the largest" if len(regions) > LARGEST + 1 else ""
    return (
        f"{text}; returns are highest{among} in {rates.idxmax()} "
        f"({percent(rates.max())} of value)"
    )


def _returns_alike(regions: pd.DataFrame, overall: float) -> str:
    """Say that returns are the same in all named regions, and if not in the unnamed."""
    nameless = regions["region"].astype(str) == UNKNOWN
    rate, within = (
        some["returned_revenue"].sum() / some["revenue"].sum()
        if some["revenue"].any()
        else overall
        for some in (regions[nameless], regions[~nameless])
    )
    if abs(rate - within) < ALIKE * overall:
        return f"returns are much the same everywhere ({percent(overall)} of value)"
    return (
        f"returns are much the same in all named regions ({percent(within)} of value), "
        f"but {percent(rate)} where the region is not known"
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


def season_index(months: pd.DataFrame) -> pd.DataFrame:
    """Net revenue per calendar day of each calendar month, to that of all complete months.

    Per day, as February would seem weak for its length alone.

    Returns:
        A row per category, the largest first, after "All categories"; a column per
        calendar month (1–12); null where the category sold nothing in any.
    """
    complete = months[months["is_complete"].astype(bool)]
    start = pd.to_datetime(complete["month"])
    total = complete["is_total"].astype(bool)
    table = pd.DataFrame(
        {
            # A label that data may have is told from the total by its first letter.
            "label": ("=" + complete["product_category"].astype("str")).mask(total, ""),
            "number": start.dt.month,
            "net_revenue": complete["net_revenue"].astype(float),
            "days": start.dt.days_in_month,
        }
    )
    sums = table.groupby(["label", "number"])[["net_revenue", "days"]].sum()
    alone = sums["net_revenue"] / sums["days"]
    whole = sums.groupby("label").sum()
    mean = (whole["net_revenue"] / whole["days"]).where(lambda mean: mean != 0)
    index = alone.unstack("number").div(mean, axis=0)
    largest_first = whole["net_revenue"].drop("", errors="ignore").nlargest(len(whole))
    index = index.reindex(["", *largest_first.index])
    index.index = ["All categories", *(label[1:] for label in largest_first.index)]
    return index


def season_finding(months: pd.DataFrame) -> str:
    """The strongest and the weakest month of the year, per calendar day."""
    if months.empty:
        return NO_DATA
    if not enough_seasons(months):
        complete = int(all_categories(months)["is_complete"].sum())
        return (
            f"Seasonality needs {MONTHS_NEEDED} complete months; "
            f"the data cover {complete}"
        )
    index = season_index(months).iloc[0].dropna()
    if index.empty:
        return "No net revenue, so no seasons"
    high, low = index.idxmax(), index.idxmin()
    return (
        f"A day in {_month_name(high)} sells {_more_or_less(index[high] - 1)} than an "
        f"average day, one in {_month_name(low)} {_more_or_less(index[low] - 1)}"
    )


def _month_name(number: int) -> str:
    return f"{pd.Timestamp(2000, number, 1):%B}"


def _more_or_less(growth: float) -> str:
    if abs(growth) < 0.005:
        return "no more"
    return f"{percent(abs(growth))} {'more' if growth > 0 else 'less'}"


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


def known_cohorts(cohorts: pd.DataFrame) -> pd.DataFrame:
    """The cohorts whose customers are new, as far as the data can tell.

    Those of the first month bought then for the first time that is recorded: most were
    customers before. They are left out, unless there are no others.
    """
    if cohorts["cohort"].nunique() < 2:
        return cohorts
    return cohorts[cohorts["cohort"] != cohorts["cohort"].min()]


def retention_by_age(cohorts: pd.DataFrame) -> pd.Series:
    """Share of new customers active each number of months later, over all cohorts.

    Only months that the data cover whole: the last one would look like a loss.
    """
    fresh = known_cohorts(cohorts)
    known = fresh[fresh["is_complete"].astype(bool)]
    sums = known.groupby("months_since")[["active_customers", "cohort_size"]].sum()
    return (sums["active_customers"] / sums["cohort_size"]).astype(float)


def cohort_finding(cohorts: pd.DataFrame) -> str:
    """How many new customers come back: a month later, and a year later if known."""
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
