"""``dask-etl`` and ``python -m dask_etl``: the project as an installed package."""

import logging
import os
import sys
from pathlib import Path


def main(*args, **kwargs):
    """Do what the command line says; without a command, run the pipelines."""
    if not _log_as_the_project_says():
        # Kedro would tell, in a box, with which of its own settings it logs.
        logging.disable(logging.INFO)
    # Kedro reads how to log when it is imported.
    from kedro.framework.project import configure_project  # noqa: PLC0415  (start-up)

    logging.disable(logging.NOTSET)
    from dask_etl.cli import cli  # noqa: PLC0415  (start-up)

    configure_project(Path(__file__).parent.name)
    kwargs.setdefault("standalone_mode", not hasattr(sys, "ps1"))
    kwargs.setdefault("prog_name", "dask-etl")
    cli(*args, **kwargs)


def _log_as_the_project_says() -> bool:
    """Find the ``conf/logging.yml`` of the project around the folder one is in."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "conf" / "base").is_dir():
            settings = folder / "conf" / "logging.yml"
            if settings.is_file():
                os.environ.setdefault("KEDRO_LOGGING_CONFIG", str(settings))
            return settings.is_file()
    return False


if __name__ == "__main__":
    main()
