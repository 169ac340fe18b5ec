"""``dask-etl`` and ``python -m dask_etl``: run the project as an installed package."""

import sys
from pathlib import Path

from kedro.framework.cli.utils import find_run_command
from kedro.framework.project import configure_project


def main(*args, **kwargs):
    """Run the pipeline that the command line names (all of them by default)."""
    package_name = Path(__file__).parent.name
    configure_project(package_name)
    kwargs.setdefault("standalone_mode", not hasattr(sys, "ps1"))
    find_run_command(package_name)(*args, **kwargs)


if __name__ == "__main__":
    main()
