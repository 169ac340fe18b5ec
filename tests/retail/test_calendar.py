"""Local time, whatever the zone has done with its clocks."""

import zoneinfo
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dask_etl.pipelines.etl_pandas.enrichment import local_time
from dask_etl.retail.calendar import local
from dask_etl.retail.parameters import Calendar

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TICK = timedelta(microseconds=1)


def micros(moment: datetime) -> int:
    return (moment - EPOCH) // TICK


def shown(moment: datetime, zone: str) -> datetime:
    """What a clock of the zone shows, as Python has it."""
    return moment.astimezone(zoneinfo.ZoneInfo(zone)).replace(tzinfo=None)


MOMENTS = st.datetimes(
    datetime(1850, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)
)


@settings(max_examples=200)
@given(
    moments=st.lists(MOMENTS, min_size=1, max_size=20),
    zone=st.sampled_from(sorted(zoneinfo.available_timezones())),
)
def test_clocks_show_what_python_says(moments, zone):
    expected = [micros(shown(moment, zone).replace(tzinfo=UTC)) for moment in moments]
    ticks = np.array([micros(moment) for moment in moments])
    assert local(ticks, zone).tolist() == expected
    series = pd.Series(ticks).astype("datetime64[us, UTC]")
    found = local_time(series, Calendar(timezone=zone))
    assert found.astype("int64").tolist() == expected


CHANGES = [
    ("Europe/Berlin", datetime(2024, 3, 31, 1, tzinfo=UTC)),
    ("Europe/Berlin", datetime(2024, 10, 27, 1, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2024, 4, 6, 15, tzinfo=UTC)),
    ("Pacific/Apia", datetime(2011, 12, 30, 10, tzinfo=UTC)),
    # Seconds, and the hours of a clock that was set by the sun.
    ("Europe/Amsterdam", datetime(1937, 6, 30, 23, 40, 28, tzinfo=UTC)),
    ("America/New_York", datetime(1883, 11, 18, 17, tzinfo=UTC)),
]


@pytest.mark.parametrize(("zone", "change"), CHANGES)
def test_a_clock_is_set_at_its_very_microsecond(zone, change):
    moments = [change - TICK, change, change + TICK, change + timedelta(days=40)]
    found = local(np.array([micros(moment) for moment in moments]), zone)
    assert [EPOCH.replace(tzinfo=None) + tick * TICK for tick in found.tolist()] == [
        shown(moment, zone) for moment in moments
    ]


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "America/New_York"])
def test_the_ends_of_the_calendar_have_local_time_too(zone):
    ends = np.array([micros(datetime(1, 1, 1, tzinfo=UTC)), 2**53])
    assert len(local(ends, zone)) == 2
    assert local(ends[:0], zone).tolist() == []
