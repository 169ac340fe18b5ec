"""What a run knows of itself, for the nodes that ask: who, when, with what."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Pipeline

import dask_etl
from dask_etl.hooks.monitor import usable_cores

RUN_FACTS = "run_facts"
"""The dataset; in memory, and only of runs that have a node which reads it."""

PACKAGES = ("dask", "distributed", "kedro", "pandas", "pyarrow", "deltalake")


class RunFactsHooks:
    """Gives a run's nodes its name, environment, versions and machine."""

    def __init__(self) -> None:
        self._env = ""
        self._project = "."

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Note the environment."""
        self._env = context.env or "local"
        self._project = str(context.project_path)

    @hook_impl
    def before_pipeline_run(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: DataCatalog
    ) -> None:
        """Put the facts into the catalog, if anybody asks for them."""
        if RUN_FACTS in pipeline.inputs():
            catalog[RUN_FACTS] = MemoryDataset(self._facts(run_params))

    def _facts(self, run_params: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "run_id": str(run_params.get("run_id") or run_params.get("session_id")),
            "started_at": datetime.now(UTC),
            "environment": self._env,
            "version": dask_etl.__version__,
            "commit": _commit(self._project),
            "python": platform.python_version(),
            "system": platform.platform(terse=True),
            "cores": usable_cores(),
            "packages": {name: found for name in PACKAGES if (found := _version(name))},
        }


def _commit(folder: str) -> str:
    """Return the commit of the project, with what was changed since; "" if unknown."""
    try:
        return subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        ).stdout.strip()
    # No git, or no repository: a run needs neither.
    except (OSError, subprocess.SubprocessError):
        return ""


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
