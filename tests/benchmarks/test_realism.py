import numpy as np
import pandas as pd
import pytest

from benchmarks.realism import FACTS, distance_from_log_normal, good_rows
from dask_etl.retail.parameters import Generation


@pytest.fixture(scope="module")
def rows():
    return good_rows(
        Generation(rows=400_000, customers=20_000, rows_per_partition=150_000)
    )


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: fact.name)
def test_generated_data_meet_each_fact(rows, fact):
    assert fact.low <= fact.measure(rows) <= fact.high


def test_uniform_values_are_far_from_log_normal():
    values = np.random.default_rng(1).uniform(0.01, 100, 20_000)
    uniform = pd.DataFrame({"value": values, "product_category": "any"})
    assert distance_from_log_normal(uniform) > 0.06
