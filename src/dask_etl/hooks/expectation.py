"""How long a run will still take, from what its nodes took before."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kedro.io import DataCatalog

from dask_etl.hooks.records import ALL_NODES, RUN_METRICS

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Known:
    """What a node took when it ran last.

    Attributes:
        seconds: of wall time.
        rows: of its largest output; None where that is no table.
    """

    seconds: float
    rows: int | None


def read_known(catalog: DataCatalog) -> dict[str, Known]:
    """Return what earlier runs of this project and environment took, by node."""
    if RUN_METRICS.name not in catalog or not catalog.exists(RUN_METRICS.name):
        return {}
    return known_from(catalog.load(RUN_METRICS.name))


def known_from(history: pd.DataFrame) -> dict[str, Known]:
    """Take what each node took last from a table of ``run_metrics``."""
    nodes = history[history["node"] != ALL_NODES].sort_values("started_at")
    latest = nodes.drop_duplicates("node", keep="last")
    rows = latest["rows"].astype(object).where(latest["rows"].notna(), None)
    found = zip(latest["node"], latest["wall_seconds"], rows, strict=True)
    return {node: Known(seconds, count) for node, seconds, count in found}


def seconds_left(
    node: str,
    spent: float,
    ahead: Collection[str],
    known: Mapping[str, Known],
    *,
    rows: int = 0,
    step: float = 0.0,
) -> float | None:
    """Estimate the seconds until the end of a run.

    A node takes as long as it took last, in proportion to the rows where these are told
    now and were then, and so do later nodes that went through as many.

    Args:
        node: the one that runs, since ``spent`` seconds.
        ahead: those that have not begun.
        known: what nodes took before.
        rows: that the node goes through; 0 if nobody knows.
        step: seconds until the step is done that the node is at: it takes no less.

    Returns:
        None if one of the nodes was never measured: nobody can tell.
    """
    if node not in known or not known.keys() >= set(ahead):
        return None
    here = known[node]
    scale = rows / here.rows if rows and here.rows else 1.0
    left = max(here.seconds * scale - spent, step)
    for name in ahead:
        other = known[name]
        alike = here.rows and other.rows and 2 * other.rows >= here.rows
        left += other.seconds * (scale if alike else 1.0)
    return left
