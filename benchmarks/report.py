"""The results in Markdown: machine, tables, and what they say."""

from collections.abc import Iterable, Sequence
from itertools import pairwise

import pandas as pd

from .measure import COMPLETED
from .plan import CAPPED, CROSSOVER, SIZES, WIDE, workers_named
from .runs import SKIPPED
from .summary import crossover, pick, scaling

HEADS = {
    "wall_seconds": ("Wall time (s)", "{:,.2f}"),
    "cpu_use": ("CPU use", "{:.0%}"),
    "peak_memory_mb": ("Peak memory (MB)", "{:,.0f}"),
    "read_mb": ("Read (MB)", "{:,.0f}"),
    "written_mb": ("Written (MB)", "{:,.0f}"),
    "rows_per_second": ("Rows/s", "{:,.0f}"),
    "pipeline_seconds": ("Pipeline (s)", "{:,.2f}"),
    "compute_cpu_use": ("CPU use computing", "{:.0%}"),
    "pipeline_peak_memory_mb": ("Peak of pipeline (MB)", "{:,.0f}"),
}

NOTES = """\
- Every run is a process of its own, imports and start of the cluster included. The
  contenders take turns, in rounds; each round begins with another one. The raw files are
  in the page cache, and every contender ran once, unmeasured, before.
- Outputs were checked before anything was reported: `row_ledger`, `sales_cube` and
  `customers` value by value, `clean_transactions` and `rejected_transactions` by digests
  of every column (those of the first run of each contender; by the number of rows after).
- Medians, and the smallest and the largest value in brackets. Ratios are those of two
  runs of the same round: below 1 is less than the base.
- CPU time is the system's account of the process and its children; CPU use is its share
  of all usable cores. Peak memory is the largest sum of anonymous memory over the process
  tree, sampled every 50 ms: files mapped and memory shared do not count.
- Read and written: bytes through system calls, from the page cache too, program files
  included (tens of MB); reads through memory maps are not seen.
- "Pipeline" is the run's own account of its nodes and the start of the cluster;
  "computing" leaves the start out."""


