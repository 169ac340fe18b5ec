"""How every figure looks: colours, fonts, titles, numbers. Nothing global is touched."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from dask_etl.retail.parameters import Currency

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

INK = "#22303c"
"""Text that matters."""
MUTED = "#6b7885"
"""Axes, captions and everything that only helps to read."""
GRID = "#e3e7eb"
OTHER = "#b4bcc4"
"""Bars that are a remainder ("other", "Unknown") or not comparable."""

# from seaborn's "colorblind" palette; named, so that a thing keeps its colour
BLUE, ORANGE, GREEN, RED = "#0173b2", "#de8f05", "#029e73", "#d55e00"
PURPLE, BROWN, SKY = "#cc78bc", "#ca9161", "#56b4e9"
SERIES = (BLUE, ORANGE, GREEN, RED, PURPLE, BROWN, SKY)
ENGINES = {"Dask": BLUE, "pandas": ORANGE}

SEQUENTIAL = "viridis"
DIVERGING = "PuOr_r"

TITLE_SIZE = 15
PANEL_TITLE_SIZE = 11.5
TEXT_SIZE = 9.5


def new_figure(width: float = 12, height: float = 6.5) -> Figure:
    """An empty figure that lays itself out so that nothing is clipped."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    layout = ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.12, wspace=0.04, hspace=0.06)
    return Figure(figsize=(width, height), layout=layout, facecolor="white")


def halves(figure: Figure, heights: Sequence[float]) -> tuple[SubFigure, SubFigure]:
    """Divide a figure into an upper and a lower one, of these relative heights."""
    upper, lower = figure.subfigures(2, 1, height_ratios=heights, squeeze=False).flat
    return upper, lower


def figure_height(axes: Axes) -> float:
    """Height in inches of the whole figure that the axes are in."""
    figure = axes.get_figure(root=True)
    if figure is None:
        raise ValueError("the axes are in no figure")
    return figure.get_figheight()


def headline(figure: Figure, text: str, caption: str = "") -> Figure:
    """Put what is seen above the figure, and how it was measured below."""
    figure.suptitle(
        _wrapped(text, figure.get_figwidth() * 7.2),
        x=0.012,
        ha="left",
        fontsize=TITLE_SIZE,
        fontweight="bold",
        color=INK,
    )
    if caption:
        figure.supxlabel(
            _wrapped(caption, figure.get_figwidth() * 12.5),
            x=0.012,
            ha="left",
            fontsize=TEXT_SIZE - 0.5,
            color=MUTED,
        )
    return figure


def panel_title(axes: Axes, text: str, width: int = 60):
    """Put a title above one panel, at its left edge."""
    axes.set_title(
        _wrapped(text, width),
        loc="left",
        fontsize=PANEL_TITLE_SIZE,
        fontweight="bold",
        color=INK,
        pad=8,
    )


def dress(axes: Axes, grid: Literal["both", "x", "y"] | None = None):
    """Take away what is not data: frame, ticks, grid lines across the wrong way.

    Args:
        axes: what to dress.
        grid: the axis (``"x"``, ``"y"``, ``"both"``) along which values are read off, if any.
    """
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(GRID)
    axes.tick_params(length=0, labelsize=TEXT_SIZE, colors=MUTED, labelcolor=INK)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set(fontsize=TEXT_SIZE, color=MUTED)
    axes.set_axisbelow(True)
    if grid:
        axes.grid(axis=grid, color=GRID, linewidth=0.8)


def message(axes: Axes, text: str):
    """Say why there is nothing to see."""
    axes.set_axis_off()
    axes.text(
        0.5,
        0.5,
        _wrapped(text, 48),
        transform=axes.transAxes,
        ha="center",
        va="center",
        fontsize=12,
        color=MUTED,
    )


def bar_labels(axes: Axes, bars, texts, color: str = INK):
    """Write a text at the end of each horizontal bar, and leave room for it."""
    axes.bar_label(bars, texts, padding=4, fontsize=TEXT_SIZE, color=color)
    axes.margins(x=0.16)


def legend(axes: Axes, **options):
    """A legend that stays in the background."""
    axes.legend(frameon=False, fontsize=TEXT_SIZE, labelcolor=MUTED, **options)


def note(axes: Axes, text: str, place: tuple, offset: tuple, **options):
    """A small text beside a point, legible on grid lines and over other lines."""
    axes.annotate(
        text,
        place,
        xytext=offset,
        textcoords="offset points",
        fontsize=TEXT_SIZE,
        **{"color": INK, **options},
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8, "alpha": 0.85},
    )


def money(values: pd.Series | np.ndarray, currency: Currency) -> tuple[float, str]:
    """The divisor that makes amounts easy to read, and the unit they are in then."""
    largest = float(np.nanmax(np.abs(values))) if len(values) else 0.0
    for divisor, name in ((1e9, "billion "), (1e6, "million "), (1e3, "thousand ")):
        if largest >= divisor:
            return divisor, f"{name}{literal(currency.unit)}"
    return 1.0, literal(currency.unit)


def number(value: float) -> str:
    """An amount or a count in words that can be said: 1.23 million, 45.6 thousand."""
    rounded = float(f"{value:.3g}")
    for divisor, name in ((1e9, " billion"), (1e6, " million")):
        if abs(rounded) >= divisor:
            return f"{rounded / divisor:,.6g}{name}"
    return (
        f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:,.2f}"
    )


def amount(value: float, currency: Currency) -> str:
    """An amount of money in words that can be said, with the currency if it has a name."""
    return " ".join(filter(None, [number(value), currency.label]))


def percent(share: float) -> str:
    """A share as a percentage with no more digits than it is read with."""
    if pd.isna(share):
        return "n/a"
    if 0 < abs(share) < 0.00005:
        return "< 0.01 %"
    steps = (0.0995, 0.000995)
    digits = 0 if share == 0 else sum(abs(share) < step for step in steps)
    return f"{share * 100:.{digits}f} %"


def short(label, width: int = 24) -> str:
    """A label that leaves room for the data."""
    text = str(label)
    return literal(text if len(text) <= width else f"{text[: width - 1]}…")


def literal(text: str) -> str:
    """Keep matplotlib from reading a label's dollar signs as mathematics."""
    return text.replace("$", r"\$")


def _wrapped(text: str, width: float) -> str:
    return literal("\n".join(textwrap.wrap(text, max(int(width), 20))))
