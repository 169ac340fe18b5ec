"""The contenders: how each is started, and where it leaves its tables."""

import importlib.util
import json
import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from .plan import Variant
from .workspace import Workspace, current_parts

SCRIPTS = Path("benchmarks") / "contenders"
"""Where the peers are, in the project."""

LIBRARIES = {"duckdb_tuned": "duckdb", "polars_tuned": "polars"}
"""What a contender needs beyond the project's own dependencies."""

ENGINES = {"etl_pandas": "pandas", "etl_dask": "dask"}
"""Contenders that are pipelines of the project, and their namespaces."""

CONTRACT = Path(__file__).parent / "contenders" / "contract.json"
"""What is common to the contenders: names of rules, classes and tables."""

TABLES = {
    table: tuple(key)
    for table, key in json.loads(CONTRACT.read_text())["tables"].items()
}
"""What every contender makes, and the columns that identify a row."""

DUCKDB_SHARE = 0.75
"""Share of a memory cap that DuckDB is told to keep to: it cannot see the cap."""


def unavailable(
    variant: Variant, rows: int, max_rows: Mapping[str, int], project: Path
):
    """Say why a contender cannot take part; None if it can."""
    name = variant.contender
    if rows > max_rows.get(name, rows):
        return f"left out above {max_rows[name]:,} rows (max_rows)"
    if name in ENGINES:
        return None
    if not (project / SCRIPTS / f"{name}.py").exists():
        return f"{SCRIPTS / name}.py is not there"
    library = LIBRARIES.get(name)
    if library and importlib.util.find_spec(library) is None:
        return f"{library} is not installed (pip install 'dask_etl[bench]')"
    return None


def command(variant: Variant, place: Workspace, as_of: datetime) -> list[str]:
    """Return the command that runs a contender as a person would."""
    if variant.contender in ENGINES:
        return kedro_run(variant.contender, place, variant.parameters)
    script = place.project / SCRIPTS / f"{variant.contender}.py"
    options = ["--as-of", as_of.isoformat()]
    if variant.cap and variant.contender == "duckdb_tuned":
        options += ["--memory-limit", f"{variant.cap * DUCKDB_SHARE / 1e6:.0f}MB"]
    return [
        *(sys.executable, str(script), str(place.raw), str(place.output)),
        *options,
    ]


def kedro_run(
    pipeline: str, place: Workspace, parameters: Mapping[str, object] | None = None
) -> list[str]:
    """Return the command that runs a pipeline on the data of a workspace."""
    given = ",".join(f"{key}={value}" for key, value in (parameters or {}).items())
    return [
        *(sys.executable, "-m", "kedro", "run"),
        *("--conf-source", str(place.conf), "--pipelines", pipeline),
        *(["--params", given] if given else []),
    ]


def output_files(variant: Variant, place: Workspace) -> dict[str, list[Path]]:
    """Find the files of each table that a contender has just written, in order."""
    engine = ENGINES.get(variant.contender)
    if engine:
        primary = place.folder / "03_primary" / engine
        return {table: current_parts(primary / table) for table in TABLES}
    return {table: sorted((place.output / table).glob("*.parquet")) for table in TABLES}