def render(
    results: pd.DataFrame, summary: pd.DataFrame, overhead: pd.DataFrame, machine: dict
) -> str:
    """Write the report.

    Args:
        results: one row per run.
        summary: of :func:`summary.summarise`.
        overhead: of :func:`overhead.measure_overhead`.
        machine: of :func:`machine.describe_machine`.

    Returns:
        Markdown; the figure is linked as a file beside it.
    """
    parts = [
        "# Benchmark",
        _machine(machine, results),
        "![Benchmark](benchmark.png)",
        "## In short\n\n"
        + "\n".join(f"- {line}." for line in findings(results, summary)),
        *_sizes(summary),
        _crossover(summary),
        _scaling(results),
        _caps(results),
        _overhead(overhead),
        _skipped(results),
        f"## How it was measured\n\n{NOTES}",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _machine(machine: dict, results: pd.DataFrame) -> str:
    versions = ", ".join(f"{k} {v}" for k, v in machine["versions"].items())
    rounds = results["round"].dropna()
    repeats = int(rounds.max()) if len(rounds) else 0
    return (
        f"{machine['processor']}, {machine['usable_cores']} usable cores of "
        f"{machine['cores']}, {machine['memory_bytes'] / 2**30:.1f} GiB of memory; "
        f"{machine['system']}; Python {machine['python']}; {versions}. "
        f"{repeats} round{'s' * (repeats != 1)}, {machine['measured_at']}. Made by `make bench`."
    )


def findings(results: pd.DataFrame, summary: pd.DataFrame) -> list[str]:
    """Say what the figures mean, in a few sentences."""
    lines = []
    for rows in sorted(pick(summary, "wall_seconds")["rows"].unique()):
        lines += _against_pandas(summary, rows) + _against_peers(summary, rows)
    lines += _growth(summary)
    lines += [crossover(summary, base) for base in ("etl_pandas", "pandas_plain")]
    lines += [
        f"{row.workers} {row.worker_kind} compute {_spread(row, '{:.2f}')} times as "
        f"fast as one, on {row.rows:,} rows"
        for row in scaling(results).itertuples()
        if row.workers > 1
    ]
    return lines


def _against_pandas(summary: pd.DataFrame, rows: int) -> list[str]:
    ratios = {}
    for measure in ("pipeline_seconds", "wall_seconds", "peak_memory_mb"):
        found = pick(summary, measure, rows=rows, variant="etl_dask")
        if found["to_etl_pandas"].isna().all():
            return []
        ratios[measure] = found["to_etl_pandas"].iloc[0]
    use = pick(summary, "compute_cpu_use", rows=rows, variant="etl_dask")
    return [
        f"{rows:,} rows: the pipeline etl_dask is "
        f"{1 / ratios['pipeline_seconds']:.2f} times as fast as etl_pandas, the whole "
        f"process {1 / ratios['wall_seconds']:.2f} times, with "
        f"{ratios['peak_memory_mb']:.0%} of the memory; it uses "
        f"{use['median'].iloc[0]:.0%} of the cores while it computes"
    ]


def _against_peers(summary: pd.DataFrame, rows: int) -> list[str]:
    """Time of etl_dask as a share of that of each contender that is no pipeline."""
    found = pick(summary, "wall_seconds", rows=rows)
    peers = found[~found["contender"].isin(["etl_dask", "etl_pandas"])]
    texts = [
        f"{1 / row.to_etl_dask:.2f} of the time of {row.variant}"
        for row in peers.itertuples()
        if row.to_etl_dask > 0
    ]
    lines = [f"{rows:,} rows: etl_dask takes {', '.join(texts)}"] if texts else []
    plain = found.loc[found["variant"] == "pandas_plain", "to_etl_pandas"].dropna()
    lines += [
        f"{rows:,} rows: etl_pandas takes {1 / ratio:.2f} of the time of pandas_plain"
        for ratio in plain
    ]
    return lines


def _growth(summary: pd.DataFrame) -> list[str]:
    """How time and memory of etl_dask grow, tenfold where that was measured."""
    time = pick(summary, "wall_seconds", variant="etl_dask").set_index("rows")["median"]
    memory = pick(summary, "peak_memory_mb", variant="etl_dask").set_index("rows")
    sizes = list(time.index)
    return [
        f"From {few:,} to {many:,} rows etl_dask takes {time[many] / time[few]:.1f} "
        f"times the time and {memory['median'][many] / memory['median'][few]:.2f} "
        "times the memory"
        for less, many in pairwise(sizes)
        for few in [many // 10 if many // 10 in sizes else less]
    ]


def _sizes(summary: pd.DataFrame) -> Iterable[str]:
    for rows in sorted(pick(summary, "wall_seconds")["rows"].unique()):
        yield _comparison(f"## {rows:,} rows", summary, SIZES, rows)
    for rows in pick(summary, "wall_seconds", [WIDE])["rows"].unique():
        head = f"## {rows:,} rows, wide: many regions, categories and years"
        yield _comparison(head, summary, WIDE, rows)


def _comparison(head: str, summary: pd.DataFrame, experiment: str, rows: int) -> str:
    """One table of all contenders at one size, fastest first."""
    times = pick(summary, "wall_seconds", [experiment], rows=rows)
    lines = []
    for row in times.sort_values("median", kind="stable").itertuples():
        cells = {
            measure: pick(
                summary, measure, [experiment], rows=rows, variant=row.variant
            )
            for measure in HEADS
        }
        lines.append(
            [
                row.variant,
                *(_cell(cells[measure], HEADS[measure][1]) for measure in HEADS),
                _ratio(row, "to_etl_pandas"),
                _ratio(row, "to_etl_dask"),
            ]
        )
    heads = ["", *(name for name, _ in HEADS.values())]
    return f"{head}\n\n" + _table([*heads, "÷ etl_pandas", "÷ etl_dask"], lines)


def _cell(found: pd.DataFrame, form: str) -> str:
    return "" if found.empty else _spread(next(found.itertuples()), form)


def _spread(row, form: str) -> str:
    median, low, high = (form.format(getattr(row, n)) for n in ("median", "min", "max"))
    return median if low == high else f"{median} ({low}–{high})"


def _ratio(row, name: str) -> str:
    values = [getattr(row, name + end) for end in ("", "_min", "_max")]
    if pd.isna(values[0]):
        return ""
    median, low, high = (f"{value:.2f}" for value in values)
    return median if low == high else f"{median} ({low}–{high})"


def _crossover(summary: pd.DataFrame) -> str:
    found = pick(summary, "wall_seconds", [CROSSOVER, SIZES])
    if found[found["experiment"] == CROSSOVER].empty:
        return ""
    wide = found.pivot_table(index="rows", columns="variant", values="median")
    wide = wide[[n for n in ("etl_pandas", "etl_dask", "pandas_plain") if n in wide]]
    lines = [
        [f"{rows:,}", *("" if pd.isna(v) else f"{v:.2f}" for v in row)]
        for rows, row in zip(wide.index, wide.to_numpy(), strict=True)
    ]
    said = " ".join(f"{crossover(summary, n)}." for n in ("etl_pandas", "pandas_plain"))
    return f"## Where Dask begins to pay\n\n{said}\n\n" + _table(
        ["Rows", *(f"{name} (s)" for name in wide.columns)], lines
    )


def _scaling(results: pd.DataFrame) -> str:
    table = scaling(results)
    if table.empty:
        return ""
    lines = [
        [
            *(workers_named(row.worker_kind, row.workers), f"{row.seconds:.2f}"),
            *(_spread(row, "{:.2f}"), f"{row.cpu_use:.0%}"),
        ]
        for row in table.itertuples()
    ]
    heads = ["Workers", "Computation (s)", "Speed-up", "CPU use of all cores"]
    rows = f"etl_dask on {table['rows'].iloc[0]:,} rows."
    return f"## Scaling in workers\n\n{rows}\n\n{_table(heads, lines)}"


def _caps(results: pd.DataFrame) -> str:
    runs = results[results["experiment"] == CAPPED]
    if runs.empty:
        return ""
    lines = [
        [
            *(f"{row.memory_cap_bytes / 1e9:g} GB", f"{row.rows:,}", row.contender),
            row.outcome if row.outcome == COMPLETED else row.reason,
            "" if row.outcome != COMPLETED else f"{row.wall_seconds:.1f}",
            "" if row.outcome != COMPLETED else f"{row.peak_memory_mb:,.0f}",
        ]
        for row in runs.itertuples()
    ]
    heads = ["Limit", "Rows", "", "Outcome", "Wall time (s)", "Peak memory (MB)"]
    return (
        "## Under a hard limit on memory\n\nOf the whole process tree, the page cache "
        "that it fills included; one run each. "
        "DuckDB and DataFusion are told to keep to 75 % of it, Java to 60 %.\n\n"
        + _table(heads, lines)
    )


def _overhead(overhead: pd.DataFrame) -> str:
    if overhead.empty:
        return ""
    lines = [
        [
            *(row.scheduler, row.what, f"{row.partitions:,}", f"{row.seconds:.2f}"),
            f"{row.milliseconds_per_partition:.2f}",
            f"{row.partitions_per_second:,.0f}",
            *(f"{row.graph_keys:,}", f"{row.graph_bytes / 1e3:,.0f}"),
            f"{row.build_seconds:.3f}",
        ]
        for row in overhead.itertuples()
    ]
    heads = [
        *("Scheduler", "What", "Partitions", "Seconds", "ms per partition"),
        *("Partitions/s", "Graph keys", "Graph (kB)", "Building it (s)"),
    ]
    return (
        '## What scheduling costs\n\nPartitions without work; "engine" is what '
        "etl_dask runs on, with a scratch file and a receipt for each partition.\n\n"
        + _table(heads, lines)
    )


def _skipped(results: pd.DataFrame) -> str:
    rows = results[results["outcome"] == SKIPPED]
    if rows.empty:
        return ""
    lines = [
        f"- {row.variant}, {row.rows:,} rows ({row.experiment}): {row.reason}"
        for row in rows.itertuples()
    ]
    return "## Not run\n\n" + "\n".join(lines)


def _table(heads: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    rows = [heads, ["---"] * len(heads), *lines]
    return "\n".join(
        f"| {' | '.join(str(cell).replace('|', '/') for cell in row)} |" for row in rows
    )
