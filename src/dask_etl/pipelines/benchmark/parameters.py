"""What ``conf/*/parameters_benchmark.yml`` may say."""

from typing import Annotated, Literal

from pydantic import Field

from dask_etl.validation import Strict

ContenderName = Literal[
    "etl_pandas",
    "etl_dask",
    "pandas_plain",
    "dask_textbook",
    "duckdb_tuned",
    "polars_tuned",
]
Rows = Annotated[int, Field(ge=1, le=1_000_000_000)]
Count = Annotated[int, Field(ge=1)]


class Scaling(Strict):
    """Sizes of the cluster that ``etl_dask`` runs on, all at one number of rows."""

    rows: Rows = 10_000_000
    threads: tuple[Count, ...] = (1, 2)
    processes: tuple[Count, ...] = (1, 2)


class Benchmark(Strict):
    """What is run, how often and on how much; the comments in the file say more."""

    folder: str = "data/09_benchmark"
    sizes: tuple[Rows, ...] = (1_000_000, 10_000_000)
    contenders: tuple[ContenderName, ...] = (
        "etl_pandas",
        "etl_dask",
        "pandas_plain",
        "dask_textbook",
        "duckdb_tuned",
        "polars_tuned",
    )
    repeats: int = Field(3, ge=1, le=100)
    max_rows: dict[ContenderName, Rows] = Field(default_factory=dict)
    crossover_sizes: tuple[Rows, ...] = (10_000, 100_000)
    scaling: Scaling | None = Scaling()
    memory_caps: tuple[Annotated[int, Field(ge=100_000_000)], ...] = ()
    memory_cap_rows: tuple[Rows, ...] = ()
    overhead_partitions: tuple[Count, ...] = (100, 1_000, 10_000)
    timeout_seconds: float = Field(3600, gt=0)
    keep_data: bool = False
