"""What tables and columns mean, as the data dictionary says it."""

import re
from pathlib import Path

_SECTION = re.compile(r"^### (\w+)\n\n(.*?)(?=^##)", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[([^]]*)\]\([^)]*\)")
_ROW = re.compile(r"^\| `(\w+)` \| ([^|]*) \| ([^|]*) \| (.*) \|$", re.MULTILINE)
_TERSE = 20
"""Characters of a sentence that says too little alone."""


class DataDictionary:
    """The sections of ``docs/data_dictionary.md``, one a table.

    Args:
        text: of that page; without it, nothing is known of any table.
    """

    def __init__(self, text: str = ""):
        self._sections = dict(_SECTION.findall(text))

    @classmethod
    def of_project(cls, root: Path) -> "DataDictionary":
        """Read that of a project; an installed package has none."""
        page = root / "docs" / "data_dictionary.md"
        return cls(page.read_text(encoding="utf-8") if page.is_file() else "")

    def meaning(self, table: str) -> str:
        """Say in a sentence what a table is, without the full stop."""
        paragraph = self._sections.get(table, "").partition("\n\n")[0]
        first, _, more = _plain(paragraph.replace("\n", " ")).partition(". ")
        if len(first) < _TERSE and more:
            first += ". " + more.partition(". ")[0]
        return first.rstrip(".")

    def columns(self, table: str) -> dict[str, str]:
        """Say of the columns of a table what they mean."""
        rows = _ROW.findall(self._sections.get(table, ""))
        return {name: _plain(meaning) for name, _, _, meaning in rows}


def _plain(text: str) -> str:
    return _LINK.sub(r"\1", text).replace("`", "")
