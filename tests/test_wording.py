"""Numbers are said as people say them."""

import pytest

from dask_etl.wording import counted, duration, number, percent, size


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0, "0"),
        (45_600, "45,600"),
        (999_999, "1 million"),
        (1_234_567, "1.23 million"),
        (2.5e9, "2.5 billion"),
        (0.125, "0.12"),
    ],
)
def test_numbers(value, said):
    assert number(value) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.6, "1 min 00 s"),
        (200, "3 min 20 s"),
        (7_500, "2 h 05 min"),
    ],
)
def test_lengths_of_time(seconds, said):
    assert duration(seconds) == said


def test_shares_sizes_and_counts():
    assert [percent(share) for share in (0, 0.00001, 0.0261, 0.5)] == [
        "0 %",
        "< 0.01 %",
        "2.6 %",
        "50 %",
    ]
    assert [size(count) for count in (0, 999, 4_100, 3_210_000, 7.5e9)] == [
        "0 B",
        "999 B",
        "4.1 kB",
        "3.2 MB",
        "7.5 GB",
    ]
    assert [counted(count, "table") for count in (0, 1, 1_400)] == [
        "0 tables",
        "1 table",
        "1,400 tables",
    ]
