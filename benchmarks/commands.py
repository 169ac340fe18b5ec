"""The contenders: how each is started, and where it leaves its tables."""

import importlib.util
import json
import os
import shutil
import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from .plan import Variant
from .workspace import Workspace, current_parts

SCRIPTS = Path("benchmarks") / "contenders"
"""Where the peers are, in the project."""

LIBRARIES = {
    "duckdb_tuned": ("duckdb", "bench"),
    "polars_tuned": ("polars", "bench"),
    "datafusion_tuned": ("datafusion", "bench"),
    "daft_tuned": ("daft", "bench-all"),
    "pyspark_local": ("pyspark", "bench-all"),
}
"""What a contender needs beyond the project's own dependencies, and which extra has it."""

JAVA = ("pyspark_local",)
"""Contenders that run in Java."""

ENGINES = {"etl_pandas": "pandas", "etl_dask": "dask"}
"""Contenders that are pipelines of the project, and their namespaces."""

CONTRACT = Path(__file__).parent / "contenders" / "contract.json"
"""What is common to the contenders: names of rules, classes and tables."""

TABLES = {
    table: tuple(key)
    for table, key in json.loads(CONTRACT.read_text())["tables"].items()
}
"""What every contender makes, and the columns that identify a row."""

TOLD_SHARE = {"duckdb_tuned": 0.75, "datafusion_tuned": 0.75, "pyspark_local": 0.6}
"""Share of a memory cap that a contender is told to keep to, as it cannot see the cap.

Of PySpark it is the heap: Java itself and Python need the rest.
"""


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
    library, extra = LIBRARIES.get(name, (None, None))
    if library and importlib.util.find_spec(library) is None:
        return f"{library} is not installed (pip install 'dask_etl[{extra}]')"
    if name in JAVA and not (os.environ.get("JAVA_HOME") or shutil.which("java")):
        return "there is no Java: install a Java runtime, version 17 or later"
    return None


def command(variant: Variant, place: Workspace, as_of: datetime) -> list[str]:
    """Return the command that runs a contender as a person would."""
    if variant.contender in ENGINES:
        return kedro_run(variant.contender, place, variant.parameters)
    script = place.project / SCRIPTS / f"{variant.contender}.py"
    options = ["--as-of", as_of.isoformat()]
    if variant.cap and variant.contender in TOLD_SHARE:
        share = TOLD_SHARE[variant.contender]
        options += ["--memory-limit", f"{variant.cap * share / 1e6:.0f}MB"]
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
