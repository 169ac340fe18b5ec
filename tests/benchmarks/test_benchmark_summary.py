import math
from itertools import pairwise

import pytest

from benchmarks.figure import LOOKS, _moved_apart, draw_benchmark
from benchmarks.report import render
from benchmarks.settings import Benchmark
from benchmarks.summary import (
    crossing,
    crossover,
    crossover_text,
    pick,
    scaling,
    summarise,
)
from support.benchmark_runs import MACHINE, overhead, results, run, scaling_runs

THREE_ROUNDS = [
    run(contender, seconds, round)
    for contender, times in {
        "etl_pandas": (10.0, 30.0, 20.0),
        "etl_dask": (5.0, 6.0, 8.0),
        "pandas_plain": (9.0, 28.0, 19.0),
    }.items()
    for round, seconds in enumerate(times, 1)
]
KILLED = run(
    "etl_pandas",
    3.0,
    experiment="memory cap",
    outcome="killed",
    reason="was killed after 3.0 s",
    memory_cap_bytes=2_000_000_000,
)
SKIPPED = {
    "experiment": "sizes",
    "rows": 1_000_000,
    "contender": "polars_tuned",
    "variant": "polars_tuned",
    "outcome": "skipped",
    "reason": "polars is not installed",
}


def line(summary, measure, contender):
    [found] = pick(summary, measure, variant=contender).to_dict("records")
    return found


def test_medians_and_ratios_within_rounds():
    found = line(summarise(results(*THREE_ROUNDS)), "wall_seconds", "etl_dask")
    assert (found["runs"], found["median"], found["min"], found["max"]) == (3, 6, 5, 8)
    # 5/10, 6/30, 8/20: not the ratio of the medians, 6/20
    assert found["to_etl_pandas"] == 0.4
    assert (found["to_etl_pandas_min"], found["to_etl_pandas_max"]) == (0.2, 0.5)
    assert found["to_etl_dask"] == 1.0


def test_what_was_not_completed_or_not_measured_has_no_median():
    summary = summarise(results(*THREE_ROUNDS, KILLED, SKIPPED))
    assert "memory cap" not in set(summary["experiment"])
    assert "polars_tuned" not in set(summary["variant"])
    assert pick(summary, "pipeline_seconds", variant="pandas_plain").empty


def test_experiments_and_sizes_are_kept_apart():
    more = [run("etl_pandas", 2.0, rows=10), run("etl_dask", 8.0, rows=10)]
    found = pick(
        summarise(results(*THREE_ROUNDS, *more)), "wall_seconds", variant="etl_dask"
    )
    assert found["rows"].tolist() == [10, 1_000_000]
    assert found["to_etl_pandas"].tolist() == [4.0, 0.4]


def test_crossing_is_interpolated_on_logarithmic_scales():
    assert crossing([(100, 2.0), (10_000, 0.5)]) == pytest.approx(1000)
    assert crossing([(10, 3.0), (100, 2.0), (10_000, 0.5), (20_000, 0.1)]) == (
        pytest.approx(1000)
    )
    assert crossing([(100, 1.0), (1000, 0.5)]) == pytest.approx(100)
    assert crossing([(100, 0.5), (1000, 2.0)]) is None
    assert crossing([(100, 0.5)]) is None


@pytest.mark.parametrize(
    ("points", "said"),
    [
        ([], "not both measured"),
        ([(1000, 3.0)], "pandas is faster at every size measured (up to 1,000 rows)"),
        ([(1000, 0.3)], "etl_dask is faster at every size measured (from 1,000 rows)"),
        ([(100, 2.0), (10_000, 0.5)], "pandas is faster below about 1,000 rows"),
        ([(100, 2.0), (1_000_000, 0.9)], "pandas is faster below about 300,000 rows"),
    ],
)
def test_crossover_in_words(points, said):
    assert said in crossover_text(points, "pandas")


def test_crossover_joins_small_and_large_sizes():
    small = [
        run("etl_pandas", 1.0, rows=10_000, experiment="crossover"),
        run("etl_dask", 4.0, rows=10_000, experiment="crossover"),
    ]
    summary = summarise(results(*THREE_ROUNDS, *small))
    rows = 10_000 * 100 ** (math.log(4) / math.log(10))
    assert f"below about {round(rows, -4):,.0f} rows" in crossover(summary)


