"""Heat maps, one on one axes each, for figures and overview."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from dask_etl.wording import number

from . import style
from .findings import NO_DATA, season_index

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ANNOTATED = 24
"""Maps of retention up to so many rows and columns carry numbers."""

DARK = 0.179
"""Relative luminance (WCAG 2) of a colour that black and white stand out from alike."""


def season_map(axes: Axes, months: pd.DataFrame, rows: int = 12):
    """Seasonality per calendar day, calendar month × category, the largest first."""
    import seaborn as sns

    index = season_index(months).dropna(how="all").iloc[: rows + 1]
    reach = max(float((index - 1).abs().max().max()), 0.05)
    sns.heatmap(
        index,
        ax=axes,
        cmap=style.DIVERGING,
        center=1,
        vmin=1 - reach,
        vmax=1 + reach,
        annot=True,
        fmt=".2f",
        annot_kws={"size": style.TEXT_SIZE},
        linewidths=1.5,
        linecolor=style.PAPER,
        cbar_kws={"label": "Index (1 = average day)", "shrink": 0.8},
        yticklabels=[style.short(name) for name in index.index],
        xticklabels=[f"{pd.Timestamp(2000, m, 1):%b}" for m in index.columns],
    )
    _make_readable(axes, index.shape)
    _dress_map(axes)


def retention_map(axes: Axes, cohorts: pd.DataFrame, labels: int = 26):
    """Share of each cohort active so many months later, in complete months.

    Month 0, when everybody is, is left out.
    """
    import seaborn as sns

    is_shown = (cohorts["months_since"] > 0) & cohorts["is_complete"].astype(bool)
    table = cohorts[is_shown]
    if table["retention"].isna().all():
        return style.message(axes, NO_DATA)
    wide = table.assign(cohort=pd.to_datetime(table["cohort"])).pivot(
        index="cohort", columns="months_since", values="retention"
    )
    wide = wide.astype(float).dropna(how="all").dropna(how="all", axis=1)
    sizes = cohorts.groupby(pd.to_datetime(cohorts["cohort"]))["cohort_size"].first()
    first = pd.to_datetime(cohorts["cohort"]).min()
    names = [
        f"{c:%b %Y}{' or before' if c == first else ''} ({number(sizes[c])})"
        for c in wide.index
    ]
    annotated = labels > ANNOTATED and max(wide.shape) <= ANNOTATED
    sns.heatmap(
        wide * 100,
        ax=axes,
        cmap=style.SEQUENTIAL,
        vmin=0,
        annot=annotated,
        fmt=".0f",
        annot_kws={"size": style.TEXT_SIZE - 1.5},
        linewidths=0.5 if wide.shape[1] <= 36 else 0,
        linecolor=style.PAPER,
        cbar_kws={"label": "% of the cohort that bought"},
        xticklabels=_thinned(wide.columns.astype(str), labels),
        yticklabels=_thinned(names, labels),
    )
    _make_readable(axes, wide.shape)
    axes.set_xlabel("Months since the first purchase")
    axes.set_ylabel("Month of the first purchase (customers)")
    _dress_map(axes)


def _make_readable(axes: Axes, shape: tuple[int, int]):
    """Write the numbers of a map in black or white, whichever stands out more."""
    cells = axes.collections[0]
    cells.update_scalarmappable()
    colors = np.asarray(cells.get_facecolor()).reshape(*shape, 4)[..., :3]
    linear = np.where(
        colors <= 0.04045, colors / 12.92, ((colors + 0.055) / 1.055) ** 2.4
    )
    luminance = linear @ (0.2126, 0.7152, 0.0722)
    for text in axes.texts:
        column, row = (int(place) for place in text.get_position())
        text.set_color("#ffffff" if luminance[row, column] < DARK else "#000000")
        # It is within its cell; to lay out hundreds takes time.
        text.set_in_layout(False)


def _thinned(labels, most: int) -> list[str]:
    step = -(-len(labels) // most)
    return [label if i % step == 0 else "" for i, label in enumerate(labels)]


def _dress_map(axes: Axes):
    style.dress(axes)
    axes.tick_params(axis="y", rotation=0)
    axes.tick_params(axis="x", rotation=0)
    if axes.get_xlabel() == "number":
        axes.set(xlabel="", ylabel="")
    if axes.collections and axes.collections[0].colorbar:
        bar = axes.collections[0].colorbar
        bar.outline.set_visible(False)
        bar.ax.tick_params(length=0, labelsize=style.TEXT_SIZE, labelcolor=style.MUTED)
        bar.ax.yaxis.label.set(fontsize=style.TEXT_SIZE, color=style.MUTED)
