"""A real browser, headless, by the WebDriver protocol: Debian's chromium-driver."""

import base64
import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.ports import free_port, wait_for

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1280,900",
)
MISSING = (
    "there is no chromedriver: the report was NOT opened in a browser "
    "(apt-get install chromium chromium-driver)"
)


class Browser:
    """One window of a browser."""

    def __init__(self, address: str, profile: str):
        self._address = address
        options = {"args": [*FLAGS, f"--user-data-dir={profile}"]}
        wanted = {
            "goog:chromeOptions": options,
            "goog:loggingPrefs": {"browser": "ALL"},
        }
        made = self._ask("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        self._address += f"/session/{made['sessionId']}"

    def open(self, page: Path) -> None:
        """Load a file."""
        self._ask("POST", "/url", {"url": page.as_uri()})

    def run(self, script: str, *arguments: Any) -> Any:
        """Run JavaScript in the page, with ``args``; a promise is waited for."""
        body = f"const args = arguments; return (async () => {{ {script} }})()"
        return self._ask("POST", "/execute/sync", {"script": body, "args": arguments})

    def resize(self, width: int, height: int) -> None:
        """Make the window as large as that."""
        self._ask("POST", "/window/rect", {"width": width, "height": height})

    def complaints(self) -> list[str]:
        """What the console has said since it was asked last."""
        return [
            entry["message"]
            for entry in self._ask("POST", "/se/log", {"type": "browser"})
        ]

    def pdf(self) -> bytes:
        """Print the page on A4."""
        page = {"page": {"width": 21.0, "height": 29.7}}
        return base64.b64decode(self._ask("POST", "/print", page))

    def quit(self) -> None:
        """Close it."""
        self._ask("DELETE", "", None)

    def _ask(self, method: str, path: str, content: Any) -> Any:
        request = urllib.request.Request(
            self._address + path,
            method=method,
            data=None if content is None else json.dumps(content).encode(),
            headers={"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise AssertionError(json.load(error)["value"]["message"]) from error


@contextlib.contextmanager
def browser() -> Iterator[Browser]:
    """Start a browser; skip the test where there is none, unless CI says it must be."""
    driver = shutil.which("chromedriver")
    if driver is None:
        if os.environ.get("BROWSER_REQUIRED"):
            pytest.fail(MISSING)
        pytest.skip(MISSING)
    port = free_port()
    with tempfile.TemporaryDirectory() as profile:
        process = subprocess.Popen(
            [driver, f"--port={port}", "--silent"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            wait_for(port, process)
            opened = Browser(f"http://127.0.0.1:{port}", profile)
            try:
                yield opened
            finally:
                opened.quit()
        finally:
            process.terminate()
            process.wait(10)
