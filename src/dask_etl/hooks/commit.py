"""What changes together: the tables of a node, and those of a pipeline of one engine."""

import threading
from collections import Counter
from typing import Any

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.framework.project import pipelines
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node


class CommitHooks:
    """Writes the tables of a pipeline and commits them together, all or none.

    Nodes of one registered pipeline that write into one namespace, ``dask`` say, belong
    together: their tables are staged as they come, seen by the later nodes of the run,
    and put in force by the last of them. Other nodes commit what they write at once.
    """

    def __init__(self) -> None:
        self._resume = True
        self._scratch_root: str | None = None
        # ThreadRunner calls from several threads.
        self._lock = threading.RLock()
        self._begin(())

    def _begin(self, nodes) -> None:
        self._left = Counter(filter(None, map(_group, nodes)))
        self._staged: dict[tuple[str, ...], list] = {}

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Read whether interrupted work is taken over, and where it is kept."""
        self._resume = context.config_loader["parameters"].get("resume", True)
        self._scratch_root = context.config_loader["dask"].get("scratch_root")

    @hook_impl
    def before_pipeline_run(self, pipeline: Pipeline) -> None:
        """Count the nodes that belong together."""
        # Ctrl-C ends a run without telling hooks; a notebook goes on.
        self.on_pipeline_error()
        self._begin(pipeline.nodes)

    @hook_impl
    def after_node_run(
        self, node: Node, catalog: DataCatalog, outputs: dict[str, Any]
    ) -> None:
        """Stage, and commit if nothing is missing; Kedro's saves find the work done."""
        together = _tables(catalog, outputs)
        # A node that belongs to nothing else commits what it wrote at once.
        group = _group(node) or (node.name,)
        with self._lock:
            if together:
                from dask_etl.datasets.publish import stage  # noqa: PLC0415  (start-up)

                work = stage(together, self._resume, self._scratch_root)
                self._staged.setdefault(group, []).append(work)
                for dataset, data in together.items():
                    dataset.expect(data)
            self._left[group] -= 1
            if self._left[group] <= 0:
                self._commit(group)

    @hook_impl
    def on_pipeline_error(self) -> None:
        """Leave all tables that are not committed as they were."""
        with self._lock:
            for staged in self._staged.values():
                for work in staged:
                    work.abandon()
            self._staged.clear()

    def _commit(self, group: tuple[str, ...]) -> None:
        staged = self._staged.pop(group, [])
        if staged:
            from dask_etl.datasets.publish import commit  # noqa: PLC0415  (start-up)

            commit(staged)


def _tables(catalog: DataCatalog, outputs: dict[str, Any]) -> dict[Any, Any]:
    """Return those outputs that are tables of ours, by data set."""
    from dask_etl.datasets.table import TableDataset  # noqa: PLC0415  (start-up)

    found = {}
    for name, data in outputs.items():
        dataset = catalog.get(name)
        # A dataset that is also held in memory wraps the one that writes.
        dataset = getattr(dataset, "_dataset", dataset)
        if isinstance(dataset, TableDataset):
            found[dataset] = data
    return found


def _group(node: Node) -> tuple[str, ...] | None:
    """Name what a node belongs to; None if to nothing but itself."""
    spaces = {name.rpartition(".")[0] for name in node.outputs} - {""}
    if not spaces:
        return None
    return min(node.tags & set(pipelines), default=""), min(spaces)
