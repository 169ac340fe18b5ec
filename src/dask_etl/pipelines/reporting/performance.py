"""What the two engines cost, side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from dask_etl.hooks.records import ALL_NODES
from dask_etl.wording import number

from . import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# A matplotlib figure: matplotlib is imported by what draws, at the first figure.
Figure = Any

PIPELINES = {"Dask": "etl_dask", "pandas": "etl_pandas"}
SLOWEST = 8
"""Nodes per engine that are shown by name."""
BRIEF = 0.01
"""Nodes below this share of the time of all are not: most only describe what another
one computes, and look as if they had done it in no time."""

PARTS = (
    "", "", "half", "a third", "a quarter", "a fifth", "a sixth", "a seventh",
    "an eighth", "a ninth", "a tenth",
)  # fmt: skip

NOT_MEASURED = "No run has been measured yet"


def latest_runs(run_metrics: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Rows of the latest run of each engine that has one, by engine."""
    runs = {}
    for engine, pipeline in PIPELINES.items():
        rows = run_metrics[run_metrics["pipeline"] == pipeline]
        if (rows["node"] == ALL_NODES).any():
            latest = rows.loc[rows["started_at"].idxmax(), "run_id"]
            runs[engine] = rows[rows["run_id"] == latest]
    return runs


def totals(runs: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """The row of the whole pipeline per engine, indexed by engine."""
    rows = {
        engine: run[run["node"] == ALL_NODES].iloc[-1] for engine, run in runs.items()
    }
    return pd.DataFrame(rows).T


def ratio(value: float, base: float) -> str:
    """How many times as much, readable: 0.27x, 3.1x, 14x."""
    if not base:
        return "n/a"
    times = value / base
    return (
        f"{times:.2f}x"
        if times < 1
        else f"{times:.2g}x"
        if times < 10
        else f"{times:.0f}x"
    )


def times(share: float) -> str:
    """Say how many times as much, or which part of it: 3.2 times, a sixth of."""
    if share > 1.05:
        return f"{share:.2g} times" if share < 10 else f"{share:,.0f} times"
    if share > 0.95:
        return "as much as"
    part = round(1 / share) if share else len(PARTS)
    if part < len(PARTS) and abs(share * part - 1) < 0.1:
        return f"{PARTS[part]} of"
    return f"{style.percent(share)} of"


def performance_finding(run_metrics: pd.DataFrame) -> str:
    """How Dask compares with pandas, or why that cannot be said."""
    total = totals(latest_runs(run_metrics))
    if total.empty:
        return NOT_MEASURED
    if len(total) == 1:
        missing = next(engine for engine in PIPELINES if engine not in total.index)
        return f"Only {total.index[0]} has been measured; run {PIPELINES[missing]} to compare"
    dask, pandas = total.loc["Dask"], total.loc["pandas"]
    rows = [total.loc[engine, "rows"] for engine in PIPELINES]
    if not pd.isna(rows).any() and rows[0] != rows[1]:
        return (
            f"The latest runs are not comparable: Dask had {number(rows[0])} rows, "
            f"pandas {number(rows[1])}"
        )
    first, second = ("Dask", "pandas")
    if dask["wall_seconds"] > pandas["wall_seconds"]:
        first, second = second, first
    fast, slow = total.loc[first], total.loc[second]
    if not fast["wall_seconds"] or not slow["peak_memory_mb"]:
        return NOT_MEASURED
    speed = slow["wall_seconds"] / fast["wall_seconds"]
    said = "as fast" if speed < 1.05 else f"{speed:.2g} times as fast"
    share = fast["peak_memory_mb"] / slow["peak_memory_mb"]
    return f"{first} is {said} as {second}, with {times(share)} its memory"


def performance_comparison(
    run_metrics: pd.DataFrame, verification: pd.DataFrame
) -> Figure:
    """Time, peak memory and CPU use of the latest run of each engine, and of its nodes.

    Args:
        run_metrics: what the runs cost.
        verification: whether both engines did the same work; a figure of speed is
            worth nothing without it.
    """
    runs = latest_runs(run_metrics)
    total = totals(runs)
    figure = style.new_figure(13, 7.5)
    if total.empty:
        style.message(figure.subplots(), NOT_MEASURED)
        return style.headline(figure, NOT_MEASURED)
    upper, lower = style.halves(figure, [2, 3])
    time, memory, cpu = upper.subplots(1, 3)
    _engine_bars(time, total["wall_seconds"], "Wall time (seconds)", _seconds)
    _engine_bars(memory, total["peak_memory_mb"] / 1e3, "Peak memory (GB)", _gigabytes)
    _held_before(memory, total["memory_at_start_mb"] / 1e3)
    _engine_bars(
        cpu, total["cpu_use"] * 100, "CPU use (% of all cores)", "{:.0f} %".format
    )
    cpu.set_xlim(0, 115)
    for axes, name, column in (
        (time, "Time", "wall_seconds"),
        (memory, "Memory", "peak_memory_mb"),
    ):
        style.panel_title(axes, f"{name}{_compared(total, column)}")
    style.panel_title(cpu, "CPU use")
    _node_panels(lower, runs)
    return style.headline(
        figure, performance_finding(run_metrics), _caption(total, verification)
    )


def _compared(total: pd.DataFrame, column: str) -> str:
    if len(total) < len(PIPELINES) or not total.loc["pandas", column]:
        return ""
    share = total.loc["Dask", column] / total.loc["pandas", column]
    return f": Dask {times(share)} pandas"


def _engine_bars(axes: Axes, values: pd.Series, label: str, text):
    engines = list(PIPELINES)
    numbers = [float(values.get(engine, 0)) for engine in engines]
    texts = [text(values[e]) if e in values.index else "not measured" for e in engines]
    colors = [style.ENGINES[engine] for engine in engines]
    style.bar_labels(axes, axes.barh(engines, numbers, color=colors, height=0.6), texts)
    axes.set_xlim(0, max(numbers) * 1.3 or 1)
    axes.invert_yaxis()
    axes.set_xlabel(label)
    style.dress(axes, grid="x")


def _held_before(axes: Axes, at_start: pd.Series):
    """Veil the part of the memory that was held before the first node."""
    axes.barh(
        list(at_start.index),
        at_start.astype(float),
        color="white",
        alpha=0.55,
        height=0.6,
    )


def _seconds(value: float) -> str:
    if value < 0.1:
        return f"{value * 1000:.0f} ms"
    digits = 2 if value < 1 else 1 if value < 100 else 0
    return f"{value:,.{digits}f} s"


def _gigabytes(value: float) -> str:
    return f"{value:.2f} GB"


def _node_panels(figure, runs: dict[str, pd.DataFrame]):
    nodes = {engine: slowest_nodes(run) for engine, run in runs.items()}
    longest = max(table["wall_seconds"].max() for table in nodes.values())
    rows = max(len(table) for table in nodes.values())
    for axes, engine in zip(figure.subplots(1, len(PIPELINES)), PIPELINES, strict=True):
        style.panel_title(axes, f"{engine}, node by node")
        if engine not in nodes:
            style.message(axes, "not measured")
            continue
        table = nodes[engine]
        names = [style.short(name.rpartition(".")[2], 34) for name in table["node"]]
        bars = axes.barh(
            range(len(names)),
            table["wall_seconds"],
            color=style.ENGINES[engine],
            height=0.66,
        )
        style.bar_labels(axes, bars, [_seconds(s) for s in table["wall_seconds"]])
        axes.set_yticks(range(len(names)), names)
        axes.set_ylim(max(rows, 4) - 0.4, -0.6)
        axes.set_xlim(0, longest * 1.2 or 1)
        axes.set_xlabel("Wall time (seconds)")
        style.dress(axes, grid="x")


def slowest_nodes(run: pd.DataFrame, count: int = SLOWEST) -> pd.DataFrame:
    """Nodes of a run in the order they ran; as one row all but the slowest.

    Those are no more than ``count``, and none that took next to no time.
    """
    nodes = run[run["node"] != ALL_NODES].sort_values("started_at", kind="stable")
    nodes = nodes[["node", "wall_seconds"]]
    taken = nodes["wall_seconds"]
    kept = nodes.index.isin(taken.nlargest(count).index) & (
        taken >= BRIEF * taken.sum()
    )
    rest = nodes[~kept]
    if len(rest) < 2 and (kept | (taken >= BRIEF * taken.sum())).all():
        return nodes
    other = {
        "node": f"{len(rest)} other node{'s' * (len(rest) > 1)}",
        "wall_seconds": rest["wall_seconds"].sum(),
    }
    return pd.concat([nodes[kept], pd.DataFrame([other])], ignore_index=True)


def _caption(total: pd.DataFrame, verification: pd.DataFrame) -> str:
    runs = [
        f"{engine} {row['started_at']:%Y-%m-%d %H:%M} UTC on {row['cores']} cores"
        + ("" if pd.isna(row["rows"]) else f", {number(row['rows'])} rows")
        for engine, row in total.iterrows()
    ]
    return (
        f"Latest runs: {'; '.join(runs)}. Memory of the process and its children, "
        "without files mapped; the pale part was held before the first node. "
        f"{same_work(verification)}"
    )


def same_work(verification: pd.DataFrame) -> str:
    """Whether the two engines made the same tables, in one sentence."""
    count, same = len(verification), int(verification["identical"].sum())
    if same == count:
        return f"All {count} tables of both engines are identical."
    return f"{count - same} of {count} tables differ between the engines!"
