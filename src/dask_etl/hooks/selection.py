"""What a selection of nodes leaves out and its nodes need."""

from collections.abc import Iterable
from typing import Any

import click
from kedro.framework.hooks import hook_impl
from kedro.framework.project import pipelines
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node


class SelectionHooks:
    """Completes a run of some nodes by what others make of parameters, in a moment.

    Such values are in no file: the moment that all is judged at, say, which a selection
    of one engine's namespace leaves out.
    """

    @hook_impl
    def before_pipeline_run(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: DataCatalog
    ) -> None:
        """Make what is missing, or say which node must be selected, too.

        Raises:
            click.ClickException: a node that reads data makes it.
        """
        makers = _makers(run_params.get("pipeline_names") or ["__default__"])
        for name in sorted(pipeline.inputs()):
            maker = None if name in catalog else makers.get(name)
            if maker is None:
                continue
            if not all(_is_parameter(given) for given in maker.inputs):
                asks = next(node for node in pipeline.nodes if name in node.inputs)
                raise click.ClickException(
                    f"{asks.name} needs {name}, which {maker.name} makes and no file "
                    f"keeps: select that node, too (--from-nodes {maker.name})"
                )
            made = maker.run({given: catalog.load(given) for given in maker.inputs})
            for output, value in made.items():
                catalog[output] = MemoryDataset(value)


def _makers(names: Iterable[str]) -> dict[str, Node]:
    """Return the nodes of the pipelines that were asked for, by what they make."""
    nodes = (node for name in names for node in pipelines[name].nodes)
    return {output: node for node in nodes for output in node.outputs}


def _is_parameter(name: str) -> bool:
    return name == "parameters" or name.startswith("params:")
