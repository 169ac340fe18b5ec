"""The configuration is checked before anything runs."""

from collections.abc import Iterator, Mapping
from typing import Any

import click
from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.framework.project import pipelines
from kedro.io import DataCatalog, DatasetError
from kedro.pipeline import Pipeline
from kedro.validation import TypeExtractor
from pydantic import BaseModel

from dask_etl.configuration import in_one_line
from dask_etl.hooks.progress import PROGRESS
from dask_etl.validation import problems, shown, unknown_name

DASK, RESUME = "dask", "resume"
"""What is no node's: ``dask`` overrides ``dask.yml``, and ``resume=false`` starts anew
after a broken run."""

FLAGS = (RESUME, PROGRESS)
"""Parameters that are true or false, and no node's."""


class ParameterHooks:
    """Stops a run that names a setting there is not, or gives one a wrong value."""

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Check all parameters and ``dask.yml``, whichever pipeline is to run.

        Raises:
            click.ClickException: with a line for each thing that is wrong.
        """
        loader = context.config_loader
        overrides = (loader.runtime_params or {}).get(DASK)
        found = [
            *_wrong_parameters(loader["parameters"], overrides),
            *(
                f"dask.yml: {line}"
                for line in problems(loader[DASK], _dask_settings(), DASK)
            ),
        ]
        if len(found) > 1:
            found = ["the configuration is wrong:", *found]
        if found:
            raise click.ClickException("\n  ".join(found))

    @hook_impl
    def before_pipeline_run(self, pipeline: Pipeline, catalog: DataCatalog) -> None:
        """Make the datasets of the run, so that a wrong entry is found here.

        Raises:
            click.ClickException: an entry is not what its dataset takes.
        """
        for name in pipeline.datasets():
            try:
                catalog.get(name)
            except DatasetError as error:
                raise click.ClickException(in_one_line(error)) from error


def parameter_models(pipelines: Mapping[str, Pipeline]) -> dict[str, type[BaseModel]]:
    """Return the model of each group of parameters, from the type hints of nodes."""
    return TypeExtractor(dict(pipelines)).extract_types_from_pipelines()


def _wrong_parameters(given: dict[str, Any], overrides: Any) -> Iterator[str]:
    models = parameter_models(pipelines)
    groups = {*models, DASK, *FLAGS}
    for group, values in given.items():
        if group in models:
            yield from problems(values, models[group], group)
        elif group in FLAGS and not isinstance(values, bool):
            yield f"{group}: must be true or false, it is {shown(values)}"
        elif group == DASK and not isinstance(values, dict):
            yield f"{DASK}: must be a mapping, name: value, it is {shown(values)}"
        elif group == DASK and values != overrides:
            yield f"{DASK}: belongs into dask.yml, not among the parameters"
        elif group not in groups:
            yield f"parameters: {unknown_name(group, groups)}"


def _dask_settings() -> type[BaseModel]:
    from dask_etl.engine.cluster_settings import DaskSettings  # noqa: PLC0415  (start-up)

    return DaskSettings
