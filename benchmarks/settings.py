"""What ``settings.yml`` may say."""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AwareDatetime, Field

from dask_etl.errors import ExplainedError
from dask_etl.validation import Strict, problems

DEFAULTS = Path(__file__).with_name("settings.yml")

ContenderName = Literal[
    "etl_pandas",
    "etl_dask",
    "pandas_plain",
    "dask_textbook",
    "duckdb_tuned",
    "polars_tuned",
    "datafusion_tuned",
    "daft_tuned",
    "pyspark_local",
]
Rows = Annotated[int, Field(ge=1, le=1_000_000_000)]
Count = Annotated[int, Field(ge=1)]


class Scaling(Strict):
    """Sizes of the cluster that ``etl_dask`` runs on, all at one number of rows."""

    rows: Rows = 10_000_000
    threads: tuple[Count, ...] = (1, 2)
    processes: tuple[Count, ...] = (1, 2)


class Wide(Strict):
    """Data of many labels and years: what is generated otherwise than by default."""

    rows: Rows = 3_000_000
    regions: Count = 1_000
    categories: Count = 200
    start: date = date(2015, 1, 1)


class Benchmark(Strict):
    """What is run, how often and on how much; the comments in the file say more."""

    folder: Path = Path("data") / "09_benchmark"
    sizes: tuple[Rows, ...] = (1_000_000, 10_000_000)
    contenders: tuple[ContenderName, ...] = (
        "etl_pandas",
        "etl_dask",
        "pandas_plain",
        "dask_textbook",
        "duckdb_tuned",
        "polars_tuned",
        "datafusion_tuned",
        "daft_tuned",
        "pyspark_local",
    )
    repeats: int = Field(3, ge=1, le=100)
    max_rows: dict[ContenderName, Rows] = Field(default_factory=dict)
    crossover_sizes: tuple[Rows, ...] = (10_000, 100_000)
    scaling: Scaling | None = Scaling()
    wide: Wide | None = Wide()
    memory_caps: tuple[Annotated[int, Field(ge=100_000_000)], ...] = ()
    memory_cap_rows: tuple[Rows, ...] = ()
    overhead_partitions: tuple[Count, ...] = (100, 1_000, 10_000)
    timeout_seconds: float = Field(3600, gt=0)
    keep_data: bool = False
    # A number would be taken for seconds since 1970.
    as_of: Annotated[AwareDatetime, Field(strict=True)] = datetime(
        2025, 1, 1, tzinfo=UTC
    )


def load_settings(file: Path | None = None) -> Benchmark:
    """Read the settings, with what a file of one's own says instead.

    Args:
        file: YAML that names only what differs from ``settings.yml``.

    Raises:
        ExplainedError: naming file, setting and what is wrong with it.
    """
    given = {**_read(DEFAULTS), **(_read(file) if file else {})}
    found = problems(given, Benchmark, "settings")
    if found:
        raise ExplainedError("\n".join(f"{file or DEFAULTS}: {one}" for one in found))
    return Benchmark(**given)


def _read(file: Path) -> dict[str, Any]:
    try:
        settings = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    except yaml.YAMLError as error:
        raise ExplainedError(f"{file} is not YAML: {error}") from error
    if not isinstance(settings, dict):
        raise ExplainedError(f"{file}: settings by name are expected, e.g. repeats: 3")
    return settings
