"""Text to numbers, moments and flags: against Python, value by value."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dask_etl.sources.convert import as_text, to_decimal, to_flag, to_integer
from dask_etl.sources.moments import to_moment


def read(function, values, **arguments):
    """What becomes of values: themselves, None where there is nothing, or "bad"."""
    given_ = values if isinstance(values, pa.Array) else pa.array(values, pa.string())
    converted, bad = function(given_, **arguments)
    assert len(converted) == len(bad) == len(given_)
    assert [v for v, b in zip(converted.to_pylist(), bad, strict=True) if b and v] == []
    return [
        "bad" if is_bad else value
        for value, is_bad in zip(converted.to_pylist(), bad, strict=True)
    ]


GERMAN = {"decimal": ",", "thousands": "."}


@pytest.mark.parametrize(
    ("text", "expected", "arguments"),
    [
        ("1.234,50", 1234.5, GERMAN),
        ("1.234.567", 1234567.0, GERMAN),
        ("1,5", 1.5, GERMAN),
        ("1.5", "bad", GERMAN),
        ("12.34,5", "bad", GERMAN),
        ("1.5", "bad", {"decimal": ","}),
        ("-3,20", -3.2, GERMAN),
        ("3,20-", -3.2, GERMAN),
        ("(1.003,20)", -1003.2, GERMAN),
        ("12,34,567.8", 1234567.8, {"thousands": ","}),
        ("1 234,5", 1234.5, {"decimal": ",", "thousands": " "}),
        ("€ 12.50", 12.5, {"strip": "€"}),
        ("1e3", 1000.0, {}),
        (" 7 ", 7.0, {}),
        ("7 pieces", "bad", {}),
        ("--7", "bad", {}),
        ("", "bad", {}),
        (None, None, {}),
    ],
)
def test_decimals(text, expected, arguments):
    # Beside others: one that cannot be read must not touch its neighbours.
    assert read(to_decimal, [text], **arguments) == [expected]
    assert read(to_decimal, ["4", text, "x"], **arguments) == [4.0, expected, "bad"]


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=5))
def test_any_number_that_is_written_is_read_back(numbers):
    assert read(to_decimal, [repr(number) for number in numbers]) == numbers


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("12", 12),
        ("12.0", 12),
        ("12.5", "bad"),
        ("9223372036854775807", 2**63 - 1),
        ("9223372036854775808", "bad"),
        ("-00017", -17),
        ("1e3", 1000),
        ("x", "bad"),
        (None, None),
    ],
)
def test_integers(text, expected):
    assert read(to_integer, [text]) == [expected]
    assert read(to_integer, ["4", text]) == [4, expected]


def test_numbers_of_other_types():
    assert read(to_integer, pa.array([1.0, np.nan, None, 2.5])) == [
        1,
        None,
        None,
        "bad",
    ]
    assert read(to_decimal, pa.array([True, False])) == [1.0, 0.0]
    assert as_text(pa.array([17.0, np.nan])).to_pylist() == ["17", None]
    assert as_text(pa.array([1.5])).to_pylist() == ["1.5"]


def test_flags():
    words = ["Ja", "nein", "TRUE", "0", "1", " x ", "maybe", None]
    flags = [True, False, True, False, True, True, "bad", None]
    assert read(to_flag, words) == flags


LAYOUTS = ["%d.%m.%Y", "%d.%m.%Y %H:%M", "%Y%m%d", "%m/%d/%y %H:%M:%S", "%d %b %Y"]
moments = st.datetimes(datetime(1970, 1, 1), datetime(2068, 12, 31)).map(
    lambda moment: moment.replace(microsecond=0)
)


@given(st.lists(moments, min_size=1, max_size=6), st.sampled_from(LAYOUTS))
def test_moments_are_those_that_strptime_reads(found, layout):
    texts = [f"{moment:{layout}}" for moment in found]
    expected = [datetime.strptime(t, layout).replace(tzinfo=UTC) for t in texts]
    assert read(to_moment, texts, formats=[layout]) == expected
    assert read(to_moment, ["?", *texts], formats=[layout]) == ["bad", *expected]


@pytest.mark.parametrize(
    ("text", "formats"),
    [
        ("31.02.2023", ["%d.%m.%Y"]),
        ("29.02.2023", ["%d.%m.%Y"]),
        ("00.01.2023", ["%d.%m.%Y"]),
        ("01.13.2023", ["%d.%m.%Y"]),
        ("1x.01.2023", ["%d.%m.%Y"]),
        ("01-01-2023", ["%d.%m.%Y"]),
        ("2023-02-30", []),
        ("2023-01-01 24:00", []),
        ("yesterday", []),
        ("", []),
    ],
)
def test_what_is_no_moment(text, formats):
    assert read(to_moment, [text], formats=formats) == ["bad"]


def test_several_formats_and_widths():
    found = read(
        to_moment,
        ["03.04.2023", "3.4.2023", "2023-04-03"],
        formats=["%d.%m.%Y", "%Y-%m-%d"],
    )
    assert found == [datetime(2023, 4, 3, tzinfo=UTC)] * 3
    assert (
        read(
            to_moment,
            ["2023-04-03T00:00:00Z", "2023-04-03 02:00:00+02:00", "2023-04-03"],
        )
        == [datetime(2023, 4, 3, tzinfo=UTC)] * 3
    )


def test_local_time_across_daylight_saving():
    berlin = ZoneInfo("Europe/Berlin")
    texts = [
        "2023-03-26 01:59",
        "2023-03-26 03:00",
        "2023-10-29 02:30",
        "2023-07-01 12:00",
    ]
    expected = [
        datetime.fromisoformat(text).replace(tzinfo=berlin).astimezone(UTC)
        for text in texts
    ]
    assert read(to_moment, texts, timezone="Europe/Berlin") == expected
    # What clocks never showed is the first moment that they did.
    [skipped] = read(to_moment, ["2023-03-26 02:30"], timezone="Europe/Berlin")
    assert skipped == datetime(2023, 3, 26, 1, tzinfo=UTC)


def test_numbers_as_moments():
    day = datetime(2023, 4, 3, tzinfo=UTC)
    seconds = str(int(day.timestamp()))
    assert read(to_moment, [seconds, "x"], formats=["epoch_s"]) == [day, "bad"]
    assert read(to_moment, [f"{seconds}000"], formats=["epoch_ms"]) == [day]
    assert read(to_moment, ["45019"], formats=["excel"]) == [day]
    assert read(to_moment, pa.array([45019.5]), formats=["excel"]) == [
        day.replace(hour=12)
    ]
    assert read(to_moment, pa.array([day.date()])) == [day]
