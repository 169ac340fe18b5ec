"""Medians, spread, ratios within rounds, and the size from which Dask pays."""

import math
from collections.abc import Sequence
from itertools import pairwise

import pandas as pd

from .measure import COMPLETED
from .plan import CROSSOVER, SCALING, SIZES

MEASURES = (
    "wall_seconds",
    "cpu_seconds",
    "cpu_use",
    "peak_memory_mb",
    "read_mb",
    "written_mb",
    "output_mb",
    "rows_per_second",
    "pipeline_seconds",
    "pipeline_cpu_use",
    "pipeline_peak_memory_mb",
    "compute_seconds",
    "compute_cpu_use",
)
BASES = ("etl_pandas", "etl_dask")
KEYS = ["experiment", "rows", "contender", "variant"]


def summarise(results: pd.DataFrame) -> pd.DataFrame:
    """Summarise the runs of each variant.

    Args:
        results: one row per run (``runs.RESULTS``).

    Returns:
        One row per experiment, size, variant and measure: ``runs``, ``median``,
        ``min``, ``max``, and for each of ``BASES`` the ratio to it (``to_<base>``,
        ``…_min``, ``…_max``): the median and the extremes of the ratios within rounds.
    """
    done = results[results["outcome"] == COMPLETED]
    columns = [*KEYS, "round", *MEASURES]
    long = done[columns].melt([*KEYS, "round"], var_name="measure").dropna()
    long["value"] = long["value"].astype(float)
    keys = [*KEYS, "measure"]
    groups = long.groupby(keys, sort=False)["value"]
    summary = groups.agg(runs="size", median="median", min="min", max="max")
    for base in BASES:
        summary = summary.join(_ratios(long, base, keys))
    return summary.reset_index()


def _ratios(long: pd.DataFrame, base: str, keys: list[str]) -> pd.DataFrame:
    """Ratios to a variant, run by run of the same round."""
    meet = ["experiment", "rows", "measure", "round"]
    bases = long.loc[long["variant"] == base, [*meet, "value"]]
    pairs = long.merge(bases, on=meet, suffixes=("", "_base"))
    pairs = pairs.assign(ratio=pairs["value"] / pairs["value_base"])
    name = f"to_{base}"
    return pairs.groupby(keys, sort=False)["ratio"].agg(
        **{name: "median", f"{name}_min": "min", f"{name}_max": "max"}
    )


def pick(
    summary: pd.DataFrame,
    measure: str,
    experiments: Sequence[str] = (SIZES,),
    **values,
) -> pd.DataFrame:
    """Choose the rows of a summary of one measure, fewest rows first."""
    chosen = summary["experiment"].isin(experiments) & (summary["measure"] == measure)
    for column, value in values.items():
        chosen &= summary[column] == value
    return summary[chosen].sort_values("rows", kind="stable")


def crossover(summary: pd.DataFrame, base: str = "etl_pandas") -> str:
    """Say below how many rows a contender without Dask is the faster choice.

    The ratio of the times is interpolated between the sizes measured, both on
    logarithmic scales.

    Args:
        summary: what :func:`summarise` returns.
        base: ``etl_pandas``, or another that is compared with ``etl_dask``.
    """
    experiments = (SIZES, CROSSOVER)
    found = pick(summary, "wall_seconds", experiments, variant=base)
    points = [
        (int(rows), 1 / ratio)
        for rows, ratio in zip(found["rows"], found["to_etl_dask"], strict=True)
        if ratio > 0
    ]
    return crossover_text(points, base)


def crossover_text(points: Sequence[tuple[int, float]], base: str) -> str:
    """Put a crossover into words.

    Args:
        points: (rows, time of etl_dask ÷ time of the other), fewest rows first.
        base: the other.
    """
    if not points:
        return f"etl_dask and {base} were not both measured"
    rows = crossing(points)
    if rows is not None:
        return f"{base} is faster below about {_rounded(rows):,} rows, etl_dask above"
    smallest, largest = f"{points[0][0]:,}", f"{points[-1][0]:,}"
    if points[-1][1] >= 1:
        return f"{base} is faster at every size measured (up to {largest} rows)"
    return f"etl_dask is faster at every size measured (from {smallest} rows)"


def crossing(points: Sequence[tuple[int, float]]) -> float | None:
    """Find the largest size at which a ratio falls to 1, if it does and stays there."""
    for (rows, ratio), (more_rows, next_ratio) in reversed([*pairwise(points)]):
        if next_ratio >= 1:
            return None
        if ratio >= 1:
            share = math.log(ratio) / (math.log(ratio) - math.log(next_ratio))
            return math.exp(
                math.log(rows) + share * (math.log(more_rows) - math.log(rows))
            )
    return None


def _rounded(number: float) -> int:
    """Round to two digits: more would not be true."""
    digits = max(len(str(int(number))) - 2, 0)
    return int(round(number, -digits))


def scaling(results: pd.DataFrame) -> pd.DataFrame:
    """How many times as fast more workers are than the fewest of their kind.

    Returns:
        One row per kind and number of workers: ``median``, ``min`` and ``max`` of the
        speed-ups of the computation within rounds, and of its seconds.
    """
    runs = results[
        (results["experiment"] == SCALING) & (results["outcome"] == COMPLETED)
    ]
    runs = runs.astype({"workers": "int64", "compute_seconds": "float64"})
    fewest = runs.groupby("worker_kind")["workers"].transform("min")
    meet = ["rows", "worker_kind", "round"]
    bases = runs.loc[runs["workers"] == fewest, [*meet, "compute_seconds"]]
    pairs = runs.merge(bases, on=meet, suffixes=("", "_base"))
    pairs["speedup"] = pairs["compute_seconds_base"] / pairs["compute_seconds"]
    keys = ["rows", "worker_kind", "workers"]
    groups = pairs.groupby(keys, sort=False)
    table = groups["speedup"].agg(["size", "median", "min", "max"])
    table["seconds"] = groups["compute_seconds"].median()
    table["cpu_use"] = groups["compute_cpu_use"].median()
    return (
        table.reset_index()
        .rename(columns={"size": "runs"})
        .sort_values(["worker_kind", "workers"], ascending=[False, True])
        .reset_index(drop=True)
    )
