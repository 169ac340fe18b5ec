"""Generated data beside public data, in pictures."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dask_etl.pipelines.reporting import style

from . import facts
from .delivery import delays, gaps_by_category
from .samples import Sample

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# A matplotlib figure: matplotlib is imported by what draws.
Figure = Any

LOOKS = {
    "Generated": (style.BLUE, "-", 2.4),
    "Complete Journey": (style.ORANGE, "--", 1.6),
    "CDNOW": (style.GREEN, ":", 2.0),
    "Pizzaplace": (style.PURPLE, "-.", 1.6),
}
"""Colour, line and width of each sample, the same in every panel."""

COLOURS = 64
"""Of a picture, so that it stays small."""


def draw_values(samples: Sequence[Sample]) -> Figure:
    """What purchases are worth, and how customers share in it."""
    figure = style.new_figure(11, 4.4)
    density, lorenz = figure.subplots(1, 2)
    for sample in samples:
        value = sample.purchases["value"]
        logs = np.log10(value[value > 0])
        edges = np.linspace(-2, 2, 61)
        # Each around its own median: prices of a pizza are not those of a fridge.
        share, _ = np.histogram(logs - logs.median(), edges)
        middle = 10 ** ((edges[1:] + edges[:-1]) / 2)
        _line(density, sample, middle, 100 * share / share.sum())
    density.set(xscale="log", xlabel="Value of a purchase ÷ the median one")
    density.set_ylabel("Purchases (%)")
    style.panel_title(density, "Purchases are log-normal, nearly")
    for sample in _with(samples, "customer_id"):
        values = facts.spent(sample)
        people = np.linspace(0, 1, 201)
        held = np.concatenate([[0], np.cumsum(values)]) / values.sum()
        at = np.linspace(0, 1, len(held))
        _line(lorenz, sample, 100 * people, 100 * np.interp(people, at, held))
    lorenz.plot([0, 100], [0, 100], color=style.OTHER, linewidth=1)
    style.note(
        lorenz, "all spend the same", (50, 50), (-8, 2), color=style.MUTED, ha="right"
    )
    lorenz.set(
        xlabel="Customers, from who spends least (%)", ylabel="Of all spending (%)"
    )
    style.panel_title(lorenz, "A fifth of the customers brings more than half")
    return _finished(figure, [density, lorenz])


def draw_customers(samples: Sequence[Sample]) -> Figure:
    """How often customers buy, and whether they come back."""
    figure = style.new_figure(11, 4.4)
    often, back = figure.subplots(1, 2)
    for sample in _with(samples, "customer_id"):
        count = np.sort(sample.purchases.groupby("customer_id").size().to_numpy())
        mean = count.mean()
        at = np.geomspace(1, count[-1], 200)
        share = 1 - np.searchsorted(count, at, side="left") / len(count)
        _line(often, sample, at / mean, 100 * share)
        kept = facts.retention(sample)
        if kept[1]:
            share = 100 * kept[1:] / kept[1]
            _line(back, sample, share.index, share, marker="o", markersize=3)
    often.set(xscale="log", yscale="log", xlabel="Purchases of a customer ÷ the mean")
    often.set_ylim(0.05, 130)
    often.set_ylabel("Customers with as many (%)")
    style.panel_title(often, "Few buy very often")
    back.set(
        xlabel="Months since the first purchase",
        ylabel="Who buy ÷ who buy a month later (%)",
    )
    back.set_ylim(0, None)
    back.set_xticks(range(1, 13))
    style.panel_title(back, "Customers leave, first fast, then slowly")
    return _finished(figure, [often, back])


def draw_calendar(samples: Sequence[Sample]) -> Figure:
    """Days of the week, months, the end of the year, and how days resemble others."""
    figure = style.new_figure(11, 7.4)
    (week, year), (holidays, similar) = figure.subplots(2, 2)
    days = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
    for sample in samples:
        _line(week, sample, days, facts.by_weekday(sample), marker="o", markersize=3)
    style.panel_title(week, "Days of the week")
    months = [
        "Jan",
        "Feb",
        "Mar",
        "Apr",
        "May",
        "Jun",
        "Jul",
        "Aug",
        "Sep",
        "Oct",
        "Nov",
        "Dec",
    ]
    lags = range(1, 29)
    for sample in (s for s in samples if s.is_steady):
        share = facts.by_month(sample.lines)
        _line(year, sample, [months[m - 1] for m in share.index], share)
        daily = facts.daily(sample.lines)
        late = daily[(daily.index.month >= 11)]
        late = late.groupby([late.index.month, late.index.day]).mean() / daily.mean()
        _line(holidays, sample, range(len(late)), late)
        found = [daily.astype(float).autocorr(lag) for lag in lags]
        _line(similar, sample, list(lags), found)
    style.panel_title(year, "Months, per day")
    style.panel_title(holidays, "November and December, day by day")
    holidays.set_xticks(
        [0, 14, 30, 44, 54], ["1 Nov", "15 Nov", "1 Dec", "15 Dec", "25"]
    )
    for axes in (week, year, holidays):
        axes.set_ylabel("Lines ÷ the mean day")
    style.panel_title(similar, "Correlation of a day with the days before")
    similar.set(xlabel="Days before", ylabel="Correlation")
    similar.set_xticks(range(7, 29, 7))
    for axes, top in ((holidays, 2.6), (similar, 1.0)):
        axes.set_ylim(None, top)  # the legend needs room
    return _finished(figure, [week, year, holidays, similar])


def draw_delivery(sample: Sample) -> Figure:
    """What is missing and what comes twice: of generated rows, which alone tell."""
    rows = sample.delivered
    assert rows is not None
    figure = style.new_figure(11, 4.4)
    gaps, again = figure.subplots(1, 2)
    customer, region = (gaps_by_category(rows, n) for n in ("customer_id", "region"))
    order = customer.sort_values().index
    at = np.arange(len(order))
    for shares, label, colour, shift in (
        (customer, "without customer", style.BLUE, 0.2),
        (region, "without region", style.ORANGE, -0.2),
    ):
        gaps.barh(at + shift, 100 * shares[order], 0.36, color=colour, label=label)
    gaps.set_yticks(at, list(order))
    gaps.set_xlabel("Rows (%)")
    gaps.set_ylim(-0.7, len(order) + 0.9)
    style.dress(gaps, "x")
    style.legend(gaps, loc="upper right", ncols=2)
    style.panel_title(gaps, "Gaps follow the channel, and it the category")
    hours = np.sort(delays(rows)["hours"].to_numpy())
    share = 100 * np.arange(1, len(hours) + 1) / len(hours)
    again.plot(np.maximum(hours, 1 / 60), share, color=style.BLUE, linewidth=2.4)
    again.set(xscale="log", xlabel="After the first delivery", ylabel="Replays (%)")
    marks = {1 / 60: "1 min", 1: "1 h", 24: "1 day", 168: "1 week"}
    again.set_xticks(list(marks), list(marks.values()))
    again.minorticks_off()
    style.dress(again, "both")
    style.panel_title(again, "Replays come minutes to hours later, some days")
    return figure


PICTURES = {
    "data_values": draw_values,
    "data_customers": draw_customers,
    "data_calendar": draw_calendar,
    "data_delivery": lambda samples: draw_delivery(samples[0]),
}
"""What is drawn of the samples, generated rows first, by the name of its file."""


def save(figure: Figure, path: Path) -> None:
    """Write a picture of few colours."""
    from PIL import Image

    whole = io.BytesIO()
    figure.savefig(whole, dpi=100, format="png")
    # The method that keeps colours of thin lines, too.
    picture = Image.open(whole).convert("RGB")
    picture = picture.quantize(COLOURS, Image.Quantize.MAXCOVERAGE)
    picture.save(path, optimize=True)


def _with(samples: Sequence[Sample], column: str) -> list[Sample]:
    return [sample for sample in samples if column in sample.lines]


def _line(axes: Axes, sample: Sample, x: Any, y: Any, **options: Any) -> None:
    colour, dashes, width = LOOKS[sample.name]
    axes.plot(
        x,
        y,
        label=sample.name,
        color=colour,
        linestyle=dashes,
        linewidth=width,
        # What is generated lies over what is real.
        zorder=3 if sample.delivered is not None else 2,
        **options,
    )


def _finished(figure: Figure, panels: Sequence[Axes]) -> Figure:
    for axes in panels:
        style.dress(axes, "y")
        style.legend(axes)
    return figure
