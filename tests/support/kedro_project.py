"""A temporary copy of the project: run its pipelines, look at what they left."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import yaml
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project

from dask_etl.datasets import PandasParquetDataset
from dask_etl.retail.parameters import Segments

ROOT = Path(__file__).parents[2]
ETL = ("etl_dask", "etl_pandas")
TIMEOUT = 300
ENGINES = ("dask", "pandas")
TOLERANT = {"allow_nothing_kept": True, "thresholds": {"any": {"fail_above": 1}}}
"""``cleaning`` for tests of what becomes of rows, however many of them are bad."""


@dataclass(frozen=True)
class Project:
    """A project directory, and the environment that its runs use."""

    path: Path
    env: str = "test"

    @property
    def data(self) -> Path:
        """The root of the tables that runs in the environment write."""
        settings = self.path / "conf" / self.env / "globals.yml"
        return self.path / yaml.safe_load(settings.read_text())["data_root"]

    def run(self, *pipelines: str, runner=None, params=None, **options) -> None:
        """Run pipelines (all of them by default) in this process."""
        bootstrap_project(self.path)
        with KedroSession.create(
            project_path=self.path, env=self.env, runtime_params=params
        ) as session:
            session.run(pipeline_names=[*pipelines] or None, runner=runner, **options)

    def kedro(
        self,
        *arguments: str,
        env: Mapping[str, str] | None = None,
        afresh: bool = False,
    ) -> subprocess.CompletedProcess[str]:
        """Run ``kedro …`` as a person would: in the project, in its own process.

        Args:
            arguments: what follows ``kedro``.
            env: variables of the environment, beside those that are there.
            afresh: start Python for it, and all its imports; else the process is forked
                from one that has the libraries.
        """
        from support import commands

        inherited = {**os.environ, **(env or {})}
        for name in ("PYTHONPATH", "KEDRO_LOGGING_CONFIG", "KEDRO_ENV"):
            inherited.pop(name, None)
        if not afresh:
            words = ["kedro", *arguments]
            return commands.run(words, self.path, inherited, TIMEOUT)
        return subprocess.run(
            [sys.executable, "-m", "kedro", *arguments],
            cwd=self.path,
            env=inherited,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )

    def folder(self, name: str) -> Path:
        """The folder of a catalog entry, e.g. ``dask.sales_cube``."""
        [found] = self.data.glob(f"*/{name.replace('.', '/')}")
        return found

    def table(self, name: str) -> pa.Table:
        """Read the current version of a catalog entry, as it is stored."""
        source = PandasParquetDataset(filepath=str(self.folder(name))).source()
        return source.reader.read(source.segments)

    def raw_files(self) -> list[Path]:
        """The files of the current version of the raw table, in raw order.

        They are links whose names are those that ledgers have for the files.
        """
        folder = str(self.data / "01_raw" / "transactions")
        source = PandasParquetDataset(filepath=folder).source()
        links = self.path / "raw_files"
        shutil.rmtree(links, ignore_errors=True)
        links.mkdir()
        for segment in source.segments:
            (links / segment.name).hardlink_to(segment.path)
        return [links / segment.name for segment in source.segments]

    def current(self, name: str) -> str:
        """The run whose version of a catalog entry readers get."""
        dataset = PandasParquetDataset(filepath=str(self.folder(name)))
        state = dataset.session.state
        return state.events[state.current(dataset.store.name).release].run_id

    def snapshot(self) -> dict[str, bytes]:
        """Every byte of the data but lock files."""
        return {
            str(path.relative_to(self.data)): path.read_bytes()
            for path in sorted(self.data.rglob("*"))
            if path.is_file() and path.suffix != ".lock"
        }

    def reads(self, folder: Path, as_of: datetime, **options) -> "Project":
        """The project in an environment of its own that reads a folder of Parquet.

        It bears any number of bad rows.
        """
        env = self.path / "conf" / "elsewhere"
        env.mkdir(exist_ok=True)
        for name in ("dask.yml", "globals.yml"):
            shutil.copy(self.path / "conf" / "test" / name, env)
        write_yaml(env / "catalog.yml", raw_catalog(folder, **options))
        parameters = {"clock": {"as_of": as_of.isoformat()}, "cleaning": TOLERANT}
        write_yaml(env / "parameters_etl.yml", parameters)
        return Project(self.path, "elsewhere")


def make_project(path: Path) -> Project:
    """Copy what makes a directory this project; the installed package is its source."""
    (path / "src").mkdir(parents=True)
    for name in ("pyproject.toml", ".telemetry"):
        shutil.copy(ROOT / name, path)
    shutil.copytree(
        ROOT / "conf", path / "conf", ignore=shutil.ignore_patterns("local")
    )
    (path / "conf" / "local").mkdir()
    return Project(path)


def raw_catalog(folder: Path, **options) -> dict:
    """Catalog entries that point both faces of the raw table at a folder."""
    return {
        f"raw_transactions@{engine}": {
            "type": f"dask_etl.datasets.{kind}ParquetDataset",
            "filepath": str(folder),
            "schema": "raw_transactions",
            **options,
        }
        for engine, kind in zip(ENGINES, ("Dask", "Pandas"), strict=True)
    }


def write_yaml(path: Path, content: Mapping | Sequence) -> None:
    """Write a configuration file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(content, sort_keys=False))


def base_segments() -> Segments:
    """The segments of ``conf/base``."""
    path = ROOT / "conf" / "base" / "parameters_analytics.yml"
    return Segments(**yaml.safe_load(path.read_text())["segments"])
