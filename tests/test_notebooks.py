"""The notebooks run from start to end, on a small set of data."""

import base64
import io
import shutil
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient
from PIL import Image

from support.kedro_project import ROOT

NOTEBOOKS = ROOT / "notebooks"
SMALL = {
    "ROWS": [2_000, 4_000],
    # Runs of the other are like them.
    "ENGINES": ["dask"],
    "ROWS_PER_PARTITION": 1_000,
    "REPEATS": 1,
}
TIMEOUT = 120
LARGEST = 600_000


def execute(path: Path, folder: Path, **parameters) -> nbformat.NotebookNode:
    """Run a notebook in a folder; parameters go below its cell ``parameters``."""
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if "parameters" in cell.metadata.get("tags", []):
            cell.source += "".join(f"\n{n} = {v!r}" for n, v in parameters.items())
    client = NotebookClient(
        notebook,
        kernel_name="python3",
        timeout=TIMEOUT,
        resources={"metadata": {"path": str(folder)}},
    )
    return client.execute()


def pictures(notebook: nbformat.NotebookNode) -> list[Image.Image]:
    """The figures that a notebook shows."""
    return [
        Image.open(io.BytesIO(base64.b64decode(output.data["image/png"])))
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if "image/png" in output.get("data", {})
    ]


def images(notebook: nbformat.NotebookNode) -> int:
    """How many figures a notebook shows."""
    return len(pictures(notebook))


@pytest.fixture
def folder(project, monkeypatch):
    """The notebooks' folder in a project, whose environment is that of tests."""
    monkeypatch.setenv("KEDRO_ENV", project.env)
    made = project.path / "notebooks"
    made.mkdir()
    return made


def test_explore_shows_the_tables(project, folder):
    project.run("data_generation", params={"generation": {"rows": 4_000}})
    project.run("etl_dask")
    project.run("analytics", namespaces=["dask"])

    done = execute(NOTEBOOKS / "explore.ipynb", folder)

    assert images(done) == images(nbformat.read(NOTEBOOKS / "explore.ipynb", 4)) >= 5


def test_scaling_measures_and_leaves_the_data_alone(project, folder):
    done = execute(NOTEBOOKS / "scaling.ipynb", folder, **SMALL)

    assert images(done) == 1
    assert not project.data.exists()


def test_own_data_takes_in_the_shops_file(project, folder):
    shutil.copytree(ROOT / "data" / "examples", project.path / "data" / "examples")

    done = execute(NOTEBOOKS / "own_data.ipynb", folder)

    [figure] = pictures(done)
    colours = np.asarray(figure.convert("HSV"))
    assert (colours[..., 1] > 100).mean() > 0.1, "no bars are seen"
    # Red is for what is wrong.
    said = [output for cell in done.cells for output in cell.get("outputs", [])]
    assert not [output.text for output in said if output.get("name") == "stderr"]
    text = "".join(output.get("text", "") for output in said)
    assert "INFO    Done in" in text
    report = project.path / "data" / "shop" / "08_reporting" / "report.html"
    assert report.is_file()


@pytest.mark.parametrize("name", ["explore", "own_data", "scaling"])
def test_what_is_committed_was_run_in_order_and_is_small(name):
    path = NOTEBOOKS / f"{name}.ipynb"
    cells = [c for c in nbformat.read(path, 4).cells if c.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    shown = {"display_data", "execute_result"}
    # What a run says belongs to the notebook that shows one.
    if name == "own_data":
        shown.add("stream")
    assert {output.output_type for output in outputs} <= shown
    assert path.stat().st_size < LARGEST
    # Logs of libraries name the folders of whoever ran it.
    assert "site-packages" not in path.read_text()
