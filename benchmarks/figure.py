"""The results in one figure: time, memory, CPU use, scaling, scheduling."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pandas as pd

from dask_etl import wording
from dask_etl.pipelines.reporting import style

from .plan import CROSSOVER, SIZES
from .summary import crossover, pick, scaling

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# A matplotlib figure: matplotlib is imported by what draws.
Figure = Any

LOOKS = {
    "etl_dask": (style.BLUE, "o"),
    "etl_pandas": (style.ORANGE, "s"),
    "pandas_plain": (style.BROWN, "D"),
    "dask_textbook": (style.SKY, "v"),
    "duckdb_tuned": (style.GREEN, "^"),
    "polars_tuned": (style.PURPLE, "P"),
    "datafusion_tuned": (style.RED, "X"),
    "daft_tuned": (style.INK, "*"),
    "pyspark_local": (style.MUTED, "h"),
}
"""Colour and marker of each contender, the same in every panel."""

PANEL_SHARE = 0.5
"""Of the height of the figure: how high the panels of time and memory are."""

NOT_MEASURED = "Not measured"


def draw_benchmark(
    results: pd.DataFrame, summary: pd.DataFrame, overhead: pd.DataFrame, machine: dict
) -> Figure:
    """Draw what was measured; parameters as in :func:`report.render`."""
    figure = style.new_figure(14, 13)
    upper, lower = style.halves(figure, [16, 9])
    time, memory = upper.subplots(1, 2)
    cpu, workers, scheduling = lower.subplots(1, 3)
    _lines(time, summary, ["wall_seconds", "pipeline_seconds"], 1, "Seconds")
    style.panel_title(time, "Time: whole process (solid), pipeline alone (dashed)")
    _lines(memory, summary, ["peak_memory_mb"], 1000, "Peak memory (GB)")
    style.panel_title(memory, "Memory of the whole process tree")
    _cpu(cpu, summary)
    _scaling(workers, scaling(results))
    _overhead(scheduling, overhead)
    return style.headline(figure, _headline(summary), _caption(results, machine))


def _headline(summary: pd.DataFrame) -> str:
    found = pick(summary, "wall_seconds", variant="etl_dask")
    found = found[found["to_etl_pandas"] > 0]
    if found.empty:
        return f"Benchmark: {crossover(summary)}"
    last = found.iloc[-1]
    memory = pick(summary, "peak_memory_mb", rows=last["rows"], variant="etl_dask")
    return (
        f"{wording.number(last['rows'])} rows: etl_dask takes "
        f"{style.percent(last['to_etl_pandas'])} of the time and "
        f"{style.percent(memory['to_etl_pandas'].iloc[0])} of the memory of etl_pandas; "
        f"{crossover(summary)}"
    )


def _caption(results: pd.DataFrame, machine: dict) -> str:
    rounds = results["round"].dropna()
    repeats = int(rounds.max()) if len(rounds) else 0
    return (
        f"{machine['processor']}, {machine['usable_cores']} cores, "
        f"{machine['memory_bytes'] / 2**30:.0f} GiB. Medians of {repeats} interleaved "
        f"round{'s' * (repeats != 1)}, bars from the smallest to the largest value; "
        "whole processes, imports included; outputs checked equal. "
        f"{machine['measured_at'][:10]}."
    )


def _lines(
    axes: Axes, summary: pd.DataFrame, measures: list[str], divisor: float, label: str
) -> None:
    """One line per contender and measure over the rows, both scales logarithmic.

    The first measure is drawn solid; another, which only pipelines of the project
    have, dashed with hollow markers.
    """
    ends = []
    for number, measure in enumerate(measures):
        found = pick(summary, measure, (SIZES, CROSSOVER))
        for name, (color, marker) in LOOKS.items():
            line = found[found["contender"] == name]
            if line.empty:
                continue
            values = line[["median", "min", "max"]] / divisor
            axes.errorbar(
                line["rows"],
                values["median"],
                yerr=[
                    values["median"] - values["min"],
                    values["max"] - values["median"],
                ],
                color=color,
                marker=marker,
                markersize=7,
                markerfacecolor="white" if number else color,
                linestyle="--" if number else "-",
                linewidth=2.4 if name == "etl_dask" else 1.4,
                capsize=3,
                zorder=4 if name == "etl_dask" else 3,
            )
            said = f"{name}, pipeline" if number else name
            end = line["rows"].iloc[-1], values["median"].iloc[-1]
            ends.append((said, color, *end))
    if not ends:
        return style.message(axes, NOT_MEASURED)
    axes.set(xscale="log", yscale="log", xlabel="Rows", ylabel=label)
    _plain_numbers(axes)
    style.dress(axes, grid="both")
    _name_ends(axes, ends)


def _plain_numbers(axes: Axes) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    axes.xaxis.set_major_formatter(FuncFormatter(lambda n, _: _size(n)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axes.yaxis.set_minor_locator(NullLocator())


def _size(number: float) -> str:
    for divisor, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if number >= divisor:
            return f"{number / divisor:g}{unit}"
    return f"{number:g}"


def _name_ends(axes: Axes, ends: list[tuple[str, str, float, float]]) -> None:
    """Name each line at the right edge, moved apart where names would overlap.

    Args:
        axes: of the lines.
        ends: name, colour, rows and value of the last point of each line.
    """
    axes.margins(x=0.06, y=0.08)
    axes.autoscale_view()
    left, right = axes.get_xlim()
    decades = range(math.ceil(math.log10(left)), math.floor(math.log10(right)) + 1)
    axes.set_xticks([10.0**power for power in decades])
    axes.set_xlim(left, right * (right / left) ** 0.36)
    low, high = axes.get_ylim()
    height = style.figure_height(axes) * PANEL_SHARE
    step = math.log(high / low) * style.TEXT_SIZE * 1.4 / 72 / height
    edge = max(rows for _, _, rows, _ in ends) * (right / left) ** 0.045
    ends = sorted(ends, key=lambda end: end[-1])
    places = _moved_apart([math.log(value) for *_, value in ends], step)
    for (name, color, rows, value), logarithm in zip(ends, places, strict=True):
        place = math.exp(logarithm)
        axes.plot([rows, edge], [value, place], color=color, linewidth=0.7, ls=":")
        axes.text(
            edge,
            place,
            f" {name}",
            color=color,
            fontsize=style.TEXT_SIZE,
            fontweight="bold",
            va="center",
        )
    axes.set_ylim(
        min(low, math.exp(places[0] - step)), max(high, math.exp(places[-1] + step))
    )


def _moved_apart(places: list[float], step: float) -> list[float]:
    """Move ascending places as little as leaves a step between each two of them."""
    blocks: list[tuple[float, int]] = []  # middle and number of places side by side
    for place in places:
        middle, count = place, 1
        while blocks and middle - blocks[-1][0] < step * (count + blocks[-1][1]) / 2:
            other, more = blocks.pop()
            middle = (middle * count + other * more) / (count + more)
            count += more
        blocks.append((middle, count))
    return [
        middle + step * (number - (count - 1) / 2)
        for middle, count in blocks
        for number in range(count)
    ]


def _cpu(axes: Axes, summary: pd.DataFrame) -> None:
    """CPU use of whole processes; of the pipelines, while they compute, as a dot."""
    found = pick(summary, "cpu_use")
    if found.empty:
        return style.message(axes, NOT_MEASURED)
    rows = _common_size(found)
    style.panel_title(axes, f"CPU use, {wording.number(rows)} rows", 40)
    found = found[found["rows"] == rows].sort_values("median", ascending=False)
    bars = axes.barh(
        found["variant"],
        found["median"] * 100,
        color=[LOOKS[name][0] for name in found["contender"]],
        height=0.62,
    )
    axes.bar_label(
        bars,
        [f"{value:.0%}" for value in found["median"]],
        padding=-30,
        color="white",
        fontsize=style.TEXT_SIZE,
        fontweight="bold",
    )
    computing = pick(summary, "compute_cpu_use", rows=rows)
    axes.scatter(
        computing["median"] * 100,
        computing["variant"],
        color="white",
        edgecolor=style.INK,
        zorder=4,
        s=42,
        label="while computing",
    )
    axes.set_xlim(0, 105)
    axes.set_ylim(len(found) + 0.2, -0.6)
    axes.set_xlabel("% of all cores, whole process")
    style.dress(axes, grid="x")
    if len(computing):
        style.legend(axes, loc="lower right")


def _common_size(found: pd.DataFrame) -> int:
    """The largest size that most contenders were run at."""
    counts = found.groupby("rows")["variant"].nunique()
    return int(counts[counts == counts.max()].index.max())


def _scaling(axes: Axes, table: pd.DataFrame) -> None:
    """Speed-up of the computation over the number of workers."""
    if table.empty:
        style.panel_title(axes, "Scaling in workers")
        return style.message(axes, NOT_MEASURED)
    rows = wording.number(table["rows"].iloc[0])
    style.panel_title(axes, f"Scaling of etl_dask, {rows} rows", 40)
    most = int(table["workers"].max())
    axes.plot([1, most], [1, most], color=style.OTHER, linestyle="--", label="linear")
    for kind, color, marker in (
        ("threads", style.BLUE, "o"),
        ("processes", style.RED, "^"),
    ):
        line = table[table["worker_kind"] == kind]
        if line.empty:
            continue
        spread = [line["median"] - line["min"], line["max"] - line["median"]]
        axes.errorbar(
            line["workers"],
            line["median"],
            yerr=spread,
            color=color,
            marker=marker,
            capsize=3,
            linewidth=2,
            label=kind,
        )
        last, above = line.iloc[-1], kind == "threads"
        style.note(
            axes,
            f"{last['median']:.2f}x",
            (last["workers"], last["median"]),
            (-10, 10 if above else -16),
            ha="right",
            color=color,
        )
    axes.set_xticks(sorted(table["workers"].unique()))
    axes.margins(x=0.12, y=0.15)
    axes.set(xlabel="Workers", ylabel="Times as fast, computation")
    style.dress(axes, grid="y")
    style.legend(axes, loc="upper left")


def _overhead(axes: Axes, overhead: pd.DataFrame) -> None:
    """Time per empty partition over their number."""
    style.panel_title(axes, "Scheduling: time per empty partition", 42)
    if overhead.empty:
        return style.message(axes, NOT_MEASURED)
    for (scheduler, what), line in overhead.groupby(["scheduler", "what"], sort=False):
        axes.plot(
            line["partitions"],
            line["milliseconds_per_partition"],
            color=style.BLUE if scheduler == "cluster" else style.GREEN,
            marker="o" if what == "engine" else "^",
            linestyle="-" if what == "engine" else ":",
            linewidth=2,
            label=f"{scheduler}, {what.removeprefix('tasks ')}",
        )
    axes.set(xscale="log", yscale="log")
    axes.set(xlabel="Partitions", ylabel="Milliseconds each")
    _plain_numbers(axes)
    low, high = axes.get_ylim()
    axes.set_ylim(low, high * (high / low) ** 0.4)
    style.dress(axes, grid="both")
    style.legend(axes, loc="upper center", ncols=2, columnspacing=1, handlelength=1.8)
