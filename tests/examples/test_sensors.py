"""The example with data that are not a shop's, against plain pandas."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dask_etl.datasets import PandasParquetDataset
from dask_etl.engine import deduplicate
from examples.sensors.sensors import run
from support.engine_runs import cluster


def readings(rows: int, seed: int) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    start = pd.Timestamp("2025-03-01", tz="UTC")
    celsius = random.normal(15, 8, rows).round(3)
    celsius[random.random(rows) < 0.02] = 999.9
    celsius[random.random(rows) < 0.02] = np.nan
    frame = pd.DataFrame(
        {
            "sensor": random.choice(["roof", "cellar", "garden"], rows),
            "taken_at": start
            + pd.to_timedelta(random.integers(0, 36, rows) * 300, "s"),
            "celsius": celsius,
        }
    )
    return frame.assign(taken_at=frame["taken_at"].dt.as_unit("us"))


@pytest.mark.parametrize(("files", "processes"), [(1, False), (7, True)])
def test_sensors_are_cleaned_and_averaged(tmp_path, monkeypatch, files, processes):
    monkeypatch.setattr(deduplicate, "ROWS_PER_BUCKET", 200)
    rows = readings(700, files)
    (tmp_path / "raw").mkdir()
    for number, part in enumerate(np.array_split(np.arange(len(rows)), files)):
        rows.iloc[part].to_parquet(tmp_path / "raw" / f"{number}.parquet", index=False)
    with cluster(processes=processes, n_workers=2, threads_per_worker=1):
        run(tmp_path / "raw", tmp_path / "out", rows_per_partition=100)

    kept = rows[rows["celsius"].between(-60, 60)]
    kept = kept.drop_duplicates(["sensor", "taken_at"]).reset_index(drop=True)
    assert 0 < len(kept) < len(rows)
    found = PandasParquetDataset(filepath=str(tmp_path / "out" / "readings")).load()
    pd.testing.assert_frame_equal(
        found, kept, check_dtype=False, check_categorical=False
    )

    hours = kept["taken_at"].dt.floor("h").rename("hour")
    by_hour = kept["celsius"].groupby([kept["sensor"], hours])
    expected = by_hour.agg(readings="count", mean="mean").reset_index()
    found = PandasParquetDataset(filepath=str(tmp_path / "out" / "hourly")).load()
    pd.testing.assert_frame_equal(found, expected, check_dtype=False, rtol=1e-12)
    assert Path(tmp_path / "out" / "release.json").is_file()
