"""Dask ETL: retail transactions from raw rows to reports, on Dask and on pandas."""

import importlib

__version__ = "0.1.0"

TABLE_MODULES = [
    "dask_etl.retail.tables",
    "dask_etl.hooks.records",
    "dask_etl.sources.tables",
]
"""Modules whose tables the catalog may name without their path."""

OUTCOME = "dask_etl.retail.outcome.lines"
"""Says what came of the data in a run: pairs of a word and what is said under it."""


def load_ipython_extension(shell) -> None:
    """Open the project in a notebook: ``%load_ext dask_etl``; see ``notebook.py``."""
    # By name: everything imports this module, and the notebook imports everything.
    shell.push(importlib.import_module("dask_etl.notebook").open_project())
