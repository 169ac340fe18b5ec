"""Kedro settings of the project: what is hooked in and where configuration lives."""

import os

from dask_etl.garbage import not_collected

with not_collected():
    from dask_etl.configuration import ConfigLoader
    from dask_etl.hooks import (
        ClusterHooks,
        CommitHooks,
        MetricsHooks,
        ParameterHooks,
        ProgressHooks,
        RunFactsHooks,
        RunReportHooks,
        SelectionHooks,
        SummaryHooks,
        VizContext,
        VizHooks,
    )

# A data project must not phone home; `.telemetry` says so only to the command line
# that runs in the project's folder, this to everybody who loads the project.
os.environ.setdefault("DO_NOT_TRACK", "1")

# Hooks run last-registered first: a node's outputs are committed (CommitHooks)
# before the metrics of that node are taken; the summary comes after both, and after
# the last line of progress.
HOOKS = (
    ClusterHooks(),
    SummaryHooks(),
    RunReportHooks(),
    MetricsHooks(),
    CommitHooks(),
    ProgressHooks(),
    RunFactsHooks(),
    VizHooks(),
    SelectionHooks(),
    ParameterHooks(),
)

CONTEXT_CLASS = VizContext
CONFIG_LOADER_CLASS = ConfigLoader
CONFIG_LOADER_ARGS = {
    "base_env": "base",
    "default_run_env": "local",
    "config_patterns": {
        "dask": ["dask*", "dask*/**", "**/dask*"],
        # The mapping of a source is a parameter, in a file of its own.
        "parameters": ["parameters*", "parameters*/**", "**/parameters*", "source*"],
    },
    # An environment names only what it changes.
    "merge_strategy": {"parameters": "soft", "dask": "soft", "globals": "soft"},
    # Who changes one of these mappings names it all: the order of the first counts, and
    # a mapping is that of one source.
    "ordered": ["segments.rules", "mapping"],
}
