"""``dask-etl`` and ``python -m dask_etl``: the project as an installed package."""

import sys
from pathlib import Path

from kedro.framework.project import configure_project

from dask_etl.cli import cli


def main(*args, **kwargs):
    """Do what the command line says; without a command, run the pipelines."""
    configure_project(Path(__file__).parent.name)
    kwargs.setdefault("standalone_mode", not hasattr(sys, "ps1"))
    kwargs.setdefault("prog_name", "dask-etl")
    cli(*args, **kwargs)


if __name__ == "__main__":
    main()
