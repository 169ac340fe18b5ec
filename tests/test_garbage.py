"""Python's collector: what it need not search, and that all else is as it was."""

import gc
import subprocess
import sys

import pytest

from dask_etl.garbage import not_collected

CYCLE = """
class Told:
    def __del__(self):
        print("searched")

told = Told()
told.itself = told
"""


@pytest.mark.parametrize("enabled", [True, False])
def test_the_collector_rests_and_is_what_it_was(enabled):
    was_enabled = gc.isenabled()
    (gc.enable if enabled else gc.disable)()
    try:
        with not_collected():
            assert not gc.isenabled()
            made = [[] for _ in range(10)]
        assert gc.isenabled() == enabled
        # Only of what stays it keeps away.
        assert not any(each is made for each in gc.get_objects())
    finally:
        gc.unfreeze()
        (gc.enable if was_enabled else gc.disable)()


@pytest.mark.parametrize(
    ("before", "said"),
    [("", "searched"), ("from dask_etl.garbage import end_at_once as e; e()", "")],
)
def test_a_process_ends_without_a_search(before, said):
    found = subprocess.run(
        [sys.executable, "-c", f"{before}\n{CYCLE}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == said
