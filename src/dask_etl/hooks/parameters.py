"""Parameters are checked before anything runs."""

import click
from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.validation.exceptions import ParameterValidationError

PARAMETER_GROUPS = {
    "clock",
    "cleaning",
    "dask",
    "features",
    "generation",
    "resume",
    "segments",
}
"""``dask`` overrides ``dask.yml``; ``resume=false`` starts anew after a broken run."""


class ParameterHooks:
    """Stops a run that names a parameter there is not, or gives one a wrong value."""

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Check the names of the groups here; Kedro checks what is in them."""
        given = context.config_loader["parameters"]
        unknown = sorted(set(given) - PARAMETER_GROUPS)
        if unknown:
            raise click.ClickException(
                f"unknown parameter {', '.join(map(repr, unknown))}; there are "
                f"{', '.join(sorted(PARAMETER_GROUPS))} (conf/base/parameters_*.yml)"
            )
        try:
            context.params  # noqa: B018
        except ParameterValidationError as error:
            raise click.ClickException(str(error)) from error
