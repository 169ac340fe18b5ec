"""Heat maps, one on one axes each, for figures and overview."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from dask_etl.wording import number

from . import style
from .findings import NO_DATA

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ANNOTATED = 13
"""Heat maps up to so many columns carry numbers."""


def season_map(axes: Axes, months: pd.DataFrame, rows: int = 12):
    """Seasonality index, calendar month × category, the largest categories first."""
    import seaborn as sns

    table = months.assign(number=pd.to_datetime(months["month"]).dt.month)
    is_total = table["is_total"].astype(bool)
    total = table[is_total].groupby("number")["seasonality_index"].mean()
    single = table[~is_total].astype({"product_category": "str"})
    by_category = single.groupby("product_category")
    order = by_category["net_revenue"].sum().nlargest(rows).index
    index = single.pivot_table(
        index="product_category", columns="number", values="seasonality_index"
    )
    index = index.reindex(order).dropna(how="all")
    names = ["All categories", *index.index]
    index = pd.concat([total.to_frame().T, index], ignore_index=True)
    index.columns.name = "number"
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
        linecolor="white",
        cbar_kws={"label": "Seasonality index (1 = average month)", "shrink": 0.8},
        yticklabels=[style.short(name) for name in names],
        xticklabels=[f"{pd.Timestamp(2000, m, 1):%b}" for m in index.columns],
    )
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
    sns.heatmap(
        wide,
        ax=axes,
        cmap=style.SEQUENTIAL,
        vmin=max(0.0, float(wide.min().min())),
        annot=wide.shape[1] <= ANNOTATED and wide.shape[0] <= ANNOTATED,
        fmt=".0%",
        annot_kws={"size": style.TEXT_SIZE},
        linewidths=0.5 if wide.shape[1] <= 36 else 0,
        linecolor="white",
        cbar_kws={"label": "Share of the cohort that bought", "format": "{x:.0%}"},
        xticklabels=_thinned(wide.columns.astype(str), labels),
        yticklabels=_thinned(
            [f"{c:%b %Y} ({number(sizes[c])})" for c in wide.index], labels
        ),
    )
    axes.set_xlabel("Months since the first purchase")
    axes.set_ylabel("Month of the first purchase (customers)")
    _dress_map(axes)


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
