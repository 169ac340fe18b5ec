"""Of Kedro-Viz: how it opens a project, and what it asks of the network.

It has no settings for any of this; a test each tells when a release changes it.
"""

# ruff: noqa: PLC0415  (start-up, and it may not be installed)

import copy
import functools
from typing import Any

POLICY = "default-src 'self' data: blob: 'unsafe-inline' 'unsafe-eval'"
"""What its page may load: no fonts of others."""


def is_opening(context: Any) -> bool:
    """Tell whether it is Kedro-Viz that has made a context, to show the project.

    It opens projects without their hooks, by a manager of hooks of its own.
    """
    return type(context._hook_manager).__module__.startswith("kedro_viz.")


def command() -> Any:
    """Return ``kedro viz``, which asks nobody elsewhere; None if it is not installed."""
    try:
        from kedro_viz.launchers.cli.main import viz
    except ImportError:
        return None
    made = copy.copy(viz)
    made.callback = stay_here
    return made


def stay_here() -> None:
    """Ask nobody elsewhere: neither whether there is a new release, nor for fonts."""
    import kedro_viz
    from kedro_viz.integrations import pypi
    from packaging.version import parse

    latest = functools.partial(parse, kedro_viz.__version__)
    pypi.get_latest_version = latest


def show_here() -> None:
    """The same for the process that serves the graph, or writes it to files.

    A table that has two faces gets a preview, too.
    """
    from kedro_viz.api import apps
    from kedro_viz.api.rest.responses import nodes, version
    from kedro_viz.integrations import pypi
    from kedro_viz.integrations.deployment.base_deployer import BaseDeployer

    stay_here()
    version.get_latest_version = pypi.get_latest_version
    nodes.TranscodedDataNodeMetadata = _of_two_faces
    if not hasattr(apps.create_api_app_from_project, "__wrapped__"):
        apps.create_api_app_from_project = _guarded(apps.create_api_app_from_project)
        write = BaseDeployer._write_heap_injected_index
        BaseDeployer._write_heap_injected_index = _with_policy(write)


def _of_two_faces(transcoded_data_node: Any) -> Any:
    """Describe a table as that of its first face, with a preview."""
    from kedro_viz.models.flowchart.node_metadata import DataNodeMetadata
    from kedro_viz.models.flowchart.nodes import DataNode

    node = transcoded_data_node
    return DataNodeMetadata(
        data_node=DataNode(
            id=node.id,
            name=node.original_name or node.name,
            kedro_obj=node.original_version,
            is_free_input=node.is_free_input,
            node_extras=node.node_extras,
        )
    )


def _guarded(create_app: Any) -> Any:
    @functools.wraps(create_app)
    def create(*args: Any, **kwargs: Any) -> Any:
        app = create_app(*args, **kwargs)

        @app.middleware("http")
        async def guard(request: Any, call_next: Any) -> Any:
            response = await call_next(request)
            response.headers["Content-Security-Policy"] = POLICY
            return response

        return app

    return create


def _with_policy(write: Any) -> Any:
    @functools.wraps(write)
    def write_page(self: Any, content: str) -> None:
        meta = f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        write(self, content.replace("<head>", f"<head>{meta}", 1))

    return write_page
