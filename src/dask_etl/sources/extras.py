"""Packages that only some sources need."""

import importlib
from typing import Any

from dask_etl.errors import ExplainedError


class PackageMissing(ExplainedError, ImportError):
    """A package is not installed that a source needs."""


def needed(package: str, extra: str) -> Any:
    """Import a package that comes with an extra of this project.

    Raises:
        PackageMissing: it is not installed; the message says how to.
    """
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise PackageMissing(
            f"{package} is not installed, which this source needs: "
            f"pip install 'dask_etl[{extra}]'"
        ) from error
