"""Progress: what is told while a run goes on, and where."""

import io
import logging
import re
import sys
import threading
import time

import pytest

from dask_etl.engine.progress import Computation, Step, running
from dask_etl.hooks import displays, progress
from dask_etl.hooks.progress import ProgressHooks

MEMORY = r"[\d,]+ MB"


class Shown:
    """A display that keeps what it was shown."""

    interval = 0.0

    def __init__(self):
        self.lines = []
        self.closed = False
        self.said = threading.Event()

    def show(self, line, share):
        self.lines.append((line, share))
        self.said.set()

    def close(self):
        self.closed = True

    def next(self):
        self.said.clear()
        assert self.said.wait(10)
        return self.lines[-1]


class SomeNode:
    def __init__(self, name):
        self.name = name


class SomePipeline:
    nodes = (1, 2, 3)


@pytest.fixture
def shown(monkeypatch):
    place = Shown()
    monkeypatch.setattr(progress, "TICK", 0.01)
    monkeypatch.setattr(progress, "display", lambda: place)
    return place


def test_a_node_and_then_its_steps_are_told(shown):
    hooks = ProgressHooks()
    hooks.before_pipeline_run(SomePipeline)
    hooks.before_node_run(SomeNode("pandas.screen"))
    line, share = shown.next()
    assert re.fullmatch(rf"pandas.screen \(node 1 of 3\) · \d+.\d s · {MEMORY}", line)
    assert share is None

    hooks.before_dataset_loaded(SomeNode("dask.summarise"))
    hooks.before_node_run(SomeNode("dask.summarise"))
    done = set()
    steps = [
        Step("survey", "partition", range(4), [5_000_000] * 4),
        Step("merge_keys", "bucket", ["only"]),
    ]
    with running(Computation(steps, done.__contains__)):
        line, share = shown.next()
        assert re.fullmatch(
            rf"survey \(1 of 2\) · 0 of 4 partitions · 0.0 of 20.0 million rows · {MEMORY}",
            line,
        )
        assert share == 0
        done |= {0, 1, 2}
        time.sleep(0.05)
        line, share = shown.next()
        told = (
            r"survey \(1 of 2\) · \d+.\d s left · 3 of 4 partitions · "
            rf"15.0 of 20.0 million rows · .*/s · {MEMORY}"
        )
        assert re.fullmatch(told, line), line
        assert share == 0.75
        done.add(3)
        time.sleep(0.05)
        assert shown.next()[0].startswith("merge_keys (2 of 2) · 0 of 1 bucket · ")
    hooks.after_pipeline_run()
    assert shown.closed
    told = len(shown.lines)
    time.sleep(0.05)
    assert len(shown.lines) == told


def test_an_error_ends_it_and_so_does_a_new_run(shown):
    hooks = ProgressHooks()
    for end in (
        hooks.on_pipeline_error,
        lambda: hooks.before_pipeline_run(SomePipeline),
    ):
        hooks.before_pipeline_run(SomePipeline)
        hooks.before_node_run(SomeNode("a"))
        shown.next()
        shown.closed = False
        end()
        assert shown.closed
    hooks.after_pipeline_run()
    assert "progress" not in {thread.name for thread in threading.enumerate()}


def test_who_wants_none_gets_none(shown):
    hooks = ProgressHooks()
    hooks._wanted = False
    hooks.before_pipeline_run(SomePipeline)
    hooks.before_node_run(SomeNode("a"))
    assert "progress" not in {thread.name for thread in threading.enumerate()}
    hooks.after_pipeline_run()
    assert shown.lines == []


def test_without_a_terminal_it_is_a_line_of_the_log_every_ten_seconds(
    monkeypatch, caplog
):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    place = displays.display()
    assert place.interval == 10
    with caplog.at_level(logging.INFO):
        place.show("survey · 1 of 2", 0.5)
    place.close()
    assert caplog.messages == ["survey · 1 of 2"]


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_on_a_terminal_it_is_one_line_below_what_is_logged(monkeypatch):
    """Each line takes the place of the one before; in the end there is none."""
    terminal = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys, "stderr", terminal)
    handler = logging.StreamHandler(terminal)
    logging.getLogger().addHandler(handler)
    try:
        place = displays.display()
        place.show("half of it", 0.5)
        logging.getLogger("somebody").warning("look here")
        place.show("all of it " + "x" * 100, 1.0)
        place.close()
        logging.getLogger("somebody").warning("afterwards")
    finally:
        logging.getLogger().removeHandler(handler)
    rows = screen(terminal.getvalue())
    assert rows == ["look here", "afterwards"]
    assert handler.stream is terminal
    assert sys.stderr is terminal
    assert "━" * 6 + "╌" * 6 + " " in plain(terminal.getvalue())
    assert "…" in terminal.getvalue()


def plain(text):
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text)


def screen(text):
    """What is left to be seen, by the few movements that are used."""
    rows, row, column = [""], 0, 0
    for piece in re.findall(r"\x1b\[[0-9;?]*[a-zA-Z]|\r|\n|[^\x1b\r\n]+", text):
        if piece == "\r":
            column = 0
        elif piece == "\n":
            row, column = row + 1, 0
            rows += [""] * (row + 1 - len(rows))
        elif piece == "\x1b[2K":
            rows[row] = ""
        elif re.fullmatch(r"\x1b\[\d*A", piece):
            row = max(row - int(piece[2:-1] or 1), 0)
        elif not piece.startswith("\x1b"):
            line = rows[row].ljust(column)
            rows[row] = line[:column] + piece + line[column + len(piece) :]
            column += len(piece)
    return [line.rstrip() for line in rows if line.strip()]


def test_a_dumb_terminal_gets_the_log(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setenv("TERM", "dumb")
    assert displays.display().interval == 10


def test_in_a_notebook_it_is_a_line_that_changes(monkeypatch):
    shell = pytest.importorskip("IPython.core.interactiveshell").InteractiveShell()
    shell.kernel = "somewhere"
    monkeypatch.setitem(sys.modules, "ipykernel", object())
    monkeypatch.setattr("IPython.get_ipython", lambda: shell)
    monkeypatch.setattr(
        "IPython.core.interactiveshell.InteractiveShell.initialized", lambda: True
    )
    published = []
    monkeypatch.setattr(
        "IPython.core.display_functions.publish_display_data",
        lambda data, metadata=None, *, transient=None, update=False, **_: (
            published.append((data["text/plain"], update, transient["display_id"]))
        ),
    )
    place = displays.display()
    place.show("half of it", 0.5)
    place.show("all of it", None)
    place.close()
    assert len({display for _, _, display in published}) == 1
    assert [(text, update) for text, update, _ in published] == [
        ("━" * 6 + "╌" * 6 + " half of it", False),
        ("all of it", True),
        ("", True),
    ]


def test_in_a_notebook_only_warnings_are_on_red(monkeypatch):
    out, err = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    monkeypatch.setattr(displays, "_is_notebook", lambda: True)
    root = logging.getLogger()
    handler = logging.StreamHandler(err)
    monkeypatch.setattr(root, "handlers", [handler])
    displays.calm_notebook()
    displays.calm_notebook()
    log = logging.getLogger("somebody")
    log.setLevel(logging.INFO)
    log.info("fine")
    log.warning("look here")
    assert (out.getvalue(), err.getvalue()) == ("fine\n", "look here\n")