def test_scaling_is_by_kind_of_worker():
    runs = [*scaling_runs("threads", 8.0, 5.0), *scaling_runs("processes", 9.0, 6.0)]
    table = scaling(results(*runs, *THREE_ROUNDS))
    assert table["worker_kind"].tolist() == ["threads"] * 2 + ["processes"] * 2
    assert table["median"].tolist() == [1.0, 1.6, 1.0, 1.5]


@pytest.mark.parametrize(
    "runs",
    [
        [*THREE_ROUNDS, KILLED, SKIPPED, *scaling_runs("threads", 8.0, 5.0)],
        [run("etl_dask", 1.0)],
        [run("polars_tuned", 1.0)],
        [KILLED, SKIPPED],
        [],
    ],
    ids=["all", "one engine", "one peer", "nothing completed", "nothing"],
)
def test_report_and_figure_of_any_results(runs, tmp_path):
    table = results(*runs)
    summary = summarise(table)
    text = render(table, summary, overhead(10, 100), MACHINE)
    assert "A processor, 2 usable cores of 4, 8.0 GiB" in text
    assert "nan" not in text
    for block in text.split("\n\n"):
        cells = {row.count("|") for row in block.splitlines() if row.startswith("|")}
        assert len(cells) <= 1, block
    draw_benchmark(table, summary, overhead(10, 100), MACHINE).savefig(
        tmp_path / "figure.png"
    )


def test_every_contender_has_looks_of_its_own():
    assert [*LOOKS] == [*{**LOOKS, **dict.fromkeys(Benchmark().contenders)}]
    for part in zip(*LOOKS.values(), strict=True):
        assert len({*part}) == len(LOOKS)


def test_the_picture_names_every_line():
    runs = [
        run(name, 1.0 + 0.001 * number, rows=rows)
        for number, name in enumerate(LOOKS)
        for rows in (1_000_000, 100_000_000)
    ]
    table = results(*runs)
    figure = draw_benchmark(table, summarise(table), overhead(10), MACHINE)
    time, memory = figure.subfigs[0].axes
    for axes, more in (
        (time, ["etl_dask, pipeline", "etl_pandas, pipeline"]),
        (memory, []),
    ):
        figure.canvas.draw()
        named = {text.get_text().strip(): text for text in axes.texts}
        assert {*named} == {*LOOKS, *more}
        boxes = sorted(
            (text.get_window_extent() for text in named.values()), key=lambda b: b.y0
        )
        assert all(low.y1 <= high.y0 + 1 for low, high in pairwise(boxes))
        assert all(axes.bbox.y0 < box.y0 and box.y1 < axes.bbox.y1 for box in boxes)


def test_names_are_moved_apart_as_little_as_it_takes():
    assert _moved_apart([], 1.0) == []
    assert _moved_apart([0.0, 2.0, 5.0], 1.0) == [0.0, 2.0, 5.0]
    assert _moved_apart([0.0, 0.0, 9.0], 1.0) == [-0.5, 0.5, 9.0]
    # The third meets the two that made room for each other.
    assert _moved_apart([0.0, 0.0, 1.2], 1.0) == pytest.approx([-0.6, 0.4, 1.4])


def test_report_says_what_counts():
    table = results(*THREE_ROUNDS, KILLED, SKIPPED, *scaling_runs("threads", 8.0, 5.0))
    text = render(table, summarise(table), overhead(10), MACHINE)
    for said in (
        "is 2.50 times as fast as etl_pandas",
        "with 40% of the memory",
        "2 threads compute 1.60 times as fast as one",
        "| 6.00 (5.00–8.00) |",
        "| 0.40 (0.20–0.50) |",
        "| 2 GB | 1,000,000 | etl_pandas | was killed after 3.0 s |",
        "polars is not installed",
    ):
        assert said in text, said


def test_wide_data_have_a_table_of_their_own():
    wide = [
        run("etl_pandas", 8.0, rows=3_000_000, experiment="wide data"),
        run("etl_dask", 4.0, rows=3_000_000, experiment="wide data"),
    ]
    table = results(*THREE_ROUNDS, *wide)
    text = render(table, summarise(table), overhead(10), MACHINE)
    head, table = text.split("## 3,000,000 rows, wide")
    assert "3,000,000" not in head
    assert "0.50" in table.split("\n## ")[0]
