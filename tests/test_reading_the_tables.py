"""The page on reading the tables: its snippets run, and give the right rows."""

import ast
import re

import duckdb
import pandas as pd
import polars as pl
import pytest
from deltalake import DeltaTable
from kedro.framework.session import KedroSession

from support.kedro_project import ROOT, raw_catalog, write_yaml

PAGE = (ROOT / "docs" / "reading-the-tables.md").read_text()
SNIPPETS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
CLEAN = "dask.clean_transactions"
ROWS = (2_000, 2_500, 3_000)


@pytest.fixture(scope="module")
def versions(shared_project):
    """What the table held, in several parts, after each of three runs."""
    raw = shared_project.data / "01_raw" / "transactions"
    write_yaml(
        shared_project.path / "conf" / shared_project.env / "catalog_raw.yml",
        raw_catalog(raw, release=str(shared_project.data), rows_per_partition=700),
    )
    held = []
    for rows in ROWS:
        shared_project.run(
            "data_generation",
            "etl_dask",
            params={"generation": {"rows": rows, "rows_per_partition": 700}},
        )
        held.append(shared_project.table(CLEAN).to_pandas())
    return held


@pytest.fixture(scope="module")
def catalog(shared_project, versions):
    with KedroSession.create(
        project_path=shared_project.path, env=shared_project.env
    ) as session:
        yield session.load_context().catalog


def rows_of(table) -> set:
    frame = table.to_pandas() if isinstance(table, pl.DataFrame) else table
    return set(frame["transaction_id"].tolist())


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_snippet_gives_the_right_rows(snippet, shared_project, versions, catalog):
    assert len(ast.parse(snippet).body) <= 4
    code = snippet.replace('"data/', f'"{shared_project.data}/')
    names = {"catalog": catalog}
    exec(code, names)
    _, before, now = versions
    assert rows_of(before) != rows_of(now)
    found = {
        name: names[name] for name in ("large", "earlier", "current") if name in names
    }
    assert len(found) == 1
    if "large" in found:
        expected = now[now["quantity"] >= 3]
        assert 0 < len(expected) < len(now)
        assert len(names["large"]) == len(expected)
        assert rows_of(names["large"]) == rows_of(expected)
    if "earlier" in found:
        assert len(names["earlier"]) == len(before)
        assert rows_of(names["earlier"]) == rows_of(before)
    if "current" in found:
        assert names["current"] == len(ROWS) - 1


def test_every_reader_of_the_page_reads_an_earlier_version():
    for section in re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:6]:
        assert re.search(r"^large = ", section, re.MULTILINE), section
        assert re.search(r"^earlier = ", section, re.MULTILINE), section


def test_others_can_filter_on_any_column(shared_project, versions):
    """A column without statistics must not look like one without rows."""
    path = str(shared_project.folder(CLEAN))
    now, table, files = versions[-1], DeltaTable(path), DeltaTable(path).file_uris()
    assert len(files) > 1
    for name in now.columns:
        held = now[name].dropna()
        value = held.iloc[len(held) // 2]
        plain = value.to_pydatetime() if isinstance(value, pd.Timestamp) else value
        plain = plain.item() if hasattr(plain, "item") else plain
        expected = int((held == value).sum())
        scanned = pl.scan_delta(path).filter(pl.col(name) == plain).collect()
        assert len(scanned) == expected, name
        loaded = table.to_pandas(filters=[(name, "=", plain)])
        assert len(loaded) == expected, name
        [[counted]] = duckdb.sql(
            f'SELECT count(*) FROM read_parquet($files) WHERE "{name}" = $value',
            params={"files": files, "value": plain},
        ).fetchall()
        assert counted == expected, name
