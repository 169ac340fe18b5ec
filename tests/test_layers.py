"""The floors of the house: imports run one way, and the lower ones know no shop."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from support.kedro_project import ROOT

RETAIL = re.compile(
    "region|product_category|quantity|customer|transaction_id|raw_transactions", re.I
)


def test_imports_run_one_way():
    linter = Path(sys.executable).with_name("lint-imports")
    if not linter.exists():
        pytest.skip("import-linter is not installed")
    done = subprocess.run(
        [linter], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("floor", ["storage", "engine", "datasets", "sources"])
def test_lower_floors_know_nothing_of_retail(floor):
    for path in (ROOT / "src" / "dask_etl" / floor).rglob("*.py"):
        lines = path.read_text().splitlines()
        assert [line for line in lines if RETAIL.search(line)] == [], path
