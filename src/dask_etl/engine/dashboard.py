"""Dask's dashboard, loaded when somebody looks at it.

Bokeh takes most of a second of the run's time to import, which a run that nobody
watches is spared. Until then the scheduler's web server, which is there anyway,
answers for it.
"""

import asyncio
import logging
from typing import Any

from distributed import Scheduler
from tornado.httputil import HTTPServerRequest
from tornado.web import Application, RequestHandler

logger = logging.getLogger(__name__)

_PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta http-equiv="refresh" content="1">
<title>Dask: loading</title>
<style>
body {{ font: 18px system-ui, sans-serif; color: #22303c; background: #fafafa;
  display: grid; place-items: center; height: 90vh; margin: 0 }}
@media (prefers-color-scheme: dark) {{ body {{ color: #e6ebf0; background: #14191f }} }}
</style></head>
<body><p role="status">{said}</p></body>
</html>
"""


class LazyDashboard:
    """Stands in for the dashboard of a scheduler until its first visitor.

    Args:
        scheduler: one that was started without dashboard.
    """

    def __init__(self, scheduler: Scheduler):
        self._scheduler = scheduler
        self._loading: asyncio.Task | None = None
        self._stand_in = Application(
            [(r"/[a-z-]*", _Loading, {"dashboard": self})], log_function=_say_nothing
        )
        scheduler.http_application.add_application(self._stand_in)

    def visit(self) -> str:
        """Begin to load, if that was not done yet; return what to tell the visitor."""
        if self._loading is None:
            self._loading = asyncio.ensure_future(self._load())
        if self._loading.done() and (error := self._loading.exception()):
            return f"The dashboard cannot be shown: {error}"
        return "The dashboard is being loaded …"

    async def _load(self) -> None:
        # In a thread: the scheduler goes on with its work meanwhile.
        connect = await asyncio.get_running_loop().run_in_executor(None, _connect)
        web = self._scheduler.http_application
        connect(web, self._scheduler.http_server, self._scheduler)
        web.applications.remove(self._stand_in)


def _connect() -> Any:
    from distributed.dashboard.scheduler import connect  # noqa: PLC0415  (start-up)

    return connect


class _Loading(RequestHandler):
    def initialize(self, dashboard: LazyDashboard) -> None:
        self._dashboard = dashboard

    def get(self) -> None:
        self.set_header("Cache-Control", "no-store")
        self.finish(_PAGE.format(said=self._dashboard.visit()))


def _say_nothing(_: HTTPServerRequest | RequestHandler) -> None:
    """Keep page views out of the run's log."""
