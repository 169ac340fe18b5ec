"""What happens around nodes, one concern a file."""

from dask_etl.hooks.cluster import ClusterHooks
from dask_etl.hooks.commit import CommitHooks
from dask_etl.hooks.metrics import MetricsHooks
from dask_etl.hooks.parameters import ParameterHooks
from dask_etl.hooks.progress import ProgressHooks
from dask_etl.hooks.run_facts import RunFactsHooks
from dask_etl.hooks.run_report import RunReportHooks
from dask_etl.hooks.selection import SelectionHooks
from dask_etl.hooks.summary import SummaryHooks
from dask_etl.hooks.viz import VizContext, VizHooks

__all__ = [
    "ClusterHooks",
    "CommitHooks",
    "MetricsHooks",
    "ParameterHooks",
    "ProgressHooks",
    "RunFactsHooks",
    "RunReportHooks",
    "SelectionHooks",
    "SummaryHooks",
    "VizContext",
    "VizHooks",
]
