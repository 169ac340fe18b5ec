"""Fixtures of the oracle's tests."""

import pyarrow as pa
import pytest

from dask_etl.retail import schema
from oracle import oracle_tables
from oracle.example import EXAMPLE, EXAMPLE_AS_OF, EXAMPLE_SEGMENTS, table
from oracle.raw_files import AS_OF, write_raw


@pytest.fixture
def judge(tmp_path):
    """Computes the oracle's tables of raw rows."""

    def judge(rows: pa.Table, parts: int = 1, as_of=AS_OF, **options):
        return oracle_tables(write_raw(tmp_path, rows, parts), as_of, **options)

    return judge


@pytest.fixture(scope="session")
def example(tmp_path_factory) -> dict[str, pa.Table]:
    files = write_raw(tmp_path_factory.mktemp("raw"), table(schema.raw(), EXAMPLE), 2)
    return oracle_tables(files, EXAMPLE_AS_OF, segments=EXAMPLE_SEGMENTS)
