"""Charts over months, one on one axes each, for figures and overview."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from dask_etl.retail.parameters import Currency

from . import style
from .findings import NO_DATA, all_categories
from .panels import STAND_OUT

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LINES = len(style.SERIES) - 1
"""Categories with a line of their own; the rest is one line, "other"."""


def monthly_total(axes: Axes, months: pd.DataFrame, currency: Currency):
    """Net revenue per month as bars; incomplete months are pale and hatched."""
    total = all_categories(months)
    if total.empty:
        return style.message(axes, NO_DATA)
    divisor, unit = style.money(total["net_revenue"], currency)
    complete = total["is_complete"].astype(bool).to_numpy()
    bars = axes.bar(
        total["month"] + pd.Timedelta(days=14),
        total["net_revenue"] / divisor,
        width=22,
        color=np.where(complete, style.BLUE, style.GRID),
    )
    for bar, whole in zip(bars, complete, strict=True):
        if not whole:
            bar.set(hatch="///", edgecolor=style.OTHER, label="incomplete month")
    _month_axis(axes, total["month"])
    axes.set_ylabel(f"Net revenue\n({unit})")
    style.dress(axes, grid="y")
    if not complete.all():
        style.legend(axes, handles=[bars[int(np.argmin(complete))]])


def category_lines(axes: Axes, months: pd.DataFrame, currency: Currency):
    """Net revenue per month, one line per category, named at its end."""
    table = months[~months["is_total"].astype(bool)]
    if table.empty:
        return style.message(axes, NO_DATA)
    wide = table.assign(
        month=pd.to_datetime(table["month"]),
        product_category=table["product_category"].astype(str),
    ).pivot(index="month", columns="product_category", values="net_revenue")
    order = wide.sum().sort_values(ascending=False, kind="stable").index
    wide = wide[order]
    if len(order) > LINES + 1:
        rest = wide.iloc[:, LINES:].sum(axis=1).rename(f"{len(order) - LINES:,} others")
        wide = wide.iloc[:, :LINES]
        if rest.max() <= STAND_OUT * wide.max().max():
            wide = wide.join(rest)
        else:
            _remark(axes, f"{rest.name} not shown")
    complete = all_categories(months).set_index("month")["is_complete"].astype(bool)
    complete = complete.reindex(wide.index, fill_value=True)
    divisor, unit = style.money(wide.to_numpy(), currency)
    middle = wide.index + pd.Timedelta(days=14)
    for color, name in zip(style.SERIES, wide, strict=False):
        values = wide[name] / divisor
        axes.plot(middle, values, color=color, linewidth=1, linestyle=":")
        axes.plot(middle, values.where(complete), color=color, linewidth=2, marker=".")
        axes.scatter(
            middle[~complete],
            values[~complete],
            s=22,
            facecolor="white",
            edgecolor=color,
            zorder=3,
        )
    _month_axis(axes, wide.index)
    axes.set_ylim(bottom=min(0.0, float(wide.min().min()) / divisor))
    axes.set_ylabel(f"Net revenue\n({unit})")
    style.dress(axes, grid="y")
    _name_lines(axes, middle[-1], wide.iloc[-1] / divisor)


def _remark(axes: Axes, text: str):
    axes.text(
        0.01,
        0.97,
        text,
        transform=axes.transAxes,
        va="top",
        fontsize=style.TEXT_SIZE,
        color=style.MUTED,
    )


def _name_lines(axes: Axes, end: pd.Timestamp, values: pd.Series):
    """Write each line's name at its end, moved apart where names would overlap."""
    low, high = axes.get_ylim()
    height = style.figure_height(axes) * axes.get_position().height
    gap = (high - low) * style.TEXT_SIZE * 1.35 / 72 / max(height, 0.5)
    ordered = values.sort_values()
    places = ordered.to_numpy(dtype=float, copy=True)
    for i in range(1, len(places)):
        places[i] = max(places[i], places[i - 1] + gap)
    places -= max(0.0, min(places[-1] - (high - gap / 2), places[0] - low))
    for name, place in zip(ordered.index, places, strict=True):
        color = style.SERIES[values.index.get_loc(name)]
        axes.annotate(
            style.short(name, 22),
            (end, place),
            xytext=(10, 0),
            textcoords="offset points",
            va="center",
            fontsize=style.TEXT_SIZE,
            color=color,
            fontweight="bold",
            annotation_clip=False,
        )


def _month_axis(axes: Axes, months):
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    first, last = pd.Timestamp(min(months)), pd.Timestamp(max(months))
    axes.set_xlim(first - pd.Timedelta(days=4), last + pd.Timedelta(days=35))
    locator = AutoDateLocator(minticks=5, maxticks=10)
    axes.xaxis.set_major_locator(locator)
    axes.tick_params(axis="x", pad=7)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, show_offset=False))
