"""The Dask cluster of a run: started or attached to before it, closed after it."""

from __future__ import annotations

import atexit
from typing import TYPE_CHECKING, Any

import click
from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline

from dask_etl.compat.kedro import unwrapped
from dask_etl.errors import ClusterError, ExplainedError, explanation

if TYPE_CHECKING:
    from dask_etl.engine.cluster import Cluster
    from dask_etl.engine.preflight import Needs


class ClusterHooks:
    """Runs a Dask cluster while a pipeline that touches Dask datasets runs."""

    def __init__(self) -> None:
        self._config: dict[str, Any] = {}
        self._cluster: Cluster | None = None

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Read ``dask.yml``."""
        self._config = context.config_loader["dask"]

    @hook_impl
    def before_pipeline_run(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: DataCatalog
    ) -> None:
        """Start or attach, if the pipeline needs it."""
        if "ParallelRunner" in str(run_params.get("runner")):
            raise click.ClickException(
                "ParallelRunner runs nodes in processes of their own, which share "
                "neither a Dask client nor the commit of several tables together. "
                "Leave the runner out; Dask runs in parallel itself."
            )
        if not any(_is_dask(catalog, name) for name in pipeline.datasets()):
            return
        from dask_etl.engine.cluster_settings import DaskSettings  # noqa: PLC0415  (start-up)
        from dask_etl.engine.process import use_threads  # noqa: PLC0415  (start-up)

        settings = DaskSettings.model_validate(self._config)
        rows = None if settings.is_elsewhere else _rows(pipeline, catalog)
        if rows is not None and not settings.local_cluster.is_for(rows):
            use_threads(settings, rows)
            return
        from dask_etl.engine.cluster import Cluster  # noqa: PLC0415  (start-up)

        try:
            self._cluster = Cluster(settings, lambda: _needs(pipeline, catalog))
        except ClusterError as error:
            raise click.ClickException(f"dask.yml: {error}") from error
        # Ctrl-C ends a run without telling hooks.
        atexit.register(self._close)

    @hook_impl
    def after_pipeline_run(self) -> None:
        """Close the cluster."""
        self._close()

    @hook_impl
    def on_pipeline_error(self, error: Exception) -> None:
        """Close the cluster; end with one clear line where the error has one.

        Raises:
            click.ClickException: in place of an error that explains itself. This is
                the first of the project's hooks, so it is the last to be called.
        """
        self._close()
        said = explanation(error)
        if said is not None:
            raise click.ClickException(said) from error

    def _close(self) -> None:
        cluster, self._cluster = self._cluster, None
        if cluster is not None:
            atexit.unregister(self._close)
            cluster.close()


def _is_dask(catalog: DataCatalog, name: str) -> bool:
    return ".Dask" in (catalog.get_type(name) or "")


def _rows(pipeline: Pipeline, catalog: DataCatalog) -> int | None:
    """Count the rows that a pipeline reads with Dask; None where that is not known."""
    counts = []
    for name in filter(lambda name: _is_dask(catalog, name), pipeline.inputs()):
        dataset = unwrapped(catalog.get(name))
        # Datasets of others cannot tell.
        if not hasattr(dataset, "count_rows"):
            return None
        try:
            counts.append(dataset.count_rows())
        # What is wrong with it, its load will say.
        except (ExplainedError, OSError):
            return None
    return sum(counts) if counts else None


def _needs(pipeline: Pipeline, catalog: DataCatalog) -> Needs:
    """Say what the nodes and the tables of a pipeline need at workers elsewhere."""
    from dask_etl.engine.preflight import Needs  # noqa: PLC0415  (start-up)

    modules, packages = set(), set()
    for node in pipeline.nodes:
        tables = [n for n in (*node.inputs, *node.outputs) if _is_dask(catalog, n)]
        if not tables:
            continue
        function = getattr(node.func, "func", node.func)  # that of a partial
        modules.add(function.__module__)
        for name in tables:
            filesystem = getattr(unwrapped(catalog.get(name)), "_filesystem", None)
            packages.add(type(filesystem).__module__.partition(".")[0])
    return Needs(sorted(modules), sorted(packages - {"builtins", "fsspec"}))
