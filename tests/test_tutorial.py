"""docs/tutorial.md, as it is written there, from the first command to the last."""

import contextlib
import io
import os
import re
import shlex
import shutil

import pandas as pd

from support import commands
from support.documented import blocks
from support.kedro_project import ROOT, TIMEOUT

PAGE = ROOT / "docs" / "tutorial.md"


def test_every_step(project, whole_run):
    environment = {**os.environ, "DO_NOT_TRACK": "1"}
    environment.pop("KEDRO_ENV", None)

    def shell(text: str) -> str:
        """Each line is a command, without anything that takes a shell."""
        said = ""
        for line in text.splitlines():
            if line == "kedro run --env test":
                # It takes long, and was done already.
                ran, done = whole_run
                shutil.copytree(ran.path / "data", project.path / "data")
                said += done.stdout + done.stderr
                continue
            done = commands.run(shlex.split(line), project.path, environment, TIMEOUT)
            assert done.returncode == 0, f"{line}\n{done.stderr[-3_000:]}"
            said += done.stdout + done.stderr
        return said

    def answer(code: str) -> str:
        with contextlib.redirect_stdout(io.StringIO()) as said:
            exec(code, {})
        return said.getvalue()

    said = {}
    for block in blocks(PAGE):
        if block.kind == "bash" and block.reason is None:
            said[block.text] = shell(block.text)
    [question] = [block.text for block in blocks(PAGE) if block.kind == "python"]
    first = answer(question)

    by_word = {word: out for text, out in said.items() for word in text.split()}
    assert "All is well." in by_word["doctor"]
    [shown] = re.findall(r"^  Rows .*$", PAGE.read_text(), re.M)
    [run] = [out for text, out in said.items() if text == "kedro run --env test\n"]
    for line in (shown, "all 16 tables of both engines are identical"):
        assert line in run
    assert "report.html" in by_word["report"]
    # What was restored is what the first run had said: no amount is cut off.
    exported = pd.read_csv(project.path / "dask.region_performance.csv")
    worst = exported.sort_values("return_rate_value", ascending=False)["region"].iloc[0]
    assert first.splitlines()[1].split()[0] == worst.split()[0]
    assert exported["net_revenue"].sum().round() == 696_675
