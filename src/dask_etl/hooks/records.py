"""The table of what runs cost: a row per node, and one per pipeline."""

from collections.abc import Iterable, Mapping

import pandas as pd
import pyarrow as pa

from dask_etl.tables import Table

ALL_NODES = "(all)"
"""``node`` of the row that holds a whole pipeline."""

RUN_METRICS = Table(
    "run_metrics",
    pa.schema(
        [
            pa.field("run_id", pa.string(), nullable=False),
            pa.field("pipeline", pa.string(), nullable=False),
            pa.field("node", pa.string(), nullable=False),
            pa.field("started_at", pa.timestamp("us", tz="UTC"), nullable=False),
            pa.field("wall_seconds", pa.float64(), nullable=False),
            pa.field("cpu_seconds", pa.float64(), nullable=False),
            pa.field("cpu_use", pa.float64(), nullable=False),
            pa.field("cores", pa.int64(), nullable=False),
            pa.field("memory_at_start_mb", pa.float64(), nullable=False),
            pa.field("peak_memory_mb", pa.float64(), nullable=False),
            pa.field("rows", pa.int64()),
        ]
    ),
    key=("run_id", "pipeline", "node"),
)
"""One row per node that ran, and one per pipeline with ``node`` = "(all)"."""


def with_pipeline_totals(records: Iterable[Mapping]) -> pd.DataFrame:
    """Records of nodes as a table, with one more row per run and pipeline.

    In that row the seconds are sums over the nodes, memory and rows the largest of
    any node. A total that is among the records already is worked out afresh.

    Args:
        records: mappings with the columns of ``RUN_METRICS``.

    Returns:
        The table, each pipeline's total after its nodes, in the order of arrival.
    """
    nodes = [dict(record) for record in records if record["node"] != ALL_NODES]
    pipelines: dict[tuple, list[dict]] = {}
    for record in nodes:
        key = (record["run_id"], record["pipeline"])
        pipelines.setdefault(key, []).append(record)
    rows = [
        row
        for members in pipelines.values()
        for row in [*members, _pipeline_total(members)]
    ]
    columns = RUN_METRICS.schema.names
    table = pd.DataFrame(rows, columns=columns)
    if table["rows"].dtype != "Int64":
        table["rows"] = pd.array(list(table["rows"]), dtype="Int64")
    table["started_at"] = pd.to_datetime(table["started_at"], utc=True).dt.as_unit("us")
    return table


def _pipeline_total(nodes: list[dict]) -> dict:
    wall = sum(node["wall_seconds"] for node in nodes)
    cpu = sum(node["cpu_seconds"] for node in nodes)
    cores = max(node["cores"] for node in nodes)
    first = min(nodes, key=lambda node: node["started_at"])
    counts = [node["rows"] for node in nodes if not pd.isna(node.get("rows"))]
    return {
        "run_id": first["run_id"],
        "pipeline": first["pipeline"],
        "node": ALL_NODES,
        "started_at": first["started_at"],
        "wall_seconds": wall,
        "cpu_seconds": cpu,
        "cpu_use": cpu_use(cpu, wall, cores),
        "cores": cores,
        "memory_at_start_mb": first["memory_at_start_mb"],
        "peak_memory_mb": max(node["peak_memory_mb"] for node in nodes),
        "rows": max(counts, default=None),
    }


def keep_latest_runs(history: pd.DataFrame, n: int) -> pd.DataFrame:
    """The rows of the ``n`` latest runs of each pipeline, in their order.

    Runs are counted per pipeline, so that many runs of one engine do not push the
    only run of the other one out.
    """
    if history.empty:
        return history
    started = history.groupby(["pipeline", "run_id"], as_index=False)[
        "started_at"
    ].min()
    age = started.groupby("pipeline")["started_at"].rank(
        method="first", ascending=False
    )
    kept = started.loc[age <= n, ["pipeline", "run_id"]]
    chosen = pd.MultiIndex.from_frame(history[["pipeline", "run_id"]])
    return history[chosen.isin(pd.MultiIndex.from_frame(kept))].reset_index(drop=True)


def latest_totals(history: pd.DataFrame) -> pd.DataFrame:
    """The row that holds the whole pipeline, of the latest run of each pipeline."""
    totals = history[history["node"] == ALL_NODES]
    return totals.sort_values("started_at").drop_duplicates("pipeline", keep="last")


def cpu_use(cpu_seconds: float, wall_seconds: float, cores: int) -> float:
    """Return the share (0–1) of what the cores could have done in that time."""
    available = wall_seconds * cores
    return min(cpu_seconds / available, 1.0) if available > 0 else 0.0
