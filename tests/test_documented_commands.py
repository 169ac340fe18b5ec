"""Every command that a document shows is run by a test, or says why not."""

import re
import shlex

import click
import pytest
from kedro.framework.startup import bootstrap_project

from dask_etl.cli import cli
from dask_etl.run_command import check_selection
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


COMMAND = re.compile(r"(?:^|[\s/])((?:kedro run|dask-etl)\b[^|&;>#\n]*)", re.M)


def commands(text):
    """The commands of the project in a block, taken apart; ``…`` is left open."""
    lines = COMMAND.findall(text.replace("\\\n", " "))
    return [shlex.split(line) for line in lines if not {*"…<{$"} & {*line}]


def parsed(words):
    """The command that words of a command line name, and its context."""
    command, rest = cli, words[1:]
    while isinstance(command, click.Group):
        name, *rest = rest
        command = command.get_command(click.Context(command), name)
        assert command is not None, f"there is no {name}"
    return command.make_context(name, [*rest])


@pytest.fixture
def registered():
    """The pipelines of the project, as its command line has them."""
    bootstrap_project(ROOT)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
@pytest.mark.usefixtures("registered")
def test_commands_that_are_not_run_are_at_least_such(page):
    """Options, pipelines, nodes and namespaces are there; nothing is run."""
    for block in blocks(page):
        for words in commands(block.text) if block.kind in SHELLS else ():
            context = parsed(words)
            if context.info_name == "run":
                check_selection(context.params)


@pytest.mark.usefixtures("registered")
def test_a_command_that_there_is_not_is_found():
    with pytest.raises(click.ClickException, match="did you mean 'etl_dask'"):
        check_selection(parsed(["kedro", "run", "--pipelines", "etl_dusk"]).params)
    with pytest.raises(click.UsageError):
        parsed(["dask-etl", "tables", "export", "x", "--ot", "csv"])
    [words] = commands("cd x && .venv/bin/kedro run --env a \\\n --async  # as said")
    assert words == ["kedro", "run", "--env", "a", "--async"]


def test_parts_of_the_readme(project, monkeypatch, capsys):
    project.run("data_generation", params={"generation": {"rows": 500}})
    bootstrap_project(project.path)
    monkeypatch.setenv("KEDRO_ENV", project.env)
    [text] = [
        block.text
        for block in blocks(ROOT / "README.md")
        if block.by and block.by.endswith("test_parts_of_the_readme")
    ]
    shown = commands(text)
    assert len(shown) == len(text.strip().splitlines())
    for words in shown:
        cli.main(words[1:], standalone_mode=False)
    said = capsys.readouterr().out
    assert "rows were quarantined (future_timestamp)" in said
    assert "dask.region_performance" in said
