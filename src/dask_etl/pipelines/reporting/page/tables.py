"""Tables as a page shows them: headings, captions, numbers that can be read."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

import numpy as np
import pandas as pd

MOST = 250
"""Rows of a table on the page; the whole is in the project's tables."""

TALL = 14
"""Rows beyond which a table is scrolled in a frame of its own."""

_SHARES = (
    *("share", "rate", "retention", "year_on_year", "month_on_month"),
    *("precision", "recall"),
)
_MONEY = ("revenue", "monetary", "moving_average")
_INDICES = ("index", "rating", "frequency", "gini", "recency_days", "seconds")


def shown(
    frame: pd.DataFrame,
    name: str,
    caption: str,
    *,
    columns: Sequence[str] | None = None,
    total: int | None = None,
) -> dict[str, Any]:
    """Return a table for the template.

    Args:
        frame: its rows, the most important first.
        name: of the table on the page, and of the file it is saved as.
        caption: what it is.
        columns: those that are shown; all by default.
        total: rows there are, where the frame has only some of them.
    """
    total = len(frame) if total is None else total
    some = frame[list(columns or frame.columns)].head(MOST)
    said = f"{caption}: {total:,} row{'s' * (total != 1)}"
    if len(some) < total:
        said = f"{caption}: the first {len(some):,} of {total:,} rows"
    return {
        "id": name,
        "caption": said,
        "summary": f"Table ({total:,} row{'s' * (total != 1)})",
        "heads": [
            {"name": column.replace("_", " "), "number": _is_number(some[column])}
            for column in some
        ],
        "rows": [
            [cell(value, column) for value, column in zip(row, some, strict=True)]
            for row in some.itertuples(index=False, name=None)
        ],
        "tall": len(some) > TALL,
    }


def _is_number(values: pd.Series) -> bool:
    known = values.dropna()
    return len(known) > 0 and all(
        isinstance(value, (int, float)) and not isinstance(value, bool)
        for value in known.head(20).tolist()
    )


def cell(value: Any, column: str = "") -> str:
    """Write a value: by its type, and by what its column holds."""
    if _is_list(value):
        return ", ".join(map(str, value))
    if value is None or pd.isna(value):
        return ""
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    if isinstance(value, str | date):
        return str(value)
    return _number(float(value), column).replace("-", "−")


def _is_list(value: Any) -> bool:
    return hasattr(value, "__len__") and not isinstance(value, str)


def _number(value: float, column: str) -> str:
    if any(word in column for word in _SHARES):
        return f"{value * 100:,.2f} %"
    exact = any(word in column for word in (*_MONEY, *_INDICES))
    return f"{value:,.0f}" if value.is_integer() and not exact else f"{value:,.2f}"
