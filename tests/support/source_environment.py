"""An environment of a temporary project that reads a source of its own."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from support.kedro_project import TOLERANT, Project, write_yaml

AS_OF = "2024-06-01T00:00:00+00:00"


def with_source(
    project: Project,
    source: Mapping[str, Any],
    mapping: Mapping[str, Any],
    env: str = "mine",
    **parameters: Any,
) -> Project:
    """Make an environment with a source and a mapping; it bears any rejected rows."""
    folder = project.path / "conf" / env
    folder.mkdir(exist_ok=True)
    shutil.copy(project.path / "conf" / "test" / "dask.yml", folder)
    write_yaml(folder / "globals.yml", {"data_root": f"data/{env}"})
    write_yaml(folder / "catalog.yml", {"source": dict(source)})
    write_yaml(folder / "source.yml", {"mapping": dict(mapping)})
    write_yaml(
        folder / "parameters.yml",
        {"clock": {"as_of": AS_OF}, "cleaning": TOLERANT, **parameters},
    )
    return Project(project.path, env)


SHOP_SOURCE = {
    "type": "dask_etl.sources.CsvSource",
    "separator": ";",
    "encoding": "cp1252",
}


def shop_mapping(folder: Path) -> dict[str, Any]:
    """The mapping of the export that examples/shop makes."""
    return {
        "decimal": ",",
        "thousands": ".",
        "timezone": "Europe/Berlin",
        "format": "%d.%m.%Y %H:%M",
        "columns": {
            "transaction_id": {"compose": ["Beleg"], "numbered": True},
            "customer_id": {"from": "Kundennr"},
            "product_category": {
                "from": "Artikelnr",
                "lookup": {
                    "file": str(folder / "articles.csv"),
                    "key": "Artikelnr",
                    "value": "Warengruppe",
                    "separator": ";",
                    "encoding": "cp1252",
                },
            },
            "region": {"from": "Filiale"},
            "amount": {"from": "Einzelpreis"},
            "quantity": {"from": "Menge"},
            "discount": {"from": "Rabatt %", "unit": "percent"},
            "timestamp": {"compose": ["Datum", "Uhrzeit"], "separator": " "},
        },
    }
