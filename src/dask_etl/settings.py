"""Kedro settings of the project: what is hooked in and where configuration lives."""

from kedro.config import OmegaConfigLoader

from dask_etl.hooks import ClusterHooks, CommitHooks, MetricsHooks, ParameterHooks

# Hooks run last-registered first: a node's outputs are committed (CommitHooks)
# before the metrics of that node are taken.
HOOKS = (ClusterHooks(), MetricsHooks(), CommitHooks(), ParameterHooks())

CONFIG_LOADER_CLASS = OmegaConfigLoader
CONFIG_LOADER_ARGS = {
    "base_env": "base",
    "default_run_env": "local",
    "config_patterns": {
        "dask": ["dask*", "dask*/**", "**/dask*"],
    },
    # An environment names only what it changes.
    "merge_strategy": {"parameters": "soft", "dask": "soft", "globals": "soft"},
}
