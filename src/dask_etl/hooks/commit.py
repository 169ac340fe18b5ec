"""The outputs of a node are committed together."""

from typing import Any

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog


class CommitHooks:
    """Writes the versioned outputs of a node together, all or none."""

    def __init__(self) -> None:
        self._resume = True

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Read whether interrupted work is taken over."""
        self._resume = context.config_loader["parameters"].get("resume", True)

    @hook_impl
    def after_node_run(self, catalog: DataCatalog, outputs: dict[str, Any]) -> None:
        """Stage and commit; Kedro's saves that follow find the work done."""
        from dask_etl.datasets.parquet import VersionedParquetDataset

        together = {}
        for name, data in outputs.items():
            dataset = catalog.get(name)
            if isinstance(dataset, VersionedParquetDataset):
                together[dataset] = data
        if together:
            from dask_etl.datasets.publish import publish

            publish(together, self._resume)
            for dataset, data in together.items():
                dataset.expect(data)
