"""The graph that Kedro-Viz shows: layers, the two engines side by side, previews."""

import json
from collections import defaultdict
from dataclasses import dataclass

import fsspec
import pytest

from dask_etl.pipeline_registry import register_pipelines
from support.kedro_project import ENGINES

LAYERS = ["raw", "primary", "analysis", "reporting"]
SUMMARIES = {"sales_cube", "customers"}
IN_MEMORY = {
    *("as_of", "dask.batch", "dask.survey", "dask.screened", "dask.enriched"),
    *("pandas.moments", "pandas.kept", "rejected_samples", "run_facts"),
}


@dataclass(frozen=True)
class Graph:
    """A pipeline as the browser gets it."""

    main: dict

    def __post_init__(self):
        object.__setattr__(self, "nodes", {n["id"]: n for n in self.main["nodes"]})

    def of_type(self, kind: str) -> dict[str, dict]:
        """Nodes of a type by name; tasks of both engines share names, so not for them."""
        return {n["name"]: n for n in self.nodes.values() if n["type"] == kind}

    def layers(self) -> dict[str, set[str]]:
        """Names of the datasets of every layer."""
        found = defaultdict(set)
        for name, node in self.of_type("data").items():
            found[node["layer"]].add(name)
        return found

    def children(self, box: str, kind: str) -> set[str]:
        """Names of what is in a collapsible box."""
        return {
            self.nodes[child["id"]]["name"]
            for child in self.main["modular_pipelines"][box]["children"]
            if child["type"] == kind
        }

    def edges(self) -> set[tuple[str, str]]:
        """Names of what is connected, of the collapsed boxes as well."""
        name = {i: n["name"] for i, n in self.nodes.items()}
        return {(name[e["source"]], name[e["target"]]) for e in self.main["edges"]}


@pytest.fixture(scope="module")
def saved(shared_project, tmp_path_factory):
    """What ``kedro viz run --save-file`` and ``kedro viz build`` save."""
    from kedro_viz.api.rest.responses.save_responses import save_api_responses_to_fs
    from kedro_viz.data_access import data_access_manager
    from kedro_viz.server import load_and_populate_data

    folder = tmp_path_factory.mktemp("viz")
    data_access_manager.reset_fields()
    try:
        load_and_populate_data(shared_project.path, env=shared_project.env)
        save_api_responses_to_fs(str(folder), fsspec.filesystem("file"), False)
    finally:
        data_access_manager.reset_fields()
    return folder / "api"


@pytest.fixture(scope="module")
def graph(saved):
    return Graph(json.loads((saved / "main").read_text()))


def test_the_layers_stand_in_the_order_of_the_story(graph):
    assert graph.main["selected_pipeline"] == "__default__"
    assert graph.main["layers"] == LAYERS


def test_every_stored_dataset_is_in_its_layer(graph):
    layers = graph.layers()
    assert layers.pop(None) == IN_MEMORY
    assert layers["raw"] == {
        "raw_transactions",
        "generation_truth",
        "generated_defects",
        "generated_defects_by_part",
    }
    analyses = {
        name.partition(".")[2]
        for name in register_pipelines()["analytics"].all_outputs()
    }
    for engine in ENGINES:
        for table in analyses:
            assert f"{engine}.{table}" in layers["analysis"]
        for table in SUMMARIES:
            assert f"{engine}.{table}" in layers["primary"]
    assert {"verification", "run_metrics", "report"} < layers["reporting"]
    assert sum(name.endswith("_plot") for name in layers["reporting"]) == 9


def test_each_engine_is_a_box_to_open(graph):
    boxes = graph.main["modular_pipelines"]
    assert set(boxes) == {"__root__", *ENGINES}
    assert set(ENGINES) <= {child["id"] for child in boxes["__root__"]["children"]}
    dask, pandas = (graph.children(engine, "task") for engine in ENGINES)
    assert {"plan", "survey", "screen", "enrich", "summarise"} < dask
    summaries = {"summarise_sales", "summarise_customers", "summarise_orders"}
    assert {"screen", "enrich", *summaries} < pandas
    assert len(dask & pandas) == 2 + 10  # screen, enrich and the analyses


def test_boxes_hide_what_is_nobody_elses_concern(graph):
    assert graph.children("dask", "data") == {
        "dask.batch",
        "dask.survey",
        "dask.screened",
        "dask.enriched",
    }
    assert graph.children("pandas", "data") == {"pandas.moments", "pandas.kept"}


def test_one_raw_table_feeds_both_engines(graph):
    edges = graph.edges()
    assert ("generate", "raw_transactions") in edges
    readers = {
        box
        for edge in graph.main["edges"]
        if graph.nodes[edge["source"]]["name"] == "raw_transactions"
        for box in graph.nodes[edge["target"]].get("modular_pipelines") or []
    }
    assert readers == set(ENGINES)


def test_the_story_ends_with_the_demand_that_both_agree(graph):
    edges = graph.edges()
    for engine in ENGINES:
        for table in SUMMARIES:
            assert (f"{engine}.{table}", "verify_engines") in edges
    assert ("verify_engines", "verification") in edges
    assert ("report", "require_identical") in edges
    assert "require_identical" not in {source for source, _ in edges}


def test_every_pipeline_can_be_chosen(graph, saved):
    names = set(register_pipelines())
    assert {pipeline["id"] for pipeline in graph.main["pipelines"]} == names
    for name in names:
        shown = json.loads((saved / "pipelines" / name).read_text())
        tasks = [node for node in shown["nodes"] if node["type"] == "task"]
        assert len(tasks) == len(register_pipelines()[name].nodes), name


def test_plots_are_shown_beside_the_graph(graph, saved, shared_project):
    from kedro_datasets.matplotlib import MatplotlibDataset
    from matplotlib.figure import Figure

    plots = [name for name in graph.layers()["reporting"] if name.endswith("_plot")]
    for name in plots:
        node = graph.of_type("data")[name]
        details = json.loads((saved / "nodes" / node["id"]).read_text())
        assert details["filepath"].endswith(f"{name.removesuffix('_plot')}.png")
        assert details["run_command"] == f"kedro run --to-outputs={name}"
    picture = MatplotlibDataset(filepath=str(shared_project.path / "figure.png"))
    picture.save(Figure())
    assert picture.preview()
