"""docs/tutorial.md, as it is written there, from the first command to the last."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd

from support.documented import blocks
from support.kedro_project import ROOT

PAGE = ROOT / "docs" / "tutorial.md"


def test_every_step(project):
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "DO_NOT_TRACK": "1",
    }
    environment.pop("KEDRO_ENV", None)

    def shell(text: str, **more) -> str:
        done = subprocess.run(
            ["bash", "-euc", text] if not more else [sys.executable, "-"],
            cwd=project.path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            **more,
        )
        assert done.returncode == 0, f"{text}\n{done.stderr[-3_000:]}"
        return done.stdout + done.stderr

    said = {}
    for block in blocks(PAGE):
        if block.kind == "bash" and block.reason is None:
            said[block.text] = shell(block.text)
    [question] = [block.text for block in blocks(PAGE) if block.kind == "python"]
    first = shell(question, input=question)

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
