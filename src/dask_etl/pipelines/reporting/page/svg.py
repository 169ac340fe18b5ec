"""Figures as SVG inside a page: text stays text, and ink follows the page's colours."""

from __future__ import annotations

import html
import io
import math
import re
from collections.abc import Sequence
from typing import Any

from dask_etl.pipelines.reporting import style

SHRINK = 0.72
"""Width of a figure on a page to that of the picture: text is as large as the page's."""

_INK = {
    style.INK: "var(--ink)",
    style.MUTED: "var(--muted)",
    style.GRID: "var(--grid)",
    style.OTHER: "var(--other)",
    style.PAPER: "var(--paper)",
}
"""What changes with the page from light to dark; colours of data stay."""

_LIST_OF_FONTS = re.compile(r"(font: [^;\"']*?px) [^;\"]*")
_DECIMALS = re.compile(r"(\d\.\d\d)\d+")
_IDS = re.compile(r'(id="|url\(#|href="#)')


def inline(figure: Any, name: str, label: str) -> str:
    """Return a figure as an ``<svg>`` that can stand in a page beside others.

    Args:
        figure: of matplotlib; its headline and caption are left to the page.
        name: of the figure, which no other on the page has.
        label: what is seen, for those who do not see it.
    """
    import matplotlib as mpl

    figure.suptitle("")
    figure.supxlabel("")
    width, height = figure.get_size_inches()
    figure.set_size_inches(width * SHRINK, height * SHRINK)
    content = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(content, format="svg", transparent=True, metadata={"Date": None})
    text = content.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    box = re.search(r'viewBox="[^"]*"', text)
    text = text[text.index(">") + 1 :]
    text = _IDS.sub(rf"\g<1>{name}-", text)
    text = _LIST_OF_FONTS.sub(r"\1 var(--sans)", _DECIMALS.sub(r"\1", text))
    for color, variable in _INK.items():
        text = text.replace(color, variable)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" '
        f'xmlns:xlink="http://www.w3.org/1999/xlink" {box[0] if box else ""} role="img" '
        f'aria-label="{html.escape(label)}">{text}'
    )


def sparkline(values: Sequence[float], label: str) -> str:
    """Return a small line of values, the last one marked; nothing for fewer than two."""
    known = [value for value in values if not math.isnan(value)]
    if len(known) < 2:
        return ""
    low, high = min(known), max(known)
    span = (high - low) or 1.0
    points = [
        (2 + 96 * i / (len(known) - 1), 22 - 18 * (value - low) / span)
        for i, value in enumerate(known)
    ]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    x, y = points[-1]
    return (
        f'<svg class="spark" viewBox="0 0 100 25" preserveAspectRatio="xMinYMid" role="img" '
        f'aria-label="{html.escape(label)}"><polyline points="{line}"/>'
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5"/></svg>'
    )


BOX, GAP, HIGH = 172, 36, 46


def lineage(columns: Sequence[Sequence[tuple[str, str]]], label: str) -> str:
    """Return boxes in columns, every box of one leading to those of the next.

    Args:
        columns: from left to right, their boxes: a name and what is said below it.
        label: what is seen, in words.
    """
    tallest = max(len(column) for column in columns)
    width = len(columns) * (BOX + GAP) - GAP + 4
    height = tallest * (HIGH + 10) + 4
    drawn = []
    for place, column in enumerate(columns):
        left = 2 + place * (BOX + GAP)
        top = 2 + (height - 4 - len(column) * (HIGH + 10) + 10) / 2
        for row, (name, said) in enumerate(column):
            y = top + row * (HIGH + 10)
            drawn.append(
                f'<g><rect x="{left}" y="{y:.0f}" width="{BOX}" height="{HIGH}" rx="6"/>'
                f'<text x="{left + 10}" y="{y + 19:.0f}">{html.escape(name)}</text>'
                f'<text class="said" x="{left + 10}" y="{y + 36:.0f}">'
                f"{html.escape(said)}</text></g>"
            )
        if place + 1 < len(columns):
            x, y = left + BOX, height / 2
            drawn.append(
                f'<path d="M{x + 6} {y:.0f}h{GAP - 18}l-6 -5m6 5l-6 5" fill="none"/>'
            )
    return (
        f'<svg class="lineage" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{html.escape(label)}">{"".join(drawn)}</svg>'
    )
