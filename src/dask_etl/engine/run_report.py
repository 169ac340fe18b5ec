"""Dask's own report of a long run: every task, the profile, the load, on one page.

It is made at the end of a run, and only of one that took long: to draw it takes a
second or two. Until then Dask notes no more than it does for its dashboard.
"""

import re
import tempfile
import time
from pathlib import Path
from typing import Any

from fsspec import AbstractFileSystem

LONG = 30.0
"""Seconds that a run takes at least for its report to be worth it."""

KEPT = 5
"""Reports that are kept: one has some megabytes, as it needs no network to be read."""

_NAME = re.compile(r"dask-.*\.html")


class RunReport:
    """Takes note of what a cluster does from now on.

    Args:
        client: of the cluster.
    """

    def __init__(self, client: Any):
        self._client = client
        self._started = time.time()
        # Asked for once, Dask's record of tasks goes on.
        client.get_task_stream(start=0, stop=0)

    @property
    def is_worth_it(self) -> bool:
        """Whether the run has taken long enough."""
        return time.time() - self._started >= LONG

    def write(self, filesystem: AbstractFileSystem, folder: str, run_id: str) -> str:
        """Write the report into a folder, and remove all but the latest there.

        Returns:
            Its path.
        """
        from distributed import performance_report

        path = f"{folder}/dask-{run_id}.html"
        with tempfile.TemporaryDirectory() as temporary:
            page = Path(temporary) / "report.html"
            # Read without a network, too.
            report = performance_report(filename=str(page), mode="inline")
            report.start, report.last_count = self._started, 0
            self._client.sync(
                report.__aexit__, None, None, None, code=f"Run {run_id} of a pipeline"
            )
            filesystem.makedirs(folder, exist_ok=True)
            filesystem.put_file(str(page), path)
        ours = sorted(
            found
            for found in filesystem.ls(folder, detail=False)
            if _NAME.fullmatch(found.rpartition("/")[2])
        )
        for old in ours[:-KEPT]:
            filesystem.rm_file(old)
        return path
