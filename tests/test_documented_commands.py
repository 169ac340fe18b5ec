"""Every command that a document shows is run by a test, or says why not."""

import re
import shlex

import pytest

from support.documented import blocks
from support.kedro_project import ROOT

PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "examples" / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
]
WALKED = {"tutorial.md": "tests/test_tutorial.py"}
"""Pages that a test runs from top to bottom."""
MEASURED = {"performance.md"}
"""Pages whose commands take minutes and make the figures that stand there."""
SHELLS = {"bash", "sh", "console", "powershell"}
SHOWN = [
    pytest.param(page, block, id=f"{page.name}: {block.text.splitlines()[0][:40]}")
    for page in PAGES
    if page.name not in MEASURED
    for block in blocks(page)
    if block.kind in SHELLS
]


@pytest.mark.parametrize(("page", "block"), SHOWN)
def test_it_is_run_or_says_why_not(page, block):
    if block.reason is not None:
        assert len(block.reason) > 10
    elif block.by is not None:
        file, _, test = block.by.partition("::")
        assert re.search(rf"^def {test}\(", (ROOT / file).read_text(), re.M)
    else:
        assert page.name in WALKED, "no test runs this, and no mark says why"
        assert page.name in (ROOT / WALKED[page.name]).read_text()


def test_every_shell_block_is_seen():
    for page in PAGES:
        fences = re.findall(r"^ *```(\w+)$", page.read_text(), re.M)
        shells = [kind for kind in fences if kind in SHELLS]
        assert len(shells) == len([b for b in blocks(page) if b.kind in SHELLS]), page


def test_runs_of_a_mode_or_a_moment(project):
    """The runs of docs/operations.md that say ``etl.mode`` or ``clock.as_of``."""
    project.run("data_generation", params={"generation": {"rows": 500}})
    runs = [
        line.partition("  #")[0]
        for block in blocks(ROOT / "docs" / "operations.md")
        if block.by and block.by.endswith("test_runs_of_a_mode_or_a_moment")
        for line in block.text.splitlines()
    ]
    assert len(runs) == 4
    for line in runs:
        # Against the little data of the tests.
        done = project.kedro(*shlex.split(line)[1:], "--env", "test")
        if "etl.mode=incremental" in line:
            # Nothing is new.
            assert "the tables stay as they are" in done.stdout + done.stderr
        assert done.returncode == 0, f"{line}\n{done.stderr}"
