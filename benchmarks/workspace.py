"""The folder in which contenders run: configuration, raw data, what they write."""

import contextlib
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from dask_etl.errors import ExplainedError
from dask_etl.storage.names import stable_name

BYTES_PER_ROW = 300
"""Disk space that a row may need: raw, written twice (the reference stays), spilled."""

COPY_BYTES = 1 << 24


class BenchmarkError(ExplainedError, RuntimeError):
    """The benchmark cannot go on; the message says why and what to do."""


@dataclass(frozen=True)
class Workspace:
    """Where contenders run on one set of raw data.

    Attributes:
        project: root of the Kedro project.
        folder: the data root of these runs; made by :meth:`prepare`.
        rows: how many raw rows there are.
        generation: other parameters of their generation than the usual ones.
    """

    project: Path
    folder: Path
    rows: int
    generation: Mapping[str, object] = field(default_factory=dict)

    @property
    def conf(self) -> Path:
        """The configuration that the project's pipelines run with."""
        return self.folder / "conf"

    @property
    def output(self) -> Path:
        """Where contenders that are scripts write."""
        return self.folder / "output"

    @property
    def reference(self) -> Path:
        """Where the tables are kept that those of others must equal."""
        return self.folder / "reference"

    @property
    def log(self) -> Path:
        """What the latest run said."""
        return self.folder / "log.txt"

    @property
    def raw(self) -> Path:
        """A folder of the raw files, under the names that ledgers have for them."""
        folder = self.folder / "raw"
        if not folder.exists():
            folder.mkdir()
            for part in current_parts(self.folder / "01_raw" / "transactions"):
                (folder / stable_name(part.name)).hardlink_to(part)
        return folder

    @property
    def input_bytes(self) -> int:
        """Size of the raw files."""
        return sum(file.stat().st_size for file in self.raw.glob("*.parquet"))

    def prepare(self, as_of: str) -> None:
        """Make the folder, with a copy of the base configuration that points to it."""
        check_disk(self.folder, self.rows)
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.copytree(self.project / "conf" / "base", self.conf / "base")
        own = {
            "globals.yml": {"data_root": str(self.folder)},
            "parameters.yml": {
                "generation": {**self.generation, "rows": self.rows},
                "clock": {"as_of": as_of},
            },
        }
        (self.conf / "local").mkdir()
        for name, content in own.items():
            (self.conf / "local" / name).write_text(yaml.safe_dump(content))

    def warm(self) -> None:
        """Read the raw files once, so that all contenders find them in memory."""
        for path in self.raw.glob("*.parquet"):
            with path.open("rb") as file:
                while file.read(COPY_BYTES):
                    pass

    def clear(self) -> None:
        """Remove what a contender wrote, and let the disk come to rest."""
        for name in ("03_primary", "08_reporting", "output"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
        self.output.mkdir(parents=True)
        if hasattr(os, "sync"):
            os.sync()

    def remove(self) -> None:
        """Remove everything, and the folder above if nothing else is in it."""
        shutil.rmtree(self.folder, ignore_errors=True)
        with contextlib.suppress(OSError):
            self.folder.parent.rmdir()


def check_disk(folder: Path, rows: int) -> None:
    """Refuse to fill the disk.

    Raises:
        BenchmarkError: with the space that there is and the space it may take.
    """
    folder.mkdir(parents=True, exist_ok=True)
    free, needed = shutil.disk_usage(folder).free, rows * BYTES_PER_ROW
    if free < needed:
        raise BenchmarkError(
            f"A benchmark of {rows:,} rows may need {needed / 1e9:.1f} GB of disk; "
            f"{free / 1e9:.1f} GB are free where {folder} is. Leave that size out of "
            "`sizes` (and `scaling`, `memory_cap_rows`), or point `folder` to a larger "
            "disk (benchmarks/settings.yml)."
        )


def current_parts(table: Path) -> list[Path]:
    """List the files of the current version of a table, in order."""
    from dask_etl.datasets import PandasParquetDataset

    content = PandasParquetDataset(filepath=str(table)).content()
    return [table / part.name for part in content.parts]
