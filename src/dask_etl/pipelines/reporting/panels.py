"""Bars and dots, one chart on one axes each, for figures and overview."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from dask_etl.retail.parameters import Currency

from . import style
from .findings import NO_DATA, WEEKDAYS

if TYPE_CHECKING:
    from matplotlib.axes import Axes


STAND_OUT = 1.5
"""How many times the largest named bar the bar of all others may be."""


def revenue_bars(
    axes: Axes, top: pd.DataFrame, currency: Currency, color: str = style.BLUE
):
    """Net revenue per label, largest on top, with its share.

    Args:
        axes: where to draw.
        top: what ``findings.largest`` returns.
        currency: what the revenue is in.
        color: of the bars; those of a remainder are grey.
    """
    if top.empty:
        return style.message(axes, NO_DATA)
    divisor, unit = style.money(top.loc[top["members"] == 1, "net_revenue"], currency)
    places = np.arange(len(top))
    colors = [style.OTHER if rest else color for rest in top["is_rest"]]
    values = top["net_revenue"].astype(float)
    texts = [style.percent(share) for share in top["net_revenue_share"]]
    sums = top["members"] > 1
    if values[sums].abs().max() > STAND_OUT * values[~sums].abs().max():
        # drawn to scale, the sum of all others would leave no room for the largest
        texts = [
            f"{t} (bar left out)" if s else t for t, s in zip(texts, sums, strict=True)
        ]
        values = values.mask(sums, 0.0)
    bars = axes.barh(places, values / divisor, color=colors, height=0.72)
    style.bar_labels(axes, bars, texts)
    _name_rows(axes, top["label"])
    axes.set_xlabel(f"Net revenue ({unit}), share of all at the bar")
    style.dress(axes, grid="x")


def value_dots(axes: Axes, values: pd.Series, mean: float, text, color: str):
    """One dot per row on a line from 0, and the mean over all as a dashed line.

    Args:
        axes: where to draw; shares its rows with the bars at its left.
        values: one per row, from the top.
        mean: of all rows together.
        text: turns a value into its label.
        color: of the dots.
    """
    if values.isna().all():
        return style.message(axes, NO_DATA)
    places = np.arange(len(values))
    axes.hlines(places, 0, values, color=style.GRID, linewidth=2.5)
    axes.scatter(values, places, s=60, color=color, zorder=3)
    for place, value in zip(places, values, strict=True):
        if pd.notna(value):
            style.note(axes, text(value), (value, place), (8, 0), va="center")
    if pd.notna(mean):
        axes.axvline(mean, color=style.MUTED, linestyle="--", linewidth=1, zorder=1)
    axes.set_xlim(
        left=min(0, values.min() * 1.1), right=max(values.max(), 0) * 1.22 or 1
    )
    _name_rows(axes, [""] * len(values))
    style.dress(axes, grid="x")


def _name_rows(axes: Axes, labels):
    axes.set_yticks(np.arange(len(labels)), [style.short(label) for label in labels])
    axes.set_ylim(max(len(labels), 4) - 0.4, -0.6)


def weekday_bars(axes: Axes, weekdays: pd.DataFrame, currency: Currency):
    """Mean net revenue of each day of the week, with its distance from the mean."""
    import seaborn as sns

    known = weekdays.dropna(subset=["mean_revenue_per_day"])
    if known.empty:
        return style.message(axes, NO_DATA)
    means = known["mean_revenue_per_day"].astype(float)
    divisor, unit = style.money(means, currency)
    names = [WEEKDAYS[day][:3] for day in known["day_of_week"]]
    extremes = {means.idxmax(): style.BLUE, means.idxmin(): style.ORANGE}
    colors = [extremes.get(row, style.OTHER) for row in means.index]
    sns.barplot(
        x=names,
        y=means / divisor,
        hue=names,
        palette=colors,
        saturation=1,
        ax=axes,
        legend=False,
    )
    mean = known["net_revenue"].sum() / known["calendar_days"].sum() / divisor
    axes.axhline(mean, color=style.MUTED, linestyle="--", linewidth=1)
    for place, (value, index) in enumerate(
        zip(means / divisor, known["index_to_mean"], strict=True)
    ):
        if pd.notna(index):
            style.note(
                axes,
                _distance(index - 1),
                (place, value),
                (0, 5),
                ha="center",
            )
    axes.margins(y=0.12)
    axes.set(xlabel="", ylabel=f"Mean net revenue per day\n({unit})")
    style.dress(axes, grid="y")


def _distance(share: float) -> str:
    return "±0 %" if abs(share) < 0.005 else f"{share * 100:+.0f} %".replace("-", "−")


def segment_bars(axes: Axes, segments: pd.DataFrame):
    """Share of the customers beside share of net revenue, per segment."""
    if segments.empty:
        return style.message(axes, NO_DATA)
    places = np.arange(len(segments))
    for offset, column, color, name in (
        (-0.2, "customer_share", style.OTHER, "Share of customers"),
        (0.2, "net_revenue_share", style.BLUE, "Share of net revenue"),
    ):
        shares = segments[column].astype(float)
        bars = axes.barh(
            places + offset,
            shares.fillna(0) * 100,
            height=0.38,
            color=color,
            label=name,
        )
        style.bar_labels(axes, bars, [style.percent(share) for share in shares])
    _name_rows(axes, segments["segment"])
    axes.set_xlabel("Per cent")
    style.dress(axes, grid="x")
    style.legend(axes, loc="lower right")
