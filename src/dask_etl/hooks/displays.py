"""Where a line of progress is shown: a terminal, a notebook, or else the log."""

import logging
import os
import sys
from typing import Any, Protocol

logger = logging.getLogger("dask_etl.progress")


class Display(Protocol):
    """Shows a line in place of the one before."""

    interval: float
    """Seconds between two lines."""

    def show(self, line: str, share: float | None) -> None:
        """Show a line; ``share`` (0–1) is how much is done, where that is known."""

    def close(self) -> None:
        """Leave the place as it was."""


def display() -> Display:
    """Choose where people look: at this terminal, this notebook, or a log."""
    if _is_notebook():
        return _Notebook()
    if sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
        return _Terminal()
    return _Log()


def calm_notebook() -> None:
    """In a notebook, log to where results appear; warnings stay where errors are, on red.

    Kedro's settings of the log know nothing of notebooks.
    """
    root = logging.getLogger()
    if not _is_notebook() or any(isinstance(each, _Calm) for each in root.handlers):
        return
    for handler in [*root.handlers]:
        if isinstance(handler, logging.StreamHandler) and handler.stream is sys.stderr:
            handler.setLevel(max(handler.level, logging.WARNING))
            calm = _Calm(sys.stdout)
            calm.setFormatter(handler.formatter)
            root.addHandler(calm)


class _Calm(logging.StreamHandler):
    """Shows what is no warning."""

    def filter(self, record: logging.LogRecord) -> bool:
        return record.levelno < logging.WARNING


def _is_notebook() -> bool:
    # Who runs in a kernel has imported this.
    if "ipykernel" not in sys.modules:
        return False
    from IPython import get_ipython  # noqa: PLC0415  (start-up)

    return hasattr(get_ipython(), "kernel")


class _Log:
    interval = 10.0

    def show(self, line: str, share: float | None) -> None:
        logger.info("%s", line)

    def close(self) -> None:
        pass


class _Notebook:
    interval = 0.5

    def __init__(self) -> None:
        self._handle: Any = None

    def show(self, line: str, share: float | None) -> None:
        self._put(f"{_bar(share)}{line}")

    def close(self) -> None:
        if self._handle is not None:
            self._put("")

    def _put(self, text: str) -> None:
        from IPython.display import display  # noqa: PLC0415  (start-up)

        content = {"text/plain": text}
        if self._handle is None:
            self._handle = display(content, raw=True, display_id=True)
        else:
            self._handle.update(content, raw=True)


class _Terminal:
    """One line at the foot of the terminal; what is logged appears above it."""

    interval = 0.5

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live

        console = Console(stderr=True)
        self._live = Live(console=console, auto_refresh=False, transient=True)
        terminals = (sys.stderr, sys.stdout)
        self._handlers = [
            (handler, handler.stream)
            for handler in logging.getLogger().handlers
            if isinstance(handler, logging.StreamHandler)
            and handler.stream in terminals
        ]
        self._live.start()
        for handler, _ in self._handlers:
            handler.setStream(_Above(console))

    def show(self, line: str, share: float | None) -> None:
        from rich.text import Text

        text = Text(_bar(share), style="cyan", no_wrap=True, overflow="ellipsis")
        self._live.update(text.append(line, style="default"), refresh=True)

    def close(self) -> None:
        for handler, stream in self._handlers:
            handler.setStream(stream)
        self._live.stop()


class _Above:
    """A stream to a terminal above its last line; long lines are left as they are."""

    def __init__(self, console: Any):
        self._console = console

    def write(self, text: str) -> None:
        from rich.text import Text

        self._console.print(Text.from_ansi(text.removesuffix("\n")), soft_wrap=True)

    def flush(self) -> None:
        self._console.file.flush()


def _bar(share: float | None, width: int = 12) -> str:
    if share is None:
        return ""
    done = round(share * width)
    return f"{'━' * done}{'╌' * (width - done)} "
