"""What Kedro-Viz shows of a table or a text: a few lines of HTML."""

import re
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

LONGEST = 80
"""Characters of a value."""
_CELL = "padding:2px 8px;vertical-align:top;white-space:nowrap;text-align:"


def table_page(
    meaning: str, rows: list[dict[str, Any]] | None, columns: Mapping[str, str]
) -> str:
    """Show what a table is, its first rows and what its columns mean.

    Args:
        meaning: of the table, a sentence; "" where nobody says.
        rows: the first ones; None where nothing has been written yet.
        columns: what those that the dictionary knows mean.
    """
    said = [f"<p>{escape(meaning)}.</p>"] if meaning else []
    if rows is None:
        said.append("<p>Nothing has been written here yet.</p>")
    elif not rows:
        said.append("<p>It has no rows.</p>")
    else:
        said.append(_table(rows[0], ([*row.values()] for row in rows)))
    if columns:
        said.append("<h4>Columns</h4>")
        said.append(_table(("column", "meaning"), columns.items(), wrap=True))
    return literal("".join(said))


_APART = '<wbr data-a="a&#13;a">'
"""Shows nothing; it holds the end of a line, which no mark of Markdown reaches across."""
_MARKS = {
    "_": f"_{_APART}",
    "**": f"*{_APART}*",
    "](": f"]{_APART}(",
    "`": "'",
}


def literal(html: str) -> str:
    """Keep Kedro-Viz, which takes HTML for Markdown, too, from changing what is said."""
    html = re.sub(r"\s+", " ", html)
    html = re.sub(r"</?[uo]l\b[^>]*>", "", html)
    html = html.replace("<li>", "<p>• ").replace("</li>", "</p>")
    return re.sub(r"(?:^|(?<=>))[^<]+", lambda text: _unmarked(text[0]), html)


def _unmarked(text: str) -> str:
    for mark, shown in _MARKS.items():
        text = text.replace(mark, shown)
    return text


def _table(
    heads: Iterable[str], rows: Iterable[Iterable[Any]], *, wrap: bool = False
) -> str:
    style = _CELL.replace("nowrap", "normal") if wrap else _CELL
    head = "".join(f'<th style="{style}left">{escape(name)}</th>' for name in heads)
    body = "".join(
        f"<tr>{''.join(_cell(value, style) for value in row)}</tr>" for row in rows
    )
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f'<div style="overflow-x:auto">{table}</div>'


def _cell(value: Any, style: str) -> str:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    text = _text(value)
    if len(text) > LONGEST and "nowrap" in style:
        text = f"{text[: LONGEST - 1]}…"
    return f'<td style="{style}{"right" if number else "left"}">{escape(text)}</td>'


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.10g}"
    if isinstance(value, list):
        return "; ".join(map(_text, value))
    return str(value)
