"""Any data in: files, databases and APIs of others, mapped to the columns of a table."""

import importlib
from typing import Any

_HOMES = {
    "ApiSource": "remote_sources",
    "CsvSource": "datasets",
    "DatabaseSource": "remote_sources",
    "DeltaSource": "datasets",
    "ExcelSource": "datasets",
    "JsonLinesSource": "datasets",
    "ParquetSource": "datasets",
}
"""Where each kind of source is. Every run imports the mapping of this package, and few
read a source: what reads them is imported when a catalog names it (start-up)."""

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    """Import a kind of source.

    Raises:
        AttributeError: there is none of that name.
    """
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(f"{__name__}.{_HOMES[name]}")
    return getattr(module, name)
