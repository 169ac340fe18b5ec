"""The graph that Kedro-Viz shows: layers, the two engines side by side, previews."""

import json
import shutil
from collections import Counter, defaultdict
from dataclasses import dataclass

import fsspec
import kedro_viz
import pytest

from dask_etl.datasets import PandasParquetDataset
from dask_etl.pipeline_registry import register_pipelines
from support.kedro_project import ENGINES, ROOT

LAYERS = ["raw", "primary", "summary", "analysis", "reporting"]
SUMMARIES = {"sales_cube", "customers"}
IN_MEMORY = {
    *("as_of", "dask.batch", "dask.survey", "dask.screened", "dask.enriched"),
    *("pandas.moments", "pandas.kept", "rejected_samples", "run_facts"),
}
ROWS = 400
EARLIER = (
    *("clean_transactions", "rejected_transactions", "row_ledger", "sales_cube"),
    *("customers", "orders", "processed_files"),
)
FAILED = [
    {"event": "before_pipeline_run", "timestamp": "2026-01-01T00:00:00+00:00"},
    {"event": "on_pipeline_error", "timestamp": "2026-01-01T00:00:01+00:00"},
]


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
def written(shared_project):
    """A project with some tables, after another environment's run has failed."""
    shared_project.run("data_generation", params={"generation": {"rows": ROWS}})
    shared_project.run("etl_dask")
    (shared_project.path / "docs").mkdir()
    dictionary = ROOT / "docs" / "data_dictionary.md"
    shutil.copy(dictionary, shared_project.path / "docs")
    records = shared_project.path / ".viz"
    records.mkdir(exist_ok=True)
    (records / "kedro_pipeline_events.json").write_text(json.dumps(FAILED))
    (records / "environment").write_text("another")
    return shared_project


@pytest.fixture(scope="module")
def saved(written, tmp_path_factory):
    """What ``kedro viz run --save-file`` and ``kedro viz build`` save."""
    from kedro_viz.api.rest.responses.save_responses import save_api_responses_to_fs
    from kedro_viz.data_access import data_access_manager
    from kedro_viz.server import load_and_populate_data

    folder = tmp_path_factory.mktemp("viz")
    data_access_manager.reset_fields()
    try:
        load_and_populate_data(written.path, env=written.env)
        save_api_responses_to_fs(str(folder), fsspec.filesystem("file"), True)
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
            assert f"{engine}.{table}" in layers["summary"]
    assert {"verification", "run_metrics", "report"} < layers["reporting"]
    assert sum(name.endswith("_plot") for name in layers["reporting"]) == 9


def test_each_engine_is_a_box_to_open(graph):
    boxes = graph.main["modular_pipelines"]
    assert set(boxes) == {"__root__", *ENGINES, "reporting"}
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


def test_plots_are_shown_beside_the_graph(graph, saved):
    plots = [name for name in graph.layers()["reporting"] if name.endswith("_plot")]
    for name in plots:
        node = graph.of_type("data")[name]
        details = json.loads((saved / "nodes" / node["id"]).read_text())
        assert details["filepath"].endswith(f"{name.removesuffix('_plot')}.png")
        assert details["run_command"] == f"kedro run --to-outputs={name}"


def details(saved, graph, name):
    """What the panel shows of a dataset."""
    return json.loads((saved / "nodes" / graph.of_type("data")[name]["id"]).read_text())


def test_every_table_has_the_rows_and_the_size_that_are_in_force(graph, saved, written):
    for name in graph.of_type("data"):
        folders = [*written.data.glob(f"*/{name.replace('.', '/')}")]
        if not folders or not (folders[0] / "_delta_log").is_dir():
            continue
        dataset = PandasParquetDataset(filepath=str(folders[0]))
        newest = dataset.versions()[0]
        columns = len(dataset.content().schema)
        assert details(saved, graph, name)["stats"] == {
            "rows": newest.rows,
            "columns": columns,
            "file_size": newest.bytes,
        }, name
    raw = details(saved, graph, "raw_transactions")["stats"]
    assert (raw["rows"], raw["columns"]) == (ROWS, 10)
    seven = {f"dask.{name}" for name in EARLIER}
    sizes = [details(saved, graph, name)["stats"]["file_size"] for name in seven]
    assert details(saved, graph, "earlier")["stats"] == {"file_size": sum(sizes)}
    assert details(saved, graph, "pandas.customers").get("stats") is None


def test_previews_say_what_a_table_is_and_show_it(graph, saved):
    for name, *said in (
        (
            "raw_transactions",
            "One row per sale line, as delivered.",
            "who bought; missing: rejected",
        ),
        ("dask.row_ledger", "One row per source file.", "part-00000.parquet"),
        ("pandas.customers", "Nothing has been written here yet."),
    ):
        shown = details(saved, graph, name)
        assert shown["preview_type"] == "HTMLPreview"
        assert all(part in shown["preview"] for part in said), name


def test_the_failure_of_another_environment_is_not_shown(saved, written):
    shown = (saved / "run-status").read_text()
    assert "failed" not in shown
    aside = written.path / ".viz" / "another.kedro_pipeline_events.json"
    assert json.loads(aside.read_text()) == FAILED


def test_the_story_is_two_boxes_and_few_tables(saved):
    story = Graph(json.loads((saved / "pipelines" / "story").read_text()))
    boxes = story.main["modular_pipelines"]
    inner = {"results.dask", "results.reporting"}
    assert set(boxes) == {"__root__", "dask", "results", *inner}
    shown = [
        story.nodes[child["id"]]
        for child in boxes["__root__"]["children"]
        if child["type"] in ("task", "data")
    ]
    tasks = [node["name"] for node in shown if node["type"] == "task"]
    assert tasks == ["resolve_as_of"]
    beside = Counter(node["layer"] for node in shown if node["type"] == "data")
    assert max(beside.values()) <= 7, beside
    results = register_pipelines()["story"].outputs()
    assert {"report", "report_page"} < results
    assert not any(name.endswith("_plot") for name in results)


def test_nobody_elsewhere_is_asked(saved, written, monkeypatch):
    """Kedro-Viz asks for its newest version, its page for fonts."""
    from fastapi.testclient import TestClient
    from kedro_viz.api import apps

    def refuse(*_, **__):
        raise AssertionError("the network was asked")

    monkeypatch.setattr("requests.get", refuse)
    with TestClient(apps.create_api_app_from_project(written.path)) as client:
        page = client.get("/")
        version = client.get("/api/version").json()
    assert "default-src 'self'" in page.headers["Content-Security-Policy"]
    assert version["is_outdated"] is False
    assert version["latest"] == version["installed"]


def test_the_command_asks_nobody_either(monkeypatch):
    from kedro_viz.integrations import pypi

    from dask_etl.cli import cli

    monkeypatch.setattr(pypi, "get_latest_version", None)
    command = cli.get_command(None, "viz")
    assert {"build", "run"} <= set(command.list_commands(None))
    command.callback()
    assert str(pypi.get_latest_version()) == kedro_viz.__version__
